"""Sine: predict the next value of a wave of unknown period and phase."""

from math import pi, sin

import numpy as np

from engine.tasks.task import Task

SHORTEST, LONGEST = 10.0, 50.0  # periods in timesteps


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 1): sin(ωt + φ), ω ~ U(2π/50, 2π/10), φ ~ U(0, 2π); targets (T, B, 1): the next value."""
    omega = rng.uniform(2 * pi / LONGEST, 2 * pi / SHORTEST, batch_size)
    phase = rng.uniform(0, 2 * pi, batch_size)
    wave = np.sin(omega * np.arange(seq_length + 1)[:, None] + phase)[..., None]
    return wave[:-1], wave[1:]


def persistence(seq_length: int) -> float:
    """E (x_{t+1} - x_t)² = E[1 - cos ω] over ω ~ U(a, b) = 1 - (sin b - sin a)/(b - a)."""
    a, b = 2 * pi / LONGEST, 2 * pi / SHORTEST
    return 1 - (sin(b) - sin(a)) / (b - a)


TASK = Task(
    label="sine",
    meaning="At every step, predict the next value of a sine wave whose period (10 to 50 steps) and phase vary.",
    source="the standard first example of sequence prediction",
    input_size=1,
    output_size=1,
    loss="mse",
    every_step=True,
    draw=draw,
    trivial_loss={"mse": persistence},
    baseline_label="last value again",
    references={"guessing the mean": {"mse": lambda seq_length: 1 / 2}},  # variance of a sine of random phase
    generates=True,
)
