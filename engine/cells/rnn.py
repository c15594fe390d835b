"""The plain recurrent network (Elman 1990; torch.nn.RNN)."""

from typing import Any, NamedTuple

import numpy as np

from engine.cells.cell import Cell


class RNN(NamedTuple):
    """weight_ih (H, I), weight_hh (H, H), bias_ih (H,), bias_hh (H,)."""

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray
    bias_hh: np.ndarray


def step(m: Any, z: Any, state: Any) -> Any:
    """h' = φ(z)."""
    return (m.phi(z[0]),), ()


def pullback(m: Any, saved: Any, old: Any, new: Any, gradient: Any) -> Any:
    """dz = dh' φ'(z)."""
    return (gradient[0] * m.slope(new[0]),), (None,)


CELL = Cell(
    label="RNN",
    meaning="h' = φ(W_ih x + b_ih + W_hh h + b_hh): one product, one activation.",
    source="Elman 1990; torch.nn.RNN",
    gates=(),
    saved=(),
    candidate=0,
    forget=None,
    keep=None,
    write=None,
    states=1,
    carries_h=False,
    weights=RNN,
    step=step,
    pullback=pullback,
)
