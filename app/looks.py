"""A closer look at one state of a run: an instrument at work in the threads that all runs share. No Streamlit here."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import gcd
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

import engine
from app.figures.asked import Asked
from app.kept import Weights
from app.pool import Pool
from engine.cells import KINDS
from engine.data import batch, dropout_masks
from engine.instruments import clip, floats, gradient_flow, jacobian_spectrum, landscape, lyapunov, weight_gradient
from engine.instruments.pieces import Pieces

SLICE = 0.025  # seconds of work before others have their turn
GRACE = 5.0  # seconds that it works on when nobody waits for it any more
FORGOTTEN = 60.0  # seconds after which it lets go of what it has so far
NUMBERS = 1 << 20  # of the states of all sequences that are looked at: a few of a large batch say the same
LOSSES, LAGS, EXPONENTS = 200, 100, 32  # rows of the matrix, timesteps of the spectra, exponents: what one can see
STEPS = 200  # timesteps whose growth makes an exponent, of each of many states
SAMPLE = 4000  # values of a layer's states that say how they are distributed
CELLS, FEW_CELLS = 31, 21  # of the landscape's grid, along each side; where a pass takes long
PASS, FEWEST = 40_000_000, 8  # weights × timesteps × sequences of each of its passes; but so many sequences
log = logging.getLogger(__name__)


class Credit(NamedTuple):
    """Which steps the losses feel, and which steps shape the weights."""

    flow: engine.GradientFlow
    weights: engine.WeightGradient


def _credit(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    flow = yield from _part(0.0, 0.7, gradient_flow.in_pieces(e, t, everywhere=True, most=LOSSES))
    return Credit(flow, (yield from _part(0.7, 0.3, weight_gradient.in_pieces(e, t))))


def _part(before: float, share: float, pieces: Pieces[Any]) -> Pieces[Any]:
    """These pieces as a share of a longer work."""
    while True:
        try:
            yield before + share * next(pieces)
        except StopIteration as done:
            return done.value


def _spectrum(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    return jacobian_spectrum.in_pieces(t, most=LAGS)


def _exponents(e: engine.Experiment, t: engine.Trace, w: Weights) -> Pieces[Any]:
    """(along the task's inputs, without input)"""
    count, found = min(EXPONENTS, e.hidden_size * KINDS[e.kind].states * e.num_layers), []
    for half, inputs in enumerate(lyapunov.INPUTS):
        pieces = lyapunov.in_pieces(e, count=count, inputs=inputs, state_dict=w.state_dict)
        found.append((yield from _part(half / 2, 0.5, pieces)))
    return tuple(found)


class Around(NamedTuple):
    """A landscape, and the training steps of the states that are projected onto it."""

    landscape: engine.Landscape
    steps: np.ndarray  # (P,)
    seed: int
    sequences: int  # of the batch whose loss it is
    lone: bool  # was a plane through the run asked for, and are there no three states that make one?


def _landscape(
    e: engine.Experiment, t: engine.Trace, w: Weights, path: Sequence[Weights] = (), directions: str = "random",
    seed: int = 0, extent: float = 1.0,
) -> Pieces[Any]:  # fmt: skip
    states = [state.state_dict for state in path]
    weights = sum(value.size for value in w.state_dict.values())
    few = max(FEWEST, min(t.inputs.shape[1], PASS // (weights * e.steps)))
    x, y = _first(e, few, t.inputs, t.targets)
    few = x.shape[1]
    cells = CELLS if weights * e.steps * few <= PASS else FEW_CELLS
    about: dict[str, Any] = {"path": states, "seed": seed, "extent": extent, "size": cells}
    steps = np.array([state.step for state in path])
    if directions == "path":
        try:
            found = yield from landscape.in_pieces(e, w.state_dict, x, y, directions="path", **about)
            return Around(found, steps, seed, few, False)
        except ValueError:  # fewer than three states, or on one line
            pass
    found = yield from landscape.in_pieces(e, w.state_dict, x, y, **about)
    return Around(found, steps, seed, few, directions == "path")


class State(NamedTuple):
    """What is known of one kept state of a run; L layers."""

    step: int
    lyapunov: float  # the largest exponent along the task's inputs, of the whole network, nats a step
    error: float  # its standard error
    radii: tuple[engine.Radius, ...]
    hidden: np.ndarray  # (L, n) float32: states h of every so many units, timesteps and sequences
    keep: np.ndarray  # (L, bins): the share of the values of the gate that keeps in each bin of 0 … 1; (L, 0): no gate
    closed: np.ndarray  # (L,): the share of them below 0.1; and
    open: np.ndarray  # (L,) above 0.9; NaN without a gate
    constants: np.ndarray  # (L, H) the units' time constants, in steps; (L, 0)


class Film(NamedTuple):
    """The states of a run, in the order of training; `of`: how many there will be."""

    states: tuple[State, ...]
    of: int


KNOWN: WeakKeyDictionary[Weights, State] = WeakKeyDictionary()  # as long as a run or a page keeps the weights


def _over_training(
    e: engine.Experiment, t: engine.Trace, w: Weights, path: Sequence[Weights] = ()
) -> Generator[Any, None, Any]:
    """Of every state of the path, and this one; those that are known are not computed again. With what there is."""
    states = sorted({state.step: state for state in (w, *path)}.values(), key=lambda state: state.step)
    for n, state in enumerate(states):
        if state not in KNOWN:
            pieces = lyapunov.in_pieces(state.experiment, STEPS, 1, state_dict=state.state_dict)
            KNOWN[state] = _state(state, (yield from _part(n / len(states), 1 / len(states), pieces)))
        found = Film(tuple(KNOWN[known] for known in states[: n + 1]), len(states))
        yield (n + 1) / len(states), found
    return found


def _state(w: Weights, found: engine.Lyapunov) -> State:
    t = probe(w, FEWEST)
    values, opened = t.hidden[:, 1:].reshape(len(t.hidden), -1), engine.gates(t)
    stride = max(1, values.shape[1] // SAMPLE)
    while gcd(stride, w.experiment.hidden_size) > 1:  # or some units would never be looked at
        stride += 1
    hidden = values[:, ::stride]
    with np.errstate(over="ignore"):
        hidden = hidden.astype(np.float32)
    keep, none = opened.gates.get(opened.keep or ""), np.full(len(hidden), np.nan)
    return State(
        w.step, float(found.exponents[0]), float(found.standard_errors[0]),
        engine.radii(w.experiment.kind, w.state_dict), hidden,
        np.zeros((len(hidden), 0)) if keep is None else keep.density.mean(axis=1),
        none if keep is None else keep.left.mean(axis=1), none if keep is None else keep.right.mean(axis=1),
        opened.time_constants,
    )  # fmt: skip


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
    "landscape": _landscape,
    "over_training": _over_training,
    "floats": _floats,
    "update": _update,
    "clipping": _clipping,
}


WHOLE = ("update", "clipping")  # of the gradient that training uses, and no part of it


def sequences(e: engine.Experiment) -> int:
    """How many of the batch are looked at: all, unless they are very long or wide."""
    each = e.steps * e.hidden_size * e.num_layers * KINDS[e.kind].states
    return max(1, min(e.sequences, NUMBERS // each))


def probe(w: Weights, most: int | None = None, whole: bool = False) -> engine.Trace:
    """The pass at these weights on the batch that the run saw there, or on the first (at most so many) of it.

    `whole`: on all of it and with the step's dropout, for what has to be the very gradient of training.
    """
    e, (inputs, targets) = w.experiment, batch(w.experiment, w.step)
    if whole:
        return engine.probe(e, w.state_dict, inputs, targets, dropout_masks(e, w.step, inputs.shape[1]))
    return engine.probe(e, w.state_dict, *_first(e, min(sequences(e), most or e.sequences), inputs, targets))


def _first(e: engine.Experiment, few: int, inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first sequences of a batch."""
    return inputs[:, :few].copy(), targets[:, :few] if engine.TASKS[e.task].every_step else targets[:few]


@dataclass
class Look:
    """One instrument on one state. Made and cancelled from any thread; `work` belongs to the pool."""

    name: str
    weights: Weights
    options: Mapping[str, Any] = field(default_factory=dict)  # what its instrument is asked for beside

    def __post_init__(self) -> None:
        self.share = 0.0  # how much is done, 0 to 1
        self.asked: Asked | None = None  # the result, when there is one; a part of it before, where parts are shown
        self.failed = self.cancelled = False
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
