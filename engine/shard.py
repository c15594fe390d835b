"""Some sequences of a batch on their way through the network and back, in buffers of their own, allocated once."""

from functools import cached_property
from math import prod

import numpy as np

from engine import embedding, layers, unroll
from engine._vec import register_bits
from engine.activations import NUMBERS
from engine.cells import KINDS
from engine.losses import LOSSES
from engine.parameters import Parameters

LINE = 64  # bytes of a cache line, and of the widest register
RING_BYTES, RING_ROWS = 1 << 18, 64  # what dz may take of the cache until the weights' gradient is due; enough rows


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros that begin with a cache line."""
    size = prod(shape)
    memory = np.zeros(size + LINE // dtype.itemsize, dtype)
    start = -memory.ctypes.data % LINE // dtype.itemsize
    return memory[start : start + size].reshape(shape)


def padded(count: int, dtype: np.dtype) -> int:
    """Length of rows of `count` numbers: whole cache lines, and no multiple of 1 KB.

    Rows that far apart would share their places in the cache: a column of them would not fit.
    """
    each = LINE // dtype.itemsize
    length = -(-count // each) * each
    return length + each if length * dtype.itemsize % 1024 == 0 and length else length


class Layer:
    """The weights of one layer as the kernels want them, shared by all shards: see unroll.join."""

    def __init__(self, cell: str, weights: tuple[np.ndarray, ...], want_inputs: bool) -> None:
        self.weights, row = weights, KINDS[cell]
        self.apart, self._gated = int(row.apart), int(row.gated is not None)
        (width, units), size, dtype = weights[1].shape, weights[0].shape[1], weights[0].dtype
        self.depth = units + size + 1
        self.sums = row.sums * units
        shapes = (self.sums, self.depth), (self.sums * self.depth,), (width * units,), (width * size * want_inputs,)
        self.made = tuple(aligned(shape, dtype) for shape in shapes)  # w, ahead, back and back_x of unroll.join

    def join(self) -> None:
        unroll.join(*self.weights, self.apart, self._gated, *self.made)


class Shard:
    """Forward and backward through all layers for the sequences `part` of a batch.

    After `forward`: outputs (S, b, O), and by layer rows (T+1, b, ≥ H), memory (T+1, b, H), saved (T, b, ≥ k·H). After
    `backward`: gradient of the head, dw by layer, norms and exponents (L, T), norms summed over the sequences.
    """

    def __init__(
        self, cell: str, nonlinearity: str, parameters: Parameters, layers: list[Layer], steps: int, part: slice,
        batch: int, every_step: bool,
    ) -> None:  # fmt: skip
        self.part, self._parameters, self._layers, self._activation = part, parameters, layers, NUMBERS[nonlinearity]
        self._alone = int(part == slice(0, batch))
        count, row, dtype = part.stop - part.start, KINDS[cell], parameters.flat.dtype
        self._cell = row
        self.share, self._steps, self._batch, self._dtype = count / batch, steps, count, dtype
        size, self._units = parameters["head.weight"].shape
        self._first = 1 if every_step else steps  # the first state that the head sees
        self.rows = [aligned((steps + 1, count, padded(layer.depth, dtype)), dtype) for layer in layers]
        for rows, layer in zip(self.rows, layers, strict=True):
            rows[:, :, layer.depth - 1] = 1
        memory = (steps + 1, count, self._units) if row.states == 2 or row.gated else (1, 1, 1)
        each = register_bits() // (8 * dtype.itemsize)  # saved in whole registers: see pointwise
        saved = steps, count, padded(len(row.saved) * -(-self._units // each) * each, dtype)
        self.memory = [aligned(memory, dtype) for _ in layers]
        self.saved = [aligned(saved, dtype) for _ in layers]
        self.outputs = np.zeros((steps + 1 - self._first, count, size), dtype)
        self._z = aligned((count, padded(layers[0].sums, dtype)), dtype)
        self._none = self.outputs[:0]
        self._head = parameters["head.weight"], parameters["head.bias"]
        self._packed = aligned((parameters["head.weight"].size,), dtype)
        self._unit = np.ones(1, dtype)
        self._masks: np.ndarray | None = None
        self._embedding, self._symbols = parameters.get("embedding.weight"), np.zeros((0, 0), np.int64)
        self.norms, self.exponents = np.zeros((len(layers), steps)), np.zeros((len(layers), steps), np.int64)

    @cached_property
    def _arriving(self) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of the top layer's states that comes from the head, (S, b, H), and its exponents."""
        steps = len(self.outputs)
        return aligned((steps, self._batch, self._units), self._dtype), np.zeros(steps, np.int64)

    @cached_property
    def _scratch(self) -> tuple[np.ndarray, ...]:
        """dh, dc (b, H), and dz (n, b, ≥ s·H)."""
        state, z_row = (self._batch, self._units), self._z.shape[1]
        most = max(RING_ROWS, RING_BYTES // (z_row * self._dtype.itemsize))
        ring = max(1, min(self._steps, most // self._batch)), self._batch, z_row
        return aligned(state, self._dtype), aligned(state, self._dtype), aligned(ring, self._dtype)

    @cached_property
    def dw(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The gradient of each layer's weights, as unroll.split reads it."""
        shapes = [
            ((len(layer.weights[1]), padded(self._units, self._dtype)), (layer.depth - self._units, self._z.shape[1]))
            for layer in self._layers
        ]
        return [(aligned(of_h, self._dtype), aligned(of_x, self._dtype)) for of_h, of_x in shapes]

    @cached_property
    def _dx(self) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of a layer's inputs, (T, b, H), and of the embedded inputs, (T, b, E); empty for none."""
        width = 0 if self._embedding is None else self._embedding.shape[1]
        above = self._units if len(self._layers) > 1 else 0
        return tuple(aligned((self._steps, self._batch, n), self._dtype) for n in (above, width))  # type: ignore[return-value]

    @cached_property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of the head's weight and bias."""
        return tuple(np.zeros_like(self._parameters[f"head.{name}"]) for name in ("weight", "bias"))  # type: ignore[return-value]

    @cached_property
    def _of_layer(self) -> list[tuple[np.ndarray, ...]]:
        """A layer's buffers in the order of layers.backward."""
        above, embedded = self._dx
        return [
            (*layer.made[2:], self.rows[k], self.memory[k], self.saved[k], *self._scratch, *self.dw[k],
             above if k else embedded)
            for k, layer in enumerate(self._layers)
        ]  # fmt: skip

    def forward(self, inputs: np.ndarray, masks: np.ndarray | None = None) -> None:
        """Fill rows, memory, saved and outputs from the batch's inputs (T, B, I), one-hot where embedded."""
        inputs = inputs[:, self.part]
        if self._embedding is not None:
            self._symbols = inputs.argmax(axis=2)
            inputs = self._embedding[self._symbols]
        self._masks = None if masks is None else masks[:, :, self.part]
        below, start, length = np.ascontiguousarray(inputs).reshape(-1), 0, inputs.shape[2]
        for k, layer in enumerate(self._layers):
            if k and self._masks is not None:
                below = (self.hidden(k - 1)[1:] * self._masks[k - 1]).reshape(-1)
                start, length = 0, self._units
            elif k:
                length = self.rows[k - 1].shape[2]
                below, start = self.rows[k - 1].reshape(-1), self._batch * length
            layers.forward(
                layer.weights, self._activation, self._alone, below, start, length, *layer.made,
                self.rows[k], self.memory[k], self.saved[k], self._z,
                *self._head, self._first, self._packed, self.outputs if k == len(self._layers) - 1 else self._none,
            )  # fmt: skip

    def loss(self, name: str, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """This shard's part of the batch's loss, and ∂L/∂outputs (S, b, O); targets (S, B, O) or (S, B)."""
        return LOSSES[name].value_and_gradient(self.outputs, targets[:, self.part], self.share)

    def backward(self, d_outputs: np.ndarray, cut: int, gradient: Parameters) -> None:
        """Fill norms, exponents and `gradient` from the ∂L/∂outputs of the shard; if others share it, head and dw."""
        self.through_time(*self._arriving, cut, self.norms, self.exponents, gradient, d_outputs)

    def through_time(
        self, arriving: np.ndarray, of_arriving: np.ndarray, cut: int, norms: np.ndarray, exponents: np.ndarray,
        gradient: Parameters | None, d_outputs: np.ndarray,
    ) -> None:  # fmt: skip
        """From the gradient that arrives at the last states of the top layer, (n, b, H), down through all layers.

        It is made of d_outputs first, where there are any; the weights' gradient is wanted where there is `gradient`.
        """
        alone = self._alone if gradient is not None else 0
        head = (gradient["head.weight"], gradient["head.bias"]) if gradient is not None and alone else self.head
        for k in range(len(self._layers) - 1, -1, -1):
            weights = self._layers[k].weights
            layers.backward(
                weights, self._activation, cut, int(gradient is not None), alone, arriving, of_arriving,
                norms[k], exponents[k], d_outputs, self._head[0], self._unit, self._first, *head,
                *(gradient.layers[k] if gradient is not None else weights), *self._of_layer[k],
            )  # fmt: skip
            if k:
                below = self._dx[0]
                if self._masks is not None:
                    below *= self._masks[k - 1]
                arriving, of_arriving, d_outputs = below, exponents[k].copy(), self._none

    def add_embedded(self, gradient: np.ndarray) -> None:
        """Add ∂L/∂(embedding.weight)."""
        embedding.backward(self._symbols, self._dx[1], self.exponents[0], gradient)

    def hidden(self, layer: int) -> np.ndarray:
        """(T+1, b, H), a view."""
        return self.rows[layer][:, :, : self._units]

    def kept(self, layer: int, k: int) -> np.ndarray:
        """Number k of what the cell's step saved, (T, b, H)."""
        each = register_bits() // (8 * self._dtype.itemsize)
        saved, count = self.saved[layer], len(self._cell.saved)
        registers = saved[:, :, : count * -(-self._units // each) * each].reshape(*saved.shape[:2], -1, count, each)
        return registers[:, :, :, k].reshape(*saved.shape[:2], -1)[:, :, : self._units]
