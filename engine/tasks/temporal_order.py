"""Temporal order: which marked symbols came, and in which order? In two sizes."""

from collections.abc import Sequence
from itertools import product
from math import log

import numpy as np

from engine.tasks.task import Task

NAMES = ("A", "B", "c", "d", "e", "f")
SYMBOLS, MARKED = len(NAMES), 2  # symbols 0 (A) and 1 (B) count, 2..5 distract
TWO, THREE = (1, 5), (1, 3, 6)  # the tenths of the sequence in which they come


def draw_order(
    rng: np.random.Generator, seq_length: int, batch_size: int, tenths: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 6) one-hot, A or B once in [kT/10, (k+1)T/10) for each k of `tenths`, distractors elsewhere;
    targets (B,): what came, read as a binary number (A 0, B 1)."""
    symbols = rng.integers(MARKED, SYMBOLS, (seq_length, batch_size))
    where = [rng.integers(k * seq_length // 10, (k + 1) * seq_length // 10, batch_size) for k in tenths]
    classes = np.zeros(batch_size, np.int64)
    for steps in where:
        came = rng.integers(0, MARKED, batch_size)
        symbols[steps, np.arange(batch_size)] = came
        classes = MARKED * classes + came
    return np.eye(SYMBOLS)[symbols], classes


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 6) one-hot, A or B once in [.1T, .2T) and once in [.5T, .6T); targets (B,): AA, AB, BA or BB."""
    return draw_order(rng, seq_length, batch_size, TWO)


def draw_3bit(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 6) one-hot, A or B once in each of [.1T, .2T), [.3T, .4T), [.6T, .7T); targets (B,): AAA … BBB."""
    return draw_order(rng, seq_length, batch_size, THREE)


def marks(inputs: np.ndarray, sequence: int) -> tuple[int, ...]:
    return tuple(int(t) + 1 for t in np.flatnonzero(inputs[:, sequence, :MARKED].any(axis=1)))


TASK = Task(
    label="temporal order",
    meaning="A or B appears twice among distractors, early and in the middle; the class at the end is their order.",
    source="Hochreiter & Schmidhuber 1997, experiment 6a; Pascanu, Mikolov & Bengio 2013",
    input_size=SYMBOLS,
    output_size=4,
    loss="cross_entropy",
    every_step=False,
    draw=draw,
    trivial_loss={"cross_entropy": lambda seq_length: log(4), "mse": lambda seq_length: 3 / 16},  # of four classes
    baseline_label="guessing a class",
    symbols=NAMES,
    classes=tuple(map("".join, product("AB", repeat=2))),
    min_length=10,
    marks=marks,
)

THREE_BIT = Task(
    label="temporal order, three",
    meaning="A or B appears three times among distractors; the class at the end is which of the eight orders it was.",
    source="Hochreiter & Schmidhuber 1997, experiment 6b; the places of Pascanu, Mikolov & Bengio 2013",
    input_size=SYMBOLS,
    output_size=8,
    loss="cross_entropy",
    every_step=False,
    draw=draw_3bit,
    trivial_loss={"cross_entropy": lambda seq_length: log(8), "mse": lambda seq_length: 7 / 64},  # of eight classes
    baseline_label="guessing a class",
    symbols=NAMES,
    classes=tuple(map("".join, product("AB", repeat=3))),
    min_length=10,
    marks=marks,
)
