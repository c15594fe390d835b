"""The network unrolled in time, in the course of one update.

It is one figure for all positions: `meta["reveal"]` says from which position on a point, or a column of a map, is seen
(see assets/stage/motion.js), so that it is played without the server.
"""

import numpy as np

import engine
from app.figures.asked import Asked
from app.figures.motion import Motion, first, places, positions, stretches
from app.figures.motion_sheet import HALF, NODE, Rows, Sheet, frames, heights, text, width, widths
from app.figures.numbers import minus, power, short, times
from app.figures.palette import Palette
from app.figures.scales import every, gaps, round_up
from app.figures.sequence import drawn_name
from app.figures.state import REACH
from app.figures.template import Part, axis, dots, heatmap, label, layout, line
from app.words import _

UNITS = 48  # of a node: more are thinned


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
    labels = [
        label(key, word, p.gradient, [], "at", at=[end + 0.75, layers + 1.6 * y], loose=True) for key, word, y in ends
    ]
    reach = state_span(a)
    word = f"■ ±{short(reach[1])}" if reach[0] < 0 else f"■ 0 … {short(reach[1])}"
    labels.append(label("state", word, p.state, [], "at", at=[end + 0.75, layers - 1.5 * HALF], loose=True))
    meta = {
        "question": _("Where does one update come from?"), "answer": said(a), "alt": alternative(a), "x": "t",
        "labels": labels,
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


def alternative(a: Asked) -> str:
    """What the drawing shows, for those who hear it."""
    m: Motion = a.found
    norms = m.unrolled.log10_norms[a.layer]
    return _("‖∂L/∂h‖ is {last} at t = {n} and {first} at t = 1; the loss goes from {before} to {after}.").format(
        last=_norm(norms[-1]), n=m.steps, first=_norm(norms[0]), before=short(m.loss), after=short(m.loss_after)
    )


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
        xs, ys = frames(x, layer + 1.0, HALF)
        sheet.add(line(gaps(xs), gaps(ys), p.soft, 1, mode="lines"))


def state_span(a: Asked) -> tuple[float, float]:
    """The colour scale of states: to a round number above the largest that is drawn; from 0 where none is below."""
    sizes = np.concatenate([np.abs(steps.h).ravel() for steps in a.found.unrolled.layers])
    sizes = sizes[np.isfinite(sizes)]
    top = round_up(float(sizes.max()), (1, 1.5, 2, 3, 5, 7.5, 10)) if sizes.size and sizes.max() > 1e-30 else 1.0
    return (0.0 if REACH.get(a.experiment.nonlinearity, (None, None))[0] == 0 else -top), top


def _inputs(sheet: Sheet, a: Asked, p: Palette, x: np.ndarray) -> None:
    """A symbol, one or two numbers, or the largest of many at each timestep; marked ones stand out."""
    m: Motion = a.found
    task, at = engine.TASKS[a.experiment.task], m.unrolled.at
    if task.symbols:
        words = [drawn_name(task.symbols, int(row.argmax())) for row in m.inputs]
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
    return drawn_name(classes, int(row.argmax())) if np.isfinite(row).all() else "NaN", drawn_name(
        classes, int(m.targets[i])
    )


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
        for y, h in [(rows.right, 0.75 * (rows.loss - rows.says))] if phase == "loss" else nodes:
            xs, ys = frames(x[[column]], y, h, 0.06)
            mine = marks[color]
            mine[0].extend(xs)
            mine[1].extend(ys)
            mine[2].extend([k] * len(xs))
    for color, (along, up, since) in marks.items():
        frame = line(gaps(np.array(along)), gaps(np.array(up)), color, 3, mode="lines")
        sheet.add(frame, since=since, until=[k + 1 for k in since])


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
