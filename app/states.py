"""Closer looks at many states of a run: the landscape that it went through, and what became of it over training."""

from collections.abc import Generator, Sequence
from math import gcd
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

import engine
from app.kept import Weights
from app.probing import first, probe
from engine.instruments import landscape, lyapunov
from engine.instruments.pieces import Pieces, part

STEPS = 200  # timesteps whose growth makes an exponent, of each of many states
SAMPLE = 4000  # values of a layer's states that say how they are distributed
CELLS, FEW_CELLS = 31, 21  # of the landscape's grid, along each side; where a pass takes long
PASS, FEWEST = 40_000_000, 8  # weights × timesteps × sequences of each of its passes; but so many sequences


class Around(NamedTuple):
    """A landscape, and the training steps of the states that are projected onto it."""

    landscape: engine.Landscape
    steps: np.ndarray  # (P,)
    seed: int
    sequences: int  # of the batch whose loss it is
    lone: bool  # was a plane through the run asked for, and are there no three states that make one?


def landscape_of(
    e: engine.Experiment, t: engine.Trace, w: Weights, path: Sequence[Weights] = (), directions: str = "random",
    seed: int = 0, extent: float = 1.0,
) -> Pieces[Any]:  # fmt: skip
    states = [state.state_dict for state in path]
    weights = sum(value.size for value in w.state_dict.values())
    few = max(FEWEST, min(t.inputs.shape[1], PASS // (weights * e.steps)))
    x, y = first(e, few, t.inputs, t.targets)
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


def over_training(
    e: engine.Experiment, t: engine.Trace, w: Weights, path: Sequence[Weights] = ()
) -> Generator[Any, None, Any]:
    """Of every state of the path, and this one; those that are known are not computed again. With what there is."""
    states = sorted({state.step: state for state in (w, *path)}.values(), key=lambda state: state.step)
    for n, state in enumerate(states):
        if state not in KNOWN:
            pieces = lyapunov.in_pieces(state.experiment, STEPS, 1, state_dict=state.state_dict)
            KNOWN[state] = _state(state, (yield from part(n / len(states), 1 / len(states), pieces)))
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
