"""Does it learn? Loss over training, against the best answer that ignores the inputs."""

from math import isfinite, log10

import numpy as np

from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import decades, grow, log, thin
from app.figures.template import Part, across, axis, layout, line, over_training, training
from app.snapshot import Snapshot
from app.words import _


def loss(s: Snapshot, p: Palette) -> Part:
    train = thin(s.loss)
    measured = np.flatnonzero(~np.isnan(s.validation)).astype(np.int32)
    valid = measured[thin(s.validation[measured])] if measured.size else measured
    curves = [(train, s.loss[train], 1.0, 0.55, _("training")), (valid, s.validation[valid], 2.5, 1.0, _("validation"))]
    data = [
        line(x, log(y), p.loss, width, opacity=opacity, customdata=y.astype(np.float32), hoverinfo="all",
             hovertemplate=name + " %{customdata:.3~g}<extra></extra>")
        for x, y, width, opacity, name in curves
    ]  # fmt: skip
    seen = np.concatenate([t["y"][np.isfinite(t["y"])] for t in data] + [[0.0]])
    base = log10(s.baseline) if s.baseline > 0 else 0.0
    top = float(max(seen.max(), base))
    low, high = min(-2.0, grow(float(min(seen.min(), base)), 1)), max(1.0, grow(top, 4 if top > 2 else 1))
    labels = [
        {"key": "validation", "text": f"<b>{_('validation')}</b>", "color": p.loss, "traces": [1], "place": "end", "from": s.reached, "lean": 1},
        {"key": "training", "text": _("training"), "color": p.loss, "traces": [0], "place": "end", "from": s.reached, "lean": -1},
        {"key": "baseline", "text": _(s.baseline_label), "color": p.ink, "traces": [], "place": "at", "at": [s.end, base]},
    ]
    meta = {"question": _("Does it learn?"), "answer": _answer(s), "x": _("step"), "labels": labels, "notes": no_numbers(s),
            "ticks": {"x": "count", "y": "log"}}  # fmt: skip
    shapes = [*over_training(p, s), across(p, base, p.ink, s.end)]
    return {"data": data, "layout": layout(p, s, training(p, s), axis(p, (low, high), decades(low, high, 3), grid=True), meta, shapes)}


def validation_at(s: Snapshot) -> tuple[int, float] | None:
    """The newest finite validation loss at or before the step shown, and where it was measured."""
    there = np.flatnonzero(np.isfinite(s.validation[: s.drawn + 1]))
    return (int(there[-1]), float(s.validation[there[-1]])) if there.size else None


def no_numbers(s: Snapshot) -> list[Part]:
    """The words of the shaded part after a divergence."""
    if s.diverged is None:
        return []
    text = _("no numbers after step {n}").format(n=s.last_finite)
    left = s.last_finite < 0.6 * s.end
    x = s.last_finite / s.end
    return [{"text": text, "x": x, "y": 0.1, "xanchor": "left" if left else "right", "yanchor": "bottom"}]


def _answer(s: Snapshot) -> str:
    guess = _("{what} gives {loss}").format(what=_(s.baseline_label), loss=short(s.baseline))
    if s.lost:
        last = float(s.loss[s.drawn])
        if not isfinite(last):
            return _("no finite loss at all; {guess}").format(guess=guess)
        return _("last finite loss <b>{loss}</b>, at step {n}; {guess}").format(loss=short(last), n=s.drawn, guess=guess)
    measured = validation_at(s)
    if measured is None:
        return _("loss <b>{loss}</b>; {guess}").format(loss=short(float(s.loss[s.drawn])), guess=guess)
    return _("validation <b>{loss}</b>; {guess}").format(loss=short(measured[1]), guess=guess)
