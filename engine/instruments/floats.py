"""What would plain floating point have seen? The same pass in float32 and in float64, with nothing rescaled.

The kernels carry an exponent of 2 beside every gradient, so that a norm of 10^−1398 is one. Here δ_t = ∂L/∂h_t is what
any framework computes: below 2^−126 (float32) it loses digits, below 2^−149 it is 0, above 2^128 infinite. And far
before that it no longer counts: a step's part of the gradient of W_hh is lost in the sum over all steps as soon as it
is some 2^−24 of it (float64: 2^−53).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.experiment import Experiment
from engine.instruments.pieces import Pieces, finish, part
from engine.instruments.plain import Plain, steps_back, steps_forward
from engine.losses import LOSSES
from engine.parameters import frozen
from engine.probe import probe
from engine.trace import Trace

DTYPES = ("float32", "float64")
CLASSES = ("normal", "subnormal", "zero", "infinite", "nan")


@dataclass(frozen=True, eq=False)
class Floats:
    """A plain pass in one floating type. L layers, T timesteps, B sequences, H units; δ_t (B, H) a layer."""

    dtype: str
    loss: float
    exponents: np.ndarray  # (L, T, 3): ⌊log2 |x|⌋ of the finite components of δ_t but 0: least, median, greatest
    shares: np.ndarray  # (L, T, 5): of the components of δ_t that are normal, subnormal, zero, infinite, NaN
    log10_norms: np.ndarray  # (L, T): log10 of the mean over the batch of ‖δ_t‖₂; −inf is zero, NaN is not a number
    counted: (
        np.ndarray
    )  # (L, T): the share of W_hh's gradient that step t's part of the sum changes; NaN at t = 1: none
    grads: Mapping[str, np.ndarray]  # ∂L/∂θ, in this type
    non_finite: str | None  # the first tensor with a NaN or an infinity, by name and step; None where all is finite

    @property
    def zeros(self) -> dict[str, float]:
        """The share of each weight's gradient that is exactly zero."""
        return {name: float(np.mean(g == 0)) for name, g in self.grads.items()}


@dataclass(frozen=True, eq=False)
class FloatingPoint:
    """The truth, and what each type sees of it."""

    log10_norms: np.ndarray  # (L, T): the engine's, exact past the range of either type
    float32: Floats
    float64: Floats

    def silent(self, dtype: str, layer: int = -1) -> int:
        """The last timestep (1-based) whose δ_t is 0 in this type though it truly is not; 0: there is none.

        From there on back to the start nothing is heard of a loss at the end.
        """
        found: Floats = getattr(self, dtype)
        lost = (found.shares[layer, :, CLASSES.index("zero")] == 1) & np.isfinite(self.log10_norms[layer])
        return int(np.flatnonzero(lost)[-1]) + 1 if lost.any() else 0


def floats(
    e: Experiment, state_dict: Mapping[str, Any] | None = None, inputs: Any = None, targets: Any = None
) -> FloatingPoint:
    """At the initial weights on the first batch, or on your weights or data, as engine.probe takes them.

    Weights and data are rounded to each type; truncated BPTT (tbptt) cuts as it does in training; Ω is left out.
    Raises ValueError as probe() does.

    >>> import engine
    >>> e = engine.Experiment(nonlinearity="identity", init="orthogonal", gain=0.3, seq_length=100)
    >>> found = engine.floats(e)        # a factor of 0.3 a step: 2^−149 is 86 steps away
    >>> found.silent("float32"), found.silent("float64")
    (17, 0)
    >>> print(f"the first step truly has 10^{found.log10_norms[0, 0]:.1f}")
    the first step truly has 10^-53.3
    """
    return finish(in_pieces(e, probe(e, state_dict, inputs, targets)))


def in_pieces(e: Experiment, t: Trace) -> Pieces[FloatingPoint]:
    """The same of a pass that there is, timestep by timestep; `e` says the loss and the truncation."""
    found = []
    for half, dtype in enumerate(DTYPES):
        found.append((yield from part(half / 2, 0.5, _pass(e, t, np.dtype(dtype)))))
    return FloatingPoint(t.log10_grad_norms, *found)


class _First:
    """The first tensor that is not finite, in the order of computation."""

    name: str | None = None

    def note(self, name: str, x: np.ndarray) -> None:
        if self.name is None and not np.isfinite(x).all():
            self.name = name


def _pass(e: Experiment, t: Trace, dtype: np.dtype) -> Pieces[Floats]:
    first, layers, steps = _First(), len(t.hidden), t.hidden.shape[1] - 1
    with np.errstate(all="ignore"):
        w = {name: np.asarray(value).astype(dtype) for name, value in t.state_dict.items()}
        x = t.inputs.astype(dtype)
    for name, value in [*w.items(), ("inputs", x)]:
        first.note(name, value)
    below = [w["embedding.weight"][x.argmax(axis=2)] if "embedding.weight" in w else x]  # the inputs of each layer
    cells = [Plain(t.kind, t.nonlinearity, w, layer) for layer in range(layers)]
    share, done = 1 / (3 * layers * steps), 0
    for layer, cell in enumerate(cells):
        for k in steps_forward(cell, below[-1]):
            for name, state in zip(("hidden", "cell"), cell.states[-1], strict=False):
                first.note(f"{name}_l{layer} at t = {k}", state)
            done += 1
            yield done * share
        below.append(np.stack([state[0] for state in cell.states[1:]]))

    loss, grads, arriving = _head(e, t, w, below.pop(), first)
    exponents, shares = np.full((layers, steps, 3), np.nan), np.zeros((layers, steps, len(CLASSES)))
    log10, counted = np.full((layers, steps), np.nan), np.full((layers, steps), np.nan)
    for layer in range(layers - 1, -1, -1):
        cell = cells[layer]
        for k, delta in steps_back(cell, below[layer], arriving, e.tbptt or 0):
            first.note(f"gradient of hidden_l{layer} at t = {k + 1}", delta)
            exponents[layer, k], shares[layer, k], log10[layer, k] = _seen(delta)
            done += 1
            yield done * share
        for k in range(1, steps):
            counted[layer, k] = _counted(cell.grads["weight_hh"], cell.part(k))
            done += 1
            yield done * share
        grads |= {f"{name}_l{layer}": g for name, g in cell.grads.items()}
        arriving = np.stack(cell.from_above[::-1])
    if "embedding.weight" in w:
        with np.errstate(all="ignore"):
            grads["embedding.weight"] = np.tensordot(x, arriving, ((0, 1), (0, 1)))
    grads = {name: frozen(grads[name]) for name in w}
    for name, g in grads.items():
        first.note(f"gradient of {name}", g)
    for array in (exponents, shares, log10, counted):
        frozen(array)
    return Floats(dtype.name, loss, exponents, shares, log10, counted, grads, first.name)


def _head(
    e: Experiment, t: Trace, w: dict[str, np.ndarray], hidden: np.ndarray, first: _First
) -> tuple[float, dict[str, np.ndarray], np.ndarray]:  # fmt: skip
    """The loss, the head's gradients, and what arrives at the top layer's states hidden (T, B, H), as much."""
    every_step = t.targets.ndim == (2 if t.targets.dtype.kind == "i" else 3)
    read, arriving = hidden if every_step else hidden[-1:], np.zeros_like(hidden)
    with np.errstate(all="ignore"):
        targets = t.targets if t.targets.dtype.kind == "i" else t.targets.astype(hidden.dtype)
        outputs = read @ w["head.weight"].T + w["head.bias"]
        loss, d = LOSSES[e.loss_name].value_and_gradient(outputs, targets if every_step else targets[None], 1.0)
        grads = {"head.weight": np.tensordot(d, read, ((0, 1), (0, 1))), "head.bias": d.sum(axis=(0, 1))}
        arriving[len(hidden) - len(d) :] = d @ w["head.weight"]
    first.note("outputs", outputs)
    first.note("loss", np.array(loss))
    return float(loss), grads, arriving


def _seen(delta: np.ndarray) -> tuple[Any, list[float], float]:
    """Least, median and greatest exponent of δ (B, H), the shares of its classes, and log10 of its mean norm."""
    size = np.abs(delta)
    nan, infinite, zero = np.isnan(size), np.isinf(size), size == 0
    subnormal = (size < np.finfo(delta.dtype).tiny) & ~zero
    counts = [int(x.sum()) for x in (subnormal, zero, infinite, nan)]
    shares = [n / size.size for n in (size.size - sum(counts), *counts)]
    there = np.frexp(size[~(nan | infinite | zero)])[1] - 1
    exponents = (there.min(), np.median(there), there.max()) if there.size else (np.nan,) * 3
    with np.errstate(all="ignore"):
        size = size.astype(np.float64)
        largest = size.max(axis=1, keepdims=True)
        log2 = np.log2(largest[:, 0]) + 0.5 * np.log2(((size / largest) ** 2).sum(axis=1))
        whole = np.isfinite(largest[:, 0]) & (largest[:, 0] > 0)
        log2 = np.where(whole, log2, np.log2(largest[:, 0]))  # all 0, or one infinite, or NaN
        mean = np.logaddexp2.reduce(log2) - np.log2(len(log2))
    return exponents, shares, float(mean) * float(np.log10(2.0))


def _counted(total: np.ndarray, part: np.ndarray) -> float:
    """Of the components of a sum, the share that is another number without this part of it; NaN if any is not one."""
    if not np.isfinite(total).all():
        return float("nan")
    with np.errstate(all="ignore"):
        return float(np.mean(total - part != total))
