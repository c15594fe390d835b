"""One unit that feeds itself, a ← w tanh(a) + u: where it can rest, which of that it holds, how far back it feels.

A fixed point a* = w tanh(a*) + u is stable where its slope s = w sech²(a*) lies between −1 and 1. The same slope is
what a step back multiplies a gradient by: what holds a state forgets where it came from. w tanh(a) + u − a is monotone
between its two extremes ±arcosh √w (w > 1; elsewhere everywhere), so that each part has one fixed point or none.

Two of them hold a bit iff w > 1 and |u| < √(w (w−1)) − log(√w + √(w−1)): the latch (Bengio, Simard & Frasconi 1994).
"""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from engine.parameters import frozen

EDGE = 1e-9  # a slope (or |λ|) this close to 1 is neither stable nor unstable
HALVINGS = 64  # of an interval: to the last digit
SETTLING = 2000  # steps after which a cycle is read off
MOST_STEPS = 10_000


@dataclass(frozen=True, eq=False)
class Branches:
    """The fixed points for each of n pairs (w, u): one a part of the line, below, between and above the two extremes;
    NaN where a part has none. Where the whole line is one part it counts as that on the side of u. Read-only."""

    points: np.ndarray  # (n, 3) a*, ascending
    slopes: np.ndarray  # (n, 3) s = w sech²(a*)
    cycle: np.ndarray  # (n, 2) the two values between which it swings (w < −1 and no stable point); NaN: it does not

    @property
    def stable(self) -> np.ndarray:
        """(n, 3)"""
        return np.abs(self.slopes) < 1 - EDGE


@dataclass(frozen=True, eq=False)
class OneUnit:
    """The unit at one w and u, and a path from a_0."""

    w: float
    u: float
    points: np.ndarray  # (k,) fixed points, ascending; k = 1, 2 or 3
    slopes: np.ndarray  # (k,)
    cycle: np.ndarray  # (2,), or (0,) where it does not swing
    latch: float  # |u| below it: two stable points; NaN for w ≤ 1
    path: np.ndarray  # (steps+1,) a_0, a_1, …
    log10_gradient: np.ndarray  # (steps+1,) log10 |∂a_t/∂a_0|: 0, then the sum of the log slopes on the way

    @property
    def stable(self) -> np.ndarray:
        """(k,)"""
        return np.abs(self.slopes) < 1 - EDGE

    @property
    def reached(self) -> int | None:
        """The fixed point that the path has come to; None: none yet, or it swings."""
        near = np.abs(self.points - self.path[-1])
        return int(np.argmin(near)) if near.size and near.min() < 1e-3 * max(1.0, abs(self.w)) else None


def one_unit(w: float, u: float, start: float = 0.0, steps: int = 50) -> OneUnit:
    """Fixed points, latch, and the path from `start`.

    >>> import engine
    >>> unit = engine.one_unit(w=2.0, u=0.3, start=-1.0)
    >>> unit.points.round(3).tolist(), unit.stable.tolist()
    ([-1.516, -0.321, 2.257], [True, False, True])
    >>> round(unit.latch, 5), round(float(unit.path[-1]), 3)       # it holds its bit
    (0.53284, -1.516)
    """
    for name, value in (("w", w), ("u", u), ("start", start)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not isfinite(value):
            raise ValueError(f"{name}: {value!r}; allowed: finite numbers")
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps: {steps!r}; allowed: whole numbers from 1 to {MOST_STEPS}")
    found = one_unit_branches(w, u)
    there, swings = np.isfinite(found.points[0]), np.isfinite(found.cycle[0])
    path = np.empty(steps + 1)
    path[0] = start
    for t in range(steps):
        path[t + 1] = w * np.tanh(path[t]) + u
    slopes = np.concatenate([[1.0], _slope(w, path[:-1])])
    with np.errstate(divide="ignore"):
        gradient = np.cumsum(np.log10(np.abs(slopes)))
    return OneUnit(
        w=float(w), u=float(u), points=frozen(found.points[0][there]), slopes=frozen(found.slopes[0][there]),
        cycle=frozen(found.cycle[0][swings]), latch=float(latch(w)), path=frozen(path),
        log10_gradient=frozen(gradient),
    )  # fmt: skip


def latch(w: Any) -> np.ndarray:
    """√(w (w−1)) − log(√w + √(w−1)): a bit is held for |u| below it; NaN for w ≤ 1.

    >>> float(latch(2.0).round(5))
    0.53284
    """
    w = np.asarray(w, np.float64)
    with np.errstate(invalid="ignore"):
        held = np.sqrt(w * (w - 1)) - np.log(np.sqrt(w) + np.sqrt(w - 1))
    return np.where(w > 1, held, np.nan)


def one_unit_branches(w: Any, u: Any) -> Branches:
    """All fixed points for every pair of w and u, each (n,) or a number: the bifurcation diagram.

    >>> import engine
    >>> found = engine.one_unit_branches([0.5, 1.5], 0.0)          # one rest, then three: a pitchfork at w = 1
    >>> (found.points.round(3) + 0.0).tolist()
    [[nan, 0.0, nan], [-1.288, 0.0, 1.288]]
    """
    w, u = np.broadcast_arrays(np.atleast_1d(np.asarray(w, np.float64)), np.asarray(u, np.float64))
    if w.ndim != 1:
        raise ValueError(f"w, u: they make the shape {w.shape}; allowed: one axis")
    far = np.abs(w) + np.abs(u) + 1.0
    turn, one, side = np.arccosh(np.sqrt(np.maximum(w, 1.0))), w <= 1, np.sign(u)
    low = np.where(one, np.where(side < 0, far, -far), -turn)  # of the middle part: it is empty, or the whole line
    high = np.where(one, np.where(side > 0, -far, far), turn)
    points = np.stack([_root(w, u, *part) for part in ((-far, low), (low, high), (high, far))], axis=1)
    points[:, 1][(points[:, 1] == points[:, 0]) | (points[:, 1] == points[:, 2])] = np.nan  # two that meet are one
    slopes = _slope(w[:, None], points)
    return Branches(frozen(points), frozen(slopes), frozen(_cycle(w, u, slopes)))


def _slope(w: Any, a: np.ndarray) -> np.ndarray:
    """w sech²(a); sech² as 4e/(1+e)², e = exp(−2|a|), which keeps its digits where tanh is 1."""
    e = np.exp(-2 * np.abs(a))
    return w * 4 * e / (1 + e) ** 2


def _root(w: np.ndarray, u: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The zero of w tanh(a) + u − a in a part (low, high) where that is monotone; NaN where it does not change sign."""

    def rest(a: np.ndarray) -> np.ndarray:
        return w * np.tanh(a) + u - a

    first, last = rest(low), rest(high)
    crosses = (first <= 0) != (last <= 0)
    rises = last > first
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        below = (rest(middle) <= 0) == rises
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(crosses, 0.5 * (low + high), np.nan)


def _cycle(w: np.ndarray, u: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """(n, 2). For w < 0 the step is falling and two steps are rising: from far out they come down to the outermost
    cycle of two, and to nothing else but a fixed point."""
    swings = np.any(slopes < -1 - EDGE, axis=1, keepdims=True)
    a = np.abs(w) + np.abs(u)
    with np.errstate(invalid="ignore"):
        for _ in range(SETTLING if swings.any() else 0):
            a, before = w * np.tanh(a) + u, a
        pair = np.sort(np.stack([a, before], axis=1), axis=1) if swings.any() else np.full((len(w), 2), np.nan)
    return np.where(swings, pair, np.nan)
