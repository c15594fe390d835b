"""What does clipping cut off? The norm of the whole gradient over training, before clipping and as it is used."""

from math import log10

import numpy as np

from app.figures.loss import no_numbers
from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import CURVE_POINTS, decades, grow, log, thin
from app.figures.template import Part, across, axis, layout, line, over_training, training
from app.snapshot import Snapshot
from app.words import _


def clip(s: Snapshot, p: Palette) -> Part:
    kind, threshold = s.experiment.clip, s.experiment.clip_threshold
    before, cut = thin(s.grad_norm), clipped_at(s)
    data: list[Part] = []
    labels: list[Part] = []
    hover = {"hoverinfo": "all"}
    if kind != "none":
        used = thin(s.clipped)
        y = s.clipped[used].astype(np.float32)
        data.append(line(used, log(y), p.gradient, 2.5, customdata=y, hovertemplate=_("used") + " %{customdata:.3~g}<extra></extra>", **hover))
    y = s.grad_norm[before].astype(np.float32)
    shade = {"fill": "tonexty", "fillcolor": p.threshold + "40"} if cut.size else {}
    data.append(line(before, log(y), p.gradient, 1.2, customdata=y, hovertemplate="‖g‖ %{customdata:.3~g}<extra></extra>", **shade, **hover))
    top = data[-1]["y"][np.isfinite(data[-1]["y"])]
    level = log10(threshold)
    reference = [level] if kind == "norm" else [0.0]
    low = min(-2.0, grow(min([*reference, *top[top > -12]]), 2))
    high = max(2.0, grow(max([*reference, *top]), 2))
    apart = s.reached < len(s.clipped) and s.clipped[s.last_finite] < s.grad_norm[s.last_finite] * (1 - 1e-5)
    if kind != "none" and apart:
        labels.append({"key": "before", "text": _("‖g‖ before"), "color": p.gradient, "traces": [1], "place": "end", "from": s.reached, "lean": 1})
        labels.append({"key": "used", "text": f"<b>{_('used')}</b>", "color": p.gradient, "traces": [0], "place": "end", "from": s.reached, "lean": -1})
    else:
        labels.append({"key": "norm", "text": "<b>‖g‖</b>", "color": p.gradient, "traces": list(range(len(data))), "place": "end", "from": s.reached, "lean": 0})
    shapes = over_training(p, s)
    if kind == "norm":
        shapes.append(across(p, level, p.threshold, s.end, layer="above"))
        text = _("threshold {c}").format(c=short(threshold))
        labels.append({"key": "threshold", "text": text, "color": p.threshold, "traces": [], "place": "at", "at": [s.end, level]})
    if cut.size:
        rug = np.full(cut.size, low + 0.045 * (high - low), np.float32)
        data.append({"type": "scatter", "mode": "markers", "x": cut, "y": rug, "cliponaxis": False, "hoverinfo": "skip",
                     "marker": {"symbol": "line-ns-open", "size": 8, "color": p.threshold, "line": {"width": 1.5}}})  # fmt: skip
    meta = {"question": _("What does clipping cut off?"), "answer": _answer(s), "x": _("step"), "labels": labels,
            "notes": no_numbers(s), "ticks": {"x": "count", "y": "log"}}  # fmt: skip
    return {"data": data, "layout": layout(p, s, training(p, s), axis(p, (low, high), decades(low, high, 4), grid=True), meta, shapes)}


def _is_cut(s: Snapshot) -> np.ndarray:
    """(reached+1,) bool: was something cut off at this step?"""
    if s.experiment.clip == "norm":
        return s.grad_norm > s.experiment.clip_threshold
    return s.clipped < s.grad_norm * (1 - 1e-6)


def clipped_at(s: Snapshot) -> np.ndarray:
    """Steps (int32) where something was cut off, at most one per bucket of a long run."""
    if s.experiment.clip == "none":
        return np.zeros(0, np.int32)
    cut = np.flatnonzero(_is_cut(s))
    width = max(1, s.end // (CURVE_POINTS // 2))
    first = np.ones(cut.size, bool)
    first[1:] = cut[1:] // width != cut[:-1] // width
    return cut[first].astype(np.int32)


def _answer(s: Snapshot) -> str:
    if s.experiment.clip == "none":
        return _("<b>clipping is off</b>; ‖g‖ over all weights")
    cut = int(_is_cut(s)[: s.drawn + 1].sum())
    share = _("<b>{cut} of {all}</b> steps clipped").format(cut=cut, all=s.drawn + 1)
    if s.experiment.clip == "value":
        limit = short(s.experiment.clip_threshold)
        return _("{share}: each component limited to ±{c}, not ‖g‖").format(share=share, c=limit)
    return _("{share}: the shaded part of ‖g‖ is cut off").format(share=share)
