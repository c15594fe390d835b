"""Does training move it to the edge? The largest Lyapunov exponent, W_hh, states and gates, at many steps of a run."""

from math import ceil
from typing import Any

import numpy as np

from app.figures.asked import Asked, Draw, along, even_axis, log_axis
from app.figures.credit import percent
from app.figures.exponents import DEEPEST, fixed
from app.figures.numbers import short
from app.figures.palette import Palette
from app.figures.scales import gaps
from app.figures.template import Part, across, axis, heatmap, label, layout, line, upright
from app.words import _, sentences
from engine.cells import KINDS

BINS = 40  # of the states' values
BOUNDED = ("tanh", "sigmoid", "softsign", "hardtanh")


def _steps(a: Asked) -> np.ndarray:
    return np.array([state.step for state in a.found.states], np.int32)


def _frame(a: Asked, p: Palette, y: Part, meta: Part, data: list[Part], shapes: list[Part]) -> Part:
    """A picture along training, with the step that the page shows marked."""
    steps = _steps(a)
    meta = {"x": _("step"), "labels": [], "ticks": {"x": "count", "y": "real"}} | meta
    x = along(p, int(steps[0]), max(int(steps[-1]), int(steps[0]) + 1))
    return {"data": data, "layout": layout(p, x, y, meta, [upright(a.step, p.soft), *shapes], "closest")}


def _curve(x: np.ndarray, y: np.ndarray, color: str, width: float, hover: str, **more: object) -> Part:
    said = {
        "mode": "lines+markers",
        "cliponaxis": False,
        "hoverinfo": "all",
        "hovertemplate": hover + "<extra></extra>",
    }
    return line(x, gaps(y), color, width, **said, marker={"size": 2.2 * width, "color": color}, **more)


def _at_step(value: str) -> str:
    return _("step {n}").format(n="%{x}") + ": " + value


def edge(a: Asked, p: Palette) -> Part:
    steps = _steps(a)
    values = np.array([state.lyapunov for state in a.found.states])
    errors = np.array([state.error for state in a.found.states])
    errors = np.where(np.isfinite(errors), errors, 0.0)
    curve = _curve(steps, values, p.state, 3, _at_step("λ₁ = %{y:.4f} ± %{error_y.array:.4f}"))
    curve["error_y"] = {"type": "data", "array": gaps(errors), "color": p.state, "thickness": 1.5, "width": 3}
    finite = values[np.isfinite(values)]
    low, high = float(finite.min(initial=-0.02)), float(finite.max(initial=0.02))
    room = 0.15 * (high - max(low, DEEPEST))
    y = even_axis(p, max(low, DEEPEST) - room, high + room)
    end = max(int(steps[-1]), int(steps[0]) + 1) + 0.5
    meta = {
        "question": _("Does a small difference grow or die?"),
        "answer": _("λ<sub>1</sub> in nats a step, ± standard error: above <b>the edge</b> it grows"),
        "labels": [label("edge", _("the edge"), p.ink, [], "at", at=[end, 0.0])],
    }  # fmt: skip
    return _frame(a, p, y, meta, [curve], [across(0.0, p.ink, end, float(steps[0]) - 0.5)])


def matrix(a: Asked, p: Palette) -> Part:
    """ρ and σ_max of the recurrent matrix that proposes the new state."""
    cell = KINDS[a.experiment.kind]
    gate = cell.gates[cell.candidate] if cell.gates else ""
    found = [next(r for r in state.radii if r.layer == a.layer and r.gate == gate) for state in a.found.states]
    rho, sigma = (np.array([getattr(r, name) for r in found]) for name in ("rho", "sigma"))
    steps = _steps(a)
    data = [
        _curve(steps, sigma, p.soft, 2, _at_step("σ = %{y:.3f}")),
        _curve(steps, rho, p.gradient, 3, _at_step("ρ = %{y:.3f}")),
    ]
    finite = np.concatenate([rho, sigma])
    finite = finite[np.isfinite(finite)]
    y = even_axis(p, 0.0, 1.08 * float(finite.max(initial=1.1)))
    text = _("Largest |eigenvalue| ρ and singular value σ of W<sub>hh</sub>")
    if gate:
        text = _("Largest |eigenvalue| ρ and singular value σ of W<sub>h{gate}</sub>, the candidate's").format(
            gate=gate
        )
    meta = {
        "question": _("How strong is the recurrent matrix?"), "answer": text,
        "labels": [
            label("sigma", "σ<sub>max</sub>", p.soft, [0], "beside"),
            label("rho", "<b>ρ</b>", p.gradient, [1], "beside"),
        ],
    }  # fmt: skip
    end = max(int(steps[-1]), int(steps[0]) + 1) + 0.5
    return _frame(a, p, y, meta, data, [across(1.0, p.ink, end, float(steps[0]) - 0.5)])


def states(a: Asked, p: Palette) -> Part:
    """How the hidden states are distributed."""
    values = [state.hidden[a.layer] for state in a.found.states]
    bounded = a.experiment.cell != "rnn" or a.experiment.nonlinearity in BOUNDED
    reach = 1.0
    if not bounded:
        sizes = np.abs(np.concatenate(values))
        sizes = sizes[np.isfinite(sizes)]
        reach = float(np.quantile(sizes, 0.99)) or 1.0 if sizes.size else 1.0
    edges = np.linspace(-reach, reach, BINS + 1)
    shares = np.stack([_shares(v, edges) for v in values], axis=1)
    first, last = (_saturated(v, reach) for v in (values[0], values[-1]))
    text = _("Share of the states h in each band; beyond ±{most}: {a} at first, <b>{b}</b> at last").format(
        most=short(0.9 * reach, 2), a=first, b=last
    )
    meta = {"question": _("How are the states distributed?"), "answer": text}
    return _map(a, p, shares, edges, meta)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(bins,): of all values; NaN where one of them is not finite."""
    if not np.isfinite(values).all():
        return np.full(len(edges) - 1, np.nan)
    return np.histogram(values, edges)[0] / len(values)


def _saturated(values: np.ndarray, reach: float) -> str:
    finite = np.isfinite(values).all()
    return percent(float((np.abs(values) > 0.9 * reach).mean())) if finite else _("not a number")


def _map(a: Asked, p: Palette, shares: np.ndarray, edges: np.ndarray, meta: Part) -> Part:
    """shares (bins, states) over training."""
    steps, width = _steps(a), float(edges[1] - edges[0])
    z = gaps(np.sqrt(shares))  # the root: a bin with few is seen beside one with many
    finite = z[np.isfinite(z)]
    top = float(finite.max(initial=0.0)) or 1.0
    hover = _at_step(_("{share} of them near {value}").format(share="%{customdata:.1%}", value="%{y:.2f}"))
    trace = heatmap(
        z, (0.0, 1.0), (float(edges[0]) + width / 2, width), (0.0, top), p.positive, customdata=gaps(shares),
        hovertemplate=hover + "<extra></extra>",
    )  # fmt: skip
    del trace["x0"], trace["dx"]
    trace["x"] = steps if len(steps) > 1 else np.array([steps[0], steps[0] + 1], np.int32)
    if len(steps) == 1:
        trace |= {"z": np.repeat(z, 2, axis=1), "customdata": np.repeat(gaps(shares), 2, axis=1)}
    ends = [float(edges[0]), float(edges[0] + edges[-1]) / 2, float(edges[-1])]
    bar = {"range": [0.0, top], "ticks": [[0.0, "0"], [top, percent(top * top)]]}
    y = axis(p, (ends[0], ends[2]), (ends, [short(v, 2) for v in ends]))
    return _frame(a, p, y, meta | {"bar": bar}, [trace], [])


def gate(a: Asked, p: Palette) -> Part:
    """The gate that keeps the state."""
    cell, all_states = KINDS[a.experiment.kind], a.found.states
    assert cell.keep is not None
    shares = np.stack([state.keep[a.layer] for state in all_states], axis=1)
    last = all_states[-1]
    text = _("Share of its values in each band; at last {low} below 0.1, <b>{high}</b> above 0.9").format(
        low=_share(last.closed[a.layer]), high=_share(last.open[a.layer])
    )
    meta = {
        "question": _("How open is the gate that keeps, {gate}?").format(gate=cell.gates[cell.keep]),
        "answer": text,
    }
    return _map(a, p, shares, np.linspace(0.0, 1.0, len(shares) + 1), meta)


def _share(x: float) -> str:
    return percent(float(x)) if np.isfinite(x) else _("not a number")


def constants(a: Asked, p: Palette) -> Part:
    steps, length = _steps(a), a.experiment.steps
    with np.errstate(all="ignore"):
        tau = np.log10([np.quantile(state.constants[a.layer], (0.1, 0.5, 0.9)) for state in a.found.states])
    hover = "10<sup>%{y:.2f}</sup> " + _("steps")
    data = [
        _curve(steps, tau[:, 0], p.state, 1.5, _at_step(hover)),
        _curve(steps, tau[:, 2], p.state, 1.5, _at_step(hover)),
        _curve(steps, tau[:, 1], p.state, 3, _at_step(hover)),
    ]
    labels = [
        label("slow", _("slowest tenth"), p.state, [1], "beside"),
        label("fast", _("fastest tenth"), p.state, [0], "beside"),
        label("median", f"<b>{_('median')}</b>", p.state, [2], "beside"),
    ]
    end = max(int(steps[-1]), int(steps[0]) + 1) + 0.5
    level = float(np.log10(length))
    labels.append(label("length", _("a sequence"), p.ink, [], "at", at=[end, level]))
    meta = {
        "question": _("How many steps do the units keep?"),
        "answer": _("Time constants τ = −1/log of the gate's mean, in steps"), "labels": labels,
        "ticks": {"x": "count", "y": "log"},
    }  # fmt: skip
    y = log_axis(p, np.append(tau, level), -2.0, (0.0, float(ceil(level))))
    return _frame(a, p, y, meta, data, [across(level, p.ink, end, float(steps[0]) - 0.5)])


def pictures(a: Asked) -> dict[str, Draw]:
    drawn: dict[str, Draw] = {"edge": edge, "matrix": matrix, "states": states}
    if KINDS[a.experiment.kind].keep is None:
        return drawn
    return drawn | {"gate": gate, "constants": constants}


def sentence(a: Asked) -> str:
    """What the pictures show, in numbers."""
    found = a.found.states
    first, last = found[0], found[-1]
    text = _("At step {n} λ₁ is {value} ± {error}.")
    if not np.isfinite(last.lyapunov) and not np.isneginf(last.lyapunov):
        return _("The states are not numbers at step {n}: a difference between two of them has no size.").format(
            n=last.step
        )
    if len(found) == 1:
        more = _("Train the network to see where it goes.") if a.found.of == 1 else ""
        return f"{text.format(n=first.step, value=_value(first), error=_error(first))} {more}".strip()
    apart = 2 * float(np.hypot(_or_0(first.error), _or_0(last.error)))
    nearer = abs(first.lyapunov) - abs(last.lyapunov)
    crossed = first.lyapunov * last.lyapunov < 0 and abs(last.lyapunov) > 2 * _or_0(last.error)
    if not np.isfinite(first.lyapunov) or not np.isfinite(last.lyapunov) or abs(nearer) <= apart:
        what = _("No nearer to the edge and no farther: λ₁ was {a} at step {m} and is {b} ± {error} at step {n}.")
    elif crossed:
        what = _("Training has moved it across the edge: λ₁ was {a} at step {m} and is {b} ± {error} at step {n}.")
    elif nearer > 0:
        what = _("Training moves it towards the edge: λ₁ was {a} at step {m} and is {b} ± {error} at step {n}.")
    else:
        what = _("Training moves it away from the edge: λ₁ was {a} at step {m} and is {b} ± {error} at step {n}.")
    said = what.format(a=_value(first), m=first.step, b=_value(last), n=last.step, error=_error(last))
    if _near(last):
        said = sentences(said, _("That is the edge, within twice its standard error."))
    return said


def _or_0(x: float) -> float:
    return x if np.isfinite(x) else 0.0


def _near(state: Any) -> bool:
    return bool(abs(state.lyapunov) <= 2 * _or_0(state.error))


def _value(state: Any) -> str:
    return fixed(state.lyapunov, 3)


def _error(state: Any) -> str:
    return fixed(_or_0(state.error), 3)
