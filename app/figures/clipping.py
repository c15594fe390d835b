"""What does clipping change about the step? The two gradients as arrows, over thresholds, by block, over training."""

import numpy as np

from app.figures.asked import Asked, Draw, along, even_axis, log_axis
from app.figures.credit import percent
from app.figures.numbers import rate, short
from app.figures.palette import Palette
from app.figures.parts import here, rows
from app.figures.scales import gaps, thin
from app.figures.template import Part, across, axis, label, layout, line, upright
from app.words import _, listed, sentences
from engine import CLIPS, OPTIMIZERS
from engine.instruments.clip import STRAIGHT, Clipped

FRAME = 2.6  # times the clipped gradient: a longer one leaves the picture


def kind(a: Asked) -> str:
    """The way of clipping that is shown: the run's, or by norm where it has none."""
    return a.experiment.clip if a.experiment.clip != "none" else "norm"


def own(a: Asked) -> Clipped:
    return a.found[0].rows[kind(a)]


def turn(c: Clipped) -> float:
    """Degrees between the gradient and what is made of it."""
    return 0.0 if c.kind in STRAIGHT and np.isfinite(c.cosine) else float(np.degrees(np.arccos(c.cosine)))


def _log10(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.log10(np.asarray(x, np.float64))


def plane(a: Asked, p: Palette) -> Part:
    """The plane in which clipping moves the gradient; the others at their own angle."""
    found, c = a.found[0], own(a)
    whole, tip = found.norm, np.array([c.along, c.across]) * found.norm
    size = c.norm if np.isfinite(c.norm) and c.norm > 0 else 1.0
    frame = 1.12 * (min(whole, FRAME * size) if np.isfinite(whole) and whole > size else size)
    data: list[Part] = []
    labels: list[Part] = []

    def arrow(key: str, text: str, end: np.ndarray, color: str, width: float, lean: int = 0) -> None:
        inside = end * min(1.0, 0.995 * frame / max(float(np.abs(end).max()), 1e-300))
        hover = f"{text}: ‖·‖ = {short(float(np.hypot(*end)))}<extra></extra>"
        marker = {"symbol": ["circle", "arrow"], "size": 4 + 3 * width, "angleref": "previous", "color": color}
        trace = line(gaps(np.array([0, inside[0]])), gaps(np.array([0, inside[1]])), color, width)
        data.append(trace | {"mode": "lines+markers", "marker": marker, "hoverinfo": "all", "hovertemplate": hover})
        if np.isfinite(inside).all():
            at = [float(v) for v in inside]
            labels.append(label(key, text, color, [len(data) - 1], "at", at=at, loose=True, lean=lean))

    data.append(line(gaps(c.edge[:, 0]), gaps(c.edge[:, 1]), p.threshold, 1.5))
    data[-1] |= {"fill": "toself", "fillcolor": p.threshold + "14"}
    drawn = [np.array([whole, 0.0]), tip]
    for name, other in found.rows.items():
        end = np.array([other.along, other.across]) * whole
        near = min((float(np.hypot(*(end - one))) for one in drawn), default=0.0) < 0.18 * frame
        if name not in ("none", kind(a)) and 0.2 * frame < float(np.hypot(*end)) < frame and not near:
            arrow(name, _(CLIPS[name].label, "clip"), end, p.soft, 1.5)
            drawn.append(end)
    side = 0 if turn(c) > 10 else 1
    arrow("g", "<b>g →</b>" if whole > frame else "<b>g</b>", drawn[0], p.gradient, 3, lean=-side)
    arrow("used", f"<b>{_('clipped')}</b>", tip, p.threshold, 4.5, lean=side)
    allowed = {
        "norm": _("shaded: ‖g‖ ≤ {c}"), "value": _("shaded: all |g<sub>i</sub>| ≤ {c}"),
        "unit": _("shaded: all |g<sub>i</sub>| ≤ 1"), "param_norm": _("shaded: no tensor longer than {c}"),
    }[c.kind].format(c=short(found.threshold))  # fmt: skip
    notes = [{"text": allowed, "x": 1, "y": 1, "xanchor": "right", "yanchor": "top"}]
    x_axis, y_axis = even_axis(p, -0.3 * frame, frame), even_axis(p, -0.25 * frame, 0.85 * frame)
    meta = {
        "question": _("Where does clipping move the gradient?"), "answer": _turned(a), "x": _("along g"),
        "labels": labels, "notes": notes, "ticks": {"x": "names", "y": "names"}, "equal": True,
    }  # fmt: skip
    x_axis |= {"range": [-0.3 * frame, frame]}
    y_axis |= {"range": [-0.25 * frame, 0.85 * frame]}
    return {"data": data, "layout": layout(p, x_axis, y_axis, meta, [], "closest")}


def _turned(a: Asked) -> str:
    c = own(a)
    if not np.isfinite(c.cosine):
        return _("<b>g is 0 or not a number</b>: it has no direction")
    text = _("‖g‖ {norm} → <b>{clipped}</b>, turned by <b>{turn}°</b>").format(
        norm=short(a.found[0].norm), clipped=short(c.norm), turn=f"{turn(c):.0f}"
    )
    return text + (_("; off now: by norm") if a.experiment.clip == "none" else "")


def _over_thresholds(a: Asked, p: Palette, of: str) -> tuple[list[Part], list[Part], list[Part]]:
    """A line for each way of clipping; the run's in front."""
    found, mine = a.found[0], kind(a)
    data: list[Part] = []
    labels: list[Part] = []
    names = [name for name in found.rows if name not in ("none", mine)] + [mine]
    for name in names:
        c = found.rows[name]
        y = _log10(c.norms) if of == "norms" else c.cosines
        said = _(CLIPS[name].label, "clip")
        value = "10<sup>%{y:.2f}</sup>" if of == "norms" else "%{y:.3f}"
        hover = {"hoverinfo": "all", "hovertemplate": f"{said}: {value}<extra></extra>"}
        color, width = (p.gradient, 3.5) if name == mine else (p.soft, 1.5)
        data.append(line(gaps(_log10(c.thresholds)), gaps(y), color, width, **hover))
        labels.append(label(name, f"<b>{said}</b>" if name == mine else said, color, [len(data) - 1], "beside"))
    return data, labels, [upright(float(_log10(np.array(found.threshold))), p.threshold, width=1.5)]


def _across(p: Palette, a: Asked) -> Part:
    x = _log10(own(a).thresholds)
    return log_axis(p, x, -np.inf, (float(x[0]), float(x[-1]))) | {"range": [float(x[0]), float(x[-1])]}


def lengths(a: Asked, p: Palette) -> Part:
    """The clipped norm against the threshold."""
    found = a.found[0]
    data, labels, shapes = _over_thresholds(a, p, "norms")
    x_axis = _across(p, a)
    every = np.concatenate([trace["y"] for trace in data])
    norm = float(_log10(np.array(found.norm)))
    y_axis = log_axis(p, np.append(every, norm), norm - 6 if np.isfinite(norm) else -6.0, (norm - 2, norm + 1)
                      if np.isfinite(norm) else (-2.0, 1.0))  # fmt: skip
    if np.isfinite(norm):
        shapes.append(across(norm, p.faint, x_axis["range"][1], x_axis["range"][0]))
        labels.append(label("norm_g", "‖g‖", p.soft, [], "at", at=[x_axis["range"][1], norm]))
    meta = {
        "question": _("How much is left at another threshold?"),
        "answer": _("‖clip(g)‖; upright: the threshold {c}; flat: ‖g‖ = <b>{norm}</b>").format(
            c=short(found.threshold), norm=short(found.norm)
        ),
        "x": _("c"), "labels": labels, "ticks": {"x": "log", "y": "log"},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, x_axis, y_axis, meta, shapes)}


def directions(a: Asked, p: Palette) -> Part:
    """The cosine against the threshold."""
    data, labels, shapes = _over_thresholds(a, p, "cosines")
    least = min([0.0, *(float(np.nanmin(t["y"])) for t in data if np.isfinite(t["y"]).any())])
    ticks = ([0.0, 0.5, 1.0], ["0", "0.5", "1"])
    y_axis = axis(p, (min(-0.03, least - 0.03), 1.06), ticks, grid=True)
    said = listed(
        f"{_(CLIPS[name].label, 'clip')} <b>{short(c.cosine, 2)}</b>"
        for name, c in a.found[0].rows.items()
        if name != "none"
    )
    meta = {
        "question": _("And how much of its direction?"), "answer": _("cos(g, clip(g)) here: {all}").format(all=said),
        "x": _("c"), "labels": labels, "ticks": {"x": "log", "y": "count"},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, _across(p, a), y_axis, meta, shapes)}


def parts(a: Asked, p: Palette) -> Part:
    """What is left of each block."""
    found, c = a.found[0], own(a)
    figure = rows(a, p, found.blocks, [("kept", _("kept"), _log10(c.kept), p.threshold, "diamond")], (-3.0, 0.0))
    ratio = float(_log10(np.array(c.ratio)))
    if np.isfinite(ratio):
        figure["layout"]["shapes"].append(upright(ratio, p.gradient, dash="5px,4px"))
        at = [ratio, figure["layout"]["yaxis"]["range"][1] - 0.25]
        figure["layout"]["meta"]["labels"].append(
            label("ratio", _("the whole"), p.gradient, [], "at", at=at, loose=True)
        )
    kept = c.kept[here(a, found.blocks)]
    finite = kept[np.isfinite(kept)]
    text = _("nothing to clip")
    if finite.size:
        low, high = short(float(finite.min()), 2), short(float(finite.max()), 2)
        text = _("<b>{low}</b> to <b>{high}</b> of its length; {share} of all components changed")
        if low == high:
            text = _("<b>{low}</b> of its length everywhere; {share} of all components changed")
        text = text.format(low=low, high=high, share=percent(c.changed) if np.isfinite(c.changed) else "NaN")
    figure["layout"]["meta"] |= {"question": _("What is left of each part?"), "answer": text, "x": ""}
    return figure


def past(a: Asked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(step+1,) the learning rate, what clipping left of it for plain SGD, and whether something was cut off."""
    _, lr, norm, used = a.found
    with np.errstate(all="ignore"):
        ratio = used / norm
    return lr, lr * ratio, ratio < 1 - 1e-6


def rates(a: Asked, p: Palette) -> Part:
    """The effective learning rate over training."""
    lr, effective, _cut = past(a)
    at = thin(np.where(np.isfinite(effective), effective, np.nan))
    hover = {
        "hoverinfo": "all",
        "hovertemplate": _("step {n}").format(n="%{x}") + ": 10<sup>%{y:.2f}</sup><extra></extra>",
    }
    all_lr = thin(lr)
    data = [
        line(all_lr, gaps(_log10(lr[all_lr])), p.soft, 1.8),
        line(at, gaps(_log10(effective[at])), p.gradient, 2.5, **hover),
    ]
    labels = [
        label("lr", "lr", p.soft, [0], "beside"),
        label("effective", f"<b>{_('effective')}</b>", p.gradient, [1], "beside"),
    ]
    values = _log10(np.append(effective, lr))
    middle = float(_log10(np.array(lr[0])))
    y_axis = log_axis(p, values, middle - 12, (np.floor(middle) - 1, np.ceil(middle) + 1))
    meta = {
        "question": _("What learning rate does clipping leave?"), "answer": _left(a), "x": _("step"), "labels": labels,
        "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, along(p, 0, max(1, a.step)), y_axis, meta, [])}


def _left(a: Asked) -> str:
    lr, effective, cut = past(a)
    finite = effective[np.isfinite(effective)]
    if not finite.size:
        return _("lr · ‖clip(g)‖/‖g‖: <b>not a number</b>")
    text = _("lr · ‖clip(g)‖/‖g‖: <b>{now}</b> now; <b>{cut} of {all}</b> steps clipped")
    if a.experiment.clip == "unit":  # which changes every gradient
        text = _("lr · ‖clip(g)‖/‖g‖: <b>{now}</b> now")
    now = rate(float(effective[-1])) if np.isfinite(effective[-1]) else "NaN"
    return text.format(now=now, cut=int(cut.sum()), all=len(lr))


def pictures(a: Asked) -> dict[str, Draw]:
    found: dict[str, Draw] = {"plane": plane, "lengths": lengths, "directions": directions, "parts": parts}
    return found | ({"rates": rates} if len(a.found) > 1 else {})


def sentence(a: Asked) -> str:
    """What the pictures show, in numbers."""
    found, c, e = a.found[0], own(a), a.experiment
    if not np.isfinite(found.norm):
        return _("The gradient is not a number: no clipping can make a step of it.")
    if found.norm == 0:
        return _("The gradient is exactly 0: there is nothing to clip.")
    if e.clip == "none":
        would = _("Clipping is off. By norm at {c} it would leave this gradient, {norm} long, as it is.")
        if c.changed:
            would = _("Clipping is off. By norm at {c} it would shorten this gradient to {ratio} of its length.")
        return would.format(c=short(found.threshold), norm=short(found.norm), ratio=short(c.ratio, 2))
    said = {
        "norm": _("Clipping by norm at {c}"), "value": _("Clipping by value at ±{c}"),
        "unit": _("Unit clipping with ε = {c}"), "param_norm": _("Clipping each tensor's norm at {c}"),
    }[c.kind].format(c=short(found.threshold))  # fmt: skip
    if c.changed == 0:
        return _("{what} leaves this gradient as it is, {norm} long.").format(what=said, norm=short(found.norm))
    longer = _("{what} makes this gradient {ratio} times as long")
    shorter = _("{what} shortens this gradient to {ratio} of its length")
    turned = _(" and turns it by {n}°.").format(n=f"{turn(c):.0f}") if turn(c) >= 0.5 else _("; its direction stays.")
    text = (longer if c.ratio > 1 else shorter).format(what=said, ratio=short(c.ratio, 2)) + turned
    if OPTIMIZERS[e.optimizer].epsilon is not None:
        said = _(
            "{optimizer} divides by the size of past gradients: a factor that is the same at every step changes "
            "nothing, one that changes does."
        )
        text = sentences(text, said.format(optimizer=_(OPTIMIZERS[e.optimizer].label)))
    return text
