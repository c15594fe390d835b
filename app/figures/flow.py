"""How much gradient reaches step t? One backward pass, along the sequence."""

from typing import Any

import numpy as np

from app.figures.numbers import short, times
from app.figures.palette import Palette
from app.figures.scales import decades, gaps, grow, thin
from app.figures.template import Part, across, axis, dots, label, layout, line, timesteps, upright
from app.snapshot import Snapshot
from app.words import _
from engine import TASKS

FEW = 20  # timesteps up to which each is marked
POINTS = 100  # of the theory, so that it can be read everywhere
MARK = 0.2  # height of the mark of ξ, as a share of the picture
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

    curve(s.start[s.layer], p.ghost, 2.5, dash="2.5px,3px")  # dotted: the past, and no theory
    if s.drawn > 0:
        name("start", _("at the start"), p.soft)
    if line_of := _theory(s, p):
        data.append(line_of)
        name("theory", _("theory (wide network)"), p.theory)
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
    cuts = cut_before(s)
    low, high = span(s)
    clear = 0.86 if now[-1] > high - 0.1 * (high - low) else 1  # of a curve that ends in that corner
    back = {"text": _("← back in time"), "x": clear, "y": 1, "xanchor": "right", "yanchor": "top"}
    shapes = [across(0, p.faint, steps + 0.5, 0.5)]
    shapes += [upright(t - 0.5, p.threshold, dash="2px,3px") for t in cuts] if len(cuts) <= MOST_CUTS else []
    if line_of and (reaches := steps - s.memory_length) >= 1:
        text = _("ξ = {n} steps").format(n=short(s.memory_length, 2))
        shapes.append(upright(reaches, p.theory, **_dash(s)) | {"y1": MARK})
        place = [reaches, low + MARK / 2 * (high - low)]
        labels.append(label("memory", text, p.theory, [], "at", at=place, loose=True))
    meta = {
        "question": _("How much gradient reaches step t?"), "answer": _answer(s), "x": "t",
        "labels": labels, "ticks": {"x": "count", "y": "log"}, "notes": [back] if steps > 3 else [],
        "about": _about(s) if line_of else "",
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 6), grid=True)
    return {"data": data, "layout": layout(p, timesteps(p, s), y, meta, shapes)}


def _dash(s: Snapshot) -> Part:
    """Dashed is a theory one of whose assumptions fails."""
    return {"dash": "5px,4px"} if s.theory_fails else {}


def _theory(s: Snapshot, p: Palette) -> Part | None:
    """The mean field's line through the start's gradient at the last timestep; None where there is nothing to draw."""
    steps, last = s.now.shape[1], s.start[s.layer, -1]
    if s.theory is None or not np.isfinite([s.theory, last]).all() or steps < 2:
        return None
    end = span(s)[int(s.theory > 0)]  # where it leaves the picture there is nothing to point at
    first = steps - (end - last) / s.theory if s.theory else 1.0
    first = int(np.ceil(np.clip(first, 1, steps - 1)))
    t = np.unique(np.linspace(first, steps, min(steps, POINTS)).round().astype(np.int32))
    said = _("theory 10<sup>%{{y:.2f}}</sup>: ×{factor} a step back").format(factor=times(s.theory, 3))
    if s.theory_fails:
        said += "<br>" + _("dashed: {why}").format(why=_(s.theory_fails))
    return line(
        t, gaps(last + s.theory * (steps - t)), p.theory, 1.5, hoverinfo="all", hovertemplate=said + "<extra></extra>",
        **_dash(s),
    )  # fmt: skip


def _about(s: Snapshot) -> str:
    """What theory, ξ and dashes mean."""
    return _(
        "Theory: the mean field of a wide random network before training. Each step back multiplies ‖∂L/∂h‖² by χ = "
        "{chi}; ξ = 1/|log χ| steps, the memory length, change it by a factor e = 2.7. The line is dashed where one of "
        "the theory's assumptions fails."
    ).format(chi=short(10 ** (2 * s.theory) if s.theory is not None else np.nan))


def cut_before(s: Snapshot) -> list[int]:
    """The timesteps (1-based) before which truncated backpropagation cuts: no gradient flows from them to the left."""
    k = s.experiment.tbptt
    return [] if k is None else list(range(k + 1, s.now.shape[1] + 1, k))


def _answer(s: Snapshot) -> str:
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
    text = _("{what}, mean over the batch").format(what=what)
    if s.theory is None or not np.isfinite(s.theory):
        return f"{text} · <i>{_('theory: {why}').format(why=_(s.theory_note))}</i>" if s.theory_note else text
    if s.theory_fails:
        return f"{text} · <i>{_('theory, dashed: {why}').format(why=_(s.theory_fails))}</i>"
    pace = _("theory: ×{factor} a step back, memory {n} steps")
    pace = pace.format(factor=times(s.theory, 3), n=short(s.memory_length, 2))
    return f"{text} · <i>{pace}</i>"
