"""Does a small difference between two states grow or die? The Lyapunov spectrum (Benettin et al. 1980; QR form).

Q R = J_t Q at every step, J_t = ∂s_t/∂s_{t−1}: λ_i is the mean of log |R_ii|, in nats a step. The layers of a stack
make a block-triangular system, whose exponents are those of its layers together. A Q of the whole stack finds them too,
but has to find the layer first: two layers of 5 tanh units have λ_1 = −0.082 in the long run; 200 steps after a
transient of 50 say −0.081 ± 0.001 layer by layer and −0.090 ± 0.002 as a whole (120 trajectories), which comes to
−0.083 ± 0.001 after a transient of 500. Where layers are close, the one that happens to be ahead counts: of three such
LSTM layers 200 steps say −0.064 instead of −0.065, about a standard error too much.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.cells import KINDS
from engine.data import batches
from engine.experiment import Experiment, check_experiment
from engine.instruments.jacobians import JACOBIANS, STEPS, weights_of
from engine.instruments.pieces import Pieces, finish
from engine.parameters import frozen, load
from engine.weights import blank, initialise

INPUTS = ("task", "none")
BLOCKS = 10  # parts of a trajectory, whose means are taken as independent
TRANSIENT = 0.25  # steps that come before, as a share of those that count: the state, and Q, have to settle
START = 0.5  # standard deviation of the first state where there is no input: at exactly 0 some networks stay for ever


@dataclass(frozen=True, eq=False)
class Lyapunov:
    """Exponents in nats a step, descending; −inf: an exact 0 in every direction of that kind; NaN: not finite.

    Each is a mean over the trajectories, of the one that has this place among those of all layers of a trajectory: two
    trajectories may have settled in different places, with another layer ahead.
    """

    exponents: np.ndarray  # (count,)
    standard_errors: np.ndarray  # (count,): the larger of two, over the trajectories, and over 10 parts of each;
    # NaN where an exponent is −inf
    layers: np.ndarray  # (count,) the layer (0, 1, …) that each belongs to in most trajectories; the lowest of equals
    local: np.ndarray  # (steps, L): log |R_11| of each step, the mean over the trajectories
    largest: np.ndarray  # (steps,): what each step adds to the largest exponent, which is its mean
    inputs: str  # "task" or "none"


def lyapunov(
    e: Experiment, steps: int = 400, count: int | None = None, inputs: str = "task", *,
    state_dict: Mapping[str, Any] | None = None, sequences: int = 4,
) -> Lyapunov:  # fmt: skip
    """The `count` largest exponents (None: all) at the initial weights, or on your weights.

    inputs "task": along the task's sequences, one after another as if they were one; "none": x = 0, from a random
    state. `steps` timesteps count, after a quarter as many that do not; `sequences` trajectories beside each other.
    All in float64. Raises ValueError for what is out of range.

    >>> import engine
    >>> e = engine.Experiment(init="orthogonal", gain=0.9, nonlinearity="identity", hidden_size=8)
    >>> found = engine.lyapunov(e, steps=50, inputs="none")
    >>> [round(float(x), 6) for x in found.exponents[:3]]         # log 0.9: every direction shrinks alike
    [-0.105361, -0.105361, -0.105361]
    """
    return finish(in_pieces(e, steps, count, inputs, state_dict=state_dict, sequences=sequences))


def in_pieces(
    e: Experiment, steps: int = 400, count: int | None = None, inputs: str = "task", *,
    state_dict: Mapping[str, Any] | None = None, sequences: int = 4,
) -> Pieces[Lyapunov]:  # fmt: skip
    """The same, timestep by timestep."""
    check_experiment(e)
    units, size = e.hidden_size, e.hidden_size * KINDS[e.kind].states
    most = size * e.num_layers
    for name, value, least, limit in (
        ("steps", steps, BLOCKS, 10_000_000), ("count", most if count is None else count, 1, most),
        ("sequences", sequences, 1, 4096),
    ):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= limit:
            raise ValueError(f"{name}: {value!r}; allowed: whole numbers from {least} to {limit}")
    if inputs not in INPUTS:
        raise ValueError(f"inputs: {inputs!r}; allowed: {', '.join(INPUTS)}")
    parameters = blank(e)
    initialise(parameters, e) if state_dict is None else load(parameters, state_dict)
    weights, each = weights_of(e.kind, e.nonlinearity, parameters), min(count or size, size)
    table = parameters.get("embedding.weight")
    two, spread = KINDS[e.kind].states == 2, START if inputs == "none" else 0.0
    streams = [np.random.default_rng([e.seed, layer]) for layer in range(e.num_layers)]
    h = [spread * rng.standard_normal((sequences, units)) for rng in streams]
    c = [np.zeros((sequences, units)) if two else None for _ in streams]
    q = [np.linalg.qr(rng.standard_normal((sequences, size, each)))[0] for rng in streams]
    before = int(np.ceil(TRANSIENT * steps))
    grown = np.zeros((steps, e.num_layers, sequences, each))
    stream = _inputs(e, sequences, inputs, table)
    for t in range(-before, steps):
        x = next(stream)
        with np.errstate(all="ignore"):
            for layer, w in enumerate(weights):
                s = STEPS[e.kind](w, x, h[layer], c[layer])
                j = JACOBIANS[e.kind](w, s)
                x, h[layer], c[layer] = s.new_h, s.new_h, s.new_c
                if np.isfinite(j).all():
                    turned = j @ q[layer]
                    q[layer], r = np.linalg.qr(turned)
                    left = np.abs(np.diagonal(r, axis1=1, axis2=2))
                    noise = size * np.finfo(np.float64).eps * np.linalg.norm(turned, axis=1)
                    found = np.log(np.where(left <= noise, 0.0, left))  # nothing of it is its own: an exact 0
                else:
                    found = np.full((sequences, each), np.nan)
                if t >= 0:
                    grown[t, layer] = found
        yield (t + before + 1) / (before + steps)
    return _summary(grown, most if count is None else count, inputs)


def _inputs(e: Experiment, sequences: int, inputs: str, table: np.ndarray | None) -> Iterator[np.ndarray]:
    """What enters the lowest layer, (sequences, I), timestep after timestep without end."""
    if inputs == "none":
        width = blank(e).layers[0].weight_ih.shape[1]
        while True:
            yield np.zeros((sequences, width))
    e = e.replace(batch_size=sequences, batching="mini", train_size=None)
    for x, _ in batches(e):
        x = np.asarray(x, np.float64)
        yield from x if table is None else np.asarray(table, np.float64)[x.argmax(axis=2)]


def _summary(grown: np.ndarray, count: int, inputs: str) -> Lyapunov:
    """From grown (steps, L, sequences, n), log |R_ii| of every step."""
    steps, layers, sequences, each = grown.shape
    kept = steps - steps % BLOCKS
    with np.errstate(all="ignore"):
        spectra = grown.mean(axis=0).transpose(1, 0, 2)
        # The layers of a trajectory together. Those of one layer stay as Q has them: to sort noise too would make the
        # largest larger.
        ahead = np.minimum.accumulate(spectra, axis=2).reshape(sequences, -1)
        order, spectra = np.argsort(-ahead, axis=1, kind="stable"), spectra.reshape(sequences, -1)
        parts = grown[:kept].reshape(BLOCKS, -1, layers, sequences, each).mean(axis=1)
        parts = parts.transpose(2, 0, 1, 3).reshape(sequences, BLOCKS, layers * each)
        spectra, parts = np.take_along_axis(spectra, order, 1), np.take_along_axis(parts, order[:, None], 2)
        mean = spectra.mean(axis=0)
        samples = parts.reshape(BLOCKS * sequences, layers * each)
        error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
        if sequences > 1:
            error = np.maximum(error, spectra.std(axis=0, ddof=1) / np.sqrt(sequences))
        local = grown[..., 0].mean(axis=2)
        ranked = np.argsort(-mean, kind="stable")[:count]
        layer, place = np.divmod(order[:, ranked[0]], each)
        largest = grown[:, layer, np.arange(sequences), place].mean(axis=1)
    of_layer = np.stack([(order // each == layer).sum(axis=0) for layer in range(layers)]).argmax(axis=0)
    exponents, errors, places = (frozen(array[ranked]) for array in (mean, error, of_layer))
    return Lyapunov(exponents, errors, places, frozen(local), frozen(largest), inputs)
