"""How much data one training step sees: one row each."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.rows import Row


@dataclass(frozen=True)
class Batching(Row):
    sequences: Callable[[int, int | None], int]  # (batch_size, train_size; None: endless) -> sequences in a step


def _mini(batch_size: int, train_size: int | None) -> int:
    return batch_size if train_size is None else min(batch_size, train_size)


BATCHINGS: dict[str, Batching] = {
    "full": Batching(
        "full batch",
        "Every step sees the whole training set: the exact gradient, at the price of the whole set.",
        "Cauchy 1847",
        lambda batch_size, train_size: train_size or batch_size,
    ),
    "mini": Batching("mini-batch", "Every step sees some sequences: a cheap estimate of the gradient.", "", _mini),
    "single": Batching(
        "single",
        "Every step sees one sequence: the cheapest and noisiest estimate of the gradient.",
        "Robbins & Monro 1951",
        lambda batch_size, train_size: 1,
    ),
}
