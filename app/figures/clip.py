"""What does clipping cut off? The norm of the whole gradient over training, before clipping and as it is used."""

from math import log10
from typing import Any

import numpy as np

from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import CURVE_POINTS, decades, grow, log, thin
from app.figures.template import Part, across, axis, dots, label, layout, line
from app.figures.training import heads, notes, over_training, training
from app.snapshot import Snapshot
from app.words import _

FLOOR = -12  # decades: a gradient norm below this is an exact fit or an exact zero, not a reason for a longer axis
FREE = ("none", "unit")  # nothing is cut off: the gradient is as it was, or has another size altogether


def clip(s: Snapshot, p: Palette) -> Part:
    stretches = s.settings("clip", "clip_threshold")
    kind, kinds = s.experiment.clip, {e.clip for _, _, e in stretches}
    cut = clipped_at(s)

    def curve(values: np.ndarray, width: float, name: str, **more: Any) -> Part:
        at = thin(values)
        hover = {
            "customdata": values[at],
            "hoverinfo": "all",
            "hovertemplate": name + " %{customdata:.3~g}<extra></extra>",
        }
        return line(at, log(values[at]), p.gradient, width, **hover, **more)

    shade = {"fill": "tonexty", "fillcolor": p.threshold + "40"} if cut.size and "unit" not in kinds else {}
    used = [] if kinds == {"none"} else [curve(s.clipped, 2.5, _("used"))]
    data = [*used, curve(s.grad_norm, 1.2, "‖g‖", **shade)]
    levels = [(start, to, log10(e.clip_threshold)) for start, to, e in stretches if e.clip == "norm"]
    seen = np.concatenate([trace["y"][np.isfinite(trace["y"])] for trace in data])
    reference = [level for *_, level in levels] or [0.0]
    low = min(-2.0, grow(min([*reference, *seen[seen > FLOOR]]), 2))
    high = max(2.0, grow(max([*reference, *seen]), 2))
    end: Part = {"place": "end", "start": s.last_finite}
    if used and (kind == "unit" or _is_cut(s)[s.last_finite]):
        lean = 1 if s.clipped[s.last_finite] <= s.grad_norm[s.last_finite] else -1
        labels = [
            label("before", _("‖g‖ before"), p.gradient, [1], **end, lean=lean),
            label("used", f"<b>{_('used')}</b>", p.gradient, [0], **end, lean=-lean),
        ]
    else:
        labels = [label("norm", "<b>‖g‖</b>", p.gradient, list(range(len(data))), **end, lean=0)]
    shapes = over_training(p, s)
    for start, to, level in levels:
        last = to == s.reached
        shapes.append(across(level, p.threshold, s.end if last else to + 1, start, layer="above"))
        if last:
            text = _("threshold {c}").format(c=short(s.experiment.clip_threshold))
            labels.append(label("threshold", text, p.threshold, [], "at", at=[s.end, level]))
    if cut.size:
        rug = np.full(cut.size, low + 0.045 * (high - low), np.float32)
        data.append(dots(cut, rug, p.threshold, 8, symbol="line-ns-open", line={"width": 1.5}))
    data += heads(p, s, high)
    meta = {
        "question": _("What does clipping cut off?"), "answer": _answer(s), "x": _("step"), "labels": labels,
        "notes": notes(s), "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 4), grid=True)
    return {"data": data, "layout": layout(p, training(p, s), y, meta, shapes)}


def _is_cut(s: Snapshot) -> np.ndarray:
    """(reached+1,) bool: was something cut off at this step, by what was set there?"""
    cut = np.zeros(s.reached + 1, bool)
    for start, to, e in s.settings("clip", "clip_threshold"):
        here = slice(start, to + 1)
        if e.clip == "norm":
            cut[here] = s.grad_norm[here] > e.clip_threshold
        elif e.clip not in FREE:
            cut[here] = s.clipped[here] < s.grad_norm[here] * (1 - 1e-6)
    return cut


def clipped_at(s: Snapshot) -> np.ndarray:
    """Steps (int32) where something was cut off, at most one per bucket of a long run."""
    cut = np.flatnonzero(_is_cut(s))
    width = max(1, s.end // (CURVE_POINTS // 2))
    first = np.ones(cut.size, bool)
    first[1:] = cut[1:] // width != cut[:-1] // width
    return cut[first].astype(np.int32)


def _answer(s: Snapshot) -> str:
    kind, limit = s.experiment.clip, short(s.experiment.clip_threshold)
    if kind == "none":
        return _("<b>clipping is off</b>; ‖g‖ over all weights")
    if kind == "unit":
        used, norm = short(float(s.clipped[s.drawn])), short(float(s.grad_norm[s.drawn]))
        text = _("<b>signs kept, sizes lost</b>: g / max(|g|, {c}) each; ‖used‖ is {used} where ‖g‖ is {norm}")
        return text.format(c=limit, used=used, norm=norm)
    cut = int(_is_cut(s)[: s.drawn + 1].sum())
    share = _("<b>{cut} of {all}</b> steps clipped").format(cut=cut, all=s.drawn + 1)
    if kind == "value":
        return _("{share}: each component limited to ±{c}, not ‖g‖").format(share=share, c=limit)
    if kind == "param_norm":
        return _("{share}: each weight matrix or bias limited to length {c}, not ‖g‖").format(share=share, c=limit)
    return _("{share}: the shaded part of ‖g‖ is cut off").format(share=share)
