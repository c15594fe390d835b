"""What was found in somebody's model, whatever library it is from: recurrent layers, a head, an embedding; or why not.

Sentences keep their places apart from their values, so that a page can say them in its reader's language.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
LONGEST = 80  # characters of a name in a sentence
LEFT_OUT = "Left out, as no part of such a network here: {names}."
NO_BIAS = "The recurrent layers have no biases: here they are 0, but count in ‖g‖, and training changes them."


def _short(values: Mapping[str, object]) -> dict[str, object]:
    """Values as they may stand in a sentence: a file's names can have any length, alone or in a list."""
    texts = {name: str(value) if isinstance(value, Exception) else value for name, value in values.items()}
    return {
        name: ", ".join(part if len(part) <= LONGEST else f"{part[:LONGEST]}…" for part in value.split(", "))
        if isinstance(value, str)
        else value
        for name, value in texts.items()
    }


class Note(str):
    """A sentence, whole. `message`, with named places, and `values` are what it was made of."""

    message: str
    values: Mapping[str, object]


def note(message: str, **values: object) -> Note:
    """The sentence of a message and what stands in its places."""
    values = _short(values)
    new = Note(message.format(**values))
    new.message, new.values = message, values
    return new


class Misfit(ValueError):
    """Why a file or a network cannot be taken. `message` and `values` as in Note."""

    def __init__(self, message: str, **values: object) -> None:
        values = _short(values)
        super().__init__(message.format(**values))
        self.message, self.values = message, values


class Ambiguous(Misfit):
    """There are several of something, and the caller has to say which: the argument is named, and what it may be."""

    def __init__(self, parameter: str, options: tuple[str, ...], message: str, **values: object) -> None:
        super().__init__(message, **values)
        self.parameter, self.options = parameter, options


@dataclass
class Found:
    """`layers`: for each the four tensors in PyTorch's layout and order of gates, by our names without the layer."""

    kind: str  # a name in engine.cells.KINDS
    nonlinearity: str
    layers: list[Arrays]
    head: Arrays | None  # weight (O, H), bias (O,)
    embedding: np.ndarray | None  # (V, E)
    export: Callable[[Mapping[str, np.ndarray]], dict[str, Any]]  # our state dict -> theirs, by their names
    notes: list[Note] = field(default_factory=list)  # what a reader should know of the translation
    source: str = "PyTorch"  # whose names they are
