"""Sequences of one's own, cut already: arrays of inputs and targets, a part of them for validation."""

import hashlib
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from engine.own.series import LARGEST
from engine.parameters import as_array
from engine.tasks.own import OwnTask, own_task
from engine.tasks.task import Task, at_any_length

MOST_CLASSES = 1 << 16


@dataclass(frozen=True, eq=False)
class Sequences:
    """inputs (T, N, I) float64; targets as a task's: (N, O), (N,), (T, N, O) or (T, N). The last `held` are for
    validation."""

    inputs: np.ndarray
    targets: np.ndarray
    held: int
    every_step: bool
    outputs: int

    @property
    def name(self) -> str:
        digest = hashlib.sha256(f"{self.inputs.shape} {self.targets.shape} {self.held} {self.outputs}".encode())
        digest.update(self.inputs.tobytes() + self.targets.tobytes())
        return f"sequences-{digest.hexdigest()[:24]}"

    @property
    def recipe(self) -> str:
        return f"engine.sequences(INPUTS, TARGETS, validation={self.held / self.inputs.shape[1]:.12g})"

    def _some(self, rng: np.random.Generator, low: int, high: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """`count` of the sequences low … high−1 in a random order; where more are asked for, all again."""
        chosen = low + np.concatenate([rng.permutation(high - low) for _ in range(-(-count // (high - low)))])[:count]
        return self.inputs[:, chosen], self.targets[:, chosen] if self.every_step else self.targets[chosen]

    def draw(self, rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Sequences of the training part, none twice before all have come."""
        return self._some(rng, 0, self.inputs.shape[1] - self.held, batch_size)

    def draw_validation(
        self, rng: np.random.Generator, seq_length: int, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sequences of the part that is held back."""
        return self._some(rng, self.inputs.shape[1] - self.held, self.inputs.shape[1], batch_size)

    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        """Targets that training sees and those held back; without a held part the same twice."""
        axis, count = 1 if self.every_step else 0, self.inputs.shape[1]
        seen, held = np.split(self.targets, [count - self.held], axis)
        return seen, held if self.held else seen

    def constant_loss(self, loss: str) -> float:
        """On the part held back, of the training part's mean, or of its classes' shares (each count raised by 1)."""
        return self.loss_of_constant(*self._split(), loss)

    def loss_of_constant(self, seen: np.ndarray, held: np.ndarray, loss: str) -> float:
        """As constant_loss, of these targets."""
        if self.targets.dtype.kind == "f":
            return float(((held - seen.mean(axis=tuple(range(seen.ndim - 1)))) ** 2).mean())
        share = np.bincount(seen.ravel(), minlength=self.outputs) + 1.0
        share /= share.sum()
        of_truth = share[held.ravel()]
        if loss == "cross_entropy":
            return float(-np.log(of_truth).mean())
        return float((1 - 2 * of_truth + share @ share).mean() / self.outputs)  # against one-hot

    def task(self) -> Task:
        classes = self.targets.dtype.kind == "i"
        losses = {loss: self.constant_loss(loss) for loss in (("cross_entropy", "mse") if classes else ("mse",))}
        return Task(
            label="own sequences",
            meaning="Sequences of one's own, and what is asked about each.",
            source="one's own data",
            input_size=self.inputs.shape[2],
            output_size=self.outputs,
            loss=next(iter(losses)),
            every_step=self.every_step,
            draw=self.draw,
            trivial_loss={loss: at_any_length(value) for loss, value in losses.items()},
            baseline_label="class shares" if classes else "guessing the mean",
            classes=tuple(str(k) for k in range(self.outputs)) if classes else (),
            draw_validation=self.draw_validation if self.held else None,
            held_back=self.held or None,
            fixed_steps=len(self.inputs),
        )


def sequences(inputs: Any, targets: Any, validation: float = 0.2) -> OwnTask:
    """A task of sequences of one's own, to be used as `Experiment(task=sequences(x, y), …)`.

    inputs (N, T, I), or (N, T) for I = 1; targets (N,) or (N, O) at the last timestep, (N, T, O) at every timestep;
    whole numbers from 0 are classes, (N,) or (N, T). The last share `validation` of the sequences is kept for
    validation (0: none, and validation draws from all). T is that of the data, whatever seq_length says; train_size
    is how many of them training sees, None all. Raises ValueError that names the array, what it is and what is allowed.
    """
    x, y = as_array("inputs", inputs), as_array("targets", targets)
    x = x[:, :, None] if x.ndim == 2 else x
    if x.ndim != 3 or x.size == 0 or x.dtype.kind not in "fiub":
        raise ValueError(f"inputs: shape {x.shape}, {x.dtype}; allowed: real numbers (N, T, I), each at least 1")
    count, steps = x.shape[:2]
    classes = y.dtype.kind in "iu"
    every_step = y.shape[:2] == (count, steps) and y.ndim == (2 if classes else 3)
    if (
        y.size == 0
        or y.dtype.kind not in "fiu"
        or not (every_step or (y.shape[:1] == (count,) and y.ndim <= 2 - classes))
    ):
        raise ValueError(
            f"targets: shape {y.shape}, {y.dtype}; allowed: real numbers ({count},), ({count}, O) or "
            f"({count}, {steps}, O), or classes as whole numbers ({count},) or ({count}, {steps})"
        )
    if classes and not 0 <= y.min() <= y.max() < MOST_CLASSES:
        raise ValueError(f"targets: classes from {y.min()} to {y.max()}; allowed: 0 to {MOST_CLASSES - 1}")
    for name, value in (("inputs", x), ("targets", y)):
        fits = abs(value) <= np.float64(LARGEST) if value.dtype.kind == "f" else np.True_
        if not fits.all():
            where = tuple(int(i) for i in np.argwhere(~fits)[0])
            raise ValueError(f"{name}{list(where)}: {value[where]}; allowed: finite numbers up to {LARGEST:g}")
    real = isinstance(validation, Real) and not isinstance(validation, bool) and 0 <= float(validation) < 1
    held = round(float(validation) * count) if real else -1
    if not 0 <= held < count:
        raise ValueError(
            f"validation: {validation!r:.80}; allowed: a share from 0, less than 1, that leaves one to train on"
        )
    x = np.ascontiguousarray(np.moveaxis(x, 0, 1), np.float64)
    y = y[:, None] if y.ndim == 1 and not classes else y
    y = np.ascontiguousarray(np.moveaxis(y, 0, 1) if every_step else y, np.int64 if classes else np.float64)
    outputs = int(y.max()) + 1 if classes else y.shape[-1]
    for array in (x, y):
        array.setflags(write=False)
    return own_task(Sequences(x, y, held, every_step, max(2, outputs) if classes else outputs))
