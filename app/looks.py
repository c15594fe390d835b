"""A closer look at one state of a run: an instrument at work in the threads that all runs share. No Streamlit here."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

import engine
from app import motion, states
from app.figures.asked import Asked
from app.kept import Weights
from app.limits import seconds
from app.pool import Pool
from app.probing import probe, sequences
from engine.cells import KINDS
from engine.instruments import clip, floats, gradient_flow, jacobian_spectrum, lyapunov, weight_gradient
from engine.instruments.pieces import Pieces, part

SLICE = 0.025  # seconds of work before others have their turn
GRACE = 5.0  # seconds that it works on when nobody waits for it any more
FORGOTTEN = 60.0  # seconds after which it lets go of what it has so far
LOSSES, LAGS, EXPONENTS = 200, 100, 32  # rows of the matrix, timesteps of the spectra, exponents: what one can see
log = logging.getLogger(__name__)


class Credit(NamedTuple):
    """Which steps the losses feel, and which steps shape the weights."""

    flow: engine.GradientFlow
    weights: engine.WeightGradient


def _credit(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    flow = yield from part(0.0, 0.7, gradient_flow.in_pieces(e, t, everywhere=True, most=LOSSES))
    return Credit(flow, (yield from part(0.7, 0.3, weight_gradient.in_pieces(e, t))))


def _spectrum(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    return jacobian_spectrum.in_pieces(t, most=LAGS)


def _exponents(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    """(along the task's inputs, without input)"""
    count, found = min(EXPONENTS, e.hidden_size * KINDS[e.kind].states * e.num_layers), []
    for half, inputs in enumerate(lyapunov.INPUTS):
        pieces = lyapunov.in_pieces(e, count=count, inputs=inputs, state_dict=w.state_dict)
        found.append((yield from part(half / 2, 0.5, pieces)))
    return tuple(found)


def _gates(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    yield 0.0
    return engine.gates(t)


def _update(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    """(the update at this step, the kept steps up to it, (3, blocks) norms at each of them)"""
    yield 0.0
    before = [] if w.moments is None else [moment for moment in w.moments.moments if moment.step <= w.step]
    steps, parts = np.array([moment.step for moment in before], np.int32), [moment.parts for moment in before]
    return engine.update(e, t, w.optimizer_state, w.step, w.lr), steps, np.array(parts)


def _clipping(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    """(at this step, lr, ‖g‖ and ‖clip(g)‖ of all steps up to it)"""
    curves, steps = w.curves, slice(0, w.step + 1)
    past = () if curves is None else (curves.lr[steps], curves.grad_norm[steps], curves.clipped[steps])
    return (yield from clip.in_pieces(t, e.clip_threshold)), *past


def _floats(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    return floats.in_pieces(e, t)


# (experiment, pass, weights, whatever else the page has asked for, by name)
# … -> shares that are done, or (share, what is found so far)
INSTRUMENTS: Mapping[str, Callable[..., Generator[Any, None, Any]]] = {
    "credit": _credit,
    "spectrum": _spectrum,
    "exponents": _exponents,
    "gates": _gates,
    "landscape": states.landscape_of,
    "over_training": states.over_training,
    "floats": _floats,
    "update": _update,
    "clipping": _clipping,
    "motion": motion.in_pieces,
}


WHOLE = ("update", "clipping", "motion")  # of the gradient that training uses, and no part of it


@dataclass
class Look:
    """One instrument on one state. Made and cancelled from any thread; `work` belongs to the pool."""

    name: str
    weights: Weights
    options: Mapping[str, Any] = field(default_factory=dict)  # what its instrument is asked for beside

    def __post_init__(self) -> None:
        self.share = 0.0  # how much is done, 0 to 1
        self.asked: Asked | None = None  # the result, when there is one; a part of it before, where parts are shown
        self.failed = self.cancelled = self.forgotten = False
        self.done = threading.Event()
        self._pieces: Generator[Any, None, Any] | None = None
        self._trace: engine.Trace | None = None
        self._pool: Pool | None = None
        self._wanted = time.monotonic()  # when somebody was last waiting for it

    def __hash__(self) -> int:
        return id(self)

    def start(self, pool: Pool) -> "Look":
        self._pool = pool
        self.want()
        return self

    def want(self) -> None:
        """Somebody waits for it: it goes on. (A tab that was closed, or a panel, says nothing: then it rests.)"""
        self._wanted = time.monotonic()
        if self._pool is not None and not self.done.is_set():
            self._pool.wake(self, self._wanted)

    def cancel(self) -> None:
        self.cancelled = True
        if self._pool is not None:
            self._pool.wake(self)  # it may be resting

    def let_go(self) -> None:
        """Nobody will come back to it: the result goes, too, whoever still holds the look."""
        self.cancel()
        self.asked = None

    def forget(self) -> None:
        """The result is let go, to save memory; it says so."""
        self.forgotten = True
        self.let_go()

    @property
    def takes(self) -> float:
        """Seconds that the next slice will take, about: the first is a pass."""
        return SLICE if self._pieces is not None else 3 * seconds(self.weights.experiment)

    def work(self) -> float | None:
        """A slice; asks to be called again until it is done. While nobody waits for it, it rests; it begins anew for
        whoever comes back late."""
        if self.done.is_set():
            return None
        try:
            return self._work()
        except Exception:
            log.exception("an instrument failed")
            self.failed = True
            self._end()
            return None

    def _work(self) -> float | None:
        w, begin = self.weights, time.monotonic()
        if begin - self._wanted > FORGOTTEN and not self.cancelled:
            self._pieces, self._trace, self.asked, self.share = None, None, None, 0.0
            return None
        if self._pieces is None and not self.cancelled:
            self._trace = probe(w, whole=self.name in WHOLE)
            self._pieces = INSTRUMENTS[self.name](w.experiment, self._trace, w, **self.options)
        while not self.cancelled and time.monotonic() - begin < SLICE:
            assert self._pieces is not None
            try:
                said = next(self._pieces)
                self.share, found = said if isinstance(said, tuple) else (said, None)
                if found is not None:  # so far
                    self.asked = Asked(w.experiment, w.step, sequences(w.experiment), found)
            except StopIteration as done:
                self.asked = Asked(w.experiment, w.step, sequences(w.experiment), done.value)
                self._end()
                return None
        if self.cancelled:
            self._end()
            return None
        now = time.monotonic()
        return now if now - self._wanted < GRACE else self._wanted + FORGOTTEN + 1

    def _end(self) -> None:
        self._pieces = self._trace = None
        self.weights = replace(self.weights, curves=None, moments=None)  # a look is kept longer than they need to be
        self.done.set()
