"""The explorer's pictures in a notebook: the figures of the page, of a Trace, a History or a Trainer. No Streamlit."""

import itertools
import re
from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import numpy as np
import plotly.graph_objects as go

import engine
from app.export import COLUMNS
from app.figures import FIGURES
from app.figures.asked import Asked
from app.figures.palette import palette
from app.figures.template import Part, standalone
from app.figures.why import WHY
from app.figures.words import verdict
from app.kept import Weights
from app.looks import INSTRUMENTS
from app.outside import experiment_of, guessing, is_own, snapshot
from app.snapshot import Snapshot
from app.words import _
from engine.instruments.pieces import finish

OF_PASS, OF_TRAINING = ("flow", "task", "state"), ("loss", "clip", "map")
BY_ITSELF = ("gates", "spectrum", "clipping")  # closer looks that need nothing but a Trace,
AGAIN = ("credit", "exponents", "floats", "update")  # and those that compute with the network once more
WIDE, LINE = 100, 17  # letters of a line of the answer, and its height in px

__all__ = ["experiment_of", "history", "show"]


def show(
    what: engine.Trace | engine.History | engine.Trainer, picture: str,
    of: engine.Experiment | engine.Trace | None = None, *, start: engine.Trace | None = None, step: int | None = None,
    layer: int = 1, baseline: float | None = None, theme: str = "light",
) -> go.Figure:  # fmt: skip
    """One picture of the page, with its question and the answer in numbers.

    what and picture: a Trace (of engine.probe, Trainer.trace or engine.torch_gradients) shows "flow", "task", "state",
    and the closer looks "gates_constants", "spectrum_singular", "clipping_plane", …; a History shows "loss", "clip",
    "map" and "flow"; a Trainer all of them. of: the Experiment that it is of. A Trace of somebody's own module needs
    none, or experiment_of(trace, clip="norm", …); for a History, `of` may be such a Trace, whose data say what guessing
    costs. start: a pass at the start of training, drawn dotted in "flow", and step: the training step of the Trace (1
    where there is a start, else 0); layer: 1, 2, …; baseline: what guessing costs, for a loss that is neither the mean
    squared error nor the cross-entropy; theme: "light" or "dark". Raises ValueError that says what the picture lacks.

    >>> picture = show(engine.probe(engine.Experiment()), "flow")
    >>> picture.layout.meta["question"]
    'How much gradient reaches step t?'
    """
    e, trace, past, own = _parts(what, of)
    panel, _under, name = picture.partition("_")
    closer = panel in BY_ITSELF + AGAIN and bool(name)
    if picture not in FIGURES and not closer:
        looks = ", ".join(f"{panel}_…" for panel in BY_ITSELF + AGAIN)
        raise ValueError(f"picture: {picture!r}; allowed: {', '.join(FIGURES)}, {looks}")
    if (picture in OF_TRAINING and past is None) or ((closer or picture in ("task", "state")) and trace is None):
        wants = "a History or a Trainer" if picture in OF_TRAINING else "a Trace or a Trainer"
        raise ValueError(f"{picture}: a {type(what).__name__}; allowed: {wants}")
    layers = trace.grad_norms.shape[0] if trace is not None else past.grad_norms.shape[1]  # type: ignore[union-attr]
    if not isinstance(layer, int) or not 1 <= layer <= layers:
        raise ValueError(f"layer: {layer!r}; allowed: 1 to {layers}")
    at = step if step is not None else int(start is not None)
    if closer:
        assert trace is not None
        return _figure(picture, _closer(e, trace, panel, name, at, layer - 1, theme), theme)
    base = float(baseline) if baseline is not None else guessing(e, own)
    s = snapshot(e, trace, past, start, at, layer - 1, base)
    _check(picture, s)
    p = palette(theme)
    return _figure(picture, _judged(FIGURES[picture](s, p), s) if picture == "flow" else FIGURES[picture](s, p), theme)


def history(
    loss: Sequence[float], validation: Mapping[int, float] | None = None, grad_norm: Sequence[float] | None = None,
    clipped: Sequence[float] | None = None, traces: Mapping[int, engine.Trace] | None = None,
) -> engine.History:  # fmt: skip
    """A training loop of one's own as a History: what it has found at steps 0, 1, 2, …, before each update.

    loss: of each step; validation: step -> loss; grad_norm: ‖g‖ before clipping (what clip_grad_norm_ of torch
    returns), and `clipped` after it; traces: step -> a pass there. Raises ValueError where they do not fit together.
    """
    n = len(loss)
    at, seen = {int(k): float(v) for k, v in (validation or {}).items()}, dict(sorted((traces or {}).items()))
    if n == 0:
        raise ValueError("loss: nothing; allowed: a number for each step")
    if outside := [k for k in (*at, *seen) if not 0 <= k < n]:
        raise ValueError(f"validation, traces: step {outside[0]}; allowed: 0 to {n - 1}, the steps of loss")
    losses, norms = (np.full(n, nan) if c is None else np.array(c, float) for c in (loss, grad_norm))
    used = norms if clipped is None else np.array(clipped, float)
    if wrong := [c.shape for c in (losses, norms, used) if c.shape != (n,)]:
        raise ValueError(f"loss, grad_norm, clipped: shape {wrong[0]}; allowed: ({n},), a number for each step")
    if len({t.grad_norms.shape for t in seen.values()}) > 1:
        raise ValueError("traces: of different layers or timesteps; allowed: passes of one network")
    rows = [t.log10_grad_norms for t in seen.values()] or [np.full((1, 1), nan)]
    lost = np.flatnonzero(~np.isfinite(losses))
    return engine.History(
        at=np.arange(n), loss=losses, validation_loss=np.array([at.get(k, nan) for k in range(n)]),
        lr=np.full(n, nan), grad_norm=norms, clipped=used, examples=np.full(n, nan),
        log10_grad_norms=np.stack(rows), grad_norms_at=np.array(list(seen) or [0]),
        diverged_at=int(lost[0]) if lost.size else None,
        diverged_tensor="loss" if lost.size else None, changes=(),
    )  # fmt: skip


def _parts(
    what: Any, of: Any
) -> tuple[engine.Experiment, engine.Trace | None, engine.History | None, engine.Trace | None]:
    """The experiment, the pass and the history that are drawn, and the pass whose data stand for the task."""
    if of is not None and not isinstance(of, engine.Experiment | engine.Trace):
        raise ValueError(f"of: {type(of).__name__}; allowed: an engine.Experiment, or a Trace of the same network")
    if isinstance(what, engine.Trainer):
        return what.experiment, what.trace(), what.history, None
    if not isinstance(what, engine.Trace | engine.History):
        raise ValueError(f"what: {type(what).__name__}; allowed: a Trace, a History or a Trainer")
    trace = what if isinstance(what, engine.Trace) else None
    past = what if isinstance(what, engine.History) else None
    if isinstance(of, engine.Experiment):
        return of if trace is None else _as_long(of, trace), trace, past, None
    data = of if of is not None else trace
    if data is None:
        raise ValueError("of: None; allowed: the Experiment of this History, or a Trace of the same network")
    return experiment_of(data), trace, past, data


def _as_long(e: engine.Experiment, t: engine.Trace) -> engine.Experiment:
    """The experiment with the timesteps of the pass, which may be of data of one's own."""
    more = t.hidden.shape[1] - 1 - e.steps
    return e.replace(seq_length=e.seq_length + more) if more and not engine.TASKS[e.task].fixed_steps else e


def _check(picture: str, s: Snapshot) -> None:
    """Raises ValueError where there is nothing to draw, with what would be."""
    if picture == "loss" and not isfinite(s.baseline):
        raise ValueError("loss: what guessing costs is not known; allowed: of=… whose data say it, or baseline=…")
    if picture == "clip" and not np.isfinite(s.grad_norm).any():
        raise ValueError("clip: the history has no norms; allowed: history(loss, grad_norm=…, clipped=…)")
    if picture in ("map", "flow") and np.isnan(s.rows).all():
        raise ValueError(f"{picture}: the history has no passes; allowed: history(loss, traces={{step: …}})")
    if picture == "task" and not s.shown.targets.size:
        raise ValueError("task: data that are not one for each sequence or timestep; allowed: those that are")


def _closer(e: engine.Experiment, t: engine.Trace, panel: str, name: str, step: int, layer: int, theme: str) -> Part:
    """A picture of a closer look, which is computed here."""
    if panel in AGAIN and is_own(t):
        raise ValueError(
            f"{panel}: it computes with the network once more, which takes one of the engine's; allowed: "
            "engine.probe of what engine.load_weights makes of the module"
        )
    asked = Asked(
        e, step, t.hidden.shape[2], finish(INSTRUMENTS[panel](e, t, Weights(step, e, t.state_dict))), layer=layer
    )
    pictures = WHY[panel].pictures(asked)
    if name not in pictures:
        listed = ", ".join(f"{panel}_{other}" for other in pictures)
        raise ValueError(f"picture: {panel}_{name}; allowed: {listed or 'none, as this cell has no gates'}")
    return pictures[name](asked, palette(theme))


def _judged(figure: Part, s: Snapshot) -> Part:
    """The flow with the verdict and its pace, which the page says above all pictures."""
    v, meta = verdict(s), figure["layout"]["meta"]
    if v["why"]:
        meta["answer"] = _("<b>{verdict}.</b> {why}").format(verdict=v["badge"], why=v["why"])
    return figure


def _figure(picture: str, figure: Part, theme: str) -> go.Figure:
    """With its answer in lines that a notebook is wide enough for, and its quantity along the axis."""
    meta, p = figure["layout"]["meta"], palette(theme)
    meta["answer"] = "<br>".join(lines := _lines(meta["answer"]))
    found = standalone(p, figure)
    axes = found["layout"]
    axes["margin"] = axes["margin"] | {"t": axes["margin"]["t"] + LINE * (len(lines) - 1), "l": 76}
    axes["height"] += LINE * (len(lines) - 1)
    columns = COLUMNS.get(picture) or COLUMNS.get(picture.rpartition("_")[0])
    if columns is not None:
        axes["yaxis"] = axes["yaxis"] | {"title": {"text": _named(columns.y), "standoff": 8}}
    _apart(axes)
    return go.Figure(found)


def _named(quantity: str) -> str:
    """As the axis says it, whose ticks are powers of ten."""
    return quantity.removeprefix("log10 ").replace("h_t", "h<sub>t</sub>")


def _apart(layout: Part) -> None:
    """Labels at the ends of lines keep a line's height between them."""
    low, high = layout["yaxis"]["range"]
    height = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
    ends = [a for a in layout["annotations"] if a.get("xshift") and a.get("xref") != "paper"]

    def up(a: Part) -> float:
        return float((a["y"] - low) / (high - low) * height + a["yshift"])

    ends.sort(key=up)
    for under, over in itertools.pairwise(ends):
        if over["x"] == under["x"] and (short := LINE - (up(over) - up(under))) > 0:
            over["yshift"] += short


def _lines(text: str) -> list[str]:
    """A text with markup in lines of at most WIDE letters, broken at blanks."""
    found = [""]
    for word in text.split(" "):
        longer = f"{found[-1]} {word}" if found[-1] else word
        if len(re.sub(r"<[^>]*>|&\w+;", "", longer)) > WIDE and found[-1]:
            found.append(word)
        else:
            found[-1] = longer
    return found
