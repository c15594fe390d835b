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


def step(m: Any, zx: Any, zh: Any, state: Any) -> Any:
    """h' = φ(zx + zh)."""
    return (m.phi(zx[0] + zh[0]),), ()


def pullback(m: Any, saved: Any, old: Any, new: Any, gradient: Any) -> Any:
    """dz = dh' φ'(z)."""
    dz = (gradient[0] * m.slope(new[0]),)
    return dz, dz, (None,)


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
    one_dz=True,
    carries_h=False,
    weights=RNN,
    step=step,
    pullback=pullback,
)
