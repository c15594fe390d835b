"""What was found in somebody's model, whatever library it is from: recurrent layers, a head, an embedding."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass
class Found:
    """`layers`: for each the four tensors in PyTorch's layout and order of gates, by our names without the layer."""

    kind: str  # a name in engine.cells.KINDS
    nonlinearity: str
    layers: list[Arrays]
    head: Arrays | None  # weight (O, H), bias (O,)
    embedding: np.ndarray | None  # (V, E)
    export: Callable[[Mapping[str, np.ndarray]], dict[str, Any]]  # our state dict -> theirs, by their names
    notes: list[str] = field(default_factory=list)  # what a reader should know of the translation
