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
    """L = mean −log softmax(y)[target]; targets (S, B) classes."""
    with np.errstate(all="ignore"):
        shifted = outputs - outputs.max(axis=2, keepdims=True)
        exponent = np.exp(shifted)
        total = exponent.sum(axis=2, keepdims=True)
        chosen = np.take_along_axis(shifted - np.log(total), targets[..., None], axis=2)
        gradient = exponent / total
    np.put_along_axis(
        gradient, targets[..., None], np.take_along_axis(gradient, targets[..., None], axis=2) - 1, axis=2
    )
    gradient *= outputs.dtype.type(share / targets.size)
    return float(-np.mean(chosen)) * share, gradient


LOSSES: dict[str, Loss] = {
    "mse": Loss("mean squared error", "The mean of (output − target)².", "torch.nn.MSELoss", mse),
    "cross_entropy": Loss(
        "cross-entropy", "The mean of −log p(target), in nats.", "torch.nn.CrossEntropyLoss", cross_entropy
    ),
}
