"""PyTorch's recurrent layers by the names of a state dict: nn.RNN, LSTM, GRU (stacked) and their cells."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.foreign.found import LEFT_OUT, NO_BIAS, Ambiguous, Arrays, Found, Misfit, Note, note

NAME = re.compile(r"(?P<prefix>.*?)(?P<tensor>(weight|bias)_(ih|hh|hr))(_l(?P<layer>\d{1,9}))?(?P<reverse>_reverse)?")
KINDS = {1: "rnn", 3: "gru", 4: "lstm"}  # blocks of rows of the recurrent weights
CONTAINERS = ("Identity", "Sequential", "ModuleList", "ModuleDict")  # that do nothing of their own
RECURRENT = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")
TENSORS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
SHAPE = "{name}: shape {shape}; allowed: {allowed}"


def is_module(source: Any) -> bool:
    """Is it a torch.nn.Module? Asked without importing torch: whoever has one has imported it."""
    return any(f"{c.__module__}.{c.__qualname__}" == "torch.nn.modules.module.Module" for c in type(source).__mro__)


def as_arrays(state_dict: Mapping[str, Any]) -> Arrays:
    """Tensors or arrays by name, as arrays. ValueError where one is none."""
    found = {}
    for name, value in state_dict.items():
        if hasattr(value, "detach"):
            try:
                value = value.detach().cpu()
                small = value.is_floating_point() and str(value.dtype) not in ("torch.float32", "torch.float64")
                value = (value.float() if small else value).numpy()  # NumPy has not all of torch's small types
            except (TypeError, RuntimeError):  # without numbers, sparse, quantised
                kind = f"a tensor of {value.dtype}, {value.layout}, on {value.device}"
                raise ValueError(
                    f"state_dict[{name!r:.80}]: {kind}; allowed: arrays or tensors of real numbers"
                ) from None
        if not isinstance(value, np.ndarray):
            raise ValueError(f"state_dict[{name!r:.80}]: {type(value).__name__}; allowed: arrays or tensors")
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
                said = "{name} has batch_first: here inputs are (T, B, I), x.transpose(0, 1)."
                notes.append(note(said, name=name or "the module"))
            if getattr(part, "dropout", 0.0):
                said = "{name} has dropout {rate}: set dropout= to train with it."
                notes.append(note(said, name=name or "the module", rate=part.dropout))
        elif kind == "Linear":
            linear.append(name)
        elif kind == "Embedding":
            embeddings.append(name)
            if part.padding_idx is not None:
                said = "{name} has padding_idx {row}: here that row is trained like any other."
                notes.append(note(said, name=name, row=part.padding_idx))
        elif kind not in CONTAINERS and next(part.children(), None) is None and next(part.parameters(), None) is None:
            others.append(f"{name} ({kind})")
    found = of_arrays(as_arrays(module.state_dict()), nonlinearity, recurrent, head, linear, embeddings)
    if others:
        notes.append(note(LEFT_OUT, names=", ".join(others)))
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
            raise Misfit("{name}: shape {shape}; allowed: two dimensions", name=name, shape=arrays[name].shape)
    layers, names, used = _layers(arrays, recurrent)
    hidden, inputs = layers[0]["weight_hh"].shape[1], layers[0]["weight_ih"].shape[1]
    blocks = len(layers[0]["weight_hh"]) // hidden
    notes: list[Note] = []
    if not all("bias_ih" in layer for layer in layers):
        notes.append(note(NO_BIAS))
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
    unused = {match["prefix"].removesuffix(".") for name in set(arrays) - used if (match := NAME.fullmatch(name))}
    if others := sorted(unused | set(rest) - {found_head, table}):
        notes.append(note(LEFT_OUT, names=", ".join(others)))
    head_bias = f"{found_head.removesuffix('weight')}bias" if found_head else ""
    for name in filter(None, (found_head, head_bias, table)):
        if name in arrays:
            _check_numbers(name, arrays[name])
    if found_head and head_bias in arrays and arrays[head_bias].shape != arrays[found_head].shape[:1]:
        shape, allowed = arrays[head_bias].shape, arrays[found_head].shape[:1]
        raise Misfit(SHAPE, name=head_bias, shape=shape, allowed=allowed)

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
        raise Misfit("{name}: {found}; allowed: real numbers", name=name, found=found)
    if not value.size:
        raise Misfit("{name}: shape {shape}; allowed: at least one number", name=name, shape=value.shape)


def _check_zero(name: str, value: np.ndarray) -> None:
    if value.any():
        raise Misfit("{name}: not 0; allowed: 0, since the network that was loaded has no such bias", name=name)


def _chosen(name: str, recurrent: Sequence[str]) -> bool:
    return not recurrent or name in recurrent


def _layers(arrays: Arrays, recurrent: Sequence[str]) -> tuple[list[Arrays], list[dict[str, str]], set[str]]:
    """The tensors of each layer, their names, and all names that were used."""
    groups: dict[str, dict[int, dict[str, str]]] = {}
    misfits: dict[str, Misfit] = {}
    for name in arrays:
        match = NAME.fullmatch(name)
        if match is None or not _chosen(prefix := match["prefix"].removesuffix("."), recurrent):
            continue
        if match["reverse"]:
            said = "{name}: a bidirectional layer; allowed: layers that run forward in time"
            misfits.setdefault(prefix, Misfit(said, name=name))
        if match["tensor"].endswith("hr"):
            said = "{name}: an LSTM with projections; allowed: without (proj_size=0)"
            misfits.setdefault(prefix, Misfit(said, name=name))
        groups.setdefault(prefix, {}).setdefault(int(match["layer"] or 0), {})[match["tensor"]] = name
    if missing := [prefix for prefix in recurrent if prefix not in groups]:
        listed = ", ".join(groups) or "none was found"
        raise Misfit("recurrent: {name!r}; allowed: {listed}", name=missing[0], listed=listed)
    if not groups:
        some = ", ".join(list(arrays)[:6]) or "nothing"
        said = "no recurrent layer of PyTorch among: {some}; allowed: names such as lstm.weight_hh_l0"
        raise Misfit(said, some=some)
    fit = tuple(prefix for prefix in groups if prefix not in misfits)
    if misfits and (recurrent or not fit):
        raise next(iter(misfits.values()))
    if len(groups) > 1 and not recurrent:
        said = "several recurrent modules: {listed}; allowed: one, or recurrent=(…) in their order"
        raise Ambiguous("recurrent", fit, said, listed=", ".join(map(repr, groups)))
    layers: list[Arrays] = []
    names: list[dict[str, str]] = []
    for prefix in recurrent or groups:
        for number, layer in enumerate(sorted(groups[prefix])):
            if number != layer:
                name = next(iter(groups[prefix][layer].values()))
                said = "{name}: layer {number} is missing below it; allowed: every layer from l0 upwards"
                raise Misfit(said, name=name, number=number)
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
                name = next(iter(theirs.values()))
                said = "{name}: {tensor} is missing beside it; allowed: both weights"
                raise Misfit(said, name=name, tensor=tensor)
        rows, hidden = layer["weight_hh"].shape if layer["weight_hh"].ndim == 2 else (0, 1)
        if hidden == 0 or rows % hidden or rows // hidden not in KINDS:
            shape = layer["weight_hh"].shape
            raise Misfit(SHAPE, name=theirs["weight_hh"], shape=shape, allowed="(H, H), (3H, H) or (4H, H)")
        if first is not None and (rows, hidden) != first:
            said = "{name}: shape {shape}; allowed: {allowed}, as in the layer below"
            raise Misfit(said, name=theirs["weight_hh"], shape=(rows, hidden), allowed=first)
        allowed = (rows, hidden if below is not None else (layer["weight_ih"].shape or (1,))[-1])
        if layer["weight_ih"].shape != allowed:
            raise Misfit(SHAPE, name=theirs["weight_ih"], shape=layer["weight_ih"].shape, allowed=allowed)
        for tensor in TENSORS[2:]:
            if tensor in layer and layer[tensor].shape != (rows,):
                raise Misfit(SHAPE, name=theirs[tensor], shape=layer[tensor].shape, allowed=(rows,))
        first, below = (rows, hidden), layer


def _head(arrays: Arrays, heads: list[str], asked: str | None, hidden: int, notes: list[Note]) -> str | None:
    """The name of the head's weight."""
    if asked is not None:
        name = f"{asked}.weight" if f"{asked}.weight" in arrays else asked
        if name not in arrays or arrays[name].ndim != 2 or arrays[name].shape[1] != hidden:
            listed = ", ".join(found.removesuffix(".weight") for found in heads) or f"a linear layer of {hidden} inputs"
            raise Misfit("head: {asked!r}; allowed: {listed}", asked=asked, listed=listed)
        return name
    if len(heads) > 1:
        options = tuple(name.removesuffix(".weight") for name in heads)
        said = "head: several linear layers take {hidden} inputs; allowed: one of head={listed}"
        raise Ambiguous("head", options, said, hidden=hidden, listed=", ".join(options))
    return heads[0] if heads else None
