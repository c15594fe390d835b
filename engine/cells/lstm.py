"""Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000; torch.nn.LSTM)."""

from typing import Any, NamedTuple

import numpy as np

from engine.cells.cell import Cell


class LSTM(NamedTuple):
    """weight_ih (4H, I), weight_hh (4H, H), bias_ih (4H,), bias_hh (4H,); blocks i, f, g, o."""

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray
    bias_hh: np.ndarray


def step(m: Any, z: Any, state: Any) -> Any:
    """i, f, o = σ(z_i), σ(z_f), σ(z_o);  g = φ(z_g);  c' = f c + i g;  h' = o tanh(c')."""
    _, c = state
    i, f, g, o = m.sigmoid(z[0]), m.sigmoid(z[1]), m.phi(z[2]), m.sigmoid(z[3])
    c = f * c + i * g
    tanh_c = m.tanh(c)
    return (o * tanh_c, c), (i, f, g, o, tanh_c)


def pullback(m: Any, saved: Any, old: Any, new: Any, gradient: Any) -> Any:
    """dc' += dh' o (1 − tanh² c'); di = dc' g, df = dc' c, dg = dc' i, do = dh' tanh c', each · slope; dc = dc' f."""
    i, f, g, o, tanh_c = saved
    dh, dc = gradient
    dc = dh * o * (1.0 - tanh_c * tanh_c) + dc
    dz = (dc * g * (i * (1.0 - i)), dc * old[1] * (f * (1.0 - f)), dc * i * m.slope(g), dh * tanh_c * (o * (1.0 - o)))
    return dz, (None, dc * f)


CELL = Cell(
    label="LSTM",
    meaning="A memory c that gates write, keep and read: the gradient along c is multiplied by the forget gate only.",
    source="Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000; torch.nn.LSTM",
    gates=("i", "f", "g", "o"),
    saved=("i", "f", "g", "o", "tanh_c"),
    candidate=2,
    forget=1,
    keep=1,
    write=0,
    states=2,
    carries_h=False,
    weights=LSTM,
    step=step,
    pullback=pullback,
)
