"""PyTorch's recurrent layers by the names of a state dict: nn.RNN, LSTM, GRU (stacked) and their cells."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.foreign.found import Arrays, Found

NAME = re.compile(r"(?P<prefix>.*?)(?P<tensor>(weight|bias)_(ih|hh|hr))(_l(?P<layer>\d+))?(?P<reverse>_reverse)?")
KINDS = {1: "rnn", 3: "gru", 4: "lstm"}  # blocks of rows of the recurrent weights
CONTAINERS = ("Identity", "Sequential", "ModuleList", "ModuleDict")  # that do nothing of their own
RECURRENT = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")
TENSORS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def is_module(source: Any) -> bool:
    """Is it a torch.nn.Module? Asked without importing torch: whoever has one has imported it."""
    return any(f"{c.__module__}.{c.__qualname__}" == "torch.nn.modules.module.Module" for c in type(source).__mro__)


def as_arrays(state_dict: Mapping[str, Any]) -> Arrays:
    """Tensors or arrays by name, as arrays. ValueError where one is none."""
    found = {}
    for name, value in state_dict.items():
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = (value.float() if str(value.dtype) in ("torch.bfloat16", "torch.float16") else value).numpy()
        if not isinstance(value, np.ndarray):
            raise ValueError(f"state_dict[{name!r}]: {type(value).__name__}; allowed: arrays or tensors")
        found[str(name)] = value
    return found


def of_module(module: Any, recurrent: Sequence[str], head: str | None) -> Found:
    """From a module: its own attributes say what names alone cannot."""
    nonlinearity, notes, linear, embeddings, others = "tanh", [], [], [], []
    for name, part in module.named_modules():
        kind = type(part).__name__
        if _is_recurrent(part):
            if not _chosen(name, recurrent):
                continue
            nonlinearity = getattr(part, "nonlinearity", "tanh")
            if getattr(part, "batch_first", False):
                notes.append(f"{name or 'the module'} has batch_first: here inputs are (T, B, I), x.transpose(0, 1).")
            if getattr(part, "dropout", 0.0):
                notes.append(f"{name or 'the module'} has dropout {part.dropout}: set dropout= to train with it.")
        elif kind == "Linear":
            linear.append(name)
        elif kind == "Embedding":
            embeddings.append(name)
            if part.padding_idx is not None:
                notes.append(f"{name} has padding_idx {part.padding_idx}: here that row is trained like any other.")
        elif kind not in CONTAINERS and next(part.children(), None) is None and next(part.parameters(), None) is None:
            others.append(f"{name} ({kind})")
    found = of_arrays(as_arrays(module.state_dict()), nonlinearity, recurrent, head, linear, embeddings)
    if others:
        notes.append(f"Left out, as no part of such a network here: {', '.join(others)}.")
    found.notes[:0] = notes
    return found


def _is_recurrent(part: Any) -> bool:
    """Is it one of PyTorch's recurrent layers, or of a class that inherits from one?"""
    return any(c.__module__ == "torch.nn.modules.rnn" and c.__name__ in RECURRENT for c in type(part).__mro__)


def of_arrays(
    arrays: Arrays, nonlinearity: str, recurrent: Sequence[str], head: str | None,
    linear: Sequence[str] | None = None, embeddings: Sequence[str] | None = None,
) -> Found:  # fmt: skip
    """`linear`, `embeddings`: the names of such layers where they are known; None: judge by shape."""
    for name in ("head.weight", "embedding.weight"):  # our own names: nothing else is meant
        if name in arrays and arrays[name].ndim != 2:
            raise ValueError(f"{name}: shape {arrays[name].shape}; allowed: two dimensions")
    layers, names, used = _layers(arrays, recurrent)
    hidden, inputs = layers[0]["weight_hh"].shape[1], layers[0]["weight_ih"].shape[1]
    blocks = len(layers[0]["weight_hh"]) // hidden
    notes = [] if all("bias_ih" in layer for layer in layers) else ["The recurrent layers have no biases: here 0."]
    rest = {name: value for name, value in arrays.items() if name not in used and name.endswith("weight")}
    with_bias = [name for name in rest if f"{name.removesuffix('weight')}bias" in arrays]
    heads = [
        name
        for name, value in rest.items()
        if value.ndim == 2 and value.shape[1] == hidden
        and (name.removesuffix(".weight") in linear if linear is not None else name in with_bias)
    ]  # fmt: skip
    found_head = _head(arrays, heads, head, hidden, notes)
    tables = [
        name
        for name, value in rest.items()
        if value.ndim == 2 and value.shape[1] == inputs and name != found_head
        and (name.removesuffix(".weight") in embeddings if embeddings is not None else name not in with_bias)
    ]  # fmt: skip
    table = tables[0] if len(tables) == 1 else None
    if others := sorted(set(rest) - {found_head, table}):
        notes.append(f"Left out, as no part of such a network here: {', '.join(others)}.")
    head_bias = f"{found_head.removesuffix('weight')}bias" if found_head else ""
    for name in filter(None, (found_head, head_bias, table)):
        if name in arrays:
            _check_numbers(name, arrays[name])
    if found_head and head_bias in arrays and arrays[head_bias].shape != arrays[found_head].shape[:1]:
        raise ValueError(f"{head_bias}: shape {arrays[head_bias].shape}; allowed: {arrays[found_head].shape[:1]}")

    def export(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
        out = dict(arrays)
        for layer, theirs in enumerate(names):
            for tensor in TENSORS:
                ours = state_dict[f"{tensor}_l{layer}"]
                if tensor in theirs:
                    out[theirs[tensor]] = ours.astype(arrays[theirs[tensor]].dtype)
                else:
                    _check_zero(f"{tensor}_l{layer}", ours)
        if found_head:
            out[found_head] = state_dict["head.weight"].astype(arrays[found_head].dtype)
            if head_bias in arrays:
                out[head_bias] = state_dict["head.bias"].astype(arrays[head_bias].dtype)
            else:
                _check_zero("head.bias", state_dict["head.bias"])
        if table:
            out[table] = state_dict["embedding.weight"].astype(arrays[table].dtype)
        return out

    return Found(
        kind=KINDS[blocks],
        nonlinearity=nonlinearity if blocks == 1 else "tanh",
        layers=[{"bias_ih": _zeros(layer), "bias_hh": _zeros(layer)} | layer for layer in layers],
        head={
            "weight": arrays[found_head],
            "bias": arrays[head_bias] if head_bias in arrays else np.zeros(len(arrays[found_head])),
        }
        if found_head
        else None,
        embedding=arrays[table] if table else None,
        export=export,
        notes=notes,
    )


def _zeros(layer: Arrays) -> np.ndarray:
    return np.zeros(len(layer["weight_hh"]), layer["weight_hh"].dtype)


def _check_numbers(name: str, value: np.ndarray) -> None:
    """Raises ValueError where an array that is used has no real numbers, or none for certain."""
    if isinstance(value, np.ma.MaskedArray) or value.dtype.kind not in "iuf":
        found = "a masked array" if isinstance(value, np.ma.MaskedArray) else value.dtype
        raise ValueError(f"{name}: {found}; allowed: real numbers")
    if not value.size:
        raise ValueError(f"{name}: shape {value.shape}; allowed: at least one number")


def _check_zero(name: str, value: np.ndarray) -> None:
    if value.any():
        raise ValueError(f"{name}: {value!r:.60}; allowed: 0, since the network that was loaded has no such bias")


def _chosen(name: str, recurrent: Sequence[str]) -> bool:
    return not recurrent or name in recurrent


def _layers(arrays: Arrays, recurrent: Sequence[str]) -> tuple[list[Arrays], list[dict[str, str]], set[str]]:
    """The tensors of each layer, their names, and all names that were used."""
    groups: dict[str, dict[int, dict[str, str]]] = {}
    for name in arrays:
        match = NAME.fullmatch(name)
        if match is None or not _chosen(prefix := match["prefix"].removesuffix("."), recurrent):
            continue
        if match["reverse"]:
            raise ValueError(f"{name}: a bidirectional layer; allowed: layers that run forward in time")
        if match["tensor"].endswith("hr"):
            raise ValueError(f"{name}: an LSTM with projections; allowed: without (proj_size=0)")
        groups.setdefault(prefix, {}).setdefault(int(match["layer"] or 0), {})[match["tensor"]] = name
    if missing := [prefix for prefix in recurrent if prefix not in groups]:
        raise ValueError(f"recurrent: {missing[0]!r}; allowed: {', '.join(groups) or 'none was found'}")
    if not groups:
        some = ", ".join(list(arrays)[:6]) or "nothing"
        raise ValueError(f"no recurrent layer of PyTorch among: {some}; allowed: names such as lstm.weight_hh_l0")
    if len(groups) > 1 and not recurrent:
        listed = ", ".join(repr(prefix) for prefix in groups)
        raise ValueError(f"several recurrent modules: {listed}; allowed: one, or recurrent=(…) in their order")
    layers: list[Arrays] = []
    names: list[dict[str, str]] = []
    for prefix in recurrent or groups:
        for number, layer in enumerate(sorted(groups[prefix])):
            if number != layer:
                name = next(iter(groups[prefix][layer].values()))
                raise ValueError(f"{name}: layer {number} is missing below it; allowed: every layer from l0 upwards")
            theirs = groups[prefix][layer]
            names.append(theirs)
            layers.append({tensor: arrays[name] for tensor, name in theirs.items()})
    _check_shapes(layers, names)
    return layers, names, {name for theirs in names for name in theirs.values()}


def _check_shapes(layers: list[Arrays], names: list[dict[str, str]]) -> None:
    """Raises ValueError unless they make one stack of equal cells."""
    first, below = None, None
    for layer, theirs in zip(layers, names, strict=True):
        for tensor, value in layer.items():
            _check_numbers(theirs[tensor], value)
        for tensor in TENSORS[:2]:
            if tensor not in layer:
                raise ValueError(f"{next(iter(theirs.values()))}: {tensor} is missing beside it; allowed: both weights")
        rows, hidden = layer["weight_hh"].shape if layer["weight_hh"].ndim == 2 else (0, 1)
        if hidden == 0 or rows % hidden or rows // hidden not in KINDS:
            shape = layer["weight_hh"].shape
            raise ValueError(f"{theirs['weight_hh']}: shape {shape}; allowed: (H, H), (3H, H) or (4H, H)")
        if first is not None and (rows, hidden) != first:
            raise ValueError(f"{theirs['weight_hh']}: shape {(rows, hidden)}; allowed: {first}, as in the layer below")
        allowed = (rows, hidden if below is not None else (layer["weight_ih"].shape or (1,))[-1])
        if layer["weight_ih"].shape != allowed:
            raise ValueError(f"{theirs['weight_ih']}: shape {layer['weight_ih'].shape}; allowed: {allowed}")
        for tensor in TENSORS[2:]:
            if tensor in layer and layer[tensor].shape != (rows,):
                raise ValueError(f"{theirs[tensor]}: shape {layer[tensor].shape}; allowed: ({rows},)")
        first, below = (rows, hidden), layer


def _head(arrays: Arrays, heads: list[str], asked: str | None, hidden: int, notes: list[str]) -> str | None:
    """The name of the head's weight."""
    if asked is not None:
        name = f"{asked}.weight" if f"{asked}.weight" in arrays else asked
        if name not in arrays or arrays[name].ndim != 2 or arrays[name].shape[1] != hidden:
            listed = ", ".join(found.removesuffix(".weight") for found in heads) or f"a linear layer of {hidden} inputs"
            raise ValueError(f"head: {asked!r}; allowed: {listed}")
        return name
    if len(heads) > 1:
        listed = ", ".join(name.removesuffix(".weight") for name in heads)
        raise ValueError(f"head: several linear layers take {hidden} inputs; allowed: one of head={listed}")
    return heads[0] if heads else None
