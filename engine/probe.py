"""One look at an experiment: a forward and a backward pass, nothing trained."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.data import as_inputs, as_targets, batch, check_one_hot
from engine.experiment import Experiment, check_experiment
from engine.network import Network
from engine.parameters import Parameters, as_array, load, shapes
from engine.passes import run_pass
from engine.tasks import TASKS
from engine.trace import Trace, trace
from engine.weights import initialise


def probe(
    e: Experiment, state_dict: Mapping[str, Any] | None = None, inputs: Any = None, targets: Any = None,
    masks: Any = None,
) -> Trace:  # fmt: skip
    """One pass at the initial weights on the first batch, or on your weights, or on your data.

    state_dict: arrays with PyTorch's names and shapes; inputs: (T, B, I); targets: (B,), (B, O) or (T, B, O) real, or
    classes (B,) or (T, B). Where your inputs and targets differ from the task's in T, B, I or O, yours are used.
    Raises ValueError that names what is wrong with an argument. Dropout is off, as in torch's eval mode, unless `masks`
    are given: those of a training step (engine.data.dropout_masks).
    """
    network, x, y = network_of(e, state_dict, inputs, targets)
    if masks is not None:
        masks = _as_masks(e, masks, *x.shape[:2])
    return trace(network, run_pass(network, e, x, y, masks))


def network_of(
    e: Experiment, state_dict: Mapping[str, Any] | None = None, inputs: Any = None, targets: Any = None
) -> tuple[Network, np.ndarray, np.ndarray]:
    """The network that probe() looks at, and its batch: inputs (T, B, I) and targets. Raises ValueError as it does."""
    check_experiment(e)
    if (inputs is None) != (targets is None):
        raise ValueError("inputs and targets: one is given without the other; allowed: both or neither")
    if inputs is None:
        x, y = batch(e, 0)
    else:
        x = as_inputs(inputs, e.dtype)
        y = as_targets(e, targets, *x.shape[:2])
        if e.embedding_dim is not None:
            check_one_hot(x)
    of_classes = y.dtype.kind == "i"
    every_step = y.ndim == (2 if of_classes else 3)
    outputs = _output_size(e, y, state_dict) if of_classes else y.shape[-1]
    sizes = x.shape[2], e.hidden_size, e.num_layers, outputs, e.embedding_dim
    parameters = Parameters(e.kind, shapes(e.kind, *sizes), np.dtype(e.dtype))
    if state_dict is None:
        initialise(parameters, e)
    else:
        load(parameters, state_dict)
    return Network(e.kind, e.nonlinearity, parameters, len(x), x.shape[1], every_step), x, y


def _as_masks(e: Experiment, value: Any, steps: int, batch: int) -> np.ndarray:
    masks = as_array("masks", value)
    allowed = [(e.num_layers - 1, n, batch, e.hidden_size) for n in (steps, 1)]
    if masks.shape not in allowed or masks.dtype.kind not in "fiub":
        raise ValueError(
            f"masks: shape {masks.shape}, {masks.dtype}; allowed: {allowed[0]} or {allowed[1]}, real numbers"
        )
    return np.ascontiguousarray(masks, e.dtype)


def _output_size(e: Experiment, classes: np.ndarray, state_dict: Mapping[str, Any] | None) -> int:
    """As many as the head has rows, or else the task classes (more if the targets name more)."""
    most = int(classes.max())
    if not isinstance(state_dict, Mapping) or "head.weight" not in state_dict:
        return max(TASKS[e.task].output_size, most + 1)
    head = as_array("state_dict['head.weight']", state_dict["head.weight"])
    if head.ndim != 2:
        raise ValueError(f"state_dict['head.weight']: shape {head.shape}; allowed: (O, H)")
    rows = len(head)
    if most >= rows:
        raise ValueError(f"targets: class {most}; allowed: 0 to {rows - 1}, the rows of head.weight")
    return rows
