"""Arrays by name in a file: .safetensors and .npz. Neither can hold code, and no pickle is ever loaded."""

import os
import zipfile
from collections.abc import Mapping
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from engine.foreign.found import Misfit
from engine.zips import check_directory

MOST_BYTES = 1 << 32  # of all arrays together, unpacked
MOST_ARRAYS = 10_000
MOST_NPY_HEADER = 16 << 10  # bytes at the beginning of an array in an .npz: NumPy reads 10,000
MOST_HEADER = 8 << 20  # bytes of the JSON at the beginning of a .safetensors: the names, types and shapes
SUFFIXES = (".safetensors", ".npz")
PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")
KERAS = (".h5", ".hdf5", ".keras")
FROM_TORCH = "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
FROM_KERAS = "numpy.savez('model.npz', **{w.path: w.numpy() for w in model.weights})"
TYPES = {  # of a .safetensors; BF16 is read apart
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def read_arrays(file: str | Path | BinaryIO, most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors or .npz file, by name: a path, or an open file, whose first bytes say what it is.

    bfloat16 becomes float32, which holds all of it. Raises ValueError with what is wrong with the file, OSError where
    it cannot be opened.
    """
    if isinstance(file, (str, Path)):
        path = Path(file)
        _check_suffix(path)
        with path.open("rb") as opened:
            return _read(opened, path.name, most_bytes)
    return _read(file, Path(str(getattr(file, "name", "the file"))).name, most_bytes)


def _read(file: BinaryIO, name: str, most_bytes: int) -> dict[str, np.ndarray]:
    first = file.read(8)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not size:
        raise Misfit("{name}: an empty file; allowed: arrays by name, without pickle", name=name)
    if size > most_bytes:
        raise Misfit("{name}: {size:,} bytes; allowed: {most:,}", name=name, size=size, most=most_bytes)
    if first.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise _a_pickle(name)
    if first.startswith(b"\x89HDF"):
        raise _of_keras(name)
    try:
        return _npz(file, name, most_bytes) if first.startswith(b"PK") else _safetensors(file.read(), name)
    except (OSError, Misfit):
        raise
    except MemoryError:
        raise Misfit("{name}: more than the memory of this machine holds", name=name) from None
    except Exception as error:  # zip, zlib, struct, NumPy and safetensors have each errors of their own
        raise Misfit("{name}: {error}; allowed: arrays by name, without pickle", name=name, error=error) from None


def _safetensors(raw: bytes, name: str) -> dict[str, np.ndarray]:
    if (header := int.from_bytes(raw[:8], "little")) > min(MOST_HEADER, len(raw)):
        raise Misfit(
            "{name}: neither a .safetensors nor an .npz file (a header of {header:,} bytes); allowed: arrays by name, "
            "without pickle",
            name=name, header=header,
        )  # fmt: skip
    try:
        said = deserialize(raw)
    except SafetensorError as error:  # shapes that lie, parts that overlap, a header that is none
        raise Misfit("{name}: {error}; allowed: arrays by name, without pickle", name=name, error=error) from None
    _check_count(len(said), name)
    arrays = {}
    for key, tensor in sorted(said, key=lambda pair: pair[0]):
        kind, data = tensor["dtype"], tensor["data"]
        if kind == "BF16":  # the upper half of a float32
            array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        elif kind in TYPES:
            array = np.frombuffer(data, TYPES[kind])
        else:
            raise Misfit("{name}: {key} has the type {kind}; allowed: {allowed}", name=name, key=key, kind=kind,
                         allowed=", ".join([*TYPES, "BF16"]))  # fmt: skip
        arrays[key] = array.reshape(tensor["shape"])
    return arrays


def _npz(file: BinaryIO, name: str, most_bytes: int) -> dict[str, np.ndarray]:
    check_directory(file, MOST_ARRAYS)
    with zipfile.ZipFile(file) as packed:
        entries = packed.infolist()
        if any(entry.filename.endswith(".pkl") for entry in entries):
            raise _a_pickle(name)
        if any(entry.filename.endswith((".weights.h5", "config.json")) for entry in entries):
            raise _of_keras(name)
        _check_count(len(entries), name)
        if (size := sum(entry.file_size for entry in entries)) > most_bytes:
            raise Misfit("{name}: {size:,} bytes; allowed: {most:,}", name=name, size=size, most=most_bytes)
        arrays: dict[str, np.ndarray] = {}
        for entry in entries:
            if (key := entry.filename.removesuffix(".npy")) in arrays:
                raise Misfit("{name}: {key} twice; allowed: each name once", name=name, key=key)
            with packed.open(entry) as opened:
                arrays[key] = _npy(opened, entry.file_size, entry.filename)
        return arrays


def _npy(opened: IO[bytes], size: int, key: str) -> np.ndarray:
    """Its header is held against its length before more of it is unpacked."""
    first = opened.read(MOST_NPY_HEADER)
    file = BytesIO(first)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except Exception:  # NumPy's own words are of Python's syntax, and quote the file
        raise Misfit("{key}: no array of NumPy; allowed: arrays by name, without pickle", key=key) from None
    if dtype.hasobject:
        raise Misfit(
            "{key}: Python objects, which only a pickle holds; allowed: arrays of numbers (allow_pickle=False)", key=key
        )
    if prod(shape) * dtype.itemsize != size - file.tell():
        raise Misfit("{key}: its header says shape {shape}, and it has {size:,} bytes", key=key, shape=shape, size=size)
    array: np.ndarray = np.lib.format.read_array(BytesIO(first + opened.read()), allow_pickle=False)
    return array


def _a_pickle(name: str) -> Misfit:
    return Misfit(
        "{name}: a pickle, which can hold code and is never loaded; save it once as .safetensors: {call}",
        name=name, call=FROM_TORCH,
    )  # fmt: skip


def _of_keras(name: str) -> Misfit:
    return Misfit(
        "{name}: a file of Keras, which says names and layers in its own way; save it once as .npz: {call}",
        name=name, call=FROM_KERAS,
    )  # fmt: skip


def _check_count(count: int, name: str) -> None:
    if count > MOST_ARRAYS:
        raise Misfit("{name}: {count:,} arrays; allowed: {most:,}", name=name, count=count, most=MOST_ARRAYS)


def save_weights(file: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, such as a state dict or what `Loaded.export` gives (but of a keras model, whose lists are
    for its layers' `set_weights`), to a .safetensors or .npz file.

    A file that is there is replaced once the new one is whole. Raises ValueError that names what is no array of
    numbers, OSError where it cannot be written; either leaves the file as it was.
    """
    path = Path(file)
    if path.suffix not in SUFFIXES:
        raise _no_suffix(path)
    if not isinstance(arrays, Mapping):
        raise ValueError(f"arrays: {type(arrays).__name__}; allowed: arrays by name")
    clean = {name: _clean(name, value) for name, value in arrays.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as opened:
            opened.write(packed(clean, path.suffix))
        os.replace(unfinished, path)
    except OSError as error:  # it names the unfinished file, which nobody knows
        raise OSError(error.errno, error.strerror, str(path)) from None
    except (KeyError, SafetensorError) as error:  # a floating type that the format lacks
        raise ValueError(f"{path.name}: {error}; allowed: arrays of numbers that {path.suffix} has") from None
    finally:
        unfinished.unlink(missing_ok=True)


def packed(arrays: Mapping[str, np.ndarray], suffix: str) -> bytes:
    """Arrays by name as a file with this suffix. Raises KeyError or SafetensorError for a type that it lacks."""
    if suffix == ".safetensors":
        return save({name: np.ascontiguousarray(value) for name, value in arrays.items()})
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:  # np.savez takes names for its own parameters
        for name, value in arrays.items():
            with zipped.open(f"{name}.npy", "w", force_zip64=True) as opened:
                np.lib.format.write_array(opened, np.asanyarray(value), allow_pickle=False)
    return file.getvalue()


def _clean(name: str, value: Any) -> np.ndarray:
    """A copy in order. ValueError unless it is a named array of real numbers."""
    if not isinstance(name, str):
        raise ValueError(f"arrays: the name {name!r}; allowed: text")
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{name}: a masked array; allowed: arrays of real numbers")
    try:
        array = np.array(value, order="C")
    except (ValueError, TypeError, RuntimeError) as error:  # rows of several lengths, a tensor that has a gradient
        what = "a list of several shapes" if isinstance(value, list | tuple) else error
        raise ValueError(f"{name}: {what}; allowed: arrays of real numbers") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: {array.dtype}; allowed: arrays of real numbers")
    return array


def _check_suffix(path: Path) -> None:
    if path.suffix in SUFFIXES:
        return
    if path.suffix in PICKLES:
        raise _a_pickle(path.name)
    if path.suffix in KERAS:
        raise _of_keras(path.name)
    raise _no_suffix(path)


def _no_suffix(path: Path) -> Misfit:
    allowed = ", ".join(SUFFIXES)
    return Misfit(
        "{name}: {suffix}; allowed: {allowed}", name=path.name, suffix=path.suffix or "no suffix", allowed=allowed
    )
