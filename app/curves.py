"""The curves of a run: the engine's history, and the pass at the current weights as their last entry."""

from dataclasses import dataclass
from math import nan

import numpy as np

import engine
from engine.clipping import global_norm


@dataclass(frozen=True, eq=False)
class Curves:
    """A run up to `reached`, as read-only arrays; the pass at the current weights is their last entry."""

    loss: np.ndarray  # (reached+1,), like the next five
    validation: np.ndarray
    grad_norm: np.ndarray
    clipped: np.ndarray
    lr: np.ndarray
    examples: np.ndarray  # sequences seen by the updates up to and with that of the step; NaN at the last
    rows: np.ndarray  # (n, L, T) log10 norms
    rows_at: np.ndarray  # (n,)
    diverged: tuple[int, str] | None
    changes: tuple[engine.Change, ...]

    @property
    def reached(self) -> int:
        return len(self.loss) - 1


def curves_of(trainer: engine.Trainer, trace: engine.Trace | None, validation: float) -> Curves:
    """The history, and the pass and validation at the current weights as its last entry; None: divergence ended it."""
    h = trainer.history
    parts = [h.loss, h.validation_loss, h.grad_norm, h.clipped, h.lr, h.examples]
    rows, at = h.log10_grad_norms, h.grad_norms_at
    if trace is not None:
        now = trace.loss, validation, trace.grad_norm, clipped_norm(trainer.experiment, trace), trainer.lr, nan
        parts = [np.append(part, value) for part, value in zip(parts, now, strict=True)]
        rows, at = np.concatenate([rows, trace.log10_grad_norms[None]]), np.append(at, trainer.step)
    elif h.diverged_at is not None:  # updates may have gone on after the pass that was not finite
        n = h.diverged_at + 1
        parts, rows, at = [part[h.at < n] for part in parts], rows[at < n], at[at < n]
    for array in (*parts, rows, at):
        array.flags.writeable = False
    loss, validation_loss, grad_norm, clipped, lr, examples = parts
    diverged = None if h.diverged_at is None else (h.diverged_at, str(h.diverged_tensor))
    return Curves(loss, validation_loss, grad_norm, clipped, lr, examples, rows, at, diverged, h.changes)


def clipped_norm(e: engine.Experiment, trace: engine.Trace) -> float:
    """The norm of the gradient that the next update will use."""
    clip = engine.CLIPS[e.clip].apply
    if clip is None:
        return trace.grad_norm
    flat = np.concatenate([g.ravel() for g in trace.grads.values()])
    starts = np.cumsum([0, *(g.size for g in trace.grads.values())])
    clip(flat, starts, trace.grad_norm, e.clip_threshold)
    return float(global_norm(flat))
