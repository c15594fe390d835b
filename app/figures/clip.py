"""What does clipping cut off? The norm of the whole gradient over training, before clipping and as it is used."""

from math import log10
from typing import Any

import numpy as np

from app.figures.loss import no_numbers
from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import CURVE_POINTS, decades, grow, log, thin
from app.figures.template import Part, across, axis, dots, label, layout, line, over_training, training
from app.snapshot import Snapshot
from app.words import _

FLOOR = -12  # decades: a gradient norm below this is an exact fit or an exact zero, not a reason for a longer axis


def clip(s: Snapshot, p: Palette) -> Part:
    kind, level = s.experiment.clip, log10(s.experiment.clip_threshold)
    cut = clipped_at(s)

    def curve(values: np.ndarray, width: float, name: str, **more: Any) -> Part:
        at = thin(values)
        hover = {
            "customdata": values[at],
            "hoverinfo": "all",
            "hovertemplate": name + " %{customdata:.3~g}<extra></extra>",
        }
        return line(at, log(values[at]), p.gradient, width, **hover, **more)

    shade = {"fill": "tonexty", "fillcolor": p.threshold + "40"} if cut.size else {}
    used = [] if kind == "none" else [curve(s.clipped, 2.5, _("used"))]
    data = [*used, curve(s.grad_norm, 1.2, "‖g‖", **shade)]
    seen = data[-1]["y"][np.isfinite(data[-1]["y"])]
    reference = [level if kind == "norm" else 0.0]
    low = min(-2.0, grow(min([*reference, *seen[seen > FLOOR]]), 2))
    high = max(2.0, grow(max([*reference, *seen]), 2))
    end: Part = {"place": "end", "start": s.last_finite}
    if used and _is_cut(s)[s.last_finite]:
        labels = [
            label("before", _("‖g‖ before"), p.gradient, [1], **end, lean=1),
            label("used", f"<b>{_('used')}</b>", p.gradient, [0], **end, lean=-1),
        ]
    else:
        labels = [label("norm", "<b>‖g‖</b>", p.gradient, list(range(len(data))), **end, lean=0)]
    shapes = over_training(p, s)
    if kind == "norm":
        shapes.append(across(level, p.threshold, s.end, layer="above"))
        text = _("threshold {c}").format(c=short(s.experiment.clip_threshold))
        labels.append(label("threshold", text, p.threshold, [], "at", at=[s.end, level]))
    if cut.size:
        rug = np.full(cut.size, low + 0.045 * (high - low), np.float32)
        data.append(dots(cut, rug, p.threshold, 8, symbol="line-ns-open", line={"width": 1.5}))
    meta = {
        "question": _("What does clipping cut off?"), "answer": _answer(s), "x": _("step"), "labels": labels,
        "notes": no_numbers(s), "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 4), grid=True)
    return {"data": data, "layout": layout(p, training(p, s), y, meta, shapes)}


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
