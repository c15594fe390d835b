"""Copy memory: repeat ten symbols after a long blank."""

from math import log

import numpy as np

from engine.tasks.task import Task

KINDS, LENGTH = 8, 10  # symbols 0..7 are data, 8 is the blank, 9 the cue
BLANK, CUE = KINDS, KINDS + 1
NAMES = (*map(str, range(KINDS)), "·", "?")


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T+20, B, 10) one-hot: 10 symbols, T−1 blanks, cue, 10 blanks; targets (T+20, B): blanks, then the 10."""
    steps = seq_length + 2 * LENGTH
    data = rng.integers(0, KINDS, (LENGTH, batch_size))
    symbols = np.full((steps, batch_size), BLANK)
    symbols[:LENGTH] = data
    symbols[steps - LENGTH - 1] = CUE
    targets = np.full((steps, batch_size), BLANK)
    targets[steps - LENGTH :] = data
    return np.eye(KINDS + 2)[symbols], targets


def marks(inputs: np.ndarray, sequence: int) -> tuple[int, ...]:
    return (LENGTH, len(inputs) - LENGTH)  # the last symbol to remember, and the cue


TASK = Task(
    label="copy memory",
    meaning="Ten symbols of eight kinds, T blanks with a cue at their end: then the ten have to be repeated.",
    source="Hochreiter & Schmidhuber 1997; in this form Arjovsky, Shah & Bengio 2016, section 5.1",
    input_size=KINDS + 2,
    output_size=KINDS + 2,
    loss="cross_entropy",
    every_step=True,
    draw=draw,
    trivial_loss={  # the blanks are certain, the ten symbols are guessed
        "cross_entropy": lambda seq_length: LENGTH * log(KINDS) / (seq_length + 2 * LENGTH),
        "mse": lambda seq_length: LENGTH * (1 - 1 / KINDS) / (KINDS + 2) / (seq_length + 2 * LENGTH),
    },
    baseline_label="guessing the symbols",
    symbols=NAMES,
    classes=NAMES,
    extra_steps=2 * LENGTH,
    marks=marks,
)
