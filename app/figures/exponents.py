"""Does a small difference grow or die? The Lyapunov spectrum, along the task's inputs and without any."""

import numpy as np

import engine
from app.figures.asked import Asked, along, even_axis
from app.figures.numbers import minus, short
from app.figures.palette import Palette
from app.figures.scales import gaps, thin
from app.figures.template import Part, across, dots, label, layout, line
from app.words import _, sentences

DEEPEST = -4.0  # nats a step: below it a difference is gone in one step


def spectrum(a: Asked, p: Palette) -> Part:
    along_task, alone = a.found
    data: list[Part] = []
    labels: list[Part] = []
    for key, text, found, color, symbol in (
        ("alone", _("without input"), alone, p.soft, "circle-open"),
        ("task", f"<b>{_('with the inputs')}</b>", along_task, p.state, "circle"),
    ):
        x, y = np.arange(1, len(found.exponents) + 1, dtype=np.int32), gaps(found.exponents)
        error = gaps(np.where(np.isfinite(found.standard_errors), found.standard_errors, 0.0))
        trace = dots(x, y, color, 8 if key == "task" else 7, symbol=symbol)
        trace |= {
            "error_y": {"type": "data", "array": error, "color": color, "thickness": 1.5, "width": 3},
            "hoverinfo": "all",
            "hovertemplate": "λ<sub>%{x}</sub> = %{y:.4f} ± %{error_y.array:.4f}<extra></extra>", "cliponaxis": True,
        }  # fmt: skip
        data.append(trace)
        labels.append(label(key, text, color, [len(data) - 1], "beside"))
    theory = engine.mean_field(a.experiment) if a.step == 0 and not a.given else None
    if theory is not None and theory.applies and np.isfinite(theory.lyapunov):
        ends = np.array([1, len(along_task.exponents)], np.int32)
        data.append(line(ends, gaps(np.full(2, theory.lyapunov)), p.theory, 1.5))
        labels.append(label("theory", _("theory: ½ log χ"), p.theory, [len(data) - 1], "beside"))
    finite = np.concatenate([f.exponents[np.isfinite(f.exponents)] for f in a.found])
    low, top = max(DEEPEST, float(finite.min(initial=-0.05))), float(finite.max(initial=0.0))
    y_axis = even_axis(p, low, top + 0.1 * (top - low))
    meta = {
        "question": _("Which directions grow, and how fast?"), "answer": _answer(a), "x": "i", "labels": labels,
        "ticks": {"x": "count", "y": "count"},
        "about": _("Lyapunov exponents λ, natural logarithms a step (nats); the bars are ± one standard error."),
    }  # fmt: skip
    shapes = [across(0, p.ink, len(along_task.exponents) + 0.5, 0.5)]
    return {"data": data, "layout": layout(p, along(p, 1, len(along_task.exponents)), y_axis, meta, shapes, "closest")}


def fixed(x: float, digits: int = 4) -> str:
    """
    >>> fixed(-0.02345), fixed(float("nan")), fixed(float("-inf"))
    ('−0.0234', 'NaN', '−∞')
    """
    return minus(f"{x:.{digits}f}") if np.isfinite(x) else short(x)


def _answer(a: Asked) -> str:
    grow = sum(int((found.exponents > 2 * found.standard_errors).sum()) for found in a.found[:1])
    deeper = int((a.found[0].exponents < DEEPEST).sum())
    text = _("Each step multiplies direction i by e<sup>λ</sup>: <b>{n}</b> of {all} grow (λ above 0)")
    if a.experiment.num_layers > 1:
        text = _("Of all layers. Each step multiplies direction i by e<sup>λ</sup>: <b>{n}</b> of {all} grow")
    text = text.format(n=grow, all=len(a.found[0].exponents))
    return text + (_("; {n} lie below the picture").format(n=deeper) if deeper else "")


def settling(a: Asked, p: Palette) -> Part:
    """How sure is the largest one? Its mean over the steps so far."""
    found = a.found[0]
    local = found.largest
    mean = np.cumsum(local) / np.arange(1, len(local) + 1)
    kept = thin(mean)
    hover = _("after {n} steps").format(n="%{x}") + ": %{y:.4f}<extra></extra>"
    data = [
        line((np.arange(len(local)) + 1).astype(np.int32), gaps(local), p.state, 1, opacity=0.35),
        line(kept + 1, gaps(mean[kept]), p.state, 3.5, hoverinfo="all", hovertemplate=hover),
    ]
    labels = [
        label("local", _("each step"), p.state, [0], "beside"),
        label("mean", f"<b>{_('mean so far')}</b>", p.state, [1], "beside"),
    ]
    finite = local[np.isfinite(local)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (-1.0, 1.0)
    y = even_axis(p, min(low, -0.01), max(high, 0.01))
    value, error = float(found.exponents[0]), float(found.standard_errors[0])
    meta = {
        "question": _("How sure is the largest, λ<sub>1</sub>?"),
        "answer": _("λ<sub>1</sub> = <b>{value}</b> ± {error}, over {n} steps of 4 sequences").format(
            value=fixed(value), error=_("less than 0.0001") if error < 5e-5 else fixed(error), n=len(local)
        ),
        "x": _("step"), "axis": None, "labels": labels, "ticks": {"x": "count", "y": "count"},
    }  # fmt: skip
    shapes = [across(0, p.ink, len(local) + 0.5, 0.5)]
    return {"data": data, "layout": layout(p, along(p, 1, len(local)), y, meta, shapes)}


def sentence(a: Asked) -> str:
    """What the pictures show, in numbers."""
    first, error = float(a.found[0].exponents[0]), float(a.found[0].standard_errors[0])
    alone = float(a.found[1].exponents[0])
    if np.isneginf(first):
        return _("A small difference is gone at once: no step hands on anything of it, λ₁ is −∞.")
    if not np.isfinite(first):
        return _("The states are not numbers here: a difference between two of them has no size.")
    without = _("Without input it is multiplied by {factor}.").format(factor=short(float(np.exp(alone))))
    if abs(first) <= 2 * error:
        what = _("A small difference neither grows nor dies: λ₁ is 0 within twice its standard error.")
    elif first < 0:
        what = _(
            "A small difference dies along the inputs, and a gradient with it: each step multiplies it by {factor} "
            "(e to the largest exponent, λ₁ = {first}), so that it falls to 1/e in {n} steps."
        )
    else:
        what = _(
            "A small difference grows along the inputs, and a gradient with it: each step multiplies it by {factor} "
            "(e to the largest exponent, λ₁ = {first}), a factor e in {n} steps."
        )
    steps = short(1 / abs(first), 2) if first else "∞"
    said = [what.format(factor=short(float(np.exp(first))), first=fixed(first, 3), n=steps), without]
    if first <= 2 * error and alone > 0:
        said.append(
            _(
                "So it goes on a typical sequence in the long run; the curve on Explore is a mean over the batch, "
                "which a few sequences with large gradients may carry."
            )
        )
    return sentences(*said)
