"""Standard normal noise for a network of any size: something to run it on where no task fits."""

from dataclasses import dataclass
from math import log

import numpy as np

from engine.tasks.own import OwnTask, own_task
from engine.tasks.task import Task, at_any_length

MOST = 4096  # inputs, and outputs


@dataclass(frozen=True)
class Noise:
    """Inputs N(0, 1) and targets that have nothing to do with them: N(0, 1), or classes, all as likely."""

    input_size: int
    output_size: int
    loss: str

    @property
    def name(self) -> str:
        return f"noise-{self.input_size}-{self.output_size}-{self.loss}"

    @property
    def recipe(self) -> str:
        return f'engine.noise({self.input_size}, {self.output_size}, "{self.loss}")'

    def draw(self, rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """inputs (T, B, I); targets (B, O), or classes (B,), at the last timestep."""
        inputs = rng.standard_normal((seq_length, batch_size, self.input_size))
        if self.loss == "mse":
            return inputs, rng.standard_normal((batch_size, self.output_size))
        return inputs, rng.integers(0, self.output_size, batch_size)

    def task(self) -> Task:
        classes, each = self.output_size, 1 / self.output_size
        losses = {"mse": 1.0} if self.loss == "mse" else {"cross_entropy": log(classes), "mse": each * (1 - each)}
        return Task(
            label="noise",
            meaning="Noise in, and targets that have nothing to do with it: nothing to learn, but gradients flow.",
            source="standard normal numbers",
            input_size=self.input_size,
            output_size=self.output_size,
            loss=self.loss,
            every_step=False,
            draw=self.draw,
            trivial_loss={loss: at_any_length(value) for loss, value in losses.items()},
            baseline_label="guessing the mean",
            classes=() if self.loss == "mse" else tuple(str(k) for k in range(classes)),
        )


def noise(input_size: int, output_size: int, loss: str = "mse") -> OwnTask:
    """A task for a network of `input_size` inputs and `output_size` outputs: N(0, 1) in, nothing to learn.

    loss "mse": targets N(0, 1); "cross_entropy": classes, all as likely. Raises ValueError.
    """
    for name, value in (("input_size", input_size), ("output_size", output_size)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= MOST:
            raise ValueError(f"{name}: {value!r}; allowed: whole numbers from 1 to {MOST}")
    if loss not in ("mse", "cross_entropy"):
        raise ValueError(f"loss: {loss!r}; allowed: mse, cross_entropy")
    return own_task(Noise(int(input_size), int(output_size), loss))
