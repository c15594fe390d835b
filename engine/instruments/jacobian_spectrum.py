"""Why does a gradient shrink or grow? The singular values of each step's Jacobian, and of their product.

J_t = ∂s_t/∂s_{t−1}, s = h, or (h, c) for the LSTM. A gradient that goes one step back is multiplied by at most the
largest singular value of J_t; on the way from T to k by at most that of J_T … J_{k+1} (Pascanu et al. 2013, §2.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.cells import KINDS
from engine.instruments.jacobians import Path
from engine.instruments.pieces import Pieces, finish
from engine.instruments.products import Product
from engine.parameters import frozen
from engine.trace import Trace, check_trace
from engine.weights import sigma_max, spectral_radius

STEEPEST = {"sigmoid": 0.25}  # the greatest slope of φ, where it is not 1
POWERS = 50
LOG10_2 = float(np.log10(2.0))


class Recurrent(NamedTuple):
    """One block of W_hh as a linear map of its own. ρ < 1 promises decay only in the long run: W^k may grow first."""

    layer: int
    gate: str  # "" for the plain RNN
    rho: float  # largest |eigenvalue|
    sigma: float  # largest singular value, ‖W‖
    henrici: float  # √(‖W‖_F² − Σ|λ|²)/‖W‖_F: 0 for a normal matrix, 1 for a nilpotent one (Henrici 1962)
    log10_powers: np.ndarray  # (K+1,): log10 ‖W^k‖, k = 0 … K


@dataclass(frozen=True, eq=False)
class JacobianSpectrum:
    """Along one sequence: L layers, n timesteps, S numbers a state. Values descend; NaN where not finite."""

    at: np.ndarray  # (n,) the timesteps t, 1 … T or some of them
    singular_values: np.ndarray  # (L, n, S) of J_t; one below the rounding of the largest is an exact 0
    log10_product: np.ndarray  # (L, n, S) log10 of those of ∂s_T/∂s_{t−1} = J_T … J_t; −inf: an exact 0
    bound: np.ndarray  # (L,): ‖J_t‖ is never more than max φ' · σ_max(W_hh); NaN for gated cells, which have none
    weights: tuple[Recurrent, ...]  # each block of W_hh, layer by layer


def jacobian_spectrum(t: Trace, sequence: int = 0, most: int | None = None) -> JacobianSpectrum:
    """Of one sequence of a pass; `most`: at so many of its timesteps, evenly spread (the product is of all).

    Raises ValueError where the batch has no such sequence.

    >>> import engine
    >>> t = engine.probe(engine.Experiment(gain=0.9, seq_length=30))
    >>> spectrum = engine.jacobian_spectrum(t)
    >>> spectrum.singular_values.shape                            # (layers, timesteps, units)
    (1, 30, 32)
    >>> bool((spectrum.singular_values <= spectrum.bound).all())  # no step gains more than σ_max(W_hh)
    True
    """
    check_trace(t)
    for name, value, least in (("sequence", sequence, 0), ("most", most, 1)):
        given = not (name == "most" and value is None)
        if given and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least):
            raise ValueError(f"{name}: {value!r}; allowed: whole numbers, {least} or more")
    return finish(in_pieces(t, sequence, most))


def in_pieces(t: Trace, sequence: int = 0, most: int | None = None) -> Pieces[JacobianSpectrum]:
    """The same, timestep by timestep."""
    path = Path(t)
    if not 0 <= sequence < path.batch:
        raise ValueError(f"sequence: {sequence!r}; allowed: 0 to {path.batch - 1}")
    at = np.unique(np.linspace(1, path.steps, min(path.steps, most or path.steps)).round().astype(int))
    shape = path.layers, len(at), path.size
    values, products = np.full(shape, np.nan), np.full(shape, np.nan)
    only = slice(sequence, sequence + 1)
    for layer in range(path.layers):
        product = Product(path.size)  # of the transposed: (J_T … J_{k+1})ᵀ = J_{k+1}ᵀ … J_Tᵀ
        place = len(at) - 1
        for k in reversed(range(path.steps)):
            with np.errstate(all="ignore"):
                j = path.jacobian(layer, k, only)[0]
            product.times(j.T)
            if at[place] == k + 1:
                if np.isfinite(j).all():
                    own = np.linalg.svd(j, compute_uv=False)
                    own[own <= len(j) * np.finfo(float).eps * own[0]] = 0.0  # the rounding of a 0, as in Product
                    values[layer, place] = own
                products[layer, place] = product.log2_singular_values() * LOG10_2
                place -= 1
            yield (layer + 1 - k / path.steps) / path.layers
    weights = recurrent_weights(t.kind, t.state_dict)
    bound = np.full(path.layers, np.nan)
    if not KINDS[t.kind].gates:
        bound[:] = [STEEPEST.get(t.nonlinearity, 1.0) * w.sigma for w in weights]
    return JacobianSpectrum(frozen(at), frozen(values), frozen(products), frozen(bound), weights)


def recurrent_weights(kind: str, state_dict: Mapping[str, Any], powers: int = POWERS) -> tuple[Recurrent, ...]:
    """Each block of W_hh of each layer by itself. kind: a name of engine.cells.KINDS."""
    found = []
    for layer in range(sum(name.startswith("weight_hh_l") for name in state_dict)):
        blocks = np.split(np.asarray(state_dict[f"weight_hh_l{layer}"], np.float64), KINDS[kind].blocks)
        for gate, w in zip(KINDS[kind].gates or ("",), blocks, strict=True):
            found.append(Recurrent(layer, gate, spectral_radius(w), sigma_max(w), henrici(w), _powers(w, powers)))
    return tuple(found)


def henrici(w: np.ndarray) -> float:
    """The departure from normality as a share of ‖W‖_F; 0 for W = 0, NaN where W is not finite."""
    if not np.isfinite(w).all():
        return float("nan")
    scale = float(np.abs(w).max(initial=0.0))
    if scale == 0:
        return 0.0
    whole = float(np.sum((w / scale) ** 2))
    return float(np.sqrt(max(0.0, 1.0 - np.sum(np.abs(np.linalg.eigvals(w / scale)) ** 2) / whole)))


def _powers(w: np.ndarray, count: int) -> np.ndarray:
    """(count + 1,): log10 ‖W^k‖."""
    product, found = Product(len(w)), np.zeros(count + 1)
    for k in range(1, count + 1):
        product.times(w)
        found[k] = product.log2_singular_values()[0] * LOG10_2
    return frozen(found)
