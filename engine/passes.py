"""A pass: forward, loss, backward, at fixed weights on one batch."""

from math import isfinite
from typing import NamedTuple

import numpy as np

from engine.clipping import global_norm
from engine.experiment import Experiment
from engine.network import Network, first_non_finite
from engine.omega import omega


class Pass(NamedTuple):
    """What a pass found beside what stays in the network's buffers."""

    loss: float
    grad_norm: float  # ‖g‖₂ over all parameters
    non_finite: str | None  # the first tensor with a NaN or an infinity
    inputs: np.ndarray
    targets: np.ndarray
    d_outputs: np.ndarray  # ∂L/∂outputs (S, B, O)
    cut: int  # truncated BPTT, 0 for none
    omega: float | None  # Pascanu's Ω, without its weight; None where it has none. It is not part of `loss`


def run_pass(
    network: Network, e: Experiment, inputs: np.ndarray, targets: np.ndarray, masks: np.ndarray | None = None
) -> Pass:
    """Forward, loss and backward through `network`, with dropout masks if any, and Ω's gradient added if it counts."""
    cut, keeps = e.tbptt or 0, None
    loss, d_outputs = network.learn(inputs, targets, e.loss_name, cut, masks)
    if e.omega:
        keeps, gradients = omega(network, d_outputs, cut)
        for layer, gradient in enumerate(gradients):
            network.gradient[f"weight_hh_l{layer}"][...] += e.omega * gradient
    norm = global_norm(network.gradient.flat)
    non_finite = None if isfinite(loss) and isfinite(norm) else first_non_finite(network, loss)
    return Pass(loss, norm, non_finite, inputs, targets, d_outputs, cut, keeps)
