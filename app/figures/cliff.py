"""Why does one step throw the weights away? The error surface of one unit, and two paths of gradient descent on it."""

from dataclasses import dataclass
from functools import partial
from math import ceil, floor

import numpy as np

import engine
from app.figures.asked import along, log_axis
from app.figures.numbers import minus, power, short
from app.figures.palette import Palette
from app.figures.scales import decades, gaps
from app.figures.template import Part, across, axis, dots, heatmap, label, layout, line
from app.words import _, sentences
from engine.instruments.cliff import wall

SWING = 10  # steps at the end that tell whether a path still bounces
W_SPAN, B_SPAN = (3.5, 6.5), (-4.0, -1.5)  # the window: the valley, and the wall from where it begins
HIGHEST = 0.5  # E is below σ's 0.7²
LIFT = 0.004  # of the paths over the surface, which is drawn in facets and would hide half of them
PER = 12  # pieces in which a step lies on the surface
LOW, HIGH = -2, 1  # decades of the colour
BESIDE = {"free": {"lean": -1.6, "gap": 6}, "clipped": {"lean": 1.6, "gap": 0}}  # the dot and the path
Curves = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Walk:
    """The surface over the window, and the paths without and with clipping."""

    surface: engine.Cliff
    free: engine.Descent
    clipped: engine.Descent
    lr: float

    @property
    def paths(self) -> tuple[tuple[str, engine.Descent], ...]:
        return ("free", self.free), ("clipped", self.clipped)

    @property
    def steps(self) -> int:
        return len(self.free.w) - 1


def _color(key: str, p: Palette) -> str:
    return p.ink if key == "free" else p.threshold


def _name(key: str, a: Walk) -> str:
    return _("no clipping") if key == "free" else _("clipped at {c}").format(c=short(a.clipped.clip_threshold or 0.0))


def surface(a: Walk, p: Palette) -> Part:
    s = a.surface
    low, high = LOW, HIGH
    hover = "w %{x:.3f}, b %{y:.3f}<br>E %{z:.3f}<extra></extra>"
    data: list[Part] = [
        {
            "type": "surface", "x": gaps(s.w), "y": gaps(s.b), "z": gaps(s.error), "surfacecolor": gaps(s.log10_norms),
            "cmin": low, "cmax": high, "colorscale": [list(stop) for stop in p.magnitude], "showscale": False,
            "hovertemplate": hover,
            "lighting": {"ambient": 0.75, "diffuse": 0.45, "specular": 0.05, "roughness": 0.9},
        }
    ]  # fmt: skip
    replay: list[Part] = []
    for key, path in a.paths:
        w, b, height = path.draped(W_SPAN, B_SPAN, PER)
        there = (gaps(w), gaps(b), gaps(height + LIFT))
        color = _color(key, p)
        replay.append({"trace": len(data), "per": PER})
        data.append(_line3(*there, color, 5))
        replay.append({"trace": len(data), "head": True})
        data.append(_dot3(there[0][::PER], there[1][::PER], there[2][::PER], color, 6))
    on_wall = wall(s.w)
    lip = np.array([np.interp(b - 0.03, s.b, s.error[:, i]) for i, b in enumerate(on_wall)])
    data.append(_line3(gaps(s.w), gaps(on_wall - 0.01), gaps(lip + LIFT), p.theory, 6) | {"connectgaps": False})
    data[-1]["line"]["dash"] = "dash"
    labels = [label(key, f"<b>{_name(key, a)}</b>", _color(key, p), [], "legend") for key, path in a.paths]
    labels.append(label("wall", _("the wall, by theory"), p.theory, [], "legend"))
    meta: Part = {
        "question": _("What does the error look like?"),
        "answer": _("height: E = (σ(x<sub>50</sub>) − 0.7)²; the deeper the colour, the larger its gradient"),
        "labels": labels, "replay": replay, "notes": [], "bar": None, "ticks": {},
    }  # fmt: skip
    return {"data": data, "layout": _scene(p) | {"meta": meta, "showlegend": False}}


def _scene(p: Palette) -> Part:
    def axis3(title: str, span: tuple[float, float], at: list[float]) -> Part:
        return {
            "title": {"text": title}, "range": list(span), "tickvals": at, "ticktext": [minus(f"{v:g}") for v in at],
            "gridcolor": p.faint, "color": p.soft, "backgroundcolor": p.paper, "showbackground": False,
            "zeroline": False, "showspikes": False,
        }  # fmt: skip

    return {
        "scene": {
            "xaxis": axis3("w", W_SPAN, [4, 5, 6]), "yaxis": axis3("b", B_SPAN, [-4, -3, -2]),
            "zaxis": axis3("E", (0, HIGHEST), [0.2, 0.4]),
            "aspectmode": "manual", "aspectratio": {"x": 1.5, "y": 1.2, "z": 0.75},
            "camera": {"eye": {"x": 1.35, "y": 1.7, "z": 0.8}, "center": {"x": 0, "y": 0, "z": -0.13}},
        },
        "hoverlabel": {"bgcolor": p.panel, "bordercolor": p.faint, "font": {"color": p.ink}},
        "font": {"color": p.soft},
    }  # fmt: skip


def _line3(x: np.ndarray, y: np.ndarray, z: np.ndarray, color: str, width: float) -> Part:
    return {
        "type": "scatter3d", "mode": "lines", "x": x, "y": y, "z": z, "line": {"color": color, "width": width},
        "hoverinfo": "skip",
    }  # fmt: skip


def _dot3(x: np.ndarray, y: np.ndarray, z: np.ndarray, color: str, size: float) -> Part:
    return {
        "type": "scatter3d", "mode": "markers", "x": x, "y": y, "z": z, "marker": {"color": color, "size": size},
        "hoverinfo": "skip",
    }  # fmt: skip


def plan(a: Walk, p: Palette) -> Part:
    """The same from above."""
    s = a.surface
    low, high = LOW, HIGH
    first, apart = (float(s.w[0]), float(s.b[0])), (float(s.w[1] - s.w[0]), float(s.b[1] - s.b[0]))
    hover = "w %{x:.3f}, b %{y:.3f}<br>‖∇E‖ 10<sup>%{z:.1f}</sup><extra></extra>"
    data = [
        heatmap(
            gaps(np.clip(s.log10_norms, low, high)), (first[0], apart[0]), (first[1], apart[1]), (low, high),
            p.magnitude, hovertemplate=hover,
        ),
        {
            "type": "contour", "x": gaps(s.w), "y": gaps(s.b), "z": gaps(s.error), "showscale": False,
            "hoverinfo": "skip", "line": {"color": p.soft, "width": 0.6, "smoothing": 0},
            "contours": {"coloring": "none", "start": 0.1, "end": 0.4, "size": 0.1},
        },
        line(gaps(s.w), gaps(wall(s.w)), p.theory, 2, dash="5px,4px"),
    ]  # fmt: skip
    labels = [label("wall", _("the wall: b = 0.5 − 0.622 w"), p.theory, [], "at", at=[3.65, -3.6], box=True)]
    replay: list[Part] = []
    for key, path in a.paths:
        color, x, y = _color(key, p), _near(path.w, W_SPAN), _near(path.b, B_SPAN)
        data.append(line(x, y, p.paper, 3.5))
        data.append(line(x, y, color, 1.5, mode="lines+markers", marker={"size": 3.5, "color": color}))
        data.append(dots(x, y, color, 11, line={"width": 2, "color": p.paper}) | {"cliponaxis": True})
        last = len(data) - 1
        replay += [{"trace": last - 2}, {"trace": last - 1}, {"trace": last, "head": True}]
        labels.append(
            label(key, f"<b>{_name(key, a)}</b>", color, [last - 1], "end", start=W_SPAN[0], box=True, **BESIDE[key])
        )
    ticks = decades(low, high, 4)
    meta = {
        "question": _("Where do the steps go?"),
        "answer": _("lines: E = 0.1 … 0.4; colour: ‖∇E‖; every dot a step of {lr} times it").format(lr=short(a.lr)),
        "x": "w", "labels": labels, "replay": replay, "ticks": {"x": "real", "y": "real"},
        "bar": {"range": [low, high], "ticks": [list(tick) for tick in zip(*ticks, strict=True)]},
    }  # fmt: skip
    along_w = axis(p, W_SPAN, ([4.0, 5.0, 6.0], ["4", "5", "6"]))
    along_b = axis(p, B_SPAN, ([-4.0, -3.0, -2.0], ["b = −4", "−3", "−2"]))
    return {"data": data, "layout": layout(p, along_w, along_b, meta, [], "closest")}


def _near(values: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """Kept within a few windows, which is far outside of the picture: a browser does not draw to 10^200."""
    reach = 20 * (span[1] - span[0])
    return gaps(np.clip(values, span[0] - reach, span[1] + reach))


def norms(a: Walk, p: Palette) -> Part:
    """How steep is it at each step?"""
    with np.errstate(divide="ignore"):
        curves: Curves = {key: gaps(np.log10(path.norms)) for key, path in a.paths}
    c = a.clipped.clip_threshold or 1.0
    picture = partial(_along, a, p, curves, _("How large is the gradient at each step?"))
    y = log_axis(p, np.concatenate([*curves.values()]), -8.0, (-3.0, 1.0), 5)
    shapes = [across(np.log10(c), p.threshold, a.steps, dash="2px,3px")]
    met = int(np.nanargmax(np.where(np.isfinite(a.free.norms), a.free.norms, -1)))
    answer = _("‖∇E‖ before clipping: without it at most <b>{most}</b>, at step {n}").format(
        most=short(float(a.free.norms[met])), n=met
    )
    return picture(answer, y, shapes, "10<sup>%{y:.1f}</sup>")


def errors(a: Walk, p: Palette) -> Part:
    """Does it arrive?"""
    with np.errstate(divide="ignore"):
        curves: Curves = {key: gaps(np.log10(path.error)) for key, path in a.paths}
    y = log_axis(p, np.concatenate([*curves.values()]), -8.0, (-4.0, 0.0), 4)
    answer = _("E at the end: {free} without clipping, <b>{clipped}</b> with it").format(
        free=_end(a.free.error), clipped=_end(a.clipped.error)
    )
    return _along(a, p, curves, _("Does the error come down?"), answer, y, [], "10<sup>%{y:.1f}</sup>")


def _end(error: np.ndarray) -> str:
    """The last value; of a path that still bounces, between which two: its last one would be chance."""
    ends = error[-SWING:]
    low, high = float(ends.min()), float(ends.max())
    return f"{short(low)} … {short(high)}" if high > 2 * low else short(float(ends[-1]))


def _along(
    a: Walk, p: Palette, curves: Curves, question: str, answer: str, y: Part, shapes: list[Part],
    value: str,
) -> Part:  # fmt: skip
    n = np.arange(a.steps + 1, dtype=np.int32)
    data: list[Part] = []
    labels: list[Part] = []
    replay: list[Part] = []
    for key, curve in curves.items():
        color = _color(key, p)
        hover = _("step {n}").format(n="%{x}") + f": {value}<extra>{_name(key, a)}</extra>"
        data.append(line(n, curve, color, 2, hoverinfo="all", hovertemplate=hover))
        name = _("no clipping") if key == "free" else _("clipped")
        labels.append(label(key, f"<b>{name}</b>", color, [len(data) - 1], "end", start=0, lean=0, gap=3))
        data.append(dots(n, curve, color, 9))
        replay.append({"trace": len(data) - 1, "head": True})
    meta = {
        "question": question, "answer": answer, "x": _("step"), "labels": labels, "replay": replay,
        "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, along(p, 0, a.steps), y, meta, shapes)}


def sentence(a: Walk) -> str:
    """What the pictures show, in numbers."""
    steepest = {key: float(np.nanmax(np.where(np.isfinite(d.norms), d.norms, np.nan))) for key, d in a.paths}
    out = a.free.left(W_SPAN, B_SPAN)
    if out is None:
        said = _("Without clipping the path stays in the picture: its steepest gradient is {most}, E ends at {end}.")
        said = said.format(most=short(steepest["free"]), end=short(float(a.free.error[-1])))
    else:
        before = float(a.free.norms[out - 1]) if out else float("nan")
        w, b = float(a.free.w[out]), float(a.free.b[out])
        where = _("to w = {w}, b = {b}").format(w=short(w), b=short(b)) if np.isfinite(w) else _("out of all numbers")
        said = _("Without clipping the gradient is {norm} at step {n}, and one step throws the weights {where}.")
        if before < 2:
            said = _("Without clipping the path leaves the picture with step {m}, {where}.")
        said = said.format(norm=_big(before), n=out - 1, m=out, where=where)
    ends = a.clipped.error[-SWING:]
    left = a.clipped.left(W_SPAN, B_SPAN)
    text = _("Clipped at {c} it comes to E = {end} in {n} steps.")
    if ends.max() > 2 * ends.min():
        text = _("Clipped at {c} it stays, and after {n} steps still bounces between E = {low} and {high}.")
    if left is not None:
        text = _("Clipped at {c} it leaves the picture too, with step {left}.")
    text = text.format(
        c=short(a.clipped.clip_threshold or 0.0), end=short(float(ends[-1])), n=a.steps, left=left,
        low=short(float(ends.min())), high=short(float(ends.max())),
    )  # fmt: skip
    return sentences(said, text)


def _big(x: float) -> str:
    return (
        f"{x:,.0f}"
        if 1e4 <= x < 1e6
        else short(x)
        if x < 1e6
        else power(floor(np.log10(x)) if x < 1e300 else ceil(300))
    )
