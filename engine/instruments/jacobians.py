"""One step of a cell as a matrix: A = ∂s'/∂s and V = ∂s'/∂x, with s = h, or (h, c) for the LSTM; S numbers.

Each cell stands here as three lines of mathematics: the step itself (for trajectories that no pass has recorded), A and
V. All in float64, whatever the network's type: x (B, I), h (B, H), A (B, S, S), V (B, S, I). ⊙ and [·] are a product by
row: [a] W = diag(a) W.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from engine.activations import ACTIVATIONS
from engine.cells import KINDS
from engine.trace import Trace

Array = np.ndarray


def sigmoid(x: Array) -> Array:
    """σ(x), exact at both ends: e^−|x| never overflows."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


NUMPY = SimpleNamespace(  # the elementwise functions that a row of ACTIVATIONS asks for
    tanh=np.tanh, sigmoid=sigmoid, where=np.where, abs=np.abs, expm1=lambda x: np.expm1(np.minimum(x, 0.0))
)


@dataclass(frozen=True, eq=False)
class Weights:
    """One layer in float64, and its activation φ as value(x) and slope(φ(x))."""

    ih: tuple[Array, ...]  # a block (H, I) for each gate
    hh: tuple[Array, ...]  # (H, H)
    b_ih: tuple[Array, ...]  # (H,)
    b_hh: tuple[Array, ...]
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class State:
    """Before and after one step: h, c (B, H) (c: None but for the LSTM), and the gates by name."""

    h: Array
    c: Array | None
    new_h: Array
    new_c: Array | None
    gates: Mapping[str, Array]


def rows(a: Array, w: Array) -> Array:
    """[a] W: (B, H) and (H, n) or (B, H, n) -> (B, H, n)."""
    return a[:, :, None] * w


def diagonal(a: Array) -> Array:
    """(B, H) -> (B, H, H)."""
    return rows(a, np.eye(a.shape[1]))


# --- h' = φ(W_ih x + W_hh h + b)


def rnn_step(w: Weights, x: Array, h: Array, c: Array | None) -> State:
    return State(h, None, w.value(x @ w.ih[0].T + w.b_ih[0] + h @ w.hh[0].T + w.b_hh[0]), None, {})


def rnn_jacobian(w: Weights, s: State) -> Array:
    """A = [φ'] W_hh."""
    return rows(w.slope(s.new_h), w.hh[0])


def rnn_input(w: Weights, s: State) -> Array:
    """V = [φ'] W_ih."""
    return rows(w.slope(s.new_h), w.ih[0])


# --- i, f, o = σ(·), g = φ(·);  c' = f c + i g;  h' = o tanh c'


def lstm_step(w: Weights, x: Array, h: Array, c: Array | None) -> State:
    i, f, g, o = (x @ u.T + b + h @ v.T + d for u, v, b, d in zip(w.ih, w.hh, w.b_ih, w.b_hh, strict=True))
    gates = {"i": sigmoid(i), "f": sigmoid(f), "g": w.value(g), "o": sigmoid(o)}
    new_c = gates["f"] * c + gates["i"] * gates["g"]
    return State(h, c, gates["o"] * np.tanh(new_c), new_c, gates)


def _lstm(w: Weights, s: State, blocks: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    """Of W_ih or W_hh: ∂c' = [g i(1−i)] W_i + [c f(1−f)] W_f + [i φ'] W_g and ∂h' = [tanh c' o(1−o)] W_o + [p] ∂c', and
    p = ∂h'/∂c' = o (1 − tanh² c')."""
    i, f, g, o = (s.gates[name] for name in "ifgo")
    assert s.c is not None
    assert s.new_c is not None
    tanh_c = np.tanh(s.new_c)
    p = o * (1.0 - tanh_c * tanh_c)
    c_part = rows(g * i * (1 - i), blocks[0]) + rows(s.c * f * (1 - f), blocks[1]) + rows(i * w.slope(g), blocks[2])
    return c_part, rows(tanh_c * o * (1 - o), blocks[3]) + rows(p, c_part), p


def lstm_jacobian(w: Weights, s: State) -> Array:
    """A = [[∂h'/∂h, [p f]], [∂c'/∂h, [f]]]."""
    c_part, h_part, p = _lstm(w, s, w.hh)
    f = s.gates["f"]
    return np.block([[h_part, diagonal(p * f)], [c_part, diagonal(f)]])


def lstm_input(w: Weights, s: State) -> Array:
    c_part, h_part, _ = _lstm(w, s, w.ih)
    return np.concatenate([h_part, c_part], axis=1)


# --- r, z = σ(·);  n = φ(W_in x + b_in + r (W_hn h + b_hn));  h' = (1 − z) n + z h


def gru_step(w: Weights, x: Array, h: Array, c: Array | None) -> State:
    r, z = (sigmoid(x @ w.ih[k].T + w.b_ih[k] + h @ w.hh[k].T + w.b_hh[k]) for k in (0, 1))
    n = w.value(x @ w.ih[2].T + w.b_ih[2] + r * (h @ w.hh[2].T + w.b_hh[2]))
    return State(h, None, (1 - z) * n + z * h, None, {"r": r, "z": z, "n": n})


def of_gru(w: Weights, s: State) -> tuple[Array, Array, Array]:
    """∂h'/∂ of what goes into r, z and n."""
    r, z, n = (s.gates[name] for name in "rzn")
    of_n = (1 - z) * w.slope(n)
    return of_n * (s.h @ w.hh[2].T + w.b_hh[2]) * r * (1 - r), (s.h - n) * z * (1 - z), of_n


def gru_jacobian(w: Weights, s: State) -> Array:
    """A = [of_r] W_r + [of_z] W_z + [of_n r] W_n + [z]."""
    of_r, of_z, of_n = of_gru(w, s)
    hr, hz, hn = w.hh
    return rows(of_r, hr) + rows(of_z, hz) + rows(of_n * s.gates["r"], hn) + diagonal(s.gates["z"])


def gru_input(w: Weights, s: State) -> Array:
    return sum((rows(a, u) for a, u in zip(of_gru(w, s), w.ih, strict=True)), np.zeros(()))


# --- the same with n = φ(W_in x + b_in + W_hn (r h) + b_hn)


def gru_before_step(w: Weights, x: Array, h: Array, c: Array | None) -> State:
    r, z = (sigmoid(x @ w.ih[k].T + w.b_ih[k] + h @ w.hh[k].T + w.b_hh[k]) for k in (0, 1))
    n = w.value(x @ w.ih[2].T + w.b_ih[2] + (r * h) @ w.hh[2].T + w.b_hh[2])
    return State(h, None, (1 - z) * n + z * h, None, {"r": r, "z": z, "n": n})


def _gru_before(w: Weights, s: State) -> tuple[Array, Array, Array]:
    """∂h'/∂ of what goes into r, (B, H, H), z and n, (B, H): r is reached through [of_n] W_hn [h r(1−r)]."""
    r, z, n = (s.gates[name] for name in "rzn")
    of_n = (1 - z) * w.slope(n)
    return rows(of_n, w.hh[2] * (s.h * r * (1 - r))[:, None, :]), (s.h - n) * z * (1 - z), of_n


def gru_before_jacobian(w: Weights, s: State) -> Array:
    """A = of_r W_r + [of_z] W_z + [of_n] W_n [r] + [z]."""
    of_r, of_z, of_n = _gru_before(w, s)
    hr, hz, hn = w.hh
    return of_r @ hr + rows(of_z, hz) + rows(of_n, hn * s.gates["r"][:, None, :]) + diagonal(s.gates["z"])


def gru_before_input(w: Weights, s: State) -> Array:
    of_r, of_z, of_n = _gru_before(w, s)
    return of_r @ w.ih[0] + rows(of_z, w.ih[1]) + rows(of_n, w.ih[2])


STEPS = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step, "gru_before": gru_before_step}
JACOBIANS = {"rnn": rnn_jacobian, "lstm": lstm_jacobian, "gru": gru_jacobian, "gru_before": gru_before_jacobian}
INPUTS = {"rnn": rnn_input, "lstm": lstm_input, "gru": gru_input, "gru_before": gru_before_input}


def weights_of(kind: str, nonlinearity: str, state_dict: Mapping[str, Array]) -> list[Weights]:
    """The layers of a state dict, from the lowest up."""
    blocks, activation = KINDS[kind].blocks, ACTIVATIONS[nonlinearity]

    def split(name: str, layer: int) -> tuple[Array, ...]:
        return tuple(np.split(np.asarray(state_dict[f"{name}_l{layer}"], np.float64), blocks))

    return [
        Weights(
            split("weight_ih", layer), split("weight_hh", layer), split("bias_ih", layer), split("bias_hh", layer),
            lambda x: activation.value(NUMPY, x), lambda y: activation.slope(NUMPY, y),
        )
        for layer in range(sum(name.startswith("weight_hh_l") for name in state_dict))
    ]  # fmt: skip


class Path:
    """The states that a Trace has recorded, and the Jacobians along them. S = `size` numbers a layer's state."""

    def __init__(self, t: Trace) -> None:
        self.kind, self._trace = t.kind, t
        self.weights = weights_of(t.kind, t.nonlinearity, t.state_dict)
        self.layers, self.steps, self.batch, self.units = (n - (k == 1) for k, n in enumerate(t.hidden.shape))
        self.size = self.units * KINDS[t.kind].states

    def jacobian(self, layer: int, t: int, chosen: slice) -> Array:
        """∂s_{t+1}/∂s_t of the chosen sequences, (b, S, S); t = 0 … T−1."""
        return JACOBIANS[self.kind](self.weights[layer], self.state(layer, t, chosen))

    def from_below(self, layer: int, t: int, chosen: slice) -> Array:
        """∂s_{t+1}/∂(this layer's input at that step), (b, S, I)."""
        return INPUTS[self.kind](self.weights[layer], self.state(layer, t, chosen))

    def state(self, layer: int, t: int, chosen: slice = slice(None)) -> State:
        """Before and after step t + 1 of the chosen sequences."""

        def at(x: Array | None, step: int) -> Array | None:
            return None if x is None else np.asarray(x[layer, step, chosen], np.float64)

        h, new_h = at(self._trace.hidden, t), at(self._trace.hidden, t + 1)
        assert h is not None
        assert new_h is not None
        gates = {name: np.asarray(gate[layer, t, chosen], np.float64) for name, gate in self._trace.gates.items()}
        return State(h, at(self._trace.cell, t), new_h, at(self._trace.cell, t + 1), gates)
