"""How does training change that flow? The gradient norm by timestep (up) and training step (across)."""

from math import ceil

import numpy as np

from app.figures.flow import span
from app.figures.numbers import power
from app.figures.palette import Palette
from app.figures.scales import MAP_COLUMNS, MAP_TIMESTEPS, counts, decades, every, gaps, plain
from app.figures.template import Part, axis, heatmap, label, layout
from app.figures.training import heads, notes, over_training, training
from app.snapshot import Snapshot
from app.words import _, sentences


def flow_map(s: Snapshot, p: Palette) -> Part:
    steps = s.now.shape[1]
    low, high = span(s)
    width, up = max(1, ceil(s.end / MAP_COLUMNS)), every(steps, MAP_TIMESTEPS)
    z, kept = columns(s, width, up)
    ticks = decades(low, high, 3)
    hover = (
        _("step {step}, t = {t}").format(step="%{customdata}", t="%{y}") + "<br>10<sup>%{z:.1f}</sup><extra></extra>"
    )
    true = np.broadcast_to(kept, z.shape)
    trace = heatmap(z, (0, width), (1, up), (low, high), p.magnitude, customdata=true, hovertemplate=hover)
    at = counts(1, steps, 2)
    y = axis(p, (0.5, steps + 0.5), plain(at))
    y["ticktext"] = [f"t = {t}" if t in (1, steps) else str(t) for t in at]
    corner: Part = {"place": "corner", "at": [s.reached, steps]}
    labels = [
        label("loss", f"<b>{_('loss')}</b>", p.loss, [], **corner, row=0),
        label("back", _("↓ back in time"), p.soft, [], **corner, row=1),
    ]
    meta = {
        "question": _("How does training change that flow?"), "answer": _answer(s), "x": _("step"), "alt": _alt(s),
        "labels": labels if s.diverged is None else [],
        "notes": notes(s, low=True), "ticks": {"x": "count", "y": "count"},
        "bar": {"range": [low, high], "ticks": [list(t) for t in zip(*ticks, strict=True)]},
    }  # fmt: skip
    data = [trace, *heads(p, s, steps + 0.5)]
    return {"data": data, "layout": layout(p, training(p, s), y, meta, over_training(p, s), hover="closest")}


def columns(s: Snapshot, width: int, up: int, end: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One column for every `width` training steps up to the axis' end (`end`, or the run's own), NaN where the run has
    not been.

    Returns z (timesteps / up, columns) float32 and kept (columns,) int32: the true training step of each column, the
    kept one nearest to it. The shape holds still while the run goes on, so that only new columns change.
    """
    at = np.arange(0, (s.end if end is None else end) + 1, width)
    seen = at[at <= s.reached]
    after = np.searchsorted(s.rows_at, seen).clip(0, len(s.rows_at) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(seen - s.rows_at[before] <= s.rows_at[after] - seen, before, after)
    z = np.full((-(-s.rows.shape[2] // up), len(at)), np.nan, np.float32)
    z[:, : len(seen)] = gaps(s.rows[nearest, s.layer, ::up]).T
    kept = at.astype(np.int32)
    kept[: len(seen)] = s.rows_at[nearest]
    return z, kept


def _answer(s: Snapshot) -> str:
    what = "‖∂L/∂h<sub>t</sub>‖"
    if s.now.shape[0] > 1:
        return _("{what} in layer {n}, by timestep (up) and training step (across)").format(what=what, n=s.layer + 1)
    return _("{what} by timestep (up) and training step (across)").format(what=what)


def _alt(s: Snapshot) -> str:
    """Its lower and its upper edge in numbers, for those who hear it."""
    edges = ((name, s.start[s.layer, t], s.now[s.layer, t]) for name, t in ((1, 0), (s.now.shape[1], -1)))
    text = _("At t = {t} it is {first} at step 0 and {now} at step {n}.")
    said = (text.format(t=t, first=_power(first), now=_power(now), n=s.drawn) for t, first, now in edges)
    return sentences(*said)


def _power(exponent: float) -> str:
    return power(float(exponent)) if np.isfinite(exponent) else "0" if exponent < 0 else "NaN"
