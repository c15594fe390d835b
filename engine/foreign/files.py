"""Arrays by name in a file: .safetensors and .npz. Neither can hold code, and no pickle is ever loaded."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

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
    """Write arrays by name, such as a state dict or what `Loaded.export` gives, to a .safetensors or .npz file."""
    path = Path(file)
    _check_suffix(path)
    clean = {name: np.array(value, order="C") for name, value in arrays.items()}
    if path.suffix == ".safetensors":
        save_file(clean, path)
    else:
        with path.open("wb") as opened:
            np.savez(opened, allow_pickle=False, **clean)


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        hint = ""
        if path.suffix in (".pt", ".pth", ".bin", ".pkl", ".ckpt"):
            hint = " (a pickle can hold code: save it once by safetensors.torch.save_file(model.state_dict(), …))"
        raise ValueError(f"{path.name}: {path.suffix or 'no suffix'}; allowed: {', '.join(SUFFIXES)}{hint}")


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"{size:,} bytes; allowed: {most:,}")
