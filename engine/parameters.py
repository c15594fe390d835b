"""All parameters of a network in one flat vector, with PyTorch's names and shapes as views into it.

One vector makes clipping and every optimizer one loop.
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from engine.cells import KINDS


def shapes(
    cell: str, input_size: int, hidden_size: int, num_layers: int, output_size: int, embedding_dim: int | None = None
) -> dict[str, tuple[int, ...]]:
    """Name -> shape, as torch.nn.RNN/LSTM/GRU, torch.nn.Linear("head") and torch.nn.Embedding name them."""
    rows = KINDS[cell].blocks * hidden_size
    out: dict[str, tuple[int, ...]] = {}
    if embedding_dim is not None:
        out["embedding.weight"] = (input_size, embedding_dim)
        input_size = embedding_dim
    for layer in range(num_layers):
        out[f"weight_ih_l{layer}"] = (rows, hidden_size if layer else input_size)
        out[f"weight_hh_l{layer}"] = (rows, hidden_size)
        out[f"bias_ih_l{layer}"] = (rows,)
        out[f"bias_hh_l{layer}"] = (rows,)
    out["head.weight"] = (output_size, hidden_size)
    out["head.bias"] = (output_size,)
    return out


class Parameters(Mapping[str, np.ndarray]):
    """`flat` (n,), and each tensor by name as a view into it. Also used for a gradient."""

    def __init__(self, cell: str, tensors: Mapping[str, tuple[int, ...]], dtype: np.dtype) -> None:
        self.flat = np.zeros(sum(prod(shape) for shape in tensors.values()), dtype)
        self._views: dict[str, np.ndarray] = {}
        start = 0
        for name, shape in tensors.items():
            self._views[name] = self.flat[start : start + prod(shape)].reshape(shape)
            start += prod(shape)
        kind = KINDS[cell].weights
        self.layers = [
            kind(*(self._views[f"{tensor}_l{layer}"] for tensor in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
            for layer in range(sum(name.startswith("weight_hh_l") for name in tensors))
        ]
        self.starts = np.cumsum([0, *(prod(shape) for shape in tensors.values())])  # of each tensor in `flat`

    def __getitem__(self, name: str) -> np.ndarray:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def copies(self) -> dict[str, np.ndarray]:
        """Read-only copies, which later training does not change."""
        return {name: frozen(view.copy()) for name, view in self._views.items()}


def frozen(x: np.ndarray) -> np.ndarray:
    """The same array, made read-only."""
    x.flags.writeable = False
    return x


def as_array(name: str, value: Any) -> np.ndarray:
    """A user's array. Raises ValueError that names it where it is none (ragged lists) or has masked elements."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name}: masked elements; allowed: an array without")
    try:
        return np.asarray(value)
    except Exception as error:  # whatever an object's own conversion raises
        raise ValueError(f"{name}: not an array ({error}); allowed: rows of equal length, numbers") from None


def load(parameters: Parameters, state_dict: Mapping[str, np.ndarray]) -> None:
    """Copy a state dict in. Raises ValueError that names a tensor that is missing, not known, or of another shape."""
    if not isinstance(state_dict, Mapping):
        raise ValueError(f"state_dict: {type(state_dict).__name__}; allowed: names -> arrays")
    missing, unknown = parameters.keys() - state_dict.keys(), state_dict.keys() - parameters.keys()
    if missing or unknown:
        raise ValueError(
            f"state_dict: missing {sorted(missing) or 'nothing'}, not known {sorted(unknown, key=str) or 'nothing'}; "
            f"allowed: {', '.join(parameters)} (load_weights brings another network's names to these)"
        )
    for name, view in parameters.items():
        value = as_array(f"state_dict[{name!r}]", state_dict[name])
        if value.shape != view.shape or value.dtype.kind not in "fiu":
            raise ValueError(
                f"state_dict[{name!r}]: shape {value.shape}, {value.dtype}; allowed: shape {view.shape}, real numbers"
            )
        with np.errstate(over="ignore"):  # a weight past the range of the type is infinite, and reported as such
            view[...] = value
