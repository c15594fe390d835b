"""Runs beside each other in words: the difference in one sentence, and a table with a row for each."""

from math import isfinite
from typing import Any

import numpy as np

import engine
from app.figures.loss import validation_at
from app.figures.numbers import minus, short, times
from app.figures.palette import palette
from app.figures.run import stopped
from app.figures.versus import DASHES, Versus, sides
from app.figures.words import verdict as verdict_of
from app.words import _, sentences

SAME = 0.05  # decades: less is called the same
MARGIN = 0.02  # of the larger loss: less is called the same


def verdict(v: Versus) -> dict[str, str]:
    """What the stage says over the pictures: what (the gradients), why (the losses); no badge: each run has its own."""
    return {"kind": "compared", "badge": "", "what": _gradients(v), "why": _losses(v), "rule": ""}


def _gradients(v: Versus) -> str:
    there = sides(v)
    names = v.full_names
    if len(v.runs) == 1:
        return _("Nothing to compare with yet: choose a value above.")
    if len(there) < 2:
        return _("All have diverged.") if not there else _("Only {name} has not diverged.").format(name=names[there[0]])
    first = {i: float(v.flow(i)[0]) for i in there}
    if any(np.isnan(x) or np.isposinf(x) for x in first.values()):
        return _("Not all of the gradients are numbers.")
    most, least = (choose(there, key=lambda i: first[i]) for choose in (max, min))
    if np.isneginf(first[most]):
        return _("At t = 1 no gradient arrives in any of them.")
    if np.isneginf(first[least]):
        said = _("At t = 1 a gradient arrives with {a}, and none at all with {b}.")
        return said.format(a=names[most], b=names[least])
    apart = first[most] - first[least]
    if apart < SAME:
        return _("At t = 1 the same gradient arrives in all of them.")
    said = _("At t = 1, {a} has {ratio} times the gradient of {b}.")
    return said.format(a=f"<b>{names[most]}</b>", ratio=times(apart), b=f"<b>{names[least]}</b>")


def _losses(v: Versus) -> str:
    lost = [
        _("{name} diverged at step {n}.").format(name=name, n=run.diverged[0])
        for run, name in zip(v.runs, v.full_names, strict=True)
        if run.lost and run.diverged is not None
    ]
    return sentences(*lost, _learning(v))


def _learning(v: Versus) -> str:
    """Which of them has the least validation loss now."""
    there = {}
    for i in sides(v):
        at = validation_at(v.runs[i])
        if at is not None:
            there[i] = at[1] / (v.runs[i].baseline if v.relative else 1.0)
    if v.step == 0:
        start = _("All begin with the same weights.") if v.same_start else _("Their weights differ from the start.")
        return sentences(_("Not trained yet: press Play."), start if len(v.runs) > 1 else "")
    if len(there) < 2:
        return ""
    best, worst = min(there, key=lambda i: there[i]), max(there, key=lambda i: there[i])
    names, values = v.full_names, {"a": short(there[best]), "b": short(there[worst])}
    if there[worst] - there[best] < MARGIN * there[worst]:
        said = _("After {n} steps their validation losses are about the same, {a} to {b}.")
        return said.format(n=f"{v.step:,}", **values)
    said = _("After {n} steps {best} has the least validation loss, {a}; {worst} has {b}.")
    if v.relative:
        said = _("After {n} steps {best} has the least validation loss, {a} of that of guessing; {worst} has {b}.")
    return said.format(n=f"{v.step:,}", best=names[best], worst=names[worst], **values)


def table(v: Versus, theme: str) -> dict[str, Any]:
    """caption, heads, and rows: name, colour, dash, kind and badge of the verdict, why it is so, and cells of text."""
    heads = [
        _("Verdict"), _("Pace: half-life"), _("Measured, T to 1"), _("Validation loss"), _("Steps a second"),
        _("Parameters"),
    ]  # fmt: skip
    return {
        "caption": _("The runs in numbers, at step {n}").format(n=f"{v.step:,}"),
        "heads": [v.full_names[0].removesuffix(v.names[0]).strip(), *heads],
        "rows": [_row(v, i, theme) for i in range(len(v.runs))],
    }


def _row(v: Versus, i: int, theme: str) -> dict[str, Any]:
    run, said = v.runs[i], verdict_of(v.runs[i])
    pace = engine.verdict(run.flow[run.layer])
    change = float(run.flow[run.layer][0] - run.flow[run.layer][-1])
    at = validation_at(run)
    ended = _("stopped at step {n}").format(n=f"{run.reached:,}") if stopped(run) else ""
    lost = _("lost at step {n}").format(n=f"{run.diverged[0]:,}") if run.lost and run.diverged else ""
    size = 0 if run.weights is None else sum(value.size for value in run.weights.state_dict.values())
    return {
        "name": v.names[i], "color": palette(theme).runs[i], "dash": DASHES[i], "base": i == 0,
        "kind": said["kind"], "badge": said["badge"], "why": sentences(said["what"], said["why"]),
        "note": lost or ended,
        "cells": [
            _half_life(pace), f"× {times(change)}" if isfinite(change) else "–",
            "–" if at is None or run.lost else short(at[1]),
            f"{run.moment / run.seconds:,.0f}" if run.moment and run.seconds > 0 else "–", f"{size:,}",
        ],
    }  # fmt: skip


def _half_life(pace: engine.Verdict) -> str:
    if not isfinite(pace.half_life) or pace.zero_before or pace.kind in ("none", "diverged"):
        return "–"
    n = minus(short(pace.half_life, 2))
    return _("{n} steps").format(n=n) if pace.decades_per_step < 0 else _("doubles in {n}").format(n=n)
