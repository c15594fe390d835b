"""Which timesteps shape the weights? ∂L/∂W is a sum over time; here each of its terms by itself.

∂L/∂W_hh = Σ_t C_t, C_t = Σ_b ∂L/∂(W_hh h_{t−1} + b_hh)[b] ⊗ h_{t−1}[b]: what step t would change if W_hh were a matrix
of its own there. W_ih in the same way, with x_t. The sum hides that a few steps may make all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.experiment import Experiment, check_experiment
from engine.instruments.gradient_flow import BAND, LOG10_2, NOTHING, losses_of, normalise, power
from engine.instruments.jacobians import Path
from engine.instruments.pieces import Pieces, finish
from engine.instruments.pullbacks import PULLBACKS, Pulled
from engine.parameters import frozen
from engine.trace import Trace, check_trace

NAMES = ("weight_hh", "weight_ih")


@dataclass(frozen=True, eq=False)
class WeightGradient:
    """L layers, T timesteps; by name, "weight_hh" and "weight_ih". Norms are of the gradient of the batch's loss, exact
    past the range of the floating type; −inf for an exact zero, NaN where it is not a number."""

    log10_norms: Mapping[str, np.ndarray]  # (L, T) log10 ‖C_t‖, Frobenius
    cosines: Mapping[str, np.ndarray]  # (L, T) of C_t with the whole: below 0 it pulls against it; NaN where one is 0
    total: Mapping[str, np.ndarray]  # "weight_hh_l0", …: Σ_t C_t, which is ∂L/∂W


def weight_gradient_by_step(e: Experiment, t: Trace) -> WeightGradient:
    """Of a pass; `e` says the loss and the truncation. In float64, dropout and Ω left out.

    >>> import engine
    >>> e = engine.Experiment(cell="lstm", task="sine", seq_length=30)
    >>> t = engine.probe(e)
    >>> found = engine.weight_gradient_by_step(e, t)
    >>> found.log10_norms["weight_hh"].shape                                   # (layers, timesteps)
    (1, 30)
    >>> bool(np.allclose(found.total["weight_hh_l0"], t.grads["weight_hh_l0"]))
    True
    """
    check_experiment(e)
    check_trace(t, e)
    return finish(in_pieces(e, t))


def in_pieces(e: Experiment, t: Trace) -> Pieces[WeightGradient]:
    """The same, timestep by timestep: layer by layer back through time, then the terms of each."""
    path = Path(t)
    below, incoming, exponents = _inputs(t), *_from_losses(e, t, path)
    norms = {name: np.full((path.layers, path.steps), -np.inf) for name in NAMES}
    cosines = {name: np.full((path.layers, path.steps), np.nan) for name in NAMES}
    total: dict[str, np.ndarray] = {}
    for done, layer in enumerate(reversed(range(path.layers))):
        x = below if layer == 0 else np.asarray(t.hidden[layer - 1, 1:], np.float64)
        pulled: list[Pulled] = []
        at = np.zeros((path.steps, path.batch), np.int64)
        for share in _back(path, layer, incoming, exponents, e.tbptt or 0, pulled, at):
            yield (done + 0.5 * share) / path.layers
        steps = pulled[::-1]
        for share in _terms(steps, at, x, layer, norms, cosines, total):
            yield (done + 0.5 + 0.5 * share) / path.layers
        ih = np.concatenate(path.weights[layer].ih)
        with np.errstate(all="ignore"):
            incoming, exponents = np.stack([p.d_ih @ ih for p in steps]), at
    return WeightGradient(
        {name: frozen(value) for name, value in norms.items()},
        {name: frozen(value) for name, value in cosines.items()},
        {name: frozen(value) for name, value in sorted(total.items())},
    )


def _inputs(t: Trace) -> np.ndarray:
    """What enters the lowest layer, (T, B, I)."""
    x = np.asarray(t.inputs, np.float64)
    if "embedding.weight" not in t.state_dict:
        return x
    return np.asarray(t.state_dict["embedding.weight"], np.float64)[x.argmax(axis=2)]


def _from_losses(e: Experiment, t: Trace, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """∂L/∂h of the top layer by the losses alone, (T, B, H), times 2^exponents (T, B)."""
    at, entering = losses_of(e, t, False)
    whole = np.zeros((path.steps, path.batch, path.units))
    exponents = np.zeros((path.steps, path.batch), np.int64)
    exponents[at - 1] = [[_exponent(g) for g in step] for step in entering]
    whole[at - 1] = np.ldexp(entering, -exponents[at - 1, :, None])
    return whole, exponents


def _back(
    path: Path, layer: int, incoming: np.ndarray, entering: np.ndarray, cut: int, pulled: list[Pulled], at: np.ndarray
) -> Pieces[None]:
    """Append what each step sends to its weights, the last step first, times 2^at (T, B)."""
    two, w = path.size > path.units, path.weights[layer]
    g = np.zeros((path.batch, 2 if two else 1, path.units))  # ∂L/∂h, ∂L/∂c
    e = np.full(path.batch, NOTHING, np.int64)
    for k in reversed(range(path.steps)):
        with np.errstate(all="ignore"):
            joint = np.maximum(e, np.where(incoming[k].any(axis=1), entering[k], NOTHING))
            g *= power(e - joint)[:, None, None]
            g[:, 0] += incoming[k] * power(np.minimum(entering[k] - joint, 0))[:, None]
            flat, e = g.reshape(path.batch, 1, -1), joint[:, None]
            normalise(flat, e)
            g, e = flat.reshape(g.shape), e[:, 0]
            p = PULLBACKS[path.kind](w, path.state(layer, k), g[:, 0], g[:, 1] if two else None)
            pulled.append(p._replace(h=np.zeros(0), c=None))
            at[k] = e
            g = np.stack([p.h] if p.c is None else [p.h, p.c], axis=1)
            if cut and k % cut == 0:
                g[...], e = 0.0, np.full(path.batch, NOTHING, np.int64)
        yield 1 - k / path.steps


def _terms(
    steps: list[Pulled], at: np.ndarray, x: np.ndarray, layer: int, norms: dict[str, np.ndarray],
    cosines: dict[str, np.ndarray], total: dict[str, np.ndarray],
) -> Pieces[None]:  # fmt: skip
    """Norm and cosine of C_t at every step: the sum of all of them first, then each against it."""
    own = at.max(axis=1)
    exponents = {"weight_hh": own + [_exponent(p.before) for p in steps], "weight_ih": own + [_exponent(y) for y in x]}
    top = {name: int(e.max()) for name, e in exponents.items()}
    sums = {name: np.zeros(()) for name in NAMES}
    for turn in (0, 1):
        for k, p in enumerate(steps):
            with np.errstate(all="ignore"):
                apart = (exponents[name][k] - own[k] for name in NAMES)
                matrices = _matrices(p, power(at[k] - own[k])[:, None], x[k], *apart)
                for name, c in zip(NAMES, matrices, strict=True):
                    if turn == 0:
                        sums[name] = sums[name] + c * power(exponents[name][k] - top[name])
                        continue
                    size, whole = float(np.linalg.norm(c)), float(np.linalg.norm(sums[name]))
                    norms[name][layer, k] = np.log10(size) + (exponents[name][k] * LOG10_2 if size else 0.0)
                    if size and whole:
                        cosines[name][layer, k] = np.clip(np.sum(c / size * (sums[name] / whole)), -1.0, 1.0)
            yield 0.5 * turn + 0.5 * (k + 1) / len(steps)
    for name in NAMES:
        with np.errstate(all="ignore"):
            total[f"{name}_l{layer}"] = np.ldexp(sums[name], np.int32(np.clip(top[name], -5000, 5000)))


def _exponent(x: np.ndarray) -> int:
    """Of the largest number, where the square of a product with it may leave the range of float64; else 0."""
    largest = float(np.abs(x).max())
    return int(np.frexp(largest)[1]) if largest and not 2.0**-BAND < largest < 2.0**BAND else 0


def _matrices(p: Pulled, weight: np.ndarray, x: np.ndarray, of_h: int, of_x: int) -> tuple[np.ndarray, np.ndarray]:
    """C_t of W_hh (kH, H) · 2^−of_h and of W_ih (kH, I) · 2^−of_x, of sequences that count `weight` (B, 1)."""
    d_hh, units = weight * p.d_hh, p.before.shape[1]
    first = d_hh[:, :-units].T @ np.ldexp(p.before, -of_h)
    last = d_hh[:, -units:].T @ np.ldexp(p.through, -of_h)
    return np.concatenate([first, last]), (weight * p.d_ih).T @ np.ldexp(x, -of_x)
