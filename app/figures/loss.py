"""Does it learn? Loss over training, against the best answer that ignores the inputs."""

from math import isfinite, log10

import numpy as np

from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import decades, grow, log, thin
from app.figures.template import Part, across, axis, label, layout, line, over_training, training
from app.snapshot import Snapshot
from app.words import _


def loss(s: Snapshot, p: Palette) -> Part:
    train = thin(s.loss)
    measured = np.flatnonzero(~np.isnan(s.validation)).astype(np.int32)
    valid = measured[thin(s.validation[measured])] if measured.size else measured

    def curve(values: np.ndarray, at: np.ndarray, width: float, opacity: float, name: str) -> Part:
        hover = {
            "customdata": values[at],
            "hoverinfo": "all",
            "hovertemplate": name + " %{customdata:.3~g}<extra></extra>",
        }
        return line(at, log(values[at]), p.loss, width, opacity=opacity, **hover)

    data = [curve(s.loss, train, 1.0, 0.55, _("training")), curve(s.validation, valid, 2.5, 1.0, _("validation"))]
    base = log10(s.baseline) if s.baseline > 0 else 0.0
    seen = np.concatenate([[base], *(trace["y"][np.isfinite(trace["y"])] for trace in data)])
    least, most = float(seen.min()), float(seen.max())
    low, high = min(-2.0, grow(least, 1)), max(1.0, grow(most, 4 if most > 2 else 1))
    end: Part = {"place": "end", "start": s.last_finite}
    labels = [
        label("validation", f"<b>{_('validation')}</b>", p.loss, [1], **end, lean=1),
        label("training", _("training"), p.loss, [0], **end, lean=-1),
        label("baseline", _(s.baseline_label), p.ink, [], "at", at=[s.end, base]),
    ]
    meta = {
        "question": _("Does it learn?"), "answer": _answer(s), "x": _("step"), "labels": labels, "notes": no_numbers(s),
        "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 3), grid=True)
    shapes = [*over_training(p, s), across(base, p.ink, s.end)]
    return {"data": data, "layout": layout(p, training(p, s), y, meta, shapes)}


def validation_at(s: Snapshot) -> tuple[int, float] | None:
    """The newest finite validation loss at or before the step shown, and where it was measured."""
    there = np.flatnonzero(np.isfinite(s.validation[: s.drawn + 1]))
    return (int(there[-1]), float(s.validation[there[-1]])) if there.size else None


def no_numbers(s: Snapshot) -> list[Part]:
    """The words of the shaded part after a divergence."""
    if s.diverged is None:
        return []
    text = _("no numbers after step {n}").format(n=s.last_finite)
    x = s.last_finite / s.end
    return [{"text": text, "x": 1 if x < 0.6 else x, "y": 0.5, "xanchor": "right", "yanchor": "bottom"}]


def _answer(s: Snapshot) -> str:
    guess = _("{what} gives {loss}").format(what=_(s.baseline_label), loss=short(s.baseline))
    if s.lost:
        last = float(s.loss[s.drawn])
        if not isfinite(last):
            return _("no finite loss at all; {guess}").format(guess=guess)
        text = _("last finite loss <b>{loss}</b>, at step {n}; {guess}")
        return text.format(loss=short(last), n=s.drawn, guess=guess)
    measured = validation_at(s)
    if measured is None:
        return _("loss <b>{loss}</b>; {guess}").format(loss=short(float(s.loss[s.drawn])), guess=guess)
    return _("validation <b>{loss}</b>; {guess}").format(loss=short(measured[1]), guess=guess)
