"""Initial weights: one function and one row each.

`draw(rng, rows, cols, hidden_size)` gives one block, (rows, cols) float64. Recurrent blocks are (H, H), one a gate;
input blocks are (H, I). The experiment's `gain` multiplies the recurrent blocks afterwards, so that it scales the
same draw and a slider moves the picture smoothly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from engine.rows import Row

Draw = Callable[[np.random.Generator, int, int, int], np.ndarray]


@dataclass(frozen=True)
class Init(Row):
    draw: Draw  # for W_hh
    draw_input: Draw | None = None  # for W_ih, where that is another; None: draw
    whole: bool = False  # one draw over all gates, (k·H, cols), instead of one a gate
    bias: Callable[[np.random.Generator, int, int], np.ndarray] | None = None
    """(rng, hidden_size, steps) -> (H,) effective bias of the gate that keeps the state (f of the LSTM, z of the GRU);
    the LSTM's input gate gets its negative. None: 0, and the LSTM's forget gate as forget_bias says."""


def _pytorch(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return rng.uniform(-1, 1, (rows, cols)) / sqrt(hidden_size)


def _xavier_uniform(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return rng.uniform(-1, 1, (rows, cols)) * sqrt(6 / (rows + cols))


def _xavier_normal(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return rng.standard_normal((rows, cols)) * sqrt(2 / (rows + cols))


def _normal(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return rng.standard_normal((rows, cols)) / sqrt(cols)


def _orthogonal(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    tall = rng.standard_normal((max(rows, cols), min(rows, cols)))
    q, r = np.linalg.qr(tall)
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # unique signs make the draw uniform over the group (Mezzadri 2007)
    return q if rows >= cols else q.T


def _identity(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return np.eye(rows, cols)


INITS: dict[str, Init] = {
    "pytorch": Init(
        "PyTorch",
        "Uniform in ±1/√H, biases too: ρ(W_hh) tends to 1/√3 ≈ 0.577, so gradients vanish by construction.",
        "torch.nn.RNN, reset_parameters",
        _pytorch,
    ),
    "xavier_uniform": Init(
        "Xavier uniform", "Uniform with variance 2/(fan in + fan out).", "Glorot & Bengio 2010, eq. 16", _xavier_uniform
    ),
    "xavier_normal": Init(
        "Xavier normal", "Normal with variance 2/(fan in + fan out).", "Glorot & Bengio 2010, eq. 12", _xavier_normal
    ),
    "orthogonal": Init(
        "orthogonal",
        "A random rotation, one a gate: every singular value is the gain.",
        "Saxe, McClelland & Ganguli 2014",
        _orthogonal,
    ),
    "identity": Init("identity", "The unit matrix times the gain.", "Le, Jaitly & Hinton 2015 (IRNN)", _identity),
    "normal": Init(
        "normal, gain/√H",
        "Normal with standard deviation gain/√H: ρ(W_hh) tends to the gain.",
        "Sompolinsky, Crisanti & Sommers 1988",
        _normal,
    ),
}
