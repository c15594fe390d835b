"""The initial weights of an experiment."""

from collections.abc import Mapping
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from engine.cells import KINDS
from engine.experiment import Experiment
from engine.initializers import INITS
from engine.parameters import Parameters, shapes
from engine.streams import Purpose, stream
from engine.tasks import TASKS


def blank(e: Experiment) -> Parameters:
    """The parameters of the experiment's network, all 0."""
    task = TASKS[e.task]
    sizes = task.input_size, e.hidden_size, e.num_layers, task.output_size, e.embedding_dim
    return Parameters(e.kind, shapes(e.kind, *sizes), np.dtype(e.dtype))


def initialise(parameters: Parameters, e: Experiment) -> None:
    """Draw all weights: W_hh by `init` × `gain`, W_ih by `input_init`, the head and the embedding as torch does.

    Biases are 0 (init "pytorch": U(±1/√H)), but for the effective bias b_ih + b_hh of the gate that keeps the state:
    `forget_bias` in the LSTM, or what the initialiser has for it. Each tensor has a random stream of its own.
    """
    units, bound = e.hidden_size, 1 / sqrt(e.hidden_size)
    for layer, weights in enumerate(parameters.layers):
        for place, (name, view) in enumerate(weights._asdict().items()):
            rng = stream(e.seed, Purpose.WEIGHTS, 4 * layer + place)
            if name.startswith("bias"):
                view[...] = rng.uniform(-bound, bound, view.shape) if e.init == "pytorch" else 0.0
                continue
            recurrent = name == "weight_hh"
            row, factor = (INITS[e.init], e.gain) if recurrent else (INITS[e.input_init], 1.0)
            draw = row.draw if recurrent or row.draw_input is None else row.draw_input
            rows = len(view) if row.whole else units
            for start in range(0, len(view), rows):
                view[start : start + rows] = factor * draw(rng, rows, view.shape[1], units)
        _keep(weights, e, layer)
    for name in ("head.weight", "head.bias"):  # the same head whatever lies below it
        view = parameters[name]
        view[...] = stream(e.seed, Purpose.WEIGHTS, 1 << 20, len(view.shape)).uniform(-bound, bound, view.shape)
    if "embedding.weight" in parameters:
        view = parameters["embedding.weight"]
        view[...] = stream(e.seed, Purpose.WEIGHTS, 1 << 21).standard_normal(view.shape)


def _keep(weights: Any, e: Experiment, layer: int) -> None:
    """Set the effective biases of the gates that keep and write the state: all of it in b_ih, none in b_hh."""
    cell, units, draw = KINDS[e.kind], e.hidden_size, INITS[e.init].bias

    def effective(block: int, value: np.ndarray | float) -> None:
        rows = slice(block * units, (block + 1) * units)
        weights.bias_ih[rows], weights.bias_hh[rows] = value, 0.0

    if draw is not None and cell.keep is not None:
        value = draw(stream(e.seed, Purpose.WEIGHTS, 1 << 22, layer), units, e.steps)
        effective(cell.keep, value)
        if cell.write is not None:
            effective(cell.write, -value)
    elif cell.forget is not None:
        effective(cell.forget, e.forget_bias)


def spectral_radius(w: np.ndarray) -> float:
    """ρ(W), the largest |eigenvalue|; NaN where W is not finite."""
    return float(np.abs(np.linalg.eigvals(w)).max()) if np.isfinite(w).all() else float("nan")


def sigma_max(w: np.ndarray) -> float:
    """σ_max(W), the largest singular value; NaN where W is not finite."""
    return float(np.linalg.norm(w, 2)) if np.isfinite(w).all() else float("nan")


class Radius(NamedTuple):
    """ρ and σ_max of one block of W_hh."""

    layer: int
    gate: str  # "" for all blocks together, (k·H, H), which has no eigenvalues: ρ is NaN where k > 1
    rho: float
    sigma: float


def radii(kind: str, state_dict: Mapping[str, np.ndarray]) -> tuple[Radius, ...]:
    """Of each layer, of each gate's block of W_hh and of all together. kind: a name of engine.cells.KINDS."""
    gates, found = KINDS[kind].gates, []
    for layer in range(sum(name.startswith("weight_hh_l") for name in state_dict)):
        whole = state_dict[f"weight_hh_l{layer}"]
        for gate, block in zip(gates, np.split(whole, len(gates) or 1), strict=False):
            found.append(Radius(layer, gate, spectral_radius(block), sigma_max(block)))
        found.append(Radius(layer, "", spectral_radius(whole) if not gates else float("nan"), sigma_max(whole)))
    return tuple(found)
