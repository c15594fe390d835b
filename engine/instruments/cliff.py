"""The wall in the error surface of one unit, and what gradient descent does there (Pascanu et al. 2013, fig. 6).

x_t = w σ(x_{t−1}) + b, x_0 = 0.5, E = (σ(x_T) − 0.7)², T = 50. Back through time δ_T = ∂E/∂x_T and
δ_{t−1} = δ_t w σ'(x_{t−1}), so ∂E/∂w = Σ δ_t σ(x_{t−1}) and ∂E/∂b = Σ δ_t.

The wall stands where x_0 is a fixed point that repels: b = x_0 − σ(x_0) w with w σ'(x_0) > 1. On its two sides the
state goes different ways, and on it a gradient grows by w σ' at every step back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, hypot, isfinite
from typing import Any

import numpy as np

from engine.instruments.jacobians import sigmoid
from engine.parameters import frozen

STEPS, START, TARGET = 50, 0.5, 0.7  # the figure's
EPSILON = 1e-6  # in the coefficient of norm clipping, as everywhere
MOST_STEPS = 10_000


@dataclass(frozen=True, eq=False)
class Cliff:
    """The surface over a grid: b along the rows, w along the columns. Read-only float64."""

    w: np.ndarray  # (n,)
    b: np.ndarray  # (m,)
    error: np.ndarray  # (m, n) E
    grad_w: np.ndarray  # (m, n) ∂E/∂w
    grad_b: np.ndarray  # (m, n) ∂E/∂b

    @property
    def log10_norms(self) -> np.ndarray:
        """(m, n) log10 ‖∇E‖."""
        with np.errstate(divide="ignore"):
            return np.log10(np.hypot(self.grad_w, self.grad_b))


@dataclass(frozen=True, eq=False)
class Descent:
    """A path of gradient descent: where it was before step 0, 1, … n. NaN from where a number was lost."""

    w: np.ndarray  # (n+1,)
    b: np.ndarray  # (n+1,)
    error: np.ndarray  # (n+1,) E there
    norms: np.ndarray  # (n+1,) ‖∇E‖ there, before clipping
    applied: np.ndarray  # (n+1,) the same after clipping: lr times it is the length of the step
    clip_threshold: float | None

    def left(self, w_span: tuple[float, float], b_span: tuple[float, float]) -> int | None:
        """The first step after which the path is outside of a window (or not a number); None: it stays."""
        inside = (self.w >= w_span[0]) & (self.w <= w_span[1]) & (self.b >= b_span[0]) & (self.b <= b_span[1])
        return None if inside.all() else int(np.argmin(inside))

    def draped(
        self, w_span: tuple[float, float], b_span: tuple[float, float], per: int = 12
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
        """w, b, E: (n · per + 1,) points of the straight lines between the steps, each `per` pieces long where it lies
        in the window, and how high the true surface is there. NaN outside."""
        p, q = np.stack([self.w, self.b])[:, :-1], np.stack([self.w, self.b])[:, 1:]
        low, high = np.array([w_span, b_span]).T[:, :, None]
        with np.errstate(all="ignore"):  # p + s (q − p) is inside for s between enter and leave (Liang & Barsky 1984)
            ends = np.stack([(low - p) / (q - p), (high - p) / (q - p)])
            ends = np.where((q == p) & (p >= low) & (p <= high), np.array([-np.inf, np.inf])[:, None, None], ends)
            enter, leave = np.maximum(ends.min(axis=0).max(axis=0), 0.0), np.minimum(ends.max(axis=0).min(axis=0), 1.0)
            share = enter + (leave - enter) * np.linspace(0, 1, per, endpoint=False)[:, None]
            path = np.where(enter <= leave, p[:, None] + share * (q - p)[:, None], np.nan)
            path = np.concatenate([path.transpose(0, 2, 1).reshape(2, -1), _inside(q[:, -1:], low, high)], axis=1)
            return path[0], path[1], _sweep(path[0], path[1], sigmoid)[0]


def _inside(point: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.where(((point >= low) & (point <= high)).all(axis=0), point, np.nan)


def cliff(w: Any, b: Any) -> Cliff:
    """The error and its exact gradient for every w (n,) and b (m,), after 50 steps from x_0 = 0.5, for the target 0.7.

    >>> import engine, numpy as np
    >>> surface = engine.cliff(np.linspace(4, 6, 3), [-2.61, -2.62])
    >>> surface.error.shape, surface.error[:, 1].round(2).tolist()      # the wall at w = 5 stands at b = −2.6123
    ((2, 3), [0.01, 0.34])
    """
    w, b = np.atleast_1d(np.asarray(w, np.float64)), np.atleast_1d(np.asarray(b, np.float64))
    if w.ndim != 1 or b.ndim != 1:
        raise ValueError(f"w, b: shapes {w.shape} and {b.shape}; allowed: one axis each")
    with np.errstate(all="ignore"):
        found = _sweep(w + 0.0 * b[:, None], b[:, None] + 0.0 * w, sigmoid)
    return Cliff(*(frozen(x) for x in (w.copy(), b.copy(), *found)))


def wall(w: Any) -> np.ndarray:
    """Where the wall stands: b for each w; NaN where x_0 does not repel, and there is none: w < 1/σ'(x_0) = 4.2553.

    >>> wall([4.0, 5.0]).round(4)
    array([    nan, -2.6123])
    """
    s, w = _sigmoid(START), np.asarray(w, np.float64)
    return np.where(w * s * (1 - s) > 1, START - s * w, np.nan)


def descend(w: float, b: float, lr: float, clip_threshold: float | None = None, steps: int = 100) -> Descent:
    """Plain gradient descent on that surface from (w, b), the gradient's norm cut to `clip_threshold` (None: not).

    >>> import engine
    >>> float(engine.descend(5.5, -2.6, lr=0.5).w[-1].round())                         # thrown off by the wall
    1442.0
    >>> float(engine.descend(5.5, -2.6, lr=0.5, clip_threshold=0.1).w[-1].round(1))   # along it, and down
    4.3
    """
    _check_steps(steps)
    _check_numbers(w=w, b=b, lr=lr)
    if lr <= 0:
        raise ValueError(f"lr: {lr!r}; allowed: above 0")
    if clip_threshold is not None:
        _check_numbers(clip_threshold=clip_threshold)
    w, b, lr = float(w), float(b), float(lr)
    if clip_threshold is not None and not clip_threshold > 0:
        raise ValueError(f"clip_threshold: {clip_threshold!r}; allowed: None, or above 0")
    rows = []
    for _ in range(steps + 1):
        error, gw, gb = _sweep(w, b, _sigmoid)
        norm = hypot(gw, gb)
        keep = 1.0 if clip_threshold is None else min(1.0, clip_threshold / (norm + EPSILON))
        rows.append((w, b, error, norm, keep * norm))
        w, b = w - lr * keep * gw, b - lr * keep * gb
    path = [frozen(column.copy()) for column in np.array(rows, np.float64).T]
    return Descent(path[0], path[1], path[2], path[3], path[4], clip_threshold)


def _sweep(w: Any, b: Any, sigmoid: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    """E, ∂E/∂w, ∂E/∂b of numbers, or of arrays of one shape. (A path is one point at a time, and Python's own numbers
    are ten times faster at that than arrays.)"""
    kept, x = [], START + 0.0 * w
    for _ in range(STEPS):
        s = sigmoid(x)
        kept.append(s)
        x = w * s + b
    s = sigmoid(x)
    delta, grad_w, grad_b = 2 * (s - TARGET) * s * (1 - s), 0.0, 0.0
    for s in reversed(kept):
        grad_w, grad_b = grad_w + delta * s, grad_b + delta
        delta = delta * w * s * (1 - s)
    return (sigmoid(x) - TARGET) ** 2, grad_w, grad_b


def _sigmoid(x: float) -> float:
    """σ of a Python number, NaN of NaN."""
    e = exp(-abs(x))
    return (1.0 if x >= 0 else e) / (1.0 + e)


def _check_steps(steps: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps: {steps!r}; allowed: whole numbers from 1 to {MOST_STEPS}")


def _check_numbers(**values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not isfinite(value):
            raise ValueError(f"{name}: {value!r}; allowed: finite numbers")
