"""Which runs a sweep is made of: all combinations of its axes' values, once a seed, in the order that shows most."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import ValidationError

from engine._jit import sources_hash
from engine.experiment import Experiment, check_experiment
from engine.refusals import sentences
from engine.sweeps import axes as axis
from engine.sweeps.folds import fold
from engine.sweeps.measures import check_names
from engine.tasks import TASKS

MOST_POINTS = 100_000
MOST_STEPS = 1_000_000_000
MOST_FOLDS = 1000
MOST_SEEDS = 1_000_000  # looked at, of a list without end
DEFAULT_MEASURES = ("decades_per_step",)


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a plan. `index`: of its value on each axis; `experiment`: None where no such network can be, and then
    `error` says why. `level`: all points up to this one are a map of 3, 5, 9, … values on each axis of numbers."""

    index: tuple[int, ...]
    seed_index: int
    experiment: Experiment | None
    error: str = ""
    level: int = 0


@dataclass(frozen=True)
class Plan:
    """A sweep before it runs, checked. See `plan`, which makes it."""

    base: Experiment
    axes: Mapping[str, tuple[Any, ...]]  # field of Experiment -> its values
    seeds: tuple[int, ...]
    measures: tuple[str, ...]  # names in MEASURES
    steps: int  # of training; 0: the fresh network
    folds: int | None = None  # of cross-validation, which take the place of the seeds; None: none
    most_points: int = field(default=MOST_POINTS, compare=False)

    def __post_init__(self) -> None:
        check_experiment(self.base)
        steps = _whole("steps", self.steps, 0, MOST_STEPS)
        folds = None if self.folds is None else _whole("folds", self.folds, 2, MOST_FOLDS)
        clean = {
            "axes": MappingProxyType(axis.checked(self.base, self.axes)),
            "seeds": _seeds(self.base, self.seeds) if folds is None else (self.base.seed,),
            "folds": folds,
            "measures": _measures(self.measures, steps),
            "steps": steps,
        }
        for name, value in clean.items():
            object.__setattr__(self, name, value)
        if self.size > self.most_points:
            counts = " × ".join(map(str, self.shape))
            raise ValueError(
                f"axes × {self.repeat}s: {counts} are {self.size} points; allowed: up to {self.most_points}"
            )
        self._check_lengths()
        error = ""
        for index in np.ndindex(self.shape[:-1]):
            found, said = self._experiment(index, 0)
            error = error or said
            if found is not None:
                return
        raise ValueError(f"axes: no combination of these values is a valid experiment; the first: {error}")

    def _check_lengths(self) -> None:
        """Raises ValueError where seq_length is an axis, and the data alone say how long a sequence is."""
        tasks = self.axes.get("task", (self.base.task,))
        if "seq_length" in self.axes and all(TASKS[task].fixed_steps for task in tasks):
            said = ", ".join(f"{task} has {TASKS[task].fixed_steps} timesteps" for task in tasks)
            raise ValueError(f"axes: 'seq_length' changes nothing: {said}; allowed: tasks whose length can be chosen")

    def __reduce__(self) -> tuple[Any, ...]:
        return Plan, (
            self.base, dict(self.axes), self.seeds, self.measures, self.steps, self.folds, self.most_points
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.base, tuple(self.axes.items()), self.seeds, self.measures, self.steps, self.folds))

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has, and how many seeds (or folds) there are."""
        return (*(len(values) for values in self.axes.values()), self.folds or len(self.seeds))

    @property
    def repeat(self) -> str:
        """What a point is repeated for: "seed" or "fold"."""
        return "seed" if self.folds is None else "fold"

    @property
    def size(self) -> int:
        """How many points there are."""
        return int(np.prod(self.shape))

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """All points, the first seed before the second, and each seed from coarse to fine.

        One seed everywhere before a second anywhere: neighbours on a map are seeds enough for the eye, so a map of one
        seed shows its shape after a third of the time that three seeds take, and the others then steady it where it
        stands. Within a level the points that lie between others on most axes come first: they are farthest from
        what is known.
        """
        levels = [axis.levels(values) for values in self.axes.values()]
        places = []
        for index in np.ndindex(self.shape[:-1]):
            of_axes = [of[k] for of, k in zip(levels, index, strict=True)]
            level = max(of_axes)
            places.append((level, -of_axes.count(level), index))
        places.sort()
        return tuple(
            Point(index, seed, *self._experiment(index, seed), level)
            for seed in range(self.shape[-1])
            for level, _, index in places
        )

    def _experiment(self, index: tuple[int, ...], seed: int) -> tuple[Experiment | None, str]:
        """The experiment of a point, or None and why there is none."""
        values = {name: values[k] for (name, values), k in zip(self.axes.items(), index, strict=True)}
        try:
            if self.folds is not None:
                return fold(self.base.replace(**values), self.folds, seed), ""
            return self.base.replace(**values, seed=self.seeds[seed]), ""
        except ValidationError as wrong:
            return None, sentences(wrong)
        except ValueError as wrong:
            return None, str(wrong)

    def key(self, point: Point) -> str:
        """What a point's values are stored under: a hash of its experiment, the steps and the engine's version."""
        if point.experiment is None:
            raise ValueError(
                f"point {point.index}: it has no experiment ({point.error}); allowed: points that have one"
            )
        said = f"{sources_hash()} {self.steps} {point.experiment.model_dump_json()}"
        return hashlib.sha256(said.encode()).hexdigest()[:32]


def plan(
    base: Experiment, axes: Mapping[str, Iterable[Any]], seeds: int | Iterable[int] = 5,
    measures: str | Iterable[str] = DEFAULT_MEASURES, steps: int = 0, folds: int | None = None, *,
    most_points: int = MOST_POINTS,
) -> Plan:  # fmt: skip
    """A sweep: every combination of the axes' values, once a seed.

    base: what all points share; axes: one to three fields of Experiment (not the seed) with their values, numbers or
    names; seeds: how many (base.seed, base.seed + 1, …), or which; measures: names in MEASURES; steps: of training, 0
    for the fresh network. folds: cross-validation in place of seeds, all with base.seed: the base's training set of
    `train_size` sequences is cut into so many parts, and a point of fold k trains on the others and is validated on
    part k. A combination that is no valid experiment is a point with an error, unless all are. At most `most_points`.
    Raises ValueError that names the field, the value and what is allowed.

    >>> import engine
    >>> p = engine.plan(engine.Experiment(), {"gain": [0.5, 1, 2], "cell": ["rnn", "lstm"]}, seeds=2)
    >>> p.size, p.points[0].experiment.gain, p.points[0].experiment.cell
    (12, 0.5, 'rnn')
    """
    return Plan(base, axes, seeds, measures, steps, folds, most_points)  # type: ignore[arg-type]


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ValueError(f"{name}: {value!r:.80}; allowed: whole numbers from {least} to {most}")
    return int(value)


def _seeds(base: Experiment, seeds: Any) -> tuple[int, ...]:
    allowed = f"how many, 1 to {MOST_SEEDS}, or a list of different whole numbers, 0 or more"
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool) and 1 <= seeds <= MOST_SEEDS:
        seeds = range(base.seed, base.seed + int(seeds))
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Iterable):
        raise ValueError(f"seeds: {seeds!r:.80}; allowed: {allowed}")
    found = tuple(_whole("seeds", seed, 0, 2**63 - 1) for seed in islice(seeds, MOST_SEEDS))
    if not found or len(set(found)) < len(found):
        raise ValueError(f"seeds: {found!r:.80}; allowed: {allowed}")
    return found


def _measures(measures: Any, steps: int) -> tuple[str, ...]:
    """Those asked for, and `diverged`, which says why a number is none; theory needs no run."""
    asked = check_names(measures, steps)
    return asked if asked == ("chi",) else tuple(dict.fromkeys((*asked, "diverged")))
