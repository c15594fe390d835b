"""What is asked, and what does it answer? One sequence, timestep by timestep: heard, right, and said."""

from html import escape
from math import isfinite

import numpy as np

from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.sequence import Drawing, classes_at_end, grid, named, numbers, series_of, symbols
from app.figures.state import MOST_MARKS
from app.figures.template import Part, axis, layout, timesteps, upright
from app.snapshot import Snapshot
from app.words import _, sentences
from engine import TASKS

MOST_NUMBERS = 30  # of what it goes on to say, where it says numbers
SPELLED = {"␣": " ", "⏎": " / "}  # how a text is quoted; other symbols as they are named


def task(s: Snapshot, p: Palette) -> Part:
    row, shown = TASKS[s.experiment.task], s.shown
    drawing = Drawing([], [], (0.0, 1.0), ([], []))
    if shown.of_classes and row.every_step:
        grid(drawing, s, p)
    elif shown.of_symbols:
        symbols(drawing, s, p)
    else:
        numbers(drawing, s, p)
    if shown.of_classes and not row.every_step:
        classes_at_end(drawing, s, p)
    meta = {
        "question": _("What is asked, and what does it answer?"), "answer": sentences(_(row.meaning), _answer(s)),
        "about": sentences(_(row.meaning), _("Source: {source}.").format(source=_(row.source))), "x": "t", "alt": "",
        "lines": 3 if row.generates else 2, "labels": drawing.labels, "ticks": {"x": "count", "y": "count"},
    }  # fmt: skip
    marks = [upright(t, p.ink, dash="1px,2px") for t in s.marks] if len(s.marks) <= MOST_MARKS else []
    y = axis(p, drawing.span, drawing.ticks)
    return {"data": drawing.data, "layout": layout(p, timesteps(p, s), y, meta, marks, hover="closest")}


def _answer(s: Snapshot) -> str:
    shown, row = s.shown, TASKS[s.experiment.task]
    if not np.isfinite(shown.outputs.astype(float)).all():
        return _("No finite answer.")
    said = _numbers(s) if not shown.of_classes else _classes(s) if row.every_step else _class(s)
    if s.lost:
        said = sentences(said, _("That was at step {n}.").format(n=s.drawn))
    return sentences(said, _free(s))


def _class(s: Snapshot) -> str:
    shown, row = s.shown, TASKS[s.experiment.task]
    best = int(shown.likeliest[0, 0]) if shown.likeliest.size else int(shown.outputs[0].argmax())
    most = float(shown.outputs[0].max())
    says = (
        _("It says <b>{said}</b> with p = {p}")
        if s.experiment.loss_name == "cross_entropy"
        else _("It says <b>{said}</b> ({p})")
    )
    text = says.format(said=escape(named(row.classes, best)), p=short(most, 2))
    if best == int(shown.targets[0]):
        return _("{says}, which is right.").format(says=text)
    return _("{says}; right is <b>{right}</b>.").format(
        says=text, right=escape(named(row.classes, int(shown.targets[0])))
    )


def _classes(s: Snapshot) -> str:
    shown = s.shown
    hits, steps = int((shown.rank == 0).sum()), len(shown.rank)
    return _("It is right at <b>{hits} of {all}</b> steps.").format(hits=hits, all=steps)


def _numbers(s: Snapshot) -> str:
    said, right = s.shown.outputs.astype(float), s.shown.targets.astype(float)
    if said.size == 1:
        text = _("It says <b>{said}</b>; right is <b>{right}</b>.")
        return text.format(said=short(float(said[0, 0])), right=short(float(right[0, 0])))
    if (data := series_of(s.experiment)) is not None:
        off = short(float(np.sqrt(np.mean((said[:, 0] - right[:, 0]) ** 2)) * data.scale[data.outputs[0]]))
        name = f"<b>{escape(data.columns[data.outputs[0]])}</b>"
        if (columns := len(data.outputs)) > 1:
            name = _("{column}, the first of {n} columns").format(column=name, n=columns)
        if data.horizon > 1:
            text = _("{column} {n} steps later: off by <b>{off}</b> (root mean square).")
        else:
            text = _("{column}: off by <b>{off}</b> (root mean square).")
        return text.format(column=name, n=data.horizon, off=off)
    off = short(float(np.sqrt(np.mean((said - right) ** 2))), 2)
    if len(said) > 1:
        return _("It is off by <b>{off}</b> (root mean square).").format(off=off)
    return _("Its {n} numbers are off by <b>{off}</b> (r.m.s.).").format(n=said.size, off=off)


def _free(s: Snapshot) -> str:
    """What it goes on to say: as text where it is symbols."""
    shown, row = s.shown, TASKS[s.experiment.task]
    if not len(shown.free):
        return ""
    if not shown.of_symbols:
        there = slice(shown.free_from, shown.free_from - 1 + len(shown.free))  # both are judged at the same timesteps:
        right = shown.targets[there]  # the first answer is still to what was heard
        data = series_of(s.experiment)
        columns, scale = (slice(None), 1.0) if data is None else (slice(1), float(data.scale[data.outputs[0]]))

        def off(said: np.ndarray) -> str:
            far = float(np.sqrt(np.nanmean((said[:, columns].astype(float) - right[:, columns]) ** 2)) * scale)
            return short(far, 2) if isfinite(far) else "∞"

        if not len(right):
            return ""
        text = _("Dashed, from t = {t}: hearing only itself, off by {off}; hearing the series there, by {heard}.")
        free, heard = shown.free[1:][: len(right)], shown.outputs[there]
        return text.format(t=shown.free_from + 1, off=off(free), heard=off(heard))
    names = [named(row.symbols, int(n)) for n in shown.free]
    letters = all(len(n) == 1 and not n.isdigit() for n in names)  # numbers in a row would be one, too long for a line
    said = "".join(SPELLED.get(n, n) for n in names) if letters else " ".join(names[:MOST_NUMBERS])
    return "<br>" + _("It continues: “{said}”").format(said=escape(said, quote=False))
