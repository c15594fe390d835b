"""Markov chain: the smallest language. Ten symbols, and the next depends on the last one only."""

from functools import cache

import numpy as np

from engine.tasks.task import Task

# P[i, j]: how often of 100 times j follows i. Drawn once, rows from a Dirichlet distribution with all parameters 0.35.
CHAIN = np.array(
    [
        [14, 28, 2, 0, 32, 2, 1, 7, 14, 0],
        [0, 5, 52, 5, 1, 0, 0, 0, 0, 37],
        [29, 6, 35, 8, 2, 0, 2, 8, 10, 0],
        [1, 0, 0, 1, 7, 20, 31, 0, 40, 0],
        [12, 3, 1, 45, 2, 0, 13, 7, 2, 15],
        [6, 50, 17, 0, 10, 5, 1, 2, 2, 7],
        [0, 1, 2, 17, 3, 14, 22, 1, 31, 9],
        [7, 58, 1, 0, 26, 0, 2, 5, 0, 1],
        [34, 0, 31, 8, 0, 0, 1, 2, 9, 15],
        [0, 0, 64, 0, 1, 6, 1, 15, 13, 0],
    ]
)
SYMBOLS = len(CHAIN)
NAMES = tuple(map(str, range(SYMBOLS)))
_FOLLOWING = np.array([np.repeat(np.arange(SYMBOLS), row) for row in CHAIN])  # (10, 100): P as equally likely cases


@cache
def stationary() -> np.ndarray:
    """π (10,): how often each symbol comes in the long run, πP = π and Σπ = 1."""
    equations = np.vstack([CHAIN.T / 100 - np.eye(SYMBOLS), np.ones(SYMBOLS)])
    return np.linalg.lstsq(equations, np.eye(SYMBOLS + 1)[-1], rcond=None)[0]


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 10) one-hot: the first symbol from π, each other from the row P[i] of the one before it, i;
    targets (T, B): the next symbol."""
    symbols = np.empty((seq_length + 1, batch_size), np.int64)
    symbols[0] = np.minimum(np.searchsorted(np.cumsum(stationary()), rng.random(batch_size), "right"), SYMBOLS - 1)
    cases = rng.integers(0, _FOLLOWING.shape[1], (seq_length, batch_size))
    for t in range(seq_length):
        symbols[t + 1] = _FOLLOWING[symbols[t], cases[t]]
    return np.eye(SYMBOLS)[symbols[:-1]], symbols[1:]


def entropy(p: np.ndarray) -> np.ndarray:
    """−Σ p log p over the last axis, in nats; 0 log 0 = 0."""
    return -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)


def spread(p: np.ndarray) -> np.ndarray:
    """The mean squared error of p as a guess of a one-hot symbol drawn from it: (1 − Σ p²)/10."""
    return (1 - np.sum(p * p, axis=-1)) / SYMBOLS


TASK = Task(
    label="Markov chain",
    meaning="Ten symbols, each drawn by odds that depend on the one before: at every step, predict the next.",
    source="a language of the size of article 002's program (V = 10); entropy rate: Shannon 1948, section 7",
    input_size=SYMBOLS,
    output_size=SYMBOLS,
    loss="cross_entropy",
    every_step=True,
    draw=draw,
    trivial_loss={
        "cross_entropy": lambda seq_length: float(entropy(stationary())),
        "mse": lambda seq_length: float(spread(stationary())),
    },
    baseline_label="symbol counts",
    references={
        "best possible": {  # the entropy rate Σ π_i H(P_i)
            "cross_entropy": lambda seq_length: float(stationary() @ entropy(CHAIN / 100)),
            "mse": lambda seq_length: float(stationary() @ spread(CHAIN / 100)),
        }
    },
    symbols=NAMES,
    classes=NAMES,
    generates=True,
)
