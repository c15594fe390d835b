"""Letting a network run free: it hears a beginning, and from then on only what it says itself."""

from collections.abc import Mapping
from math import inf
from numbers import Real
from typing import Any

import numpy as np

from engine.data import as_inputs, check_one_hot
from engine.experiment import Experiment
from engine.network import Network
from engine.parameters import load
from engine.streams import Purpose, stream
from engine.tasks import TASKS
from engine.weights import blank


def generate(
    e: Experiment, state_dict: Mapping[str, Any], inputs: Any, steps: int, seed: int = 0, temperature: float = 1.0
) -> np.ndarray:
    """(steps, B, I): what the network says after hearing `inputs` (T, B, I) and then nothing but itself.

    Numbers: each output is the next input. Symbols: each is drawn from softmax(output / temperature) by `seed`
    (temperature 0: the likeliest), one-hot; NaN where the output is. Raises ValueError where the task's outputs cannot
    be its inputs, or where an argument is none of what is allowed.
    """
    task = TASKS[e.task]
    if not task.generates:
        allowed = ", ".join(name for name, row in TASKS.items() if row.generates)
        raise ValueError(f"task={e.task}: its outputs are no inputs; allowed: {allowed}")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 0:
        raise ValueError(f"steps: {steps!r}; allowed: whole numbers, 0 or more")
    if isinstance(temperature, bool) or not isinstance(temperature, Real) or not 0 <= temperature < inf:
        raise ValueError(f"temperature: {temperature!r}; allowed: a number, 0 or more")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed: {seed!r}; allowed: whole numbers, 0 or more")
    x = as_inputs(inputs, e.dtype)
    if x.shape[2] != task.input_size:
        raise ValueError(f"inputs: shape {x.shape}; allowed: (T, B, {task.input_size})")
    if task.symbols:
        check_one_hot(x)
    parameters = blank(e)
    load(parameters, state_dict)
    heard = Network(e.kind, e.nonlinearity, parameters, len(x), x.shape[1], every_step=False)
    outputs = heard.forward(x)[0]
    alone = Network(e.kind, e.nonlinearity, parameters, 1, x.shape[1], every_step=True)
    alone.set_state(heard.hidden[:, -1], heard.memory[:, -1])
    rng = stream(seed, Purpose.GENERATE)
    said = np.zeros((steps, *x.shape[1:]), x.dtype)
    for k in range(steps):
        said[k] = _chosen(outputs, temperature, rng) if task.symbols else outputs
        outputs = alone.forward(said[k : k + 1])[0]
        alone.set_state(alone.hidden[:, -1], alone.memory[:, -1])
    return said


def _chosen(outputs: np.ndarray, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """One symbol a row of outputs (B, V), one-hot: the largest of output/temperature + Gumbel noise (Gumbel 1954)."""
    noise = rng.gumbel(size=outputs.shape)  # drawn at every temperature: the numbers of later steps stay the same
    score = outputs - outputs.max(axis=1, keepdims=True)
    if temperature > 0:
        with np.errstate(over="ignore"):
            score = score.astype(np.float64) / temperature + noise
    chosen = np.eye(outputs.shape[1], dtype=outputs.dtype)[score.argmax(axis=1)]
    chosen[~np.isfinite(outputs).all(axis=1)] = np.nan
    return chosen
