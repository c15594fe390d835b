"""Arrays by name in a file: .safetensors and .npz. Neither can hold code, and no pickle is ever loaded."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

MOST_BYTES = 1 << 32  # of all arrays together, unpacked
SUFFIXES = (".safetensors", ".npz")


def read_arrays(file: str | Path, most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors or .npz file. Raises ValueError with what is wrong with it, OSError where it cannot
    be opened."""
    path = Path(file)
    _check_suffix(path)
    try:
        if path.suffix == ".safetensors":
            _check_size(path.stat().st_size, most_bytes)
            return load_file(path)
        with zipfile.ZipFile(path) as packed:
            _check_size(sum(entry.file_size for entry in packed.infolist()), most_bytes)
        with np.load(path, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except OSError:
        raise
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, SafetensorError) as error:
        raise ValueError(f"{path.name}: {error}; allowed: arrays by name, without pickle") from None


def save_weights(file: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, such as a state dict or what `Loaded.export` gives, to a .safetensors or .npz file.

    A file that is there is replaced once the new one is whole. Raises ValueError that names what is no array of
    numbers, OSError where it cannot be written; either leaves the file as it was.
    """
    path = Path(file)
    _check_suffix(path)
    if not isinstance(arrays, Mapping):
        raise ValueError(f"arrays: {type(arrays).__name__}; allowed: arrays by name")
    clean = {name: _clean(name, value) for name, value in arrays.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.suffix == ".safetensors":
            save_file(clean, unfinished)
        else:
            with zipfile.ZipFile(unfinished, "w") as packed:  # np.savez takes names for its own parameters
                for name, value in clean.items():
                    with packed.open(f"{name}.npy", "w", force_zip64=True) as opened:
                        np.lib.format.write_array(opened, value, allow_pickle=False)
        os.replace(unfinished, path)
    except (KeyError, SafetensorError) as error:  # a floating type that the format lacks
        raise ValueError(f"{path.name}: {error}; allowed: arrays of numbers that {path.suffix} has") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _clean(name: str, value: Any) -> np.ndarray:
    """A copy in order. ValueError unless it is a named array of real numbers."""
    if not isinstance(name, str):
        raise ValueError(f"arrays: the name {name!r}; allowed: text")
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{name}: a masked array; allowed: arrays of real numbers")
    try:
        array = np.array(value, order="C")
    except (ValueError, TypeError, RuntimeError) as error:  # rows of several lengths, a tensor that has a gradient
        raise ValueError(f"{name}: {error}; allowed: arrays of real numbers") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: {array.dtype}; allowed: arrays of real numbers")
    return array


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        hint = ""
        if path.suffix in (".pt", ".pth", ".bin", ".pkl", ".ckpt"):
            hint = " (a pickle can hold code: save it once by safetensors.torch.save_file(model.state_dict(), …))"
        raise ValueError(f"{path.name}: {path.suffix or 'no suffix'}; allowed: {', '.join(SUFFIXES)}{hint}")


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"{size:,} bytes; allowed: {most:,}")
