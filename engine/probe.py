"""One look at an experiment: a forward and a backward pass, nothing trained."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.clipping import global_norm
from engine.data import as_inputs, as_targets, batch
from engine.experiment import Experiment
from engine.network import Network, first_non_finite
from engine.parameters import Parameters, load, shapes
from engine.tasks import TASKS
from engine.trace import Trace, trace
from engine.weights import initialise


def probe(e: Experiment, state_dict: Mapping[str, Any] | None = None, inputs: Any = None, targets: Any = None) -> Trace:
    """One pass at the initial weights on the first batch, or on your weights, or on your data.

    state_dict: arrays with PyTorch's names and shapes; inputs: (T, B, I); targets: (B,), (B, O) or (T, B, O) real, or
    classes (B,) or (T, B). Where your inputs and targets differ from the task's in T, B, I or O, yours are used.
    Raises ValueError that names what is wrong with an argument. Dropout is off, as in torch's eval mode.
    """
    if (inputs is None) != (targets is None):
        raise ValueError("inputs and targets: one is given without the other; allowed: both or neither")
    if inputs is None:
        x, y = batch(e, 0)
    else:
        x = as_inputs(inputs, e.dtype)
        y = as_targets(e, targets, *x.shape[:2])
    of_classes = y.dtype.kind == "i"
    every_step = y.ndim == (2 if of_classes else 3)
    task = TASKS[e.task]
    outputs = (
        y.shape[-1]
        if not of_classes
        else max(task.output_size, int(y.max()) + 1)
        if inputs is not None
        else task.output_size
    )
    if state_dict is not None and "head.weight" in state_dict and of_classes:
        rows = len(np.asarray(state_dict["head.weight"]))
        if rows <= int(y.max()):
            raise ValueError(f"targets: class {int(y.max())}; allowed: 0 to {rows - 1}, the rows of head.weight")
        outputs = rows
    parameters = Parameters(e.cell, shapes(e.cell, x.shape[2], e.hidden_size, e.num_layers, outputs), np.dtype(e.dtype))
    if state_dict is None:
        initialise(parameters, e)
    else:
        load(parameters, state_dict)
    network = Network(e.cell, e.nonlinearity, parameters, len(x), x.shape[1], every_step)
    loss, norm, non_finite = run_pass(network, e, x, y)
    return trace(network, loss, x, y, norm, non_finite)


def run_pass(
    network: Network, e: Experiment, inputs: np.ndarray, targets: np.ndarray, masks: np.ndarray | None = None
) -> tuple[float, float, str | None]:
    """Forward, loss, backward: (loss, ‖g‖₂, first non-finite tensor or None); the rest is in the network's buffers."""
    network.forward(inputs, masks)
    loss, d_outputs = network.loss(e.loss_name, targets)
    network.backward(d_outputs, e.tbptt or 0)
    norm = global_norm(network.gradient.flat)
    non_finite = None if np.isfinite(loss) and np.isfinite(norm) else first_non_finite(network, loss)
    return loss, norm, non_finite
