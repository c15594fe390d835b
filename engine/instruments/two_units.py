"""Two units, h ← φ(W h + b): the whole plane of their states. Where does it rest, what is drawn there, and what does a
gradient feel on the way?

At a fixed point the Jacobian J = [φ'] W says what a step does to a small difference, and J^T to a gradient on its way
back: it is stable where both |λ| < 1. Fixed points are sought in z = W φ(z) + b by Newton's method from a grid: where φ
saturates z is a constant, and one step is enough. A state belongs to the basin of the stable point that it comes to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log
from typing import Any

import numpy as np

from engine.activations import ACTIVATIONS
from engine.instruments.jacobians import NUMPY
from engine.instruments.one_unit import EDGE
from engine.parameters import frozen

WANDERS, LEAVES = -1, -2  # labels of states that come to no stable point: a cycle, or still on the way; to infinity
SEEDS, NEWTON = 25, 60  # Newton's method from a grid of SEEDS², at most so many steps
SAME = 1e-6  # fixed points closer than this (relative to z) are one
MOST_POINTS = 9  # of two units with a sigmoid φ; more than these fill a line, or an area
LATTICE = 9  # trajectories from LATTICE² starts
ARRIVED = 1e-4  # this close to a stable point (relative to 1 + |h|), or a hundredth of the way to the next, it stays
FEWEST, MOST, MOST_STEPS = 300, 3000, 10_000  # steps until a state that has not arrived is given up; of a path
PATIENT, FAR = 1000, 1e6  # fewest steps where φ has no bounds: until a state that grows by 1.4 % a step is far
SPAN = 3.0  # of the plane that is looked at, where φ has no bounds
SPANS = {"tanh": (-1.0, 1.0), "softsign": (-1.0, 1.0), "hardtanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
Array = np.ndarray


@dataclass(frozen=True, eq=False)
class TwoUnits:
    """k fixed points, a plane of n × n starts (h_2 along the rows, h_1 along the columns), and a path. Read-only."""

    weight: Array  # (2, 2) W
    bias: Array  # (2,) b
    nonlinearity: str
    filled: bool  # fixed points fill a line or an area (W = 1 and φ linear there); those are not among
    points: Array  # (k, 2) h*
    eigenvalues: Array  # (k, 2) complex λ of J at each, the larger |λ| first
    axis: Array  # (n,) the h_1 (and the h_2) of the starts
    basins: Array  # (n, n) int16: the number of the point that each start comes to; WANDERS or LEAVES
    log10_gradient: Array  # (n, n) log10 ‖∂h_T/∂h_0‖₂ after T = steps
    flights: Array  # (steps+1, m, 2) from a coarse lattice of m starts
    path: Array  # (steps+1, 2) from the chosen start
    path_gradient: Array  # (steps+1,) log10 ‖∂h_t/∂h_0‖₂ along it: 0 at first

    @property
    def radii(self) -> Array:
        """(k,) the larger |λ| of each point."""
        return np.abs(self.eigenvalues[:, 0])

    @property
    def kinds(self) -> list[str]:
        """Of each point: "stable", "saddle", "unstable", or "edge" where a |λ| is 1."""
        sizes = np.abs(self.eigenvalues)
        return [
            "edge" if (np.abs(size - 1) <= EDGE).any() else ("stable", "saddle", "unstable")[int((size > 1).sum())]
            for size in sizes
        ]


def two_units(
    weight: Any, bias: Any = (0.0, 0.0), nonlinearity: str = "tanh", *, start: Any = (0.5, -0.25), steps: int = 50,
    size: int = 80,
) -> TwoUnits:  # fmt: skip
    """Fixed points, basins and gradients of a network with weight W (2, 2) and bias b (2,).

    W and b may hold what a lost run left, NaN or infinity: then there is no fixed point, and the rest is NaN.

    >>> import engine
    >>> two = engine.two_units([[2, 0], [0, 2]])                   # two latches beside each other
    >>> two.kinds.count("stable"), two.kinds.count("saddle"), two.kinds.count("unstable")
    (4, 4, 1)
    >>> two.points[two.basins[-1, -1]].round(3).tolist()           # the right upper corner holds (1, 1)
    [0.958, 0.958]
    """
    w, b, h = (_numbers(*given) for given in (("weight", weight, (2, 2)), ("bias", bias, (2,)), ("start", start, (2,))))
    if nonlinearity not in ACTIVATIONS:
        raise ValueError(f"nonlinearity: {nonlinearity!r}; allowed: {', '.join(ACTIVATIONS)}")
    for name, value, least, most in (("steps", steps, 1, MOST_STEPS), ("size", size, 2, 401)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
            raise ValueError(f"{name}: {value!r}; allowed: whole numbers from {least} to {most}")
    f = _Map(w, b, nonlinearity)
    axis = np.linspace(*SPANS.get(nonlinearity, (-SPAN, SPAN)), size)
    coarse = axis[0] + (axis[-1] - axis[0]) * (np.arange(LATTICE) + 0.5) / LATTICE
    with np.errstate(all="ignore"):
        points, filled = _fixed_points(f)
        eigenvalues = np.array([_eigenvalues(f.jacobian(p)) for p in points], np.complex128).reshape(-1, 2)
        basins = _basins(f, points, np.abs(eigenvalues[:, 0]), _plane(axis))
        gradient = _gradients(f, _plane(axis), steps)[1][-1]
        paths, path_gradient = _gradients(f, np.concatenate([h[:, None], _plane(coarse)], axis=1), steps)
    found = (
        eigenvalues, axis, basins.reshape(size, size), gradient.reshape(size, size),
        paths[:, :, 1:].transpose(0, 2, 1).copy(), paths[:, :, 0].copy(), path_gradient[:, 0].copy(),
    )  # fmt: skip
    return TwoUnits(frozen(w), frozen(b), nonlinearity, filled, frozen(points), *(frozen(x) for x in found))


def _plane(axis: Array) -> Array:
    """(2, n²) all pairs, h_1 running fastest."""
    return np.stack(np.meshgrid(axis, axis)).reshape(2, -1)


def _sech2(z: Array) -> Array:
    e = np.exp(-2 * np.abs(z))
    return 4 * e / (1 + e) ** 2


def _sigmoid_slope(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return e / (1 + e) ** 2


# φ'(z) where φ(z) no longer has the digits to tell it from: 1 − tanh² and 1 + elu end where φ is ±1 in floating point
SLOPES: dict[str, Callable[[Array], Array]] = {
    "tanh": _sech2, "sigmoid": _sigmoid_slope, "elu": lambda z: np.exp(np.minimum(z, 0.0))
}  # fmt: skip


class _Map:
    """h ← φ(z), z = W h + b, of n states (2, n), and φ'(z)."""

    def __init__(self, w: Array, b: Array, nonlinearity: str) -> None:
        row = ACTIVATIONS[nonlinearity]
        self.w, self.b, self.bounded = w, b, nonlinearity in SPANS
        self.value: Callable[[Array], Array] = lambda z: row.value(NUMPY, z)
        self.slope = SLOPES.get(nonlinearity, lambda z: row.slope(NUMPY, self.value(z)))

    def before(self, h: Array) -> Array:
        """z = W h + b."""
        return self.w @ h + self.b[:, None]

    def __call__(self, h: Array) -> Array:
        return self.value(self.before(h))

    def jacobian(self, h: Array) -> Array:
        """[φ'] W at one fixed point h (2,)."""
        return self.slope(self.before(h[:, None])) * self.w


def _fixed_points(f: _Map) -> tuple[Array, bool]:
    """(k, 2) in ascending order of h_1, then h_2; and whether there are others that fill a line or an area."""
    reach = np.abs(f.w).sum(axis=1) + np.abs(f.b) + 1.0  # |z| where φ is bounded by 1; elsewhere to begin with
    if not np.isfinite(reach).all():
        return np.zeros((0, 2)), False
    z = _plane(np.linspace(-1, 1, SEEDS)) * reach[:, None]
    (a, b), (c, d) = f.w
    for _ in range(NEWTON):  # (1 − W [φ']) Δ = W φ(z) + b − z, by Cramer's rule
        h = f.value(z)
        s, rest = f.slope(z), f.before(h) - z
        p, q, r, t = 1 - a * s[0], -b * s[1], -c * s[0], 1 - d * s[1]
        step = np.stack([t * rest[0] - q * rest[1], p * rest[1] - r * rest[0]]) / (p * t - q * r)
        z = np.where(rest == 0, z, z + step)
    z = z[:, np.abs(f.before(f.value(z)) - z).max(axis=0) <= 1e-9 * (1 + np.abs(z).max(axis=0))]
    each = np.unique(z.T.round(9), axis=0)
    found: list[Array] = []
    for point in each:
        if all(np.abs(point - other).max() > SAME * (1 + np.abs(point).max()) for other in found):
            found.append(point)
        if len(found) > MOST_POINTS:  # keep those that stand alone
            found = [z for z in each if abs(np.linalg.det(np.eye(2) - f.jacobian(f.value(z)))) > EDGE]
            return _ascending(f.value(np.array(found).reshape(-1, 2))), True
    return _ascending(f.value(np.array(found).reshape(-1, 2))), False


def _ascending(h: Array) -> Array:
    return h[np.lexsort((h[:, 1], h[:, 0]))]


def _eigenvalues(j: Array) -> tuple[complex, complex]:
    """λ = τ/2 ± √(τ²/4 − Δ) of a (2, 2), trace τ, determinant Δ; the larger |λ| first."""
    half, det = (j[0, 0] + j[1, 1]) / 2, j[0, 0] * j[1, 1] - j[0, 1] * j[1, 0]
    root = np.sqrt(complex(((j[0, 0] - j[1, 1]) / 2) ** 2 + j[0, 1] * j[1, 0]))
    first = half + root if half >= 0 else half - root
    second = np.conj(first) if root.imag else det / first if first else 0.0  # no digit lost to a difference
    return first, second


def _basins(f: _Map, points: Array, radii: Array, starts: Array) -> Array:
    """(n,) int16: the stable point that each of n starts (2, n) comes to."""
    label = np.full(starts.shape[1], WANDERS, np.int16)
    if not np.isfinite(f.w).all() or not np.isfinite(f.b).all():
        return label
    stable = np.flatnonzero(radii < 1 - EDGE)
    if not stable.size and f.bounded:
        return label
    slowest = max((float(radii[i]) for i in stable), default=0.0)
    fewest = FEWEST if f.bounded else PATIENT
    steps = fewest if slowest == 0 else min(MOST, max(fewest, ceil(1.5 * log(ARRIVED) / log(slowest))))
    near = [_nearness(points, int(i)) for i in stable]
    way, h = np.arange(starts.shape[1]), starts
    for t in range(steps):
        h = f(h)
        if t % 10 and t < steps - 1:
            continue
        for i, close in zip(stable, near, strict=True):
            label[way[np.abs(h - points[i][:, None]).max(axis=0) < close]] = i
        label[way[~(np.abs(h).max(axis=0) < FAR)]] = LEAVES
        on = label[way] == WANDERS
        way, h = way[on], h[:, on]
        if not way.size:
            break
    return label


def _nearness(points: Array, i: int) -> float:
    others = np.delete(points, i, axis=0)
    return min([ARRIVED * (1 + np.abs(points[i]).max()), *(0.01 * np.abs(others - points[i]).max(axis=1))])


def _gradients(f: _Map, h: Array, steps: int) -> tuple[Array, Array]:
    """From h (2, n): states (steps+1, 2, n) and log10 ‖∂h_t/∂h_0‖₂ (steps+1, n).

    M_t = J_t M_{t−1} (2, 2, n), its size carried in the logarithm: no product leaves the floating range.
    """
    n = h.shape[1]
    states, sizes = [h], [np.zeros(n)]
    m, carried = np.repeat(np.eye(2)[:, :, None], n, axis=2), np.zeros(n)
    for _ in range(steps):
        z = f.before(h)
        h = f.value(z)
        m = f.slope(z)[:, None] * (f.w @ m.reshape(2, 2 * n)).reshape(2, 2, n)
        scale = np.abs(m).max(axis=(0, 1))
        m = m / np.where(scale > 0, scale, 1.0)
        carried = carried + np.log10(scale)
        square, det = (m * m).sum(axis=(0, 1)), m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]
        largest = 0.5 * (square + np.sqrt(np.maximum(square**2 - 4 * det**2, 0.0)))  # σ² of a 2 × 2
        states.append(h)
        sizes.append(carried + 0.5 * np.log10(np.where(scale > 0, largest, 1.0)))
    return np.stack(states), np.stack(sizes)


def _numbers(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    try:
        found = np.array(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {value!r}; allowed: numbers of shape {shape}") from None
    if found.shape != shape:
        raise ValueError(f"{name}: shape {found.shape}; allowed: {shape}")
    return found
