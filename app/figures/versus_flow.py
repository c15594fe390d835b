"""Runs beside each other along the sequence: how much gradient arrives, and where that differs."""

from functools import partial

import numpy as np

from app.figures.flow import span
from app.figures.flow_map import columns
from app.figures.numbers import power, times
from app.figures.palette import Palette
from app.figures.scales import MAP_COLUMNS, MAP_TIMESTEPS, counts, decades, every, gaps, grow, plain, thin
from app.figures.template import Part, across, axis, heatmap, label, layout, upright
from app.figures.versus import Versus, along_sequence, along_training, curve, named, of
from app.words import _, listed
from engine import TASKS

MOST = 4  # runs


def spans(v: Versus) -> tuple[float, float]:
    """The decades that hold the gradients of all runs."""
    lows, highs = zip(*(span(run) for run in v.runs), strict=True)
    return min(lows), max(highs)


def flow(v: Versus, p: Palette) -> Part:
    """How much gradient reaches step t in each of them?"""
    data: list[Part] = []
    labels: list[Part] = []
    for i, name in enumerate(v.names):
        values, at = v.flow(i), v.timesteps(i)
        kept = thin(values)
        data.append(curve(p, i, at[kept], gaps(values[kept]), f"{name} 10<sup>%{{y:.2f}}</sup>"))
        labels.append(named(v, p, i, [i], "beside"))
    low, high = spans(v)
    x = along_sequence(v, p)
    first, last = x["range"]
    back = {"text": _("← back in time"), "x": 1, "y": 1, "xanchor": "right", "yanchor": "top"}
    meta = {
        "question": _("How much gradient reaches step t?"), "answer": _flow_answer(v), "labels": labels,
        "x": "t" if v.aligned else "t − T", "ticks": {"x": "count", "y": "log"}, "axis": "t",
        "notes": [back] if last - first > 3 else [],
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 6), grid=True)
    shapes = [across(0, p.faint, last, first)]
    return {"data": data, "layout": layout(p, x, y, meta, shapes, "x unified")}


def _flow_answer(v: Versus) -> str:
    what = "‖∂L/∂h<sub>t</sub>‖"
    if any(TASKS[run.experiment.task].every_step for run in v.runs):
        what = _("{what} of the last loss").format(what=what)
    found = []
    for i, name in enumerate(v.names):
        values = v.flow(i)
        change = float(values[0] - values[-1])
        if np.isfinite(change):
            found.append(of(f"<b>{name}</b>", f"× {times(change)}"))
        else:
            found.append(_("<b>{name}</b> none at t = 1").format(name=name))
    text = _("{what}, from t = T to 1: {changes}")
    return text.format(what=what, changes=listed(found))


def ratios(v: Versus, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Where run `i` and the base both have a timestep: its place on the axis, and log10 of their gradients' ratio."""
    ours, base = v.flow(i), v.flow(0)
    n = min(len(ours), len(base))
    with np.errstate(invalid="ignore"):
        return v.timesteps(i)[-n:], ours[-n:] - base[-n:]


def gap(v: Versus, p: Palette) -> Part:
    """Where does the gradient differ, and by how much?"""
    data: list[Part] = []
    labels: list[Part] = []
    names, base = v.names, v.names[0]
    low, high = -2.0, 2.0
    for i in range(1, len(v.runs)):
        at, values = ratios(v, i)
        kept = thin(values)
        hover = _("{name}: 10<sup>{ratio}</sup> times that of {base}").format(
            name=names[i], ratio="%{y:.2f}", base=base
        )
        more: Part = {"fill": "tozeroy", "fillcolor": p.runs[i] + "2E"} if len(v.runs) == 2 else {}
        data.append(curve(p, i, at[kept], gaps(values[kept]), hover, **more))
        labels.append(named(v, p, i, [i - 1], "beside"))
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, grow(float(finite.min()), 2)), max(high, grow(float(finite.max()), 2))
    x = along_sequence(v, p)
    first, last = x["range"]
    labels.append(label("base", base, p.ink, [], "at", at=[last, 0.0]))
    meta = {
        "question": _("Where does the gradient differ?"), "answer": _gap_answer(v), "labels": labels,
        "x": "t" if v.aligned else "t − T", "ticks": {"x": "count", "y": "log"}, "axis": "t",
    }  # fmt: skip
    y = axis(p, (low, high), decades(low, high, 4), grid=True)
    shapes = [across(0, p.ink, last, first)]
    return {"data": data, "layout": layout(p, x, y, meta, shapes, "x unified")}


def _gap_answer(v: Versus) -> str:
    if len(v.runs) == 1:
        return _("nothing to compare with: choose a value above")
    found = []
    for i in range(1, len(v.runs)):
        at, values = ratios(v, i)
        there = np.flatnonzero(np.isfinite(values))
        if not there.size:
            found.append(_("<b>{name}</b> nowhere comparable").format(name=v.names[i]))
            continue
        most = there[np.abs(values[there]).argmax()]
        ratio = f"<b>{of(v.names[i], f'× {times(float(values[most]))}')}</b>"
        where = f"t = {at[most]}" if v.aligned else f"t = T − {-at[most]}"
        found.append(_("{ratio} at {t}").format(ratio=ratio, t=where) if len(v.runs) < MOST else ratio)
    return _("‖∂L/∂h<sub>t</sub>‖ over that of {base}; most: {found}").format(base=v.names[0], found=listed(found))


def _map(v: Versus, p: Palette, i: int) -> Part:
    """How does training change the flow in run `i`? The colours mean the same in all of these maps."""
    if i >= len(v.runs):
        return {"data": [], "layout": layout(p, axis(p, (0, 1), ([], [])), axis(p, (0, 1), ([], [])), _no_map(), [])}
    run = v.runs[i]
    low, high = spans(v)
    steps = run.now.shape[1]
    up = every(steps, MAP_TIMESTEPS)
    z, kept = columns(run, max(1, -(-v.end // MAP_COLUMNS)), up, v.end)
    hover = _("step {step}, t = {t}").format(step="%{customdata}", t="%{y}")
    trace = heatmap(
        z, (0, max(1, -(-v.end // MAP_COLUMNS))), (1, up), (low, high), p.magnitude,
        customdata=np.broadcast_to(kept, z.shape), hovertemplate=hover + "<br>10<sup>%{z:.1f}</sup><extra></extra>",
    )  # fmt: skip
    y = axis(p, (0.5, steps + 0.5), plain(counts(1, steps, 2)))
    y["ticktext"] = [f"t = {t:.0f}" if t in (1, steps) else str(int(t)) for t in y["tickvals"]]
    ticks = decades(low, high, 3)
    now = run.now[run.layer]
    said = _("‖∂L/∂h<sub>t</sub>‖ over training; at t = 1 it is <b>{size}</b> now")
    size = power(float(now[0])) if np.isfinite(now[0]) else "0"
    meta = {
        "question": v.full_names[i], "answer": said.format(size=size), "x": _("step"), "labels": [],
        "ticks": {"x": "count", "y": "count"}, "axis": "step",
        "bar": {"range": [low, high], "ticks": [list(t) for t in zip(*ticks, strict=True)]},
    }  # fmt: skip
    figure = layout(p, along_training(v, p), y, meta, [upright(v.step, p.soft)], "closest")
    return {"data": [trace], "layout": figure}


def _no_map() -> Part:
    return {"question": "", "answer": "", "x": "", "ticks": {"x": "names", "y": "names"}}


MAPS = {f"map{i}": partial(_map, i=i) for i in range(MOST)}
