"""One step of a cell, back to its weights: what ∂L/∂s' is at W_ih x + b_ih and W_hh h + b_hh, and at s.

All in float64, with the letters of jacobians.py: g (B, H) = ∂L/∂h', and gc (B, H) = ∂L/∂c' for the LSTM. The gradient
is linear in them, so that a sequence may carry an exponent of its own.
"""

from typing import NamedTuple

import numpy as np

from engine.instruments.jacobians import Array, State, Weights, of_gru


class Pulled(NamedTuple):
    """B sequences, k gates, H units. ∂L/∂W_hh of this step is Σ_b d_hh[b] ⊗ h[b], but for the rows of the last gate
    where that multiplies something else than h: there Σ_b d_hh[b] ⊗ through[b]."""

    d_ih: Array  # (B, kH)
    d_hh: Array  # (B, kH)
    before: Array  # (B, H) h
    through: Array  # (B, H) h, or what the last block multiplies
    h: Array  # (B, H) ∂L/∂h
    c: Array | None  # (B, H) ∂L/∂c


def rnn(w: Weights, s: State, g: Array, gc: Array | None) -> Pulled:
    """dz = g ⊙ φ'."""
    dz = g * w.slope(s.new_h)
    return Pulled(dz, dz, s.h, s.h, dz @ w.hh[0], None)


def lstm(w: Weights, s: State, g: Array, gc: Array | None) -> Pulled:
    """∂L/∂c' = gc + g o (1 − tanh² c'); from there into i, f, g, o."""
    i, f, n, o = (s.gates[name] for name in "ifgo")
    assert gc is not None
    assert s.c is not None
    assert s.new_c is not None
    tanh_c = np.tanh(s.new_c)
    dc = gc + g * o * (1 - tanh_c * tanh_c)
    parts = (dc * n * i * (1 - i), dc * s.c * f * (1 - f), dc * i * w.slope(n), g * tanh_c * o * (1 - o))
    dz = np.concatenate(parts, axis=1)
    return Pulled(dz, dz, s.h, s.h, dz @ np.concatenate(w.hh), dc * f)


def gru(w: Weights, s: State, g: Array, gc: Array | None) -> Pulled:
    """n's block of W_hh h is behind r; that of W_ih x is not."""
    of_r, of_z, of_n = of_gru(w, s)
    d_ih = np.concatenate([g * of_r, g * of_z, g * of_n], axis=1)
    d_hh = np.concatenate([g * of_r, g * of_z, g * of_n * s.gates["r"]], axis=1)
    return Pulled(d_ih, d_hh, s.h, s.h, d_hh @ np.concatenate(w.hh) + g * s.gates["z"], None)


def gru_before(w: Weights, s: State, g: Array, gc: Array | None) -> Pulled:
    """n's block of W_hh multiplies r h."""
    r, z, n = (s.gates[name] for name in "rzn")
    dn = g * (1 - z) * w.slope(n)
    back = dn @ w.hh[2]  # ∂L/∂(r h)
    dr, dz = back * s.h * r * (1 - r), g * (s.h - n) * z * (1 - z)
    d = np.concatenate([dr, dz, dn], axis=1)
    return Pulled(d, d, s.h, r * s.h, dr @ w.hh[0] + dz @ w.hh[1] + back * r + g * z, None)


PULLBACKS = {"rnn": rnn, "lstm": lstm, "gru": gru, "gru_before": gru_before}
