"""Pascanu's Ω: asks that a gradient keeps its length from each step to the one before (plain RNN).

With δ = ∂E/∂h_{k+1}, all that arrives there, u = φ'(z_{k+1}) δ and v = W_hhᵀ u, which is δ ∂h_{k+1}/∂h_k:

    Ω_k = (‖v‖/‖δ‖ − 1)²,    ∂⁺Ω_k/∂W_hh = 2 (‖v‖/‖δ‖ − 1) u vᵀ / (‖v‖ ‖δ‖)

∂⁺ is the immediate derivative: states, and so φ', and δ are held fixed (Pascanu, Mikolov & Bengio 2013, eq. 9 and 10).
Ω is the mean over the batch of the sum over timesteps and layers, the step from the initial state among them. (The
program of the paper squares both norms and takes the mean over timesteps: its weight is not comparable.)
"""

import numpy as np

from engine._jit import inner, jit
from engine.matmul import flatten, number, pack, product
from engine.network import Network
from engine.unroll import clear

LEAST = np.finfo(np.float64).tiny  # the least normal number: shorter gradients have lost their digits, and their ratio


def omega(network: Network, d_outputs: np.ndarray, cut: int = 0) -> tuple[float, list[np.ndarray]]:
    """Ω and ∂⁺Ω/∂W_hh of each layer, (H, H) float64, of the last forward pass; d_outputs (S, B, O) is ∂E/∂outputs.

    cut: truncated BPTT, which changes δ only; 0 for none. Terms whose ‖δ‖ or ‖v‖ is 0, not finite or not normal in
    float64 count nothing.
    """
    value, gradients = 0.0, list[np.ndarray]()
    head = network.parameters["head.weight"].astype(np.float64)
    hidden = network.hidden
    _, steps, batch, units = hidden[:, 1:].shape
    scratch = np.zeros((4, batch * units))
    with np.errstate(all="ignore"):
        arriving = np.zeros((steps, batch, units))  # from the head, or from the layer above
        arriving[-len(d_outputs) :] = d_outputs @ head
        for layer in range(len(hidden) - 1, -1, -1):
            w_ih, w_hh = (w.astype(np.float64) for w in network.parameters.layers[layer][:2])
            slope = network.activation.slope(np, hidden[layer, 1:].astype(np.float64))
            gradient, below = np.zeros((units, units)), np.zeros((steps, batch, units if layer else 0))
            value += _layer(w_ih, w_hh, arriving, slope, cut, *scratch, gradient, below) / batch
            gradients.insert(0, gradient * (2 / batch))
            if layer:
                arriving = below if network.masks is None else below * network.masks[layer - 1]
    return value, gradients


@jit
def _layer(w_ih, w_hh, arriving, slope, cut, delta, v, left, right, gradient, below):
    """Σ over timesteps and batch of Ω_k in one layer; half of its ∂⁺/∂W_hh is added to gradient (H, H).

    arriving, slope = φ'(z): (T, B, H); below (T, B, I) becomes u W_ih, I = 0: not wanted. delta, v, left, right (B·H,)
    are scratch. As products have it: v = u W_hh, rows being sequences, and the gradient is Σₜ leftᵀ right with
    left = (‖v‖/‖δ‖ − 1) u/‖δ‖, right = v/‖v‖.
    """
    steps, batch, units = arriving.shape
    size = below.shape[2]
    o, one, total = number(0), number(1), 0.0
    from_above, slopes, flat_below, dw = (flatten(arriving), flatten(slope), flatten(below), flatten(gradient))
    packed_ih, packed_hh = np.empty(w_ih.size), np.empty(w_hh.size)
    pack(flatten(w_ih), o, size, one, units, size, packed_ih, o)
    pack(flatten(w_hh), o, units, one, units, units, packed_hh, o)
    clear(v)
    for t in range(steps - 1, -1, -1):
        start = t * batch * units
        for i in range(batch * units):
            delta[i] = from_above[start + i] + v[i]
            left[i] = delta[i] * slopes[start + i]  # u
        product(left, o, units, one, packed_hh, o, o, v, o, units, batch, units, units, o)
        product(left, o, units, one, packed_ih, o, o, flat_below, t * batch * size, size, batch, size, units, o)
        for b in range(batch):
            of_delta, of_v = _length(delta, b * units, units), _length(v, b * units, units)
            counts = LEAST <= of_delta < np.inf and LEAST <= of_v < np.inf
            off = of_v / of_delta - 1.0 if counts else 0.0
            total += off * off
            per_delta, per_v = 1.0 / of_delta, 1.0 / of_v
            for i in range(b * units, (b + 1) * units):
                left[i] = left[i] * per_delta * off if counts else 0.0
                right[i] = v[i] * per_v if counts else 0.0
        product(left, o, one, units, right, o, units, dw, o, units, units, units, batch, one)
        if cut > 0 and t % cut == 0:
            clear(v)
    return total


@inner
def _length(x, start, count):
    """‖x‖₂ of `count` numbers from `start`; scaled first where squares leave the range."""
    total = 0.0
    for i in range(start, start + count):
        total += x[i] * x[i]
    if 1e-280 < total < 1e300:
        return np.sqrt(total)
    largest = 0.0
    for i in range(start, start + count):
        size = abs(x[i])
        if not size <= largest:
            largest = size
            if not np.isfinite(size):
                return largest
    if largest == 0.0:
        return largest
    total = 0.0
    for i in range(start, start + count):
        total += (x[i] / largest) ** 2
    return largest * np.sqrt(total)
