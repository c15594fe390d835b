"""How long does each gate keep, and does it still move? Gate values by timestep, saturation, time constants."""

from functools import partial

import numpy as np

from app.figures.asked import Asked, Draw, along, log_axis
from app.figures.credit import percent
from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import MAP_TIMESTEPS, every, gaps
from app.figures.template import Part, across, axis, dots, heatmap, label, layout, line
from app.words import N_, _

ROLES = {
    ("lstm", "i"): N_("input gate i: what is written"),
    ("lstm", "f"): N_("forget gate f: what is kept"),
    ("lstm", "g"): N_("candidate g: the new"),
    ("lstm", "o"): N_("output gate o: what is shown"),
    ("gru", "r"): N_("reset gate r: what the candidate sees"),
    ("gru", "z"): N_("update gate z: what is kept"),
    ("gru", "n"): N_("candidate n: the new"),
}


def over_time(name: str, a: Asked, p: Palette) -> Part:
    gate = a.found.gates[name]
    share, steps = gate.density[a.layer], gate.density.shape[1]
    right = every(steps, MAP_TIMESTEPS)
    edges = gate.edges
    width = float(edges[1] - edges[0])
    z = gaps(share[::right].T)
    top = float(np.nanmax(z)) if np.isfinite(z).any() else 1.0
    hover = "t = %{x}: " + _("{share} of the units near {value}").format(share="%{z:.0%}", value="%{y:.2f}")
    trace = heatmap(
        np.ascontiguousarray(z), (1, right), (float(edges[0]) + width / 2, width), (0.0, top), p.positive,
        hovertemplate=hover + "<extra></extra>",
    )  # fmt: skip
    x = np.arange(1, steps + 1, right, dtype=np.int32)
    mean = line(
        x, gaps(gate.mean[a.layer, ::right]), p.ink, 2, hoverinfo="all", hovertemplate="%{y:.3f}<extra></extra>"
    )
    data, labels = [trace, mean], [label("mean", f"<b>{_('mean')}</b>", p.ink, [1], "beside")]
    if name == a.found.keep:
        alone = float(a.found.bias_alone[a.layer].mean())
        data.append(line(np.array([1, steps], np.int32), gaps(np.full(2, alone)), p.ink, 1.5, dash="dash"))
        labels.append(label("alone", _("its bias alone"), p.soft, [2], "beside"))
    ends = [float(edges[0]), float(edges[0] + edges[-1]) / 2, float(edges[-1])]
    y = axis(p, (ends[0], ends[2]), (ends, [short(v) for v in ends]))
    meta = {
        "question": _(ROLES[a.experiment.cell, name]), "answer": _saturated(a, name), "x": "t",
        "labels": labels, "ticks": {"x": "count", "y": "count"},
        "bar": {"range": [0.0, top], "ticks": [[0.0, "0"], [top, percent(top)]]},
    }  # fmt: skip
    return {"data": data, "layout": layout(p, along(p, 1, steps), y, meta, [], hover="closest")}


def _saturated(a: Asked, name: str) -> str:
    gate = a.found.gates[name]
    left, right = float(gate.left[a.layer].mean()), float(gate.right[a.layer].mean())
    low = short(-0.9 if gate.edges[0] < 0 else 0.1)
    return _("{low} of the time below {least}, <b>{high}</b> above 0.9").format(
        low=percent(left), high=percent(right), least=low
    )


def saturation(a: Asked, p: Palette) -> Part:
    """Each unit of each gate: how often is it closed, how often open (Karpathy et al. 2015, fig. 4)."""
    data: list[Part] = []
    labels: list[Part] = []
    symbols = ("circle", "square-open", "diamond-open", "cross-thin-open")
    gates = [gate for gate in a.found.gates.values() if gate.edges[0] == 0]
    for gate, symbol in zip(gates, symbols, strict=False):
        keeps = gate.name == a.found.keep
        x, y = gaps(100 * gate.right[a.layer]), gaps(100 * gate.left[a.layer])
        unit = np.arange(1, len(x) + 1, dtype=np.int32)
        hover = f"{gate.name} %{{customdata}}: " + _("open {x} %, closed {y} %").format(x="%{x:.0f}", y="%{y:.0f}")
        color = p.state if keeps else p.soft
        data.append(
            dots(x, y, color, 8, symbol=symbol, opacity=0.75)
            | {"hoverinfo": "all", "hovertemplate": hover + "<extra></extra>", "customdata": unit}
        )
        mark = {"circle": "●", "square-open": "□", "diamond-open": "◇", "cross-thin-open": "+"}[symbol]
        text = f"<b>{mark} {gate.name}</b>" if keeps else f"{mark} {gate.name}"
        labels.append(label(gate.name, text, color, [len(data) - 1], "corner", at=[45.0, 0.0], row=len(labels)))
    ticks = ([0.0, 50.0, 100.0], ["0 %", "50 %", "100 %"])
    meta = {
        "question": _("Which units are stuck open, which closed?"),
        "answer": _("Share of time below 0.1 (up) and above 0.9 (across)"),
        "x": _("% open"), "labels": labels, "ticks": {"x": "count", "y": "count"},
    }  # fmt: skip
    x_axis, y_axis = axis(p, (0, 100), ticks, grid=True), axis(p, (0, 100), ticks, grid=True)
    return {"data": data, "layout": layout(p, x_axis, y_axis, meta, [], hover="closest")}


def constants(a: Asked, p: Palette) -> Part:
    """The memory of each unit, in steps, longest first."""
    tau = np.sort(a.found.time_constants[a.layer])[::-1]
    units, steps = len(tau), a.experiment.steps
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log10(tau)
    hover = _("unit {n} by rank").format(n="%{x}") + ": 10<sup>%{y:.2f}</sup> " + _("steps") + "<extra></extra>"
    data = [
        dots(np.arange(1, units + 1, dtype=np.int32), gaps(y), p.state, 7)
        | {"hoverinfo": "all", "hovertemplate": hover}
    ]
    data.append(line(np.array([1, max(units, 2)], np.int32), gaps(np.full(2, np.log10(steps))), p.ink, 1.5))
    labels = [label("length", _("length of a sequence"), p.ink, [1], "beside")]
    longer = int((tau >= steps).sum())
    meta = {
        "question": _("How many steps does each unit keep?"),
        "answer": _("τ = −1/log {gate}, units by rank: median <b>{median}</b> steps; {n} keep a whole sequence").format(
            gate=a.found.keep, median=short(float(np.median(tau)), 2), n=longer
        ),
        "x": _("unit"), "labels": labels, "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    y_axis = log_axis(p, np.append(y, np.log10(steps)), -3.0, (0.0, 2.0))
    shapes = [across(0, p.faint, units + 0.5, 0.5)]
    return {"data": data, "layout": layout(p, along(p, 1, units), y_axis, meta, shapes, "closest")}


def pictures(a: Asked) -> dict[str, Draw]:
    """Time constants, saturation, and one map a gate; none for a cell without gates."""
    if a.found.keep is None:
        return {}
    maps: dict[str, Draw] = {f"gate_{name}": partial(over_time, name) for name in a.found.gates}
    return {"constants": constants, "saturation": saturation} | maps


def sentence(a: Asked) -> str:
    """What the pictures show, in numbers."""
    keep = a.found.keep
    if keep is None:
        return _(
            "The plain RNN has no gates: all of its state goes through W<sub>hh</sub> and φ at every step. "
            "Try LSTM or GRU."
        )
    gate, tau = a.found.gates[keep], a.found.time_constants[a.layer]
    mean = float(gate.unit_mean[a.layer].mean())
    if not np.isfinite(mean):
        return _("The gates are not numbers here.")
    text = _(
        "The gate that keeps, {gate}, is {mean} on average: half of the units lose what they hold in {median} steps or "
        "fewer, the slowest in {most}. It is open (above 0.9) {right} of the time and closed (below 0.1) {left}. Its "
        "bias alone would make it {alone}."
    )
    return text.format(
        gate=keep, mean=short(mean, 2), median=short(float(np.median(tau)), 2), most=short(float(tau.max()), 2),
        alone=short(float(a.found.bias_alone[a.layer].mean()), 2), right=percent(float(gate.right[a.layer].mean())),
        left=percent(float(gate.left[a.layer].mean())),
    )  # fmt: skip
