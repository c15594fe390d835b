"""Activations: a function and its derivative side by side, one row each.

`value(m, x)` is φ(x), `slope(m, y)` is φ′ as a function of y = φ(x), so that nothing but y has to be kept. `m` is the
vector language (engine/_vec.py) or a NumPy namespace.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.rows import Row

Rule = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Activation(Row):
    value: Rule
    slope: Rule


ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation(
        "tanh",
        "Between −1 and 1; slope 1 at 0, vanishing where it saturates.",
        "torch.tanh",
        lambda m, x: m.tanh(x),
        lambda m, y: 1.0 - y * y,
    ),
    "relu": Activation(
        "ReLU",
        "max(x, 0): slope 1 or 0, no bound.",
        "Nair & Hinton 2010; torch.relu",
        lambda m, x: m.where(x < 0.0, 0.0, x),
        lambda m, y: m.where(y > 0.0, 1.0, y * 0.0),
    ),
    "sigmoid": Activation(
        "sigmoid",
        "Between 0 and 1; slope at most ¼.",
        "torch.sigmoid",
        lambda m, x: m.sigmoid(x),
        lambda m, y: y * (1.0 - y),
    ),
    "identity": Activation(
        "linear", "φ(x) = x: a linear network.", "torch.nn.Identity", lambda m, x: x, lambda m, y: y * 0.0 + 1.0
    ),
    "leaky_relu": Activation(
        "leaky ReLU",
        "x, or 0.01 x below 0.",
        "Maas, Hannun & Ng 2013; torch.nn.LeakyReLU",
        lambda m, x: m.where(x < 0.0, x * 0.01, x),
        lambda m, y: m.where(y > 0.0, 1.0, y * 0.0 + 0.01),
    ),
    "elu": Activation(
        "ELU",
        "x, or eˣ − 1 below 0.",
        "Clevert, Unterthiner & Hochreiter 2016; torch.nn.ELU",
        lambda m, x: m.where(x < 0.0, m.expm1(x), x),
        lambda m, y: m.where(y > 0.0, 1.0, y + 1.0),  # of y near −1 (x below −16; −7 in float32) few digits are left
    ),
    "softsign": Activation(
        "softsign",
        "x/(1 + |x|): like tanh, but saturating slowly.",
        "Turian, Bergstra & Bengio 2009; torch.nn.Softsign",
        lambda m, x: x / (m.abs(x) + 1.0),
        lambda m, y: (1.0 - m.abs(y)) * (1.0 - m.abs(y)),
    ),
    "hardtanh": Activation(
        "hardtanh",
        "x, cut off at −1 and 1.",
        "torch.nn.Hardtanh",
        lambda m, x: m.where(x > 1.0, 1.0, m.where(x < -1.0, -1.0, x)),
        lambda m, y: m.where(m.abs(y) < 1.0, 1.0, y * 0.0),
    ),
}
NUMBERS: dict[str, int] = {name: number for number, name in enumerate(ACTIVATIONS)}  # what the kernels switch on
