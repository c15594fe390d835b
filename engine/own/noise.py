"""Noise for a network of any size: something to run it on where no task fits."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np

from engine.tasks.own import DESCRIBED, PREFIX, OwnTask, own_task
from engine.tasks.task import Task, at_any_length

MOST = 4096  # inputs, and outputs
LOSSES = ("mse", "cross_entropy")
Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]
NAME = re.compile(rf"{PREFIX}noise-([0-9]{{1,4}})-([0-9]{{1,4}})-({'|'.join(LOSSES)})(-symbols)?")


def _draw(input_size: int, output_size: int, loss: str, symbols: bool) -> Draw:
    def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """inputs (T, B, I); targets (B, O), or classes (B,), at the last timestep."""
        if symbols:
            inputs = np.zeros((seq_length, batch_size, input_size))
            drawn = rng.integers(0, input_size, (seq_length, batch_size, 1))
            np.put_along_axis(inputs, drawn, 1.0, axis=2)
        else:
            inputs = rng.standard_normal((seq_length, batch_size, input_size))
        if loss == "mse":
            return inputs, rng.standard_normal((batch_size, output_size))
        return inputs, rng.integers(0, output_size, batch_size)

    return draw


@dataclass(frozen=True)
class Noise:
    """Inputs N(0, 1), or one of `input_size` symbols; targets, N(0, 1) or a class, have nothing to do with them."""

    input_size: int
    output_size: int
    loss: str
    symbols: bool = False

    @property
    def name(self) -> str:
        kind = "-symbols" if self.symbols else ""
        return f"noise-{self.input_size}-{self.output_size}-{self.loss}{kind}"

    @property
    def recipe(self) -> str:
        return f'engine.noise({self.input_size}, {self.output_size}, "{self.loss}", {self.symbols})'

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
            draw=_draw(self.input_size, self.output_size, self.loss, self.symbols),
            trivial_loss={loss: at_any_length(value) for loss, value in losses.items()},
            baseline_label="guessing the mean",
            symbols=tuple(str(k) for k in range(self.input_size)) if self.symbols else (),
            classes=() if self.loss == "mse" else tuple(str(k) for k in range(classes)),
        )


def noise(input_size: int, output_size: int, loss: str = "mse", symbols: bool = False) -> OwnTask:
    """A task for a network of `input_size` inputs and `output_size` outputs: N(0, 1) in, nothing to learn.

    loss "mse": targets N(0, 1); "cross_entropy": classes, all as likely. `symbols`: the input at each step is one of
    `input_size` symbols, all as likely, as a network with an embedding needs. Its name says all about it, so that it is
    understood wherever it stands. Raises ValueError.
    """
    for name, value in (("input_size", input_size), ("output_size", output_size)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= MOST:
            raise ValueError(f"{name}: {value!r}; allowed: whole numbers from 1 to {MOST}")
    if loss not in LOSSES:
        raise ValueError(f"loss: {loss!r}; allowed: {', '.join(LOSSES)}")
    if not isinstance(symbols, bool):
        raise ValueError(f"symbols: {symbols!r}; allowed: True, False")
    return own_task(Noise(int(input_size), int(output_size), loss, symbols))


def _described(name: str) -> OwnTask | None:
    match = NAME.fullmatch(name)
    if match is None:
        return None
    try:
        found = noise(int(match[1]), int(match[2]), match[3], bool(match[4]))
    except ValueError:
        return None
    return found if found == name else None  # not 007


DESCRIBED.append(_described)
