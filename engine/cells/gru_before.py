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


def gated(m: Any, zx: Any, zh: Any, state: Any) -> Any:
    """a = r h with r = σ(zx + zh): what W_hn multiplies."""
    (h,) = state
    return m.sigmoid(zx[0] + zh[0]) * h


def step(m: Any, zx: Any, zh: Any, state: Any) -> Any:
    """r, z = σ(zx + zh);  n = φ(zx_n + zh_n), zh_n = W_hn (r h) + b_hn;  h' = (1 − z) n + z h."""
    (h,) = state
    r, z = m.sigmoid(zx[0] + zh[0]), m.sigmoid(zx[1] + zh[1])
    n = m.phi(zx[2] + zh[2])
    return ((1.0 - z) * n + z * h,), (r, z, n, r * h)


def pullback(m: Any, saved: Any, old: Any, new: Any, gradient: Any) -> Any:
    """dn = dh' (1 − z) φ';  dz = dh' (h − n) z(1 − z);  dh = dh' z + …;  dr has to wait for da = dn W_hn."""
    _, z, n, _ = saved
    (dh,) = gradient
    dz = (None, dh * (old[0] - n) * (z * (1.0 - z)), dh * (1.0 - z) * m.slope(n))
    return dz, dz, (dh * z,)


def gated_pullback(m: Any, saved: Any, old: Any, da: Any) -> Any:
    """dr = da h r(1 − r);  dh += da r."""
    r = saved[0]
    return da * old[0] * (r * (1.0 - r)), da * r


CELL = Cell(
    label="GRU, reset before",
    meaning="The reset gate r closes single units of h before they are mixed; the other form closes the mixtures.",
    source="Cho et al. 2014, eq. 5 to 8; Keras GRU(reset_after=False)",
    gates=("r", "z", "n"),
    saved=("r", "z", "n", "a"),
    candidate=2,
    forget=None,
    keep=1,
    write=None,
    states=1,
    one_dz=True,
    carries_h=True,
    weights=GRUBefore,
    step=step,
    pullback=pullback,
    gated=gated,
    gated_pullback=gated_pullback,
)
