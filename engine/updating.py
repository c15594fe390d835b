"""One update of all weights: clip, decay, and the optimizer's step. The trainer's, and the one that is looked at."""

import numpy as np

from engine.clipping import CLIPS
from engine.experiment import Experiment
from engine.optimizers import OPTIMIZERS, decay_weights, shrink_weights
from engine.schedules import SCHEDULES


def learning_rate(e: Experiment, steps: int) -> float:
    """η of the update that comes `steps` steps after its schedule began."""
    return e.lr * SCHEDULES[e.schedule].factor(steps, e.schedule_steps, e.schedule_factor)


def clip(e: Experiment, gradient: np.ndarray, starts: np.ndarray, norm: float) -> float:
    """Clip the gradient (n,) in place; the norm that it has then. starts: of each tensor in it, and its end."""
    apply = CLIPS[e.clip].apply
    return norm if apply is None else apply(gradient, starts, norm, e.clip_threshold)


def decay(e: Experiment, weights: np.ndarray, gradient: np.ndarray, lr: float) -> None:
    """Weight decay, in place: of the weights where the optimizer decouples it, else as part of the gradient."""
    if e.weight_decay and OPTIMIZERS[e.optimizer].decoupled:
        shrink_weights(weights, lr * e.weight_decay)
    elif e.weight_decay:
        decay_weights(weights, gradient, e.weight_decay)


def step(e: Experiment, weights: np.ndarray, gradient: np.ndarray, state: np.ndarray, lr: float, k: int) -> None:
    """The optimizer's update number k = 1, 2, …, in place on weights (n,) and state (slots, n)."""
    OPTIMIZERS[e.optimizer].update(weights, gradient, state, lr, e.momentum, k)
