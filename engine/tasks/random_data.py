"""Random data: inputs and targets have nothing to do with each other. Three shapes, those of the articles' programs.

With fresh sequences at every step there is nothing to learn. With a training set the network learns it by heart: its
training loss falls and its validation loss does not.
"""

from collections.abc import Callable

import numpy as np

from engine.tasks.task import Task


def _drawing(features: int, values: int) -> Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]:
    def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """inputs (T, B, features), targets (B, values): all U(0, 1) and independent."""
        return rng.random((seq_length, batch_size, features)), rng.random((batch_size, values))

    return draw


def _task(label: str, meaning: str, source: str, features: int, values: int) -> Task:
    return Task(
        label=label,
        meaning=meaning,
        source=source,
        input_size=features,
        output_size=values,
        loss="mse",
        every_step=False,
        draw=_drawing(features, values),
        trivial_loss={"mse": lambda seq_length: 1 / 12},  # variance of U(0, 1)
        baseline_label="guessing the mean",
    )


SERIES = _task(
    "random series",
    "One random number a step and a random target: nothing to learn, a training set can only be learned by heart.",
    "the program of article 003: 100 series of 10 steps",
    1, 1,
)  # fmt: skip
FEATURES = _task(
    "random features",
    "Ten random numbers a step and a random target: nothing to learn, a training set can only be learned by heart.",
    "the program of article 000: steps of 10 features",
    10, 1,
)  # fmt: skip
VECTORS = _task(
    "random vectors",
    "One random number a step and ten random targets: nothing to learn, a training set can only be learned by heart.",
    "the program of article 004: 100 vectors of 10 numbers, read as series, and 10 targets each",
    1, 10,
)  # fmt: skip
