"""The curves of a run: the engine's history, and the pass at the current weights as their last entry."""

from dataclasses import dataclass

import numpy as np

import engine


@dataclass(frozen=True)
class Curves:
    """A run up to `reached`, as read-only arrays; the pass at the current weights is their last entry."""

    reached: int
    loss: np.ndarray  # (reached+1,), like the next three
    validation: np.ndarray
    grad_norm: np.ndarray
    clipped: np.ndarray
    rows: np.ndarray  # (n, L, T) log10 norms
    rows_at: np.ndarray  # (n,)
    diverged: tuple[int, str] | None


def curves_of(trainer: engine.Trainer, trace: engine.Trace | None) -> Curves:
    """The history, and the pass at the current weights as its last entry (where divergence has not ended the run)."""
    h, e = trainer.history, trainer.experiment
    if h.diverged_at is not None and len(h.loss) > h.diverged_at:
        n = h.diverged_at + 1
        parts = [a[:n] for a in (h.loss, h.validation_loss, h.grad_norm, h.clipped)]
        before = h.grad_norms_at < n
        rows, at = h.log10_grad_norms[before], h.grad_norms_at[before]
    else:
        assert trace is not None
        validation = trainer.validation_loss() if trainer.step % 10 == 0 else np.nan
        now = (trace.loss, validation, trace.grad_norm, _clipped(e, trace))
        parts = [np.append(a, x) for a, x in zip((h.loss, h.validation_loss, h.grad_norm, h.clipped), now, strict=True)]
        rows = np.concatenate([h.log10_grad_norms, trace.log10_grad_norms[None]])
        at = np.append(h.grad_norms_at, trainer.step)
    for array in (*parts, rows, at):
        array.flags.writeable = False
    diverged = None if h.diverged_at is None else (h.diverged_at, str(h.diverged_tensor))
    return Curves(len(parts[0]) - 1, *parts, rows, at, diverged)


def _clipped(e: engine.Experiment, trace: engine.Trace) -> float:
    """The norm of the gradient that the next update will use."""
    if e.clip == "none":
        return trace.grad_norm
    flat = np.concatenate([g.ravel() for g in trace.grads.values()])
    engine.CLIPS[e.clip].apply(flat, trace.grad_norm, e.clip_threshold)
    return float(np.linalg.norm(flat))
