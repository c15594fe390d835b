"""Which step of the past does each loss still feel? The flow matrix ‖∂L_t/∂h_k‖ (Pascanu et al. 2013, eq. 3 to 5).

∂L/∂h_k = Σ_t ∂L_t/∂h_k hides which of the losses a gradient comes from. Here all of them go back together, each with
its own exponent of 2: G_t,k = G_t,k+1 A_{k+1}, with A the cell's Jacobian, plus ∂L_k/∂h_k where k is a loss's own step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.experiment import Experiment
from engine.instruments.jacobians import Path
from engine.instruments.pieces import Pieces, finish
from engine.losses import LOSSES
from engine.parameters import frozen
from engine.probe import probe
from engine.trace import Trace

NOTHING = -(1 << 40)  # the exponent of a gradient that is exactly zero
BAND = 200  # stored gradients have norms of 2^−200 to 2^200
AT_ONCE = 1 << 21  # numbers of the gradients that are carried at once: 16 MB
LOG10_2 = float(np.log10(2.0))


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """R losses, read at the 1-based timesteps `at`; L layers, T timesteps. Exact past the range of the floating type.

    All are of the mean over the batch of a norm ‖·‖₂; −inf is an exact zero, and so is every k > t.
    """

    at: np.ndarray  # (R,) ascending
    log10_norms: np.ndarray  # (L, R, T) log10 ‖∂L_t/∂h_k‖
    log10_total: np.ndarray  # (L, T) log10 ‖Σ_t ∂L_t/∂h_k‖: with all losses what probe() has as log10_grad_norms

    @property
    def norms(self) -> np.ndarray:
        """(L, R, T) ‖∂L_t/∂h_k‖, as far as float64 can say it."""
        with np.errstate(over="ignore", under="ignore"):
            return np.float_power(10.0, self.log10_norms)

    def beyond(self, layer: int = -1) -> np.ndarray:
        """(T,): the share of Σ_t,k ‖∂L_t/∂h_k‖ that comes from more than n steps before its loss, n = 0 … T−1."""
        lags = self.by_lag(layer)
        total = lags.sum()
        return np.maximum(0.0, 1.0 - np.cumsum(lags) / total) if total > 0 else np.full(len(lags), np.nan)

    def by_lag(self, layer: int = -1) -> np.ndarray:
        """(T,): Σ_t ‖∂L_t/∂h_{t−n}‖ by lag n = 0 … T−1, as a share of the whole; NaN where it is not a number."""
        log10, steps = self.log10_norms[layer], self.log10_norms.shape[-1]
        largest = log10.max(initial=-np.inf)
        if not np.isfinite(largest):
            return np.full(steps, np.nan)
        scaled, lags = np.float_power(10.0, log10 - largest), np.zeros(steps)
        for row, t in enumerate(self.at):
            lags[:t] += scaled[row, :t][::-1]
        return lags / lags.sum()


def gradient_flow(
    e: Experiment, state_dict: Mapping[str, Any] | None = None, inputs: Any = None, targets: Any = None, *,
    everywhere: bool = False, most: int | None = None,
) -> GradientFlow:  # fmt: skip
    """The matrix at the initial weights on the first batch, or on your weights or data, as engine.probe takes them.

    everywhere: as if the loss, where the task reads it at the last step only, were read at every step, with the same
    targets. most: at most so many of the losses, evenly spread; then `log10_total` is of these alone. Truncated BPTT
    (tbptt) cuts here as it does in training. Raises ValueError as probe() does.

    >>> import engine
    >>> e = engine.Experiment(task="sine", seq_length=30)
    >>> flow = engine.gradient_flow(e)
    >>> flow.log10_norms.shape                       # (layers, losses, timesteps)
    (1, 30, 30)
    >>> print(f"{flow.beyond()[5]:.0%} comes from more than 5 steps back")
    54% comes from more than 5 steps back
    """
    if most is not None and (isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 1):
        raise ValueError(f"most: {most!r}; allowed: None, or whole numbers, 1 or more")
    return finish(in_pieces(e, probe(e, state_dict, inputs, targets), everywhere, most))


def in_pieces(e: Experiment, t: Trace, everywhere: bool = False, most: int | None = None) -> Pieces[GradientFlow]:
    """The same of a pass that there is, timestep by timestep; `e` says the loss and the truncation."""
    path = Path(t)
    at, entering = losses_of(e, t, everywhere)
    if most is not None and len(at) > most:
        kept = np.unique(np.linspace(0, len(at) - 1, most).round().astype(int))
        at, entering = at[kept], entering[kept]
    cut, each = e.tbptt or 0, max(1, AT_ONCE // (len(at) * path.size * path.layers))
    log2 = np.full((path.layers, len(at), path.steps), -np.inf)
    total = np.full((path.layers, path.steps), -np.inf)
    parts = [slice(start, min(start + each, path.batch)) for start in range(0, path.batch, each)]
    for n, chosen in enumerate(parts):
        for done in _back(path, chosen, at, entering[:, chosen], cut, log2, total):
            yield (n + done) / len(parts)
    mean = np.log2(path.batch)
    return GradientFlow(frozen(at), frozen((log2 - mean) * LOG10_2), frozen((total - mean) * LOG10_2))


def losses_of(e: Experiment, t: Trace, everywhere: bool) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps (R,) of the losses, and ∂L_t/∂h_t (R, B, H) of the top layer at each of them."""
    head, loss = np.asarray(t.state_dict["head.weight"], np.float64), LOSSES[e.loss_name].value_and_gradient
    outputs, targets, steps = np.asarray(t.outputs, np.float64), t.targets, t.hidden.shape[1] - 1
    with np.errstate(all="ignore"):
        if targets.ndim == (2 if targets.dtype.kind == "i" else 3):
            return np.arange(1, steps + 1), loss(outputs, targets, 1.0)[1] @ head
        if not everywhere:
            return np.array([steps]), loss(outputs, targets[None], 1.0)[1] @ head
        outputs = np.asarray(t.hidden[-1, 1:], np.float64) @ head.T + np.asarray(t.state_dict["head.bias"], np.float64)
        return np.arange(1, steps + 1), np.stack([loss(y[None], targets[None], 1.0)[1][0] for y in outputs]) @ head


def _back(
    path: Path, chosen: slice, at: np.ndarray, entering: np.ndarray, cut: int, log2: np.ndarray, total: np.ndarray
) -> Pieces[None]:
    """Add the chosen sequences to log2 (L, R, T) and total (L, T): log2 of sums over the batch.

    carried[l] (b, R, S): what comes back to step k from the losses after it; exponents (L, b, R).
    """
    batch, units, top = chosen.stop - chosen.start, path.units, path.layers - 1
    carried = np.zeros((path.layers, batch, len(at), path.size))
    exponents = np.full((path.layers, batch, len(at)), NOTHING, np.int64)
    for k in reversed(range(path.steps)):
        first = int(np.searchsorted(at, k + 1))  # the losses from here on have begun
        if first == len(at):
            continue
        above, above_exponents = np.zeros(0), np.zeros(0, np.int64)
        with np.errstate(all="ignore"):
            for layer in range(top, -1, -1):
                g, e = carried[layer, :, first:], exponents[layer, :, first:]
                if layer < top:
                    joint = np.maximum(e, above_exponents)
                    g *= power(e - joint)[..., None]
                    g[..., :units] += above * power(above_exponents - joint)[..., None]
                    e[...] = joint
                elif at[first] == k + 1:
                    g[:, 0, :units], e[:, 0] = entering[first], 0
                _note(g[..., :units], e, log2[layer, first:, k], total[layer], k)
                normalise(g, e)
                if layer:
                    above, above_exponents = g @ path.from_below(layer, k, chosen), e.copy()
                if cut and k % cut == 0:
                    g[...], e[...] = 0.0, NOTHING
                elif k:
                    g[...] = g @ path.jacobian(layer, k, chosen)
        yield 1 - k / path.steps


def power(exponents: np.ndarray) -> np.ndarray:
    """2^exponents for exponents up to 0."""
    return np.ldexp(1.0, np.maximum(exponents, -2000).astype(np.int32))


def normalise(g: np.ndarray, e: np.ndarray) -> None:
    """Bring every gradient of g (b, n, S) into the band; its exponent takes up the difference."""
    norm = np.sqrt(np.einsum("bns,bns->bn", g, g))
    out = np.isfinite(norm) & ((norm < 2.0**-BAND) | (norm > 2.0**BAND)) & (norm > 0)
    if out.any():
        shift = np.floor(np.log2(norm[out])).astype(np.int64)
        g[out] = np.ldexp(g[out], -shift[:, None].astype(np.int32))
        e[out] += shift
    e[norm == 0] = NOTHING


def _note(h: np.ndarray, e: np.ndarray, log2: np.ndarray, total: np.ndarray, k: int) -> None:
    """Add the norms of h (b, n, H) · 2^e (b, n), sum over b, to log2 (n,), and that of the sum over n to total[k]."""
    log2[...] = np.logaddexp2(log2, np.logaddexp2.reduce(_log2_norm(h) + np.where(e == NOTHING, 0, e), axis=0))
    largest = e.max(axis=1, keepdims=True)
    together = (power(e - largest)[:, None, :] @ h)[:, 0]
    whole = _log2_norm(together) + np.where(largest[:, 0] == NOTHING, 0, largest[:, 0])
    total[k] = np.logaddexp2(total[k], np.logaddexp2.reduce(whole))


def _log2_norm(x: np.ndarray) -> np.ndarray:
    return 0.5 * np.log2(np.einsum("...h,...h->...", x, x))
