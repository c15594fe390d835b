"""What does the optimizer make of the gradient? Each weight's |g| against its |Δθ|, and both by block."""

from collections.abc import Callable
from functools import partial

import numpy as np

from app.figures.asked import Asked, Draw, along, log_axis
from app.figures.credit import percent
from app.figures.numbers import decade, rate, short
from app.figures.palette import Palette
from app.figures.parts import FAINTEST, NAMES, here, name, rows
from app.figures.scales import gaps, thin
from app.figures.template import Part, across, dots, label, layout, line, upright
from app.words import _, listed, sentences
from engine import OPTIMIZERS, Update

POINTS = 500  # of each kind of weight, evenly by the rank of |g|
USUAL = -3.0  # log10 ‖Δθ‖/‖θ‖ of a step that is neither timid nor wild (a rule of thumb: Karpathy, CS231n)
KINDS = (("W_hh",), ("W_ih", "E"), ("b", "b_out"), ("W_out",))
ADAMS = ("adam", "adamw", "adam_uncorrected", "rmsprop", "dynamic")

Law = Callable[[np.ndarray], np.ndarray]


def steady(a: Asked) -> Law | None:
    """|Δθ| of a gradient that is the same at every step; Adam's first step too. None: it depends on all steps."""
    e, lr, epsilon = a.experiment, a.found[0].lr, a.found[0].epsilon
    if e.optimizer == "sgd":
        return lambda g: lr * g
    if OPTIMIZERS[e.optimizer].uses_momentum:
        return lambda g: lr * g / (1 - e.momentum)
    if e.optimizer in ADAMS:
        return lambda g: lr * g / (g + epsilon)
    return None


def _log10(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.log10(np.abs(np.asarray(x, np.float64)))


def scatter(a: Asked, p: Palette) -> Part:
    """Every weight: its gradient and its step, both on log axes."""
    u: Update = a.found[0]
    data, labels = _points(a, p)
    g, d = (np.concatenate([np.float64(trace[axis]) for trace in data]) for axis in "xy")
    lr, epsilon = float(_log10(np.array(u.lr))), None if u.epsilon is None else float(_log10(np.array(u.epsilon)))
    x_axis = log_axis(p, g, FAINTEST, (-6.0 if epsilon is None else epsilon - 2, 0.0))
    y_axis = log_axis(p, np.append(d, lr), FAINTEST, (-8.0, -1.0))
    left, right = (float(v) for v in x_axis["range"])
    low, high = y_axis["range"]
    for n, said in enumerate(labels):  # beside the picture, where no point lies below them
        said["at"] = [right, low + (0.05 + 0.09 * n) * (high - low)]
    x, law, shapes = np.linspace(left, right, 121), steady(a), []
    data.append(line(x.astype(np.float32), _inside(_log10(u.lr * 10**x), y_axis), p.soft, 1.5))
    labels.append(label("sgd", _("plain SGD, lr · |g|"), p.soft, [len(data) - 1], "beside"))
    if law is not None and a.experiment.optimizer != "sgd":
        data.append(line(x.astype(np.float32), _inside(_log10(law(10**x)), y_axis), p.theory, 1.8, dash="5px,4px"))
        labels.append(label("law", _("a steady |g|"), p.theory, [len(data) - 1], "beside"))
    if law is None:
        shapes.append(across(lr, p.ink, right, left, width=1, dash="2px,3px"))
    if law is None or epsilon is not None:
        labels.append(label("lr", f"lr = {rate(u.lr)}", p.ink, [], "at", at=[right, lr]))
    if epsilon is not None:
        shapes.append(upright(epsilon, p.threshold, width=1.5))
        labels.append(label("epsilon", "ε", p.threshold, [], "at", at=[epsilon, low + 0.04 * (high - low)]))
    meta = {
        "question": _("How far does each weight move for its gradient?"), "answer": _moved(u), "x": "|g|",
        "labels": labels, "ticks": {"x": "log", "y": "log"},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, x_axis | {"showgrid": False}, y_axis, meta, shapes, "closest")}


def _points(a: Asked, p: Palette) -> tuple[list[Part], list[Part]]:
    """log10 |g| and |Δθ| of some weights of each kind, evenly by the rank of |g|, and the names of the kinds."""
    looks = (("circle", "●", p.gradient), ("square-open", "□", p.soft), ("diamond-open", "◇", p.soft),
             ("x-thin-open", "×", p.ink))  # fmt: skip
    u: Update = a.found[0]
    data: list[Part] = []
    labels: list[Part] = []
    for kinds, (symbol, mark, color) in zip(KINDS, looks, strict=True):
        own = [u.blocks[k] for k in here(a, u.blocks) if u.blocks[k].name in kinds]
        g, d = (_log10(np.concatenate([block.of(x) for block in own])) for x in (u.gradient, u.change))
        there = np.flatnonzero(np.isfinite(g) & np.isfinite(d) & (g > FAINTEST))
        order = there[np.argsort(g[there], kind="stable")]
        if len(order) > POINTS:
            order = order[np.linspace(0, len(order) - 1, POINTS).round().astype(int)]
        text = listed(dict.fromkeys(NAMES[block.name] for block in own))
        hover = text + ": |g| 10<sup>%{x:.2f}</sup>, |Δθ| 10<sup>%{y:.2f}</sup><extra></extra>"
        points = dots(gaps(g[order]), gaps(d[order]), color, 5, symbol=symbol, opacity=0.55)
        data.append(points | {"hoverinfo": "all", "hovertemplate": hover})
        labels.append(label(f"kind{len(labels)}", f"{mark} {text}", color, [len(data) - 1], "at"))
    return data, labels


def _inside(y: np.ndarray, y_axis: Part) -> np.ndarray:
    low, high = y_axis["range"]
    return gaps(np.where((y >= low) & (y <= high), y, np.nan))


def _moved(u: Update) -> str:
    change, gradient = np.abs(u.change), np.abs(u.gradient)
    if not np.isfinite(change).all():
        return _("|Δθ|, up: <b>not all are numbers</b>")
    still, none = float(np.mean((change == 0) & (gradient > 0))), float(np.mean(gradient == 0))
    text = _("|Δθ|, up: <b>{middle}</b> in the middle").format(middle=short(float(np.median(change)), 2))
    if none:
        text += _("; {share} have g = 0").format(share=percent(none))
    return text + (_("; {share} too little for θ's last digit").format(share=percent(still)) if still else "")


def blocks(a: Asked, p: Palette) -> Part:
    """The gradient and the step of each block."""
    u: Update = a.found[0]
    g, d = _log10(u.gradient_norms), _log10(u.change_norms)
    figure = rows(
        a, p, u.blocks, [("g", "‖g‖", g, p.gradient, "circle"), ("d", "‖Δθ‖", d, p.ink, "diamond")], (-4.0, 0.0)
    )  # fmt: skip
    own = here(a, u.blocks)
    spans = [float(x[own][np.isfinite(x[own])].max() - x[own][np.isfinite(x[own])].min())
             if np.isfinite(x[own]).any() else np.nan for x in (g, d)]  # fmt: skip
    text = _("not a number")
    if np.isfinite(spans).all():
        text = _("Largest over smallest: ‖g‖ <b>{g}</b>, ‖Δθ‖ <b>{d}</b>").format(
            g=_factor(spans[0]), d=_factor(spans[1])
        )
    figure["layout"]["meta"] |= {
        "question": _("Who has the gradient, who makes the step?"), "answer": text, "x": "",
    }  # fmt: skip
    return figure


def _factor(decades: float) -> str:
    return short(10**decades, 2) if decades < 300 else _("more than {n}").format(n=decade(300))


def relative(a: Asked, p: Palette) -> Part:
    """The step of each block as a share of its weights."""
    u: Update = a.found[0]
    r = _log10(u.relative)
    figure = rows(a, p, u.blocks, [("r", "‖Δθ‖/‖θ‖", r, p.ink, "diamond")], (-6.0, 0.0))
    own = here(a, u.blocks)
    zero = [name(u.blocks[k]) for k in own if u.weight_norms[k] == 0]
    finite = r[own][np.isfinite(r[own])]
    text = _("no weight moves")
    if finite.size:
        low, high = short(float(10 ** finite.min()), 2), short(float(10 ** finite.max()), 2)
        text = _("Between <b>{low}</b> and <b>{high}</b> of its own length").format(low=low, high=high)
    if zero:
        text += _("; {names}: still 0").format(names=listed(zero))
    figure["layout"]["shapes"].append(upright(USUAL, p.theory, dash="5px,4px"))
    top = figure["layout"]["yaxis"]["range"][1]
    figure["layout"]["meta"]["labels"].append(
        label("usual", _("a usual step"), p.theory, [], "at", at=[USUAL, top - 0.25], loose=True)
    )
    figure["layout"]["meta"] |= {"question": _("How far does each part go?"), "answer": text, "x": "‖Δθ‖/‖θ‖"}
    return figure


def over_training(of: str, a: Asked, p: Palette) -> Part:
    """‖g‖ ("gradient"), or ‖Δθ‖/‖θ‖ ("step"), of each block at the kept steps up to this one."""
    u, steps, parts = a.found
    with np.errstate(all="ignore"):
        values = _log10(parts[:, 0] if of == "gradient" else parts[:, 1] / parts[:, 2])
    data: list[Part] = []
    labels: list[Part] = []
    own = here(a, u.blocks)
    for k in sorted(own, key=lambda k: u.blocks[k].name == "W_hh"):
        recurrent, text = u.blocks[k].name == "W_hh", name(u.blocks[k])
        hover = {"hoverinfo": "all", "hovertemplate": f"{text}: 10<sup>%{{y:.2f}}</sup><extra></extra>"}
        color, width = (p.gradient, 2.5) if recurrent else (p.soft, 1.3)
        at = thin(values[:, k])
        data.append(line(steps[at], gaps(values[at, k]), color, width, **hover))
        said: Part = {"place": "end", "start": 0, "lean": 0}
        labels.append(label(text, f"<b>{text}</b>" if recurrent else text, color, [len(data) - 1], **said))
    least = (-4.0, 0.0) if of == "gradient" else (-5.0, -1.0)
    y_axis = log_axis(p, values[:, own], FAINTEST, least)
    question, answer = _("How did each gradient go over training?"), _("‖g‖ as the optimizer gets it")
    shapes = []
    if of == "step":
        question = _("How did each part's step go over training?")
        answer = _("‖Δθ‖/‖θ‖, one step; dashed: a usual one")
        shapes = [across(USUAL, p.theory, float(steps[-1]), 0, dash="5px,4px")]
    meta = {
        "question": question, "answer": answer, "x": _("step"), "labels": labels,
        "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, along(p, 0, max(1, int(steps[-1]))), y_axis, meta, shapes)}


def pictures(a: Asked) -> dict[str, Draw]:
    """Those over training as soon as there are two kept steps."""
    now: dict[str, Draw] = {"scatter": scatter, "blocks": blocks, "relative": relative}
    if len(a.found[1]) < 2:
        return now
    return now | {f"{of}_over": partial(over_training, of) for of in ("gradient", "step")}


def tenths(u: Update) -> tuple[float, float] | None:
    """Of the weights with the smallest tenth of gradients against the largest: the ratio of |g|, and that of |Δθ|."""
    g, d = np.abs(np.float64(u.gradient)), np.abs(np.float64(u.change))
    if not (np.isfinite(g).all() and np.isfinite(d).all()):
        return None
    order = np.argsort(g, kind="stable")
    order = order[g[order] > 0]
    each = max(1, len(order) // 10)
    if len(order) < 2:
        return None
    least, most = order[:each], order[-each:]
    with np.errstate(all="ignore"):
        return float(np.median(g[least]) / np.median(g[most])), float(np.median(d[least]) / np.median(d[most]))


def sentence(a: Asked) -> str:
    """What the pictures show, in numbers."""
    u: Update = a.found[0]
    ratios, said = tenths(u), OPTIMIZERS[a.experiment.optimizer].label
    if ratios is None:
        return _("The gradient is not a number, or there is none: no step can be told.")
    text = _(
        "{optimizer}: the tenth of all weights with the smallest gradients has {g} times the gradient of the largest "
        "tenth, and moves {d} times as far."
    )
    if none := float(np.mean(u.gradient == 0)):
        text = _(
            "{optimizer}: {none} of all weights have no gradient at all. Of the others, the tenth with the smallest "
            "has {g} times the gradient of the largest tenth, and moves {d} times as far."
        )
    text = text.format(optimizer=_(said), none=percent(none), g=short(ratios[0], 2), d=short(ratios[1], 2))
    if ratios[0] < 0.1:
        with np.errstate(divide="ignore"):
            seen = np.log(ratios[1]) / np.log(ratios[0])  # the share of the decades between them that the steps show
        hidden = _("The steps hide how small those gradients are.")
        partly = _("The steps hide in part how small those gradients are.")
        shown = _("What has little gradient moves as little.")
        text = sentences(text, hidden if seen < 0.3 else partly if seen < 0.8 else shown)
    below = 0.0 if u.epsilon is None else float(np.mean((np.abs(u.gradient) < u.epsilon) & (u.gradient != 0)))
    if below:
        few = _("{share} of the gradients are below ε = {epsilon}: those it cannot hide.")
        text = sentences(text, few.format(share=percent(below), epsilon=rate(float(u.epsilon or 0))))
    return text
