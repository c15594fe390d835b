"""A network with its buffers: one forward and one backward pass through stacked recurrent layers and a linear head."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from engine import unroll
from engine.activations import ACTIVATIONS
from engine.cells import KINDS
from engine.clipping import global_norm
from engine.parameters import Parameters
from engine.shard import Layer, Shard

LOG10_2 = float(np.log10(2.0))
SHARD_ROWS, SHARD_WORK = 16, 6_000_000  # of a shard at least: sequences; weights × sequences × timesteps (36 MFLOP)


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads for all networks together: the kernels let go of the interpreter."""
    return ThreadPoolExecutor(thread_name_prefix="engine")


def parts(batch: int, steps: int, weights: int) -> list[slice]:
    """The shards of a batch: two halves where they are large enough. Threads do not matter: sums keep their order."""
    large = batch >= 2 * SHARD_ROWS and batch * steps * weights >= 2 * SHARD_WORK
    cuts = (0, batch // 2, batch) if large else (0, batch)
    return [slice(*ends) for ends in pairwise(cuts)]


class Network:
    """Forward and backward passes of one shape, shard by shard, in buffers that are allocated once.

    After `forward`: hidden and memory (L, T+1, B, H), gates, outputs (S, B, O), loss.
    After `backward`: gradient (a Parameters), mean_norms.
    """

    def __init__(
        self, cell: str, nonlinearity: str, parameters: Parameters, steps: int, batch: int, every_step: bool,
        threads: int = 1,
    ) -> None:  # fmt: skip
        self.cell, self.parameters, self._cell_name, self._threads = KINDS[cell], parameters, cell, threads
        self.activation = ACTIVATIONS[nonlinearity]
        embedded = "embedding.weight" in parameters
        self._layers = [Layer(cell, w, embedded or k > 0) for k, w in enumerate(parameters.layers)]
        weights = sum(w.weight_hh.size for w in parameters.layers)
        self.shards = [
            Shard(cell, nonlinearity, parameters, self._layers, steps, part, batch, every_step)
            for part in parts(batch, steps, weights)
        ]
        self.masks: np.ndarray | None = None

    @cached_property
    def gradient(self) -> Parameters:
        shapes = {name: view.shape for name, view in self.parameters.items()}
        return Parameters(self._cell_name, shapes, self.parameters.flat.dtype)

    @cached_property
    def _of_gradient(self) -> tuple[list[tuple[Any, ...]], list[tuple[np.ndarray, np.ndarray]], np.ndarray | None]:
        """What `_add_up` adds, by shard: arguments of `split`; (whole, part) of the head; the embedding or None."""
        g, apart = self.gradient, int(self.cell.apart)
        embedding = g.get("embedding.weight")
        if len(self.shards) == 1:
            return [], [], embedding
        splits = [
            (*dw, add, apart, *tensors)
            for add, shard in enumerate(self.shards)
            for dw, tensors in zip(shard.dw, g.layers, strict=True)
        ]
        heads = [pair for s in self.shards for pair in zip((g["head.weight"], g["head.bias"]), s.head, strict=True)]
        return splits, heads, embedding

    def forward(self, inputs: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """outputs (S, B, O) of inputs (T, B, I), of the network's type; one-hot where embedded.

        masks (L−1, T or 1, B, H) multiply what goes from one layer to the next (dropout; None: nothing dropped).
        """
        self._begin(masks)
        self._each(lambda shard: shard.forward(inputs, masks))
        return self.outputs

    def loss(self, name: str, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss of the last forward pass and ∂L/∂outputs; overflow gives infinity, quietly."""
        targets = self._by_step(targets)
        losses, gradients = zip(*(shard.loss(name, targets) for shard in self.shards), strict=True)
        return sum(losses), _together(gradients, 1)

    def backward(self, d_outputs: np.ndarray, cut: int = 0) -> None:
        """Fill `gradient` and `mean_norms` from ∂L/∂outputs (S, B, O); cut: truncated BPTT, 0 for none."""
        g = self.gradient
        self._each(lambda shard: shard.backward(np.ascontiguousarray(d_outputs[:, shard.part]), cut, g))
        self._add_up()

    def learn(
        self, inputs: np.ndarray, targets: np.ndarray, loss: str, cut: int = 0, masks: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        """`forward`, `loss` and `backward` in one go, so that each thread is started once: the loss and ∂L/∂outputs."""
        targets, g = self._by_step(targets), self.gradient

        def run(shard: Shard) -> tuple[float, np.ndarray]:
            shard.forward(inputs, masks)
            value, d_outputs = shard.loss(loss, targets)
            shard.backward(d_outputs, cut, g)
            return value, d_outputs

        self._begin(masks)
        losses, gradients = zip(*self._each(run), strict=True)
        self._add_up()
        return sum(losses), _together(gradients, 1)

    def _begin(self, masks: np.ndarray | None) -> None:
        self.masks = masks
        if len(self.shards) > 1:  # else each layer's first kernel does it
            for layer in self._layers:
                layer.join()

    def _each(self, run: Callable[[Shard], Any]) -> list[Any]:
        """What `run` gives for every shard, in as many threads as there may be."""
        if self._threads == 1 or len(self.shards) == 1:
            return [run(shard) for shard in self.shards]
        others: list[Future] = [_pool().submit(run, shard) for shard in self.shards[1:]]
        return [run(self.shards[0]), *(other.result() for other in others)]

    def _add_up(self) -> None:
        """The gradient of the batch, from that of the shards."""
        splits, heads, embedding = self._of_gradient
        for arguments in splits:
            unroll.split(*arguments)
        for k, (into, part) in enumerate(heads):
            if k < 2:
                into[...] = part
            else:
                into += part
        if embedding is not None:
            embedding[...] = 0
            for shard in self.shards:
                shard.add_embedded(embedding)

    def _by_step(self, targets: np.ndarray) -> np.ndarray:
        """Targets (S, B, O), or classes (S, B): those of the last step only get their axis."""
        every_step = targets.ndim == (2 if targets.dtype.kind == "i" else 3)
        return targets if every_step else targets[None]

    def set_state(self, hidden: np.ndarray, memory: np.ndarray) -> None:
        """The initial state of all layers: (L, B, H); memory is not looked at where the cell has none."""
        for shard in self.shards:
            for k, part in enumerate(hidden[:, shard.part]):
                shard.hidden(k)[0] = part
                if self.cell.states == 2:
                    shard.memory[k][0] = memory[k, shard.part]

    @property
    def outputs(self) -> np.ndarray:
        """(S, B, O)."""
        return _together([shard.outputs for shard in self.shards], 1)

    @property
    def hidden(self) -> np.ndarray:
        """The states, (L, T+1, B, H), hidden[:, 0] the initial ones; a copy."""
        layers = range(len(self._layers))
        return np.stack([np.concatenate([shard.hidden(k) for shard in self.shards], 1) for k in layers])

    @property
    def memory(self) -> np.ndarray:
        """The cells c, (L, T+1, B, H), where there are any; a copy."""
        layers = range(len(self._layers))
        return np.stack([np.concatenate([shard.memory[k] for shard in self.shards], 1) for k in layers])

    def gate(self, name: str) -> np.ndarray:
        """Values of one of the cell's gates, (L, T, B, H); a copy."""
        k = self.cell.gates.index(name)
        layers = range(len(self._layers))
        return np.stack([np.concatenate([s.kept(layer, k) for s in self.shards], 1) for layer in layers])

    def mean_norms(self) -> tuple[np.ndarray, np.ndarray]:
        """Batch means of ‖∂L/∂h_t‖₂ as numbers (L, T) and exponents (L, T): times 2^exponent they are true."""
        return self._mean([(shard.norms, shard.exponents) for shard in self.shards])

    def _mean(self, of_shards: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        (norms, exponents), *others = of_shards
        exponents, count = exponents.copy(), self.shards[-1].part.stop
        if not others:
            return norms / count, exponents
        norms = norms.copy()
        for more in others:
            unroll.add_scaled(norms.reshape(-1), exponents.reshape(-1), *(x.reshape(-1) for x in more))
        return norms / count, exponents

    def log10_norms(self) -> np.ndarray:
        """log10 of the batch mean of ‖∂L/∂h_t‖₂, (L, T), exact past the range of float64; −inf for an exact 0."""
        return log10_of(*self.mean_norms())

    def log10_flow_norms(self, d_outputs: np.ndarray, cut: int = 0) -> np.ndarray:
        """log10 of the batch mean of ‖∂L_T/∂h_t‖₂, (L, T), with L_T the part of the loss that is read at the last step.

        Where every step has a loss of its own, a gradient arrives everywhere; only this shows how far one of them gets.
        """
        with np.errstate(all="ignore"):
            arriving = d_outputs[-1:] @ self.parameters["head.weight"]

        def run(shard: Shard) -> tuple[np.ndarray, np.ndarray]:
            norms, exponents = np.zeros_like(shard.norms), np.zeros_like(shard.exponents)
            mine = np.ascontiguousarray(arriving[:, shard.part])
            shard.through_time(mine, np.zeros(1, np.int64), cut, norms, exponents, None, mine[:0])
            return norms, exponents

        return log10_of(*self._mean(self._each(run)))

    def against_full(self, d_outputs: np.ndarray, cut: int) -> tuple[float, float]:
        """Cosine, and ratio of the norms, of the truncated gradient against the full one; `gradient` stays as it is.

        NaN where one of them is 0 or not finite.
        """
        found, kept = [], self.gradient.flat.copy()
        for where in (0, cut):  # the norms are then the truncated pass's again
            self.backward(d_outputs, where)
            found.append(self.gradient.flat.astype(np.float64))
        self.gradient.flat[:] = kept
        full, truncated = found
        lengths = [float(global_norm(g)) for g in (truncated, full)]
        if not all(np.isfinite(lengths)) or 0.0 in lengths:
            return float("nan"), float("nan")
        cosine = float(np.sum(truncated / lengths[0] * (full / lengths[1])))
        return max(-1.0, min(1.0, cosine)), lengths[0] / lengths[1]


def _together(of_shards: Any, axis: int) -> np.ndarray:
    return of_shards[0] if len(of_shards) == 1 else np.concatenate(of_shards, axis)


def log10_of(norms: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """log10 of norms · 2^exponents."""
    with np.errstate(divide="ignore"):
        return np.log10(norms) + exponents * LOG10_2


def first_non_finite(network: Network, loss: float) -> str | None:
    """The name of the first tensor of a pass, in the order of computation, that holds a NaN or an infinity."""
    for name, view in network.parameters.items():
        if not np.isfinite(view).all():
            return name
    hidden, memory, norms = network.hidden, network.memory, network.mean_norms()[0]
    for layer in range(len(hidden)):
        for name, states in (("hidden", hidden), ("cell", memory)):
            at = np.flatnonzero(~np.isfinite(states[layer]).all(axis=(1, 2)))
            if at.size:
                return f"{name}_l{layer} at t = {at[0]}"
    if not np.isfinite(network.outputs).all():
        return "outputs"
    if not np.isfinite(loss):
        return "loss"
    for layer in range(len(norms) - 1, -1, -1):
        at = np.flatnonzero(~np.isfinite(norms[layer]))
        if at.size:
            return f"gradient of hidden_l{layer} at t = {at[-1] + 1}"
    for name, view in network.gradient.items():
        if not np.isfinite(view).all():
            return f"gradient of {name}"
    return None
