"""Delayed recall: the first step says which of two classes it is, then there is only noise."""

from math import log

import numpy as np

from engine.tasks.task import Task

NOISE = 0.2  # standard deviation; the class is ±1


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 1): −1 or +1 at the first step, then N(0, 0.2²); targets (B,): 0 for −1, 1 for +1."""
    classes = rng.integers(0, 2, batch_size)
    inputs = NOISE * rng.standard_normal((seq_length, batch_size, 1))
    inputs[0, :, 0] = 2.0 * classes - 1
    return inputs, classes


def marks(inputs: np.ndarray, sequence: int) -> tuple[int, ...]:
    return (1,)


TASK = Task(
    label="delayed recall",
    meaning="The first step is −1 or +1, all others are small noise; the class at the end is which of the two it was.",
    source="the latch problem of Bengio, Simard & Frasconi 1994, section II",
    input_size=1,
    output_size=2,
    loss="cross_entropy",
    every_step=False,
    draw=draw,
    trivial_loss={"cross_entropy": lambda seq_length: log(2), "mse": lambda seq_length: 1 / 4},  # of two classes
    baseline_label="guessing a class",
    classes=("−1", "+1"),
    marks=marks,
)
