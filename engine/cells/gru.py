"""The gated recurrent unit (Cho et al. 2014, reset after the product as in torch.nn.GRU)."""

from typing import Any, NamedTuple

import numpy as np

from engine.cells.cell import Cell


class GRU(NamedTuple):
    """weight_ih (3H, I), weight_hh (3H, H), bias_ih (3H,), bias_hh (3H,); blocks r, z, n."""

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray
    bias_hh: np.ndarray


def step(m: Any, z: Any, state: Any) -> Any:
    """r, u = σ(z_r), σ(z_z);  n = φ(x_n + r h_n);  h' = (1 − u) n + u h.

    h_n = W_hn h + b_hn, and x_n = W_in x + b_in.
    """
    z_r, z_z, h_n, x_n = z
    (h,) = state
    r, u = m.sigmoid(z_r), m.sigmoid(z_z)
    n = m.phi(x_n + r * h_n)
    return ((1.0 - u) * n + u * h,), (r, u, n, h_n)


def pullback(m: Any, saved: Any, old: Any, new: Any, gradient: Any) -> Any:
    """dx_n = dh' (1 − u) φ';  dh_n = dx_n r;  dz_z = dh' (h − n) u(1 − u);  dz_r = dx_n h_n r(1 − r);  dh = dh' u."""
    r, u, n, h_n = saved
    (dh,) = gradient
    dx_n = dh * (1.0 - u) * m.slope(n)
    return (dx_n * h_n * (r * (1.0 - r)), dh * (old[0] - n) * (u * (1.0 - u)), dx_n * r, dx_n), (dh * u,)


CELL = Cell(
    label="GRU",
    meaning="An update gate z mixes the old state with a candidate: the gradient along h is multiplied by z, and more.",
    source="Cho et al. 2014; torch.nn.GRU (reset after the recurrent product)",
    gates=("r", "z", "n"),
    saved=("r", "z", "n", "h_n"),
    candidate=2,
    forget=None,
    keep=1,
    write=None,
    states=1,
    carries_h=True,
    weights=GRU,
    step=step,
    pullback=pullback,
    apart=True,
)
