"""Learning-rate schedules: the factor on `lr` at each training step."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.rows import Row


@dataclass(frozen=True)
class Schedule(Row):
    factor: Callable[[int], float]  # step (0, 1, …) -> factor on the learning rate


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule("constant", "The learning rate stays as set.", "Robbins & Monro 1951", lambda step: 1.0)
}
