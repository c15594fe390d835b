"""One template for every picture: lines, maps, axes, and the `meta` from which a page or a notebook places the words.

`layout["meta"]` holds question and answer (html) and what depends on pixels and is therefore placed by whoever knows
them (the stage; `standalone` for a notebook):
  x        name of the x axis, written at its end
  labels   direct labels, see `label`
  notes    words inside the plot, at a place in paper fractions
  bar      colour bar: range, and ticks as [value, text]; ends: what its ends mean, low and high
  ticks    {"x": "count", "y": "log" | "count"}: how to make new ticks where the reader has zoomed in (x "log": always;
           "real": an axis that is not of whole numbers; "names": none, the ones given are all there are)
  equal    True: one unit for both axes
  axis     "t" | "step" | None: pictures along the same one mark together what is pointed at; by the name of the x axis,
           unless a figure says another
"""

from typing import Any

import numpy as np

from app.figures.palette import Palette, Stops
from app.figures.scales import Ticks, counts, plain
from app.snapshot import Snapshot
from app.words import _

Part = dict[str, Any]
STANDALONE = {"l": 64, "r": 120, "t": 76, "b": 44}


def line(x: np.ndarray, y: np.ndarray, color: str, width: float, **more: Any) -> Part:
    look = {"color": color, "width": width} | ({"dash": more.pop("dash")} if "dash" in more else {})
    mode = "lines+markers" if len(x) == 1 else "lines"  # a single point has no line
    return {"type": "scatter", "mode": mode, "x": x, "y": y, "line": look, "hoverinfo": "skip"} | more


Pair = tuple[float, float]


def heatmap(z: np.ndarray, x: Pair, y: Pair, span: Pair, stops: Stops, **more: Any) -> Part:
    """z (rows, columns); x and y are (first, distance)."""
    return {
        "type": "heatmap", "z": z, "x0": x[0], "dx": x[1], "y0": y[0], "dy": y[1], "zmin": span[0], "zmax": span[1],
        "colorscale": [list(stop) for stop in stops], "hoverongaps": False, "zsmooth": False,
    } | more  # fmt: skip


def axis(p: Palette, span: tuple[float, float], ticks: Ticks, grid: bool = False) -> Part:
    return {
        "range": list(span), "tickvals": ticks[0], "ticktext": ticks[1], "showgrid": grid, "gridcolor": p.grid,
        "zeroline": False, "showline": False, "ticks": "", "tickfont": {"color": p.soft}, "ticklabeloverflow": "allow",
        "automargin": False,
    }  # fmt: skip


def timesteps(p: Palette, s: Snapshot) -> Part:
    """The axis along the sequence; a timestep is one unit wide, so that curves and maps agree."""
    steps = s.now.shape[1]
    return axis(p, (0.5, steps + 0.5), plain(counts(1, steps, 5)))


def layout(p: Palette, x: Part, y: Part, meta: Part, shapes: list[Part], hover: str = "x") -> Part:
    return {
        "xaxis": x,
        "yaxis": y,
        "shapes": shapes,
        "showlegend": False,
        "hovermode": hover,
        "font": {"color": p.soft},
        "hoverlabel": {"bgcolor": p.panel, "bordercolor": p.faint, "font": {"color": p.ink}},
        "meta": {"labels": [], "notes": [], "bar": None, "axis": {"t": "t", _("step"): "step"}.get(meta.get("x", ""))}
        | meta,
    }


def label(key: str, text: str, color: str, traces: list[int], place: str, **more: Any) -> Part:
    """A direct label: it names (and can hide) `traces`, and stands "beside" the first of them, at its "end" (`lean` up
    or down, not before step `start`, `gap` pixels further off; `box`: on paper), "at" a point (`loose`: near it, where
    another stands there; `spare`: left out where there is no room), or in the "corner" right of it (in row `row`)."""
    return {"key": key, "text": text, "color": color, "traces": traces, "place": place} | more


def dots(x: np.ndarray, y: np.ndarray, color: str, size: float, **marker: Any) -> Part:
    look = {"size": size, "color": color} | marker
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "cliponaxis": False,
        "marker": look,
        "hoverinfo": "skip",
    }


def across(y: float, color: str, end: float, start: float = 0, layer: str = "below", **look: Any) -> Part:
    """A horizontal reference line."""
    stroke = {"color": color, "width": 1.5} | look
    return {"type": "line", "x0": start, "x1": end, "y0": y, "y1": y, "line": stroke, "layer": layer}


def upright(x: float, color: str, **look: Any) -> Part:
    """A vertical line over the whole height."""
    stroke = {"color": color, "width": 1} | look
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": stroke}


def standalone(p: Palette, figure: Part) -> Part:
    """The same picture with fixed margins, its title, and its words as annotations: for a notebook or an export."""
    meta, ax, ay = figure["layout"]["meta"], figure["layout"]["xaxis"], figure["layout"]["yaxis"]
    notes = [
        {"text": n["text"], "x": n["x"], "y": n["y"], "xref": "paper", "yref": "paper", "xanchor": n["xanchor"],
         "yanchor": n["yanchor"]} for n in meta["notes"]
    ]  # fmt: skip
    notes += [n for i, said in enumerate(meta["labels"]) if (n := _annotation(said, i, figure["data"])) is not None]
    bar = {"colorbar": _bar(meta["bar"])} if meta["bar"] else {}
    data = [trace | (bar if trace["type"] == "heatmap" else {}) for trace in figure["data"]]
    title = {
        "text": f"<b>{meta['question']}</b><br><span style='font-size:13px'>{meta['answer']}</span>",
        "x": 0, "xref": "paper", "xanchor": "left", "font": {"color": p.ink, "size": 16},
    }  # fmt: skip
    return {
        "data": data,
        "layout": figure["layout"] | {
            "title": title, "margin": STANDALONE, "paper_bgcolor": p.paper, "plot_bgcolor": p.paper, "height": 380,
            "annotations": [{"showarrow": False} | n for n in notes],
            "xaxis": ax | {"title": {"text": meta["x"]}}, "yaxis": ay,
        },
    }  # fmt: skip


def _bar(bar: Part) -> Part:
    values, text = zip(*bar["ticks"], strict=True)
    return {"thickness": 8, "outlinewidth": 0, "ticks": "", "tickvals": list(values), "ticktext": list(text)}


def _annotation(said: Part, index: int, data: list[Part]) -> Part | None:
    """A direct label as an annotation: at its point, or at a share of its line that is different for each."""
    look = {"text": said["text"], "font": {"color": said["color"]}, "xanchor": "left", "yanchor": "middle", "xshift": 8}
    if "at" in said:
        return look | {"x": said["at"][0], "y": said["at"][1], "yshift": -16 * said.get("row", -0.5) - 8}
    x, y = data[said["traces"][0]]["x"], data[said["traces"][0]]["y"]
    there = np.flatnonzero(np.isfinite(y))
    if not there.size:
        return None
    if said["place"] == "end":
        return look | {
            "x": float(max(x[there[-1]], said["start"])),
            "y": float(y[there[-1]]),
            "yshift": 9 * said["lean"],
        }
    i = there[min(len(there) - 1, round(len(there) * (0.2 + 0.14 * (index % 5))))]
    side = "right" if y[there[-1]] > y[there[0]] else "left"  # the side on which a sloping line is below its label
    return look | {"x": float(x[i]), "y": float(y[i]), "xanchor": side, "yanchor": "bottom", "xshift": 0, "yshift": 1}
