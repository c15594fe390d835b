"""Does the gradient vanish, explode, or arrive? One robust fit answers, so that its numbers cannot disagree."""

from dataclasses import dataclass
from math import log10

import numpy as np

HEALTHY_DECADES = 2.0  # a change of at most this many decades over the whole sequence is called healthy


@dataclass(frozen=True)
class Verdict:
    """kind: "vanishing", "healthy", "exploding", "diverged" (a NaN or +infinity) or "none" (no gradient at all).

    Going back from the last timestep to the first, the fitted line changes by `span` decades, `decades_per_step` each,
    a factor `factor` each, halving (or doubling) every `half_life` steps (infinite for a level line). `zero_before`:
    the gradient is exactly zero before this timestep (1-based; None: nowhere). Then no line is fitted, for none leads
    to zero: span and decades_per_step are −inf, factor and half_life 0.
    """

    kind: str
    span: float
    decades_per_step: float
    factor: float
    half_life: float
    zero_before: int | None = None


def verdict(log10_grad_norms: np.ndarray) -> Verdict:
    """Judge one layer's log10 ‖∂L/∂h_t‖, (T,).

    The slope is the median over t of the slopes between t and t + T/2 (Theil's abbreviated method, 1950: as robust as
    all pairs, in linear time). Vanishing: the line loses more than 2 decades on its way back; exploding: gains more.
    """
    curve = np.asarray(log10_grad_norms, float)
    if curve.ndim != 1 or not curve.size:
        raise ValueError(f"log10_grad_norms: shape {curve.shape}; allowed: (T,), one layer")
    steps = len(curve)
    if np.isnan(curve).any() or np.isposinf(curve).any():
        return Verdict("diverged", np.nan, np.nan, np.nan, np.nan)
    there = np.flatnonzero(np.isfinite(curve))
    if not there.size:
        return Verdict("none", np.nan, np.nan, np.nan, np.nan)
    if there[0] > 0:
        return Verdict("vanishing", -np.inf, -np.inf, 0.0, 0.0, int(there[0]) + 1)
    values = curve[there]
    half = max(1, len(values) // 2)
    slopes = (values[half:] - values[:-half]) / (there[half:] - there[:-half])
    back = -float(np.median(slopes)) if slopes.size else 0.0  # decades gained by one step back
    span = back * (steps - 1)
    kind = "vanishing" if span < -HEALTHY_DECADES else "exploding" if span > HEALTHY_DECADES else "healthy"
    half_life = log10(2) / abs(back) if back else np.inf
    return Verdict(kind, span, back, 10**back if abs(back) < 300 else np.inf * (back > 0), half_life)
