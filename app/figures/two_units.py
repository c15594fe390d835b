"""Where do two units come to rest, and what does a gradient feel on the way? h ← φ(W h + b)."""

import numpy as np

import engine
from app.figures.asked import along, even_axis, log_axis
from app.figures.numbers import short, times
from app.figures.one_unit import smooth
from app.figures.palette import Palette, Stops
from app.figures.scales import decades, gaps
from app.figures.template import Part, across, axis, dots, heatmap, label, layout, line
from app.words import _, listed, sentences
from engine.instruments.two_units import LEAVES, WANDERS

SHARE = (1, 99)  # percentiles that the colour spans: a border is a line of starts far beyond all others
DEEPEST = -60.0
SHOWN = 4  # basins with a colour of their own
# Tints of Okabe–Ito's blue, orange, green and purple, told apart by the letter on each point too; the last two stand
# for what comes to no stable point: it wanders, it leaves.
BASINS = {
    "light": ("#CBE3F3", "#F8DDBF", "#CDEBDD", "#EBD3E3", "#F2F4F6", "#D5D9DE"),
    "dark": ("#123A54", "#573412", "#104534", "#4A2440", "#1D222A", "#3A414B"),
}
SYMBOLS = {"stable": "circle", "saddle": "x", "unstable": "circle-open", "edge": "diamond-open"}


def _letters(a: engine.TwoUnits) -> list[str]:
    return [chr(ord("A") + i % 26) for i in range(len(a.points))]


def portrait(a: engine.TwoUnits, p: Palette) -> Part:
    numbers = [int(n) for n in np.unique(a.basins) if n >= 0]
    rank = np.full(len(a.points) + 1, SHOWN, np.float32)
    rank[numbers] = np.arange(len(numbers)) % SHOWN
    z = np.where(a.basins >= 0, rank[np.maximum(a.basins, 0)], np.where(a.basins == LEAVES, SHOWN + 1, SHOWN))
    colours = BASINS[p.name]
    n = len(colours)
    stops: Stops = tuple((edge / n, c) for i, c in enumerate(colours) for edge in (i, i + 1))
    first, apart = float(a.axis[0]), float(a.axis[1] - a.axis[0])
    data = [heatmap(z.astype(np.float32), (first, apart), (first, apart), (-0.5, n - 0.5), stops, hoverinfo="skip")]
    steps, many = len(a.path), a.flights.shape[1]
    flown = np.full((many, steps + 1, 2), np.nan, np.float32)
    flown[:, :-1] = gaps(a.flights.transpose(1, 0, 2))
    fx, fy = flown[..., 0].ravel(), flown[..., 1].ravel()
    data.append(smooth(fx, fy, p.soft, 1, opacity=0.7))
    data.append(dots(fx, fy, p.soft, 4) | {"cliponaxis": True})
    x, y = gaps(a.path[:, 0]), gaps(a.path[:, 1])
    data += [smooth(x, y, p.paper, 5), smooth(x, y, p.ink, 2.5), dots(x, y, p.ink, 11) | {"cliponaxis": True}]
    replay = [
        {"trace": 1, "chunk": steps + 1}, {"trace": 2, "chunk": steps + 1, "head": True}, {"trace": 3}, {"trace": 4},
        {"trace": 5, "head": True},
    ]  # fmt: skip
    labels: list[Part] = []
    for kind, symbol in SYMBOLS.items():
        of = [i for i, found in enumerate(a.kinds) if found == kind]
        at = a.points[of].reshape(-1, 2)
        trace = dots(gaps(at[:, 0]), gaps(at[:, 1]), p.state, 12, symbol=symbol, line={"width": 2, "color": p.state})
        hover = f"{_kind(kind)}<br>h* = (%{{x:.3f}}, %{{y:.3f}})<extra></extra>"
        data.append(trace | {"hoverinfo": "all", "hovertemplate": hover})
    for letter, at, i in zip(_letters(a), a.points, range(len(a.points)), strict=True):
        labels.append(label(f"point{i}", f"<b>{letter}</b>", p.ink, [], "at", at=at.tolist(), loose=True))
    held = a.kinds.count("stable")
    meta = {
        "question": _("Which start comes to rest where?"),
        "answer": _("a colour is the basin of a stable point ●: <b>{n}</b>; × saddle, ○ unstable").format(n=held),
        "x": "h₁", "labels": labels, "replay": replay, "ticks": {"x": "real", "y": "real"},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, _span(a, p), _span(a, p, "h₂"), meta, [], "closest")}


def _span(a: engine.TwoUnits, p: Palette, name: str = "") -> Part:
    """An axis of the plane, and the points that lie just outside."""
    margin = 0.05 * float(a.axis[-1] - a.axis[0])
    low, high = float(a.axis[0]), float(a.axis[-1])
    at = [low, (low + high) / 2, high]
    text = [short(v) for v in at]
    if name:
        text[-1] = f"{name} = {text[-1]}"
    return axis(p, (low - margin, high + margin), (at, text))


def gradient_map(a: engine.TwoUnits, p: Palette) -> Part:
    z = a.log10_gradient
    finite = z[np.isfinite(z)]
    low, high = (float(v) for v in np.percentile(finite, SHARE)) if finite.size else (0.0, 0.0)
    low, high = float(np.floor(low)), float(np.ceil(max(high, np.floor(low) + 1)))
    first, apart = float(a.axis[0]), float(a.axis[1] - a.axis[0])
    hover = "h<sub>0</sub> = (%{x:.2f}, %{y:.2f})<br>10<sup>%{z:.1f}</sup><extra></extra>"
    shown = gaps(np.where(np.isfinite(z), z, np.nan))
    data = [
        heatmap(shown, (first, apart), (first, apart), (low, high), p.magnitude, hovertemplate=hover),
        dots(gaps(a.path[:1, 0]), gaps(a.path[:1, 1]), p.ink, 11, line={"width": 2, "color": p.paper}),
    ]
    ticks = decades(low, high, 4)
    answer = _("every gradient is exactly 0")
    if finite.size:
        answer = _(
            "‖∂h<sub>T</sub>/∂h<sub>0</sub>‖, T = {n}, for every start (● the chosen): {low} to <b>{high}</b>"
        ).format(n=len(a.path) - 1, low=times(float(finite.min())), high=times(float(finite.max())))
    meta = {
        "question": _("Which start would a gradient still reach?"), "answer": answer, "x": "h₁",
        "labels": [],
        "ticks": {"x": "real", "y": "real"},
        "bar": {"range": [low, high], "ticks": [list(tick) for tick in zip(*ticks, strict=True)]},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, _span(a, p), _span(a, p, "h₂"), meta, [], "closest")}


def eigenvalues(a: engine.TwoUnits, p: Palette) -> Part:
    """Does a small difference at a resting point grow or die?"""
    sizes, letters = np.abs(a.eigenvalues), _letters(a)
    x = np.arange(1, len(letters) + 1, dtype=np.int32)
    data: list[Part] = []
    for k, symbol in ((0, "circle"), (1, "circle-open")):
        trace = dots(x, gaps(sizes[:, k]), p.state, 11, symbol=symbol, line={"width": 2, "color": p.state})
        told = [f"{letter}: λ = {_complex(v)}" for letter, v in zip(letters, a.eigenvalues[:, k], strict=True)]
        data.append(trace | {"hoverinfo": "text", "hovertext": told})
    top = float(sizes.max(initial=1.0))
    turning = int((np.abs(a.eigenvalues.imag) > 0).any(axis=1).sum())
    answer = _("no resting point stands alone here")
    if letters:
        answer = _("the two |λ| of each point: above 1 grows, below 1 dies; <b>{n}</b> of {m} turn").format(
            n=turning, m=len(letters)
        )
    meta = {
        "question": _("Does a small difference grow or die there?"), "answer": answer, "x": "", "labels": [],
        "ticks": {"x": "real", "y": "real"},
    }  # fmt: skip
    ax = axis(p, (0.5, max(len(letters), 1) + 0.5), ([float(i) for i in x], letters))
    shapes = [across(1.0, p.ink, len(letters) + 0.5, 0.5, "above")]
    return {"data": data, "layout": layout(p, ax, even_axis(p, 0.0, max(top, 1.1), 4), meta, shapes, "closest")}


def _complex(v: complex) -> str:
    if not v.imag:
        return short(v.real)
    return f"{short(v.real)} {'−' if v.imag < 0 else '+'} {short(abs(v.imag))} i"


def gradient(a: engine.TwoUnits, p: Palette) -> Part:
    """What is left of a gradient after t steps along the path?"""
    t, y = np.arange(len(a.path), dtype=np.int32), gaps(a.path_gradient)
    hover = _("{n} steps").format(n="%{x}") + ": 10<sup>%{y:.2f}</sup><extra></extra>"
    data = [line(t, y, p.gradient, 3.5, hoverinfo="all", hovertemplate=hover), dots(t, y, p.gradient, 10)]
    labels = [label("measured", f"<b>{_('along the path')}</b>", p.gradient, [0], "beside")]
    at = reached(a)
    if at is not None and a.radii[at] > 0:
        data.append(line(t, gaps(np.log10(a.radii[at]) * t), p.theory, 1.5, dash="5px,4px"))
        text = _("point {name}: |λ| = {s}").format(name=_letters(a)[at], s=short(float(a.radii[at])))
        labels.append(label("theory", text, p.theory, [2], "beside"))
    end = float(a.path_gradient[-1])
    answer = _("log ‖∂h<sub>t</sub>/∂h<sub>0</sub>‖: after {n} steps <b>{left}</b>").format(
        n=len(t) - 1, left=_left(end)
    )
    meta = {
        "question": _("What is left of a gradient on its way back?"), "answer": answer, "x": "t", "labels": labels,
        "ticks": {"x": "count", "y": "log"}, "replay": [{"trace": 1, "head": True}],
    }  # fmt: skip
    return {"data": data, "layout": layout(p, along(p, 0, len(t) - 1), log_axis(p, y, DEEPEST, (-4.0, 1.0)), meta, [])}


def _left(exponent: float) -> str:
    return times(exponent) if np.isfinite(exponent) else "NaN" if np.isnan(exponent) else "0"


def reached(a: engine.TwoUnits) -> int | None:
    """The stable point that the chosen path has come to."""
    near = [
        (float(np.abs(a.path[-1] - point).max()), i)
        for i, (point, kind) in enumerate(zip(a.points, a.kinds, strict=True)) if kind == "stable"
    ]  # fmt: skip
    return min(near)[1] if near and min(near)[0] < 1e-2 else None


def _kind(kind: str) -> str:
    return {"stable": _("stable"), "saddle": _("saddle"), "unstable": _("unstable"), "edge": _("at the edge")}[kind]


def sentence(a: engine.TwoUnits) -> str:
    """What the pictures show, in numbers."""
    if not np.isfinite(a.weight).all() or not np.isfinite(a.bias).all():
        return _("The weights are not numbers: there is nothing to rest at.")
    kinds, total = a.kinds, a.basins.size
    said = _("No resting point stands alone.")
    if kinds:
        counted = [f"{kinds.count(kind)} {_kind(kind)}" for kind in SYMBOLS if kinds.count(kind)]
        said = _("{n} resting points: {kinds}.").format(n=len(kinds), kinds=listed(counted))
        if len(kinds) == 1:
            said = _("One resting point, {kind}.").format(kind=_kind(kinds[0]))
    if a.filled:
        said = sentences(said, _("Others fill a line or an area."))
    wander, leave = (float((a.basins == which).sum()) / total for which in (WANDERS, LEAVES))
    if wander > 0.5 and "stable" not in kinds:
        said = sentences(said, _("No fixed point is reached: the state goes round, or is still on its way."))
    elif wander > 0.005:
        said = sentences(said, _("{share} % of the starts reach none of them.").format(share=short(100 * wander, 2)))
    if leave:
        said = sentences(said, _("{share} % of the starts leave for infinity.").format(share=short(100 * leave, 2)))
    at, steps = reached(a), len(a.path) - 1
    text = _("From the start a gradient is multiplied by {left} in {n} steps.")
    if at is not None:
        text = _(
            "From the start it comes to {name}, where |λ| is {s}: a gradient is multiplied by {left} in {n} steps."
        )
    end = float(a.path_gradient[-1])
    text = text.format(
        name="" if at is None else _letters(a)[at], s=short(float(a.radii[at])) if at is not None else "", n=steps,
        left=_left(end),
    )  # fmt: skip
    return sentences(said, text)
