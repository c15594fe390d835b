"""What does one step back do to a gradient, and what do many? Singular values of Jacobians, products and powers."""

import numpy as np

from app.figures.asked import Asked, along, log_axis
from app.figures.numbers import power, short
from app.figures.palette import Palette
from app.figures.scales import gaps
from app.figures.template import Part, across, label, layout, line
from app.words import _, listed

DEEPEST = 20.0  # decades below the largest that are shown: the smallest singular values fall without end
LESS = 0.02  # decades a step, from which a product is called less than its factors
FAN = 8  # of the singular values of the product, the largest ones


def _log10(x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(x)


def _geometric(x: float, k: np.ndarray) -> np.ndarray:
    """log10 x^k."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(k == 0, 0.0, k * np.log10(x))


def _leaves(x: np.ndarray, y: np.ndarray, span: list[float]) -> list[float]:
    """The point where a line is last seen in the picture, on its way along `x`; its start where it is never seen."""
    for n in range(len(x) - 1, -1, -1):
        if not span[0] <= y[n] <= span[1]:
            continue
        if n + 1 < len(x) and np.isfinite(y[n + 1]):
            edge = span[1] if y[n + 1] > span[1] else span[0]
            return [float(x[n] + (x[n + 1] - x[n]) * (edge - y[n]) / (y[n + 1] - y[n])), edge]
        return [float(x[n]), float(y[n])]
    return [float(x[0]), min(max(float(np.nan_to_num(y[0])), span[0]), span[1])]


def singular(a: Asked, p: Palette) -> Part:
    found = a.found
    values, at, steps = _log10(found.singular_values[a.layer]), found.at, a.experiment.steps
    data: list[Part] = []
    labels: list[Part] = []

    def curve(key: str, text: str, y: np.ndarray, width: float, color: str, x: np.ndarray = at, **more: object) -> None:
        said = {"hoverinfo": "all", "hovertemplate": f"{text} 10<sup>%{{y:.2f}}</sup><extra></extra>"}
        data.append(line(x.astype(np.int32), gaps(y), color, width, **(said | more)))
        labels.append(label(key, text, color, [len(data) - 1], "beside"))

    middle = values.shape[1] // 2
    if values.shape[1] > 1:
        curve("least", _("smallest"), values[:, -1], 1.5, p.gradient)
    if values.shape[1] > 2:
        curve("middle", _("middle"), values[:, middle], 1.5, p.gradient)
    curve("largest", f"<b>{_('largest')}</b>", values[:, 0], 3.5, p.gradient)
    bound = float(_log10(found.bound[a.layer]))
    if np.isfinite(bound):
        ends = np.array([1, steps])
        curve("bound", _("bound"), np.array([bound, bound]), 1.5, p.theory, ends, dash="5px,4px", hoverinfo="skip")
    y = log_axis(p, np.append(values[:, [0, middle]], bound), np.nanmax(values[:, 0], initial=0.0) - 4, (-1.0, 1.0))
    meta = {
        "question": _("What does one step do?"), "answer": _one_step(a), "x": "t", "labels": labels,
        "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    shapes = [across(0, p.faint, steps + 0.5, 0.5)]
    return {"data": data, "layout": layout(p, along(p, 1, steps), y, meta, shapes)}


def _one_step(a: Asked) -> str:
    largest = a.found.singular_values[a.layer, :, 0]
    finite = largest[np.isfinite(largest)]
    if not finite.size:
        return _("J<sub>t</sub>: no finite number")
    low, high = short(float(finite.min())), short(float(finite.max()))
    text = _("It multiplies a gradient by at most <b>{low}</b> to <b>{high}</b>").format(low=low, high=high)
    bound = float(a.found.bound[a.layer])
    if np.isfinite(bound):
        return text + _("; never by more than {bound}").format(bound=short(bound))
    return text


def product(a: Asked, p: Palette) -> Part:
    found = a.found
    values, back = found.log10_product[a.layer], found.at - 1
    data: list[Part] = []
    labels: list[Part] = []
    steps = a.experiment.steps
    for n in range(min(FAN, values.shape[1]) - 1, -1, -1):
        hover = _("value {n}").format(n=n + 1) + ": 10<sup>%{y:.2f}</sup><extra></extra>"
        more = {"opacity": 1.0 if n == 0 else 0.55, "hoverinfo": "all", "hovertemplate": hover}
        width = 3.5 if n == 0 else 1.2
        data.append(line(back.astype(np.int32), gaps(values[:, n]), p.gradient, width, **more))
    labels.append(label("largest", f"<b>{_('largest')}</b>", p.gradient, [len(data) - 1], "beside"))
    bound = float(_log10(found.bound[a.layer]))
    if np.isfinite(bound):
        ends = np.array([0, steps], np.int32)
        data.append(line(ends, gaps((steps - ends) * bound), p.theory, 1.5, dash="5px,4px"))
        labels.append(label("bound", _("bound"), p.theory, [len(data) - 1], "at", at=[steps, 0.0], loose=True))
    top = values[np.isfinite(values[:, 0]), 0]
    floor = (float(top.min()) if top.size else 0.0) - DEEPEST
    y = log_axis(p, values[:, : min(FAN, values.shape[1])], floor, (-2.0, 1.0))
    meta = {
        "question": _("What is left of it at step k?"), "answer": _many_steps(a), "x": "k", "labels": labels,
        "ticks": {"x": "count", "y": "log"},
        "notes": [{"text": _("← back in time"), "x": 1, "y": 0, "xanchor": "right", "yanchor": "bottom"}],
    }  # fmt: skip
    shapes = [across(0, p.faint, steps + 0.5, -0.5)]
    return {"data": data, "layout": layout(p, along(p, 0, steps), y, meta, shapes)}


def _many_steps(a: Asked) -> str:
    left = float(a.found.log10_product[a.layer, 0, 0])
    if not np.isfinite(left):
        nothing = _("∂s<sub>T</sub>/∂s<sub>k</sub>: <b>nothing</b> is left, an exact 0")
        return nothing if np.isneginf(left) else _("∂s<sub>T</sub>/∂s<sub>k</sub>: not a number")
    return _("∂s<sub>T</sub>/∂s<sub>k</sub>: over {n} steps at most <b>{factor}</b>").format(
        n=a.experiment.steps, factor=power(left) if abs(left) > 2 else short(10**left)
    )


def powers(a: Asked, p: Palette) -> Part:
    own = [w for w in a.found.weights if w.layer == a.layer]
    k = np.arange(len(own[0].log10_powers), dtype=np.int32)
    data: list[Part] = []
    labels: list[Part] = []

    y_axis = log_axis(p, np.concatenate([w.log10_powers for w in own]), -40.0, (-1.0, 1.0))

    def curve(key: str, text: str, y: np.ndarray, width: float, color: str, **more: object) -> None:
        hover = f"{text} 10<sup>%{{y:.2f}}</sup><extra></extra>"
        data.append(line(k, gaps(y), color, width, hoverinfo="all", hovertemplate=hover, **more))
        place = _leaves(k, y, y_axis["range"])  # all begin in one point: where they end they lie apart
        labels.append(label(key, text, color, [len(data) - 1], "at", at=place, loose=True))

    for w in own[:-1] if len(own) > 1 else []:
        curve(f"gate{w.gate}", w.gate, w.log10_powers, 2, p.gradient, opacity=0.7)
    last = own[-1]
    if len(own) == 1:
        curve("sigma", "σ<sup>k</sup>", _geometric(last.sigma, k), 1.5, p.theory, dash="5px,4px")
        curve("rho", "ρ<sup>k</sup>", _geometric(last.rho, k), 1.5, p.theory, dash="5px,4px")
    name, width = (last.gate, 2.0) if last.gate else ("‖W<sup>k</sup>‖", 3.5)
    curve("powers", f"<b>{name}</b>", last.log10_powers, width, p.gradient)
    meta = {
        "question": _("Would the weights alone do it?"), "answer": _weights(own), "x": "k", "labels": labels,
        "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    shapes = [across(0, p.faint, float(k[-1]) + 0.5, -0.5)]
    return {"data": data, "layout": layout(p, along(p, 0, int(k[-1])), y_axis, meta, shapes)}


def _weights(own: list) -> str:
    if len(own) == 1:
        w = own[0]
        text = _("ρ <b>{rho}</b>, σ<sub>max</sub> <b>{sigma}</b>, non-normality {henrici} (0 to 1)")
        return text.format(rho=short(w.rho), sigma=short(w.sigma), henrici=short(w.henrici, 2))
    rhos = listed(f"{w.gate} {short(w.rho, 2)}" for w in own)
    return _("‖W<sup>k</sup>‖ of each block of W<sub>hh</sub>; ρ: {rhos}").format(rhos=rhos)


def sentence(a: Asked) -> str:
    """What the pictures show, in numbers."""
    left, values = float(a.found.log10_product[a.layer, 0, 0]), a.found.singular_values[a.layer, :, 0]
    if not np.isfinite(values).any():
        return _("The states are not numbers here, and so there are no Jacobians.")
    steps = a.experiment.steps
    if np.isneginf(left):
        return _("Along this sequence nothing of a gradient can come from the end to the start: an exact 0.")
    typical, each = float(np.log10(np.nanmedian(values))), left / steps
    text = _("Along one sequence a step multiplies a gradient by at most {typical} (median), and all {n} by {factor}.")
    if typical - each > LESS:
        text = _(
            "Along one sequence a step multiplies a gradient by at most {typical} (median). All {n} together make no "
            "more of it than {factor}, {each} a step: they do not stretch the same direction."
        )
    factor = power(left) if abs(left) > 2 else short(10**left)
    return text.format(typical=short(10**typical), n=steps, factor=factor, each=short(10**each))
