"""Snapshots of what was computed outside of the app: a Trace, a History or a Trainer of anybody's. No Streamlit."""

from dataclasses import replace
from math import isfinite, nan
from typing import Any

import numpy as np

import engine
from app.curves import clipped_norm
from app.shown import Shown, shown_of
from app.snapshot import Snapshot
from engine.foreign.torch_gradients import Named
from engine.weights import blank, initialise

Array = np.ndarray


def is_own(t: engine.Trace) -> bool:
    """Is it of somebody's own module, as engine.torch_gradients gives it?"""
    return isinstance(t.state_dict, Named)


def experiment_of(t: engine.Trace, **fields: Any) -> engine.Experiment:
    """The experiment that stands for somebody's own network in pictures: its sizes, and its data as a task.

    fields: what else is known of it (clip, clip_threshold, lr, optimizer, …).
    """
    inputs, targets = data(t) or (np.zeros((t.hidden.shape[2], t.hidden.shape[1] - 1, 1)), np.zeros(t.hidden.shape[2]))
    layers, more, _batch, units = t.hidden.shape
    cell = t.kind.split(", ")[0]
    known = {
        "cell": cell.removesuffix("_before"), "reset_after": not cell.endswith("_before"), "clip": "none",
        "nonlinearity": t.nonlinearity, "hidden_size": units, "num_layers": layers, "seq_length": more - 1,
        "task": engine.sequences(inputs, targets, validation=0),
    }  # fmt: skip
    return engine.Experiment(**{**known, **fields})


def _targets(t: engine.Trace) -> Array:
    """Numbers have an axis of their own: (B, O), (T, B, O)."""
    alone = t.targets.dtype.kind == "f" and t.targets.ndim == 1
    return t.targets[:, None] if alone else t.targets


def data(t: engine.Trace) -> tuple[Array, Array] | None:
    """Inputs (B, T, I) and targets of a pass as engine.sequences takes them. None: a module may have others, that are
    not one for each sequence or timestep."""
    steps, batch = t.hidden.shape[1] - 1, t.hidden.shape[2]
    x, y = t.inputs, _targets(t)
    numbers = y.dtype.kind == "f"
    if x.ndim != 3 or x.shape[:2] != (steps, batch) or not np.isfinite(x).all() or y.dtype.kind not in "fiu":
        return None
    if len(t.outputs) == steps and y.shape[:2] == (steps, batch) and y.ndim == 2 + numbers:
        return x.swapaxes(0, 1), y.swapaxes(0, 1)
    return (x.swapaxes(0, 1), y) if len(t.outputs) == 1 and len(y) == batch and y.ndim == 1 + numbers else None


def guessing(e: engine.Experiment, of: engine.Trace | None) -> float:
    """What guessing costs. Of somebody's own module (`of`): NaN where its loss is neither the mean squared error nor
    the cross-entropy, with which `e` compares."""
    return engine.TASKS[e.task].baseline(e) if of is None or (data(of) and _is_usual(of)) else nan


def _is_usual(t: engine.Trace) -> bool:
    y, out = t.targets, t.outputs.astype(float)
    found = nan
    if y.dtype.kind == "f" and out.size == y.size:
        found = float(((out.ravel() - y.ravel()) ** 2).mean())
    elif y.dtype.kind in "iu" and out.size and out.shape[0] * out.shape[1] == y.size:
        out = out.reshape(y.size, -1)
        out = out - out.max(axis=1, keepdims=True)
        found = float((np.log(np.exp(out).sum(axis=1)) - out[np.arange(y.size), y.ravel()]).mean())
    return abs(found - t.loss) <= 1e-3 * abs(t.loss)  # float32


def _theory(e: engine.Experiment, t: engine.Trace | None) -> tuple[float | None, str]:
    """The mean field's slope, where the weights are those that the experiment draws: it is about no others."""
    if t is None or is_own(t):
        return None, ""
    drawn = blank(e)
    initialise(drawn, e)
    if not all(np.array_equal(w, t.state_dict.get(name, nan)) for name, w in drawn.copies().items()):
        return None, ""
    theory = engine.mean_field(e)
    return (None if np.isnan(theory.chi) else theory.slope), theory.reason


def _curve(h: engine.History | None, name: str, end: int, now: float, gaps: bool = False) -> Array:
    """(end + 1,): a number for each step, `now` at the end. Where a long run keeps not all: the one before, or gaps."""
    found = np.full(end + 1, nan)
    if h is not None:
        kept, to = getattr(h, name), int(h.at[-1]) + 1
        if gaps:
            found[h.at] = kept
        else:
            found[:to] = kept[np.searchsorted(h.at, np.arange(to), side="right") - 1]
    if isfinite(now):
        found[end] = now
    return found


def _shown(e: engine.Experiment, t: engine.Trace | None) -> tuple[Shown, tuple[int, ...]]:
    """The first sequence, and its timesteps of note; an empty one where there is none."""
    if t is None or not t.outputs.size or (is_own(t) and data(t) is None):
        none = np.zeros((0, 0))
        return Shown(none, none, none, none, none[:, 0:0].ravel(), none.ravel(), none, 0, (0.0, 1.0)), ()
    free = np.zeros((0, t.inputs.shape[2]))
    return shown_of(e, replace(t, targets=_targets(t)), free), engine.TASKS[e.task].marks(t.inputs, 0)


def snapshot(
    e: engine.Experiment, t: engine.Trace | None, h: engine.History | None, start: engine.Trace | None = None,
    step: int = 0, layer: int = 0, baseline: float = nan,
) -> Snapshot:  # fmt: skip
    """Of a pass at a training step; of a history, up to its last step; of both, where the pass follows the history.

    start: a pass at the start of training, for a pass without a history. Raises ValueError where the history is empty.
    """
    if h is not None and not len(h.at):
        h = None
    if t is None and (h is None or not len(h.grad_norms_at)):
        raise ValueError("what: a History without a step; allowed: one of training that has begun")
    end = step if h is None else int(h.at[-1]) + (t is not None)
    parts, at = ([], []) if h is None else ([h.log10_grad_norms], [h.grad_norms_at])
    if t is not None:
        parts, at = [*parts, t.log10_grad_norms[None]], [*at, np.array([end])]
    rows = np.concatenate(parts)
    now = rows[-1]
    first = rows[0] if start is None else start.log10_grad_norms
    if first.shape != now.shape:
        raise ValueError(f"start: {first.shape} layers and timesteps; allowed: {now.shape}, as the pass itself has")
    flow = t.log10_flow_norms if t is not None else now
    theory, note = _theory(e, start or (t if end == 0 else None))
    shown, marks = _shown(e, t)
    task = engine.TASKS[e.task]
    references = ((label, losses.get(e.loss_name)) for label, losses in task.references.items())
    return Snapshot(
        experiment=e, step=end, moment=end, reached=end, layer=layer, now=now,
        flow=flow if np.isfinite(flow).any() else now, start=first, marks=marks,
        hidden=np.zeros((*now.shape, 1)) if t is None else t.hidden[:, 1:, 0],
        loss=_curve(h, "loss", end, nan if t is None else t.loss),
        validation=_curve(h, "validation_loss", end, nan, gaps=True),
        grad_norm=_curve(h, "grad_norm", end, nan if t is None else t.grad_norm),
        clipped=_curve(h, "clipped", end, nan if t is None else clipped_norm(e, t)), lr=_curve(h, "lr", end, nan),
        rows=rows, rows_at=np.concatenate(at),
        changes=() if h is None else h.changes, stopped=None, examples=0, seconds=0.0, shown=shown,
        shown_span=shown.span, radii=(), radii_at=end, truncation=None if t is None else t.truncation, theory=theory,
        theory_note=note, baseline=baseline, baseline_label=task.baseline_label,
        references=tuple((label, of(e.seq_length)) for label, of in references if of is not None),
        diverged=None if h is None or h.diverged_at is None else (h.diverged_at, str(h.diverged_tensor)),
    )  # fmt: skip
