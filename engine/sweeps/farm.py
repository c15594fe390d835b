"""A sweep at work: points to the workers of a cluster, in groups of about a second, and what they find to the store.

A point is in the store as soon as it is found (`work.group` sends it through the scheduler's events), so whatever dies
takes with it no more than the points in work; of points that take less, those of a tenth of a second.
"""

import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from engine._jit import sources_hash
from engine.experiment import Experiment
from engine.sweeps.costs import Pace, work
from engine.sweeps.local import Local
from engine.sweeps.plan import Plan, Point
from engine.sweeps.store import Store
from engine.sweeps.work import Found, asked, group, hold, ready
from engine.tasks import OwnTask

GROUP = 1.0  # seconds of work in a task: a scheduler's own share, about a millisecond, is nothing beside it…
TASK = 0.008  # …unless hundreds of workers ask for the next: so many seconds more for each of them
SHORT = 0.05  # …and at the end, where there is little left to share
TAIL = 3  # groups that are left for each worker at any time, so that all of them end at about the same moment
AHEAD = 2  # groups a worker has at a time: one in work, one waiting
BUNCH = 0.1  # seconds: points that take less travel together, since to send and keep one costs 2 ms of processor
MESSAGES = 2000.0  # events a second that a scheduler takes without effort, from all workers together
DEATHS = 3  # workers that may die of a point
LOOK = 0.2  # seconds between two looks at the workers, the caller's wish to end, and the clock
TOPIC = "engine-sweeps"  # of the scheduler's events, which keeps the last thousand of each topic

Progress = Callable[[int, int, float], object]  # points done, of how many, seconds left (NaN: not known yet)


@dataclass
class Flight:
    """A group on its way: its points' numbers, its future, and whether a worker has begun with it."""

    numbers: Sequence[int]
    future: Any
    begun: bool = False


class Farm:
    """The points that are left of a plan, the workers, and the store. Used once.

    `seconds`: that points took in the workers, so far; `computed`: how many there were.
    """

    def __init__(
        self, plan: Plan, left: Mapping[str, Point], store: Store, client: Any, own: Local | None = None,
        progress: Progress | None = None, cancel: Callable[[], bool] | None = None,
    ) -> None:  # fmt: skip
        self._plan, self._store, self._client, self._own = plan, store, client, own
        self._progress, self._cancel = progress, cancel
        self._keys, self._before = list(left), sum(p.experiment is not None for p in plan.points) - len(left)
        self._experiments = [point.experiment for point in left.values() if point.experiment is not None]
        known = store.known(self._keys, plan.measures)
        self._names = [tuple(n for n in plan.measures if n not in known.get(key, ())) for key in self._keys]
        self._works = [work(e) for e in self._experiments]
        self._pending, self._pending_work = deque(range(len(left))), sum(self._works)
        self._alone: set[int] = set()  # points of groups whose worker died: one at a time, to know which it was
        self._deaths: Counter[int] = Counter()
        self._done: set[int] = set()
        self._passing: dict[str, str] = {}
        self._flying: dict[str, Flight] = {}
        self._held: dict[str, Any] = {}  # data of one's own, by name: futures
        self._inbox: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._pace, self._slots, self._looked, self._count = Pace(), 0, 0.0, 0
        self._id = uuid.uuid4().hex[:12]
        self.seconds, self.computed = 0.0, 0

    def work(self) -> dict[str, str]:
        """Compute all that is left, or until it is cancelled. Returns the errors that are not for ever, by key.

        Raises RuntimeError where the cluster cannot work, ValueError where the store cannot be written.
        """
        self._client.subscribe_topic(TOPIC, lambda event: self._inbox.put(event[1]))
        try:
            if self._look() and self._warm():
                while len(self._done) < len(self._keys) and self._look():
                    self._fill()
                    self._wait()
            self._tell()
        finally:
            with suppress(OSError, RuntimeError):  # the cluster may be what has gone
                self._client.unsubscribe_topic(TOPIC)
                self._client.cancel([flight.future for flight in self._flying.values()])
            self._drain()
        return self._passing

    def _look(self) -> bool:
        """Every now and then: replace dead workers, count all, tell the caller. False: the caller wants to end."""
        if time.monotonic() - self._looked < LOOK:
            return True
        if self._own is not None:
            self._own.mend()
        self._slots = sum(self._client.nthreads().values())
        self._tell()
        self._looked = time.monotonic()
        return not (self._cancel and self._cancel())

    def _tell(self) -> None:
        if self._progress:
            flying = [n for flight in self._flying.values() for n in flight.numbers if n not in self._done]
            count = len(self._pending) + len(flying)
            total = self._seconds(count, self._pending_work + sum(self._works[n] for n in flying))
            done = self._before + len(self._done)
            self._progress(done, self._before + len(self._keys), total / max(1, min(self._slots, count)))

    def _seconds(self, count: int, total_work: float) -> float:
        """Of so many points with so much work in all; NaN where nothing has been measured yet."""
        return count * self._pace.seconds(total_work / count) if count else 0.0

    def _warm(self) -> bool:
        """Compile on one worker a machine what the points need, before all the others would do the same.

        Raises RuntimeError where the workers have another engine. False: the caller wants to end.
        """
        kinds: dict[tuple[Any, ...], Experiment] = {}
        for e in self._experiments:
            kinds.setdefault((e.kind, e.dtype, e.optimizer, e.clip, e.omega > 0, e.embedding_dim is None), e)
        machines: dict[str | None, str] = {}
        for address in self._client.nthreads():
            machines.setdefault(address.rpartition(":")[0], address)
        futures = [
            self._client.submit(ready, e, workers=[address] if address else None, pure=False, key=self._name("ready"))
            for address in machines.values() or [None]
            for e in kinds.values()
        ]
        self._flying |= {future.key: Flight((), future) for future in futures}
        for future in futures:
            while not future.done():
                if not self._look():
                    return False
                time.sleep(0.005)
            if future.status == "finished":
                version = future.result()
                if version != sources_hash():
                    allowed = f"{sources_hash()}, as here"
                    raise RuntimeError(f"workers: they run version {version} of the engine; allowed: {allowed}")
            else:
                self._failed(future)
            del self._flying[future.key]
        return True

    def _fill(self) -> None:
        """Give every worker something to do, and something more."""
        while self._pending and len(self._flying) < AHEAD * max(1, self._slots):
            numbers = self._group()
            known = self._store.known([self._keys[n] for n in numbers], self._plan.measures)
            for n in numbers:  # another sweep may have been here
                if len(known.get(self._keys[n], ())) == len(self._plan.measures):
                    self._done.add(n)
            if left := [n for n in numbers if n not in self._done]:
                self._send(left)

    def _group(self) -> list[int]:
        """The next points, for about a second, or less where little is left."""
        share = self._seconds(len(self._pending), self._pending_work) / (TAIL * max(1, self._slots))
        room = min(max(GROUP, TASK * self._slots), max(SHORT, share)) if self._pace.known else 0.0
        numbers: list[int] = []
        while self._pending:
            n = self._pending[0]
            room -= self._pace.seconds(self._works[n]) if self._pace.known else 0.0
            if numbers and (room <= 0 or n in self._alone or numbers[0] in self._alone):
                break
            numbers.append(self._pending.popleft())
            self._pending_work -= self._works[n]
        return numbers

    def _send(self, numbers: list[int]) -> None:
        name, every = self._name("group"), max(BUNCH, self._slots / MESSAGES)
        points = [asked(n, self._experiments[n], self._names[n]) for n in numbers]
        held = {self._experiments[n].task: self._hold(self._experiments[n].task) for n in numbers}
        future = self._client.submit(
            group, points, self._plan.steps, (TOPIC, name), every, [f for f in held.values() if f is not None],
            key=name, pure=False,
        )  # fmt: skip
        self._flying[name] = Flight(numbers, future)
        future.add_done_callback(lambda ended: self._inbox.put((ended.key, None)))

    def _hold(self, task: str) -> Any:
        """The future that is these data in the workers; None where the task is one of the table's."""
        if isinstance(task, OwnTask) and task not in self._held:
            import dask

            with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):  # it is meant
                self._held[task] = self._client.submit(hold, task, key=self._name("hold"), pure=False)
        return self._held.get(task)

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{what}-{self._id}-{self._count}"

    def _wait(self) -> None:
        """Until something is found, or a moment; then all that is there."""
        with suppress(Empty):
            self._take(*self._inbox.get(timeout=LOOK))
        while not self._inbox.empty():
            self._take(*self._inbox.get())

    def _drain(self) -> None:
        """What has been found already, at the end."""
        while not self._inbox.empty():
            name, found = self._inbox.get()
            if found is not None and name in self._flying:
                self._keep(found)

    def _take(self, name: str, found: Sequence[Any] | None) -> None:
        """A message of a group: begun (no points), what was found, or (None) its end."""
        flight = self._flying.get(name)
        if flight is None:  # another sweep's, or over
            return
        if found is not None:
            flight.begun = True
            self._keep(found)
            return
        if flight.future.status == "finished" and not self._done.issuperset(flight.numbers):
            self._keep(flight.future.result())  # events were lost: the client was without a scheduler for a moment
        del self._flying[name]
        missing = [n for n in flight.numbers if n not in self._done]
        if missing and flight.future.status != "finished":
            self._failed(flight.future)
        if missing and flight.begun:
            self._alone.update(missing)
            self._deaths[missing[0]] += 1
            if self._deaths[missing[0]] >= DEATHS and len(flight.numbers) == 1:
                self._done.add(missing[0])
                self._passing[self._keys[missing[0]]] = f"{DEATHS} workers died of it"
                return
        self._pending.extendleft(reversed(missing))
        self._pending_work += sum(self._works[n] for n in missing)

    def _failed(self, future: Any) -> None:
        """Raises RuntimeError unless it was the death of a worker, which is survived."""
        from distributed import KilledWorker

        if future.status != "error":
            raise RuntimeError("scheduler: it has gone, or cancelled the work")
        error = future.exception()
        if not isinstance(error, KilledWorker):
            raise RuntimeError(f"workers: they cannot work; the last one said: {type(error).__name__}: {error!s:.200}")

    def _keep(self, found: Sequence[Any]) -> None:
        """Into the store, at once."""
        for one in map(Found._make, found):
            n = one.number
            if n in self._done:
                continue
            if one.lasting:
                self._store.put(self._keys[n], one.values, one.error)
            else:
                self._passing[self._keys[n]] = one.error
            self._done.add(n)
            self.computed += 1
            self.seconds += one.seconds
            if not one.error:
                self._pace.add(self._works[n], one.seconds)
            if self._own is not None:
                self._own.well()
