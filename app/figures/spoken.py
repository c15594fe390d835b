"""What does a picture show, for those who hear the page? Its curves and maps in numbers, read from the figure."""

from typing import Any

import numpy as np

from app.figures.numbers import short, times
from app.figures.template import Part
from app.words import _, sentences

MOST = 6  # curves that are told; more are no sentence any more
LETTERS = 3  # a name as short as that is a symbol, and has an = before its value
FLAT = 0.15  # of a curve's whole height: a turn that leaves its two ends by less is not told


def spoken(figure: Part) -> Part:
    """The figure with `meta["alt"]`: sentences (html) about its named curves, maps and surfaces."""
    meta = figure["layout"]["meta"]
    if "alt" in meta:  # the picture speaks for itself
        return figure
    found = [said for label in meta["labels"][:MOST] if (said := _curve(figure, label))]
    found += [said for trace in figure["data"] if (said := _field(trace))]
    meta["alt"] = sentences(*found)
    return figure


def _curve(figure: Part, label: Part) -> str:
    """A named curve: where it begins and ends, and how far it goes between."""
    ticks, meta = figure["layout"]["meta"]["ticks"], figure["layout"]["meta"]
    if not label["traces"] or "names" in (ticks.get("x"), ticks.get("y")):
        return ""
    trace = figure["data"][label["traces"][0]]
    if not isinstance(trace.get("x"), np.ndarray) or not isinstance(trace.get("y"), np.ndarray):
        return ""
    y = trace["y"].astype(float)
    there = np.flatnonzero(np.isfinite(y))
    if not there.size:
        return ""
    first, last = there[0], there[-1]
    low, high = float(y[there].min()), float(y[there].max())
    words: dict[str, Any] = {
        "name": label["text"], "first": _number(y[first], ticks.get("y")), "last": _number(y[last], ticks.get("y")),
        "from_x": _place(trace["x"][first], meta), "to_x": _place(trace["x"][last], meta),
        "low": _number(low, ticks.get("y")), "high": _number(high, ticks.get("y")),
    }  # fmt: skip
    if first == last:
        return _("{name}: {last} at {to_x}.").format(**words)
    beyond = FLAT * (high - low)
    if min(y[first], y[last]) - low > beyond or high - max(y[first], y[last]) > beyond:
        text = _("{name}: {first} at {from_x}, {last} at {to_x}, between {low} and {high}.")
        return text.format(**words)
    return _("{name}: {first} at {from_x}, {last} at {to_x}.").format(**words)


def _field(trace: Part) -> str:
    """A map or a surface: from which value to which; the numbers are those that one reads by pointing at it."""
    shown = trace.get("hovertemplate", "")
    if trace["type"] not in ("heatmap", "surface") or "%{z" not in shown or not isinstance(trace["z"], np.ndarray):
        return ""
    z = trace["z"][np.isfinite(trace["z"])]
    if not z.size:
        return ""
    kind = "log" if "10<sup>%{z" in shown else None
    low, high = (_number(float(end), kind) for end in (z.min(), z.max()))
    if trace["type"] == "surface":
        return _("Heights from {low} to {high}.").format(low=low, high=high)
    return _("Colours from {low} to {high}.").format(low=low, high=high)


def _number(value: float, kind: str | None) -> str:
    return times(float(value), 3) if kind == "log" else short(float(value))


def _place(value: float, meta: Part) -> str:
    """Where on the x axis: "t = 3", "step 3"; the value alone where the axis has no name."""
    number = _number(float(value), meta["ticks"].get("x"))
    return f"{meta['x']}{' = ' if len(meta['x']) < LETTERS else ' '}{number}" if meta["x"] else number
