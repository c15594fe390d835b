"""Text: predict the next character of a book."""

from collections.abc import Callable
from functools import cache
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from engine.tasks.task import Task

FILE = Path(__file__).with_name("data") / "alice.txt"
ALPHABET = "\n !'(),-.:;?abcdefghijklmnopqrstuvwxyz"  # the characters of the file, in order of their codes
NAMES = ("⏎", "␣", *ALPHABET[2:])
SIZE = len(ALPHABET)
HELD_BACK = 0.1  # of the text, its end: for validation


@cache
def parts() -> tuple[np.ndarray, np.ndarray]:
    """The text as indices into ALPHABET: what training sees, and the end that is held back."""
    codes = np.searchsorted(np.array(list(ALPHABET)), np.array(list(FILE.read_text(encoding="ascii"))))
    cut = round((1 - HELD_BACK) * len(codes))
    return codes[:cut], codes[cut:]


def windows(
    rng: np.random.Generator, text: np.ndarray, size: int, seq_length: int, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """B stretches of T + 1 of a text's characters (N,), each from a random place; one longer than the text begins it
    again. The first T as inputs (T, B, size) one-hot, the last T as targets (T, B)."""
    start = rng.integers(0, max(1, len(text) - seq_length), batch_size)
    characters = text[(start + np.arange(seq_length + 1)[:, None]) % len(text)]
    return np.eye(size)[characters[:-1]], characters[1:].astype(np.int64)


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 38) one-hot: T successive characters of the first 90 % of the text, from a random place;
    targets (T, B): the next character."""
    return windows(rng, parts()[0], SIZE, seq_length, batch_size)


def draw_validation(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """As draw, from the last 10 % of the text."""
    return windows(rng, parts()[1], SIZE, seq_length, batch_size)


def counted(seen: np.ndarray, held_back: np.ndarray, size: int, context: int, loss: str) -> float:
    """The loss on the text held back of a guess by counting: how often a character comes in training (context 0), or
    comes after the last one (context 1). Every count is raised by 1 (Laplace), so that nothing is thought impossible.
    """
    pairs = sum(size**k * seen[context - k : len(seen) - k].astype(np.int64) for k in range(context + 1))
    counts = np.bincount(pairs, minlength=size ** (context + 1)).reshape((size,) * (context + 1)) + 1.0
    p = np.broadcast_to(counts / counts.sum(axis=-1, keepdims=True), (size, size))
    last, following = held_back[:-1], held_back[1:]
    of_truth = p[last, following]
    if loss == "cross_entropy":
        return float(-np.log(of_truth).mean())
    return float((1 - 2 * of_truth + (p * p).sum(axis=1)[last]).mean() / size)  # against one-hot


@cache
def counted_loss(context: int, loss: str) -> float:
    """As `counted`, of the book."""
    return counted(*parts(), SIZE, context, loss)


def task_of(size: int, loss_of: Callable[[int, str], float], **row: Any) -> Task:
    """The row of a text with so many different characters. loss_of(context, loss): as `counted`, asked when needed."""

    def line(context: int) -> dict[str, Callable[[int], float]]:
        return {
            "cross_entropy": lambda seq_length: loss_of(context, "cross_entropy"),
            "mse": lambda seq_length: loss_of(context, "mse"),
        }

    uniform: dict[str, Callable[[int], float]] = {
        "cross_entropy": lambda seq_length: log(size),
        "mse": lambda seq_length: (1 - 1 / size) / size,
    }
    return Task(
        input_size=size,
        output_size=size,
        loss="cross_entropy",
        every_step=True,
        trivial_loss=line(0),
        baseline_label="letter counts",
        references={"any letter": uniform, "letter pairs": line(1)},
        overlapping=True,
        generates=True,
        **row,
    )


TASK = task_of(
    SIZE,
    counted_loss,
    label="text",
    meaning="Characters of a book come in; at every step, predict the next one. Its last tenth is for validation.",
    source="Lewis Carroll, Alice's Adventures in Wonderland, 1865, chapters 1 to 4 in lower case (public domain); "
    "as a task Elman 1990, Sutskever, Martens & Hinton 2011",
    draw=draw,
    symbols=NAMES,
    classes=NAMES,
    draw_validation=draw_validation,
)
