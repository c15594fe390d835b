"""What a closer look at a run has found, and how its pictures are made: figure functions take it and a palette."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import engine
from app.figures.palette import Palette
from app.figures.scales import counts, decades, plain
from app.figures.template import Part, axis


@dataclass(frozen=True, eq=False)
class Asked:
    """The result of an instrument (`found`) on the state of a run at training step `step`."""

    experiment: engine.Experiment
    step: int
    sequences: int  # of the batch that were looked at
    found: Any
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
