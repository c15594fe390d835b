"""What does theory expect? The mean field of a wide random recurrent network (Schoenholz et al. 2017).

W_ij ~ N(0, g²/H), input of variance s² on the pre-activation. Its variance settles at
q* = g² E[φ(√q* z)²] + s², z ~ N(0, 1); then ‖δ‖² changes by χ = g² E[φ'(√q* z)²] at each step back.
E is a trapezoid sum for tanh, exact for relu and linear: χ = g²/2 and g². A random rotation times g has the same χ
(Chen, Pennington & Schoenholz 2018). With a loss at every step, δ is what the last one sends back.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, log, log10, nan, sqrt
from typing import NamedTuple

import numpy as np

from engine.activations import ACTIVATIONS
from engine.data import batch
from engine.experiment import Experiment, check_experiment
from engine.initializers import INITS
from engine.weights import blank, initialise

ROTATIONS = ("orthogonal", "keras")  # entries that are not independent, with the same χ; of one block they are the same
FEWEST_UNITS = 16
FEWEST_STEPS = 30  # by then the variance of the states has settled
STEADY = 2.0  # the upper quartile of the input's variance over time is at most so many times the lower


@dataclass(frozen=True)
class MeanField:
    """chi: factor of ‖δ‖² a step; q: variance of the pre-activation; lyapunov: ½ log χ; memory_length: 1/|log χ| steps.

    applies: do the theory's assumptions hold; reason: which does not. Where there is no theory at all chi is NaN, else
    it is what the theory would say; where nothing at all enters, the state stays 0, and chi is that of its being there:
    g² φ'(0)². slope: decades of ‖δ‖ gained by one step back.
    """

    chi: float
    q: float
    applies: bool = True
    reason: str = ""

    @property
    def lyapunov(self) -> float:
        return -inf if self.chi == 0 else 0.5 * log(self.chi)

    @property
    def memory_length(self) -> float:
        return inf if self.chi == 1 else 0.0 if self.chi == 0 else 1 / abs(log(self.chi))

    @property
    def slope(self) -> float:
        return -inf if self.chi == 0 else 0.5 * log10(self.chi)


def mean_field(
    e: Experiment | None = None, *, gain: float | None = None, input_variance: float | None = None,
    nonlinearity: str = "tanh",
) -> MeanField:  # fmt: skip
    """The theory for a gain and an input variance, or for an experiment's initial network (with the task's inputs).

    >>> round(mean_field(gain=1.5, input_variance=0.0).chi, 4)
    1.1393
    """
    if e is not None:
        check_experiment(e)
        if e.cell != "rnn":
            return MeanField(nan, nan, False, "not for gated cells")
        if e.nonlinearity not in SLOPES:
            return MeanField(nan, nan, False, f"not for {e.nonlinearity}")
        start = _start(e.replace(gain=1.0).model_dump_json())
        found = _solve(e.gain * sqrt(start.spread), start.middle, e.nonlinearity)
        if start.most == 0:  # no fluctuation, of which the theory's q could grow
            at_zero = float(ACTIVATIONS[e.nonlinearity].slope(np, np.zeros(1))[0])
            found = MeanField(e.gain**2 * start.spread * at_zero**2, 0.0)
        reason = _why_not(e, start)
        return replace(found, applies=not reason, reason=reason)
    if gain is None or input_variance is None or gain < 0 or input_variance < 0:
        raise ValueError(f"gain={gain}, input_variance={input_variance}; allowed: both given, 0 or more")
    if nonlinearity not in SLOPES:
        raise ValueError(f"nonlinearity: {nonlinearity!r}; allowed: {', '.join(SLOPES)}")
    return _solve(gain, input_variance, nonlinearity)


class Start(NamedTuple):
    """Of a network's initial weights, and a batch of its task."""

    spread: float  # variance of √H·W_hh
    low: float  # quartiles over the timesteps of the mean square of what inputs and biases add to the pre-activation
    middle: float
    high: float
    most: float  # of all timesteps


def _why_not(e: Experiment, start: Start) -> str:
    """The first assumption that does not hold; "": all of them do."""
    if INITS[e.init].spread is None and e.init not in ROTATIONS:
        return f"not for {e.init} weights"
    if e.hidden_size < FEWEST_UNITS:
        return "not for so few units"
    if e.num_layers > 1:
        return "not for several layers"
    if e.tbptt is not None and e.tbptt < e.steps:
        return "not for truncated backpropagation"
    if e.steps < FEWEST_STEPS:
        return "not for so few timesteps"
    if start.middle == 0:
        return "not without input"
    if start.high > STEADY * start.low:
        return "not for inputs whose size changes along the sequence"
    return ""


@lru_cache(maxsize=256)
def _start(text: str) -> Start:
    """Of an experiment as JSON: one that is kept here as an object would keep data of one's own."""
    e = Experiment.model_validate_json(text)
    e = e.replace(dtype="float64", train_size=None, batching="mini")  # a batch, without drawing a whole training set
    inputs, parameters = batch(e, 0)[0], blank(e)
    initialise(parameters, e)
    if e.embedding_dim is not None:
        inputs = parameters["embedding.weight"][inputs.argmax(axis=2)]
    first, of = parameters.layers[0], INITS[e.init].spread
    spread = e.hidden_size * float(np.mean(first.weight_hh**2)) if of is None else of(e.hidden_size)
    added = inputs @ first.weight_ih.T + first.bias_ih + first.bias_hh
    return Start(spread, *map(float, np.percentile(np.mean(added**2, axis=(1, 2)), (25, 50, 75, 100))))


@lru_cache(maxsize=8)
def _nodes(finer: int) -> tuple[np.ndarray, np.ndarray]:
    """The trapezoid rule: for a smooth function under a Gaussian its error falls exponentially with their number, while
    the poles of tanh(√q z) near the axis slow Gauss–Hermite down."""
    nodes = np.linspace(-12, 12, 2400 * finer + 1)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


def _tanh_moments(q: float) -> tuple[float, float]:
    """E φ² and E φ'² of tanh(√q z)."""
    nodes, weights = _nodes(1 << max(0, int(sqrt(q) / 20).bit_length()))
    squares = np.tanh(sqrt(q) * nodes) ** 2
    return float(weights @ squares), float(weights @ (1 - squares) ** 2)


SLOPES = {"tanh": None, "relu": 0.5, "identity": 1.0}  # E φ'², where it does not depend on q


@lru_cache(maxsize=4096)
def _solve(gain: float, input_variance: float, nonlinearity: str) -> MeanField:
    slope = SLOPES[nonlinearity]
    if slope is not None:  # E φ² = slope · q as well, so q* = χ q* + s²
        chi = gain**2 * slope
        return MeanField(chi, input_variance / (1 - chi) if chi < 1 else inf)
    if input_variance == 0 and gain <= 1:  # below the critical gain nothing stirs
        return MeanField(gain**2, 0.0)
    q, square = gain**2 + input_variance, 0.0
    for _ in range(200):  # Newton from above: g² E φ² + s² − q is concave in q, so that no step goes past its zero
        square, steep = _tanh_moments(q)
        rise = gain**2 * (3 * steep - 2 * (1 - square)) - 1  # d/dq E φ² = E [3 sech⁴ − 2 sech²]
        step = (gain**2 * square + input_variance - q) / rise
        q = max(q - step, input_variance)
        if abs(step) <= 1e-14 * q:
            break
    return MeanField(gain**2 * _tanh_moments(q)[1], q)
