"""Compiles what runs wait for, one thing at a time, beside the training of everybody else."""

import heapq
import logging
import threading
from collections.abc import Callable
from itertools import count

import engine

Done = Callable[[Exception | None], None]
log = logging.getLogger(__name__)


class Compiler:
    """One daemon thread. Somebody waiting goes before the warm-up; what is compiled meanwhile is skipped."""

    def __init__(self) -> None:
        self._queue: list[tuple[bool, int, engine.Experiment, Done | None]] = []
        self._changed = threading.Condition()
        self._order = count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def want(self, e: engine.Experiment, done: Done) -> None:
        """Compile what `e` needs and call `done` with None, or with the error."""
        self._put(False, e, done)

    def warm_up(self, e: engine.Experiment) -> None:
        """Compile (or load from disk) what `e` needs when nobody waits."""
        self._put(True, e, None)

    def close(self) -> None:
        """Begin nothing more."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify()

    def _put(self, later: bool, e: engine.Experiment, done: Done | None) -> None:
        with self._changed:
            if self._closed:
                return
            heapq.heappush(self._queue, (later, next(self._order), e, done))
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="compiler", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._queue)
                if self._closed:
                    return
                later, _, e, done = heapq.heappop(self._queue)
            error: Exception | None = None
            try:
                if later or not engine.is_compiled(e):
                    engine.warm_up(e)
            except Exception as caught:  # whoever waits is told; the thread serves the others
                log.exception("compiling failed")
                error = caught
            if done is not None:
                done(error)
