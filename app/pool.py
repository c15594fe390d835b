"""A few threads that all runs share: fair, unhurried for training, at once for a control that moved."""

import heapq
import logging
import threading
import time
from itertools import count
from typing import Protocol

NOW = 0.0  # due before anything that has a time
log = logging.getLogger(__name__)


class Job(Protocol):
    def work(self) -> float | None:
        """Work for some 25 ms. Returns when to be called again (time.monotonic), or None: not until woken."""


class Pool:
    """`workers` daemon threads over a queue by due time.

    A job that wants to go on is due *now*, which is later than every job already waiting: round robin without a
    second queue. A job is never in two threads at once: one woken at work is queued again when it returns.
    """

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers
        self._queue: list[tuple[float, int, Job]] = []
        self._due: dict[Job, float] = {}  # the valid entry of each waiting job; older ones in the heap are void
        self._busy: dict[Job, float | None] = {}  # jobs at work -> when they were asked to come again meanwhile
        self._changed = threading.Condition()
        self._order = count()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def wake(self, job: Job, due: float = NOW) -> None:
        """Let the job work at `due` at the latest."""
        with self._changed:
            if self._closed:
                return
            if not self._threads:  # not at import: a test or a notebook that only imports has no threads
                self._threads = [
                    threading.Thread(target=self._serve, name=f"run-{i}", daemon=True) for i in range(self._workers)
                ]
                for thread in self._threads:
                    thread.start()
            if job in self._busy:
                asked = self._busy[job]
                self._busy[job] = due if asked is None else min(asked, due)
            else:
                self._push(job, due)

    def close(self, timeout: float = 1.0) -> None:
        """Start nothing more, and wait a moment for the slices at work."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._due.clear()
            self._changed.notify_all()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _push(self, job: Job, due: float) -> None:
        if job not in self._due or due < self._due[job]:
            self._due[job] = due
            heapq.heappush(self._queue, (due, next(self._order), job))
            self._changed.notify()

    def _next(self) -> Job | None:
        """Wait for the next job that is due; None when the pool is closed."""
        with self._changed:
            while not self._closed:
                while self._queue and self._due.get(self._queue[0][2]) != self._queue[0][0]:
                    heapq.heappop(self._queue)
                wait = self._queue[0][0] - time.monotonic() if self._queue else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                _, _, job = heapq.heappop(self._queue)
                del self._due[job]
                self._busy[job] = None
                return job
        return None

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            again = None
            try:
                again = job.work()
            except Exception:  # a job reports its own errors; whatever slips through must not cost a thread
                log.exception("a job failed")
            with self._changed:
                asked = self._busy.pop(job)
                times = [due for due in (again, asked) if due is not None]
                if times and not self._closed:
                    self._push(job, min(times))
