"""What does a measure say over two knobs, or one? A map of colours, coarse before fine; or a curve with its spread."""

import numpy as np

from app.figures.asked import even_axis
from app.figures.maps_cells import Cells, Side
from app.figures.maps_measures import Look, drawn, named, span, stops, ticks
from app.figures.maps_words import answer, gone, heard, of_cell, question
from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import Ticks, decades
from app.figures.template import Part, across, axis, dots, label, layout, line, upright
from app.words import _

DASH = "5px,4px"  # of theory, everywhere
HIGH, LOW = 0.86, 0.14  # of the picture's height: where the names of the two edges stand


def picture(c: Cells, p: Palette) -> Part:
    return curve(c, p) if c.up is None else heat(c, p)


def heat(c: Cells, p: Palette) -> Part:
    """Two knobs: a cell for each pair of values."""
    assert c.up is not None
    look, shown = c.look, c.shown()
    z, edge, (low, high) = c.on_scale(c.middle), c.drawn_edge, c.scale
    z[gone(c)] = np.nan
    flat = np.where(shown >= 0, z.ravel()[shown], np.float32(np.nan)).astype(np.float32)
    x, y = (side.at.astype(np.float32) for side in (c.across, c.up))
    said = _texts(c, shown)
    cells = {
        "type": "heatmap", "z": np.ascontiguousarray(flat.T), "x": x, "y": y, "zmin": low, "zmax": high,
        "colorscale": [list(stop) for stop in stops(look, p)], "zsmooth": False, "hoverongaps": True,
        "hoverinfo": "text", "hovertext": said, "name": named(c.measure),
    }  # fmt: skip
    data: list[Part] = [cells, _lost(c, p, x, y)]
    labels: list[Part] = []
    if edge is not None:
        data += _edge(c, p, edge)
        if (passed := c.crossings()) and c.look.named:
            labels.append(_named(_(c.look.named), p.ink, passed, y, LOW))
    theory = c.theory_at
    if np.isfinite(theory).any():
        tx, ty = theory.T.astype(np.float32)
        data += [line(tx, ty, p.paper, 5), line(tx, ty, p.ink, 2.5, dash=DASH)]
        points = [(float(b), float(a)) for a, b in theory if np.isfinite(a)]
        labels.append(_named(_("theory: χ = 1"), p.ink, points, y, HIGH))
    marks = ticks(look, low, high)
    if c.drawn_most == high:  # all above it is as dark
        below = [tick for tick in zip(*marks, strict=True) if high - tick[0] > 0.08 * (high - low)]
        marks = ([v for v, _text in below] + [high], [text for _v, text in below] + [f"≥ {short(10**high)}"])
    meta = {
        "question": question(c), "answer": answer(c), "alt": heard(c), "x": c.across.label, "y": c.up.label,
        "labels": labels, "ticks": {"x": _kind(c.across), "y": _kind(c.up)},
        "bar": {"range": [low, high], "ticks": [list(tick) for tick in zip(*marks, strict=True)],
                "name": named(c.measure), "ends": _ends(look)},
        "cells": {"x": x.tolist(), "y": y.tolist(), "said": said},
    }  # fmt: skip
    sides = _side(p, c.across, 8), _side(p, c.up, 7)
    return {"data": data, "layout": layout(p, *sides, meta, [_ground(p)], "closest")}


def _texts(c: Cells, shown: np.ndarray) -> list[list[str]]:
    """(up, across) of what each cell says: itself, or the larger one that stands for it."""
    known = {
        int(k): of_cell(c, tuple(int(i) for i in np.unravel_index(k, shown.shape))) for k in np.unique(shown) if k >= 0
    }
    empty = _("not computed yet")
    return [[known.get(int(k), empty) for k in column] for column in shown.T]


def _ground(p: Palette) -> Part:
    """Where nothing is known yet."""
    where = {"xref": "paper", "yref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 1}
    return {"type": "rect", **where, "fillcolor": p.panel, "line": {"width": 0}, "layer": "below"}


def _lost(c: Cells, p: Palette, x: np.ndarray, y: np.ndarray) -> Part:
    """A cross in each cell of which half of the runs or more diverged."""
    at = np.argwhere(gone(c))
    look = {"symbol": "x-thin", "line": {"width": 1.6, "color": p.ink}}
    return dots(x[at[:, 0]], y[at[:, 1]], p.ink, 7, **look) | {"cliponaxis": True, "name": _("diverged")}


def _edge(c: Cells, p: Palette, edge: float) -> list[Part]:
    """The line of equal values that parts two regions, of the finest level that is known."""
    if c.up is None or c.level < 0 or c.across.names or c.up.names:
        return []
    i, j, middle = c.known()
    z = c.on_scale(middle)
    lines = {
        "type": "contour", "z": np.ascontiguousarray(z.T), "x": c.across.at[i].astype(np.float32),
        "y": c.up.at[j].astype(np.float32), "showscale": False, "autocontour": False, "hoverinfo": "skip",
        "contours": {"start": edge, "end": edge, "size": 1, "coloring": "none"}, "connectgaps": False,
    }  # fmt: skip
    return [lines | {"line": {"width": w, "color": colour, "smoothing": 0}, "name": _(c.look.named)}
            for w, colour in ((5, p.paper), (2.5, p.ink))]  # fmt: skip


def _named(text: str, colour: str, points: list[tuple[float, float]], y: np.ndarray, height: float) -> Part:
    """The name of a line of (up, across), beside the point that is nearest to this share of the height."""
    wanted = y[0] + height * (y[-1] - y[0])
    up, at = min(points, key=lambda point: abs(point[0] - wanted))
    return label(text, text, colour, [], "at", at=[at, up], box=True, loose=True)


def _ends(look: Look) -> list[str]:
    """What the least and the greatest value of the scale mean."""
    return [_(word) for word in look.ends]


def _kind(side: Side) -> str:
    return "names" if side.names else "log" if side.log else "real"


def _side(p: Palette, side: Side, most: int) -> Part:
    """An axis from the outer edge of its first cell to that of its last, with a tick at some of the values."""
    at = side.at
    ends = (1.5 * at[0] - 0.5 * at[1], 1.5 * at[-1] - 0.5 * at[-2]) if len(at) > 1 else (at[0] - 0.5, at[0] + 0.5)
    return axis(p, (float(ends[0]), float(ends[1])), _ticks(side, most))


def _ticks(side: Side, most: int) -> Ticks:
    if side.names:
        return [float(v) for v in side.at], list(side.written)
    at = side.at
    if side.log and at[-1] - at[0] > 2.5:
        return decades(float(at[0]), float(at[-1]), most)
    stride = -(-(len(at) - 1) // most) if len(at) > most else 1
    return [float(v) for v in at[::stride]], list(side.written[::stride])


def curve(c: Cells, p: Palette) -> Part:
    """One knob: the median and the quartiles as a band; of names and of folds a dot with its spread."""
    look = c.look
    known = c.count > 0
    colour = p.loss if look.loss else p.gradient
    low, middle, high = (np.where(known, drawn(look, part), np.float32(np.nan)) for part in c.quartiles)
    edge = c.drawn_edge
    seen = np.concatenate([low[np.isfinite(low)], middle[np.isfinite(middle)], high[np.isfinite(high)]])
    bottom, top = span(look, seen, edge, c.drawn_most)
    finite = [np.where(np.isposinf(part), np.float32(np.nan), part) for part in (low, middle, high)]
    y_axis = axis(p, (bottom, top), ticks(look, bottom, top), grid=True)
    if look.scale == "signed":
        y_axis = even_axis(p, bottom, top)
    low_end = np.float32(y_axis["range"][0])  # what is −∞ lies below, not nowhere
    finite = [np.where(np.isneginf(part), low_end, part) for part in finite]
    x = c.across.at.astype(np.float32)
    said = [of_cell(c, (k,)) if known[k] else _("not computed yet") for k in range(len(x))]
    hover = {"hoverinfo": "text", "hovertext": said}
    spread = int(c.count.max(initial=0)) > 1
    there = np.isfinite(finite[1])
    data: list[Part] = []
    if c.across.names or c.folds:
        bars = {"type": "data", "symmetric": False, "array": (finite[2] - finite[1])[there], "thickness": 2, "width": 6,
                "arrayminus": (finite[1] - finite[0])[there], "color": colour}  # fmt: skip
        data.append(dots(x[there], finite[1][there], colour, 11) | {"hoverinfo": "text", "name": named(c.measure),
                    "hovertext": [text for text, ok in zip(said, there, strict=True) if ok]}
                    | ({"error_y": bars} if spread else {}))  # fmt: skip
    else:
        keep = known  # what is not computed yet is passed over; what diverged is a gap
        if spread:
            data += [line(x[keep], finite[0][keep], colour, 0.0, name=_("lower quartile")),
                     line(x[keep], finite[2][keep], colour, 0.0, fill="tonexty", fillcolor=colour + "33",
                          name=_("upper quartile"))]  # fmt: skip
        texts = [text for text, ok in zip(said, keep, strict=True) if ok]
        data.append(line(x[keep], finite[1][keep], colour, 2.5, name=named(c.measure), mode="lines+markers",
                         marker={"size": 7, "color": colour}) | hover | {"hovertext": texts})  # fmt: skip
    lost = np.flatnonzero(gone(c))
    if lost.size:
        marks = dots(x[lost], np.full(lost.size, top, np.float32), p.ink, 9, symbol="x-thin",
                     line={"width": 2, "color": p.ink})  # fmt: skip
        data.append(marks | {"hoverinfo": "text", "hovertext": [said[k] for k in lost], "name": _("diverged")})
    x_axis = _side(p, c.across, 9)
    shapes, labels = [], list[Part]()
    if edge is not None:
        shapes.append(across(edge, p.ink, x_axis["range"][1], x_axis["range"][0]))
        labels.append(label("edge", _(c.look.named), p.ink, [], "at", at=[x_axis["range"][1], edge]))
    for key, at, word in zip(("low", "high"), y_axis["range"], _ends(look), strict=True):
        labels.append(label(key, word, p.soft, [], "at", at=[x_axis["range"][1], at], loose=True))
    if len(c.theory_at) and np.isfinite(c.theory_at[0, 0]):
        at = float(c.theory_at[0, 0])
        shapes.append(upright(at, p.theory, dash=DASH, width=2))
        labels.append(label("theory", _("theory: χ = 1"), p.theory, [], "at", at=[at, top], box=True))
    meta = {
        "question": question(c), "answer": answer(c), "alt": heard(c), "x": c.across.label, "y": named(c.measure),
        "labels": labels, "ticks": {"x": _kind(c.across), "y": "log" if look.scale in ("log", "ratio") else "real"},
        "cells": {"x": x.tolist(), "y": [], "said": [said]},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, x_axis, y_axis, meta, shapes, "closest")}
