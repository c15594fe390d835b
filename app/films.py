"""The films of the gallery, made once for all visitors, in the threads that all runs share.

They are begun when the first visitor opens the gallery, one after the other; what there is so far is served as JSON.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping

import engine
from app.compiler import Compiler
from app.figures.thumb import Film
from app.footage import Footage
from app.pool import Pool

SLICE = 0.02  # seconds of work before others have their turn
log = logging.getLogger(__name__)


class Films:
    """`rows`: name -> (experiments whose kernels it needs, what makes it). A job of the pool."""

    takes = SLICE

    def __init__(self, rows: Mapping[str, tuple[tuple[engine.Experiment, ...], Callable[[], Footage]]]) -> None:
        self._rows = dict(rows)
        self._left = list(rows)
        self._films: dict[str, Film | None] = {}  # None: it failed
        self._now: Footage | None = None
        self._lock = threading.Lock()
        self._begun = False
        self._pool: Pool | None = None
        self._compiler: Compiler | None = None

    def begin(self, pool: Pool, compiler: Compiler) -> None:
        """Make them, unless that has begun already."""
        with self._lock:
            if self._begun:
                return
            self._begun, self._pool, self._compiler = True, pool, compiler
        pool.wake(self)

    def json(self, known: int = 0) -> bytes:
        """Those that there are, but for the first so many that are `known`, and how many are still to come."""
        with self._lock:
            there = {name: film for name, film in list(self._films.items())[known:] if film is not None}
            said = {"films": there, "made": len(self._films), "left": len(self._rows) - len(self._films)}
        return json.dumps(said, separators=(",", ":"), allow_nan=False).encode()

    @property
    def done(self) -> bool:
        with self._lock:
            return len(self._films) == len(self._rows)

    def work(self) -> float | None:
        """A slice of the one at hand."""
        if not self._left:
            return None
        name, end = self._left[0], time.monotonic() + SLICE
        needs, make = self._rows[name]
        try:
            if self._now is None:
                if self._compiling(needs):
                    return None
                self._now = make()
            while time.monotonic() < end:
                next(self._now)
        except StopIteration as made:
            self._finish(name, made.value)
        except Exception:
            log.exception("a film failed")
            self._finish(name, None)
        return time.monotonic()

    def _finish(self, name: str, film: Film | None) -> None:
        with self._lock:
            self._films[name] = film
        self._left.pop(0)
        self._now = None

    def _compiling(self, needs: tuple[engine.Experiment, ...]) -> bool:
        """Is the film put off until its kernels are compiled? (Compiling here would hold up everybody.)"""
        missing = next((e for e in needs if not engine.is_compiled(e)), None)
        if missing is None or self._compiler is None or self._pool is None:
            return False
        pool = self._pool

        def compiled(error: Exception | None) -> None:
            if error is not None:
                self._finish(self._left[0], None)
            pool.wake(self)

        self._compiler.want(missing, compiled)
        return True
