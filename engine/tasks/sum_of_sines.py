"""Sum of sines: predict the next value of three waves of unknown periods and phases on top of each other."""

from math import pi

import numpy as np

from engine.tasks import sine
from engine.tasks.task import Task

WAVES = 3


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 1): the mean of three waves sin(ωt + φ), ω ~ U(2π/50, 2π/10), φ ~ U(0, 2π), each drawn by itself;
    targets (T, B, 1): the next value."""
    omega = rng.uniform(2 * pi / sine.LONGEST, 2 * pi / sine.SHORTEST, (WAVES, batch_size))
    phase = rng.uniform(0, 2 * pi, (WAVES, batch_size))
    time = np.arange(seq_length + 1)[:, None]
    wave = sum(np.sin(w * time + p) for w, p in zip(omega, phase, strict=True))[..., None] / WAVES
    return wave[:-1], wave[1:]


TASK = Task(
    label="sum of sines",
    meaning="At every step, predict the next value of the mean of three sine waves; periods and phases vary.",
    source="the standard second example of sequence prediction",
    input_size=1,
    output_size=1,
    loss="mse",
    every_step=True,
    draw=draw,
    # Waves of independent phases do not correlate: variances of a sum add up, and the mean of n has 1/n of one's.
    trivial_loss={"mse": lambda seq_length: sine.persistence(seq_length) / WAVES},
    baseline_label="last value again",
    references={"guessing the mean": {"mse": lambda seq_length: 1 / (2 * WAVES)}},
    generates=True,
)
