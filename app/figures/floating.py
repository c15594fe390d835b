"""What would plain float32 have seen? δ_t with nothing rescaled: its range, what is lost of it, what still counts."""

from functools import partial

import numpy as np

from app.figures.asked import Asked, Draw, along, log_axis
from app.figures.credit import percent
from app.figures.numbers import power, short
from app.figures.palette import Palette
from app.figures.parts import tensor
from app.figures.scales import gaps, thin
from app.figures.template import Part, across, axis, label, layout, line
from app.words import N_, _, sentences
from engine import Floats
from engine.instruments.floats import CLASSES, DTYPES

LOG10_2 = float(np.log10(2.0))
LIMITS = {"float32": (-126, -149, 128), "float64": (-1022, -1074, 1024)}  # 2^…: full digits down to, 0 below, ∞ from
FEW = 0.01  # of the components: a step that changes fewer no longer counts


def _log10(exponents: np.ndarray) -> np.ndarray:
    return exponents * LOG10_2


def sizes(a: Asked, p: Palette) -> Part:
    """The range of the components in float32, in float64, and the norm that is exact."""
    exact, single, double = a.found.log10_norms[a.layer], a.found.float32, a.found.float64
    low, middle, high = _log10(single.exponents[a.layer]).T
    low64, _middle64, high64 = _log10(double.exponents[a.layer]).T
    steps = len(exact)
    t = np.arange(1, steps + 1, dtype=np.int32)
    kept = thin(np.where(np.isfinite(exact), exact, np.nan))
    said = {"hoverinfo": "all", "hovertemplate": "10<sup>%{y:.1f}</sup><extra></extra>"}
    quiet = {"hoverinfo": "skip"}
    data = [
        line(t, gaps(low64), p.soft, 1, dash="1px,3px", **quiet),
        line(t, gaps(high64), p.soft, 1, dash="1px,3px", **quiet),
        line(t, gaps(low), p.gradient, 0, **quiet),
        line(t, gaps(high), p.gradient, 0, fill="tonexty", fillcolor=p.gradient + "38", **quiet),
        line(t, gaps(middle), p.gradient, 1.2, **said),
        line(t[kept], gaps(exact[kept]), p.gradient, 3.5, **said),
    ]
    labels = [
        label("double", "float64", p.soft, [0, 1], "beside"),
        label("single", "float32", p.gradient, [4, 2, 3], "beside"),
        label("exact", f"<b>{_('truth')}</b>", p.gradient, [5], "beside"),
    ]
    seen = np.concatenate([exact, low, high, low64, high64])
    finite = seen[np.isfinite(seen)]
    reach = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    least, top = (-48.0, 42.0 if reach[1] > 20 else 2.0)
    y = log_axis(p, seen, -np.inf, (least, top))
    shapes = [across(0, p.faint, steps + 0.5, 0.5)]
    for dtype in DTYPES:
        digits, zero, infinite = (n * LOG10_2 for n in LIMITS[dtype])
        for level, text in ((zero, _("0 in {dtype}")), (digits, ""), (infinite, _("∞ in {dtype}"))):
            if y["range"][0] < level < y["range"][1]:
                look: Part = {} if text else {"dash": "2px,3px", "width": 1}
                shapes.append(across(level, p.threshold, steps + 0.5, 0.5, **look))
            if text and y["range"][0] < level < y["range"][1]:
                at = [steps + 0.5, level]
                labels.append(label(dtype + text, text.format(dtype=dtype), p.threshold, [], "at", at=at))
    meta = {
        "question": _("Where does δ<sub>t</sub> leave the numbers there are?"), "answer": _range(single, a.layer),
        "x": "t", "labels": labels, "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, along(p, 1, steps), y, meta, shapes)}


def _range(f: Floats, layer: int) -> str:
    low, high = f.exponents[layer, :, 0], f.exponents[layer, :, 2]
    if not np.isfinite(low).any():
        return _("float32: no component of δ<sub>t</sub> has a size")
    text = _(
        "Shaded: all components in float32, 2<sup>{low}</sup> to 2<sup>{high}</sup>; bold: the true ‖δ<sub>t</sub>‖"
    )
    return text.format(low=_whole(np.nanmin(low)), high=_whole(np.nanmax(high)))


def _whole(x: float) -> str:
    return f"{x:.0f}".replace("-", "−")


NAMES = {
    "normal": N_("all digits"), "subnormal": N_("digits lost"), "zero": N_("exactly 0"), "infinite": N_("infinite"),
    "nan": N_("NaN"),
}  # fmt: skip
MARKS = {"normal": "■", "subnormal": "▨", "zero": "□", "infinite": "■", "nan": "■"}


def classes(dtype: str, a: Asked, p: Palette) -> Part:
    """What the components are, timestep by timestep: shares on top of each other."""
    shares = getattr(a.found, dtype).shares[a.layer]
    steps = len(shares)
    t, tops = np.arange(1, steps + 1, dtype=np.int32), 100 * np.cumsum(shares, axis=1)
    colours = {"normal": p.gradient, "subnormal": p.gradient, "zero": p.soft, "infinite": p.threshold, "nan": p.ink}
    data: list[Part] = []
    labels: list[Part] = []
    for n, name in enumerate(CLASSES):
        share = 100 * shares[:, n]
        if not share.any():
            continue
        color, fill = colours[name], "tonexty" if data else "tozeroy"
        look: Part = {"fill": fill, "fillcolor": p.panel if name == "zero" else color + "A8"}
        if name == "subnormal":
            look["fillpattern"] = {"shape": "/", "fgcolor": color, "bgcolor": p.paper, "size": 6, "solidity": 0.25}
        hover = _(NAMES[name]) + ": %{customdata:.3~g} %<extra></extra>"
        more = {"customdata": share.astype(np.float32), "hoverinfo": "all", "hovertemplate": hover}
        data.append(line(t, gaps(tops[:, n]), color, 1, **look, **more))
        at = [steps + 0.5, 8.0 + 14.0 * len(labels)]
        labels.append(label(name, f"{MARKS[name]} {_(NAMES[name])}", color, [], "at", at=at))
    meta = {
        "question": _("What are the components of δ<sub>t</sub> in {dtype}?").format(dtype=dtype),
        "answer": _died(a, dtype), "x": "t", "labels": labels, "ticks": {"x": "count", "y": "count"},
    }  # fmt: skip
    y = axis(p, (0, 100), ([0.0, 50.0, 100.0], ["0 %", "50 %", "100 %"]))
    return {"data": data, "layout": layout(p, along(p, 1, steps), y, meta, [])}


def _died(a: Asked, dtype: str) -> str:
    shares, silent = getattr(a.found, dtype).shares[a.layer], a.found.silent(dtype, a.layer)
    normal, zero, infinite, nan = (shares[:, CLASSES.index(n)] for n in ("normal", "zero", "infinite", "nan"))
    if (normal == 1).all():
        return _("<b>All</b> have all their digits, at every step")
    if (infinite + nan > 0).any():
        first = int(np.flatnonzero(infinite + nan > 0)[-1]) + 1
        return _("From t = {t} on back, <b>not all are numbers</b>").format(t=first)
    if silent:
        return _("<b>Nothing</b> but zeros at t = {t} and before").format(t=silent)
    text = _("{zero} are exactly 0, {lost} have lost digits")
    return text.format(zero=percent(float(zero.mean())), lost=percent(float(shares[:, 1].mean())))


def counted(a: Asked, p: Palette) -> Part:
    """The share of ∂L/∂W_hh that is another number without a step's part."""
    steps = a.found.log10_norms.shape[1]
    t = np.arange(1, steps + 1, dtype=np.int32)
    data: list[Part] = []
    labels: list[Part] = []
    for dtype, color, width in (("float64", p.soft, 1.8), ("float32", p.gradient, 3.5)):
        y = 100 * getattr(a.found, dtype).counted[a.layer]
        hover = dtype + ": %{y:.3~g} %<extra></extra>"
        data.append(line(t, gaps(y), color, width, hoverinfo="all", hovertemplate=hover))
        text = f"<b>{dtype}</b>" if dtype == "float32" else dtype
        labels.append(label(dtype, text, color, [len(data) - 1], "beside"))
    meta = {
        "question": _("Whose part of ∂L/∂W<sub>hh</sub> survives the sum?"), "answer": _heard(a), "x": "t",
        "labels": labels, "ticks": {"x": "count", "y": "count"},
    }  # fmt: skip
    y_axis = axis(p, (-3, 105), ([0.0, 50.0, 100.0], ["0 %", "50 %", "100 %"]), grid=True)
    return {"data": data, "layout": layout(p, along(p, 1, steps), y_axis, meta, [])}


def deaf(f: Floats, layer: int) -> int | None:
    """The last timestep up to which no step's part changes a hundredth of the components; None: not a number."""
    heard = f.counted[layer, 1:]
    if not np.isfinite(heard).all():
        return None
    reached = np.flatnonzero(heard >= FEW)
    return int(reached[0]) + 1 if reached.size else len(heard) + 1


def _heard(a: Asked) -> str:
    single, double = (deaf(getattr(a.found, dtype), a.layer) for dtype in DTYPES)
    if single is None:
        return _("In float32 the sum is <b>not a number</b>")
    if single < 2:
        return _("In float32 <b>every step</b> changes some components of the sum")
    text = _("Up to t = <b>{t}</b> a step changes (almost) nothing in float32")
    if double is not None and double >= 2:
        return text.format(t=single) + _("; in float64 up to {t}").format(t=double)
    return text.format(t=single) + _("; in float64 every step does")


def pictures(a: Asked) -> dict[str, Draw]:
    """In float64 only where it is worth a picture: where not everything has all its digits."""
    worth = [d for d in DTYPES if d == "float32" or (a.found.float64.shares[a.layer, :, 0] < 1).any()]
    maps: dict[str, Draw] = {f"classes_{dtype}": partial(classes, dtype) for dtype in worth}
    return {"sizes": sizes, "counted": counted} | maps


def sentence(a: Asked) -> str:
    """What the pictures show, in numbers."""
    found, truth = a.found, a.found.log10_norms[a.layer]
    broken = [(dtype, getattr(found, dtype).non_finite) for dtype in DTYPES]
    parts = [
        _("In {dtype} the first that is not finite is {name}.").format(dtype=dtype, name=tensor(name))
        for dtype, name in broken
        if name
    ]
    for dtype, name in broken:
        silent = found.silent(dtype, a.layer)
        if not name and silent:
            text = _("In {dtype} δ<sub>t</sub> is exactly 0 at t = {t} and before; truly it is {size} at t = 1.")
            size = power(float(truth[0])) if np.isfinite(truth[0]) else short(float(truth[0]))
            parts.append(text.format(dtype=dtype, t=silent, size=size))
    if not parts:
        real = truth > -np.inf  # where no gradient comes at all, none is lost
        lost = float(1 - found.float32.shares[a.layer, real, 0].mean()) if real.any() else 0.0
        text = _("float32 and float64 both hold all components of δ<sub>t</sub>, with all their digits.")
        if not real.any():
            text = _("No gradient comes here: δ<sub>t</sub> is exactly 0 in every type.")
        elif lost:
            text = _("In float32 {share} of the components of δ<sub>t</sub> are 0 or have lost digits.")
        parts.append(text.format(share=percent(lost)))
    single = deaf(found.float32, a.layer)
    if single is not None and single >= 2 and np.isfinite(truth[single - 1]):
        text = _(
            "The sum over time forgets sooner: up to t = {t} a step's part of ∂L/∂W<sub>hh</sub> is too small to "
            "change it in float32."
        )
        parts.append(text.format(t=single))
    zeros = [_zeros(getattr(found, dtype)) for dtype in DTYPES]
    if zeros[0] > zeros[1]:
        text = _("Of all weights {single} have a gradient of exactly 0 in float32, {double} in float64.")
        parts.append(text.format(single=percent(zeros[0]), double=percent(zeros[1])))
    return sentences(*parts)


def _zeros(f: Floats) -> float:
    """Of all weights, the share whose gradient is exactly zero."""
    return sum(int((g == 0).sum()) for g in f.grads.values()) / sum(g.size for g in f.grads.values())
