"""Several experiments in training, always at the same step: the slowest sets the pace, and one that is over stays.

One that joins later begins at step 0 and catches up; the others wait for it with all that they have.

It does what a Training does, for all of them at once, so that a run can train it. No Streamlit in here.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

import engine
from app.figures.versus import Versus
from app.kept import BUDGET
from app.networks import Network
from app.training import SLICE, Past, Training
from app.versus import Compared

SHARE = 0.4  # of the time that recording may take; half of that is the pass that the next step needs anyway


@dataclass(frozen=True, eq=False)
class Recorded:
    """What can be seen of them, all at one step. Never changed, only replaced: any thread may read it."""

    compared: Compared
    sides: tuple[Training, ...]
    pasts: tuple[Past, ...]
    steps: tuple[int, ...]  # kept by all of them, ascending


class Lockstep:
    """Made with the first passes done. All methods but `snapshot` and `at` belong to one thread at a time."""

    def __init__(self, c: Compared, network: Network | None = None) -> None:
        """`network`: whose weights those begin with that have its shape."""
        self._network = network
        self._sides = [self._begun(e) for e in c.experiments]
        self._few = min(BUDGET // (len(self._sides) * side.past.kept.newest.size) for side in self._sides)
        for side in self._sides:
            self._bound(side)
        self._kept: frozenset[int] = frozenset()  # steps that who catches up has to keep, too
        self.same_start = self._same_start()
        self._cost = self.took = 0.0  # took: seconds of work that the last picture cost
        self._publish(c)

    def _begun(self, e: engine.Experiment) -> Training:
        given = self._network
        return Training(e, lean=True, network=given if given is not None and given.has_shape(e) else None)

    def _bound(self, side: Training) -> None:
        """As many moments of each, so that all keep the same steps; no weights for closer looks."""
        past = side.past
        kept = replace(past.kept, budget=self._few * past.kept.newest.size)
        side.past = replace(past, kept=kept, weights=replace(past.weights, budget=0))

    def _same_start(self) -> bool:
        start = [side.past.weights.first.state_dict for side in self._sides]
        return all(_same(start[0], other) for other in start[1:])

    def _publish(self, c: Compared) -> None:
        pasts = tuple(side.past for side in self._sides)
        self.seen = Recorded(c, tuple(self._sides), pasts, _common(pasts))
        self._recorded = time.monotonic()

    @property
    def experiment(self) -> engine.Experiment:
        """Of the base."""
        return self.seen.compared.experiments[0]

    @property
    def past(self) -> Past:
        """Of the one that has come farthest."""
        return max(self.seen.pasts, key=lambda past: past.curves.reached)

    @property
    def step(self) -> int:
        """Updates that all have made, but for those that are over."""
        going = [side.step for side in self._sides if not side.ended]
        return min(going, default=self.front)

    @property
    def front(self) -> int:
        """Of the one that has made most."""
        return max(side.step for side in self._sides)

    @property
    def behind(self) -> bool:
        """Is there one that has to catch up?"""
        return self.step < self.front

    @property
    def ended(self) -> bool:
        return all(side.ended for side in self._sides)

    def due(self, every: float) -> bool:
        """Is it time for the next picture, so many seconds after the last?"""
        return time.monotonic() - self._recorded > max(every, self._cost / SHARE)

    @property
    def unrecorded(self) -> bool:
        return any(side.unrecorded for side in self._sides)

    def takes(self, c: Compared) -> bool:
        """Can training go on with these? The same ones in another order, some of them and others of the same field, or
        all with settings that they can take."""
        if self._order(c) is not None or self._stay(c):
            return True
        now = self.seen.compared
        pairs = list(zip(self._sides, c.experiments, strict=False))
        return now.field == c.field and len(self._sides) == len(c.experiments) and all(a.takes(e) for a, e in pairs)

    def change(self, c: Compared) -> None:
        order = self._order(c)
        if order is not None:
            self._sides = [self._sides[i] for i in order]
        elif self._stay(c):
            self._join(c)
        else:
            for side, e in zip(self._sides, c.experiments, strict=True):
                side.change(e)
        self._publish(c)

    def _order(self, c: Compared) -> list[int] | None:
        """At which places the experiments are now; None: they are others."""
        now = [side.experiment for side in self._sides]
        if len(now) != len(c.experiments) or set(now) != set(c.experiments):
            return None
        return [now.index(e) for e in c.experiments]

    def _stay(self, c: Compared) -> bool:
        """Do some go on as they are, beside others that join or instead of some that leave? Not where settings were
        changed on the way: who begins now could not have the same past."""
        now = {side.experiment for side in self._sides}
        changed = any(side.past.curves.changes for side in self._sides)
        same = self.seen.compared.field == c.field and len(c.experiments) != len(self._sides)
        return same and not changed and not now.isdisjoint(c.experiments)

    def _join(self, c: Compared) -> None:
        """Keep those that are there, and let the new ones catch up, keeping the same steps."""
        self.record()
        there = {side.experiment: side for side in self._sides}
        self._sides = [there.get(e) or self._begun(e) for e in c.experiments]
        for side in self._sides:
            if side.experiment not in there:
                self._bound(side)
        first = max(self._sides, key=lambda side: side.step)
        self.same_start = self._same_start()
        self._kept = frozenset(moment.step for moment in first.past.kept.moments)

    def _caught_up(self, side: Training) -> None:
        """From now on it keeps the steps that the others keep."""
        stride = max(other.past.kept.stride for other in self._sides)
        side.past = replace(side.past, kept=replace(side.past.kept, stride=stride))

    def advance(self, last: int, hurry: Callable[[], bool]) -> None:
        """Train for a slice of time, not past step `last`: whole rounds, in which each makes one step, but for those
        that wait for another one."""
        begin, front = time.perf_counter(), self.front
        last = max(last, front) if self.behind else last
        while not hurry():
            step = self.step
            live = [side for side in self._sides if not side.ended and side.step == step < last]
            for side in live:
                side.advance(side.step + 1, lambda: False)
                if side.step == front or (side.step < front and side.step in self._kept):
                    side.record()
                if side.step == front:
                    self._caught_up(side)
            if not live or time.perf_counter() - begin > SLICE:
                return

    def record(self, rests: bool = False) -> None:
        """Bring what can be seen up to date."""
        begin = time.thread_time()
        for side in self._sides:
            if side.unrecorded and (side.ended or side.step == self.front):
                side.record(rests)
        self._publish(self.seen.compared)
        self.took = time.thread_time() - begin
        self._cost += 0.3 * (self.took - self._cost)

    def at(self, step: int | None) -> int:
        """The step that is shown for `step` (None: the newest)."""
        return _nearest(self.seen, step)

    def snapshot(self, step: int | None, layer: int) -> Versus:
        """All that the pictures of `step` (None: the newest) need."""
        seen = self.seen
        at = None if step is None else _nearest(seen, step)
        runs = tuple(side.snapshot(at, layer, past) for side, past in zip(seen.sides, seen.pasts, strict=True))
        c = seen.compared
        return Versus(c.field, c.values, runs, c.written, self.same_start)


def _nearest(seen: Recorded, step: int | None) -> int:
    if step is None or step >= seen.steps[-1]:
        return seen.steps[-1]
    return min(seen.steps, key=lambda kept: abs(kept - step))


def _common(pasts: Sequence[Past]) -> tuple[int, ...]:
    """The steps kept by all that had come so far; the newest of those that go on is one of them."""
    kept = [{moment.step for moment in past.kept.moments} for past in pasts]
    reached = [past.curves.reached for past in pasts]
    steps = set.union(*kept) | {max(reached)}
    return tuple(
        sorted(
            step
            for step in steps
            if all(step in own or step > own_reached for own, own_reached in zip(kept, reached, strict=True))
            or step == max(reached)
        )
    )


def _same(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
