"""All runs of this server, by token."""

import threading
import time
from typing import TypeVar

from app.compiler import Compiler
from app.limits import LIMITS
from app.memory import give_back
from app.pool import Pool
from app.runs import Run
from app.words import _

R = TypeVar("R", bound=Run)
SPARE = 10.0  # seconds without a picture after which a run makes room for another, where the server is full


class Full(ValueError):
    """There are as many runs as this server allows: the sentence says so."""


class Registry:
    """Opens runs, finds them, and frees those that nobody uses any more."""

    def __init__(self) -> None:
        self.pool, self.compiler = Pool(), Compiler()
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def open(self) -> Run:
        return self.add(Run(self.pool, self.compiler))

    def add(self, run: R) -> R:
        """Know a run from now on by its token; it is freed like all others. Raises Full where there are too many."""
        with self._lock:
            full = len(self._runs) >= LIMITS.runs
        if full:
            self.sweep(SPARE)
        with self._lock:
            if len(self._runs) >= LIMITS.runs:
                sentence = _(
                    "{n} runs are open on this server, and it allows no more: try again when somebody has left."
                )
                raise Full(sentence.format(n=LIMITS.runs))
            self._runs[run.token] = run
        return run

    def get(self, token: str | None) -> Run | None:
        with self._lock:
            return self._runs.get(token or "")

    def sweep(self, after: float | None = None) -> None:
        """Free the runs that nobody has used for so many seconds (None: a while), and all that they hold."""
        now = time.monotonic()
        with self._lock:
            gone = [run for run in self._runs.values() if run.unused(now, after)]
            for run in gone:
                del self._runs[run.token]
        for run in gone:
            run.close()
        if gone:
            give_back()

    def clear(self) -> list[Run]:
        """Forget all runs; returns those that there were."""
        with self._lock:
            runs, self._runs = list(self._runs.values()), {}
        return runs

    def close(self) -> None:
        """Stop all training, and begin nothing more."""
        for run in self.clear():
            run.close()
        self.compiler.close()
        self.pool.close()


RUNS = Registry()
