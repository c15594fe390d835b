"""The parts of a network whose gradients are compared: each gate's recurrent weights, inputs, biases, and the head."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.cells import KINDS
from engine.clipping import global_norm
from engine.parameters import frozen

Array = np.ndarray


@dataclass(frozen=True)
class Block:
    """Some of the n weights that stand in one row, in the order of a state dict."""

    name: (
        str  # "W_hh", of one gate where there are several; "W_ih", "b" (both biases), "W_out", "b_out", "E", or its own
    )
    gate: str  # "" for none
    layer: int | None  # 0-based; None for head, embedding and whatever else there is
    parts: tuple[slice, ...]

    def of(self, flat: Array) -> Array:
        """This block of a vector (n,)."""
        return np.concatenate([flat[part] for part in self.parts])


def blocks(kind: str, tensors: Mapping[str, Array]) -> tuple[Block, ...]:
    """All blocks of a state dict (or gradient) with every weight once; a tensor of another name is one by itself."""
    gates, start = KINDS[kind].gates or ("",), 0
    found: dict[tuple[str, str], Block] = {}
    for name, tensor in tensors.items():
        size, end = tensor.size, start + tensor.size
        what, _l, layer = name.rpartition("_l")
        if what not in TENSORS or not layer.isdecimal():
            found[name, ""] = Block(WHOLE.get(name, name), "", None, (slice(start, end),))
        elif what == "weight_hh":
            each = size // len(gates)
            for k, gate in enumerate(gates):
                rows = slice(start + k * each, start + (k + 1) * each)
                found[name, gate] = Block("W_hh", gate, int(layer), (rows,))
        elif what == "weight_ih":
            found[name, ""] = Block("W_ih", "", int(layer), (slice(start, end),))
        else:
            both = found.get(("b", layer), Block("b", "", int(layer), ()))
            found["b", layer] = Block("b", "", int(layer), (*both.parts, slice(start, end)))
        start = end
    return tuple(found.values())


TENSORS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
WHOLE = {"embedding.weight": "E", "head.weight": "W_out", "head.bias": "b_out"}


def flat(tensors: Mapping[str, Any]) -> Array:
    """All tensors in one vector (n,), a copy."""
    return np.concatenate([np.asarray(tensor).ravel() for tensor in tensors.values()])


def starts(tensors: Mapping[str, Any]) -> Array:
    """Where in it each tensor starts, and the last one ends."""
    return np.cumsum([0, *(np.asarray(tensor).size for tensor in tensors.values())])


def norms(of: Iterable[Block], x: Array) -> Array:
    """‖·‖₂ of each block of x (n,), in float64."""
    return frozen(np.array([global_norm(block.of(x)) for block in of], np.float64))
