"""What does each unit remember? Hidden states of one sequence, unit by timestep."""

import numpy as np

from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import MAP_TIMESTEPS, MAP_UNITS, counts, every, gaps, plain, round_up
from app.figures.template import Part, axis, heatmap, layout, timesteps, upright
from app.snapshot import Snapshot
from app.words import _, clauses

# Where the activation, and with it every cell's state, can go: (least, greatest), None: no bound.
REACH: dict[str, tuple[float | None, float | None]] = {
    "tanh": (-1, 1), "softsign": (-1, 1), "hardtanh": (-1, 1), "sigmoid": (0, 1), "relu": (0, None),
}  # fmt: skip
MOST_MARKS = 40


def state(s: Snapshot, p: Palette) -> Part:
    states = s.hidden[s.layer]  # (T, H)
    steps, units = states.shape
    right, down = every(steps, MAP_TIMESTEPS), every(units, MAP_UNITS)
    low, high = scale(s)
    z = np.ascontiguousarray(gaps(states[::right, ::down]).T)
    trace = heatmap(
        z, (1, right), (1, down), (low, high), p.positive if low == 0 else p.signed,
        hovertemplate=_("unit {unit}, t = {t}").format(unit="%{y}", t="%{x}") + "<br>h = %{z:.2f}<extra></extra>",
    )  # fmt: skip
    at = counts(1, units, 2)
    y = axis(p, (units + 0.5, 0.5), plain(at))
    y["ticktext"] = [_("unit {n}").format(n=n) if n == 1 else str(n) for n in at]
    ends = (
        [(low, short(low)), (0.0, "0"), (high, "+" + short(high))]
        if low < 0
        else [(low, short(low)), (high, short(high))]
    )
    meta = {
        "question": _("What does each unit remember?"), "answer": _answer(s, down), "x": "t",
        "ticks": {"x": "count", "y": "count"},
        "bar": {"range": [low, high], "ticks": [list(tick) for tick in ends]},
    }  # fmt: skip
    marks = [upright(t, p.ink, dash="1px,2px") for t in s.marks] if len(s.marks) <= MOST_MARKS else []
    return {"data": [trace], "layout": layout(p, timesteps(p, s), y, meta, marks, hover="closest")}


def scale(s: Snapshot) -> tuple[float, float]:
    """The colour scale: the activation's own reach; where that has no bound, a round number above the largest state."""
    low, high = REACH.get(s.experiment.nonlinearity, (None, None))
    if high is not None and low is not None:
        return low, high
    sizes = np.abs(s.hidden[s.layer])
    sizes = sizes[np.isfinite(sizes)]
    top = round_up(float(sizes.max()), (1, 1.5, 2, 3, 5, 7.5, 10)) if sizes.size and sizes.max() > 1e-30 else 1.0
    return (0.0 if low == 0 else -top), top


def _answer(s: Snapshot, down: int) -> str:
    states = s.hidden[s.layer]
    finite = states[np.isfinite(states)]
    units = _("{n} units").format(n=states.shape[1]) if states.shape[1] > 1 else _("one unit")
    if down > 1:
        units = _("1 in {k} of {n} units").format(k=down, n=states.shape[1])
    head = _("h<sub>t</sub> of {units}").format(units=units)
    if s.now.shape[0] > 1:
        head = _("h<sub>t</sub> of layer {n}, {units}").format(n=s.layer + 1, units=units)
    if s.lost:
        head = _("{states} at step {n}").format(states=head, n=s.drawn)
    if not finite.size:
        return _("{states}: no finite number").format(states=head)
    low, high = REACH.get(s.experiment.nonlinearity, (None, None))
    if low is None:
        note = _("largest |h| <b>{h}</b>").format(h=short(float(np.abs(finite).max())))
    elif high is None:
        note = _("<b>{n} %</b> silent (h = 0)").format(n=round(100 * float(np.mean(finite == 0))))
    elif low == 0:
        n = round(100 * float(np.mean(abs(finite - 0.5) > 0.4)))
        note = _("<b>{n} %</b> saturated (h &lt; 0.1 or &gt; 0.9)").format(n=n)
    else:
        note = _("<b>{n} %</b> saturated (|h| &gt; 0.9)").format(n=round(100 * float(np.mean(abs(finite) > 0.9))))
    return clauses([head, note, *([_("dotted: marked inputs")] if 0 < len(s.marks) <= MOST_MARKS else [])])
