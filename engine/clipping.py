"""Gradient clipping: one kernel and one row each. Each works in place on the gradient of ALL parameters, (n,)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine._jit import jit
from engine.matmul import once
from engine.rows import Row


@dataclass(frozen=True)
class Clip(Row):
    apply: Callable[[np.ndarray, np.ndarray, float, float], float] | None
    """(gradient, where in it each tensor starts and the last one ends, its norm, threshold) -> norm after; in place"""


@jit
def global_norm(gradient):
    """‖g‖₂ over all parameters, accumulated in float64; scaled where the squares would leave the range of float64.

    np.float64, because float() of a float32 stays one in Numba. Four sums: an addition need not wait for the last one.
    """
    once()
    first, second, third, total = 0.0, 0.0, 0.0, 0.0
    rest = gradient.size % 4
    for i in range(0, gradient.size - rest, 4):
        a, b, c, d = (
            np.float64(gradient[i]),
            np.float64(gradient[i + 1]),
            np.float64(gradient[i + 2]),
            np.float64(gradient[i + 3]),
        )
        first += a * a
        second += b * b
        third += c * c
        total += d * d
    for i in range(gradient.size - rest, gradient.size):
        a = np.float64(gradient[i])
        total += a * a
    total += first + second + third
    if 1e-200 < total < 1e200:
        return np.sqrt(total)
    largest = 0.0
    for i in range(gradient.size):
        size = abs(np.float64(gradient[i]))
        if not np.isfinite(size):
            return size
        largest = max(largest, size)
    if largest == 0.0:
        return largest
    factor = 2.0**700 if largest < 1 else 2.0**-700
    total = 0.0
    for i in range(gradient.size):
        part = np.float64(gradient[i]) * factor
        total += part * part
    return np.sqrt(total) / factor


@jit
def clip_norm(gradient, starts, norm, threshold):
    """g ← g · min(1, c/(‖g‖ + 1e-6))."""
    factor = gradient.dtype.type(min(1.0, threshold / (norm + 1e-6)))
    if not factor < 1:  # NaN too
        return norm
    for i in range(gradient.size):
        gradient[i] *= factor
    return global_norm(gradient)


@jit
def clip_value(gradient, starts, norm, threshold):
    """gᵢ ← min(max(gᵢ, −c), c); NaN stays NaN."""
    top = gradient.dtype.type(threshold)
    for i in range(gradient.size):
        if gradient[i] > top:
            gradient[i] = top
        elif gradient[i] < -top:
            gradient[i] = -top
    return global_norm(gradient)


@jit
def clip_param_norm(gradient, starts, norm, threshold):
    """g ← g · c/max(‖g‖, c), each tensor by itself."""
    for k in range(starts.size - 1):
        tensor = gradient[starts[k] : starts[k + 1]]
        size = global_norm(tensor)
        if size > threshold:
            for i in range(tensor.size):  # g/‖g‖ first, in float64: c/‖g‖ may leave the range of the type
                tensor[i] = np.float64(tensor[i]) / size * threshold
    return global_norm(gradient)


@jit
def clip_unit(gradient, starts, norm, threshold):
    """gᵢ ← gᵢ/max(|gᵢ|, ε); NaN stays NaN."""
    epsilon = np.float64(threshold)  # a small ε is 0 in float32
    for i in range(gradient.size):
        g = np.float64(gradient[i])
        size = abs(g)
        gradient[i] = g / (size if size > epsilon else epsilon)
    return global_norm(gradient)


CLIPS: dict[str, Clip] = {
    "none": Clip("off", "The gradient is used as it is.", "", None),
    "norm": Clip(
        "norm",
        "A gradient longer than the threshold is shortened to it: the direction stays, the size is lost.",
        "Pascanu, Mikolov & Bengio 2013, algorithm 1; torch.nn.utils.clip_grad_norm_",
        clip_norm,
    ),
    "param_norm": Clip(
        "norm each",
        "Each weight matrix or bias longer than the threshold is shortened to it by itself: each keeps its direction, "
        "their sizes against each other are lost, and so is the direction of the whole.",
        "Keras, clipnorm of an optimizer",
        clip_param_norm,
    ),
    "value": Clip(
        "value",
        "Each component is limited to ± the threshold: the signs stay, the direction changes.",
        "Mikolov 2012; torch.nn.utils.clip_grad_value_",
        clip_value,
    ),
    "unit": Clip(
        "unit",
        "Each component is divided by its own size, or by the threshold where it is smaller than that: the signs stay, "
        "every larger component becomes ±1, and the size and the direction are lost.",
        "g/max(|g|, ε), ε the threshold; with ε → 0 signSGD, Bernstein et al. 2018",
        clip_unit,
    ),
}
