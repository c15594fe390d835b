"""Random permutation: predict that the symbol at the very beginning comes back at the very end."""

from math import log

import numpy as np

from engine.tasks.task import Task

SYMBOLS, MARKED = 100, 2
NAMES = tuple(str(k) for k in range(1, SYMBOLS + 1))


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 100) one-hot: 1 or 2, then symbols of 3 … 100, each drawn by itself; targets (B,): the first again.

    The sequence has T + 1 symbols, and the last is the target. Only its loss is read: no network can know the others.
    """
    symbols = rng.integers(MARKED, SYMBOLS, (seq_length, batch_size))
    symbols[0] = rng.integers(0, MARKED, batch_size)
    return np.eye(SYMBOLS)[symbols], symbols[0]


def marks(inputs: np.ndarray, sequence: int) -> tuple[int, ...]:
    return (1,)


TASK = Task(
    label="random permutation",
    meaning="A 1 or a 2, then random symbols from 3 to 100; the next symbol after them is the first one again.",
    source="Hochreiter & Schmidhuber 1997, experiment 2b; in this form Pascanu, Mikolov & Bengio 2013",
    input_size=SYMBOLS,
    output_size=SYMBOLS,
    loss="cross_entropy",
    every_step=False,
    draw=draw,
    trivial_loss={  # that it is 1 or 2 can be learned without remembering which
        "cross_entropy": lambda seq_length: log(MARKED),
        "mse": lambda seq_length: (1 - 1 / MARKED) / SYMBOLS,
    },
    baseline_label="guessing 1 or 2",
    references={
        "guessing any symbol": {
            "cross_entropy": lambda seq_length: log(SYMBOLS),
            "mse": lambda seq_length: (1 - 1 / SYMBOLS) / SYMBOLS,
        }
    },
    symbols=NAMES,
    classes=NAMES,
    marks=marks,
)
