"""Where a pass gets its numbers from: the task's batches, or arrays of one's own, checked."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.experiment import Experiment
from engine.parameters import as_array
from engine.streams import Purpose, stream
from engine.tasks import TASKS

MOST_CLASSES = 1 << 16
AHEAD_NUMBERS = 1 << 16  # of inputs that are drawn ahead of their step
VALIDATION_SEQUENCES = 256  # the variance of so many targets is known to 9 %
FEWEST_SEQUENCES = 16  # where a sequence is very long or the network very wide
VALIDATION_NUMBERS, CHUNK_NUMBERS = 1 << 22, 1 << 19  # hidden states of all of them, and of those computed at once


def batch(e: Experiment, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The batch of training step `step` (0, 1, …): the same whatever cell, width, weights or optimizer is used."""
    return next(batches(e, step))


def batches(e: Experiment, step: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of training steps `step`, step+1, …: fresh sequences, or a finite training set epoch by epoch.

    The set is put into a new random order at every epoch, and the last batch of an epoch takes what is left. A batch
    of the whole set has no order.
    """
    if e.train_size is None:
        yield from _endless(e, step)
    task, each = TASKS[e.task], e.steps_per_epoch or 1
    inputs, targets = _cast(e, *task.draw(stream(e.seed, Purpose.TRAINING_SET), e.seq_length, e.train_size or 0))
    while each == 1:
        yield inputs, targets
    while True:
        epoch, k = divmod(step, each)
        order = stream(e.seed, Purpose.ORDER, epoch).permutation(len(inputs[0]))
        for start in range(k * e.sequences, len(order), e.sequences):
            chosen = order[start : start + e.sequences]
            yield np.ascontiguousarray(inputs[:, chosen]), targets[:, chosen] if task.every_step else targets[chosen]
        step = (epoch + 1) * each


def _endless(e: Experiment, step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some are drawn ahead, while the code that draws them is still in the cache; a probe wants only the first."""
    draw, some = TASKS[e.task].draw, 1
    while True:
        ahead = [
            _cast(e, *draw(stream(e.seed, Purpose.DATA, k), e.seq_length, e.sequences))
            for k in range(step, step + some)
        ]
        yield from ahead
        step, some = step + some, max(1, min(16, AHEAD_NUMBERS // (e.steps * e.sequences)))


def validation_batches(e: Experiment) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sequences drawn apart from training's, the same at every step: 256 in all, or all of those that are held back.

    The batches are of one size, or differ by one sequence. Fewer, down to 16, where T·H·L, or T·I, is so large that
    validation would cost more than training. Where there are few different sequences (a parity of 5 bits) some are also
    in the training set.
    """
    each = e.steps * max(e.hidden_size * e.num_layers, TASKS[e.task].input_size)
    count = _power_of_two(VALIDATION_NUMBERS // each, FEWEST_SEQUENCES, VALIDATION_SEQUENCES)
    size = _power_of_two(CHUNK_NUMBERS // each, 1, count)
    task = TASKS[e.task]
    if task.held_back is not None and task.held_back * each <= VALIDATION_NUMBERS:
        count, size = task.held_back, max(1, min(task.held_back, CHUNK_NUMBERS // each))
    inputs, targets = (task.draw_validation or task.draw)(stream(e.seed, Purpose.VALIDATION), e.seq_length, count)
    parts, axis = -(-count // size), 1 if task.every_step else 0  # of the sequences, in the targets
    return [
        _cast(e, x, y)
        for x, y in zip(np.array_split(inputs, parts, 1), np.array_split(targets, parts, axis), strict=True)
    ]


def _power_of_two(n: int, low: int, high: int) -> int:
    """The largest power of two up to n, between two others."""
    return max(low, min(high, 1 << max(0, n.bit_length() - 1)))


def dropout_masks(e: Experiment, step: int, batch_size: int) -> np.ndarray | None:
    """(L−1, T, B, H): 0 with probability `dropout`, else 1/(1 − dropout); None where nothing is dropped.

    variational_dropout: one mask for all timesteps, (L−1, 1, B, H).
    """
    if e.dropout == 0 or e.num_layers == 1:
        return None
    shape = (e.num_layers - 1, 1 if e.variational_dropout else e.steps, batch_size, e.hidden_size)
    kept = stream(e.seed, Purpose.DROPOUT, step).random(shape) >= e.dropout
    return kept.astype(e.dtype) / np.dtype(e.dtype).type(1 - e.dropout)


def _cast(e: Experiment, inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if targets.dtype.kind == "f":
        targets = targets.astype(e.dtype)
    return np.ascontiguousarray(inputs, e.dtype), targets


def as_inputs(value: Any, dtype: str) -> np.ndarray:
    """A user's inputs as a clean (T, B, I) array. Raises ValueError that names what is wrong."""
    inputs = as_array("inputs", value)
    if inputs.ndim != 3 or inputs.size == 0 or inputs.dtype.kind not in "fiub":
        raise ValueError(
            f"inputs: shape {inputs.shape}, {inputs.dtype}; allowed: real numbers of shape (T, B, I), each at least 1"
        )
    return _finite("inputs", inputs, dtype)


def check_one_hot(inputs: np.ndarray) -> None:
    """Raises ValueError unless every input (T, B, I) is a symbol: one 1, and 0 else."""
    wrong = np.argwhere(~(((inputs == 0) | (inputs == 1)).all(axis=2) & (inputs.sum(axis=2) == 1)))
    if len(wrong):
        t, b = (int(i) for i in wrong[0])
        raise ValueError(f"inputs[{t}, {b}]: {inputs[t, b]}; allowed: one 1 and else 0, a symbol one-hot")


def _finite(name: str, value: np.ndarray, dtype: str) -> np.ndarray:
    """A clean copy in the floating type. Raises ValueError that names the first element that is not finite in it."""
    with np.errstate(over="ignore"):
        clean = np.array(value, dtype, order="C")
    if not np.isfinite(clean).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(clean))[0])
        raise ValueError(f"{name}{list(where)}: {value[where]}; allowed: finite numbers within the range of {dtype}")
    return clean


def as_targets(e: Experiment, value: Any, steps: int, batch_size: int) -> np.ndarray:
    """A user's targets: real (B,), (B, O) or (T, B, O); classes (B,) or (T, B) for a task or loss of classes."""
    targets = as_array("targets", value)
    classes = e.loss_name == "cross_entropy" or (TASKS[e.task].loss == "cross_entropy" and targets.dtype.kind in "iu")
    if classes:
        allowed = f"whole numbers from 0 to {MOST_CLASSES - 1} of shape ({batch_size},) or ({steps}, {batch_size})"
        good = targets.dtype.kind in "iu" and targets.shape in ((batch_size,), (steps, batch_size))
        if not good or not 0 <= targets.min() <= targets.max() < MOST_CLASSES:
            raise ValueError(f"targets: {_described(targets)}; allowed: {allowed}")
        return targets.astype(np.int64)
    allowed = f"real numbers of shape ({batch_size},), ({batch_size}, O) or ({steps}, {batch_size}, O)"
    shape = targets.shape
    last_step = targets.ndim <= 2 and shape[:1] == (batch_size,)
    good = last_step or (targets.ndim == 3 and shape[:2] == (steps, batch_size))
    if not good or targets.size == 0 or targets.dtype.kind not in "fiub":
        raise ValueError(f"targets: {_described(targets)}; allowed: {allowed}")
    return _finite("targets", targets[:, None] if targets.ndim == 1 else targets, e.dtype)


def _described(x: np.ndarray) -> str:
    low = f", {x.min()} to {x.max()}" if x.size and x.dtype.kind in "iuf" else ""
    return f"shape {x.shape}, {x.dtype}{low}"
