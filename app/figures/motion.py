"""One update in slow motion: what was found of it, its positions, and the network unrolled in time.

The drawing is one figure for all positions: `meta["reveal"]` says from which position on a point, a column of a map or
a label of it is seen (see assets/stage/motion.js), so that it is played without the server.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import engine
from app.figures.asked import Asked
from app.figures.numbers import minus, power, short, times
from app.figures.palette import Palette
from app.figures.scales import every, gaps, round_up
from app.figures.sequence import named
from app.figures.state import REACH
from app.figures.template import Part, axis, dots, heatmap, label, layout, line
from app.words import N_, _

PHASES = {  # the five, in their order
    "forward": N_("Forward"),
    "loss": N_("Loss"),
    "backward": N_("Backward"),
    "clip": N_("Clip"),
    "update": N_("Update"),
}
UNITS = 48  # of a node: more are thinned
NODE, HALF, GAP = 0.26, 0.3, 0.4  # half the width of a node, in columns; half its height and the distance, in rows
WIDEST, THINNEST = 0.29, 0.008  # half the width of an edge, in rows, at the ends of the scale
DEEPEST = 16.0  # decades that the widths span at most
LINE = 0.072  # height of a line of words, as a share of the picture: it is to hold however many layers there are


class Named(NamedTuple):
    """Of each layer and unit (L, H) one weight of W_hh, that to it with the largest gradient."""

    source: np.ndarray  # the unit that it comes from, 0-based
    weight: np.ndarray  # before the update
    raw: np.ndarray  # its gradient
    clipped: np.ndarray
    used: np.ndarray  # with L2 where that is part of it
    change: np.ndarray
    before: np.ndarray  # (slots, L, H) what the optimizer remembered of it
    after: np.ndarray


@dataclass(frozen=True, eq=False)
class Motion:
    """The numbers of one update: n timesteps that are drawn, of the first sequence of the batch; m where a loss is."""

    unrolled: engine.Unrolled
    inputs: np.ndarray  # (n, I) as the task gives them
    read: np.ndarray  # (m,) which of the n timesteps have a loss
    outputs: np.ndarray  # (m, O)
    targets: np.ndarray  # (m, O) numbers, or (m,) classes
    own_losses: np.ndarray  # (m,) of the sequence
    batch_losses: np.ndarray  # (m,) the mean over the batch
    loss: float  # of the batch, over all timesteps
    loss_after: float  # the same, with the same dropout, after the update
    promised: float | None  # g · Δθ, what a straight line would make of it; None where g is of more than the loss
    update: engine.Update  # the norms of its blocks, and no vectors
    raw_norms: np.ndarray  # (blocks,) of the gradient before clipping
    clipped_norms: np.ndarray
    grad_norm: float
    clipped_norm: float
    cosine: float  # of the two
    changed: float  # the share of components that clipping changes
    change_norm: float  # ‖Δθ‖
    weight_norm: float  # ‖θ‖
    named: Named
    marks: tuple[int, ...]  # timesteps of note
    batch: int  # sequences

    @property
    def steps(self) -> int:
        return self.unrolled.log10_norms.shape[1]


class Position(NamedTuple):
    phase: str
    column: int | None  # which of the drawn timesteps, 0-based


def positions(m: Motion) -> list[Position]:
    """Forward through the drawn timesteps, their losses, back again, clip, update, and what has come of it."""
    n = len(m.unrolled.at)
    return [
        *(Position("forward", i) for i in range(n)),
        *(Position("loss", int(i)) for i in m.read),
        *(Position("backward", i) for i in reversed(range(n))),
        Position("clip", None), Position("update", None), Position("update", n),
    ]  # fmt: skip


def first(m: Motion, phase: str) -> int:
    """The position at which a phase begins."""
    return [p.phase for p in positions(m)].index(phase)


def places(m: Motion) -> np.ndarray:
    """(n,): where each drawn timestep stands; a gap between two takes a place of its own."""
    at = m.unrolled.at
    return np.concatenate([[0], np.cumsum(1 + (np.diff(at) > 1))]).astype(np.float64)


def stretches(m: Motion) -> str:
    """The timesteps that are drawn, as a reader would say them.

    1…8 and 93…100, say."""
    at = [int(t) for t in m.unrolled.at]
    cuts = [0, *(i for i in range(1, len(at)) if at[i] > at[i - 1] + 1), len(at)]
    parts = [f"{at[a]}…{at[b - 1]}" if b - a > 1 else str(at[a]) for a, b in pairwise(cuts)]
    if len(parts) == 1:
        return parts[0]
    return _("{parts} and {last}").format(parts=", ".join(parts[:-1]), last=parts[-1])


# --- the drawing


class Rows(NamedTuple):
    """Heights: of the words below and above the layers, whose nodes are at 1, 2, …; and the ends of the axis."""

    low: float
    x: float
    norm: float
    under: float  # where the lines to the words below end
    over: float  # and those above
    says: float
    right: float
    loss: float
    high: float


def heights(layers: int) -> Rows:
    body = layers - 1 + 2 * HALF
    q = LINE * body / (1 - 6.7 * LINE)
    bottom, top = 1 - HALF, layers + HALF
    return Rows(
        bottom - 2.9 * q, bottom - 2.2 * q, bottom - 1.15 * q, bottom - 0.6 * q, top + 0.8 * q, top + 1.3 * q,
        top + 2.3 * q, top + 3.3 * q, top + 3.8 * q,
    )  # fmt: skip


@dataclass
class Sheet:
    """What is drawn so far, and from which position on it is seen."""

    data: list[Part]
    reveal: list[Part]

    def add(self, trace: Part, **shown: Any) -> None:
        """shown: `since` (and `until`), a position for each point; `columns`, for each column of a map."""
        if shown:
            self.reveal.append({"trace": len(self.data)} | shown)
        self.data.append(trace)


def drawing(a: Asked, p: Palette) -> Part:
    """Rows from the bottom: input, layers, answer, loss. Columns are timesteps."""
    m: Motion = a.found
    x, layers, sheet = places(m), a.experiment.num_layers, Sheet([], [])
    scale, rows = widths(m), heights(layers)
    _skeleton(sheet, m, p, x, layers)
    _rivers(sheet, m, p, x, layers, scale)
    _inputs(sheet, a, p, x)
    _nodes(sheet, a, p, x, layers)
    _answers(sheet, a, p, x, rows)
    _cursor(sheet, m, p, x, layers)
    _numbers(sheet, a, p, x)
    at = m.unrolled.at
    names = {rows.x: "x<sub>t</sub>", rows.norm: "‖δ<sub>t</sub>‖"}
    for layer in range(layers):
        names[layer + 1.0] = "h<sub>t</sub>" if layers == 1 else _("layer {n}").format(n=layer + 1)
    names |= {rows.says: _("says"), rows.right: _("right"), rows.loss: _("loss")}
    end = float(x[-1])
    x_axis = axis(p, (-0.6, end + 0.75), ([float(v) for v in x], [minus(str(int(t))) for t in at]))
    y_axis = axis(p, (rows.low, rows.high), ([*names], [*names.values()]))
    low, high = scale
    ends = (("wide", f"<b>━</b> {times(high)}", HALF / 2), ("thin", f"─ {times(low)}", -HALF / 2))
    labels = [label(key, word, p.gradient, [], "at", at=[end + 0.75, layers + y], loose=True) for key, word, y in ends]
    meta = {
        "question": _("Where does one update come from?"), "answer": said(a), "x": "t", "labels": labels,
        "ticks": {"x": "names", "y": "names"}, "reveal": sheet.reveal,
        "columns": [[float(v), int(t)] for v, t in zip(x, at, strict=True)],
    }  # fmt: skip
    return {"data": sheet.data, "layout": layout(p, x_axis, y_axis, meta, [], "closest")}


def said(a: Asked) -> str:
    """What the drawing shows, below its title."""
    m: Motion = a.found
    of = _("h<sub>t</sub> of the first of {b} sequences by colour; width of the edges: log ‖∂L/∂h<sub>t</sub>‖")
    text = (
        of.format(b=m.batch)
        if m.batch > 1
        else _("h<sub>t</sub> by colour; width of the edges: log ‖∂L/∂h<sub>t</sub>‖")
    )
    if len(m.unrolled.at) < m.steps:
        text += _(". Steps <b>{stretches}</b> of {n}").format(stretches=stretches(m), n=m.steps)
    return text


def widths(m: Motion) -> tuple[float, float]:
    """The decades that the thinnest and the widest edge stand for."""
    norms = m.unrolled.log10_norms
    finite = norms[np.isfinite(norms)]
    if not finite.size:
        return -4.0, 0.0
    high = float(np.ceil(finite.max()))
    return min(max(float(np.floor(finite.min())), high - DEEPEST), high - 4.0), high


def width(log10: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Half the width of an edge, in rows; NaN for no gradient at all."""
    low, high = scale
    share = np.clip((np.asarray(log10) - low) / (high - low), 0.0, 1.0)
    return np.where(np.isfinite(log10), THINNEST + share * (WIDEST - THINNEST), np.nan)


def _skeleton(sheet: Sheet, m: Motion, p: Palette, x: np.ndarray, layers: int) -> None:
    """The network before anything has happened in it: thin lines, dotted where timesteps are left out."""
    rows = heights(layers)
    down = [(v, v, rows.under, 1 - HALF) for v in x]
    down += [(v, v, n + HALF, n + 1 - HALF) for n in range(1, layers) for v in x]
    down += [(x[i], x[i], layers + HALF, rows.over) for i in m.read]
    xs, ys = (
        np.array([[*pair, np.nan] for pair in pairs]).ravel()
        for pairs in ([d[:2] for d in down], [d[2:] for d in down])
    )
    sheet.add(line(gaps(xs), gaps(ys), p.faint, 1.5, mode="lines"))
    near = np.diff(m.unrolled.at) == 1
    for chosen, dash in ((near, "solid"), (~near, "2px,4px")):
        pairs = [(x[i] + NODE, x[i + 1] - NODE) for i in np.flatnonzero(chosen)]
        edges = [(a, b, layer + 1.0) for layer in range(layers) for a, b in pairs]
        if edges:
            xs = np.array([[a, b, np.nan] for a, b, _y in edges]).ravel()
            ys = np.array([[y, y, np.nan] for _a, _b, y in edges]).ravel()
            sheet.add(line(gaps(xs), gaps(ys), p.faint, 1.5, mode="lines", dash=dash))
    for i in np.flatnonzero(~near):
        left_out = int(m.unrolled.at[i + 1] - m.unrolled.at[i] - 1)
        word = _("{n} more").format(n=left_out)
        sheet.add(text([x[i] + 1], [rows.x], [word], p.soft, 0.86))


def _rivers(sheet: Sheet, m: Motion, p: Palette, x: np.ndarray, layers: int, scale: tuple[float, float]) -> None:
    """The gradient on its way back: at each timestep as wide as log ‖∂L/∂h_t‖, to the left what is left of it."""
    begin, n, at = first(m, "backward"), len(x), m.unrolled.at
    for layer in range(layers):
        own = width(m.unrolled.log10_norms[layer, at - 1], scale)
        through = np.isfinite(m.unrolled.layers[layer].log10_through)  # false where it was cut on its way
        y, xs, ys, since = layer + 1.0, list[float](), list[float](), list[int]()
        arrows: list[tuple[float, int]] = []
        for i in range(n - 1):
            if not (np.isfinite(own[[i, i + 1]]).all() and through[i]):
                continue
            right, left = x[i + 1] - NODE, x[i] + NODE
            xs += [right, left, left, right, right, np.nan]
            ys += [y + own[i + 1], y + own[i], y - own[i], y - own[i + 1], y + own[i + 1], np.nan]
            since += [begin + n - 1 - i] * 6
            arrows.append(((left + right) / 2, begin + n - 1 - i))
        fill = {"fill": "toself", "fillcolor": p.gradient, "opacity": 0.75}
        if xs:
            sheet.add(line(gaps(np.array(xs)), gaps(np.array(ys)), p.gradient, 1, mode="lines", **fill), since=since)
            head = dots(
                gaps(np.array([v for v, _k in arrows])), np.full(len(arrows), y, np.float32), p.gradient, 9,
                symbol="triangle-left", line={"width": 1.2, "color": p.paper},
            )  # fmt: skip
            sheet.add(head, since=[k for _v, k in arrows])
        entering = width(m.unrolled.layers[layer].log10_entering, scale)
        top = layer == layers - 1
        ends = (heights(layers).over if top else y + 1 - HALF, y + HALF)
        _drops(sheet, x, ends, entering, p.loss if top else p.gradient, begin + n - 1)


def _drops(sheet: Sheet, x: np.ndarray, ends: tuple[float, float], entering: np.ndarray, color: str, last: int) -> None:
    """What enters a layer from above, at each timestep: from the loss, or from the next layer."""
    high, low = ends
    xs, ys, since = list[float](), list[float](), list[int]()
    for i in np.flatnonzero(np.isfinite(entering)):
        half = 0.6 * entering[i]
        xs += [x[i] - half, x[i], x[i] + half, x[i] - half, np.nan]  # an arrow down, as wide as what comes
        ys += [high, low, high, high, np.nan]
        since += [last - int(i)] * 5
    if xs:
        fill = {"fill": "toself", "fillcolor": color, "opacity": 0.75}
        sheet.add(line(gaps(np.array(xs)), gaps(np.array(ys)), color, 1, mode="lines", **fill), since=since)


def _nodes(sheet: Sheet, a: Asked, p: Palette, x: np.ndarray, layers: int) -> None:
    """A strip of units at each timestep, the first at the top."""
    m: Motion = a.found
    span = state_span(a)
    for layer in range(layers):
        h = m.unrolled.layers[layer].h
        down = every(h.shape[1], UNITS)
        rows = h[:, ::down].T[::-1]  # the first unit at the top
        columns = np.rint((x[-1] + 0.5) / 0.5).astype(int) + 1
        z = np.full((len(rows), columns), np.nan)
        where = np.rint(x * 2).astype(int)
        z[:, where] = rows
        since = np.full(columns, 0)
        since[where] = np.arange(len(x))
        high = 2 * HALF / len(rows)
        shown = heatmap(
            gaps(z), (0, 0.5), (layer + 1 - HALF + high / 2, high), span, p.positive if span[0] == 0 else p.signed,
            hovertemplate="h = %{z:.3f}<extra></extra>",
        )  # fmt: skip
        sheet.add(shown, columns=since.tolist())
        xs, ys = _frames(x, layer + 1.0, HALF)
        sheet.add(line(gaps(xs), gaps(ys), p.soft, 1, mode="lines"))


def state_span(a: Asked) -> tuple[float, float]:
    """The colour scale of states: the reach of the activation, or a round number above the largest."""
    low, high = REACH.get(a.experiment.nonlinearity, (None, None))
    if low is not None and high is not None:
        return low, high
    sizes = np.concatenate([np.abs(steps.h).ravel() for steps in a.found.unrolled.layers])
    sizes = sizes[np.isfinite(sizes)]
    top = round_up(float(sizes.max()), (1, 1.5, 2, 3, 5, 7.5, 10)) if sizes.size and sizes.max() > 1e-30 else 1.0
    return (0.0 if low == 0 else -top), top


def _frames(x: np.ndarray, y: float, h: float, more: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The outline of a node at each x, 2·h high; `more` on all sides."""
    w, h = NODE + more, h + 0.5 * more
    xs = np.array([[v - w, v + w, v + w, v - w, v - w, np.nan] for v in x]).ravel()
    return xs, np.tile([y - h, y - h, y + h, y + h, y - h, np.nan], len(x))


def text(x: Any, y: Any, words: list[str], color: str, size: float = 1.0) -> Part:
    """Words at points. (`markers+text`: mode `text` is for letters, which a crowded picture leaves out.)"""
    return {
        "type": "scatter", "mode": "markers+text", "x": gaps(np.asarray(x)), "y": gaps(np.asarray(y)), "text": words,
        "textposition": "middle center", "textfont": {"color": color}, "hoverinfo": "skip", "cliponaxis": False,
        "marker": {"size": 0.1, "color": color, "opacity": 0}, "meta": {"size": size},
    }  # fmt: skip


def _inputs(sheet: Sheet, a: Asked, p: Palette, x: np.ndarray) -> None:
    """A symbol, one or two numbers, or the largest of many at each timestep; marked ones stand out."""
    m: Motion = a.found
    task, at = engine.TASKS[a.experiment.task], m.unrolled.at
    if task.symbols:
        words = [named(task.symbols, int(row.argmax())) for row in m.inputs]
    elif m.inputs.shape[1] <= 2:
        words = [short(float(row[0]), 2) for row in m.inputs]
    else:
        words = [_("{n} x").format(n=m.inputs.shape[1])] * len(x)
    words = [f"<b>{w}</b>" if int(t) in m.marks else w for w, t in zip(words, at, strict=True)]
    marked = np.array([int(t) in m.marks for t in at])
    for chosen, color in ((~marked, p.soft), (marked, p.ink)):
        if chosen.any():
            own = [w for w, c in zip(words, chosen, strict=True) if c]
            sheet.add(
                text(x[chosen], np.full(chosen.sum(), heights(a.experiment.num_layers).x), own, color),
                since=np.flatnonzero(chosen).tolist(),
            )


def _answers(sheet: Sheet, a: Asked, p: Palette, x: np.ndarray, rows: Rows) -> None:
    """What it says where a loss is read, and the loss of that."""
    m: Motion = a.found
    begin, at = first(m, "loss"), x[m.read]
    since = [begin + i for i in range(len(m.read))]
    said, right = zip(*(_answer(a, i) for i in range(len(at))), strict=True)
    sheet.add(text(at, np.full(len(at), rows.says), list(said), p.ink), since=since)
    sheet.add(text(at, np.full(len(at), rows.right), list(right), p.soft), since=since)
    words = [f"<b>{short(float(v), 2)}</b>" for v in m.own_losses]
    sheet.add(text(at, np.full(len(at), rows.loss), words, p.loss), since=since)


def _answer(a: Asked, i: int) -> tuple[str, str]:
    """What it says and what is right: of several numbers the first."""
    m: Motion = a.found
    row = m.outputs[i]
    if m.targets.ndim > 1:
        return short(float(row[0]), 2), short(float(m.targets[i, 0]), 2)
    classes = engine.TASKS[a.experiment.task].classes
    return named(classes, int(row.argmax())) if np.isfinite(row).all() else "NaN", named(classes, int(m.targets[i]))


def _cursor(sheet: Sheet, m: Motion, p: Palette, x: np.ndarray, layers: int) -> None:
    """A frame around what is computed at a position."""
    rows = heights(layers)
    marks: dict[str, tuple[list[float], list[float], list[int]]] = {
        c: ([], [], []) for c in (p.ink, p.loss, p.gradient)
    }
    for k, (phase, column) in enumerate(positions(m)):
        if phase not in ("forward", "loss", "backward") or column is None:
            continue
        color = {"forward": p.ink, "loss": p.loss, "backward": p.gradient}[phase]
        nodes = [(n + 1.0, HALF) for n in range(layers)]
        for y, h in [(rows.right, rows.loss - rows.says)] if phase == "loss" else nodes:
            xs, ys = _frames(x[[column]], y, h, 0.06)
            mine = marks[color]
            mine[0].extend(xs)
            mine[1].extend(ys)
            mine[2].extend([k] * len(xs))
    for color, (xs, ys, since) in marks.items():
        until = [k + 1 for k in since]
        sheet.add(line(gaps(np.array(xs)), gaps(np.array(ys)), color, 3, mode="lines"), since=since, until=until)


def _numbers(sheet: Sheet, a: Asked, p: Palette, x: np.ndarray) -> None:
    """‖∂L/∂h_t‖ of the shown layer, as it is reached."""
    m: Motion = a.found
    begin, n = first(m, "backward"), len(x)
    norms = m.unrolled.log10_norms[a.layer, m.unrolled.at - 1]
    words = [_norm(v) for v in norms]
    y = np.full(n, heights(a.experiment.num_layers).norm)
    sheet.add(text(x, y, words, p.gradient, 0.95), since=[begin + n - 1 - i for i in range(n)])


def _norm(log10: float) -> str:
    if np.isneginf(log10):
        return "0"
    return power(log10) if np.isfinite(log10) else "NaN"
