"""One update of a run, from the first timestep forward to the loss of the same batch after it. No Streamlit here."""

from dataclasses import replace

import numpy as np

import engine
from app.figures.motion import Motion, Named
from app.kept import Weights
from engine import updating
from engine.cells import KINDS
from engine.clipping import global_norm
from engine.data import dropout_masks
from engine.instruments import unrolled
from engine.instruments.blocks import flat, norms, starts
from engine.instruments.pieces import Pieces, part
from engine.losses import LOSSES

ALL, ENDS, SIDE = 14, 4, 2  # timesteps that are drawn; at each end of a long sequence at least; beside the chosen one


def columns(steps: int, around: int | None = None) -> list[int]:
    """The timesteps (1-based) that are drawn: all where there are few, else both ends and those around a chosen one."""
    if steps <= ALL:
        return list(range(1, steps + 1))
    middle = min(max(around or steps, 1), steps)
    chosen = set(range(1, ENDS + 1)) | set(range(steps - ENDS + 1, steps + 1))
    chosen |= {t for t in range(middle - SIDE, middle + SIDE + 1) if 1 <= t <= steps}
    for more in range(steps):  # what is left over goes to the ends in turn
        for t in (ENDS + 1 + more, steps - ENDS - more):
            if len(chosen) < ALL and 1 <= t <= steps:
                chosen.add(t)
    return sorted(chosen)


def in_pieces(e: engine.Experiment, t: engine.Trace, w: Weights, around: int | None = None) -> Pieces[Motion]:
    """Of the pass `t` at these weights, on the whole batch and with its dropout."""
    masks = dropout_masks(e, w.step, t.inputs.shape[1])
    at = np.array(columns(t.hidden.shape[1] - 1, around))
    found = yield from part(0.0, 0.8, unrolled.in_pieces(e, t, at, masks=masks))
    u = engine.update(e, t, w.optimizer_state, w.step, w.lr)
    yield 0.85
    raw, ends, none = flat(t.grads), starts(t.grads), np.zeros(0)
    clipped = raw.copy()
    clipped_norm = updating.clip(e, clipped, ends, t.grad_norm)
    with np.errstate(all="ignore"):
        after = engine.probe(e, _moved(t, u.weights + u.change), t.inputs, t.targets, masks)
        promised = None if e.omega else float(np.sum(np.float64(raw) * np.float64(u.change)))
    yield 0.95
    return Motion(
        unrolled=found, inputs=t.inputs[at - 1, 0], **_losses(e, t, at), loss=t.loss, loss_after=after.loss,
        promised=promised, raw_norms=norms(u.blocks, raw), clipped_norms=norms(u.blocks, clipped),
        grad_norm=t.grad_norm, clipped_norm=float(clipped_norm), cosine=_cosine(raw, clipped),
        changed=float(np.mean(raw != clipped)), marks=engine.TASKS[e.task].marks(t.inputs, 0),
        change_norm=float(global_norm(u.change)), weight_norm=float(global_norm(u.weights)),
        named=_named(e, t, u, w, raw, clipped), batch=t.inputs.shape[1],
        update=replace(u, gradient=none, change=none, state=none, weights=none),
    )  # fmt: skip


def _moved(t: engine.Trace, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The state dict with other weights (n,)."""
    ends = starts(t.state_dict)
    return {
        name: weights[ends[k] : ends[k + 1]].reshape(value.shape)
        for k, (name, value) in enumerate(t.state_dict.items())
    }


def _losses(e: engine.Experiment, t: engine.Trace, at: np.ndarray) -> dict[str, np.ndarray]:
    """Where in `at` a loss is read, what the first sequence says there and what is right, its loss and the batch's."""
    every_step, of = len(t.outputs) == t.hidden.shape[1] - 1 and engine.TASKS[e.task].every_step, LOSSES[e.loss_name]
    read = np.arange(len(at)) if every_step else np.array([len(at) - 1])
    rows = at - 1 if every_step else np.array([0])
    targets = t.targets if every_step else t.targets[None]
    with np.errstate(all="ignore"):
        own = [of.value_and_gradient(t.outputs[s : s + 1, :1], targets[s : s + 1, :1], 1.0)[0] for s in rows]
        whole = [of.value_and_gradient(t.outputs[s : s + 1], targets[s : s + 1], 1.0)[0] for s in rows]
    return {
        "read": read, "outputs": np.float64(t.outputs[rows, 0]), "targets": targets[rows, 0],
        "own_losses": np.array(own), "batch_losses": np.array(whole),
    }  # fmt: skip


def _cosine(g: np.ndarray, used: np.ndarray) -> float:
    lengths = float(global_norm(g)), float(global_norm(used))
    if not all(0 < length < np.inf for length in lengths):
        return float("nan")
    return float(np.clip(np.sum(np.float64(g) / lengths[0] * (np.float64(used) / lengths[1])), -1.0, 1.0))


def _named(
    e: engine.Experiment, t: engine.Trace, u: engine.Update, w: Weights, raw: np.ndarray, clipped: np.ndarray
) -> Named:
    """Of each unit its recurrent weight with the largest gradient (of the block that proposes the new state)."""
    layers, units, cell = e.num_layers, e.hidden_size, KINDS[e.kind]
    ends = dict(zip(t.grads, starts(t.grads)[:-1], strict=True))
    at, source = np.zeros((layers, units), int), np.zeros((layers, units), int)
    for layer in range(layers):
        name = f"weight_hh_l{layer}"
        rows = np.asarray(t.grads[name])[cell.candidate * units : (cell.candidate + 1) * units]
        source[layer] = np.abs(np.where(np.isfinite(rows), rows, 0.0)).argmax(axis=1)
        at[layer] = ends[name] + (cell.candidate * units + np.arange(units)) * units + source[layer]
    before = np.zeros_like(u.state) if w.optimizer_state is None else w.optimizer_state
    w0, g0, g1, g, change = (np.asarray(x[at], np.float64) for x in (u.weights, raw, clipped, u.gradient, u.change))
    slots = (np.asarray(x[:, at], np.float64) for x in (before, u.state))
    return Named(source, w0, g0, g1, g, change, *slots)
