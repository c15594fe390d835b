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


def step(m: Any, zx: Any, zh: Any, state: Any) -> Any:
    """r, z = σ(zx + zh);  n = φ(zx_n + r zh_n);  h' = (1 − z) n + z h."""
    (h,) = state
    r, z = m.sigmoid(zx[0] + zh[0]), m.sigmoid(zx[1] + zh[1])
    n = m.phi(zx[2] + r * zh[2])
    return ((1.0 - z) * n + z * h,), (r, z, n, zh[2])


def pullback(m: Any, saved: Any, old: Any, new: Any, gradient: Any) -> Any:
    """dn = dh' (1 − z) φ';  dz = dh' (h − n) z(1 − z);  dr = dn zh_n r(1 − r);  dzh_n = dn r;  dh = dh' z + …"""
    r, z, n, zh_n = saved
    (dh,) = gradient
    dn = dh * (1.0 - z) * m.slope(n)
    dz = dh * (old[0] - n) * (z * (1.0 - z))
    dr = dn * zh_n * (r * (1.0 - r))
    return (dr, dz, dn), (dr, dz, dn * r), (dh * z,)


CELL = Cell(
    label="GRU",
    meaning="An update gate z mixes the old state with a candidate: the gradient along h is multiplied by z, and more.",
    source="Cho et al. 2014; torch.nn.GRU (reset after the recurrent product)",
    gates=("r", "z", "n"),
    saved=("r", "z", "n", "zh_n"),
    candidate=2,
    forget=None,
    keep=1,
    write=None,
    states=1,
    one_dz=False,
    carries_h=True,
    weights=GRU,
    step=step,
    pullback=pullback,
)
