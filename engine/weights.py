"""The initial weights of an experiment."""

from math import sqrt

import numpy as np

from engine.cells import CELLS
from engine.experiment import Experiment
from engine.initializers import INITS
from engine.parameters import Parameters
from engine.streams import Purpose, stream


def initialise(parameters: Parameters, e: Experiment) -> None:
    """Draw all weights: each gate's block of W_hh by `init` × `gain`, of W_ih by `input_init`; the head as torch does.

    Biases are 0 (init "pytorch": U(±1/√H)); of the LSTM, b_ih of the forget gate is `forget_bias` and its b_hh is 0, so
    that their sum, the effective bias, is what was set. Each tensor has a random stream of its own.
    """
    cell, units, bound = CELLS[e.cell], e.hidden_size, 1 / sqrt(e.hidden_size)
    for index, (name, view) in enumerate(parameters.items()):
        rng = stream(e.seed, Purpose.WEIGHTS, index)
        if name.startswith("head"):
            rng = stream(e.seed, Purpose.WEIGHTS, 1 << 20, len(view.shape))  # the same head whatever lies below it
            view[...] = rng.uniform(-bound, bound, view.shape)
        elif name.startswith("bias"):
            view[...] = rng.uniform(-bound, bound, view.shape) if e.init == "pytorch" else 0.0
            if cell.forget is not None:
                start = cell.forget * units
                view[start : start + units] = e.forget_bias if name.startswith("bias_ih") else 0.0
        else:
            recurrent = name.startswith("weight_hh")
            row, factor = (INITS[e.init], e.gain) if recurrent else (INITS[e.input_init], 1.0)
            for start in range(0, len(view), units):
                view[start : start + units] = factor * row.draw(rng, units, view.shape[1], units)


def spectral_radius(w: np.ndarray) -> float:
    """ρ(W), the largest |eigenvalue|; NaN where W is not finite."""
    return float(np.abs(np.linalg.eigvals(w)).max()) if np.isfinite(w).all() else float("nan")


def sigma_max(w: np.ndarray) -> float:
    """σ_max(W), the largest singular value; NaN where W is not finite."""
    return float(np.linalg.norm(w, 2)) if np.isfinite(w).all() else float("nan")
