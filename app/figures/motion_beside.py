"""The pictures beside the unrolled network, one for each phase, and what is said at each position."""

from dataclasses import replace
from typing import Any

import numpy as np

from app.figures import motion_lines, motion_rules, moves, parts
from app.figures.asked import Asked, Draw, along, even_axis, log_axis
from app.figures.credit import percent
from app.figures.motion import PHASES, Motion, Position, first, positions
from app.figures.motion_drawing import drawing
from app.figures.motion_lines import Here, size
from app.figures.motion_rules import One
from app.figures.numbers import short, times
from app.figures.palette import Palette
from app.figures.scales import gaps, thin
from app.figures.template import Part, across, axis, dots, label, layout, line, upright
from app.words import _

FAINTEST = -40.0  # decades of the norms beside each other; what is smaller is off the picture


def states(a: Asked, p: Palette) -> Part:
    """How large is the state along the sequence?"""
    m: Motion = a.found
    values = m.unrolled.sizes[a.layer]
    finite = values[np.isfinite(values)]
    y_axis = even_axis(p, 0.0, float(finite.max()) if finite.size else 1.0)
    figure = _along(a, p, values, p.state, y_axis, "forward", False, "%{y:.3f}")
    words = _("not a number")
    if finite.size:
        words = _("root mean square of h<sub>t</sub>: <b>{first}</b> at t = 1, <b>{last}</b> at t = {n}").format(
            first=short(float(values[0])), last=short(float(values[-1])), n=m.steps
        )
    figure["layout"]["meta"] |= {"question": _("How large does the state become?"), "answer": words}
    figure["layout"]["meta"]["ticks"]["y"] = "real"
    return figure


def gradient(a: Asked, p: Palette) -> Part:
    """How much of the gradient has come back to step t?"""
    m: Motion = a.found
    values = m.unrolled.log10_norms[a.layer]
    y_axis = log_axis(p, values, -1000.0, (-4.0, 0.0))
    figure = _along(a, p, values, p.gradient, y_axis, "backward", True, "10<sup>%{y:.2f}</sup>")
    ends = values[[0, -1]]
    words = _("‖∂L/∂h<sub>t</sub>‖, mean over the batch: <b>{last}</b> at t = {n}, <b>{first}</b> at t = 1").format(
        last=size(float(ends[1])), first=size(float(ends[0])), n=m.steps
    )
    figure["layout"]["meta"] |= {"question": _("How much gradient comes back to step t?"), "answer": words}
    return figure


def _along(
    a: Asked, p: Palette, values: np.ndarray, color: str, y_axis: Part, phase: str, back: bool, hover: str
) -> Part:  # fmt: skip
    """A curve over all timesteps that is drawn as far as the walk has come, before it a faint one of the whole."""
    m: Motion = a.found
    begin, at = first(m, phase), m.unrolled.at
    kept = np.union1d(thin(values), at - 1).astype(np.int32)
    order = _since(kept + 1, at, back)
    x, y = kept + 1, gaps(values[kept])
    look = {"hoverinfo": "all", "hovertemplate": f"t = %{{x}}: {hover}<extra></extra>"}
    points = {"mode": "lines+markers"} if m.steps <= 20 else {"mode": "lines"}
    heads = dots(at.astype(np.int32), gaps(values[at - 1]), p.ink, 12, symbol="circle-open", line={"width": 2.5})
    since = [begin + int(i) for i in (range(len(at)) if not back else reversed(range(len(at))))]
    reveal: list[Part] = [
        {"trace": 1, "since": (begin + order).tolist()},
        {"trace": 2, "since": since, "until": [k + 1 for k in since]},
    ]
    if phase == "forward":  # the loss is read while the last state is there
        reveal[1]["until"][-1] = first(m, "backward")
    data = [line(x, y, p.faint, 2, mode="lines"), line(x, y, color, 3.5, **look) | points, heads]
    meta = {"x": "t", "labels": [], "ticks": {"x": "count", "y": "log"}, "reveal": reveal}
    return {"data": data, "layout": layout(p, along(p, 1, m.steps), y_axis, meta, [])}


def _since(t: np.ndarray, at: np.ndarray, back: bool) -> np.ndarray:
    """After how many of the drawn timesteps each t has been passed."""
    if back:
        return len(at) - 1 - (np.searchsorted(at, t, side="right") - 1)
    return np.searchsorted(at, t, side="left")


def clipping(a: Asked, p: Palette) -> Part:
    """What does clipping leave of it? All weights together, and each part."""
    m, e = a.found, a.experiment
    own = parts.here(a, m.update.blocks)
    names = [_("all"), *(parts.name(m.update.blocks[k]) for k in own)]
    y = np.arange(len(names), 0, -1, dtype=np.float32)
    with np.errstate(all="ignore"):
        before = np.log10(np.array([m.grad_norm, *m.raw_norms[own]]))
        after = np.log10(np.array([m.clipped_norm, *m.clipped_norms[own]]))
    limit = float(np.log10(e.clip_threshold))
    limited = e.clip in ("norm", "param_norm")
    x_axis = log_axis(
        p, np.append(np.concatenate([before, after]), limit if limited else np.nan), FAINTEST, (-2.0, 0.0)
    )
    low, high = x_axis["range"]
    data: list[Part] = []
    labels: list[Part] = []
    series = (("g", _("‖g‖ before"), before, p.gradient, "circle"), ("c", _("used"), after, p.threshold, "diamond"))
    for key, word, values, color, symbol in series:
        hover = [f"{n}: {word} {size(float(v))}" for n, v in zip(names, values, strict=True)]
        look = {"hoverinfo": "text", "hovertext": hover}
        data.append(dots(np.where(values < FAINTEST, np.nan, gaps(values)), y, color, 11, symbol=symbol) | look)
        at = [float(high), len(names) + 0.5 - 0.9 * len(labels)]
        labels.append(label(key, f"{parts.MARKS[symbol]} {word}", color, [len(data) - 1], "at", at=at))
    shapes = [across(float(v), p.grid, high, low, width=1) for v in y]
    if limited and low <= limit <= high:
        whole = {"y0": len(names) - 0.45, "y1": len(names) + 0.9, "yref": "y"} if e.clip == "norm" else {}
        shapes.append(upright(limit, p.threshold, width=2.5) | whole)
        at = [limit, len(names) + 0.55]
        said = _("c = {c}").format(c=short(e.clip_threshold))
        labels.append(label("limit", said, p.threshold, [], "at", at=at, loose=True))
    y_axis = axis(p, (0.4, len(names) + 0.9), ([float(v) for v in y], names))
    words = _("‖g‖ of all weights: <b>{before}</b>, used <b>{after}</b>").format(
        before=short(m.grad_norm), after=short(m.clipped_norm)
    )
    meta = {
        "question": _("What does clipping leave of it?"), "answer": words, "x": "‖g‖", "labels": labels,
        "ticks": {"x": "log", "y": "names"},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, x_axis, y_axis, meta, shapes, "closest")}


def steps(a: Asked, p: Palette) -> Part:
    """How far does each part go? (The Why page's picture.)"""
    return moves.relative(replace(a, found=(a.found.update,)), p)


PICTURES: dict[str, Draw] = {
    "unrolled": drawing, "states": states, "gradient": gradient, "clipping": clipping, "steps": steps,
}  # fmt: skip
NAMES = {"forward": "states", "loss": "states", "backward": "gradient", "clip": "clipping", "update": "steps"}


def told(a: Asked, unit: int) -> list[Part]:
    """Of each position: its phase and name, what happens there, the picture beside, and the equation's lines."""
    m: Motion = a.found
    one = One(a, unit)
    found = []
    for phase, column in positions(m):
        here = None if column is None or column == len(m.unrolled.at) else Here(a, column, unit)
        lines = _lines(phase, one, here, column)
        name = phase if here is None else f"{phase}-{here.t}"
        name = "result" if phase == "update" and column is not None else name
        found.append(
            {
                "phase": phase,
                "name": name,
                "says": _says(a, Position(phase, column)),
                "beside": NAMES[phase],
                "lines": lines,
            }
        )
    return found


def _lines(phase: str, one: One, here: Here | None, column: int | None) -> list[Part]:
    if phase == "clip":
        return motion_rules.clip(one)
    if here is None:
        return motion_rules.update(one) if column is None else motion_rules.after(one)
    if phase == "loss":
        return motion_lines.loss(one.a, int(np.flatnonzero(one.m.read == here.column)[0]))
    return motion_lines.forward(here) if phase == "forward" else motion_lines.backward(here)


def _says(a: Asked, at: Position) -> str:
    """What happens at a position, in a sentence."""
    m: Motion = a.found
    phase, column = at
    if phase == "clip":
        return _clipped(a)
    if phase == "update":
        if column is None:
            return _("Every weight makes its step: all together, ‖Δθ‖ is <b>{n}</b>.").format(n=short(m.change_norm))
        if not np.isfinite(m.loss_after):
            return _(
                "The same batch once more: its loss is <b>not a number</b>. This step has thrown the weights away."
            )
        return _("The same batch once more: its loss goes from <b>{before}</b> to <b>{after}</b>.").format(
            before=short(m.loss, 4), after=short(m.loss_after, 4)
        )
    t = int(m.unrolled.at[column or 0])
    if phase == "forward":
        if t == 1:
            return _("t = 1: the state is made of the first input and a state of zeros.")
        return _("t = {t}: the new state is made of the input and of the state before.").format(t=t)
    if phase == "loss":
        return _("t = {t}: what it says is held against what is right.").format(t=t)
    return _back(a, column or 0, t)


def _clipped(a: Asked) -> str:
    m, e = a.found, a.experiment
    if e.clip == "none":
        return _("Nothing is clipped: the gradient is used as it is.")
    if m.changed == 0:
        return _("The gradient is within the limit: clipping leaves it as it is.")
    if e.clip == "norm":
        return _("The whole gradient is too long: every part of it is multiplied by <b>{factor}</b>.").format(
            factor=short(m.clipped_norm / m.grad_norm)
        )
    return _(
        "Clipping changes {share} of all components, and turns the gradient: the cosine is <b>{cosine}</b>."
    ).format(share=percent(m.changed), cosine=short(m.cosine))


def _back(a: Asked, column: int, t: int) -> str:
    m: Motion = a.found
    norms, at = m.unrolled.log10_norms[a.layer], m.unrolled.at
    steps = m.unrolled.layers[a.layer]
    if t == m.steps:
        return _("t = {t}: the gradient of the loss enters here.").format(t=t)
    if np.isneginf(steps.log10_through[column]):
        if a.experiment.tbptt is not None and t % a.experiment.tbptt == 0:
            return _("t = {t}: truncated. No gradient passes from {later} back to here.").format(t=t, later=t + 1)
        return _("t = {t}: nothing comes back through time, an exact 0.").format(t=t)
    then = int(at[column + 1])
    change = norms[t - 1] - norms[then - 1]
    if not np.isfinite(change):
        return _("t = {t}: the gradient is not a number.").format(t=t)
    if then > t + 1:
        return _(
            "t = {t}: over the {n} steps since {then} the gradient has changed by a factor <b>{factor}</b>."
        ).format(t=t, n=then - t, then=then, factor=times(change, 3))
    return _("t = {t}: one step further back, the gradient is <b>{factor}</b> times as large.").format(
        t=t, factor=times(change, 3)
    )


def phases(a: Asked) -> list[dict[str, Any]]:
    """The bar of phases: name, its number in short, and the position at which it begins."""
    m: Motion = a.found
    norms = m.unrolled.log10_norms[a.layer]
    ratio = norms[0] - norms[-1]
    factor = m.clipped_norm / m.grad_norm if m.grad_norm else 1.0
    numbers = {
        "forward": f"t = 1…{m.steps}" if m.steps > 1 else "t = 1",
        "loss": f"L = {short(m.loss)}",
        "backward": f"× {times(ratio)}" if np.isfinite(ratio) else size(float(norms[0])),
        "clip": f"× {short(factor, 2)}",
        "update": f"L = {short(m.loss_after)}",
    }
    return [{"phase": k, "name": _(name), "number": numbers[k], "at": first(m, k)} for k, name in PHASES.items()]


def lost(a: Asked) -> bool:
    """Are the numbers of this update none?"""
    return not (np.isfinite(a.found.loss) and np.isfinite(a.found.grad_norm))


def no_numbers(a: Asked) -> str:
    m: Motion = a.found
    return _(
        "This update has no numbers to show: the loss is {loss}, the norm of the gradient is {norm}. Choose an earlier "
        "step of training, or clip the gradient."
    ).format(loss=short(m.loss), norm=short(m.grad_norm))
