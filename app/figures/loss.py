"""Does it learn? Loss over training, against the best answer that ignores the inputs, and on data never trained on."""

from math import isfinite, log10, sqrt

import numpy as np

from app.figures.numbers import rate, short
from app.figures.palette import Palette
from app.figures.scales import decades, grow, log, thin
from app.figures.sequence import series_of
from app.figures.template import Part, across, axis, label, layout, line
from app.figures.training import heads, notes, over_training, training
from app.snapshot import Snapshot
from app.words import _, clauses, listed, sentences
from engine import TASKS
from engine.own.series import Series

WINDOW = 10  # validations, over whose time a gap is judged
NOISE = 3.0  # standard errors of the training loss that a gap has to exceed to be named,
LEAST = 0.05  # and the share of the validation loss
NEAR = 1.15  # times the baseline, up to which a validation loss is called on it,
LEARNS = 0.8  # and from which down learning: √(2/256) = 9 % is the chance in 256 squares of normal numbers
BOUND = "best possible"  # a line to compare with that is no guess: nothing gets below it


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
    base, found = _log(s.baseline), gap(s)
    others = [(name, _log(value)) for name, value in s.references if value > 0]
    seen = np.concatenate(
        [[base, *(value for _, value in others)], *(trace["y"][np.isfinite(trace["y"])] for trace in data)]
    )
    least, most = float(seen.min()), float(seen.max())
    low, high = min(-2.0, grow(least, 1)), max(1.0, grow(most, 4 if most > 2 else 1))
    end: Part = {"place": "end", "start": s.last_finite}
    named = listed([f"<b>{_('validation')}</b>", *([_("gap")] if found else [])])
    labels = [
        label("validation", named, p.loss, [1], **end, lean=1),
        label("training", _("training"), p.loss, [0], **end, lean=-1),
        label("baseline", _(s.baseline_label), p.ink, [], "at", at=[s.end, base], loose=bool(others)),
        *(label(name, _(name), p.soft, [], "at", at=[s.end, y], loose=True, spare=True) for name, y in others),
    ]
    if found:
        data += _shade(s, p, measured)
    data += heads(p, s, high)
    meta = {
        "question": _("Does it learn?"), "answer": _answer(s), "x": _("step"), "labels": labels, "notes": notes(s),
        "ticks": {"x": "count", "y": "log"}, "about": _about(s),
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 3), grid=True)
    shapes = [*over_training(p, s), *(across(value, p.soft, s.end, width=1, dash="1px,3px") for _, value in others)]
    return {"data": data, "layout": layout(p, training(p, s), y, meta, [*shapes, across(base, p.ink, s.end)])}


def _log(value: float) -> float:
    return log10(value) if value > 0 else 0.0


def gap(s: Snapshot) -> float | None:
    """How far validation lies above training at the step shown, where that is more than noise; None: it is not.

    Means over the last WINDOW validations and over the training steps of that time. Only where the two can differ at
    all: on a finite training set, or on data of which a part is held back.
    """
    e = s.experiment
    if e.train_size is None and TASKS[e.task].draw_validation is None:
        return None
    at = np.flatnonzero(np.isfinite(s.validation[: s.drawn + 1]))[-WINDOW:]
    if len(at) < 3:
        return None
    train, valid = s.loss[at[0] : s.drawn + 1], float(s.validation[at].mean())
    size, error = valid - float(train.mean()), float(train.std()) / sqrt(len(train))
    return size if isfinite(size) and size > max(NOISE * error, LEAST * valid) else None


def _shade(s: Snapshot, p: Palette, measured: np.ndarray) -> list[Part]:
    """The gap as an area: between validation, where it lies above, and the mean training loss since the last."""
    at = measured[thin(s.validation[measured])]
    sums = np.concatenate([[0.0], np.cumsum(np.where(np.isfinite(s.loss), s.loss, 0.0))])
    since = np.concatenate([[0], at[:-1] + 1])
    train = (sums[at + 1] - sums[since]) / np.maximum(at + 1 - since, 1)
    lower, upper = log(train), log(np.fmax(train, s.validation[at]))
    area = {"fill": "tonexty", "fillcolor": p.loss + "2E"}
    return [line(at, lower, p.loss, 0), line(at, upper, p.loss, 0, **area)]


def _about(s: Snapshot) -> str:
    """All lines in words: beside the picture there may be no room for them."""
    lines = [(s.baseline_label, s.baseline), *s.references]
    said = _("For comparison: {lines}.").format(
        lines=clauses(_("{what}: {loss}").format(what=_(name), loss=short(x)) for name, x in lines)
    )
    if not lucky(s):
        return said
    why = _("Guessing has this loss on average; on the sequences that validation has drawn, a little more or less.")
    return sentences(said, why)


def lucky(s: Snapshot) -> bool:
    """May validation differ from the baseline at the step shown by nothing but the targets that it has drawn?

    Only where they are numbers, one a sequence: the loss of guessing a class is the same whichever it is.
    """
    task, measured = TASKS[s.experiment.task], validation_at(s)
    if measured is None or task.draw_validation is not None or task.every_step or s.experiment.loss_name != "mse":
        return False
    return not task.classes and LEARNS < measured[1] / s.baseline <= NEAR


def validation_at(s: Snapshot) -> tuple[int, float] | None:
    """The newest finite validation loss at or before the step shown, and where it was measured."""
    there = np.flatnonzero(np.isfinite(s.validation[: s.drawn + 1]))
    return (int(there[-1]), float(s.validation[there[-1]])) if there.size else None


def not_yet(s: Snapshot) -> tuple[str, float] | None:
    """The next better guess than the baseline that the loss at the step shown is not below; None: there is none."""
    measured = validation_at(s)
    if measured is None or s.lost:
        return None
    better = [(name, x) for name, x in s.references if name != BOUND and x < min(s.baseline, measured[1])]
    return max(better, key=lambda line: line[1], default=None)


def _answer(s: Snapshot) -> str:
    guess = _("{what}: {loss}").format(what=_(s.baseline_label), loss=short(s.baseline))
    if s.lost:
        last = float(s.loss[s.drawn])
        if not isfinite(last):
            return _("no finite loss at all; {guess}").format(guess=guess)
        text = _("last finite loss <b>{loss}</b>, at step {n}; {guess}")
        return text.format(loss=short(last), n=s.drawn, guess=guess)
    if lucky(s):
        guess = _("{guess} (the difference may be luck)").format(guess=guess)
    measured, found = validation_at(s), gap(s)
    if measured is None:
        text = _("loss <b>{loss}</b>").format(loss=short(float(s.loss[s.drawn])))
    elif found is None:
        text = _("validation <b>{loss}</b>").format(loss=short(measured[1]))
    else:
        text = _("validation <b>{loss}</b>, a gap of <b>{gap}</b> to training")
        text = text.format(loss=short(measured[1]), gap=short(found, 2))
    data = series_of(s.experiment)
    if measured is not None and data is not None and s.baseline > 0:
        guess = _forecast(s, measured[1])
    if s.experiment.schedule != "constant":
        text = clauses([text, _("lr now {lr}").format(lr=rate(float(s.lr[s.drawn])))])
    ahead = not_yet(s)
    better = [_("{what}: {loss}").format(what=_(ahead[0]), loss=short(ahead[1]))] if ahead else []
    return clauses([text, guess, *better, *(mean_over(data) if data else [])])


def _forecast(s: Snapshot, loss: float) -> str:
    """How far a forecast's loss lies from that of the honest line, whose number is under `about`."""
    ratio = loss / s.baseline
    share = min(round(100 * abs(ratio - 1)), 99)  # a forecast without any error there is not
    if ratio >= 2:
        text = _("<b>{n} times</b> “{what}”")
    elif not share:
        text = _("<b>as good as</b> “{what}”")
    else:
        text = _("<b>{n} % below</b> “{what}”") if ratio < 1 else _("<b>{n} % above</b> “{what}”")
    n = short(ratio, 2) if ratio >= 2 else str(share)
    return text.format(n=n, what=_(s.baseline_label))


def mean_over(data: Series) -> list[str]:
    """What a loss of several columns is; [] where there is one column alone."""
    columns = len(data.outputs)
    return [_("mean over {n} columns").format(n=columns)] if columns > 1 else []
