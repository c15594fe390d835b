"""How long does each gate keep, and does it still move? Distributions, saturation and time constants of the gates.

A gate near 0 or 1 is saturated (Karpathy, Johnson & Fei-Fei 2015): its own slope σ' is small, so that it hardly learns,
but what it keeps is kept well. A unit whose keeping gate is f on average loses its memory with the time constant
τ = −1/log f steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.cells import KINDS
from engine.instruments.jacobians import sigmoid
from engine.parameters import frozen
from engine.trace import Trace, check_trace

CLOSED, OPEN = 0.1, 0.9
BINS = 20


@dataclass(frozen=True, eq=False)
class Gate:
    """One gate, over all sequences of the batch; L layers, T timesteps, H units. The candidate (g, n) has no two ends:
    it counts as saturated on the left below −0.9 and on the right above 0.9."""

    name: str
    edges: np.ndarray  # (BINS+1,) of the bins: 0 … 1, of the candidate −a … a
    density: np.ndarray  # (L, T, BINS): the share of units and sequences in each bin; NaN where one is not finite
    mean: np.ndarray  # (L, T)
    left: np.ndarray  # (L, H): the share of timesteps and sequences where the unit is below 0.1
    right: np.ndarray  # (L, H): … above 0.9
    unit_mean: np.ndarray  # (L, H): over timesteps and sequences


@dataclass(frozen=True, eq=False)
class Gates:
    """The gates by name, {} for a cell without; `keep`: the one that keeps the state (LSTM f, GRU z), None there."""

    gates: Mapping[str, Gate]
    keep: str | None
    time_constants: np.ndarray  # (L, H) τ = −1/log(mean of the keeping gate), in steps; (L, 0) without gates
    bias_alone: np.ndarray  # (L, H) σ(b_ih + b_hh) of the keeping gate: its value with no input and no state; or (L, 0)


def gates(t: Trace) -> Gates:
    """Of a pass.

    >>> import engine
    >>> found = engine.gates(engine.probe(engine.Experiment(cell="lstm", forget_bias=3.0)))
    >>> found.keep, round(float(found.gates["f"].unit_mean.mean()), 2)     # σ(3) = 0.95
    ('f', 0.95)
    >>> round(float(np.median(found.time_constants)))                     # −1/log 0.95 steps
    21
    """
    check_trace(t)
    row = KINDS[t.kind]
    found = {
        name: _gate(name, np.asarray(values, np.float64), row.gates.index(name) == row.candidate)
        for name, values in t.gates.items()
    }
    if row.keep is None:
        return Gates(found, None, frozen(np.zeros((len(t.hidden), 0))), frozen(np.zeros((len(t.hidden), 0))))
    keep, units, w = row.gates[row.keep], t.hidden.shape[-1], t.state_dict
    block = slice(row.keep * units, (row.keep + 1) * units)
    bias = [w[f"bias_ih_l{k}"][block] + w[f"bias_hh_l{k}"][block] for k in range(len(t.hidden))]
    with np.errstate(divide="ignore", invalid="ignore"):
        constants = -1.0 / np.log(found[keep].unit_mean)
        alone = sigmoid(np.asarray(bias, np.float64))
    return Gates(found, keep, frozen(constants), frozen(alone))


def _gate(name: str, values: np.ndarray, candidate: bool) -> Gate:
    """values (L, T, B, H)."""
    layers, steps = values.shape[:2]
    finite = np.isfinite(values)
    reach = max(1.0, float(np.abs(values[finite]).max(initial=0.0))) if candidate else 1.0
    edges = np.linspace(-reach if candidate else 0.0, reach, BINS + 1)
    at = np.clip(np.searchsorted(edges, np.where(finite, values, 0.0), side="right") - 1, 0, BINS - 1)
    place = np.arange(layers * steps).reshape(layers, steps, 1, 1) * BINS + at
    density = np.bincount(place.reshape(-1), minlength=layers * steps * BINS).reshape(layers, steps, BINS)
    share = density / (values.shape[2] * values.shape[3])
    share[~finite.all(axis=(2, 3))] = np.nan
    low, high = (-OPEN, OPEN) if candidate else (CLOSED, OPEN)
    lost = ~finite.all(axis=(1, 2))
    with np.errstate(all="ignore"):
        left, right = (values < low).mean(axis=(1, 2)), (values > high).mean(axis=(1, 2))
        mean, unit_mean = values.mean(axis=(2, 3)), values.mean(axis=(1, 2))
    left[lost] = right[lost] = np.nan
    return Gate(name, *(frozen(x) for x in (edges, share, mean, left, right, unit_mean)))
