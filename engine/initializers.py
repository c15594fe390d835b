"""Initial weights: one function and one row each.

`draw(rng, rows, cols, hidden_size)` gives one block, (rows, cols) float64. Recurrent blocks are (H, H), one a gate;
input blocks are (H, I); a `whole` row draws all k gates in one block of k·H rows. The experiment's `gain` multiplies
the recurrent blocks afterwards, so that it scales the same draw and a slider moves the picture smoothly.

"in" and "out" are the columns and the rows of what is drawn. W_hh is square: variance v/H gives ρ(W_hh) → √v × gain
(the circular law), whatever the shape of the distribution.
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
    spread: Callable[[int], float] | None = None
    """hidden_size -> variance of √H·W_hh at gain 1, where its entries are independent and their mean is 0: what the
    mean-field theory asks. None: they are not."""
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


def _kaiming_uniform(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return rng.uniform(-1, 1, (rows, cols)) * sqrt(6 / cols)


def _kaiming_normal(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return rng.standard_normal((rows, cols)) * sqrt(2 / cols)


def _standard_normal(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return rng.standard_normal((rows, cols))


def _small_normal(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return 0.01 * rng.standard_normal((rows, cols))


def _normal(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return rng.standard_normal((rows, cols)) / sqrt(cols)


def _orthogonal(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    tall = rng.standard_normal((max(rows, cols), min(rows, cols)))
    q, r = np.linalg.qr(tall)
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # unique signs make the draw uniform over the group (Mezzadri 2007)
    return q if rows >= cols else q.T


def _identity(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return np.eye(rows, cols)


def _zeros(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    return np.zeros((rows, cols))


def _sparse(rng: np.random.Generator, rows: int, cols: int, hidden_size: int) -> np.ndarray:
    """min(15, cols) normal numbers a row, the rest 0; scaled to ρ = 0.95, unless ρ is 0."""
    w, most = np.zeros((rows, cols)), min(15, cols)
    for row in w:
        row[rng.permutation(cols)[:most]] = rng.standard_normal(most)
    rho = np.abs(np.linalg.eigvals(w)).max()
    return w * (0.95 / rho) if rho > 0 else w


def _chrono_bias(rng: np.random.Generator, hidden_size: int, steps: int) -> np.ndarray:
    """log U(1, T_max − 1), T_max = steps: a gate with bias b forgets in about eᵇ steps. 0 where T < 3."""
    return np.log(rng.uniform(1, max(steps - 1, 1), hidden_size))


INITS: dict[str, Init] = {
    "pytorch": Init(
        "PyTorch",
        "Uniform in ±1/√H, biases too (but the forget bias, which is set by itself): ρ(W_hh) tends to 1/√3 ≈ 0.577, "
        "so gradients vanish by construction.",
        "torch.nn.RNN, reset_parameters",
        _pytorch,
        spread=lambda hidden_size: 1 / 3,
    ),
    "keras": Init(
        "Keras",
        "One orthogonal draw over all k gates together, so that no single gate is orthogonal: ρ of a gate's block is "
        "about 1/√k; input weights are Xavier uniform, biases 0.",
        "keras.layers.LSTM, GRU and SimpleRNN: glorot_uniform, orthogonal",
        _orthogonal,
        draw_input=_xavier_uniform,
        whole=True,
    ),
    "orthogonal": Init(
        "orthogonal",
        "A random rotation, one a gate: every singular value is the gain, so at gain 1 only the activation's slope "
        "can shrink a gradient.",
        "Saxe, McClelland & Ganguli 2014",
        _orthogonal,
    ),
    "normal": Init(
        "normal, gain/√H",
        "Normal with standard deviation gain/√H: ρ(W_hh) tends to the gain.",
        "Sompolinsky, Crisanti & Sommers 1988",
        _normal,
        spread=lambda hidden_size: 1.0,
    ),
    "identity": Init(
        "identity",
        "The unit matrix times the gain: at gain 1 an open relu hands its gradient back unchanged.",
        "Le, Jaitly & Hinton 2015 (IRNN)",
        _identity,
    ),
    "xavier_uniform": Init(
        "Xavier uniform",
        "Uniform with variance 2/(in + out), a middle between keeping signals and keeping gradients: "
        "ρ(W_hh) tends to the gain.",
        "Glorot & Bengio 2010, eq. 16",
        _xavier_uniform,
        spread=lambda hidden_size: 1.0,
    ),
    "xavier_normal": Init(
        "Xavier normal",
        "Normal with variance 2/(in + out): ρ(W_hh) tends to the gain, as with the uniform one.",
        "Glorot & Bengio 2010, eq. 12",
        _xavier_normal,
        spread=lambda hidden_size: 1.0,
    ),
    "kaiming_uniform": Init(
        "Kaiming uniform",
        "Uniform with variance 2/in, which makes up for relu's half of closed units: ρ(W_hh) tends to 1.41 × gain.",
        "He, Zhang, Ren & Sun 2015, eq. 10; torch.nn.init.kaiming_uniform_",
        _kaiming_uniform,
        spread=lambda hidden_size: 2.0,
    ),
    "kaiming_normal": Init(
        "Kaiming normal",
        "Normal with variance 2/in, which makes up for relu's half of closed units: ρ(W_hh) tends to 1.41 × gain.",
        "He, Zhang, Ren & Sun 2015, eq. 10; torch.nn.init.kaiming_normal_",
        _kaiming_normal,
        spread=lambda hidden_size: 2.0,
    ),
    "lecun_normal": Init(
        "LeCun normal",
        "Normal with variance 1/in, which keeps the size of a signal on its way forward: ρ(W_hh) tends to the gain.",
        "LeCun, Bottou, Orr & Müller 1998, §4.6",
        _normal,
        spread=lambda hidden_size: 1.0,
    ),
    "chrono": Init(
        "chrono",
        "Xavier uniform, and gates that keep for 1 to T steps, each unit for a time of its own: their biases are "
        "log U(1, T − 1), those of the LSTM's input gate the negative.",
        "Tallec & Ollivier 2018, §2",
        _xavier_uniform,
        spread=lambda hidden_size: 1.0,
        bias=_chrono_bias,
    ),
    "smart_tanh": Init(
        "smart tanh",
        "Each unit hears 15 units (or all, where there are fewer), scaled to ρ(W_hh) = 0.95 × gain, so that gradients "
        "fade slowly; input weights are small, N(0, 0.01²).",
        "Pascanu, Mikolov & Bengio 2013, and the authors' program",
        _sparse,
        draw_input=_small_normal,
    ),
    "standard_normal": Init(
        "N(0, gain²)",
        "Normal numbers times the gain, whatever the width: ρ(W_hh) is about gain × √H, so gradients explode "
        "or units saturate.",
        "numpy.random.randn, in many a tutorial",
        _standard_normal,
        spread=lambda hidden_size: float(hidden_size),
    ),
    "zeros": Init(
        "zeros",
        "All weights 0: a plain RNN sends no gradient back in time, LSTM and GRU only along their gates.",
        "torch.nn.init.zeros_",
        _zeros,
    ),
}
