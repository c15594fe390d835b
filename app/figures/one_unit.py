"""Can one unit hold a bit, and what does holding do to a gradient? a ← w tanh(a) + u."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import engine
from app.figures.asked import along, log_axis
from app.figures.numbers import short, times
from app.figures.palette import Palette
from app.figures.scales import counts, gaps, plain
from app.figures.template import Part, axis, dots, label, layout, line, upright
from app.words import _, sentences
from engine.instruments.one_unit import latch

W_SPAN, U_SPAN = (-4.0, 4.0), (-3.0, 3.0)
POINTS = 801
DEEPEST = -30.0  # decades: less is off the picture


@dataclass(frozen=True, eq=False)
class Unit:
    """The unit, and its resting points for other w and other u."""

    unit: engine.OneUnit
    w: np.ndarray  # (n,)
    over_w: engine.Branches
    u: np.ndarray  # (n,)
    over_u: engine.Branches

    @property
    def steps(self) -> int:
        return len(self.unit.path) - 1


def grid(span: tuple[float, float]) -> np.ndarray:
    return np.linspace(*span, POINTS)


def _reach(a: Unit) -> float:
    """Of the axis of a: all resting points and the path, at least 2, as a whole number."""
    values = [np.abs(a.unit.path), np.abs(a.unit.points), np.abs(a.unit.cycle)]
    finite = np.concatenate(values)
    return float(np.ceil(max(2.0, 1.05 * float(finite[np.isfinite(finite)].max(initial=0.0)))))


def _round(p: Palette, reach: float) -> Part:
    return axis(p, (-reach, reach), plain([int(-reach), 0, int(reach)] if reach > 3 else [-2, -1, 0, 1, 2]), grid=True)


def smooth(x: np.ndarray, y: np.ndarray, color: str, width: float, **more: Any) -> Part:
    """A line with all its points: Plotly would leave some out, which shows in a bend."""
    made = line(x, y, color, width, **more)
    return made | {"line": made["line"] | {"simplify": False}}


def cobweb(a: Unit, p: Palette) -> Part:
    o, reach = a.unit, _reach(a)
    x = np.linspace(-reach, reach, 301)
    path = o.path
    there = np.repeat(path, 2)[:-1]  # a_0, a_0, a_1, a_1, … up to the curve and over to the diagonal
    web = np.concatenate([[path[0]], np.repeat(path[1:], 2)])
    data = [
        smooth(gaps(x), gaps(o.w * np.tanh(x) + o.u), p.state, 3.5),
        line(gaps(x[[0, -1]]), gaps(x[[0, -1]]), p.soft, 1.5),
        line(gaps(there), gaps(web), p.ink, 1.5),
        dots(gaps(there), gaps(web), p.ink, 9),
        *_rests(o.points, o.points, o.stable, p),
    ]
    labels = [
        label("map", f"<b>{_('w tanh(a) + u')}</b>", p.state, [0], "beside"),
        label("same", _("stays where it is"), p.soft, [1], "beside"),
    ]
    held = int(o.stable.sum())
    meta = {
        "question": _("Where does it come to rest?"),
        "answer": _("next a over a; it rests where the curve meets the line: <b>{n}</b> stable (full), {m} not (open)")
        .format(n=held, m=len(o.points) - held),
        "x": "a", "labels": labels, "ticks": {"x": "real", "y": "real"},
        "replay": [{"trace": 2, "per": 2}, {"trace": 3, "per": 2, "head": True}],
    }  # fmt: skip
    return {"data": data, "layout": layout(p, _round(p, reach), _round(p, reach), meta, [], "closest")}


def _rests(x: np.ndarray, y: np.ndarray, stable: np.ndarray, p: Palette) -> list[Part]:
    """Full dots and open ones."""
    look = {"hoverinfo": "all", "hovertemplate": "a* = %{y:.4f}<extra></extra>"}
    full = dots(gaps(x[stable]), gaps(y[stable]), p.state, 11, line={"width": 1.5, "color": p.paper}) | look
    open_ = dots(gaps(x[~stable]), gaps(y[~stable]), p.state, 10, symbol="circle-open", line={"width": 2.5}) | look
    return [full, open_]


def over_w(a: Unit, p: Palette) -> Part:
    answer = _("resting points a* for u = {u}: full is stable, dashed is not").format(u=short(a.unit.u))
    return _bifurcation(a, p, a.w, a.over_w, a.unit.w, "w", _("When does it begin to hold?"), answer, [])


def over_u(a: Unit, p: Palette) -> Part:
    edge = float(latch(a.unit.w))
    answer = _("w = {w} holds nothing: one stable point for every u").format(w=short(a.unit.w))
    if np.isfinite(edge):
        answer = _("w = {w} holds a bit against |u| below <b>{edge}</b>").format(w=short(a.unit.w), edge=short(edge, 5))
    elif a.unit.w < -1:
        answer = _("w = {w} holds nothing; near u = 0 it swings").format(w=short(a.unit.w))
    limits = [x for x in (-edge, edge) if np.isfinite(x) and abs(x) < U_SPAN[1]]
    return _bifurcation(a, p, a.u, a.over_u, a.unit.u, "u", _("How hard a push does it stand?"), answer, limits)


def _bifurcation(
    a: Unit, p: Palette, x: np.ndarray, found: engine.Branches, now: float, name: str, question: str, answer: str,
    limits: list[float],
) -> Part:  # fmt: skip
    data: list[Part] = []
    hover = f"{name} %{{x:.2f}}: a* = %{{y:.3f}}<extra></extra>"
    points, stable = found.points, found.stable
    if name == "u" and a.unit.w <= 1:  # one point for every u, on the side of u
        points, stable = np.nansum(points, axis=1)[:, None], np.any(stable, axis=1)[:, None]
    for shown, look in ((stable, {"width": 3.5}), (~stable, {"width": 2, "dash": "5px,4px"})):
        for k in range(points.shape[1]):
            data.append(
                smooth(gaps(x), gaps(np.where(shown[:, k], points[:, k], np.nan)), p.state, **look, hoverinfo="all",
                     hovertemplate=hover)
            )  # fmt: skip
    labels: list[Part] = []
    if np.isfinite(found.cycle).any():
        for k in range(2):
            data.append(smooth(gaps(x), gaps(found.cycle[:, k]), p.soft, 2, dash="1px,3px"))
        at = [float(x[0]) * 0.97, -0.35 * max(_reach(a), 3.0)] if name == "w" else [0.3, 0.1]
        labels.append(label("cycle", _("swings between two"), p.soft, [], "at", at=at))
    head = len(data)
    path = gaps(a.unit.path)
    data.append(dots(np.full(len(path), now, np.float32), path, p.ink, 9))
    reach = max(_reach(a), 3.0)
    shapes = [upright(now, p.soft), *(upright(v, p.theory, dash="5px,4px", width=1.5) for v in limits)]
    if limits:
        labels.append(label("latch", _("the latch, by theory"), p.theory, [], "at", at=[limits[-1], -0.9 * reach]))
    meta = {
        "question": question, "answer": answer, "x": name, "labels": labels, "ticks": {"x": "real", "y": "real"},
        "replay": [{"trace": head, "head": True}],
    }  # fmt: skip
    low, high = int(x[0]), int(x[-1])
    along_x = axis(p, (low, high), plain(counts(low, high, 8)), grid=True)
    return {"data": data, "layout": layout(p, along_x, _round(p, reach), meta, shapes, "closest")}


def gradient(a: Unit, p: Palette) -> Part:
    """What is left of a gradient on the way back to the start?"""
    o = a.unit
    t, y = np.arange(a.steps + 1, dtype=np.int32), gaps(o.log10_gradient)
    hover = _("{n} steps").format(n="%{x}") + ": 10<sup>%{y:.2f}</sup><extra></extra>"
    data = [line(t, y, p.gradient, 3.5, hoverinfo="all", hovertemplate=hover), dots(t, y, p.gradient, 10)]
    labels = [label("measured", f"<b>{_('along the path')}</b>", p.gradient, [0], "beside")]
    slope = _slope(o)
    if slope is not None and slope != 0:
        pace = np.log10(abs(slope)) * t
        data.append(line(t, gaps(pace), p.theory, 1.5, dash="5px,4px"))
        labels.append(
            label("theory", _("resting point: |s| = {s}").format(s=short(abs(slope))), p.theory, [2], "beside")
        )
    end = float(o.log10_gradient[-1])
    answer = _("log |∂a<sub>t</sub>/∂a<sub>0</sub>|: after {n} steps <b>{left}</b>").format(
        n=a.steps, left=times(end) if np.isfinite(end) else "0"
    )
    meta = {
        "question": _("What is left of a gradient on its way back?"), "answer": answer, "x": "t", "labels": labels,
        "ticks": {"x": "count", "y": "log"}, "replay": [{"trace": 1, "head": True}],
    }  # fmt: skip
    up = log_axis(p, y, DEEPEST, (-4.0, 1.0))
    return {"data": data, "layout": layout(p, along(p, 0, a.steps), up, meta, [])}


def _slope(o: engine.OneUnit) -> float | None:
    """At the resting point that the path has come to."""
    return None if o.reached is None else float(o.slopes[o.reached])


def sentence(a: Unit) -> str:
    """What the pictures show, in numbers."""
    o, edge = a.unit, a.unit.latch
    held = int(o.stable.sum())
    if held == 2:
        said = _("Two stable points: it holds a bit, as |u| = {u} is below {edge}.").format(
            u=short(abs(o.u)), edge=short(edge, 5)
        )
    elif np.isfinite(edge) and held == 1:
        said = _("One stable point: |u| = {u} is above {edge}, and pushes the bit out.").format(
            u=short(abs(o.u)), edge=short(edge, 5)
        )
    elif o.cycle.size:
        said = _("No stable point: it swings between {a} and {b}.").format(a=short(o.cycle[0]), b=short(o.cycle[1]))
    elif held == 1:
        said = _("One stable point: wherever it starts, it forgets.")
    else:
        said = _("At the edge: the slope at the resting point is 1, and it comes to rest ever more slowly.")
    slope = _slope(o)
    if slope is None:
        end = float(o.log10_gradient[-1])
        left = times(end) if np.isfinite(end) else "0"
        text = _("From a₀ = {a} a gradient is multiplied by {left} in {n} steps.")
        return sentences(said, text.format(a=short(float(o.path[0])), left=left, n=a.steps))
    text, half = _("From a₀ = {a} it comes to a* = {rest}, where every step back multiplies a gradient by {s}."), ""
    if 0 < abs(slope) < 1:
        text = _(
            "From a₀ = {a} it comes to a* = {rest}, where every step back multiplies a gradient by {s}: half of it is "
            "gone in {n} steps."
        )
        half = short(np.log(0.5) / np.log(abs(slope)), 2)
    rest = short(float(o.points[o.reached or 0]))
    return sentences(said, text.format(a=short(float(o.path[0])), rest=rest, s=short(slope), n=half))
