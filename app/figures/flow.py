"""How much gradient reaches step t? One backward pass, along the sequence."""

from typing import Any

import numpy as np

from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import decades, gaps, grow, thin
from app.figures.template import Part, across, axis, dots, label, layout, line, timesteps, upright
from app.snapshot import Snapshot
from app.words import _
from engine import TASKS

FEW = 20  # timesteps up to which each is marked
MOST_CUTS = 40  # and cuts of truncated backpropagation


def span(s: Snapshot) -> tuple[float, float]:
    """Decades from low to high over the whole run so far; they grow by 4 and by 2, and 1 is always in view."""
    low, high = s.extremes
    return min(-4.0, grow(low, 4)), max(2.0, grow(high, 2))


def flow(s: Snapshot, p: Palette) -> Part:
    layers, steps = s.now.shape
    every_step = TASKS[s.experiment.task].every_step
    data: list[Part] = []
    labels: list[Part] = []

    def curve(values: np.ndarray, color: str, width: float, **more: Any) -> None:
        kept = thin(values)
        data.append(line(kept + 1, gaps(values[kept]), color, width, **more))

    def name(key: str, text: str, color: str) -> None:
        labels.append(label(key, text, color, [len(data) - 1], "beside"))

    curve(s.start[s.layer], p.ghost, 3)
    if s.drawn > 0:
        name("start", _("at the start"), p.soft)
    if s.theory is not None and np.isfinite(s.theory) and np.isfinite(s.start[s.layer, -1]):
        ends = np.array([1, steps], np.int32)
        data.append(line(ends, gaps(s.start[s.layer, -1] + s.theory * (steps - ends)), p.theory, 1.5, dash="5px,4px"))
        name("theory", _("theory"), p.theory)
    if every_step:
        curve(s.flow[s.layer], p.gradient, 1.5, hoverinfo="all", hovertemplate="10<sup>%{y:.2f}</sup><extra></extra>")
        name("last", _("of the last loss alone"), p.gradient)
    for other in range(layers):
        if other != s.layer:
            curve(s.now[other], p.gradient, 1.5, opacity=0.6)
            name(f"layer{other}", _("layer {n}").format(n=other + 1), p.gradient)
    now = s.now[s.layer]
    points = {"mode": "lines+markers"} if steps <= FEW else {}
    curve(now, p.gradient, 3.5, hoverinfo="all", hovertemplate="10<sup>%{y:.2f}</sup><extra></extra>", **points)
    if layers > 1:
        name("now", f"<b>{_('layer {n}, step {step}').format(n=s.layer + 1, step=s.drawn)}</b>", p.gradient)
    else:
        name("now", f"<b>{_('step {n}').format(n=s.drawn)}</b>", p.gradient)
    if np.isfinite(now[-1]):
        enters = np.linspace(0, steps - 1, min(steps, 11)) if every_step else np.array([steps - 1])
        at = np.unique(enters.round().astype(np.int32))
        data.append(dots(at + 1, gaps(now[at]), p.loss, 6 if every_step else 10))
        labels.append(label("loss", f"<b>{_('loss')}</b>", p.loss, [], "at", at=[steps, float(now[-1])]))
    back = {"text": _("← back in time"), "x": 1, "y": 1, "xanchor": "right", "yanchor": "top"}
    cuts = cut_before(s)
    shapes = [across(0, p.faint, steps + 0.5, 0.5)]
    shapes += [upright(t - 0.5, p.threshold, dash="2px,3px") for t in cuts] if len(cuts) <= MOST_CUTS else []
    meta = {
        "question": _("How much gradient reaches step t?"), "answer": _answer(s, every_step), "x": "t",
        "labels": labels, "ticks": {"x": "count", "y": "log"}, "notes": [back] if steps > 3 else [],
    }  # fmt: skip
    low, high = span(s)
    y = axis(p, (low, high), decades(low, high, 6), grid=True)
    return {"data": data, "layout": layout(p, timesteps(p, s), y, meta, shapes)}


def cut_before(s: Snapshot) -> list[int]:
    """The timesteps (1-based) before which truncated backpropagation cuts: no gradient flows from them to the left."""
    k = s.experiment.tbptt
    return [] if k is None else list(range(k + 1, s.now.shape[1] + 1, k))


def _answer(s: Snapshot, every_step: bool) -> str:
    now = s.now[s.layer]
    what = "‖∂L/∂h<sub>t</sub>‖"
    reached = np.flatnonzero(np.isfinite(now))
    if s.lost:
        return _("{what} at step {n}, the last that is a number").format(what=what, n=s.drawn)
    if not reached.size:
        return _("{what}: no gradient at all at any step t (an exact 0)").format(what=what)
    cuts = cut_before(s)
    if cuts and s.truncation is not None:
        text = _("{what}: none crosses a cut. <b>Cosine {cosine}, length {ratio}</b> of the full gradient")
        cosine, ratio = (short(x, 2) for x in s.truncation)
        return text.format(what=what, cosine=cosine, ratio=ratio)
    if np.isneginf(now[0]):
        text = _("{what}: <b>no gradient at all</b> before step t = {t} (an exact 0)")
        return text.format(what=what, t=reached[0] + 1)
    if s.theory is None and s.theory_note:
        text = _("{what}, mean over the batch").format(what=what)
        return f"{text} · <i>{_('theory: {why}').format(why=_(s.theory_note))}</i>"
    if every_step:
        return _("{what}, mean over the batch. The loss enters at every step").format(what=what)
    return _("{what}, mean over the batch. It enters at the loss and flows left").format(what=what)
