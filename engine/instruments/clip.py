"""What does clipping change about the step? Every way of clipping on one gradient: its length, direction and parts.

By norm, g keeps its direction and loses its size (Pascanu, Mikolov & Bengio 2013); by value, by unit, or each tensor by
itself, it turns: cos(g, clip(g)) < 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.clipping import CLIPS, global_norm
from engine.instruments.blocks import Block, blocks, flat, norms, starts
from engine.instruments.pieces import Pieces, finish
from engine.parameters import as_array, frozen
from engine.trace import Trace, check_trace

THRESHOLDS, ANGLES = 61, 90  # of the curves, and of half of the edge
STRAIGHT = ("none", "norm")  # never turn: what a cosine leaves of 1 is rounding
DECADES = 3.0  # below and above the threshold that they reach, at least


@dataclass(frozen=True, eq=False)
class Clipped:
    """One way of clipping, at one threshold c. g: the gradient of all n weights, g′ what is made of it."""

    kind: str  # a name in CLIPS
    norm: float  # ‖g′‖₂
    cosine: float  # cos(g, g′); NaN where one of them is 0 or not finite
    ratio: float  # ‖g′‖/‖g‖: what plain SGD's learning rate is multiplied by
    changed: float  # the share of components with another value
    kept: np.ndarray  # (blocks,): ‖g′‖/‖g‖ of each block; NaN where there is nothing
    along: float  # g′ along g, as a share of ‖g‖
    across: float  # and what stands at a right angle to it
    thresholds: np.ndarray  # (THRESHOLDS,): c, evenly in log
    norms: np.ndarray  # (THRESHOLDS,): ‖g′‖ at each
    cosines: np.ndarray  # (THRESHOLDS,)
    edge: np.ndarray  # (2·ANGLES + 1, 2): (along g, across) where the gradients end that may be; NaN: all may


@dataclass(frozen=True, eq=False)
class Clipping:
    threshold: float
    norm: float  # ‖g‖₂ over all weights
    blocks: tuple[Block, ...]
    rows: Mapping[str, Clipped]  # by the names in CLIPS


def clipping(t: Trace, threshold: float = 1.0) -> Clipping:
    """Of the gradient of a pass. threshold: c > 0. Raises ValueError where it is none.

    >>> import engine
    >>> found = engine.clipping(engine.probe(engine.Experiment()), threshold=0.1)
    >>> by_norm, by_value = found.rows["norm"], found.rows["value"]
    >>> f"{found.norm:.2f} {by_norm.norm:.2f} {by_norm.cosine:.2f}"              # shorter, and no other direction
    '4.84 0.10 1.00'
    >>> f"{by_value.norm:.2f} {by_value.cosine:.2f}"
    '2.20 0.81'
    """
    check_trace(t)
    c = as_array("threshold", threshold)
    if c.ndim or c.dtype.kind not in "fiu" or not 0 < c < np.inf:
        raise ValueError(f"threshold: {threshold!r}; allowed: a number above 0")
    return finish(in_pieces(t, float(c)))


def in_pieces(t: Trace, threshold: float) -> Pieces[Clipping]:
    """The same, threshold by threshold."""
    of, g, ends = blocks(t.kind, t.grads), flat(t.grads), starts(t.grads)
    whole, rows = float(global_norm(g)), {}
    curve = thresholds(threshold, whole)
    for n, name in enumerate(CLIPS):
        pieces = _clipped(name, g, ends, whole, threshold, of, curve)
        while True:
            try:
                share = next(pieces)
            except StopIteration as done:
                rows[name] = done.value
                break
            yield (n + share) / len(CLIPS)
    return Clipping(threshold, whole, of, rows)


def thresholds(c: float, norm: float) -> np.ndarray:
    """From well below to well above both c and ‖g‖."""
    middle = [np.log10(c)] + ([np.log10(norm)] if 0 < norm < np.inf else [])
    with np.errstate(over="ignore"):
        return frozen(np.float_power(10.0, np.linspace(min(middle) - DECADES, max(middle) + DECADES / 3, THRESHOLDS)))


def _clipped(
    name: str, g: np.ndarray, ends: np.ndarray, whole: float, c: float, of: tuple[Block, ...], curve: np.ndarray
) -> Pieces[Clipped]:  # fmt: skip
    used = _apply(name, g, ends, whole, c)
    norm, cosine = _against(g, used, whole)
    with np.errstate(all="ignore"):
        ratio = float(np.float64(norm) / whole)
        kept = norms(of, used) / norms(of, g)
        sine = float(np.sqrt(max(0.0, 1.0 - cosine * cosine)))
    found = np.zeros((2, len(curve)))
    for n, at in enumerate(curve):
        found[:, n] = _against(g, _apply(name, g, ends, whole, at), whole)
        yield (n + 1) / len(curve)
    changed = float(np.mean(used != g)) if np.isfinite(whole) else float("nan")
    along, across = ratio * cosine, ratio * (0.0 if name in STRAIGHT else sine)
    return Clipped(
        name, norm, cosine, ratio, changed, frozen(kept), along, across, curve, frozen(found[0]), frozen(found[1]),
        frozen((yield from _edge(name, g, used, ends, whole, c))),
    )  # fmt: skip


def _edge(name: str, g: np.ndarray, used: np.ndarray, ends: np.ndarray, whole: float, c: float) -> Pieces[np.ndarray]:
    """Where the plane of g and g′ cuts the ball, box or product of balls that holds all clipped gradients.

    In direction cos φ u + sin φ v, with u along g and v at a right angle to it, that is at distance c/size: the size is
    that of the whole (norm), of the longest tensor (param_norm), or of the largest component (value; unit: c = 1).
    """
    edge = np.full((2 * ANGLES + 1, 2), np.nan)
    if name == "none" or not 0 < whole < np.inf:
        return edge
    u = g.astype(np.float64) / whole
    towards = np.sign(u) if np.array_equal(used, g) else used / global_norm(used)  # what it will turn to, if not yet
    v = towards - np.sum(towards * u) * u
    length = float(global_norm(v))
    v = v / length if length > 1e-9 else np.zeros_like(u)
    for n, angle in enumerate(np.linspace(0, np.pi, ANGLES, endpoint=False)):
        direction = np.cos(angle), np.sin(angle)
        point = direction[0] * u + direction[1] * v
        if name == "norm":
            size = 1.0
        elif name == "param_norm":
            size = float(np.sqrt(np.add.reduceat(point * point, ends[:-1]).max()))
        else:
            size = float(np.abs(point).max())
        with np.errstate(divide="ignore"):
            at = np.array(direction) * (np.float64(1.0 if name == "unit" else c) / size)
        edge[n], edge[n + ANGLES] = at, -at
        yield 1.0
    edge[-1] = edge[0]
    return edge


def _apply(name: str, g: np.ndarray, ends: np.ndarray, whole: float, c: float) -> np.ndarray:
    used, apply = g.copy(), CLIPS[name].apply
    if apply is not None:
        apply(used, ends, whole, c)
    return used


def _against(g: np.ndarray, used: np.ndarray, whole: float) -> tuple[float, float]:
    """‖g′‖ and cos(g, g′), from vectors of length 1, so that no product leaves the range of float64."""
    norm = float(global_norm(used))
    if not (0 < whole < np.inf and 0 < norm < np.inf):
        return norm, float("nan")
    cosine = float(np.sum(np.float64(g) / whole * (np.float64(used) / norm)))
    return norm, max(-1.0, min(1.0, cosine))
