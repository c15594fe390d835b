"""The parts of the task picture: symbols, numbers, answers. Heard is soft, right is ink, said has the loss's colour."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import numpy as np

from app.figures.numbers import minus, short
from app.figures.palette import Palette
from app.figures.scales import MAP_TIMESTEPS, Ticks, every, gaps, round_up
from app.figures.template import Part, dots, heatmap, label, line
from app.shown import LIKELIEST, MOST_CLASSES
from app.snapshot import Snapshot
from app.words import _
from engine import TASKS, Experiment, OwnTask
from engine.own.series import Series

MOST_LINES = 4  # columns of numbers up to which each is a line; more are a map
LETTERS = 60  # timesteps up to which symbols are written as letters, where there is room
SURE = 0.1  # the probability from which a guess after the first is written
EDGE = 0.49  # timesteps from the last one to the right end of the axis
MOST_ANSWERS = 6  # classes written beside the last timestep


@dataclass
class Drawing:
    data: list[Part]
    labels: list[Part]
    span: tuple[float, float]  # of the y axis: bottom, top
    ticks: Ticks


def _reach(s: Snapshot) -> tuple[float, float]:
    """The axis of numbers: round, so that it grows in steps."""
    low, high = s.shown_span
    return (-_round(-low) if low < 0 else 0.0), (_round(high) if high > 0 else 0.0)


def _round(x: float) -> float:
    return round_up(x * (1 - 1e-3), (1, 1.5, 2, 3, 5, 7.5, 10))


def named(names: tuple[str, ...], n: int) -> str:
    """Of a symbol or a class: its own name, or its number."""
    return _(names[n]) if 0 <= n < len(names) else str(n)


def drawn_name(names: tuple[str, ...], n: int) -> str:
    """The same for a picture, to which < and & are more than characters."""
    return escape(named(names, n), quote=False)


def _some(steps: int) -> np.ndarray:
    """Timesteps (0-based) that are drawn as dots: all, or an even selection."""
    return np.arange(0, steps, every(steps, MAP_TIMESTEPS))


def _tint(p: Palette) -> tuple[tuple[float, str], ...]:
    return ((0.0, p.paper), (1.0, p.loss))


def _letters(x: np.ndarray, y: np.ndarray, text: list[str], color: str) -> Part:
    return {
        "type": "scatter", "mode": "text", "x": x, "y": y, "text": text, "textfont": {"color": color},
        "hoverinfo": "skip", "cliponaxis": False,
    }  # fmt: skip


def _dashes(at: np.ndarray, rows: np.ndarray, step: int, color: str, width: float = 3) -> Part:
    """A dash as long as a timestep (0-based) in a row of each. One path: hundreds of dots take a browser too long."""
    x = np.stack([at + 0.6, at + step + 0.4, at + step + 0.4], axis=1)
    y = np.stack([rows, rows, np.full(len(rows), np.nan)], axis=1)
    return line(x.ravel().astype(np.float32), y.ravel().astype(np.float32), color, width, mode="lines")


def grid(d: Drawing, s: Snapshot, p: Palette) -> None:
    """Classes at every timestep: a row each, or the likeliest from the top; shaded by their probability."""
    shown, row = s.shown, TASKS[s.experiment.task]
    steps, some = len(shown.targets), _some(len(shown.targets))
    ranked = shown.likeliest.shape[1] > 0
    count = LIKELIEST if ranked else shown.outputs.shape[1]
    first, names = _heard(d, s, p, ranked)  # the row below what is heard
    right = every(steps, MAP_TIMESTEPS)
    z = np.ascontiguousarray(gaps(np.clip(shown.outputs[::right], 0, 1)).T)
    hover = _("t = {t}").format(t="%{x}") + "<br>p = %{z:.2f}<extra></extra>"
    d.data.append(heatmap(z, (1, right), (first, 1), (0, 1), _tint(p), opacity=0.8, hovertemplate=hover))
    said = len(d.data) - 1
    at = shown.rank if ranked else shown.targets
    hit, letters = some[at[some] < count], ranked and steps <= LETTERS
    d.data.append(_dashes(hit, first + at[hit] + (0.38 if letters else 0.0), right, p.ink))
    if letters:
        each, rank = np.nonzero((shown.outputs >= SURE) | (np.arange(count) == 0))
        text = [drawn_name(row.classes, int(n)) for n in shown.likeliest[each, rank]]
        d.data.append(_letters(each.astype(np.int32) + 1, gaps(first + rank.astype(float)), text, p.ink))
    names |= (
        {first: _("1st"), first + count - 1: str(count)}
        if ranked
        else {first + n: drawn_name(row.classes, n) for n in range(count)}
    )
    bottom = first + count
    d.span, d.ticks = (bottom - 0.5, -0.6), ([float(y) for y in names], list(names.values()))
    end: Part = {"place": "at", "loose": True}
    middle = first + (count - 1) / 2
    d.labels += [
        label("right", f"<b>━ {_('right')}</b>", p.ink, [said + 1], at=[steps + EDGE, middle], **end),
        label("said", f"<b>■ {_('says')}</b>", p.loss, [said], at=[steps + EDGE, min(middle + 1, bottom - 0.5)], **end),
    ]


def _heard(d: Drawing, s: Snapshot, p: Palette, ranked: bool) -> tuple[int, dict[int, str]]:
    """Draw the inputs over or above a grid of classes; returns the grid's first row and the names of rows above it."""
    shown, row = s.shown, TASKS[s.experiment.task]
    steps, some = len(shown.inputs), _some(len(shown.inputs))
    at, word = some.astype(np.int32) + 1, _("heard")
    heard: Part = {"place": "at", "loose": True}
    if not shown.of_symbols:  # a line in a band of its own
        values = shown.inputs[:, 0].astype(float)
        low, high = _reach(s)
        d.data.append(line(at, gaps(2 - 2 * (values[some] - low) / max(high - low, 1e-30)), p.soft, 1.5))
        d.labels.append(label("heard", word, p.soft, [0], at=[steps + EDGE, 1.0], **heard))
        return 3, {0: short(high), 2: short(low)}
    if ranked:
        if steps > LETTERS:
            return 0, {}
        d.data.append(
            _letters(at, np.zeros(steps, np.float32), [drawn_name(row.symbols, int(n)) for n in shown.inputs], p.soft)
        )
        d.labels.append(label("heard", word, p.soft, [0], at=[steps + EDGE, 0.0], **heard))
        return 1, {}
    same = row.symbols == row.classes
    over = 0.3 if same else 0.0  # in the same row as what is right, but not over it
    d.data.append(_dashes(some, shown.inputs[some] - over, every(steps, MAP_TIMESTEPS), p.soft))
    d.labels.append(label("heard", f"━ {word}", p.soft, [0], at=[steps + EDGE, 0.0], **heard))
    if same:
        return 0, {}
    return len(row.symbols) + 1, {n: _(name) for n, name in enumerate(row.symbols)}


def symbols(d: Drawing, s: Snapshot, p: Palette) -> None:
    """Symbols that are heard: a dash in the row of each; those at marked timesteps stand out."""
    shown, row = s.shown, TASKS[s.experiment.task]
    steps, count = len(shown.inputs), len(row.symbols)
    some = _some(steps)
    marked = np.array([t - 1 for t in s.marks if t <= steps], np.int32)
    d.data.append(_dashes(some, shown.inputs[some], every(steps, MAP_TIMESTEPS), p.soft))
    if marked.size:
        d.data.append(_dashes(marked, shown.inputs[marked], 1, p.ink, 4))
        text = [drawn_name(row.symbols, int(n)) for n in shown.inputs[marked]]
        d.data.append(_letters(marked + 1, gaps(shown.inputs[marked] - 0.45), [f"<b>{t}</b>" for t in text], p.ink))
    rows = range(count) if count <= MOST_CLASSES else range(0, count, max(1, count // 4))
    d.span, d.ticks = (count - 0.4, -0.9), ([float(n) for n in rows], [drawn_name(row.symbols, n) for n in rows])


def numbers(d: Drawing, s: Snapshot, p: Palette) -> None:
    """Numbers that are heard as lines (many of them as a map), with the numbers that are right and said."""
    if (data := series_of(s.experiment)) is not None:
        _own_series(d, s, p, data)
        return
    shown = s.shown
    steps, some = len(shown.inputs), _some(len(shown.inputs))
    at, (low, high) = some.astype(np.int32) + 1, _reach(s)
    inputs, marked = shown.inputs.astype(float), np.array([t - 1 for t in s.marks if t <= steps], int)
    flags = [c for c in range(1, inputs.shape[1]) if _is_mark(inputs[:, c], marked)]
    columns = [c for c in range(inputs.shape[1]) if c not in flags]
    if len(columns) > MOST_LINES:
        right = every(steps, MAP_TIMESTEPS)
        z = np.ascontiguousarray(gaps(inputs[::right, columns]).T)
        stops = ((0.0, p.paper), (1.0, p.soft)) if low >= 0 else p.signed
        reach = (0.0, high) if low >= 0 else (-max(-low, high), max(-low, high))
        hover = _("t = {t}").format(t="%{x}") + "<br>x = %{z:.2f}<extra></extra>"
        d.data.append(heatmap(z, (1, right), (1, 1), reach, stops, hovertemplate=hover))
        count = len(columns)
        d.span, d.ticks = (count + 0.5, 0.5), ([1.0, float(count)], [_("x {n}").format(n=1), str(count)])
        if not shown.of_classes and shown.targets.size == 1:
            _say(d, s, p, 0.35 * count, 0.65 * count)
        return
    pad = 0.06 * (high - low)
    d.span, d.ticks = (low - pad, high + pad), _ticks(low, high)
    for c in columns:
        d.data.append(
            line(at, gaps(inputs[some, c]), p.soft, 1.2, hoverinfo="y", hovertemplate="x = %{y:.3~g}<extra></extra>")
        )
    if marked.size:
        values = gaps(inputs[marked, columns[0]])
        d.data.append(dots(marked.astype(np.int32) + 1, values, p.ink, 8))
        if flags:
            first = [int(marked[0]) + 1, d.span[1]]  # at the end of its line, over the numbers
            d.labels.append(label("marked", _("marked"), p.ink, [], "at", at=first, loose=True))
    if shown.of_classes:
        return
    _answers(d, s, p, at, some)


def series_of(e: Experiment) -> Series | None:
    """The reader's own series, where one is the task."""
    data = e.task.data if isinstance(e.task, OwnTask) else None
    return data if isinstance(data, Series) else None


def _own_series(d: Drawing, s: Snapshot, p: Palette, data: Series) -> None:
    """The column that is to be predicted, the first where there are several, in its own units."""
    steps, column = len(s.shown.inputs), data.outputs[0]
    some = _some(steps)
    at = some.astype(np.int32) + 1
    low, high = (float(x) for x in data.spans[column])
    pad = 0.08 * (high - low)
    d.span, d.ticks = (low - pad, high + pad), _ticks(low, high)
    if column in data.inputs:
        heard = data.own_units(s.shown.inputs[:, data.inputs.index(column)].astype(float))
        hover = {"hoverinfo": "y", "hovertemplate": _("heard") + " %{y:.4~g}<extra></extra>"}
        d.data.append(line(at, gaps(heard[some]), p.soft, 1.2, **hover))
    _answers(d, s, p, at, some, data.own_units)


def _is_mark(column: np.ndarray, marked: np.ndarray) -> bool:
    """Does a column say nothing but which timesteps are marked?"""
    return marked.size > 0 and np.array_equal(np.flatnonzero(column), marked) and bool((column[marked] == 1).all())


def _ticks(low: float, high: float) -> Ticks:
    at = [low, 0.0, high] if low < 0 < high else [low, high]
    return at, [short(v) for v in at]


def _answers(
    d: Drawing, s: Snapshot, p: Palette, at: np.ndarray, some: np.ndarray,
    units: Callable[[np.ndarray], np.ndarray] = lambda values: values,
) -> None:  # fmt: skip
    """The numbers that are right and that are said: lines where they are read at every step, dots at the last one."""
    shown = s.shown
    right, said, steps = units(shown.targets.astype(float)), units(shown.outputs.astype(float)), len(shown.inputs)
    if len(right) == 1:
        x = np.full(right.size, steps, np.int32)
        d.data += [
            dots(x, gaps(right[0]), p.ink, 11, symbol="circle-open", line={"width": 1.2}),
            dots(x, gaps(said[0]), p.loss, 7),
        ]
        if right.size == 1:
            _say(d, s, p, *(float(np.clip(y, *d.span)) for y in (right[0, 0], said[0, 0])))
        return
    end: Part = {"place": "end", "start": steps}
    d.data.append(line(at, gaps(right[some, 0]), p.ink, 1.5))
    d.labels.append(label("right", f"<b>{_('right')}</b>", p.ink, [len(d.data) - 1], **end, lean=1))
    hover = {"hoverinfo": "y", "hovertemplate": _("says") + " %{y:.3~g}<extra></extra>"}
    d.data.append(line(at, gaps(said[some, 0]), p.loss, 2.5, **hover))
    d.labels.append(label("said", f"<b>{_('says')}</b>", p.loss, [len(d.data) - 1], **end, lean=-1))
    if len(shown.free):
        x = np.arange(shown.free_from, shown.free_from + len(shown.free), dtype=np.int32)
        d.data.append(line(x, gaps(units(shown.free[:, 0].astype(float))), p.loss, 2, dash="4px,3px"))
        d.labels.append(label("free", _("by itself"), p.loss, [len(d.data) - 1], **end, lean=-2))


def _say(d: Drawing, s: Snapshot, p: Palette, right: float, said: float) -> None:
    """The one number that is right and the one that is said, beside the last timestep at these heights."""
    shown, steps = s.shown, len(s.shown.inputs)
    for key, text, value, color, y in (
        ("right", _("right"), shown.targets, p.ink, right),
        ("said", _("says"), shown.outputs, p.loss, said),
    ):
        if np.isfinite(y):
            text = f"<b>{text} {short(float(value[0, 0]))}</b>"
            d.labels.append(label(key, text, color, [], "at", at=[steps + EDGE, y], loose=True))


def classes_at_end(d: Drawing, s: Snapshot, p: Palette) -> None:
    """Beside the last timestep: each class with its probability, or the likeliest and the right one."""
    shown, row = s.shown, TASKS[s.experiment.task]
    kept = shown.likeliest[0] if shown.likeliest.size else np.arange(shown.outputs.shape[1])
    chance = dict(zip(map(int, kept), map(float, shown.outputs[0]), strict=True))
    right = int(shown.targets[0])
    chance.setdefault(right, float(shown.right[0]))
    if len(chance) > MOST_ANSWERS:
        most = sorted(chance, key=lambda n: -chance[n])[: MOST_ANSWERS - 1]
        chance = {n: chance[n] for n in sorted({*most, right})}
    best = max(chance, key=lambda n: chance[n])
    bottom, top = d.span
    for i, (n, value) in enumerate(chance.items()):
        y = top + (bottom - top) * (i + 0.5) / len(chance)
        text = f"{drawn_name(row.classes, n)} {minus(f'{value:.2f}')}"
        color = p.ink if n == right else p.loss if n == best else p.soft
        text = f"<b>{text}</b>" if n in (right, best) else text
        d.labels.append(
            label(f"class{n}", text + (" ✓" if n == right else ""), color, [], "at", at=[len(shown.inputs) + EDGE, y])
        )
