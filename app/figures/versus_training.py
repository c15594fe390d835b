"""Runs beside each other along training: which one learns, by how much, and the gradient before clipping."""

from math import isfinite, log10

import numpy as np

from app.figures.loss import validation_at
from app.figures.numbers import minus, short
from app.figures.palette import Palette
from app.figures.scales import decades, grow, log, thin
from app.figures.template import Part, across, axis, dots, label, layout, line
from app.figures.versus import Versus, along_training, curve, named, of, over_training
from app.words import _, listed

SAME = 0.005  # of a loss: less is called the same
FLOOR = -12.0  # decades: a gradient below is an exact zero, not a reason for a longer axis


def loss(v: Versus, p: Palette) -> Part:
    """Which one learns? Validation loss of each, its training loss faint, and the loss of guessing."""
    data: list[Part] = []
    labels: list[Part] = []
    crosses: list[Part] = []
    for i, (run, name) in enumerate(zip(v.runs, v.names, strict=True)):
        scale = run.baseline if v.relative else 1.0
        train = thin(run.loss)
        data.append(line(train, log(run.loss[train] / scale), p.runs[i], 1.0, opacity=0.3))
        at = measured(run.validation)
        valid = run.validation[at] / scale
        hover = f"{name} %{{customdata:.3~g}}"
        data.append(curve(p, i, at, log(valid), hover, 2.8, customdata=valid))
        labels.append(named(v, p, i, [2 * i + 1, 2 * i], "end", start=run.last_finite, lean=0))
        if run.diverged is not None:
            crosses.append(_cross(p, i, data[-2]))
    base = log10(v.runs[0].baseline) if not v.relative and v.runs[0].baseline > 0 else 0.0
    finite = np.concatenate([[base], *(trace["y"][np.isfinite(trace["y"])] for trace in data)])
    least, most = float(finite.min()), float(finite.max())
    low, high = min(-2.0, grow(least, 1)), max(1.0, grow(most, 4 if most > 2 else 1))
    named_base = _("guessing") if v.relative else _(v.runs[0].baseline_label)
    labels.append(label("baseline", named_base, p.ink, [], "at", at=[v.end, base]))
    meta = {
        "question": _("Which one learns?"), "answer": _loss_answer(v), "x": _("step"), "labels": labels,
        "ticks": {"x": "count", "y": "log"}, "axis": "step",
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 3), grid=True)
    shapes = [*over_training(v, p), across(base, p.soft, v.end)]
    return {"data": [*data, *crosses], "layout": layout(p, along_training(v, p), y, meta, shapes, "x unified")}


def measured(validation: np.ndarray) -> np.ndarray:
    """The steps (int32) at which validation was measured, thinned for the screen."""
    at = np.flatnonzero(~np.isnan(validation)).astype(np.int32)
    return at[thin(validation[at])] if at.size else at


def _cross(p: Palette, i: int, trace: Part) -> Part:
    """The end of a run that diverged: a cross on its last number."""
    there = np.flatnonzero(np.isfinite(trace["y"]))[-1:]
    return dots(trace["x"][there], trace["y"][there], p.runs[i], 11, symbol="x")


def _loss_answer(v: Versus) -> str:
    found = []
    for run, name in zip(v.runs, v.names, strict=True):
        at = validation_at(run)
        scale = run.baseline if v.relative else 1.0
        if run.lost:
            found.append(_("<b>{name}</b> lost at step {n}").format(name=name, n=run.last_finite + 1))
        elif at is not None:
            found.append(of(name, f"<b>{short(at[1] / scale)}</b>"))
    text = listed(found)
    if v.relative:
        return _("validation loss as a share of that of guessing: {losses}").format(losses=text)
    guess = _("{what}: {loss}").format(what=_(v.runs[0].baseline_label), loss=short(v.runs[0].baseline))
    return _("validation: {losses}; {guess}").format(losses=text, guess=guess)


def shares(v: Versus, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps at which run `i` and the base were both measured, and the ratio of their validation losses."""
    ours, base = v.runs[i].validation, v.runs[0].validation
    n = min(len(ours), len(base))
    at = np.flatnonzero(~np.isnan(ours[:n]) & ~np.isnan(base[:n])).astype(np.int32)
    scale = v.runs[i].baseline / v.runs[0].baseline if v.relative else 1.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return at, ours[at] / base[at] / scale


def loss_gap(v: Versus, p: Palette) -> Part:
    """By how much does the loss differ? Each run's validation loss over that of the base."""
    data: list[Part] = []
    labels: list[Part] = []
    low, high = -0.5, 0.5
    for i in range(1, len(v.runs)):
        at, ratio = shares(v, i)
        kept = thin(log(ratio)) if at.size else at
        values = log(ratio[kept])
        hover = _("{name}: {ratio} times that of {base}").format(
            name=v.names[i], ratio="%{customdata:.3~g}", base=v.names[0]
        )
        more: Part = {"fill": "tozeroy", "fillcolor": p.runs[i] + "2E"} if len(v.runs) == 2 else {}
        data.append(curve(p, i, at[kept], values, hover, 2.8, customdata=ratio[kept], **more))
        labels.append(named(v, p, i, [i - 1], "end", start=0, lean=(1, -1, 0)[i - 1]))
        finite = values[np.isfinite(values)]
        if finite.size:
            low = min(low, grow(float(finite.min()), 0.5))
            high = max(high, grow(float(finite.max()), 0.5))
    labels.append(label("base", v.names[0], p.ink, [], "at", at=[v.end, 0.0]))
    sides = [(_("worse"), 1, "top"), (_("better"), 0, "bottom")]
    meta = {
        "question": _("By how much does the loss differ?"), "answer": _loss_gap_answer(v), "x": _("step"),
        "labels": labels, "ticks": {"x": "count", "y": "log"}, "axis": "step",
        "notes": [{"text": text, "x": 0, "y": y, "xanchor": "left", "yanchor": place} for text, y, place in sides],
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 4) if high - low > 3 else factors(low, high, "× "), grid=True)
    shapes = [*over_training(v, p), across(0, p.ink, v.end)]
    return {"data": data, "layout": layout(p, along_training(v, p), y, meta, shapes, "x unified")}


def factors(low: float, high: float, sign: str) -> tuple[list[float], list[str]]:
    """Ticks of a log axis of few decades: whole ones, and threefolds between them; `sign` before each number."""
    at = [(e + part, n * 10.0**e) for e in range(-4, 4) for part, n in ((0.0, 1), (log10(3), 3))]
    inside = [(x, value) for x, value in at if low <= x <= high]
    return [x for x, _value in inside], [f"{sign}{short(value)}" for _x, value in inside]


def _loss_gap_answer(v: Versus) -> str:
    found = []
    for i in range(1, len(v.runs)):
        ours, base = (validation_at(run) for run in (v.runs[i], v.runs[0]))
        if v.runs[i].lost or v.runs[0].lost or ours is None or base is None:
            found.append(_("<b>{name}</b>: no number").format(name=v.names[i]))
            continue
        scales = (v.runs[i].baseline, v.runs[0].baseline) if v.relative else (1.0, 1.0)
        a, b = ours[1] / scales[0], base[1] / scales[1]
        if abs(a - b) < SAME * b:
            found.append(_("<b>{name} the same</b>").format(name=v.names[i]))
            continue
        said = of(v.names[i], f"{'+' if a >= b else ''}{short(a - b, 2)}")
        found.append(f"<b>{said}</b>" + (f" (× {short(a / b, 2)})" if b > 0 else ""))
    if not found:
        return _("nothing to compare with: choose a value above")
    return _("validation loss against {base}, now: {found}").format(base=v.names[0], found=listed(found))


def norm(v: Versus, p: Palette) -> Part:
    """How large is the whole gradient, before clipping?"""
    data: list[Part] = []
    labels: list[Part] = []
    for i, (run, name) in enumerate(zip(v.runs, v.names, strict=True)):
        at = thin(run.grad_norm)
        data.append(curve(p, i, at, log(run.grad_norm[at]), f"{name} %{{customdata:.3~g}}", 1.5, dash="solid",
                          customdata=run.grad_norm[at]))  # fmt: skip
        labels.append(named(v, p, i, [i], "end", start=run.last_finite, lean=0))
    limits = {run.experiment.clip_threshold for run in v.runs if run.experiment.clip == "norm"}
    seen = np.concatenate([trace["y"][np.isfinite(trace["y"])] for trace in data])
    levels = [log10(limit) for limit in limits]
    low = min(-2.0, grow(min([*levels, *seen[seen > FLOOR].tolist(), 0.0]), 2))
    high = max(2.0, grow(max([*levels, *seen.tolist(), 0.0]), 2))
    shapes = over_training(v, p)
    if len(levels) == 1:
        shapes.append(across(levels[0], p.threshold, v.end, layer="above"))
        text = _("threshold {c}").format(c=short(next(iter(limits))))
        labels.append(label("threshold", text, p.threshold, [], "at", at=[v.end, levels[0]]))
    crosses = [_cross(p, i, data[i]) for i, run in enumerate(v.runs) if run.diverged is not None]
    meta = {
        "question": _("How large is the whole gradient?"), "answer": _norm_answer(v), "x": _("step"),
        "labels": labels, "ticks": {"x": "count", "y": "log"}, "axis": "step",
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 4), grid=True)
    return {"data": [*data, *crosses], "layout": layout(p, along_training(v, p), y, meta, shapes, "x unified")}


def _norm_answer(v: Versus) -> str:
    found = [
        of(name, f"<b>{minus(short(float(run.grad_norm[run.drawn])))}</b>")
        for run, name in zip(v.runs, v.names, strict=True)
        if isfinite(run.grad_norm[run.drawn])
    ]
    return _("‖g‖ over all weights before clipping: {sizes}").format(sizes=listed(found))
