"""What does the loss look like around here? A slice of the landscape, the run's way over it, and how far off it is."""

from dataclasses import replace
from math import ceil, floor, log10

import numpy as np

from app.figures.asked import Asked, Draw, along, even_axis
from app.figures.credit import percent, sequences
from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import Ticks, decades, gaps
from app.figures.template import Part, dots, heatmap, label, layout, line, upright
from app.words import _, sentences
from engine import Landscape

DEEP = 8  # decades of the colour scale, at most, from the lowest loss up
SPAN = 3.0  # the highest loss by the lowest one, from where colours are of its logarithm
NEAR = 0.06  # of the picture's width: the start of a run that lies nearer has no label of its own
LEVELS = 10  # lines of equal loss
LARGE, SMALL = 9.0, 4.0  # px of a state's dot, in the plane and far off


def surface(a: Asked, p: Palette) -> Part:
    found = a.found.landscape
    loss, (low, high), ticks, logs = _scale(found.loss)
    dx, dy = float(found.x[1] - found.x[0]), float(found.y[1] - found.y[0])
    said = "10<sup>%{z:.2f}</sup>" if logs else "%{z:.3~g}"
    z = gaps(loss)
    data = [
        heatmap(
            z, (float(found.x[0]), dx), (float(found.y[0]), dy), (low, high), p.losses,
            hovertemplate=_("loss {value} in this plane").format(value=said) + "<extra></extra>",
        ),
        heatmap(
            np.where(np.isnan(z), np.float32(1), np.float32(np.nan)), (float(found.x[0]), dx), (float(found.y[0]), dy),
            (0.0, 1.0), ((0.0, p.faint), (1.0, p.faint)),
            hovertemplate=_("no finite loss") + "<extra></extra>",
        ),
    ]  # fmt: skip
    data += _lines(z, (float(found.x[0]), dx), (float(found.y[0]), dy), low, high, p)
    labels: list[Part] = []
    if len(a.found.steps) > 1 and np.isfinite(found.path).all():
        data += _way(a, p)
        start = [float(v) for v in found.path[0]]
        far = np.abs(found.path[0]) / [found.x[-1] - found.x[0], found.y[-1] - found.y[0]]
        if far.max() > NEAR:
            labels.append(
                label("start", _("step {n}").format(n=a.found.steps[0]), p.ink, [], "at", at=start, loose=True)
            )
    here = _("<b>here</b>") if np.isfinite(found.here) else _("<b>here</b>: no finite loss")
    data.append(dots(np.zeros(1, np.float32), np.zeros(1, np.float32), p.ink, 13, symbol="x-thin",
                     line={"width": 3, "color": p.ink}))  # fmt: skip
    labels.append(label("here", here, p.ink, [], "at", at=[0.0, 0.0], loose=True))
    meta = {
        "question": _("What lies around the network?"), "answer": _plane(a), "x": _unit(found.directions),
        "labels": labels, "ticks": {"x": "real", "y": "real"},
        "bar": {"range": [low, high], "ticks": [list(tick) for tick in zip(*ticks, strict=True)]},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, _side(p, found.x, dx), _side(p, found.y, dy), meta, [], "closest")}


def _scale(loss: np.ndarray) -> tuple[np.ndarray, tuple[float, float], Ticks, bool]:
    """The colours' values, their range and ticks, and whether they are log10."""
    finite = loss[np.isfinite(loss) & (loss > 0)]
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.1, 1.0)
    if most < SPAN * least:
        ends = [least, most if most > least else 1.01 * least]
        return loss, (ends[0], ends[1]), (ends, [short(v) for v in ends]), False
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(loss == 0, log10(least), np.log10(loss))
    low, high = log10(least), log10(most)
    if high - low < 1.5:
        inside = [e + log10(n) for e in range(floor(low), ceil(high)) for n in (1, 2, 5)]
        at = [low, *(v for v in inside if low + 0.08 < v < high - 0.08), high]
        return values, (low, high), (at, [short(10**v) for v in at]), True
    low, high = floor(low), min(ceil(high), floor(low) + DEEP)
    return values, (float(low), float(high)), decades(low, high, 4), True


def _lines(
    z: np.ndarray, x: tuple[float, float], y: tuple[float, float], low: float, high: float, p: Palette
) -> list[Part]:
    """Lines of equal loss; none where all losses are one."""
    there = z[np.isfinite(z)]
    low, high = max(low, float(there.min(initial=np.inf))), min(high, float(there.max(initial=-np.inf)))
    size = (high - low) / LEVELS
    if not size > 1e-6 * abs(high):
        return []
    lines = {
        "type": "contour", "z": z, "x0": x[0], "dx": x[1], "y0": y[0], "dy": y[1], "showscale": False,
        "autocontour": False,
        "contours": {"start": low + size, "end": high - size / 2, "size": size, "coloring": "none"},
        "line": {"width": 1, "color": p.ink}, "opacity": 0.28, "hoverinfo": "skip", "connectgaps": False,
    }  # fmt: skip
    return [lines]


def _way(a: Asked, p: Palette) -> list[Part]:
    """The states of the run where they come to lie; the farther off the plane, the smaller and fainter the dot."""
    found = a.found.landscape
    x, y = gaps(found.path[:, 0]), gaps(found.path[:, 1])
    near = 1.0 / (1.0 + found.off_plane / _reach(found))
    look = {
        "size": gaps(SMALL + (LARGE - SMALL) * near), "color": p.ink, "opacity": gaps(0.25 + 0.75 * near),
        "line": {"width": 1, "color": p.paper},
    }  # fmt: skip
    said = [
        _("step {n}: loss {loss}<br>{off} off this plane").format(n=n, loss=short(float(v)), off=short(float(d), 2))
        for n, v, d in zip(a.found.steps, found.path_loss, found.off_plane, strict=True)
    ]
    hover = {"text": said, "hoverinfo": "all", "hovertemplate": "%{text}<extra></extra>"}
    marks = dots(x, y, p.ink, 1) | {"cliponaxis": True} | hover
    return [line(x, y, p.paper, 4, opacity=0.6), line(x, y, p.ink, 1.5), marks | {"marker": look}]


def _reach(found: Landscape) -> float:
    """‖Δθ‖ from the middle of the picture to its side: a state as far off the plane is drawn half as near."""
    return float(max((found.x[-1] - found.x[0]) * found.lengths[0], 1e-30) / 2)


def _side(p: Palette, at: np.ndarray, step: float) -> Part:
    ends = float(at[0] - step / 2), float(at[-1] + step / 2)
    return even_axis(p, *ends, most=7) | {"range": list(ends), "showgrid": False}


def _unit(directions: str) -> str:
    return _("lengths") if directions == "random" else "‖Δθ‖"


def _plane(a: Asked) -> str:
    found, a = a.found.landscape, replace(a, sequences=a.found.sequences)
    if found.directions == "random":
        return _("Loss of {n}; at ±1 each unit's weights have moved by their length").format(n=sequences(a))
    return _("Loss of {n}; the plane holds the run's first, last and this state").format(n=sequences(a))


def off(a: Asked, p: Palette) -> Part:
    """How much of the way does the slice show? Each state's distance from here, and what of it the plane has not."""
    found, steps = a.found.landscape, a.found.steps.astype(np.int32)
    whole = found.distance
    hover = {"hoverinfo": "all", "hovertemplate": "%{y:.3~g}<extra></extra>"}
    data = [line(steps, gaps(whole), p.soft, 2, **hover), line(steps, gaps(found.off_plane), p.threshold, 3.5, **hover)]
    labels = [
        label("whole", _("from here"), p.soft, [0], "beside"),
        label("off", f"<b>{_('off the plane')}</b>", p.threshold, [1], "beside"),
    ]
    finite = whole[np.isfinite(whole)]
    top = float(finite.max(initial=0.0)) or 1.0
    meta = {
        "question": _("How far from this slice is the run?"),
        "answer": _("‖Δθ‖ of the states kept: from here, and from the nearest point of the plane"),
        "x": _("step"), "labels": labels, "ticks": {"x": "count", "y": "real"},
    }  # fmt: skip
    x = along(p, int(steps[0]), int(max(steps[-1], steps[0] + 1)))
    return {"data": data, "layout": layout(p, x, even_axis(p, 0.0, 1.08 * top), meta, [upright(a.step, p.soft)])}


def pictures(a: Asked) -> dict[str, Draw]:
    drawn: dict[str, Draw] = {"surface": surface}
    return drawn | {"off": off} if len(a.found.steps) > 1 else drawn


def sentence(a: Asked) -> str:
    """What the pictures show, in numbers."""
    found = a.found.landscape
    finite = np.isfinite(found.loss)
    if not np.isfinite(found.here):
        return _("The loss is not a finite number here.")
    lower = int((found.loss[finite] < found.here).sum())
    parts = []
    if a.found.lone:
        parts.append(_("A plane through the run needs three states: train first. This one is random."))
    text = _("The loss here is {here}; of {n} points around it {lower} have a lower one, the lowest {least}.")
    least = float(found.loss[finite].min(initial=np.inf))
    parts.append(text.format(here=short(found.here), n=found.loss.size, lower=lower or _("none"), least=short(least)))
    if lost := int((~finite).sum()):
        parts.append(_("At {n} of them it is not finite (grey).").format(n=lost))
    if np.isfinite(found.share_in_plane):
        text = _("This is a slice: {share} of the run's way lies in it, and the state farthest off is {off} away.")
        share, off = percent(found.share_in_plane), short(float(found.off_plane.max()), 2)
        parts.append(text.format(share=share, off=off))
    return sentences(*parts)
