"""What a worker does: it measures a group of points, and says of each what it found as soon as it is found."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import nan
from threading import Lock
from typing import Any, NamedTuple

from engine._jit import sources_hash
from engine.experiment import Experiment
from engine.sweeps.measures import measure_in_pieces
from engine.tasks import OwnTask
from engine.warm_up import warm_up

ERROR_LENGTH = 300  # characters that are kept of what a point said when it raised


class Asked(NamedTuple):
    """A point, as it is sent: its number in the sweep, the fields of its experiment, and what is to be measured."""

    number: int
    fields: dict[str, Any]
    names: tuple[str, ...]


class Found(NamedTuple):
    """Its number, values by measure, what it said where it raised ("" where not), the seconds that it took."""

    number: int
    values: dict[str, float]
    error: str
    seconds: float
    lasting: bool = True  # not an error of this machine at this moment: the same point would raise again


def asked(number: int, e: Experiment, names: Sequence[str]) -> Asked:
    """A point to be sent. Data of one's own are not in it, but their name: they go once to each worker (`hold`)."""
    fields = e.model_dump(exclude_defaults=True)
    return Asked(number, fields | ({"task": str(e.task)} if "task" in fields else {}), tuple(names))


def hold(task: OwnTask) -> OwnTask:
    """Data of one's own, as the result of a task: whoever needs them gets them from there, once."""
    return task


def ready(e: Experiment) -> str:
    """Compile what `e` needs, or load it; and the version of the engine that this worker runs."""
    with one_blas_thread():
        warm_up(e)
    return sources_hash()


def group(
    points: Sequence[Asked], steps: int, place: tuple[str, str], every: float, held: list[OwnTask]
) -> list[Found]:
    """Measure these points, in their order, and send what is found to a topic of the scheduler.

    place: the topic, and the name of the group there. An empty message says that the group is begun; then one follows a
    point, but no sooner than `every` seconds after the last. held: the data of one's own that the points name; they are
    here as long as this list is. Returns all that was found.
    """
    from distributed import get_worker

    worker, (topic, name) = get_worker(), place
    key = worker.get_current_task()

    def wanted() -> bool:
        state = worker.state.tasks.get(key)
        return state is not None and state.state != "cancelled"

    sent, last = 0, time.monotonic()
    worker.log_event(topic, (name, []))
    found: list[Found] = []
    with one_blas_thread():
        for point in points:
            result = _measured(point, steps, wanted)
            if result is None:
                break
            found.append(result)
            if time.monotonic() - last >= every:
                worker.log_event(topic, (name, [tuple(f) for f in found[sent:]]))
                sent, last = len(found), time.monotonic()
    worker.log_event(topic, (name, [tuple(f) for f in found[sent:]]))
    return found


def _measured(point: Asked, steps: int, wanted: Callable[[], bool]) -> Found | None:
    """What is found of a point; None where nobody wants it any more."""
    begin, values, error, lasting = time.perf_counter(), {}, "", True
    try:
        pieces = measure_in_pieces(Experiment(**point.fields), point.names, steps)
        while True:
            try:
                next(pieces)
            except StopIteration as done:
                values = {name: float(value) for name, value in done.value.items()}
                break
            if not wanted():
                return None
    except Exception as raised:  # the point's own; the others go on
        values = dict.fromkeys(point.names, nan)
        error = " ".join(f"{type(raised).__name__}: {raised}".split())[:ERROR_LENGTH]
        lasting = not isinstance(raised, MemoryError | OSError)
    return Found(point.number, values, error, time.perf_counter() - begin, lasting)


class _Limit:
    """One thread for BLAS in this process, as long as anybody is inside."""

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._limit: Any = None
        self._pools: Any = None  # asked for once: it looks at every library that is loaded

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if not self._inside:
                from threadpoolctl import ThreadpoolController

                self._pools = self._pools or ThreadpoolController()
                self._limit = self._pools.limit(limits=1, user_api="blas")
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._limit is not None and not self._inside:
                    self._limit.restore_original_limits()
                    self._limit = None


one_blas_thread = _Limit()  # sums of several threads are not the same everywhere
