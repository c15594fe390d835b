"""The same experiments over many seeds, in the threads that all runs share: one run proves little. No Streamlit here.

Seeds are paired: seed s gives every experiment the same data, and the same weights where their shapes agree.
"""

import logging
import threading
import time

import numpy as np

import engine
from app.figures.versus_seeds import Finished
from app.limits import seconds
from app.pool import Pool
from app.versus import Compared, work

SEEDS = (5, 10, 20)
STEPS = (100, 200, 500, 1000)
SLICE = 0.025  # seconds of work before others have their turn
GRACE = 5.0  # seconds that it works on when nobody waits for it any more
EVERY = 10  # training steps between two validations, as in a run
MOST = 2**33  # numbers in the hidden states of all passes: some minutes of one thread
log = logging.getLogger(__name__)


def total(c: Compared, seeds: int, steps: int) -> int:
    """Numbers in the hidden states of all passes."""
    return seeds * steps * sum(work(e) for e in c.experiments)


class Bands:
    """Trains each experiment with each seed for so many steps. Any thread makes and cancels it; `work` the pool's."""

    def __init__(self, c: Compared, seeds: int, steps: int) -> None:
        first = c.experiments[0].seed
        self.compared, self.steps = c, steps
        self.seeds = tuple(range(first, first + seeds))
        self.found: tuple[tuple[Finished, ...], ...] = ()  # of each seed that is done: one of each experiment
        self.cancelled = self.failed = False
        self.done = threading.Event()
        self._row: list[Finished] = []  # of the seed at work
        self._trainer: engine.Trainer | None = None
        self._pool: Pool | None = None
        self._wanted = time.monotonic()

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        trainer, runs = self._trainer, len(self.compared.experiments)
        here = len(self._row) + (min(1.0, trainer.step / self.steps) if trainer is not None else 0.0)
        return min(1.0, (len(self.found) * runs + here) / (len(self.seeds) * runs))

    def start(self, pool: Pool) -> "Bands":
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
        self.cancelled = True
        self.done.set()

    @property
    def takes(self) -> float:
        """Seconds of its next slice, about: a step cannot be cut."""
        return max(map(seconds, self.compared.experiments))

    def work(self) -> float | None:
        """A slice; asks to be called again until it is done, while somebody waits for it."""
        if self.done.is_set():
            self._trainer = None
            return None
        try:
            begin = time.monotonic()
            while not self.done.is_set() and time.monotonic() - begin < SLICE:
                self._step()
        except Exception:
            log.exception("a run over seeds failed")
            self.failed, self._trainer = True, None
            self.done.set()
        now = time.monotonic()
        return None if self.done.is_set() or now - self._wanted > GRACE else now

    def _step(self) -> None:
        """One training step, of the experiment and seed that are next."""
        if self._trainer is None:
            e = self.compared.experiments[len(self._row)].replace(seed=self.seeds[len(self.found)])
            self._trainer = engine.Trainer(e, validate_every=EVERY)
        trainer = self._trainer
        if trainer.step < self.steps and not trainer.diverged and trainer.stopped is None:
            trainer.advance(1)
            return
        self._row.append(_finished(trainer))
        self._trainer = None
        if len(self._row) == len(self.compared.experiments):
            self.found, self._row = (*self.found, tuple(self._row)), []
            if len(self.found) == len(self.seeds):
                self.done.set()


def _finished(trainer: engine.Trainer) -> Finished:
    trace = trainer.trace()  # its pass may be the first that is not finite
    history = trainer.history
    there = ~np.isnan(history.validation_loss)
    if history.diverged_at is not None:
        there &= history.at < history.diverged_at
    at, validation = history.at[there], history.validation_loss[there]
    last = np.nan if trainer.diverged else trainer.validation_loss()
    end = trainer.step if history.diverged_at is None else history.diverged_at
    if not len(at) or at[-1] < end:
        at, validation = np.append(at, end), np.append(validation, last)
    flow = trace.log10_flow_norms[-1]
    flow = np.full(len(flow), np.nan) if trainer.diverged else flow.copy()
    at = at.astype(np.int32)
    for array in (at, validation, flow):
        array.flags.writeable = False
    return Finished(at, validation, flow, history.diverged_at)
