"""Which step of the past does the loss still feel? The gradient flow matrix, and its credit by lag."""

from dataclasses import replace
from math import ceil, floor

import numpy as np

from app.figures.asked import Asked, along, log_axis
from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import MAP_TIMESTEPS, counts, decades, every, gaps, plain, thin
from app.figures.template import Part, across, axis, dots, heatmap, label, layout, line, upright
from app.words import _, sentences
from engine import TASKS, GradientFlow, WeightGradient

DECADES = 12  # of the colour scale, at most
LEAST_SHARE = -4.0  # log10: less than a hundredth of a percent is off the picture


def matrix(a: Asked, p: Palette) -> Part:
    flow: GradientFlow = a.found.flow
    z, at, steps = flow.log10_norms[a.layer], flow.at, flow.log10_norms.shape[-1]
    right = every(steps, MAP_TIMESTEPS)
    finite = z[np.isfinite(z)]
    high = ceil(finite.max()) if finite.size else 0
    low = max(floor(finite.min()), high - DECADES) if finite.size else -1
    low = min(low, high - 1)
    ticks = decades(low, high, 3)
    apart = (at[-1] - at[0]) / max(1, len(at) - 1) or 1.0
    hover = _("L at t = {t}, h at k = {k}").format(t="%{y:.0f}", k="%{x}") + "<br>10<sup>%{z:.1f}</sup><extra></extra>"
    trace = heatmap(
        gaps(z[:, ::right]), (1, right), (float(at[0]), float(apart)), (low, high), p.magnitude, hovertemplate=hover
    )
    read = counts(1, steps, 2)
    y = axis(p, (0.5, steps + 0.5), plain(read))
    y["ticktext"] = [f"t = {t}" if t in (1, steps) else str(t) for t in read]
    meta = {
        "question": _("How much of the loss at t reaches step k?"),
        "answer": _("‖∂L<sub>t</sub>/∂h<sub>k</sub>‖, mean over {n}; on the diagonal its own step").format(
            n=sequences(a)
        ),
        "x": "k", "axis": "t", "ticks": {"x": "count", "y": "count"},
        "notes": [{"text": _("← back in time"), "x": 0.98, "y": 0.04, "xanchor": "right", "yanchor": "bottom"}],
        "bar": {"range": [low, high], "ticks": [list(tick) for tick in zip(*ticks, strict=True)]},
    }  # fmt: skip
    k = a.experiment.tbptt
    cuts = [t - 0.5 for t in range(k + 1, steps + 1, k)] if k else []
    shapes = [upright(x, p.threshold, dash="2px,3px") for x in cuts] if len(cuts) <= 40 else []
    return {"data": [trace], "layout": layout(p, along(p, 1, steps), y, meta, shapes, hover="closest")}


def by_lag(a: Asked, p: Palette) -> Part:
    beyond = of_losses(a).beyond(a.layer)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.where(beyond > 1e-12, np.log10(beyond), np.nan)
    kept = thin(y)
    hover = _("more than {n} steps back").format(n="%{x}") + ": 10<sup>%{y:.2f}</sup><extra></extra>"
    data = [line(kept, gaps(y[kept]), p.gradient, 3.5, hoverinfo="all", hovertemplate=hover)]
    half, hundredth = reach(beyond, 0.5), reach(beyond, 0.01)
    for n in (half, hundredth):
        if n is not None:
            data.append(dots(np.array([n], np.int32), gaps(y[[n]]), p.gradient, 8))
    text = _("not a number: no share of it can be told")
    if half is not None:
        text = _("<b>Half</b> of it comes from at most {n} steps back").format(n=half)
        if half == 0:
            text = _("<b>Half</b> of it comes from the loss's own step")
        if hundredth is not None:
            text += _(", <b>99 %</b> from at most {m}").format(m=hundredth)
    meta = {
        "question": _("How much comes from further than n steps back?"), "answer": text, "x": "n",
        "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    ticks = ([0.0, -1.0, -2.0, -3.0, -4.0], [_("all"), "10 %", "1 %", "0.1 %", "0.01 %"])
    axis_y = axis(p, (LEAST_SHARE, 0.15), ticks, grid=True)
    shapes = [across(np.log10(0.5), p.faint, len(beyond), -0.5)]
    return {"data": data, "layout": layout(p, along(p, 0, len(beyond) - 1), axis_y, meta, shapes)}


def by_step(a: Asked, p: Palette) -> Part:
    """Which steps shape the weights? The sum over time is one gradient; here each step's part of it."""
    found: WeightGradient = a.found.weights
    data: list[Part] = []
    labels: list[Part] = []
    for name, text, color, width in (
        ("weight_ih", "W<sub>ih</sub>", p.ghost, 2.0), ("weight_hh", "<b>W<sub>hh</sub></b>", p.gradient, 3.5),
    ):  # fmt: skip
        y, cosines = found.log10_norms[name][a.layer], found.cosines[name][a.layer]
        kept = thin(y)
        hover = text + " t = %{x}: 10<sup>%{y:.2f}</sup>, cos %{customdata:.2f}<extra></extra>"
        more = {"customdata": gaps(cosines[kept]), "hoverinfo": "all", "hovertemplate": hover}
        data.append(line(kept + 1, gaps(y[kept]), color, width, **more))
        labels.append(label(name, text, color, [len(data) - 1], "beside"))
    y, cosines = found.log10_norms["weight_hh"][a.layer], found.cosines["weight_hh"][a.layer]
    against = np.flatnonzero(cosines < 0)
    if against.size:
        at = against[thin(y[against])].astype(np.int32)
        hover = "t = %{x}: cos %{customdata:.2f}<extra></extra>"
        more = {"hoverinfo": "all", "hovertemplate": hover, "customdata": gaps(cosines[at])}
        data.append(dots(at + 1, gaps(y[at]), p.threshold, 7) | more)
        labels.append(
            label("against", f"● {_('against the sum')}", p.threshold, [len(data) - 1], "corner", at=[1, 0], row=0)
        )
    everything = np.concatenate([norms[a.layer] for norms in found.log10_norms.values()])
    top = float(everything[np.isfinite(everything)].max(initial=-np.inf))
    top = ceil(top) if np.isfinite(top) else 0
    meta = {
        "question": _("Which steps shape the weights?"), "answer": _shaping(a), "x": "t", "labels": labels,
        "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    axis_y = log_axis(p, everything, float(top - DECADES), (float(top - 2), float(top)))
    return {"data": data, "layout": layout(p, along(p, 1, len(y)), axis_y, meta, [])}


def _shaping(a: Asked) -> str:
    log10 = a.found.weights.log10_norms["weight_hh"][a.layer]
    if np.isnan(log10).any() or np.isposinf(log10).any() or not np.isfinite(log10).any():
        return _("∂L/∂W<sub>hh</sub> is 0 or not a number: there is nothing to share out")
    sizes = np.float_power(10.0, log10 - log10.max())
    order = np.sort(sizes)[::-1].cumsum() / sizes.sum()
    few = int(np.searchsorted(order, 0.9)) + 1
    text = _("‖∂L/∂W at step t alone‖: <b>{few}</b> of {steps} steps make 90 %; {against} pull against the sum")
    against = int((a.found.weights.cosines["weight_hh"][a.layer] < 0).sum())
    return text.format(few=few, steps=len(sizes), against=against or _("none"))


def of_losses(a: Asked) -> GradientFlow:
    """Of the losses that the task does read: of the last one alone, where there is no other."""
    flow: GradientFlow = a.found.flow
    if TASKS[a.experiment.task].every_step:
        return flow
    return replace(flow, at=flow.at[-1:], log10_norms=flow.log10_norms[:, -1:])


def reach(beyond: np.ndarray, share: float) -> int | None:
    """The fewest steps back beyond which no more than `share` is left; None where it is not a number."""
    there = np.flatnonzero(beyond <= share)
    return int(there[0]) if there.size else None


def sequences(a: Asked) -> str:
    return _("{n} sequences").format(n=a.sequences) if a.sequences > 1 else _("one sequence")


def sentence(a: Asked) -> str:
    """What the pictures show, in numbers."""
    beyond, steps = of_losses(a).beyond(a.layer), a.found.flow.log10_norms.shape[-1]
    if not np.isfinite(beyond).all():
        return _("No gradient arrives, or it is not a number: there is nothing to share out.")
    n = min(10, steps - 1)
    text = _(
        "Of all gradient at the states, {share} comes from more than {n} steps before its loss; a sequence has {steps}."
    ).format(share=percent(beyond[n]), n=n, steps=steps)
    if TASKS[a.experiment.task].every_step:
        return text
    only = _(
        "The task reads its loss at t = {steps} only, the top row; the rows below show what the same targets, read "
        "earlier, would have sent back."
    )
    return sentences(text, only.format(steps=steps))


def percent(share: float) -> str:
    """
    >>> percent(0.123), percent(0.0), percent(3e-7), percent(0.004)
    ('12 %', '0 %', 'less than 0.01 %', '0.4 %')
    """
    if share == 0:
        return "0 %"
    if share < 1e-4:
        return _("less than {n} %").format(n="0.01")
    return f"{short(100 * share, 2)} %"
