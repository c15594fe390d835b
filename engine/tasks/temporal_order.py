"""Temporal order: which two marked symbols came, and in which order?"""

from math import log

import numpy as np

from engine.tasks.task import Task

SYMBOLS, MARKED = 6, 2  # symbols 0 (A) and 1 (B) count, 2..5 distract


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 6) one-hot, A or B once in [.1T, .2T) and once in [.5T, .6T); targets (B,): AA, AB, BA or BB."""
    each = np.arange(batch_size)
    symbols = rng.integers(MARKED, SYMBOLS, (seq_length, batch_size))
    first = rng.integers(seq_length // 10, 2 * seq_length // 10, batch_size)
    second = rng.integers(5 * seq_length // 10, 6 * seq_length // 10, batch_size)
    a, b = rng.integers(0, MARKED, batch_size), rng.integers(0, MARKED, batch_size)
    symbols[first, each], symbols[second, each] = a, b
    return np.eye(SYMBOLS)[symbols], MARKED * a + b


def marks(inputs: np.ndarray, sequence: int) -> tuple[int, ...]:
    return tuple(int(t) + 1 for t in np.flatnonzero(inputs[:, sequence, :MARKED].any(axis=1)))


TASK = Task(
    label="temporal order",
    meaning="A or B appears twice among distractors, early and in the middle; the class at the end is their order.",
    source="Hochreiter & Schmidhuber 1997, experiment 6a; Pascanu, Mikolov & Bengio 2013",
    input_size=SYMBOLS,
    output_size=MARKED * MARKED,
    loss="cross_entropy",
    every_step=False,
    draw=draw,
    trivial_loss={"cross_entropy": lambda seq_length: log(4), "mse": lambda seq_length: 3 / 16},  # of four classes
    baseline_label="guessing a class",
    min_length=10,
    marks=marks,
)
