"""Digits: see a small picture bit by bit, then say which digit it shows. A row at a time, or a pixel at a time."""

from functools import cache
from math import log
from pathlib import Path

import numpy as np

from engine.tasks.task import Task

FILE = Path(__file__).with_name("data") / "digits.npz"
SIDE, CLASSES = 8, 10
TRAINING = 1297  # of the 1797 pictures; the other 500 are for validation
BRIGHTEST = 16


@cache
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """(1797, 8, 8) brightness 0 … 1, row by row from the top; (1797,) which digit it is."""
    with np.load(FILE) as file:
        return file["images"] / BRIGHTEST, file["digits"].astype(np.int64)


def _draw(
    rng: np.random.Generator, first: int, last: int, batch_size: int, features: int
) -> tuple[np.ndarray, np.ndarray]:
    images, digits = pictures()
    chosen = np.resize(rng.permutation(np.arange(first, last)), batch_size)  # none twice before each came once
    return images[chosen].reshape(batch_size, -1, features).swapaxes(0, 1), digits[chosen]


def draw_rows(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (8, B, 8): row t of one of the first 1297 pictures, from the top, brightness 0 … 1; targets (B,): digit.

    `seq_length` does not matter: the pictures have 8 rows.
    """
    return _draw(rng, 0, TRAINING, batch_size, SIDE)


def draw_rows_validation(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """As draw_rows, of the last 500 pictures."""
    return _draw(rng, TRAINING, len(pictures()[1]), batch_size, SIDE)


def draw_pixels(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (64, B, 1): the pixels of one of the first 1297 pictures, row by row; targets (B,): which digit it is."""
    return _draw(rng, 0, TRAINING, batch_size, 1)


def draw_pixels_validation(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """As draw_pixels, of the last 500 pictures."""
    return _draw(rng, TRAINING, len(pictures()[1]), batch_size, 1)


SOURCE = "Optical Recognition of Handwritten Digits, Alpaydin & Kaynak 1998, UCI repository, CC BY 4.0 (its test part)"
TRIVIAL = {  # the ten digits are as frequent as each other, to 1 in 1000 of the loss
    "cross_entropy": lambda seq_length: log(CLASSES),
    "mse": lambda seq_length: (1 - 1 / CLASSES) / CLASSES,
}
NAMES = tuple(map(str, range(CLASSES)))

ROWS = Task(
    label="digits, row by row",
    meaning="The 8 rows of a small picture of a digit come one after the other; at the end, say which digit it was.",
    source=SOURCE,
    input_size=SIDE,
    output_size=CLASSES,
    loss="cross_entropy",
    every_step=False,
    draw=draw_rows,
    trivial_loss=TRIVIAL,
    baseline_label="guessing a digit",
    classes=NAMES,
    draw_validation=draw_rows_validation,
    fixed_steps=SIDE,
)

PIXELS = Task(
    label="digits, pixel by pixel",
    meaning="The 64 pixels of a small picture of a digit come one after the other; at the end, say which digit it was.",
    source=SOURCE + "; pixel by pixel as Le, Jaitly & Hinton 2015",
    input_size=1,
    output_size=CLASSES,
    loss="cross_entropy",
    every_step=False,
    draw=draw_pixels,
    trivial_loss=TRIVIAL,
    baseline_label="guessing a digit",
    classes=NAMES,
    draw_validation=draw_pixels_validation,
    fixed_steps=SIDE * SIDE,
)
