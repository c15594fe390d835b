"""A map in numbers: what is known of each cell, over the seeds or folds that are done; which larger cell stands for one
that is not; and where it crosses an edge."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, log10
from typing import Any

import numpy as np

import engine
from app.figures.loss import LEARNS
from app.figures.maps_measures import LOOKS, Look, drawn, span
from app.words import _
from engine.sweeps.axes import levels
from engine.sweeps.dataset import between
from engine.sweeps.measures import MEASURES


@dataclass(frozen=True, eq=False)
class Side:
    """An axis: a field of the experiment and its values. `log`: they lie by equal factors; `written`: each in words."""

    field: str
    values: tuple[Any, ...]
    log: bool
    written: tuple[str, ...]

    @property
    def names(self) -> bool:
        return isinstance(self.values[0], str)

    @cached_property
    def at(self) -> np.ndarray:
        """Where the values lie, (n,): themselves, their log10, or their places."""
        if self.names:
            return np.arange(len(self.values), dtype=float)
        found = np.array(self.values, float)
        return np.log10(found) if self.log else found

    def place(self, values: np.ndarray) -> np.ndarray:
        """Where values lie that may be between those of the axis."""
        return np.log10(values) if self.log else np.asarray(values, float)

    @cached_property
    def levels(self) -> np.ndarray:
        """The first level that shows each value (see engine.sweeps)."""
        return np.array(levels(self.values))

    @property
    def title(self) -> str:
        return _(engine.Experiment.model_fields[self.field].title or self.field)

    @property
    def label(self) -> str:
        """The field with its unit."""
        extra: Any = engine.Experiment.model_fields[self.field].json_schema_extra
        unit = extra["unit"]
        return self.title if unit in ("", "name") else _("{name} ({unit})").format(name=self.title, unit=_(unit))

    def says(self, value: float) -> str:
        """A place between the values, as a number in words."""
        number = 10**value if self.log else value
        return f"{number:.3g}"


@dataclass(frozen=True, eq=False)
class Cells:
    """What is known of a map of one or two sides.

    values, diverged, done: (across, samples) or (across, up, samples), NaN where there is no value; samples are seeds,
    or folds. theory: where χ = 1, (K, 2) of values, or of places of names; baseline: the loss of guessing, NaN where
    there is not one for all cells.
    """

    experiment: engine.Experiment
    across: Side
    up: Side | None
    measure: str
    steps: int
    folds: bool
    values: np.ndarray
    diverged: np.ndarray
    done: np.ndarray
    errors: np.ndarray  # texts: why there is no such network
    theory: np.ndarray | None = None
    baseline: float = np.nan

    @property
    def theory_at(self) -> np.ndarray:
        """Where the line of theory lies on the axes, (K, 2), with NaN where it is interrupted; (0, 2) without one."""
        if self.theory is None:
            return np.empty((0, 2))
        ends = [side.place(self.theory[:, k]) for k, side in enumerate((self.across, self.up)) if side is not None]
        return np.stack(ends if self.up is not None else [ends[0], np.zeros(len(ends[0]))], axis=1)

    @property
    def look(self) -> Look:
        return LOOKS[self.measure]

    @property
    def edge(self) -> float | None:
        """The value that parts two regions; None: there is none."""
        if self.measure == "val_loss":
            return LEARNS * self.baseline if self.baseline > 0 and not self.folds else None
        return self.look.edge

    @property
    def most(self) -> float | None:
        """The value above which colours are one: a loss may be anything, and all of that is lost."""
        return 10.0 ** ceil(log10(10 * self.baseline)) if self.look.loss and self.baseline > 0 else None

    @property
    def drawn_edge(self) -> float | None:
        """The edge as the scale of colours has it."""
        return None if self.edge is None else float(drawn(self.look, np.array([self.edge]))[0])

    @property
    def drawn_most(self) -> float | None:
        return None if self.most is None else float(drawn(self.look, np.array([self.most]))[0])

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Between which drawn values the colours run."""
        return span(self.look, drawn(self.look, self.middle), self.drawn_edge, self.drawn_most)

    def on_scale(self, middle: np.ndarray) -> np.ndarray:
        """Values as they are drawn, the infinite ones at the ends of the scale: an exact 0 of a gradient is below every
        edge, a lost run above it. NaN only where there is no network, or no value."""
        z = drawn(self.look, middle)
        low, high = self.scale
        return np.where(np.isinf(z), np.clip(z, low, high), z)

    @cached_property
    def count(self) -> np.ndarray:
        """Of samples that are done, a cell."""
        return self.done.sum(axis=-1)

    @cached_property
    def lost(self) -> np.ndarray:
        """How many of them diverged, a cell."""
        return (self.diverged & self.done).sum(axis=-1)

    @cached_property
    def quartiles(self) -> np.ndarray:
        """(3, across[, up]): lower quartile, median and upper quartile over what is done. A seed without a loss counts
        as infinitely bad. Of shares three times the mean; of folds the mean, and one standard error to both sides."""
        worst = MEASURES[self.measure].worst
        known = np.where(self.done, np.where(np.isnan(self.values), worst, self.values), np.nan)
        known[self.errors != ""] = np.nan
        counted = (~np.isnan(known)).sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(np.isnan(known), 0.0, known).sum(axis=-1) / counted
            if MEASURES[self.measure].share:
                return np.stack([mean, mean, mean])
            if self.folds:
                off = np.where(np.isnan(known), 0.0, known - mean[..., None])
                error = np.sqrt((off**2).sum(axis=-1) / np.maximum(counted - 1, 1) / np.maximum(counted, 1))
                error = np.where(np.isfinite(mean), error, 0.0)
                return np.stack([mean - error, mean, mean + error])
            ordered = np.sort(known, axis=-1)  # infinity after all numbers, NaN after it
            return np.stack([between(ordered, share * np.maximum(counted - 1, 0)) for share in (0.25, 0.5, 0.75)])

    @property
    def middle(self) -> np.ndarray:
        return self.quartiles[1]

    @cached_property
    def opens(self) -> np.ndarray:
        """(across[, up]): which sample stands for a cell, counted from 0: of those that are done the one whose value is
        nearest to what is drawn, of a cell that is lost the first that was."""
        lost, middle = self.diverged & self.done, self.middle[..., None]
        with np.errstate(invalid="ignore"):
            off = np.where(self.values == middle, 0.0, np.abs(self.values - middle))  # both may be infinite
        nearest = np.where(self.done & np.isfinite(off), off, np.inf).argmin(axis=-1)
        return np.where(self.gone, lost.argmax(axis=-1), nearest)

    @cached_property
    def gone(self) -> np.ndarray:
        """Cells of which half of the samples or more diverged."""
        return (self.lost > 0) & (2 * self.lost >= self.count)

    @cached_property
    def level(self) -> int:
        """The finest level of which every cell is known; −1: not even the coarsest."""
        found = -1
        for level in range(self.finest + 1):
            if not (self.count[self._lattice(level)] > 0).all():
                break
            found = level
        return found

    def known(self) -> tuple[np.ndarray, ...]:
        """The places of the finest level that is known, one array a side, and the middles there; nothing before."""
        if self.level < 0:
            return ()
        at = self._lattice(self.level)
        return *(np.ravel(part) for part in at), self.middle[at]

    def shown(self) -> np.ndarray:
        """(across[, up]) of places, flat: which cell stands for each until it is done itself; −1: none yet.

        A larger cell of a coarser level stands for those that it covers.
        """
        flat = np.arange(self.count.size).reshape(self.count.shape)
        found = np.where(self.count > 0, flat, -1)
        for level in range(self.finest, -1, -1):
            nearest = np.ix_(*(_nearest(side, level) for side in self._sides))
            there = self.count[nearest] > 0
            found = np.where((found < 0) & there, flat[nearest], found)
        return found

    @property
    def _sides(self) -> tuple[Side, ...]:
        return (self.across,) if self.up is None else (self.across, self.up)

    @property
    def finest(self) -> int:
        """The level that shows every cell."""
        return max(int(side.levels.max()) for side in self._sides)

    def _lattice(self, level: int) -> tuple[np.ndarray, ...]:
        return np.ix_(*(np.flatnonzero(side.levels <= level) for side in self._sides))

    def crossings(self) -> list[tuple[float, float]]:
        """Where the value passes the edge on the way across: (place up, place across), of each row the first."""
        edge, found = self.drawn_edge, self.known()
        if edge is None or not found or self.across.names:
            return []
        x = self.across.at[found[0]]
        rows = found[-1].T if self.up is not None else found[-1][None]
        heights = self.up.at[found[1]] if self.up is not None else np.zeros(1)
        above = self.on_scale(rows) - edge
        return [(float(y), at) for y, row in zip(heights, above, strict=True) if (at := _first(x, row)) is not None]


def _first(x: np.ndarray, off: np.ndarray) -> float | None:
    """The first place where `off` changes its sign."""
    for k in range(len(x) - 1):
        a, b = off[k], off[k + 1]
        if np.isnan(a) or np.isnan(b) or (a > 0) == (b > 0):
            continue
        return float(x[k] + (x[k + 1] - x[k]) * a / (a - b))
    return None


def _nearest(side: Side, level: int) -> np.ndarray:
    """(n,): of each value the place of the nearest one that this level shows."""
    there = np.flatnonzero(side.levels <= level)
    return there[np.abs(np.arange(len(side.values))[:, None] - there[None]).argmin(axis=1)]
