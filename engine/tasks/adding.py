"""Adding: remember two marked numbers, say their sum at the end."""

import numpy as np

from engine.tasks.task import Task


def draw_marked(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 2): a value in U(0,1) and a marker, one marked step in each half; the two marked values (2, B)."""
    half, each = seq_length // 2, np.arange(batch_size)
    inputs = np.zeros((seq_length, batch_size, 2))
    inputs[..., 0] = rng.random((seq_length, batch_size))
    marked = np.stack([rng.integers(0, half, batch_size), rng.integers(half, seq_length, batch_size)])
    inputs[marked, each, 1] = 1.0
    return inputs, inputs[marked, each, 0]


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 2): a value in U(0,1) and a marker, one marked step in each half; targets (B, 1): the sum."""
    inputs, values = draw_marked(rng, seq_length, batch_size)
    return inputs, values.sum(axis=0)[:, None]


def marks(inputs: np.ndarray, sequence: int) -> tuple[int, ...]:
    return tuple(int(t) + 1 for t in np.flatnonzero(inputs[:, sequence, 1]))


TASK = Task(
    label="adding",
    meaning="Two of T random numbers are marked, one in each half; the target at the end is their sum.",
    source="Hochreiter & Schmidhuber 1997, experiment 4; in this form Le, Jaitly & Hinton 2015",
    input_size=2,
    output_size=1,
    loss="mse",
    every_step=False,
    draw=draw,
    trivial_loss={"mse": lambda seq_length: 1 / 6},  # variance of the sum of two U(0,1)
    baseline_label="guessing the mean",
    min_length=2,
    marks=marks,
)
