"""Losses: value and gradient side by side.

outputs: (S, B, O) with S = T where the loss is read at every step, else S = 1. Each returns the loss and
∂loss/∂outputs (S, B, O); both are means, as in torch.nn.MSELoss and torch.nn.CrossEntropyLoss, times `share`: the
share of the sequences that are here, where others of the batch are elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine._jit import jit
from engine.matmul import flatten
from engine.pointwise import exponentials, multiply
from engine.rows import Row


@dataclass(frozen=True)
class Loss(Row):
    value_and_gradient: Callable[[np.ndarray, np.ndarray, float], tuple[float, np.ndarray]]


def mse(outputs: np.ndarray, targets: np.ndarray, share: float = 1.0) -> tuple[float, np.ndarray]:
    """L = mean (y − target)²; targets (S, B, O), or classes (S, B), which are compared one-hot."""
    if targets.dtype.kind == "i":
        one_hot = np.zeros_like(outputs)
        np.put_along_axis(one_hot, targets[..., None], 1, axis=2)
        targets = one_hot
    outputs, targets = np.ascontiguousarray(outputs), np.ascontiguousarray(targets)
    gradient = np.empty_like(outputs)
    return _mse(outputs, targets, share, gradient), gradient


@jit
def _mse(outputs, targets, share, gradient):
    """A kernel, because a small network's step takes no longer than ten NumPy calls."""
    y, target, g, total = flatten(outputs), flatten(targets), flatten(gradient), 0.0
    factor = y.dtype.type(2 * share / y.size)
    for i in range(y.size):
        error = y[i] - target[i]
        total += np.float64(error * error)
        g[i] = error * factor
    return total / y.size * share


def cross_entropy(outputs: np.ndarray, targets: np.ndarray, share: float = 1.0) -> tuple[float, np.ndarray]:
    """L = mean −log softmax(y)[target]; targets (S, B) classes. Raises ValueError where there is no such output."""
    outputs, targets = np.ascontiguousarray(outputs), np.ascontiguousarray(targets, np.int64)
    gradient = np.empty_like(outputs)
    return _cross_entropy(outputs, targets, share, gradient), gradient


@jit
def _cross_entropy(outputs, targets, share, gradient):
    """With m the largest output y: −log p = log Σ e^(y−m) − (y[target] − m), and ∂/∂y = p − [target]."""
    y, classes, g, total = flatten(outputs), flatten(targets), flatten(gradient), 0.0
    size, factor = outputs.shape[2], share / targets.size
    for k in range(classes.size):
        if not 0 <= classes[k] < size:
            raise ValueError("targets: a class for which there is no output; allowed: 0 … number of outputs − 1")
        start = k * size
        most, together = exponentials(y, g, start, size)
        at, per = start + classes[k], 1 / np.float64(together)
        chosen = g[at] * per - 1
        total += np.log(np.float64(together)) - np.float64(y[at] - most)
        multiply(g, start, size, per, factor)
        g[at] = chosen * factor
    return total * factor


LOSSES: dict[str, Loss] = {
    "mse": Loss("mean squared error", "The mean of (output − target)².", "torch.nn.MSELoss", mse),
    "cross_entropy": Loss(
        "cross-entropy", "The mean of −log p(target), in nats.", "torch.nn.CrossEntropyLoss", cross_entropy
    ),
}
