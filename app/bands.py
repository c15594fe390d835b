"""The same experiments over many seeds, in the threads that all runs share: one run proves little. No Streamlit here.

Seeds are paired: seed s gives every experiment the same data, and the same weights where their shapes agree. With
somebody's own network all seeds begin with its weights, and give other data.
"""

import numpy as np

import engine
from app.figures.versus_seeds import Finished
from app.jobs import WantedJob
from app.limits import seconds
from app.networks import Network
from app.versus import Compared, work

SEEDS = (5, 10, 20)
STEPS = (100, 200, 500, 1000)
EVERY = 10  # training steps between two validations, as in a run
MOST = 2**33  # numbers in the hidden states of all passes: some minutes of one thread


def total(c: Compared, seeds: int, steps: int) -> int:
    """Numbers in the hidden states of all passes."""
    return seeds * steps * sum(work(e) for e in c.experiments)


class Bands(WantedJob):
    """Trains each experiment with each seed for so many steps."""

    def __init__(self, c: Compared, seeds: int, steps: int, network: Network | None = None) -> None:
        """`network`: whose weights those begin with that have its shape; None: each seed draws its own."""
        super().__init__()
        self._network = network
        first = c.experiments[0].seed
        self.compared, self.steps = c, steps
        self.seeds = tuple(range(first, first + seeds))
        self.found: tuple[tuple[Finished, ...], ...] = ()  # of each seed that is done: one of each experiment
        self._row: list[Finished] = []  # of the seed at work
        self._trainer: engine.Trainer | None = None

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        trainer, runs = self._trainer, len(self.compared.experiments)
        here = len(self._row) + (min(1.0, trainer.step / self.steps) if trainer is not None else 0.0)
        return min(1.0, (len(self.found) * runs + here) / (len(self.seeds) * runs))

    @property
    def takes(self) -> float:
        """Seconds of its next slice, about: a step cannot be cut."""
        return max(map(seconds, self.compared.experiments))

    def piece(self) -> None:
        """One training step, of the experiment and seed that are next."""
        if self._trainer is None:
            e = self.compared.experiments[len(self._row)].replace(seed=self.seeds[len(self.found)])
            given = self._network.state_dict if self._network is not None and self._network.has_shape(e) else None
            self._trainer = engine.Trainer(e, validate_every=EVERY, state_dict=given)
        trainer = self._trainer
        if trainer.step < self.steps and not trainer.diverged and trainer.stopped is None:
            trainer.advance(1)
            return
        self._row.append(_finished(trainer))
        self._trainer = None
        if len(self._row) == len(self.compared.experiments):
            self.found, self._row = (*self.found, tuple(self._row)), []
            if len(self.found) == len(self.seeds):
                self.end()

    def drop(self) -> None:
        self._trainer = None


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
