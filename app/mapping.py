"""A map at work in the threads that all runs share, coarse cells before fine ones. What is measured is known to all of
the server: the next who asks for the same waits for nothing. No Streamlit in here."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

import engine
from app.compiler import Compiler
from app.limits import LIMITS, seconds
from app.pool import Job, Pool
from engine.sweeps import Plan, Point, measure_in_pieces
from engine.sweeps.boundary import in_pieces

SLICE = 0.025  # seconds of work before others have their turn
GRACE = 5.0  # seconds that it works on when nobody waits for it any more
HANDS = 2  # threads that one map may have where nobody else wants them
BACK_OFF = 0.05  # seconds that the second hand leaves to others who wait
log = logging.getLogger(__name__)
Measured = Mapping[str, float]


class Known:
    """What was measured on this server, by the key of a plan's point. Bounded: the oldest is forgotten."""

    def __init__(self, most: int = LIMITS.map_known) -> None:
        self._most, self._lock = most, threading.Lock()
        self._found: OrderedDict[str, dict[str, float]] = OrderedDict()

    def get(self, key: str, names: Iterable[str]) -> dict[str, float] | None:
        """These measures of the point, where all of them are known."""
        with self._lock:
            found = self._found.get(key)
            if found is None or any(name not in found for name in names):
                return None
            self._found.move_to_end(key)
            return dict(found)

    def put(self, key: str, measured: Measured) -> None:
        with self._lock:
            self._found.setdefault(key, {}).update(measured)
            self._found.move_to_end(key)
            while len(self._found) > self._most:
                self._found.popitem(last=False)

    def __len__(self) -> int:
        return len(self._found)


KNOWN = Known()


class Map:
    """The points of a plan, measured. Made, watched and cancelled from any thread; the work is the pool's."""

    def __init__(
        self, plan: Plan, pool: Pool, compiler: Compiler, known: Known = KNOWN, baseline: float = float("nan")
    ) -> None:
        self.plan, self.baseline = plan, baseline
        self.theory: np.ndarray | None = None  # where χ = 1, (K, 2); see engine.sweeps.boundary
        self.values = {name: np.full(plan.shape, np.nan) for name in plan.measures}
        self.count = np.zeros(plan.shape, bool)  # done
        self.errors = np.full(plan.shape[:-1], "", object)
        self.failed = 0  # points that raised
        self.news = 0  # counts what became known
        self.cancelled = False
        self.done = threading.Event()
        self.recalled = threading.Event()  # what is known already has been found
        self._pool, self._compiler, self._known = pool, compiler, known
        self._lock = threading.Lock()
        self._left: Iterator[Point] = iter(())  # that are not known
        self._open = 1  # points that are not measured; 1: nothing has begun
        self._all = self._made = 0.0  # work in seconds, as estimated: of all that was not known, and what is done of it
        self._took = 0.0  # seconds since it began, without rests
        self._since: float | None = None  # when it began or went on
        self._wanted = time.monotonic()
        self._hands = [_Hand(self, first=k == 0) for k in range(HANDS)]
        self._theory = _Theory(self)

    def start(self) -> "Map":
        self.want()
        return self

    def want(self) -> None:
        """Somebody waits for it: it goes on. Where nobody does, it rests."""
        self._wanted = time.monotonic()
        if not self.done.is_set():
            jobs: tuple[Job, ...] = (*self._hands, self._theory)
            for job in jobs:
                self._pool.wake(job, self._wanted)

    def cancel(self) -> None:
        """No more work; what was found stays."""
        self.cancelled = True
        self.done.set()

    @property
    def resting(self) -> bool:
        return time.monotonic() - self._wanted > GRACE

    @property
    def share(self) -> float:
        """Of the points, how many are known, 0 to 1."""
        return float(self.count.mean())

    @property
    def seconds_left(self) -> float | None:
        """About; None before there is anything to tell by."""
        with self._lock:
            if self._made <= 0 or self._since is None:
                return None
            took = self._took + time.monotonic() - self._since
            return took * max(0.0, self._all - self._made) / self._made

    def measured(self) -> dict[str, dict[str, float]]:
        """What is known by now, by the keys of the plan's points."""
        found = {}
        for point in self.plan.points:
            at = (*point.index, point.seed_index)
            if point.experiment is not None and self.count[at]:
                found[self.plan.key(point)] = {name: float(array[at]) for name, array in self.values.items()}
        return found

    # The pool's threads.

    def recall(self) -> None:
        """Take what is known, and note what is left. By the first hand alone."""
        left = []
        for point in self.plan.points:
            at = (*point.index, point.seed_index)
            if point.experiment is None:
                self.errors[point.index] = point.error
                self.count[at] = True
            elif (found := self._known.get(self.plan.key(point), self.plan.measures)) is not None:
                self._note(at, found)
            else:
                left.append(point)
                self._all += self.cost(point)
        with self._lock:
            self._left, self._open = iter(left), len(left)
        self.news += 1
        self.recalled.set()

    def cost(self, point: Point) -> float:
        assert point.experiment is not None
        return seconds(point.experiment) * (self.plan.steps + 3) + 1e-3

    def take(self) -> Point | None:
        """The next point; None: there is no more."""
        with self._lock:
            self._since = time.monotonic() if self._since is None else self._since
            return next(self._left, None)

    def compiled(self, e: engine.Experiment) -> bool:
        """Can it run now? Else its kernels are compiled, and the hands are woken then."""
        if engine.is_compiled(e):
            return True
        self._compiler.want(e, self._woken)
        return False

    def _woken(self, error: Exception | None) -> None:
        if error is not None:
            log.error("a map's kernels were not compiled: %s", error)
            self.cancel()
        for hand in self._hands:
            self._pool.wake(hand, time.monotonic())

    def found(self, point: Point, measured: Measured | None) -> None:
        """A point is measured; None: it raised."""
        assert point.experiment is not None
        at = (*point.index, point.seed_index)
        if measured is not None:
            self._known.put(self.plan.key(point), measured)
            self._note(at, measured)
        else:
            self.failed += 1
            self.count[at] = True
        with self._lock:
            self._made += self.cost(point)
            self._open -= 1
        self.news += 1

    def finish(self) -> None:
        """A job has nothing left to do."""
        with self._lock:
            over = self._open == 0
        if over and self._theory.ended:
            self.done.set()

    def rest(self) -> None:
        with self._lock:
            if self._since is not None:
                self._took, self._since = self._took + time.monotonic() - self._since, None

    def crowded(self) -> bool:
        """Does somebody else wait for a thread?"""
        return self._pool.waiting > 0

    def _note(self, at: tuple[int, ...], measured: Measured) -> None:
        for name, array in self.values.items():
            array[at] = measured[name]
        self.count[at] = True


class _Hand:
    """One of a map's jobs in the pool: a point at a time, in slices. The second one steps back where others wait."""

    def __init__(self, of: Map, first: bool) -> None:
        self._map, self._first = of, first
        self._point: Point | None = None
        self._pieces: Generator[float, None, dict[str, float]] | None = None

    @property
    def takes(self) -> float:
        """Seconds of its next slice, about: a step cannot be cut."""
        e = None if self._point is None else self._point.experiment
        return SLICE if e is None else max(SLICE, seconds(e))

    def work(self) -> float | None:
        m = self._map
        if m.done.is_set():
            self._point = self._pieces = None
            return None
        if m.resting:
            m.rest()
            return None
        if not m.recalled.is_set():
            if not self._first:
                return time.monotonic() + BACK_OFF
            m.recall()
        elif not self._first and m.crowded():
            return time.monotonic() + BACK_OFF
        begin = time.monotonic()
        while not m.done.is_set() and time.monotonic() - begin < SLICE:
            if self._point is None and (point := m.take()) is not None:
                self._point = point
            if self._point is None:
                m.finish()
                return None
            assert self._point.experiment is not None
            if self._pieces is None and not m.compiled(self._point.experiment):
                return None
            self._step()
        return time.monotonic()

    def _step(self) -> None:
        """A piece of the point's work."""
        assert self._point is not None
        assert self._point.experiment is not None
        plan, measured = self._map.plan, None
        try:
            if self._pieces is None:
                self._pieces = measure_in_pieces(self._point.experiment, plan.measures, plan.steps)
            next(self._pieces)
            return
        except StopIteration as done:
            measured = done.value
        except Exception:
            log.exception("a point of a map failed")
        point, self._point, self._pieces = self._point, None, None
        self._map.found(point, measured)


class _Theory:
    """The job that finds where theory has its boundary."""

    takes = SLICE

    def __init__(self, of: Map) -> None:
        self._map, self.ended = of, False
        self._pieces = _boundary(of.plan)

    def work(self) -> float | None:
        begin = time.monotonic()
        while not (self.ended or self._map.cancelled) and time.monotonic() - begin < SLICE:
            try:
                next(self._pieces)
            except StopIteration as done:
                self._map.theory, self.ended = done.value, True
            except Exception:
                log.exception("a map has no boundary")
                self.ended = True
        if not self.ended:
            return None if self._map.resting or self._map.cancelled else time.monotonic()
        self._map.news += 1
        if self._map.recalled.is_set():
            self._map.finish()
        return None


def _boundary(plan: Plan) -> Generator[float, None, np.ndarray | None]:
    """Of a map of one axis, too."""
    names = list(plan.axes)
    if len(names) == 1 and names != ["cell"]:
        plan = Plan(plan.base, {**plan.axes, "cell": (plan.base.cell,)}, plan.seeds, ("chi",), 0)
        names.append("cell")
    if plan.base.cell == "rnn" or "cell" in names:
        return (yield from in_pieces(plan, names[0], names[1])) if len(names) == 2 else None
    return None


def plan_of(
    e: engine.Experiment, axes: Mapping[str, tuple[Any, ...]], measure: str, seeds: int, folds: int, steps: int
) -> Plan:
    """The plan of a map on this experiment."""
    names = (measure,) if measure == "diverged" else (measure, "diverged")
    more: dict[str, Any] = {"folds": folds} if folds else {"seeds": seeds}
    return engine.plan(e, axes, measures=names, steps=steps, most_points=LIMITS.map_points, **more)
