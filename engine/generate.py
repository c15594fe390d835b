"""Letting a network run free: it hears a beginning, and from then on only what it says itself."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.data import as_inputs
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
    (temperature 0: the likeliest), one-hot. Raises ValueError where the task's outputs cannot be its inputs, or where
    an argument is none of what is allowed.
    """
    task = TASKS[e.task]
    if not task.generates:
        allowed = ", ".join(name for name, row in TASKS.items() if row.generates)
        raise ValueError(f"task={e.task}: its outputs are no inputs; allowed: {allowed}")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 0:
        raise ValueError(f"steps: {steps!r}; allowed: whole numbers, 0 or more")
    if not temperature >= 0:
        raise ValueError(f"temperature: {temperature!r}; allowed: 0 or more")
    x = as_inputs(inputs, e.dtype)
    if x.shape[2] != task.input_size:
        raise ValueError(f"inputs: shape {x.shape}; allowed: (T, B, {task.input_size})")
    parameters = blank(e)
    load(parameters, state_dict)
    heard = Network(e.kind, e.nonlinearity, parameters, len(x), x.shape[1], every_step=False)
    outputs = heard.forward(x)[0]
    alone = Network(e.kind, e.nonlinearity, parameters, 1, x.shape[1], every_step=True)
    alone.hidden[:, 1], rng = heard.hidden[:, -1], stream(seed, Purpose.GENERATE)
    alone.memory[:, -1] = heard.memory[:, -1]
    said = np.zeros((steps, *x.shape[1:]), x.dtype)
    for k in range(steps):
        said[k] = _chosen(outputs, temperature, rng) if task.symbols else outputs
        alone.hidden[:, 0], alone.memory[:, 0] = alone.hidden[:, 1], alone.memory[:, -1]
        outputs = alone.forward(said[k : k + 1])[0]
    return said


def _chosen(outputs: np.ndarray, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """One symbol a row of outputs (B, V), one-hot: the largest of output/temperature + Gumbel noise (Gumbel 1954)."""
    noise = rng.gumbel(size=outputs.shape)  # drawn at every temperature: the numbers of later steps stay the same
    score = outputs / temperature + noise if temperature > 0 else outputs
    return np.eye(outputs.shape[1], dtype=outputs.dtype)[score.argmax(axis=1)]
