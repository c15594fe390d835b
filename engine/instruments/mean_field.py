"""What does theory expect? The mean field of a wide random recurrent network (Schoenholz et al. 2017).

W_ij ~ N(0, g²/H), input of variance s² on the pre-activation. Its variance settles at
q* = g² E[φ(√q* z)²] + s², z ~ N(0, 1); then ‖δ‖² changes by χ = g² E[φ'(√q* z)²] at each step back.
E is a trapezoid sum for tanh, exact for relu and linear.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import inf, log, log10, sqrt

import numpy as np

from engine.data import batch
from engine.experiment import Experiment
from engine.initializers import INITS
from engine.tasks import TASKS
from engine.weights import blank, initialise

FEWEST_STEPS = 30  # by then the variance of the states has settled
STEADY = 2.0  # the upper quartile of the input's variance over time is at most so many times the lower


@dataclass(frozen=True)
class MeanField:
    """chi: factor of ‖δ‖² a step; q: variance of the pre-activation; lyapunov: ½ log χ; memory_length: 1/|log χ| steps.

    applies: do the theory's assumptions hold; reason: which does not. slope: decades of ‖δ‖ gained by one step back.
    """

    chi: float
    q: float
    applies: bool = True
    reason: str = ""

    @property
    def lyapunov(self) -> float:
        return 0.5 * log(self.chi) if self.chi > 0 else -inf

    @property
    def memory_length(self) -> float:
        return inf if self.chi == 1 else 1 / abs(log(self.chi)) if self.chi > 0 else 0.0

    @property
    def slope(self) -> float:
        return 0.5 * log10(self.chi) if self.chi > 0 else -inf


def mean_field(
    e: Experiment | None = None, *, gain: float | None = None, input_variance: float | None = None,
    nonlinearity: str = "tanh",
) -> MeanField:  # fmt: skip
    """The theory for a gain and an input variance, or for an experiment's initial network (with the task's inputs).

    >>> round(mean_field(gain=1.5, input_variance=0.0).chi, 4)
    1.1393
    """
    if e is not None:
        reason = _why_not(e)
        if reason:
            return MeanField(float("nan"), float("nan"), False, reason)
        spread = INITS[e.init].spread
        assert spread is not None  # or there were a reason
        return _solve(e.gain * sqrt(spread(e.hidden_size)), _input_variances(e.replace(gain=1.0))[1], e.nonlinearity)
    if gain is None or input_variance is None or gain < 0 or input_variance < 0:
        raise ValueError(f"gain={gain}, input_variance={input_variance}; allowed: both given, 0 or more")
    if nonlinearity not in SLOPES:
        raise ValueError(f"nonlinearity: {nonlinearity!r}; allowed: {', '.join(SLOPES)}")
    return _solve(gain, input_variance, nonlinearity)


def _why_not(e: Experiment) -> str:
    if e.cell != "rnn":
        return "not for gated cells"
    if e.nonlinearity not in SLOPES:
        return f"not for {e.nonlinearity}"
    if INITS[e.init].spread is None:
        return f"not for {e.init} weights"
    if e.hidden_size < 16:
        return "too few units"
    if e.num_layers > 1:
        return "one layer only"
    if TASKS[e.task].every_step:
        return "the loss is read at every step"
    if e.steps < FEWEST_STEPS:
        return "too few timesteps"
    low, middle, high = _input_variances(e.replace(gain=1.0))
    if middle == 0:
        return "no input"
    if high > STEADY * low:
        return "the inputs' size changes along the sequence"
    return ""


@lru_cache(maxsize=256)
def _input_variances(e: Experiment) -> tuple[float, float, float]:
    """Quartiles over the timesteps of the mean square of what inputs and biases add to the pre-activation."""
    e = e.replace(dtype="float64", train_size=None, batching="mini")  # a batch, without drawing a whole training set
    inputs, parameters = batch(e, 0)[0], blank(e)
    initialise(parameters, e)
    if e.embedding_dim is not None:
        inputs = parameters["embedding.weight"][inputs.argmax(axis=2)]
    first = parameters.layers[0]
    added = inputs @ first.weight_ih.T + first.bias_ih + first.bias_hh
    low, middle, high = np.percentile(np.mean(added**2, axis=(1, 2)), (25, 50, 75))
    return float(low), float(middle), float(high)


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
    x = sqrt(q) * nodes
    return float(weights @ np.tanh(x) ** 2), float(weights @ np.cosh(np.clip(x, -80, 80)) ** -4)


SLOPES = {"tanh": None, "relu": 0.5, "identity": 1.0}  # E φ'², where it does not depend on q


@lru_cache(maxsize=4096)
def _solve(gain: float, input_variance: float, nonlinearity: str) -> MeanField:
    slope = SLOPES[nonlinearity]
    if slope is not None:  # E φ² = slope · q as well, so q* = χ q* + s²
        chi = gain**2 * slope
        return MeanField(chi, input_variance / (1 - chi) if chi < 1 else inf)
    low, high = input_variance, gain**2 + input_variance
    if input_variance == 0 and gain <= 1:  # below the critical gain nothing stirs
        high = 0.0
    low = max(low, 1e-12 * high)
    for _ in range(80):  # g² E φ² + s² − q is positive below q* and negative above
        q = 0.5 * (low + high)
        low, high = (q, high) if gain**2 * _tanh_moments(q)[0] + input_variance > q else (low, q)
    return MeanField(gain**2 * _tanh_moments(high)[1], high)
