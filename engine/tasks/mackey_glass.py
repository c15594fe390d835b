"""Mackey–Glass: predict the next value of a chaotic series that comes from one equation with a delay."""

from functools import cache

import numpy as np
from numpy.polynomial import chebyshev

from engine.tasks.task import Task

BETA, GAMMA, POWER, DELAY = 0.2, 0.1, 10, 17  # of the equation; a timestep is one unit of time
# In delays: the transient that is dropped, and how much later a sequence may begin. The series keeps its beat (about 51
# timesteps, 3 delays) for thousands of steps, so histories alone would leave all sequences in the same phase.
DROPPED, PHASES = 20, 30
TOGETHER = 32  # sequences: products so small that BLAS starts no threads for them
DEGREE = 40  # of the polynomial in a delay: the series is exact to about 1e-8 (tested)
VARIANCE, PERSISTENCE = 0.05112, 0.0010888  # measured on 16 000 sequences of 2000 timesteps; no formula is known


@cache
def _matrices() -> tuple[np.ndarray, np.ndarray]:
    """One delay of time, s in [0, τ], by collocation at the Chebyshev nodes s_0 = 0 … s_N = τ.

    The first (N+1, N+1) solves x' + γx = f: it takes x(0), f(s_1) … f(s_N) to x(s_0) … x(s_N). The second (τ, N+1)
    reads the values at s = 0, 1, …, τ−1 from those at the nodes.
    """
    nodes = -np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)  # 2 s/τ − 1
    to_coefficients = np.linalg.inv(chebyshev.chebvander(nodes, DEGREE))
    slopes = chebyshev.chebvander(nodes, DEGREE - 1) @ chebyshev.chebder(np.eye(DEGREE + 1)) * (2 / DELAY)
    equation = slopes @ to_coefficients + GAMMA * np.eye(DEGREE + 1)
    equation[0] = np.eye(DEGREE + 1)[0]
    timesteps = 2 * np.arange(DELAY) / DELAY - 1
    return np.linalg.inv(equation), chebyshev.chebvander(timesteps, DEGREE) @ to_coefficients


def integrate(start: np.ndarray, steps: int) -> np.ndarray:
    """(steps, B): x at t = 0, 1, …, from x = start (B,) for all t ≤ 0.

    x'(t) = β x(t−τ) / (1 + x(t−τ)^n) − γ x(t). Within one delay the first term is known from the delay before, and
    what is left is linear: the method of steps.
    """
    solve, read = _matrices()
    series = np.empty((-(-steps // DELAY) * DELAY, len(start)))
    for b in range(0, len(start), TOGETHER):
        x = np.broadcast_to(start[b : b + TOGETHER], (DEGREE + 1, len(start[b : b + TOGETHER])))
        for t in range(0, steps, DELAY):
            right = BETA * x / (1 + x**POWER)
            right[0] = x[-1]
            x = solve @ right
            series[t : t + DELAY, b : b + TOGETHER] = read @ x
    return series[:steps]


def draw(rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (T, B, 1): x at T successive times, β = 0.2, γ = 0.1, n = 10, τ = 17; targets (T, B, 1): the next value.

    Each sequence has a history of its own, x = U(0.5, 1.5) for t ≤ 0, and begins 340 to 849 timesteps later.
    """
    start = rng.uniform(0.5, 1.5, batch_size)
    begin = DROPPED * DELAY + rng.integers(0, PHASES * DELAY, batch_size)
    series = integrate(start, (DROPPED + PHASES) * DELAY + seq_length)
    wave = series[begin + np.arange(seq_length + 1)[:, None], np.arange(batch_size), None]
    return wave[:-1], wave[1:]


TASK = Task(
    label="Mackey–Glass",
    meaning="A chaotic series from an equation with a delay of 17 steps: at every step, predict the next value.",
    source="Mackey & Glass 1977; as a task of prediction Lapedes & Farber 1987, Jaeger & Haas 2004",
    input_size=1,
    output_size=1,
    loss="mse",
    every_step=True,
    draw=draw,
    trivial_loss={"mse": lambda seq_length: PERSISTENCE},
    baseline_label="last value again",
    references={"guessing the mean": {"mse": lambda seq_length: VARIANCE}},
    generates=True,
)
