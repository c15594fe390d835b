"""Results: what one pass shows (Trace), and what a training run was (History). All arrays are read-only."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from engine.activations import ACTIVATIONS
from engine.cells import KINDS
from engine.network import Network
from engine.parameters import frozen
from engine.passes import Pass


@dataclass(frozen=True, eq=False)
class Trace:
    """One forward and one backward pass, at fixed weights, on one batch.

    T timesteps, B sequences, I inputs, H units, L layers. `grad_norms` and `log10_grad_norms` are of the mean over the
    batch of ‖∂L/∂h_t‖₂, everything that arrives at h_t; the second is exact past the range of the floating type, where
    the first is 0 or infinite, as long as a single step back does not change the gradient by more than some 150 decades
    (20 in float32), and no more lie between ∂L/∂h and ∂L/∂c of an LSTM.
    """

    loss: float
    inputs: np.ndarray  # (T, B, I)
    targets: np.ndarray  # as the task's: (B, O), (B,), (T, B, O) or (T, B)
    outputs: np.ndarray  # (S, B, O): S = T where the loss is read at every step, else 1
    hidden: np.ndarray  # (L, T+1, B, H); hidden[:, 0] is the initial state
    cell: np.ndarray | None  # (L, T+1, B, H) for LSTM, else None
    gates: Mapping[str, np.ndarray]  # {"i": (L, T, B, H), …}; {} for RNN
    grad_norms: np.ndarray  # (L, T), float64
    log10_grad_norms: np.ndarray  # (L, T), float64
    log10_flow_norms: np.ndarray  # (L, T): the same for the loss of the last timestep alone; see Network
    grads: Mapping[str, np.ndarray]  # ∂L/∂θ of every parameter, before clipping
    state_dict: Mapping[str, np.ndarray]  # the weights
    grad_norm: float  # ‖g‖₂ over all parameters, before clipping
    non_finite: str | None  # the first tensor with a NaN or an infinity, None where all is finite
    truncation: tuple[float, float] | None  # truncated BPTT: (cosine, ratio of norms) against the full gradient
    omega: float | None  # Pascanu's Ω, which is not part of `loss`; None where it has no weight
    kind: str  # the cell as it was computed, a name in engine.cells.KINDS; several only of torch_gradients: "gru, lstm"
    nonlinearity: str  # φ, a name in ACTIVATIONS


def trace(network: Network, done: Pass) -> Trace:
    """Copy the results of a pass out of the network's buffers."""
    log10 = network.log10_norms()
    flow = log10 if len(done.d_outputs) == 1 else network.log10_flow_norms(done.d_outputs, done.cut)
    with np.errstate(over="ignore", under="ignore"):
        norms, exponents = network.mean_norms()
        linear = np.ldexp(norms, np.clip(exponents, -5000, 5000).astype(np.int32))
    return Trace(
        loss=done.loss,
        inputs=frozen(done.inputs.copy()),
        targets=frozen(done.targets.copy()),
        outputs=frozen(network.outputs.copy()),
        hidden=frozen(network.hidden),
        cell=frozen(network.memory) if network.cell.states == 2 else None,
        gates={name: frozen(network.gate(name)) for name in network.cell.gates},
        grad_norms=frozen(linear),
        log10_grad_norms=frozen(log10),
        log10_flow_norms=frozen(flow),
        grads=network.gradient.copies(),
        state_dict=network.parameters.copies(),
        grad_norm=done.grad_norm,
        non_finite=done.non_finite,
        truncation=network.against_full(done.d_outputs, done.cut) if done.cut else None,
        omega=done.omega,
        kind=_name(KINDS, network.cell),
        nonlinearity=_name(ACTIVATIONS, network.activation),
    )


def check_trace(t: Any, e: Any = None) -> None:
    """Raises ValueError unless it is a Trace, and of a network such as e's where there is one."""
    if not isinstance(t, Trace):
        raise ValueError(f"trace: {t!r:.80}; allowed: what engine.probe, Trainer.trace or torch_gradients gave")
    if t.kind not in KINDS:
        raise ValueError(f"trace: of several cells, {t.kind}; allowed: of one, as by torch_gradients(recurrent=…)")
    if e is None:
        return
    layers, units, rows = e.num_layers, e.hidden_size, len(t.hidden)
    if (t.kind, rows, t.hidden.shape[-1]) != (e.kind, layers, units):
        raise ValueError(
            f"trace: {t.kind}, {rows} × {t.hidden.shape[-1]} units; "
            f"allowed: the experiment's {e.kind}, {layers} × {units} units"
        )


def _name(table: Mapping[str, Any], row: Any) -> str:
    return next(name for name, other in table.items() if other is row)


class Change(NamedTuple):
    """A setting changed in training: update `step` + 1 was the first that used the new value."""

    step: int
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, eq=False)
class History:
    """A training run so far. An entry of step k is measured at the weights before update k+1.

    Of each curve the first 2^18 steps are all kept, `at` = 0, 1, 2, …; of a longer run every 2nd, then every 4th step,
    and so on, to its end. `grad_norms`, `log10_grad_norms` are kept of fewer, `grad_norms_at`, thinned in the same way.
    So a trainer remembers at most 13 MB of curves and 64 MB of norms (or 16 rows, where those are more) however long it
    trains. A History shares the curves with it, and copies the norms: as much again.
    """

    at: np.ndarray  # (entries,), training steps, ascending
    loss: np.ndarray  # (entries,), training, of the step's own batch; without weight decay and Ω
    validation_loss: np.ndarray  # (entries,), NaN where it was not measured
    lr: np.ndarray  # (entries,)
    grad_norm: np.ndarray  # (entries,), ‖g‖₂ over all parameters, before clipping
    clipped: np.ndarray  # (entries,), the same after clipping
    examples: np.ndarray  # (entries,), sequences seen by the updates up to and with this one
    log10_grad_norms: np.ndarray  # (rows, L, T)
    grad_norms_at: np.ndarray  # (rows,), training steps, ascending
    diverged_at: int | None  # the first step with a non-finite number, None where there is none
    diverged_tensor: str | None  # the first such tensor
    changes: tuple[Change, ...]  # what Trainer.change changed while it trained

    @cached_property
    def grad_norms(self) -> np.ndarray:
        """(rows, L, T); beyond the range of float64 it is 0 or infinite, and log10_grad_norms is not."""
        with np.errstate(over="ignore", under="ignore"):
            return frozen(np.float_power(10.0, self.log10_grad_norms))
