"""What a closer look at a run has found, and how its pictures are made: figure functions take it and a palette."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any

import numpy as np

import engine
from app.figures.numbers import minus
from app.figures.palette import Palette
from app.figures.scales import counts, decades, plain, round_up
from app.figures.template import Part, axis


@dataclass(frozen=True, eq=False)
class Asked:
    """The result of an instrument (`found`) on the state of a run at training step `step`."""

    experiment: engine.Experiment
    step: int
    sequences: int  # of the batch that were looked at
    found: Any
    given: str = ""  # the file whose weights the run has begun with; "": drawn ones
    layer: int = 0  # the layer that is shown, 0-based

    def of_layer(self, layer: int) -> "Asked":
        return replace(self, layer=min(layer, self.experiment.num_layers - 1))


Draw = Callable[[Asked, Palette], Part]


def along(p: Palette, first: int, last: int) -> Part:
    """An axis of counts, each one unit wide."""
    return axis(p, (first - 0.5, last + 0.5), plain(counts(first, last, 5)))


def log_axis(p: Palette, values: np.ndarray, floor: float, least: tuple[float, float], most: int = 6) -> Part:
    """A log10 axis that holds the finite `values`, not below `floor`, and at least the range `least`."""
    finite = values[np.isfinite(values)]
    low, high = least
    if finite.size:
        low, high = min(low, float(np.floor(finite.min()))), max(high, float(np.ceil(finite.max())))
    low = max(low, floor)
    return axis(p, (low, max(high, low + 1)), decades(low, max(high, low + 1), most), grid=True)


def even_axis(p: Palette, low: float, high: float, most: int = 5) -> Part:
    """An axis from round to round numbers that holds `low` and `high`, with a tick at each."""
    step = round_up(max(high - low, 1e-6) / most)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    at = [n * step for n in range(first, last + 1)]
    return axis(p, (first * step, last * step), (at, [minus(f"{v:.3g}") for v in at]), grid=True)
