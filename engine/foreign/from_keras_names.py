"""Keras's recurrent layers by the paths of their variables, as a file of arrays has them: lstm/lstm_cell/kernel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.foreign import from_keras
from engine.foreign.found import LEFT_OUT, Ambiguous, Arrays, Found, Misfit, note

KINDS = {1: "rnn", 3: "gru", 4: "lstm"}  # blocks of columns of the recurrent kernel
RECURRENT = "/recurrent_kernel"


@dataclass(frozen=True)
class Part:
    """What `from_keras` asks of a layer."""

    name: str
    use_bias: bool


def are_keras(arrays: Mapping[str, Any]) -> bool:
    return any(name.endswith(RECURRENT) for name in arrays)


def of_arrays(arrays: Arrays, nonlinearity: str, recurrent: Sequence[str], head: str | None) -> Found:
    """The recurrent layers in the order of the names that are asked for; several need to be."""
    cells = {_layer(name): name.removesuffix(RECURRENT) for name in arrays if name.endswith(RECURRENT)}
    if missing := [name for name in recurrent if name not in cells]:
        raise Misfit("recurrent: {name!r}; allowed: {listed}", name=missing[0], listed=", ".join(cells))
    forward = tuple(name for name in cells if "/backward_" not in f"/{name}")
    if len(cells) > 1 and not recurrent:
        said = "several recurrent layers: {listed}; allowed: one, or recurrent=(…) in their order"
        raise Ambiguous("recurrent", forward, said, listed=", ".join(cells))
    chosen = tuple(recurrent) or tuple(cells)
    for name in chosen:
        if "bidirectional" in name or "/backward_" in f"/{name}":
            raise Misfit("{name}: a bidirectional layer; allowed: layers that run forward in time", name=name)
    parts, layers, kind, below = [], [], "", 0
    for name in chosen:
        theirs = _tensors(arrays, cells[name])
        units, columns = theirs[1].shape
        this = KINDS[columns // units]
        if this == "gru" and len(theirs) == 3 and theirs[2].ndim == 1:
            this = "gru_before"
        if kind and (this != kind or units != below):
            said = "{name}: another kind or size than {first}; allowed: equal layers"
            raise Misfit(said, name=name, first=chosen[0])
        if kind and len(theirs[0]) != below:
            shape = theirs[0].shape
            raise Misfit("{name}: shape {shape}; allowed: {allowed}", name=f"{cells[name]}/kernel", shape=shape,
                         allowed=(below, columns))  # fmt: skip
        kind, below = this, units
        parts.append(Part(name, len(theirs) == 3))
        layers.append(from_keras.to_ours(kind, theirs, parts[-1]))
    used = {f"{cells[name]}/{tensor}" for name in cells for tensor in ("kernel", "recurrent_kernel", "bias")}
    rest = [name for name in arrays if name not in used]
    dense = _head(arrays, [name for name in rest if name.endswith("/kernel")], head, below)
    inputs = len(arrays[f"{cells[chosen[0]]}/kernel"])
    tables = [name for name in rest if name.endswith("/embeddings") and arrays[name].shape[1:] == (inputs,)]
    table = tables[0] if len(tables) == 1 else None
    bias = f"{dense.removesuffix('kernel')}bias" if dense else ""
    _check_head(arrays, dense, bias, table)
    notes = from_keras.usual_notes(kind, [part.use_bias for part in parts])
    left = sorted(set(cells) - set(chosen)) + sorted(set(rest) - {dense, bias, table})
    if left:
        notes.append(note(LEFT_OUT, names=", ".join(left)))
    found_head = None
    if dense:
        outputs = np.zeros(arrays[dense].shape[1], arrays[dense].dtype)
        found_head = {"weight": np.ascontiguousarray(arrays[dense].T), "bias": arrays.get(bias, outputs)}

    def export(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
        out = dict(arrays)
        for number, part in enumerate(parts):
            theirs = from_keras.to_theirs(kind, number, state_dict, part)
            for tensor, value in zip(("kernel", "recurrent_kernel", "bias"), theirs, strict=False):
                name = f"{cells[part.name]}/{tensor}"
                out[name] = value.astype(arrays[name].dtype)
        if dense:
            out[dense] = np.ascontiguousarray(state_dict["head.weight"].T).astype(arrays[dense].dtype)
            if bias in arrays:
                out[bias] = state_dict["head.bias"].astype(arrays[bias].dtype)
            elif state_dict["head.bias"].any():
                said = "{name}: not 0; allowed: 0, since the network that was loaded has no such bias"
                raise Misfit(said, name="head.bias")
        if table:
            out[table] = state_dict["embedding.weight"].astype(arrays[table].dtype)
        return out

    return Found(
        kind=kind,
        nonlinearity=nonlinearity if kind != "lstm" else "tanh",
        layers=layers,
        head=found_head,
        embedding=arrays[table] if table else None,
        export=export,
        notes=notes,
        source="Keras",
    )


def _layer(name: str) -> str:
    """The layer's own path, without its cell: sequential/lstm of sequential/lstm/lstm_cell/recurrent_kernel."""
    cell = name.removesuffix(RECURRENT)
    layer, _, last = cell.rpartition("/")
    return layer if layer and last.endswith("_cell") else cell


def _tensors(arrays: Arrays, cell: str) -> list[np.ndarray]:
    """Kernel, recurrent kernel, and a bias where there is one, of shapes that go together."""
    found = [
        arrays[name] for tensor in ("kernel", "recurrent_kernel", "bias") if (name := f"{cell}/{tensor}") in arrays
    ]
    if f"{cell}/kernel" not in arrays:
        raise Misfit("{name}: {tensor} is missing beside it; allowed: both weights", name=cell, tensor="kernel")
    for tensor, value in zip(("kernel", "recurrent_kernel", "bias"), found, strict=False):
        _check(f"{cell}/{tensor}", value)
    kernel, recurrent = found[:2]
    units, columns = recurrent.shape if recurrent.ndim == 2 else (0, 0)
    if not units or columns % units or columns // units not in KINDS:
        raise Misfit("{name}: shape {shape}; allowed: {allowed}", name=f"{cell}{RECURRENT}", shape=recurrent.shape,
                     allowed="(H, H), (H, 3H) or (H, 4H)")  # fmt: skip
    if kernel.ndim != 2 or kernel.shape[1] != columns:
        raise Misfit("{name}: shape {shape}; allowed: {allowed}", name=f"{cell}/kernel", shape=kernel.shape,
                     allowed=f"(I, {columns})")  # fmt: skip
    allowed = [(columns,)] + [(2, columns)] * (columns == 3 * units)
    if len(found) == 3 and found[2].shape not in allowed:
        raise Misfit("{name}: shape {shape}; allowed: {allowed}", name=f"{cell}/bias", shape=found[2].shape,
                     allowed=allowed[0])  # fmt: skip
    return found


def _head(arrays: Arrays, dense: list[str], asked: str | None, units: int) -> str | None:
    heads = [name for name in dense if arrays[name].ndim == 2 and len(arrays[name]) == units]
    options = tuple(name.removesuffix("/kernel") for name in heads)
    if asked is not None:
        if asked not in options:
            listed = ", ".join(options) or f"a Dense layer of {units} inputs"
            raise Misfit("head: {asked!r}; allowed: {listed}", asked=asked, listed=listed)
        return f"{asked}/kernel"
    if len(heads) > 1:
        said = "head: several linear layers take {hidden} inputs; allowed: one of head={listed}"
        raise Ambiguous("head", options, said, hidden=units, listed=", ".join(options))
    return heads[0] if heads else None


def _check_head(arrays: Arrays, dense: str | None, bias: str, table: str | None) -> None:
    for name in filter(None, (dense, bias, table)):
        if name in arrays:
            _check(name, arrays[name])
    if dense and bias in arrays and arrays[bias].shape != arrays[dense].shape[1:]:
        raise Misfit("{name}: shape {shape}; allowed: {allowed}", name=bias, shape=arrays[bias].shape,
                     allowed=arrays[dense].shape[1:])  # fmt: skip


def _check(name: str, value: np.ndarray) -> None:
    if value.dtype.kind not in "iuf":
        raise Misfit("{name}: {found}; allowed: real numbers", name=name, found=value.dtype)
    if not value.size:
        raise Misfit("{name}: shape {shape}; allowed: at least one number", name=name, shape=value.shape)
