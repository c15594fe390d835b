"""What does one update see at timestep t? Every number of one sequence there, forward and on the way back.

δ_t = ∂L/∂h_t is the sum of two: what comes back through time from step t+1, and what enters at step t itself, from the
loss or from the layer above. So the walk of the gradient can be read step by step, with the numbers of its equation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.experiment import Experiment, check_experiment
from engine.instruments.gradient_flow import LOG10_2, NOTHING, losses_of, normalise, power
from engine.instruments.jacobians import Path
from engine.instruments.pieces import Pieces, finish
from engine.instruments.pullbacks import PULLBACKS
from engine.parameters import as_array, frozen
from engine.trace import Trace, check_trace

KEEPS = {"lstm": "f", "gru": "z", "gru_before": "z"}  # the gate that multiplies the state on its direct way


class Scaled(NamedTuple):
    """values (n, H) · 2^exponents (n,): numbers past the range of float64, too. An exponent of 0 where all are 0."""

    values: np.ndarray
    exponents: np.ndarray


@dataclass(frozen=True, eq=False)
class LayerSteps:
    """One layer at the n chosen timesteps, in float64; H units, k gates, of one sequence. Norms are of the batch."""

    x: np.ndarray  # (n, I): what enters, after dropout
    of_x: np.ndarray  # (n, kH): W_ih x_t + b_ih
    of_h: np.ndarray  # (n, kH): W_hh h_{t−1} + b_hh; the last block of a GRU with reset before: of r ⊙ h_{t−1}
    before: np.ndarray  # (n, H): h_{t−1}
    h: np.ndarray  # (n, H): h_t
    c_before: np.ndarray | None  # (n, H): c_{t−1} of an LSTM
    c: np.ndarray | None  # (n, H)
    gates: Mapping[str, np.ndarray]  # (n, H) each, after σ or φ
    delta: Scaled  # ∂L/∂h_t, everything that arrives
    through: Scaled  # the part of it that came back through time, from step t+1
    entering: Scaled  # the part that enters at t: from the loss, or from the layer above
    memory: Scaled | None  # ∂L/∂c_t of an LSTM, everything that arrives
    log10_through: np.ndarray  # (n,): log10 of the mean over the batch of the parts' ‖·‖₂; −inf for none
    log10_entering: np.ndarray  # (n,)


@dataclass(frozen=True, eq=False)
class Unrolled:
    """L layers. `at` are 1-based timesteps, ascending."""

    at: np.ndarray  # (n,)
    sequence: int
    layers: tuple[LayerSteps, ...]
    log10_norms: np.ndarray  # (L, T): log10 of the mean over the batch of ‖∂L/∂h_t‖₂
    sizes: np.ndarray  # (L, T): root mean square of h_t over units and batch
    kept: np.ndarray  # (L, T): mean of what multiplies a gradient on its shortest way back: φ′(z_t), f_t or z_t


def unrolled(
    e: Experiment, t: Trace, at: Sequence[int] | None = None, sequence: int = 0, masks: Any = None
) -> Unrolled:
    """Of a pass. `e` says the loss and the truncation; at: 1-based timesteps, None: all.

    masks: those of dropout that the pass was made with (engine.data.dropout_masks), None: none. Raises ValueError for a
    timestep or a sequence that there is not.

    >>> import engine
    >>> e = engine.Experiment(seq_length=30)
    >>> found = engine.unrolled(e, engine.probe(e), at=[1, 2, 30])
    >>> found.layers[0].delta.values.shape                                     # (timesteps, units)
    (3, 32)
    >>> bool(found.log10_norms[0, 0] < found.log10_norms[0, 29] - 0.5)             # it vanishes on its way
    True
    """
    check_experiment(e)
    check_trace(t, e)
    steps, batch = t.hidden.shape[1] - 1, t.hidden.shape[2]
    chosen = np.arange(1, steps + 1) if at is None else as_array("at", at)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or (np.diff(chosen) <= 0).any():
        raise ValueError(f"at: {at!r:.80}; allowed: whole numbers, ascending")
    if chosen.size == 0 or chosen[0] < 1 or chosen[-1] > steps:
        raise ValueError(f"at: {at!r:.80}; allowed: timesteps from 1 to {steps}")
    if not 0 <= sequence < batch:
        raise ValueError(f"sequence: {sequence!r}; allowed: 0 to {batch - 1}")
    return finish(in_pieces(e, t, chosen, sequence, masks))


def in_pieces(
    e: Experiment, t: Trace, at: np.ndarray, sequence: int = 0, masks: np.ndarray | None = None
) -> Pieces[Unrolled]:
    """The same, timestep by timestep: layer by layer back through time."""
    path = Path(t)
    walks = [_Walk(path, layer, at, sequence) for layer in range(path.layers)]
    incoming = np.zeros((path.steps, path.batch, path.units))
    read, entering = losses_of(e, t, False)
    incoming[read - 1] = entering
    exponents = np.zeros((path.steps, path.batch), np.int64)
    normalise(incoming, exponents)
    for done, layer in enumerate(reversed(range(path.layers))):
        mask = None if masks is None or layer == 0 else masks[layer - 1]
        for share in walks[layer].back(incoming, exponents, e.tbptt or 0, mask):
            yield (done + share) / path.layers
        incoming, exponents = walks[layer].below, walks[layer].below_exponents
    found = tuple(_layer(path, t, walk, masks) for walk in walks)
    with np.errstate(all="ignore"):
        sizes = np.sqrt(np.mean(np.square(np.asarray(t.hidden[:, 1:], np.float64)), axis=(2, 3)))
    norms = np.stack([walk.norms for walk in walks])
    kept = np.stack([_kept(path, t, layer) for layer in range(path.layers)])
    return Unrolled(frozen(at.copy()), sequence, found, frozen(norms), frozen(sizes), frozen(kept))


class _Walk:
    """One layer's way back, and what is noted of it at the chosen timesteps."""

    def __init__(self, path: Path, layer: int, at: np.ndarray, sequence: int) -> None:
        self.path, self.layer, self.at, self.sequence = path, layer, at, sequence
        self.rows = {int(step) - 1: row for row, step in enumerate(at)}
        self.norms = np.full(path.steps, -np.inf)
        self.parts = np.full((2, len(at)), -np.inf)  # through, entering
        self.noted = np.zeros((4, len(at), path.units))  # delta, through, entering, memory
        self.scales = np.zeros((4, len(at)), np.int64)

    def back(self, incoming: np.ndarray, entering: np.ndarray, cut: int, mask: np.ndarray | None) -> Pieces[None]:
        """incoming (T, B, H) · 2^entering (T, B): what enters. Fills `below`: what this layer sends to its input."""
        path, w, layer = self.path, self.path.weights[self.layer], self.layer
        two, ih = path.size > path.units, np.concatenate(self.path.weights[layer].ih)
        g = np.zeros((path.batch, 2 if two else 1, path.units))  # ∂L/∂h, ∂L/∂c
        e = np.full(path.batch, NOTHING, np.int64)
        self.below = np.zeros((path.steps, path.batch, path.units)) if layer else np.zeros(0)
        self.below_exponents = np.zeros((path.steps, path.batch), np.int64)
        for k in reversed(range(path.steps)):
            with np.errstate(all="ignore"):
                if k in self.rows:
                    self._note(1, k, g[:, 0], e)
                    self._note(2, k, incoming[k], entering[k])
                joint = np.maximum(e, np.where(incoming[k].any(axis=1), entering[k], NOTHING))
                g *= power(e - joint)[:, None, None]
                g[:, 0] += incoming[k] * power(np.minimum(entering[k] - joint, 0))[:, None]
                flat, e = g.reshape(path.batch, 1, -1), joint[:, None]
                normalise(flat, e)
                g, e = flat.reshape(g.shape), e[:, 0]
                self.norms[k] = mean_log10(g[:, 0], e)
                state = path.state(layer, k)
                if k in self.rows:
                    self._note(0, k, g[:, 0], e)
                    if state.new_c is not None:  # ∂L/∂c_t = what comes from c_{t+1} + δ_t o (1 − tanh² c_t)
                        self._note(3, k, g[:, 1] + g[:, 0] * state.gates["o"] * (1 - np.tanh(state.new_c) ** 2), e)
                p = PULLBACKS[path.kind](w, state, g[:, 0], g[:, 1] if two else None)
                if layer:
                    self.below[k] = p.d_ih @ ih * (1.0 if mask is None else mask[min(k, len(mask) - 1)])
                    self.below_exponents[k] = e
                g = np.stack([p.h] if p.c is None else [p.h, p.c], axis=1)
                if cut and k % cut == 0:
                    g[...], e = 0.0, np.full(path.batch, NOTHING, np.int64)
            yield 1 - k / path.steps

    def _note(self, what: int, k: int, g: np.ndarray, e: np.ndarray) -> None:
        row, own = self.rows[k], g[self.sequence]
        self.noted[what, row] = own
        self.scales[what, row] = e[self.sequence] if own.any() else 0
        if what in (1, 2):
            self.parts[what - 1, row] = mean_log10(g, e)

    def scaled(self, what: int) -> Scaled:
        return Scaled(frozen(self.noted[what].copy()), frozen(self.scales[what].copy()))


def mean_log10(g: np.ndarray, e: np.ndarray) -> float:
    """log10 of the mean over the batch of ‖g[b]‖₂ · 2^e[b]; g (B, H), e (B,)."""
    with np.errstate(all="ignore"):
        each = 0.5 * np.log2(np.einsum("bh,bh->b", g, g)) + np.where(g.any(axis=1), e, 0)
        return float((np.logaddexp2.reduce(each) - np.log2(len(g))) * LOG10_2)


def _layer(path: Path, t: Trace, walk: _Walk, masks: np.ndarray | None) -> LayerSteps:
    """The numbers of the way forward, computed again, beside those noted on the way back."""
    layer, b, w, steps = walk.layer, walk.sequence, path.weights[walk.layer], walk.at - 1
    states = [path.state(layer, int(k), slice(b, b + 1)) for k in steps]
    before, h = (np.concatenate([getattr(s, name) for s in states]) for name in ("h", "new_h"))
    gates = {name: np.concatenate([s.gates[name] for s in states]) for name in t.gates}
    x = _inputs(t, b)[steps] if layer == 0 else np.asarray(t.hidden[layer - 1, 1:, b], np.float64)[steps]
    if layer and masks is not None:
        x = x * np.stack([masks[layer - 1][min(int(k), masks.shape[1] - 1), b] for k in steps])
    times = [before] * len(w.hh)
    if path.kind == "gru_before":
        times[-1] = gates["r"] * before
    with np.errstate(all="ignore"):
        of_x = np.concatenate([x @ u.T + bias for u, bias in zip(w.ih, w.b_ih, strict=True)], axis=1)
        of_h = np.concatenate([v @ u.T + bias for v, u, bias in zip(times, w.hh, w.b_hh, strict=True)], axis=1)
    two = path.size > path.units
    of_c, new_c = ([getattr(s, name) for s in states] for name in ("c", "new_c"))
    return LayerSteps(
        frozen(x), frozen(of_x), frozen(of_h), frozen(before), frozen(h),
        frozen(np.concatenate(of_c)) if two else None, frozen(np.concatenate(new_c)) if two else None,
        {name: frozen(gate) for name, gate in gates.items()},
        walk.scaled(0), walk.scaled(1), walk.scaled(2), walk.scaled(3) if two else None,
        frozen(walk.parts[0].copy()), frozen(walk.parts[1].copy()),
    )  # fmt: skip


def _inputs(t: Trace, sequence: int) -> np.ndarray:
    """What enters the lowest layer, (T, I)."""
    x = np.asarray(t.inputs[:, sequence], np.float64)
    if "embedding.weight" not in t.state_dict:
        return x
    return np.asarray(t.state_dict["embedding.weight"], np.float64)[x.argmax(axis=1)]


def _kept(path: Path, t: Trace, layer: int) -> np.ndarray:
    """(T,): the mean over batch and units."""
    gate = KEEPS.get(path.kind)
    with np.errstate(all="ignore"):
        if gate is not None:
            return np.mean(np.asarray(t.gates[gate][layer], np.float64), axis=(1, 2))
        return np.array([np.mean(path.weights[layer].slope(np.asarray(h, np.float64))) for h in t.hidden[layer, 1:]])
