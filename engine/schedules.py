"""Learning-rate schedules: the factor on `lr` at each training step, one function and one row each.

k: step (0, 1, …), N: schedule_steps (1 or more), f: schedule_factor (0 < f ≤ 1). Each factor is in [0, 1].
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

from engine.rows import Row


@dataclass(frozen=True)
class Schedule(Row):
    factor: Callable[[int, int, float], float]  # (step 0, 1, …, schedule_steps, schedule_factor) -> factor on lr


def _constant(step: int, steps: int, factor: float) -> float:
    """1."""
    return 1.0


def _exponential(step: int, steps: int, factor: float) -> float:
    """f^(k/N)."""
    return factor ** (step / steps)


def _linear(step: int, steps: int, factor: float) -> float:
    """1 − s + s f,  s = min(k/N, 1)."""
    s = min(step / steps, 1.0)
    return 1 - s + s * factor


def _cosine(step: int, steps: int, factor: float) -> float:
    """f + (1 − f)(1 + cos πs)/2,  s = min(k/N, 1)."""
    return factor + (1 - factor) * (1 + cos(pi * min(step / steps, 1.0))) / 2


def _step(step: int, steps: int, factor: float) -> float:
    """f^⌊k/N⌋."""
    return factor ** (step // steps)


def _warm_up(step: int, steps: int, factor: float) -> float:
    """min((k + 1)/N, 1)."""
    return min((step + 1) / steps, 1.0)


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule("constant", "The learning rate stays as set.", "Robbins & Monro 1951", _constant),
    "exponential": Schedule(
        "exponential",
        "The same percentage less at every step: times the factor in the steps given, and so on without end.",
        "torch.optim.lr_scheduler.ExponentialLR",
        _exponential,
    ),
    "linear": Schedule(
        "linear",
        "The same amount less at every step, down to the factor; then it stays.",
        "torch.optim.lr_scheduler.LinearLR",
        _linear,
    ),
    "cosine": Schedule(
        "cosine",
        "Half a cosine wave from 1 to the factor: slow, fast, slow; then it stays.",
        "Loshchilov & Hutter 2017, eq. 5; torch.optim.lr_scheduler.CosineAnnealingLR",
        _cosine,
    ),
    "step": Schedule(
        "step", "Times the factor after every so many steps: a staircase.", "torch.optim.lr_scheduler.StepLR", _step
    ),
    "warm_up": Schedule(
        "warm-up",
        "From almost nothing up to the full rate in equal steps, then it stays: the first gradients do little harm.",
        "Goyal et al. 2017, §2.2; torch.optim.lr_scheduler.LinearLR",
        _warm_up,
    ),
}
