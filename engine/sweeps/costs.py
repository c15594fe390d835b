"""What a sweep costs: how long a point takes, measured on a few of them, and from there all of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

from engine.cells import KINDS
from engine.experiment import Experiment
from engine.sweeps.local import cores
from engine.sweeps.measures import measure
from engine.sweeps.plan import Plan, Point
from engine.sweeps.work import one_blas_thread
from engine.tasks import TASKS
from engine.warm_up import warm_up

if TYPE_CHECKING:
    from engine.sweeps.store import Store

ENOUGH = 0.2  # seconds of training from which the rest is told
START = 2.0  # seconds until the workers of this machine are up
MEMORY = 0.98  # what a measurement still counts when the next one comes


def work(e: Experiment) -> float:
    """A number that grows with the time of a pass: multiplications of one step, for one sequence after another."""
    task, kind = TASKS[e.task], KINDS[e.kind]
    width = e.embedding_dim or task.input_size
    inputs = width + (e.num_layers - 1) * e.hidden_size
    weights = kind.blocks * e.hidden_size * (inputs + e.num_layers * e.hidden_size)
    return float(weights) * e.steps * e.sequences


class Pace:
    """Seconds of a point from its work, as a + b·work with a, b ≥ 0: fitted to the points that are done, by relative
    errors, of which later ones count more."""

    def __init__(self) -> None:
        self._sums = [0.0] * 5  # Σw, Σwx, Σwx², Σws, Σwxs of w = 1/s², x = work, s = seconds

    def add(self, x: float, seconds: float) -> None:
        """One more point that is done."""
        s = max(seconds, 1e-6)
        terms = 1 / s**2, x / s**2, x * x / s**2, 1 / s, x / s
        self._sums = [MEMORY * total + term for total, term in zip(self._sums, terms, strict=True)]

    @property
    def known(self) -> bool:
        """Is there any point to go by?"""
        return self._sums[0] > 0

    def seconds(self, x: float) -> float:
        """Of a point of this work; NaN where nothing is known."""
        if not self.known:
            return nan
        w, wx, wxx, ws, wxs = self._sums
        determinant = w * wxx - wx * wx
        if determinant > 1e-9 * w * wxx:
            b = (w * wxs - wx * ws) / determinant
            a = (ws - b * wx) / w
            if a >= 0 and b >= 0:
                return a + b * x
            if a < 0:
                return wxs / wxx * x
        return ws / w


@dataclass(frozen=True)
class Cost:
    """points: of the plan; known: in the store already; impossible: combinations that are no experiment.

    cheapest, dearest: seconds a point, measured; work: seconds of all that is left, on one core; workers; seconds: with
    so many workers, their start included. The last five are 0 where nothing is left.
    """

    points: int
    known: int
    impossible: int
    cheapest: float
    dearest: float
    work: float
    workers: int
    seconds: float

    @property
    def left(self) -> int:
        """Points to be computed."""
        return self.points - self.known - self.impossible

    def __str__(self) -> str:
        parts = [f"{self.points} points"]
        parts += [f"{self.known} known already"] if self.known else []
        parts += [f"{self.impossible} that cannot be"] if self.impossible else []
        if not self.left:
            return f"{', '.join(parts)}: nothing left to compute"
        one, other = duration(self.cheapest), duration(self.dearest)
        each = one if one == other else f"{one} to {other}"
        several = f"{self.workers} workers" if self.workers > 1 else "1 worker"
        return (
            f"{', '.join(parts)}; {self.left} to compute, {each} each, {duration(self.work)} of work: "
            f"about {duration(self.seconds)} with {several}"
        )


def cost(plan: Plan, store: "Store | None" = None, workers: int | None = None) -> Cost:
    """What a sweep will cost with so many workers (None: one a core of this machine), before it starts.

    Measured on this machine, on the cheapest, a middle and the dearest of the points that `store` does not know; of
    training only the first steps are made. Takes a few passes of the dearest point, and compiles what is not compiled.
    Raises ValueError where `workers` is no whole number from 1.
    """
    count = how_many(workers)
    possible, left = split(plan, store)
    impossible = len(plan.points) - len(possible)
    if not left:
        return Cost(len(plan.points), len(possible), impossible, 0.0, 0.0, 0.0, count, 0.0)
    works = {key: work(point.experiment) for key, point in left.items() if point.experiment is not None}
    order = sorted(works, key=works.__getitem__)
    pace, measured = Pace(), []
    with one_blas_thread():
        for key in dict.fromkeys((order[-1], order[len(order) // 2], order[0])):
            e = left[key].experiment
            if e is not None:
                measured.append(_seconds(e, plan))
                pace.add(works[key], measured[-1])
    total = sum(pace.seconds(x) for x in works.values())
    wall = START + max(total / min(count, len(left)), max(measured))
    return Cost(
        len(plan.points), len(possible) - len(left), impossible, min(measured), max(measured), total, count, wall
    )


def how_many(workers: int | None) -> int:
    """So many workers; None: one a core of this machine. Raises ValueError."""
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ValueError(f"workers: {workers!r:.80}; allowed: whole numbers, 1 or more, or None: one a core")
    return workers or cores()


def split(plan: Plan, store: "Store | None") -> tuple[dict[str, Point], dict[str, Point]]:
    """Key -> point, in the plan's order: all that have an experiment; and those of which the store lacks a measure."""
    possible = {plan.key(point): point for point in plan.points if point.experiment is not None}
    known = store.known(possible, plan.measures) if store is not None else {}
    return possible, {key: p for key, p in possible.items() if len(known.get(key, ())) < len(plan.measures)}


def duration(seconds: float) -> str:
    """In words, as coarse as one reads it: 3 ms, 0.25 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 0.1:
        return f"{1e3 * seconds:.3g} ms"
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes = round(seconds / 60)
    if minutes < 10:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _seconds(e: Experiment, plan: Plan) -> float:
    """Of one point: all of a look, and of training as many steps as it takes to know a step's time."""

    def took(steps: int) -> float:
        return _timed(lambda: measure(e, plan.measures, steps))

    try:
        warm_up(e)
        if not plan.steps:
            return min(took(0), took(0))  # the first time brings caches along
        if (first := took(1)) > ENOUGH:
            return first * plan.steps
        before, steps = took(1), 1
        now = before
        while now < ENOUGH and steps < plan.steps:
            steps = min(4 * steps, plan.steps)
            now = took(steps)
        a_step = (now - before) / max(1, steps - 1)
        return max(now, now + (plan.steps - steps) * a_step)
    except Exception:  # a point that raises costs nothing; it says why when its turn comes
        return 0.0


def _timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin
