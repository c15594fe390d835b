"""The gated recurrent unit as first published (Cho et al. 2014, eq. 5 to 8): reset before the product."""

from typing import Any, NamedTuple

import numpy as np

from engine.cells.cell import Cell


class GRUBefore(NamedTuple):
    """weight_ih (3H, I), weight_hh (3H, H), bias_ih (3H,), bias_hh (3H,); blocks r, z, n. b_ih and b_hh only add up."""

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray
    bias_hh: np.ndarray


def gated(m: Any, z: Any, state: Any) -> Any:
    """a = r h with r = σ(z_r): what W_hn multiplies."""
    (h,) = state
    return m.sigmoid(z[0]) * h


def step(m: Any, z: Any, state: Any) -> Any:
    """r, u = σ(z_r), σ(z_z);  n = φ(z_n), z_n = W_in x + b_in + W_hn (r h) + b_hn;  h' = (1 − u) n + u h."""
    (h,) = state
    r, u, n = m.sigmoid(z[0]), m.sigmoid(z[1]), m.phi(z[2])
    return ((1.0 - u) * n + u * h,), (r, u, n)


def pullback(m: Any, saved: Any, old: Any, new: Any, gradient: Any) -> Any:
    """dz_n = dh' (1 − u) φ';  dz_z = dh' (h − n) u(1 − u);  dh = dh' u + …;  dz_r has to wait for da = dz_n W_hn."""
    _, u, n = saved
    (dh,) = gradient
    return (None, dh * (old[0] - n) * (u * (1.0 - u)), dh * (1.0 - u) * m.slope(n)), (dh * u,)


def gated_pullback(m: Any, saved: Any, old: Any, da: Any) -> Any:
    """dz_r = da h r(1 − r);  dh += da r."""
    r = saved[0]
    return da * old[0] * (r * (1.0 - r)), da * r


CELL = Cell(
    label="GRU, reset before",
    meaning="The reset gate r closes single units of h before they are mixed; the other form closes the mixtures.",
    source="Cho et al. 2014, eq. 5 to 8; Keras GRU(reset_after=False)",
    gates=("r", "z", "n"),
    saved=("r", "z", "n"),
    candidate=2,
    forget=None,
    keep=1,
    write=None,
    states=1,
    carries_h=True,
    weights=GRUBefore,
    step=step,
    pullback=pullback,
    gated=gated,
    gated_pullback=gated_pullback,
)
