"""Work that goes on only while somebody waits for it, in the threads that all runs share. No Streamlit here.

A tab that was closed, or a panel, says nothing: so whoever looks at the result says `want()` again and again.
"""

import logging
import threading
import time
from typing import Self

from app.pool import Pool

SLICE = 0.025  # seconds of work before others have their turn
GRACE = 5.0  # seconds that it works on when nobody waits for it any more
FORGOTTEN = 60.0  # seconds after which it lets go of what it needs to go on
log = logging.getLogger(__name__)


class WantedJob:
    """Made, wanted and cancelled from any thread; `work` belongs to the pool, and with it `piece` and `drop`.

    A subclass says what a `piece` is, how long one `takes`, and what to `drop`; it calls `end` when all is done.
    """

    def __init__(self) -> None:
        self.failed = self.cancelled = False
        self.done = threading.Event()  # nothing more will come: found, failed or cancelled
        self._pool: Pool | None = None
        self._wanted = time.monotonic()  # when somebody was last waiting for it

    def piece(self) -> None:
        """Some milliseconds of work. What it raises ends the job, which has failed then."""
        raise NotImplementedError

    def drop(self) -> None:
        """Let go of what is only needed at work: it is over (`done` is set), or rests for long and may begin anew."""

    @property
    def takes(self) -> float:
        """Seconds that the next slice will take, about."""
        return SLICE

    def start(self, pool: Pool) -> Self:
        self._pool = pool
        self.want()
        return self

    def want(self) -> None:
        """Somebody waits for it: it goes on. Where nobody does, it rests."""
        self._wanted = time.monotonic()
        if self._pool is not None and not self.done.is_set():
            self._pool.wake(self, self._wanted)

    def cancel(self) -> None:
        """No more work; what was found so far stays."""
        over = self.done.is_set()
        self.cancelled = True
        self.done.set()
        if self._pool is not None and not over:
            self._pool.wake(self)  # it may be resting, and holds what can be dropped

    def end(self) -> None:
        """Of a piece: this was the last one."""
        self.done.set()

    def work(self) -> float | None:
        """A slice; asks to be called again until it is done. While nobody waits for it, it rests."""
        begin = time.monotonic()
        if not self.done.is_set() and begin - self._wanted > FORGOTTEN:
            self.drop()
            return None
        try:
            while not self.done.is_set() and time.monotonic() - begin < SLICE:
                self.piece()
        except Exception:
            log.exception("a job failed: %s", type(self).__name__)
            self.failed = True
            self.done.set()
        if self.done.is_set():
            self.drop()
            return None
        now = time.monotonic()
        return now if now - self._wanted < GRACE else self._wanted + FORGOTTEN + 1
