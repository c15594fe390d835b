"""What goes over the socket: a frame says only what changed since the last one.

A message is the length of its JSON (uint32, little-endian), the JSON, padding to 8 bytes, and the raw bytes of arrays:

  head + {"figures": {id: {"full": figure without arrays} | {"patch": [[path, value], …]}},
          "arrays": [{"figure", "trace", "attr", "dtype", "shape", "at", "size", "offset"}]}

A figure that did not change is not mentioned. `at` null: the array is new, take it whole; else write the box of `size`
at `at` into the array of before, which keeps what it has when `shape` has grown. `repeat` n: one row is sent that
stands for n equal ones. NaN and infinity travel as they are in arrays, and as null in JSON. The browser's twin of
`decode` is assets/stage/frames.js.
"""

import json
from collections.abc import Sequence
from functools import cache
from math import isfinite
from struct import pack, unpack_from
from typing import Any

import numpy as np

Json = Any
Key = tuple[str, int, str]  # figure, trace, attribute (dotted where nested)
ATOMS = frozenset((str, int, bool, type(None)))  # what JSON says as it is; most of a frame's thousand values
DTYPES = ("float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32")  # JavaScript's typed arrays


class Encoder:
    """One per connection: it remembers what it last sent."""

    def __init__(self) -> None:
        self._figures: dict[str, Json] = {}
        self._arrays: dict[Key, np.ndarray] = {}

    def encode(self, head: dict[str, Any], figures: dict[str, dict[str, Any]]) -> bytes:
        """The frame that leads from what was last sent to `figures`. TypeError for arrays of a dtype not in DTYPES."""
        changes: dict[str, Json] = {}
        entries: list[dict[str, Any]] = []
        chunks: list[bytes] = []
        size = 0
        for name, figure in figures.items():
            arrays: dict[Key, np.ndarray] = {}
            data = [_strip(trace, (name, i, ""), arrays) for i, trace in enumerate(figure["data"])]
            plain = {"data": data, "layout": _plain(figure["layout"])}
            before = self._figures.get(name)
            keys = {k for k in self._arrays if k[0] == name}
            patch: list[list[Json]] = []
            whole = before is None or keys != set(arrays) or not _diff(before, plain, (), patch)
            if whole:
                changes[name] = {"full": plain}
                for key in keys:
                    del self._arrays[key]
            elif patch:
                changes[name] = {"patch": patch}
            self._figures[name] = plain
            for key, array in arrays.items():
                entry = _change(None if whole else self._arrays.get(key), array)
                if entry is None:
                    continue
                fields, box = entry
                raw = np.ascontiguousarray(box).tobytes()
                where = {"figure": key[0], "trace": key[1], "attr": key[2], "dtype": _name(array.dtype), "offset": size}
                entries.append(where | fields)
                chunks += [raw, bytes(-len(raw) % 8)]
                size += len(raw) + (-len(raw) % 8)
                self._arrays[key] = array.copy() if array.strides[:1] != (0,) else array
        message = _plain(head) | {"figures": changes, "arrays": entries}
        text = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
        return b"".join([pack("<I", len(text)), text, bytes(-(4 + len(text)) % 8), *chunks])


def decode(frame: bytes, figures: dict[str, Json] | None = None) -> tuple[dict[str, Any], dict[str, Json]]:
    """head and figures after this frame; `figures` are those after the frame before (changed in place)."""
    figures = {} if figures is None else figures
    (length,) = unpack_from("<I", frame)
    head = json.loads(frame[4 : 4 + length])
    raw = memoryview(frame)[4 + length + (-(4 + length) % 8) :]
    for name, change in head.pop("figures").items():
        if "full" in change:
            figures[name] = change["full"]
        for path, value in change.get("patch", ()):
            _at(figures[name], path[:-1])[path[-1]] = value
    for a in head.pop("arrays"):
        steps, shape = a["attr"].split("."), tuple(a["shape"])
        holder = _at(figures[a["figure"]]["data"][a["trace"]], steps[:-1])
        box = np.frombuffer(raw, a["dtype"], int(np.prod(a["size"])), a["offset"]).reshape(a["size"])
        if a.get("repeat"):
            holder[steps[-1]] = np.broadcast_to(box[0], shape)
            continue
        array = np.zeros(shape, a["dtype"])
        if a["at"] is not None:
            old = holder[steps[-1]]
            array[tuple(map(slice, old.shape))] = old
        array[tuple(slice(n, n + m) for n, m in zip(a["at"] or [0] * len(shape), a["size"], strict=True))] = box
        holder[steps[-1]] = array
    return head, figures


def _at(node: Json, path: Sequence[str | int]) -> Json:
    for step in path:
        node = node[step]
    return node


def _strip(node: Json, key: Key, arrays: dict[Key, np.ndarray]) -> Json:
    """A trace as plain JSON; its arrays go to `arrays` under their dotted names."""
    if not isinstance(node, dict):
        return _plain(node)
    out = {}
    for name, value in node.items():
        here = (key[0], key[1], f"{key[2]}.{name}" if key[2] else name)
        if isinstance(value, np.ndarray):
            if _name(value.dtype) not in DTYPES or value.ndim not in (1, 2):
                place, kind = ".".join(map(str, here)), f"{value.ndim}-D {value.dtype}"
                raise TypeError(f"{place}: {kind}; allowed: 1-D, 2-D, {', '.join(DTYPES)}")
            arrays[here] = value
        else:
            out[name] = _strip(value, here, arrays) if isinstance(value, dict) else _plain(value)
    return out


def _plain(node: Json) -> Json:
    """What JSON can say: NumPy's numbers as Python's, NaN and infinity as null."""
    kind = type(node)
    if kind in ATOMS:
        return node
    if kind is float:
        return node if isfinite(node) else None
    if isinstance(node, dict):
        return {str(k): v if type(v) in ATOMS else _plain(v) for k, v in node.items()}
    if isinstance(node, (list, tuple)):
        return [v if type(v) in ATOMS else _plain(v) for v in node]
    if isinstance(node, np.generic | np.ndarray):
        return _plain(node.tolist())
    return None if isinstance(node, float) and not isfinite(node) else node


def _diff(old: Json, new: Json, path: tuple[str | int, ...], out: list[list[Json]]) -> bool:
    """Add leaf-level changes to `out` as [path, value]; False where the figure's own shape changed: send it in full."""
    kind = type(new)
    if type(old) is kind and kind is dict and old.keys() == new.keys():
        pairs = zip(new, map(old.__getitem__, new), new.values(), strict=True)
    elif type(old) is kind and kind is list and len(old) == len(new):
        pairs = zip(range(len(new)), old, new, strict=True)
    elif type(old) is kind and old == new:
        return True
    elif not path or (path[0] == "data" and (len(path) < 3 or isinstance(old, dict))):
        return False  # within data a container may hold arrays, which a new value would lose
    else:
        out.append([list(path), new])
        return True
    for key, a, b in pairs:
        leaf = a is b or (type(a) is type(b) and type(b) is not dict and type(b) is not list and a == b)
        if not leaf and not _diff(a, b, (*path, key), out):
            return False
    return True


@cache
def _name(dtype: np.dtype) -> str:
    return dtype.name


def _change(old: np.ndarray | None, new: np.ndarray) -> tuple[dict[str, Any], np.ndarray] | None:
    """What to send so that `old` becomes `new`: fields of the entry and the box of values; None: nothing changed."""
    if old is not None and (old.dtype != new.dtype or old.ndim != new.ndim):
        old = None
    if new.ndim == 2 and new.strides[0] == 0 and new.size:
        if old is not None and old.shape == new.shape and old.strides[0] == 0 and _same(old[0], new[0]).all():
            return None
        return {"shape": list(new.shape), "at": None, "size": [1, new.shape[1]], "repeat": new.shape[0]}, new[:1]
    whole = {"shape": list(new.shape), "at": None, "size": list(new.shape)}, new
    if old is None or (old.ndim == 2 and old.strides[0] == 0) or any(map(int.__lt__, new.shape, old.shape)):
        return whole
    if old.shape == new.shape:
        changed = ~_same(old, new)
    else:
        changed = np.ones(new.shape, bool)
        inner = tuple(map(slice, old.shape))
        changed[inner] = ~_same(old, new[inner])
    if not changed.any():
        return None if old.shape == new.shape else whole
    box = []
    for axis in range(new.ndim):
        at = np.flatnonzero(changed.any(axis=tuple(a for a in range(new.ndim) if a != axis)))
        box.append((int(at[0]), int(at[-1]) + 1))
    if old.shape != new.shape and any(lo > o for (lo, _), o in zip(box, old.shape, strict=True)):
        return whole
    sizes = [hi - lo for lo, hi in box]
    return {"shape": list(new.shape), "at": [lo for lo, _ in box], "size": sizes}, new[tuple(slice(*b) for b in box)]


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Equal bit for bit, so that a NaN equals itself."""
    bits = f"u{a.dtype.itemsize}"
    return np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits)
