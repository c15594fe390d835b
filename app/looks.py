"""A closer look at one state of a run: an instrument at work in the threads that all runs share. No Streamlit here."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

import engine
from app import motion, states
from app.figures.asked import Asked
from app.jobs import SLICE, WantedJob
from app.kept import Weights
from app.limits import seconds
from app.probing import probe, sequences
from engine.cells import KINDS
from engine.instruments import clip, floats, gradient_flow, jacobian_spectrum, lyapunov, weight_gradient
from engine.instruments.pieces import Pieces, part

LOSSES, LAGS, EXPONENTS = 200, 100, 32  # rows of the matrix, timesteps of the spectra, exponents: what one can see


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


@dataclass(eq=False)
class Look(WantedJob):
    """One instrument on one state."""

    name: str
    weights: Weights
    options: Mapping[str, Any] = field(default_factory=dict)  # what its instrument is asked for beside

    def __post_init__(self) -> None:
        super().__init__()
        self.share = 0.0  # how much is done, 0 to 1
        self.asked: Asked | None = None  # the result, when there is one; a part of it before, where parts are shown
        self.forgotten = False
        self._pieces: Generator[Any, None, Any] | None = None
        self._trace: engine.Trace | None = None

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
        """The first slice is a pass."""
        return SLICE if self._pieces is not None else 3 * seconds(self.weights.experiment)

    def piece(self) -> None:
        w = self.weights
        if self._pieces is None:
            self._trace = probe(w, whole=self.name in WHOLE)
            self._pieces = INSTRUMENTS[self.name](w.experiment, self._trace, w, **self.options)
        try:
            said = next(self._pieces)
            self.share, found = said if isinstance(said, tuple) else (said, None)
            if found is not None:  # so far
                self._found(found)
        except StopIteration as done:
            self._found(done.value)
            self.end()

    def _found(self, found: Any) -> None:
        if self.cancelled:  # meanwhile: it may have been let go
            return
        e = self.weights.experiment
        self.asked = Asked(e, self.weights.step, sequences(e), found, self.weights.given)

    def drop(self) -> None:
        self._pieces = self._trace = None
        if self.done.is_set():
            self.weights = replace(self.weights, curves=None, moments=None)  # it is kept for longer
        else:
            self.asked, self.share = None, 0.0
