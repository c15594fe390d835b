"""A network with its buffers: one forward and one backward pass through stacked recurrent layers and a linear head."""

from functools import cached_property

import numpy as np

from engine import embedding, readout, unroll
from engine.activations import ACTIVATIONS, NUMBERS
from engine.cells import KINDS
from engine.clipping import global_norm
from engine.losses import LOSSES
from engine.parameters import Parameters

LOG10_2 = float(np.log10(2.0))
GROUP_ROWS = 512  # rows of dZ that one product for the weights' gradient takes: it and its factors fit the cache


class Network:
    """Forward and backward passes of one shape, in buffers that are allocated once.

    After `forward`: hidden and memory (L, T+1, B, H), saved (L, T, B, s·H), outputs (S, B, O), loss.
    After `backward`: gradient (a Parameters), norms and exponents (L, T).
    """

    def __init__(self, cell: str, nonlinearity: str, parameters: Parameters, steps: int, batch: int, every_step: bool):
        self.cell, self.parameters, self._cell_name = KINDS[cell], parameters, cell
        self.activation, self._activation = ACTIVATIONS[nonlinearity], NUMBERS[nonlinearity]
        dtype = parameters.flat.dtype
        output_size, units = parameters["head.weight"].shape
        layers, width = len(parameters.layers), self.cell.blocks * units
        self._shape, self._dtype = (steps, batch, units, width), dtype
        self._read = steps if every_step else 1
        self._first = steps + 1 - self._read  # the first hidden state that the head sees
        memory_shape = (layers, steps + 1, batch, units) if self.cell.states == 2 else (layers, 1, 1, 1)
        self.hidden = np.zeros((layers, steps + 1, batch, units), dtype)
        self.memory = np.zeros(memory_shape, dtype)
        self.saved = np.zeros((layers, steps, batch, len(self.cell.saved) * units), dtype)
        self.outputs = np.zeros((self._read, batch, output_size), dtype)
        self._embedding, self._symbols = parameters.get("embedding.weight"), np.zeros((0, 0), np.int64)
        self._inputs: list[np.ndarray] = [np.zeros((0, 0, 0), dtype)] * layers
        self._zx, self._zh = np.zeros((batch, width), dtype), np.zeros((batch, width), dtype)
        largest = max(w.size for w in parameters.values())
        self._packed = np.zeros(largest, dtype), np.zeros(largest, dtype)
        self._unit = np.ones(1, dtype)
        self.masks: np.ndarray | None = None
        self.norms, self.exponents = np.zeros((layers, steps)), np.zeros((layers, steps), np.int64)

    @cached_property
    def gradient(self) -> Parameters:
        shapes = {name: view.shape for name, view in self.parameters.items()}
        return Parameters(self._cell_name, shapes, self._dtype)

    @cached_property
    def _backward_buffers(self) -> tuple[np.ndarray, ...]:
        """d_hidden (S, B, H), dX (T, B, H), dh, dc (B, H), dZ_x, dZ_h (n, B, k·H)."""
        steps, batch, units, width = self._shape
        ring = (max(1, min(steps, GROUP_ROWS // batch)), batch, width)
        shapes = [(self._read, batch, units), (steps, batch, units), (batch, units), (batch, units), ring]
        *buffers, dzx = (np.zeros(shape, self._dtype) for shape in shapes)
        return *buffers, dzx, dzx if self.cell.one_dz else np.zeros_like(dzx)

    @cached_property
    def _d_embedded(self) -> np.ndarray:
        """∂L/∂(embedded inputs), (T, B, E); (T, B, 0) where nothing is embedded."""
        steps, batch, *_ = self._shape
        return np.zeros((steps, batch, 0 if self._embedding is None else self._embedding.shape[1]), self._dtype)

    def forward(self, inputs: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """outputs (S, B, O) of inputs (T, B, I), C-contiguous and of the network's type; one-hot where embedded.

        masks (L−1, T or 1, B, H) multiply what goes from one layer to the next (dropout; None: nothing dropped).
        """
        self.masks = masks
        if self._embedding is not None:
            self._symbols = inputs.argmax(axis=2)
            inputs = self._embedding[self._symbols]
        for layer, weights in enumerate(self.parameters.layers):
            if layer:
                inputs = self.hidden[layer - 1, 1:]
                if masks is not None:
                    inputs = inputs * masks[layer - 1]
            self._inputs[layer] = inputs
            unroll.forward(
                weights, self._activation, inputs, *self._packed, self._zx, self._zh,
                self.hidden[layer], self.memory[layer], self.saved[layer],
            )  # fmt: skip
        head = self.parameters["head.weight"], self.parameters["head.bias"]
        readout.forward(*head, self.hidden[-1], self._first, self._packed[0], self.outputs)
        return self.outputs

    def backward(self, d_outputs: np.ndarray, cut: int = 0) -> None:
        """Fill `gradient`, `norms` and `exponents` from ∂L/∂outputs (S, B, O); cut: truncated BPTT, 0 for none."""
        g, arriving = self.gradient, self._backward_buffers[0]
        g.flat[:] = 0
        readout.backward(
            self.parameters["head.weight"], self._unit, self.hidden[-1], self._first, d_outputs, arriving,
            g["head.weight"], g["head.bias"],
        )  # fmt: skip
        self._through_time(arriving, cut, self.norms, self.exponents, True)
        if self._embedding is not None:
            embedding.backward(self._symbols, self._d_embedded, self.exponents[0], g["embedding.weight"])

    def log10_flow_norms(self, d_outputs: np.ndarray, cut: int = 0) -> np.ndarray:
        """log10 of the batch mean of ‖∂L_T/∂h_t‖₂, (L, T), with L_T the part of the loss that is read at the last step.

        Where every step has a loss of its own, a gradient arrives everywhere; only this shows how far one of them gets.
        """
        with np.errstate(all="ignore"):
            arriving = np.ascontiguousarray(d_outputs[-1:] @ self.parameters["head.weight"])
        norms, exponents = np.zeros_like(self.norms), np.zeros_like(self.exponents)
        self._through_time(arriving, cut, norms, exponents, False)
        return log10_of(norms, exponents)

    def against_full(self, d_outputs: np.ndarray, cut: int) -> tuple[float, float]:
        """Cosine, and ratio of the norms, of the truncated gradient against the full one; all buffers stay as they are.

        NaN where one of them is 0 or not finite.
        """
        kept = [x.copy() for x in (self.gradient.flat, self.norms, self.exponents)]
        found = []
        for where in (cut, 0):
            self.backward(d_outputs, where)
            found.append(self.gradient.flat.astype(np.float64))
        for x, before in zip((self.gradient.flat, self.norms, self.exponents), kept, strict=True):
            x[...] = before
        lengths = [float(global_norm(g)) for g in found]
        if not all(np.isfinite(lengths)) or 0.0 in lengths:
            return float("nan"), float("nan")
        cosine = float(np.sum(found[0] / lengths[0] * (found[1] / lengths[1])))
        return max(-1.0, min(1.0, cosine)), lengths[0] / lengths[1]

    def _through_time(
        self, arriving: np.ndarray, cut: int, norms: np.ndarray, exponents: np.ndarray, want_weights: bool
    ) -> None:
        """From the gradient that arrives at the last states of the top layer, (n, B, H), down through all layers."""
        _, dx, *scratch = self._backward_buffers
        of_arriving = np.zeros(len(arriving), np.int64)
        for layer in range(len(self.parameters.layers) - 1, -1, -1):
            below = dx if layer else self._d_embedded
            unroll.normalise(arriving, of_arriving)
            unroll.backward(
                self.parameters.layers[layer], self.gradient.layers[layer], self._activation,
                int(self.cell.carries_h), int(self.cell.one_dz), cut, int(want_weights), int(below.shape[2] > 0),
                arriving, of_arriving, *self._packed, self._inputs[layer], self.hidden[layer], self.memory[layer],
                self.saved[layer], self._unit, *scratch, below, norms[layer], exponents[layer],
            )  # fmt: skip
            if layer:
                if self.masks is not None:
                    dx *= self.masks[layer - 1]
                arriving, of_arriving = dx, exponents[layer].copy()

    def log10_norms(self) -> np.ndarray:
        """log10 of the batch mean of ‖∂L/∂h_t‖₂, (L, T), exact past the range of float64; −inf for an exact 0."""
        return log10_of(self.norms, self.exponents)

    def loss(self, name: str, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss of the last forward pass and ∂L/∂outputs; overflow gives infinity, quietly."""
        kept = self.outputs.shape[:2] if targets.dtype.kind == "i" else self.outputs.shape
        targets = targets.reshape(kept)  # targets of the last step only get their axis S = 1
        with np.errstate(all="ignore"):
            return LOSSES[name].value_and_gradient(self.outputs, targets)


def log10_of(norms: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """log10 of norms · 2^exponents."""
    with np.errstate(divide="ignore"):
        return np.log10(norms) + exponents * LOG10_2


def first_non_finite(network: Network, loss: float) -> str | None:
    """The name of the first tensor of a pass, in the order of computation, that holds a NaN or an infinity."""
    for name, view in network.parameters.items():
        if not np.isfinite(view).all():
            return name
    for layer in range(len(network.hidden)):
        for name, states in (("hidden", network.hidden), ("cell", network.memory)):
            at = np.flatnonzero(~np.isfinite(states[layer]).all(axis=(1, 2)))
            if at.size:
                return f"{name}_l{layer} at t = {at[0]}"
    if not np.isfinite(network.outputs).all():
        return "outputs"
    if not np.isfinite(loss):
        return "loss"
    for layer in range(len(network.norms) - 1, -1, -1):
        at = np.flatnonzero(~np.isfinite(network.norms[layer]))
        if at.size:
            return f"gradient of hidden_l{layer} at t = {at[-1] + 1}"
    for name, view in network.gradient.items():
        if not np.isfinite(view).all():
            return f"gradient of {name}"
    return None
