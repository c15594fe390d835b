"""What the pictures along training share: axis, cursor, the part without numbers, and marks of what was changed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import engine
from app.figures.numbers import rate, short
from app.figures.palette import Palette
from app.figures.scales import counts, plain
from app.figures.template import Part, axis, dots, upright
from app.snapshot import Snapshot
from app.words import _, listed
from engine.rows import Row

MOST = 60  # marks that are drawn, the newest: a slider that is dragged leaves one at every stop
TABLES: dict[str, Mapping[str, Row]] = {"clip": engine.CLIPS, "schedule": engine.SCHEDULES}


def training(p: Palette, s: Snapshot) -> Part:
    """The axis along training."""
    return axis(p, (0, s.end), plain(counts(0, s.end, 5)))


def over_training(p: Palette, s: Snapshot) -> list[Part]:
    """The cursor, a thin line where settings were changed, and the shaded part where there are no numbers."""
    marks = [upright(step, p.ink, dash="3px,3px") for step in told(s)]
    cursor = upright(s.step, p.soft)
    if s.diverged is None:
        return [cursor, *marks]
    lost = {
        "type": "rect", "x0": min(s.last_finite + 0.5, s.end), "x1": s.end, "y0": 0, "y1": 1, "yref": "paper",
        "fillcolor": p.panel, "line": {"width": 0}, "layer": "below",
    }  # fmt: skip
    return [cursor, *marks, lost]


def notes(s: Snapshot, low: bool = False) -> list[Part]:
    """The words of the shaded part after a divergence, and the newest change beside its line, high up or low."""
    found: list[Part] = []
    marks = told(s)
    if s.diverged is not None:
        text = _("no numbers after step {n}").format(n=s.last_finite)
        x = s.last_finite / s.end
        found.append({"text": text, "x": 1 if x < 0.6 else x, "y": 0.5, "xanchor": "right", "yanchor": "bottom"})
    if marks:
        step, text = list(marks.items())[-1]
        x = step / s.end
        place = {
            "xanchor": "left" if x < 0.55 else "right",
            "y": 0 if low else 1,
            "yanchor": "bottom" if low else "top",
        }
        found.append({"text": text, "x": x, "box": low} | place)
    return found


def told(s: Snapshot) -> dict[int, str]:
    """Step -> what was changed there, in words: "lr 0.001 → 0.01"."""
    by_step: dict[int, dict[str, list[Any]]] = {}
    for change in s.changes:
        ends = by_step.setdefault(change.step, {}).setdefault(change.field, [change.before, change.after])
        ends[1] = change.after
    found = {
        step: listed(
            f"{_name(field)} {_value(field, a)} → {_value(field, b)}" for field, (a, b) in fields.items() if a != b
        )
        for step, fields in by_step.items()
    }
    return {step: text for step, text in list(found.items())[-MOST:] if text}


def _name(field: str) -> str:
    return "lr" if field == "lr" else _(engine.Experiment.model_fields[field].title or field).lower()


def _value(field: str, value: Any) -> str:
    if field in TABLES:
        return _(TABLES[field][value].label, field)
    return _("none") if value is None else rate(value) if field == "lr" else short(value)


def heads(p: Palette, s: Snapshot, top: float) -> list[Part]:
    """A dot on top of each line, that says what it stands for."""
    marks = told(s)
    if not marks:
        return []
    at = np.array(list(marks), np.int32)
    hover = {"text": list(marks.values()), "hoverinfo": "all", "hovertemplate": "%{text}<extra></extra>"}
    return [dots(at, np.full(len(at), top, np.float32), p.ink, 8, symbol="triangle-down") | hover]
