"""Pascanu's Ω: asks that a gradient keeps its length from each step to the one before (plain RNN).

With δ = ∂E/∂h_{k+1}, all that arrives there, u = φ'(z_{k+1}) δ and v = W_hhᵀ u, which is δ ∂h_{k+1}/∂h_k:

    Ω_k = (‖v‖/‖δ‖ − 1)²,    ∂⁺Ω_k/∂W_hh = 2 (‖v‖/‖δ‖ − 1) u vᵀ / (‖v‖ ‖δ‖)

∂⁺ is the immediate derivative: states, and so φ', and δ are held fixed (Pascanu, Mikolov & Bengio 2013, eq. 9 and 10).
Ω is the mean over the batch of the sum over timesteps and layers, the step from the initial state among them. (The
program of the paper squares both norms and takes the mean over timesteps: its weight is not comparable.)
"""

import numpy as np

from engine.network import Network

LEAST = np.finfo(np.float64).tiny  # the least normal number: shorter gradients have lost their digits, and their ratio


def omega(network: Network, d_outputs: np.ndarray, cut: int = 0) -> tuple[float, list[np.ndarray]]:
    """Ω and ∂⁺Ω/∂W_hh of each layer, (H, H) float64, of the last forward pass; d_outputs (S, B, O) is ∂E/∂outputs.

    cut: truncated BPTT, which changes δ only; 0 for none. Terms whose ‖δ‖ or ‖v‖ is 0, not finite or not normal in
    float64 count nothing.
    """
    value, gradients = 0.0, list[np.ndarray]()
    head, read = network.parameters["head.weight"].astype(np.float64), len(d_outputs)
    with np.errstate(all="ignore"):
        arriving = np.zeros(network.hidden[-1, 1:].shape)  # (T, B, H), from the head or from the layer above
        arriving[-read:] = d_outputs @ head
        for layer in range(len(network.hidden) - 1, -1, -1):
            w_ih, w_hh = (w.astype(np.float64) for w in network.parameters.layers[layer][:2])
            slope = network.activation.slope(np, network.hidden[layer, 1:].astype(np.float64))
            delta, u, v = _backward(arriving, slope, w_hh, cut)
            of_layer, gradient = _keeping(delta, u, v)
            value += of_layer
            gradients.insert(0, gradient)
            if layer:
                arriving = u @ w_ih
                if network.masks is not None:
                    arriving *= network.masks[layer - 1]
    return value, gradients


def _backward(
    arriving: np.ndarray, slope: np.ndarray, w_hh: np.ndarray, cut: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """δ, u and v of every timestep, (T, B, H) each: δ_t = what arrives + v_{t+1}, where the gradient is not cut."""
    delta, u, v = (np.empty_like(arriving) for _ in range(3))
    later: np.ndarray | float = 0.0
    for t in range(len(arriving) - 1, -1, -1):
        delta[t] = arriving[t] + later
        u[t] = delta[t] * slope[t]
        v[t] = u[t] @ w_hh
        later = 0.0 if cut and t % cut == 0 else v[t]
    return delta, u, v


def _keeping(delta: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[float, np.ndarray]:
    """Ω of a layer and its ∂⁺Ω/∂W_hh, (H, H)."""
    of_delta, of_v = _lengths(delta), _lengths(v)  # (T, B, 1)
    counts = (of_delta >= LEAST) & (of_v >= LEAST) & np.isfinite(of_delta) & np.isfinite(of_v)
    off = np.where(counts, of_v / of_delta - 1, 0.0)
    batch, units = delta.shape[1:]
    left = np.where(counts, u / of_delta * off, 0.0).reshape(-1, units)
    right = np.where(counts, v / of_v, 0.0).reshape(-1, units)
    return float(np.sum(off * off)) / batch, 2 / batch * left.T @ right


def _lengths(x: np.ndarray) -> np.ndarray:
    """‖x‖₂ along the last axis, which stays: scaled first, so that no square leaves the range. NaN for 0."""
    largest = np.abs(x).max(axis=-1, keepdims=True)
    return largest * np.sqrt(np.sum((x / largest) ** 2, axis=-1, keepdims=True))
