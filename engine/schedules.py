"""Learning-rate schedules: the factor on `lr` at each training step, one function and one row each."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.rows import Row


@dataclass(frozen=True)
class Schedule(Row):
    factor: Callable[[int, int, float], float]  # (step 0, 1, …, schedule_steps, schedule_factor) -> factor on lr


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(
        "constant", "The learning rate stays as set.", "Robbins & Monro 1951", lambda step, steps, factor: 1.0
    )
}
