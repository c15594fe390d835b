"""Axes that hold still, and curves and maps thinned for the screen without hiding anything."""

from math import ceil, floor, log2, log10

import numpy as np

from app.figures.numbers import decade, minus

CURVE_POINTS = 1000
MAP_COLUMNS = 250
MAP_TIMESTEPS = 400
MAP_UNITS = 128

Ticks = tuple[list[float], list[str]]


def decades(low: float, high: float, most: int) -> Ticks:
    """Ticks at whole decades (or whole multiples of some), at most about `most` + 1."""
    step = max(1, ceil((high - low) / most))
    for nice in (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500, 1000):
        if nice >= step:
            step = nice
            break
    at = range(ceil(low / step) * step, floor(high) + 1, step)
    return [float(e) for e in at], [decade(e) for e in at]


def counts(first: int, last: int, most: int) -> list[int]:
    """Round counts between two ends, both ends included, none crowding the last."""
    if last - first <= most:
        return list(range(first, last + 1))
    step = round_up((last - first) / most)
    inside = [n for n in range(int(step), last, int(step)) if n > first and last - n > 0.6 * step]
    return [first, *inside, last]


def round_up(x: float, steps: tuple[float, ...] = (1, 2, 5, 10)) -> float:
    """The next of 1, 2, 5, 10, 20, 50, … (or of other `steps`, that end in 10) at or above x > 0."""
    size = 10.0 ** floor(log10(x))
    return next(n * size for n in steps if n * size >= x * (1 - 1e-9))


def grow(x: float, step: float) -> float:
    """x away from zero to a whole multiple of `step` (of a longer one far out), so that a range grows in steps."""
    if abs(x) > 10 * step:
        step = max(step, round_up(abs(x) / 10))
    return ceil(abs(x) / step - 1e-9) * step * (1 if x > 0 else -1)


def plain(ticks: list[int]) -> Ticks:
    return [float(n) for n in ticks], [minus(str(n)) for n in ticks]


def log(values: np.ndarray) -> np.ndarray:
    """log10 as float32, a gap (NaN) where it is not a number: zero, infinite or NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return gaps(np.log10(values))


def gaps(values: np.ndarray) -> np.ndarray:
    """float32 with NaN for everything that is not finite, or too large for it."""
    with np.errstate(over="ignore"):
        cast = np.asarray(values, np.float32)
    return np.where(np.isfinite(cast), cast, np.float32(np.nan))


def thin(values: np.ndarray, most: int = CURVE_POINTS) -> np.ndarray:
    """Indices (int32) of at most about `most` points that keep every bucket's least and greatest value, and both ends.

    Buckets are a power of two wide, so that what was kept stays kept while the curve grows.
    """
    n = len(values)
    if n <= most:
        return np.arange(n, dtype=np.int32)
    width = 2 ** ceil(log2(n / (most / 2)))
    padded = np.full((-(-n // width), width), np.nan)
    padded.ravel()[:n] = values
    bucket = np.arange(0, n, width)
    gap = np.isnan(padded)
    least = bucket + np.where(gap, np.inf, padded).argmin(1)
    most_of_all = bucket + np.where(gap, -np.inf, padded).argmax(1)
    pairs = np.sort(np.stack([least, most_of_all], axis=1), axis=1).ravel()
    return np.concatenate([[0], pairs, [n - 1]]).astype(np.int32)


def every(n: int, most: int) -> int:
    """Draw every this-many-th of n rows, so that at most `most` are drawn."""
    return max(1, ceil(n / most))
