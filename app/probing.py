"""The pass that a closer look begins with: the batch of the run's step, or as much of it as says the same."""

import numpy as np

import engine
from app.kept import Weights
from engine.cells import KINDS
from engine.data import batch, dropout_masks

NUMBERS = 1 << 20  # of the states of all sequences that are looked at: a few of a large batch say the same


def sequences(e: engine.Experiment) -> int:
    """How many of the batch are looked at: all, unless they are very long or wide."""
    each = e.steps * e.hidden_size * e.num_layers * KINDS[e.kind].states
    return max(1, min(e.sequences, NUMBERS // each))


def probe(w: Weights, most: int | None = None, whole: bool = False) -> engine.Trace:
    """The pass at these weights on the batch that the run saw there, or on the first (at most so many) of it.

    `whole`: on all of it and with the step's dropout, for what has to be the very gradient of training.
    """
    e, (inputs, targets) = w.experiment, batch(w.experiment, w.step)
    if whole:
        return engine.probe(e, w.state_dict, inputs, targets, dropout_masks(e, w.step, inputs.shape[1]))
    return engine.probe(e, w.state_dict, *first(e, min(sequences(e), most or e.sequences), inputs, targets))


def first(e: engine.Experiment, few: int, inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first sequences of a batch."""
    return inputs[:, :few].copy(), targets[:, :few] if engine.TASKS[e.task].every_step else targets[:few]
