"""The slow, obvious twin of the engine: the textbook's formulas, one timestep and one matrix at a time, in NumPy.

Nothing here is shared with the engine. Letters: x input, h state, c memory of the LSTM; W_ih, W_hh, b_ih, b_hh as in
torch.nn; dX is ∂L/∂X. Every array of one timestep is (B, units).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
Function = Callable[[np.ndarray], np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


# name: (φ(x), φ'(x)), both as functions of the pre-activation x
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1.0, 0.01)),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), lambda x: np.exp(np.minimum(x, 0))),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    "hardtanh": (lambda x: np.clip(x, -1, 1), lambda x: (np.abs(x) < 1) * 1.0),
}


@dataclass
class Weights:
    """One layer's weights, or their gradients."""

    weight_ih: np.ndarray  # (k·H, I)
    weight_hh: np.ndarray  # (k·H, H)
    bias_ih: np.ndarray  # (k·H,)
    bias_hh: np.ndarray  # (k·H,)

    @classmethod
    def of(cls, state_dict: Arrays, layer: int) -> "Weights":
        return cls(*(state_dict[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))

    def zeros(self) -> "Weights":
        return Weights(*(np.zeros_like(w) for w in vars(self).values()))


# One step of a cell: (x, h, c, weights, activation) -> h', c', gates by name, and what its pullback needs.
# Its pullback: (dh', dc', what was kept, weights, activation, gradient: added to) -> dx, dh, dc.


def rnn_step(x, h, c, w, activation):
    """a = W_ih x + b_ih + W_hh h + b_hh;  h' = φ(a)"""
    a = x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh
    return ACTIVATIONS[activation][0](a), c, {}, (x, h, a)


def rnn_pullback(dh, dc, kept, w, activation, gradient):
    x, h, a = kept
    da = dh * ACTIVATIONS[activation][1](a)
    return *_linear_pullback(da, da, x, h, w, gradient), dc


def lstm_step(x, h, c, w, activation):
    """i, f, o = σ(…), g = φ(…);  c' = f·c + i·g;  h' = o·tanh(c')"""
    z = x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh
    zi, zf, zg, zo = np.split(z, 4, axis=1)
    i, f, g, o = sigmoid(zi), sigmoid(zf), ACTIVATIONS[activation][0](zg), sigmoid(zo)
    new = f * c + i * g
    return o * np.tanh(new), new, {"i": i, "f": f, "g": g, "o": o}, (x, h, c, i, f, g, o, zg, new)


def lstm_pullback(dh, dc, kept, w, activation, gradient):
    x, h, c, i, f, g, o, zg, new = kept
    dc = dc + dh * o * (1 - np.tanh(new) ** 2)
    di, df, dg, do = dc * g, dc * c, dc * i, dh * np.tanh(new)
    dz = np.hstack([di * i * (1 - i), df * f * (1 - f), dg * ACTIVATIONS[activation][1](zg), do * o * (1 - o)])
    return *_linear_pullback(dz, dz, x, h, w, gradient), dc * f


def gru_step(x, h, c, w, activation):
    """r, z = σ(…);  n = φ(W_in x + b_in + r·(W_hn h + b_hn));  h' = (1 − z)·n + z·h"""
    xr, xz, xn = np.split(x @ w.weight_ih.T + w.bias_ih, 3, axis=1)
    hr, hz, hn = np.split(h @ w.weight_hh.T + w.bias_hh, 3, axis=1)
    r, z, a = sigmoid(xr + hr), sigmoid(xz + hz), xn + sigmoid(xr + hr) * hn
    n = ACTIVATIONS[activation][0](a)
    return (1 - z) * n + z * h, c, {"r": r, "z": z, "n": n}, (x, h, r, z, n, a, hn)


def gru_pullback(dh, dc, kept, w, activation, gradient):
    x, h, r, z, n, a, hn = kept
    dz, dn = dh * (h - n) * z * (1 - z), dh * (1 - z) * ACTIVATIONS[activation][1](a)
    dr = dn * hn * r * (1 - r)
    dx, dh_before = _linear_pullback(np.hstack([dr, dz, dn]), np.hstack([dr, dz, dn * r]), x, h, w, gradient)
    return dx, dh_before + dh * z, dc


def gru_before_step(x, h, c, w, activation):
    """r, z = σ(…);  n = φ(W_in x + b_in + W_hn (r·h) + b_hn);  h' = (1 − z)·n + z·h"""
    (wr, wz, wn), (br, bz, bn) = np.split(w.weight_hh, 3), np.split(w.bias_hh, 3)
    xr, xz, xn = np.split(x @ w.weight_ih.T + w.bias_ih, 3, axis=1)
    r, z = sigmoid(xr + h @ wr.T + br), sigmoid(xz + h @ wz.T + bz)
    a = xn + (r * h) @ wn.T + bn
    n = ACTIVATIONS[activation][0](a)
    return (1 - z) * n + z * h, c, {"r": r, "z": z, "n": n}, (x, h, r, z, n, a)


def gru_before_pullback(dh, dc, kept, w, activation, gradient):
    x, h, r, z, n, a = kept
    wr, wz, wn = np.split(w.weight_hh, 3)
    dz, dn = dh * (h - n) * z * (1 - z), dh * (1 - z) * ACTIVATIONS[activation][1](a)
    d_reset = dn @ wn  # of r·h
    dr = d_reset * h * r * (1 - r)
    d_all = np.hstack([dr, dz, dn])
    gradient.weight_ih += d_all.T @ x
    gradient.weight_hh += np.vstack([dr.T @ h, dz.T @ h, dn.T @ (r * h)])
    gradient.bias_ih += d_all.sum(axis=0)
    gradient.bias_hh += d_all.sum(axis=0)
    return d_all @ w.weight_ih, dh * z + d_reset * r + dr @ wr + dz @ wz, dc


def _linear_pullback(dx_side, dh_side, x, h, w, gradient):
    """Of W_ih x + b_ih (whose gradient is dx_side) and W_hh h + b_hh (dh_side)."""
    gradient.weight_ih += dx_side.T @ x
    gradient.weight_hh += dh_side.T @ h
    gradient.bias_ih += dx_side.sum(axis=0)
    gradient.bias_hh += dh_side.sum(axis=0)
    return dx_side @ w.weight_ih, dh_side @ w.weight_hh


CELLS = {
    "rnn": (rnn_step, rnn_pullback, ""),
    "lstm": (lstm_step, lstm_pullback, "ifgo"),
    "gru": (gru_step, gru_pullback, "rzn"),
    "gru_before": (gru_before_step, gru_before_pullback, "rzn"),
}


def blocks(cell: str) -> int:
    """Blocks of H rows in W_ih and W_hh."""
    return max(1, len(CELLS[cell][2]))


def loss_and_slope(name: str, outputs: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """(L, ∂L/∂outputs): mse is the mean over everything, cross_entropy over all but the classes."""
    if name == "mse":
        error = outputs - targets
        return float(np.mean(error**2)), 2 * error / error.size
    shifted = outputs - outputs.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    one_hot = np.eye(outputs.shape[-1])[targets]
    return float(-np.mean((log_p * one_hot).sum(axis=-1))), (np.exp(log_p) - one_hot) / targets.size


@dataclass
class Pass:
    loss: float
    outputs: np.ndarray  # (T, B, O), or (1, B, O) where only the last timestep is read
    hidden: np.ndarray  # (L, T+1, B, H)
    cell: np.ndarray  # (L, T+1, B, H)
    gates: dict[str, np.ndarray]  # (L, T, B, H) each
    deltas: np.ndarray  # ∂L/∂h_t, (L, T, B, H)
    grad_norms: np.ndarray  # (L, T)
    grads: dict[str, np.ndarray]


def run(
    cell: str,
    activation: str,
    loss: str,
    state_dict: Arrays,
    inputs: np.ndarray,
    targets: np.ndarray,
    every_step: bool,
    tbptt: int | None = None,
    masks: np.ndarray | None = None,
) -> Pass:
    """One forward and backward pass. inputs (T, B, I); masks (L−1, T, B, H): what goes up from a layer is times these.

    tbptt k: no gradient goes back through the state that enters (0-based) timesteps k, 2k, …
    """
    step, pullback, gate_names = CELLS[cell]
    steps, batch, _ = inputs.shape
    layers = sum(name.startswith("weight_hh") for name in state_dict)
    weights = [Weights.of(state_dict, layer) for layer in range(layers)]
    units = weights[0].weight_hh.shape[1]
    hidden, memory = np.zeros((2, layers, steps + 1, batch, units))
    gates = {name: np.zeros((layers, steps, batch, units)) for name in gate_names}
    kept: dict[tuple[int, int], tuple] = {}
    for t in range(steps):
        x = inputs[t]
        for layer, w in enumerate(weights):
            h, c, opened, kept[layer, t] = step(x, hidden[layer, t], memory[layer, t], w, activation)
            hidden[layer, t + 1], memory[layer, t + 1] = h, c
            for name, value in opened.items():
                gates[name][layer, t] = value
            x = h if masks is None or layer == layers - 1 else h * masks[layer, t]

    read = hidden[-1, 1:] if every_step else hidden[-1, -1:]
    outputs = read @ state_dict["head.weight"].T + state_dict["head.bias"]
    value, d_outputs = loss_and_slope(loss, outputs, targets if every_step else targets[None])

    gradients = [w.zeros() for w in weights]
    deltas, norms = np.zeros((layers, steps, batch, units)), np.zeros((layers, steps))
    later_h, later_c = np.zeros((2, layers, batch, units))  # what comes back from timestep t + 1
    for t in reversed(range(steps)):
        from_above = np.zeros((batch, units))
        if every_step or t == steps - 1:
            from_above = d_outputs[t if every_step else 0] @ state_dict["head.weight"]
        for layer in reversed(range(layers)):
            dh = deltas[layer, t] = later_h[layer] + from_above
            norms[layer, t] = np.mean(np.sqrt(np.sum(dh**2, axis=1)))
            dx, dh, dc = pullback(dh, later_c[layer], kept[layer, t], weights[layer], activation, gradients[layer])
            cut = tbptt is not None and t % tbptt == 0
            later_h[layer], later_c[layer] = (0.0, 0.0) if cut else (dh, dc)
            from_above = dx if masks is None or layer == 0 else dx * masks[layer - 1, t]
    grads = {f"{name}_l{layer}": g for layer, w in enumerate(gradients) for name, g in vars(w).items()}
    grads["head.weight"] = np.einsum("tbo,tbh->oh", d_outputs, read)
    grads["head.bias"] = d_outputs.sum(axis=(0, 1))
    return Pass(value, outputs, hidden, memory, gates, deltas, norms, grads)


def global_norm(grads: Arrays) -> float:
    return float(np.sqrt(sum(np.sum(g**2) for g in grads.values())))


def clip(kind: str, grads: Arrays, threshold: float) -> dict[str, np.ndarray]:
    if kind == "norm":
        factor = min(1.0, threshold / (global_norm(grads) + 1e-6))
        return {name: g * factor for name, g in grads.items()}
    if kind == "param_norm":
        return {name: g * threshold / max(np.sqrt(np.sum(g**2)), threshold) for name, g in grads.items()}
    if kind == "value":
        return {name: np.clip(g, -threshold, threshold) for name, g in grads.items()}
    if kind == "unit":
        return {name: g / np.maximum(np.abs(g), threshold) for name, g in grads.items()}
    if kind == "none":
        return dict(grads)
    raise ValueError(kind)


def update(
    optimizer: str,
    theta: np.ndarray,
    g: np.ndarray,
    state: dict[str, np.ndarray],
    lr: float,
    momentum: float,
    k: int,
    weight_decay: float = 0.0,
) -> np.ndarray:
    """θ after update k = 1, 2, … of one tensor; `state` is changed. PyTorch's forms and constants."""

    def average(name: str, share: float, value: np.ndarray) -> np.ndarray:
        state[name] = share * state.get(name, 0.0) + (1 - share) * value
        return state[name]

    if optimizer == "adamw":  # θ ← θ − lr·λθ, then Adam
        return update("adam", theta - lr * weight_decay * theta, g, state, lr, momentum, k)
    g = g + weight_decay * theta
    if optimizer == "sgd":  # θ ← θ − lr·g
        return theta - lr * g
    if optimizer in ("momentum", "nesterov"):  # v ← μv + g;  θ ← θ − lr·v, or θ ← θ − lr·(g + μv)
        state["v"] = momentum * state.get("v", 0.0) + g
        return theta - lr * (state["v"] if optimizer == "momentum" else g + momentum * state["v"])
    if optimizer == "adagrad":  # s ← s + g²;  θ ← θ − lr·g/(√s + 1e-10)
        state["s"] = state.get("s", 0.0) + g**2
        return theta - lr * g / (np.sqrt(state["s"]) + 1e-10)
    if optimizer in ("rmsprop", "dynamic"):  # v ← α v + (1 − α) g²;  θ ← θ − lr·g/(√v + 1e-8)
        return theta - lr * g / (np.sqrt(average("v", {"rmsprop": 0.99, "dynamic": 0.9}[optimizer], g**2)) + 1e-8)
    if (
        optimizer == "adadelta"
    ):  # v ← 0.9 v + 0.1 g²;  Δ = g √(u + 1e-6)/√(v + 1e-6);  u ← 0.9 u + 0.1 Δ²;  θ ← θ − lr·Δ
        before = np.sqrt(state.get("u", 0.0) + 1e-6)
        delta = g * before / np.sqrt(average("v", 0.9, g**2) + 1e-6)
        average("u", 0.9, delta**2)
        return theta - lr * delta
    m, v = average("m", 0.9, g), average("v", 0.999, g**2)
    if optimizer == "adam_uncorrected":  # θ ← θ − lr·m/(√v + 1e-8)
        return theta - lr * m / (np.sqrt(v) + 1e-8)
    if optimizer == "adam":  # m̂ = m/(1 − 0.9ᵏ), v̂ = v/(1 − 0.999ᵏ);  θ ← θ − lr·m̂/(√v̂ + 1e-8)
        return theta - lr * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
    raise ValueError(optimizer)
