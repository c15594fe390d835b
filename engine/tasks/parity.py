"""Parity: is the number of ones so far even or odd? Asked at every step, or only at the end."""

from math import log

import numpy as np

from engine.tasks.task import Task


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 2) one-hot: fair bits; targets (T, B): the number of ones up to and with step t, modulo 2."""
    bits = rng.integers(0, 2, (seq_length, batch_size))
    return np.eye(2)[bits], np.cumsum(bits, axis=0) % 2


def draw_final(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 2) one-hot: fair bits; targets (B,): the number of ones, modulo 2."""
    inputs, parities = draw(rng, seq_length, batch_size)
    return inputs, parities[-1]


TASK = Task(
    label="parity",
    meaning="Bits come in; at every step, say whether the number of ones so far is even or odd.",
    source="Minsky & Papert 1969, as a sequence",
    input_size=2,
    output_size=2,
    loss="cross_entropy",
    every_step=True,
    draw=draw,
    trivial_loss={"cross_entropy": lambda seq_length: log(2), "mse": lambda seq_length: 1 / 4},  # of two classes
    baseline_label="guessing a class",
    symbols=("0", "1"),
    classes=("even", "odd"),
)

FINAL = Task(
    label="parity at the end",
    meaning="Bits come in; at the end, say whether the number of ones is even or odd: every step matters.",
    source="Minsky & Papert 1969; as a task of long delay Schmidhuber & Hochreiter 1996",
    input_size=2,
    output_size=2,
    loss="cross_entropy",
    every_step=False,
    draw=draw_final,
    trivial_loss={"cross_entropy": lambda seq_length: log(2), "mse": lambda seq_length: 1 / 4},  # of two classes
    baseline_label="guessing a class",
    symbols=("0", "1"),
    classes=("even", "odd"),
)
