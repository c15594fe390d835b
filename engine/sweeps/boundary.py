"""Where theory expects the gradient to keep its length: χ = 1 (mean field), drawn over what was measured."""

from math import inf, isnan, log, nan
from typing import Any

import numpy as np
from pydantic import ValidationError

from engine.instruments.mean_field import mean_field
from engine.instruments.pieces import Pieces, finish
from engine.sweeps import axes as axis
from engine.sweeps.plan import Plan

CLOSE = 1e-9  # relative: so near to χ = 1 a gain is found, by halving
ROUNDING = 1e-12  # of log χ: so near to 0 it is 0


def boundary(plan: Plan, x: str, y: str) -> np.ndarray | None:
    """Points (x, y) of the line χ = 1 over two axes of a plan, (K, 2), or None where there is none on the map.

    A value of an axis of names is its place, 0, 1, 2, …. At each value of one axis the other is solved for: the gain
    where it is an axis, else x, or y where x has names. A row of NaN where the line is interrupted, because theory has
    no χ there, or its assumptions do not hold (see MeanField.applies). Other axes at their first value, the first seed.
    Raises ValueError unless x and y are two of the plan's axes.
    """
    return finish(in_pieces(plan, x, y))


def in_pieces(plan: Plan, x: str, y: str) -> Pieces[np.ndarray | None]:
    """The same, with a pause after each value of an axis."""
    for name in (x, y):
        if name not in plan.axes or x == y:
            raise ValueError(f"axes {x!r:.80}, {y!r:.80}; allowed: two of {', '.join(plan.axes)}")
    numbers = [name for name in (x, y) if not axis.named(plan.axes[name])]
    if not numbers:
        return None
    solved = "gain" if "gain" in numbers else numbers[0]
    other = y if solved == x else x
    values, found = plan.axes[other], []
    for k, value in enumerate(values):
        at = {name: each[0] for name, each in plan.axes.items()} | {other: value}
        found.append((_root(plan, at, solved), float(k) if axis.named(values) else float(value)))
        yield (k + 1) / len(values)
    line = np.array(sorted(found, key=lambda point: point[1]))
    there = np.flatnonzero(np.isfinite(line[:, 0]))
    if not there.size:
        return None
    line = line[there[0] : there[-1] + 1]
    line[np.isnan(line[:, 0])] = np.nan
    return line if solved == x else line[:, ::-1]


def _root(plan: Plan, at: dict[str, Any], name: str) -> float:
    """Where χ = 1 first, between the least and the greatest value of one axis; NaN where nowhere, or everywhere."""
    values = sorted(plan.axes[name])
    heights = [_height(plan, at | {name: value}) for value in values]
    if len(values) > 1 and all(isnan(height) or abs(height) <= ROUNDING for height in heights):
        return nan  # no line parts such values
    for low, high, below, above in zip(values, values[1:], heights, heights[1:], strict=False):
        if below == 0 or below * above < 0:
            if isinstance(low, float):
                while (middle := (low + high) / 2) not in (low, high) and high - low > CLOSE * abs(high):
                    low, high = (low, middle) if below * _height(plan, at | {name: middle}) <= 0 else (middle, high)
                return low
            return float(low + (high - low) * below / (below - above))  # of whole numbers: on a straight line
    return float(values[-1]) if heights[-1] == 0 else nan


def _height(plan: Plan, values: dict[str, Any]) -> float:
    """log χ; NaN where there is no such network, no theory for it, or where its assumptions do not hold."""
    try:
        theory = mean_field(plan.base.replace(**values, seed=plan.seeds[0]))
    except ValidationError:
        return nan
    if not theory.applies:
        return nan
    return log(theory.chi) if theory.chi > 0 else -inf
