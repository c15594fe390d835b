"""Multiplication: remember two marked numbers, say their product at the end."""

import numpy as np

from engine.tasks.adding import draw_marked, marks
from engine.tasks.task import Task


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 2): a value in U(0,1) and a marker, one marked step in each half; targets (B, 1): the product."""
    inputs, values = draw_marked(rng, seq_length, batch_size)
    return inputs, values.prod(axis=0)[:, None]


TASK = Task(
    label="multiplication",
    meaning="Two of T random numbers are marked, one in each half; the target at the end is their product.",
    source="Hochreiter & Schmidhuber 1997, experiment 5",
    input_size=2,
    output_size=1,
    loss="mse",
    every_step=False,
    draw=draw,
    trivial_loss={"mse": lambda seq_length: 7 / 144},  # variance of the product of two U(0,1): 1/9 − 1/16
    baseline_label="guessing the mean",
    min_length=2,
    marks=marks,
)
