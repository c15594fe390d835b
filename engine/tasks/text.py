"""Text: predict the next character of a book."""

from functools import cache
from math import log
from pathlib import Path

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


def _windows(
    rng: np.random.Generator, text: np.ndarray, seq_length: int, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """B stretches of T + 1 characters, each from a random place; one longer than the text begins it again."""
    start = rng.integers(0, max(1, len(text) - seq_length), batch_size)
    characters = text[(start + np.arange(seq_length + 1)[:, None]) % len(text)]
    return np.eye(SIZE)[characters[:-1]], characters[1:]


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 38) one-hot: T successive characters of the first 90 % of the text, from a random place;
    targets (T, B): the next character."""
    return _windows(rng, parts()[0], seq_length, batch_size)


def draw_validation(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """As draw, from the last 10 % of the text."""
    return _windows(rng, parts()[1], seq_length, batch_size)


@cache
def counted_loss(context: int, loss: str) -> float:
    """The loss on the text held back of a guess by counting: how often a character comes in training (context 0), or
    comes after the last one (context 1). Every count is raised by 1 (Laplace), so that nothing is thought impossible.
    """
    seen, held_back = parts()
    counts = np.ones((SIZE,) * (context + 1))
    np.add.at(counts, tuple(seen[k : len(seen) - context + k] for k in range(context + 1)), 1)
    p = counts / counts.sum(axis=-1, keepdims=True)
    last, following = held_back[:-1], held_back[1:]
    guess = p[last] if context else np.broadcast_to(p, (len(last), SIZE))
    of_truth = guess[np.arange(len(last)), following]
    if loss == "cross_entropy":
        return float(-np.log(of_truth).mean())
    return float((1 - 2 * of_truth + (guess * guess).sum(axis=1)).mean() / SIZE)  # against one-hot


TASK = Task(
    label="text",
    meaning="Characters of a book come in; at every step, predict the next one. Its last tenth is for validation.",
    source="Lewis Carroll, Alice's Adventures in Wonderland, 1865, chapters 1 to 4 in lower case (public domain); "
    "as a task Elman 1990, Sutskever, Martens & Hinton 2011",
    input_size=SIZE,
    output_size=SIZE,
    loss="cross_entropy",
    every_step=True,
    draw=draw,
    trivial_loss={
        "cross_entropy": lambda seq_length: counted_loss(0, "cross_entropy"),
        "mse": lambda seq_length: counted_loss(0, "mse"),
    },
    baseline_label="letter counts",
    references={
        "any letter": {"cross_entropy": lambda seq_length: log(SIZE), "mse": lambda seq_length: (1 - 1 / SIZE) / SIZE},
        "letter pairs": {
            "cross_entropy": lambda seq_length: counted_loss(1, "cross_entropy"),
            "mse": lambda seq_length: counted_loss(1, "mse"),
        },
    },
    symbols=NAMES,
    classes=NAMES,
    draw_validation=draw_validation,
    generates=True,
)
