"""The same experiments over many seeds, as pictures: median and quartiles over training and timesteps, and pairs."""

from math import isfinite, log10

import numpy as np

from app.figures.numbers import short, times
from app.figures.palette import Palette
from app.figures.scales import counts, decades, gaps, grow, log, plain
from app.figures.template import Part, across, axis, dots, label, layout, line
from app.figures.versus import at_t, curve, of, over
from app.figures.versus_seeds import Seeds, curves, quartiles
from app.figures.versus_training import factors
from app.words import _, clauses, listed

SYMBOLS = ("circle", "diamond", "square", "triangle-up")
LEANS = (0, 1, -1, 1)  # of the labels at the lines' ends, where they meet


def _steps(s: Seeds) -> np.ndarray:
    return np.unique(np.concatenate([one.at for row in s.found for one in row])).astype(np.int32)


def _band(p: Palette, i: int, x: np.ndarray, quarters: np.ndarray, hover: str) -> list[Part]:
    """Quartiles as an area, the median as the run's line; quarters (3, columns) as they are drawn."""
    low, middle, high = (gaps(row) for row in quarters)
    area = {"fill": "tonexty", "fillcolor": p.runs[i] + "26"}
    width = 2.0 if len(x) == 1 else 0.0
    return [
        line(x, low, p.runs[i], width), line(x, high, p.runs[i], width, **area),
        curve(p, i, x, middle, hover, customdata=gaps(np.stack([10**low, 10**middle, 10**high], axis=1))),
    ]  # fmt: skip


def _hover(name: str) -> str:
    values = ("%{customdata[1]:.3~g}", "%{customdata[0]:.3~g}", "%{customdata[2]:.3~g}")
    said = _("{name} {median}, half of them from {low} to {high}")
    return said.format(name=name, median=values[0], low=values[1], high=values[2])


def loss(s: Seeds, p: Palette) -> Part:
    """Which one learns, whatever the seed?"""
    steps = _steps(s)
    data: list[Part] = []
    labels: list[Part] = []
    for i, name in enumerate(s.names):
        with np.errstate(divide="ignore"):
            quarters = np.log10(quartiles(curves(s.of(i), steps) / s.scale(i)))
        labels.append(_label(s, p, i, len(data)))
        data += _band(p, i, steps, quarters, _hover(name))
    base = log10(s.baselines[0] / s.scale(0)) if s.baselines[0] > 0 else 0.0
    seen = np.concatenate([[base], *(t["y"][np.isfinite(t["y"])] for t in data)])
    low, high = min(-1.0, grow(float(seen.min()), 0.5)), max(0.0, grow(float(seen.max()), 0.5))
    named = _("guessing") if s.relative else _(s.baseline_label)
    labels.append(label("baseline", named, p.ink, [], "at", at=[s.steps, base], loose=True))
    text = _("validation loss: median, half within the band")
    if s.relative:
        text = _("validation loss over that of guessing: median, half within the band")
    meta = {"question": _("Which one learns, whatever the seed?"), "answer": text, "labels": labels, "axis": "step"}
    return _over_steps(s, p, data, meta, (low, high), base)


def _label(s: Seeds, p: Palette, i: int, first: int) -> Part:
    traces = [first + 2, first, first + 1]
    return label(f"run{i}", f"<b>{s.names[i]}</b>", p.runs[i], traces, "end", start=0, lean=LEANS[i])


def _over_steps(
    s: Seeds, p: Palette, data: list[Part], meta: Part, span: tuple[float, float], level: float, sign: str = ""
) -> Part:
    x = over(axis(p, (0, s.steps), plain(counts(0, s.steps, 5))), _("step {n}").format(n="%{x}"))
    ticks = (
        decades(*span, 4) if span[1] - span[0] > 3 else factors(*span, "× " if level == 0 and not s.relative else "")
    )
    y = axis(p, span, ticks, grid=True)
    meta = {"x": _("step"), "ticks": {"x": "count", "y": "log"}} | meta
    return {"data": data, "layout": layout(p, x, y, meta, [across(level, p.ink, s.steps)], "x unified")}


def gap(s: Seeds, p: Palette) -> Part:
    """By how much does the loss differ, seed by seed?"""
    steps = _steps(s)
    base = curves(s.of(0), steps) / s.scale(0)
    data: list[Part] = []
    labels: list[Part] = []
    said = []
    for i in range(1, len(s.names)):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log10(curves(s.of(i), steps) / s.scale(i)) - np.log10(base)
        both = np.isnan(ratio)  # both lost: neither is better
        quarters = quartiles(np.where(both, 0.0, ratio))
        labels.append(_label(s, p, i, len(data)))
        data += _band(p, i, steps, quarters, _hover(s.names[i]))
        middle = float(quarters[1, -1])
        said.append(f"<b>{of(s.names[i], f'× {times(middle, 3)}' if isfinite(middle) else '× ∞')}</b>")
    seen = np.concatenate([[0.0], *(t["y"][np.isfinite(t["y"])] for t in data)])
    low, high = min(-0.5, grow(float(seen.min()), 0.5)), max(0.5, grow(float(seen.max()), 0.5))
    labels.append(label("base", s.names[0], p.ink, [], "at", at=[s.steps, 0.0]))
    text = _("over that of {base}, median at the end: {ratios}")
    meta = {
        "question": _("By how much does the loss differ?"), "labels": labels, "axis": "step",
        "answer": text.format(base=s.names[0], ratios=listed(said)),
        "notes": [{"text": _("worse"), "x": 0, "y": 1, "xanchor": "left", "yanchor": "top"},
                  {"text": _("better"), "x": 0, "y": 0, "xanchor": "left", "yanchor": "bottom"}],
    }  # fmt: skip
    return _over_steps(s, p, data, meta, (low, high), 0.0, "× ")


def flow(s: Seeds, p: Palette) -> Part:
    """How much gradient reaches step t at the end of training, over all seeds?"""
    longest = max(len(one.flow) for one in s.found[0])
    aligned = len({len(one.flow) for one in s.found[0]}) == 1
    first, last = (1, longest) if aligned else (1 - longest, 0)
    data: list[Part] = []
    labels: list[Part] = []
    missing = []
    for i, name in enumerate(s.names):
        rows = np.array([one.flow for one in s.of(i) if one.diverged is None])
        if not len(rows):
            missing.append(name)
            continue
        steps = rows.shape[1]
        x = np.arange(1, steps + 1, dtype=np.int32) - (0 if aligned else steps)
        labels.append(
            label(f"run{i}", f"<b>{name}</b>", p.runs[i], [len(data) + 2, len(data), len(data) + 1], "beside")
        )
        data += _band(p, i, x, quartiles(rows), _hover(name))
    seen = np.concatenate([[0.0], *(t["y"][np.isfinite(t["y"])] for t in data)])
    low, high = min(-4.0, grow(float(seen.min()), 4)), max(2.0, grow(float(seen.max()), 2))
    text = _("‖∂L/∂h<sub>t</sub>‖ after {n} steps: median, half within the band").format(n=s.steps)
    if missing:
        text = clauses([text, _("all of {names} diverged").format(names=listed(missing))])
    meta = {
        "question": _("How much gradient reaches step t?"), "answer": text, "labels": labels, "axis": "t",
        "x": "t" if aligned else "t − T", "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    x_axis = over(axis(p, (first - 0.5, last + 0.5), plain(counts(first, last, 5))), at_t(aligned))
    y = axis(p, (low, high), decades(low, high, 6), grid=True)
    shapes = [across(0, p.faint, last + 0.5, first - 0.5)]
    return {"data": data, "layout": layout(p, x_axis, y, meta, shapes, "x unified")}


def pairs(s: Seeds, p: Palette) -> Part:
    """Does every seed say the same? The loss at the end, seed by seed."""
    n = len(s.seeds)
    ends = np.array([s.last(i) for i in range(len(s.names))])  # (experiments, seeds)
    finite = ends[np.isfinite(ends) & (ends > 0)]
    base = log10(s.baselines[0] / s.scale(0)) if s.baselines[0] > 0 else 0.0
    values = [base, *np.log10(finite).tolist()]
    low, high = grow(min(-1.0, *values), 0.5), max(0.0, grow(max(values), 0.5))
    x = np.arange(1, n + 1, dtype=np.int32)
    data: list[Part] = []
    labels: list[Part] = []
    drawn = np.where(np.isfinite(ends), log(ends), np.float32(high))
    for i, name in enumerate(s.names):
        hover = [
            _("seed {seed}: {name} {loss}").format(
                seed=seed, name=name, loss=short(value) if isfinite(value) else _("diverged")
            )
            for seed, value in zip(s.seeds, ends[i].tolist(), strict=True)
        ]
        symbols = [SYMBOLS[i] if ok else "x" for ok in np.isfinite(ends[i])]
        data.append(dots(x, gaps(drawn[i]), p.runs[i], 9, symbol=symbols) | {"hoverinfo": "text", "hovertext": hover})
        labels.append(label(f"run{i}", f"<b>{name}</b>", p.runs[i], [i], "end", start=0, lean=LEANS[i]))
    ties = [
        {"type": "line", "x0": k + 1, "x1": k + 1, "y0": float(drawn[:, k].min()), "y1": float(drawn[:, k].max()),
         "line": {"color": p.faint, "width": 1.5}, "layer": "below"} for k in range(n)
    ]  # fmt: skip
    named = _("guessing") if s.relative else _(s.baseline_label)
    labels.append(label("baseline", named, p.ink, [], "at", at=[s.planned + 0.5, base], loose=True))
    meta = {
        "question": _("Does every seed say the same?"), "answer": _pairs_answer(s), "labels": labels, "x": _("seed"),
        "ticks": {"x": "names", "y": "log"},
    }  # fmt: skip
    first = s.seeds[0]
    at = counts(1, s.planned, 5)
    x_axis = axis(p, (0.5, s.planned + 0.5), ([float(k) for k in at], [str(first + k - 1) for k in at]))
    ticks = decades(low, high, 4) if high - low > 3 else factors(low, high, "")
    shapes = [*ties, across(base, p.ink, s.planned + 0.5, 0.5)]
    return {"data": data, "layout": layout(p, x_axis, axis(p, (low, high), ticks, grid=True), meta, shapes, "closest")}


def _pairs_answer(s: Seeds) -> str:
    count = _("{n} of {all}")
    wins = (count.format(n=s.wins(i)[0], all=len(s.seeds)) for i in range(1, len(s.names)))
    found = [of(f"<b>{name}</b>", won) for name, won in zip(s.names[1:], wins, strict=True)]
    return _("less loss than {base} at the end: {found}").format(base=s.names[0], found=listed(found))


PICTURES = {"seeds_loss": loss, "seeds_flow": flow, "seeds_gap": gap, "seeds_pairs": pairs}
