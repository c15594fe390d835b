"""What a task is: the row of the table, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class Asked(Protocol):
    """What of an experiment a baseline depends on."""

    @property
    def seq_length(self) -> int: ...
    @property
    def loss_name(self) -> str: ...


def _no_marks(inputs: np.ndarray, sequence: int) -> tuple[int, ...]:
    return ()


def at_any_length(value: float) -> Callable[[int], float]:
    """A baseline that does not depend on seq_length."""
    return lambda seq_length: value


@dataclass(frozen=True)
class Task:
    """One task.

    draw(rng, seq_length, batch_size) -> inputs (T, B, input_size) float64, targets:
        every_step False: (B, output_size) float64 or (B,) int64 classes;
        every_step True:  (T, B, output_size) float64 or (T, B) int64 classes.
    """

    label: str
    meaning: str
    source: str
    input_size: int
    output_size: int
    loss: str  # "mse" or "cross_entropy"
    every_step: bool  # is the loss read at every timestep, or at the last one only
    draw: Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]
    trivial_loss: Mapping[
        str, Callable[[int], float]
    ]  # loss -> seq_length -> that of the best answer that ignores the inputs; of a series, of repeating its last value
    baseline_label: str  # what that answer is, in words
    symbols: tuple[str, ...] = ()  # the names of the one-hot input symbols, one a column; () where inputs are numbers
    classes: tuple[str, ...] = ()  # the names of the classes of the targets; () where targets are numbers
    references: Mapping[str, Mapping[str, Callable[[int], float]]] = field(
        default_factory=dict
    )  # further lines in the picture of the loss: label -> as trivial_loss
    draw_validation: Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]] | None = (
        None  # as draw, where data are finite and a part is held back; None: draw serves both
    )
    overlapping: bool = False  # its sequences are windows of one series or text, and share values with each other
    held_back: int | None = (
        None  # how many sequences draw_validation has, where they are finite: then all count, each once
    )
    generates: bool = False  # what it puts out can be its next input: it can run free, and continue a sequence
    fixed_steps: int | None = None  # the timesteps, where the data and not seq_length say how many
    min_length: int = 1  # the shortest seq_length for which the task is defined,
    max_length: int | None = None  # and the longest, where the data have an end
    extra_steps: int = 0  # timesteps beyond seq_length (copy memory)
    marks: Callable[[np.ndarray, int], tuple[int, ...]] = field(default=_no_marks)  # 1-based timesteps of note

    def steps(self, seq_length: int) -> int:
        """The number of timesteps T of a sequence with this `seq_length`."""
        return self.fixed_steps or seq_length + self.extra_steps

    def baseline(self, e: Asked) -> float:
        """The loss of the answer that needs no network (see trivial_loss), for the experiment's loss and length."""
        return self.trivial_loss[e.loss_name](e.seq_length)
