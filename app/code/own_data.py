"""One's own data in a script: what draws them there, and the file that has to lie beside it."""

import io

import numpy as np

import engine
from app.own import file_name
from engine.own.series import Series
from engine.own.text import Text


def held_by(e: engine.Experiment) -> Series | Text | None:
    """The series or the text that is the task; None: it is another."""
    data = e.task.data if isinstance(e.task, engine.OwnTask) else None
    return data if isinstance(data, Series | Text) else None


def beside(e: engine.Experiment) -> tuple[str, bytes] | None:
    """The name and the content of that file: the part for training as a script needs it, scaled or coded."""
    data = held_by(e)
    if data is None:
        return None
    file = io.BytesIO()
    part = data.values if isinstance(data, Series) else data.codes
    np.save(file, part[: data.training], allow_pickle=False)
    return f"{file_name(e)}.npy", file.getvalue()


def drawing(e: engine.Experiment, data: Series | Text) -> str:
    """The text of the function draw(rng, seq_length, batch_size), the engine's own in a few lines."""
    if isinstance(data, Series):
        one = f'''
series = np.load("{file_name(e)}.npy")  # (N, {len(data.columns)}): the part for training, scaled


def draw(rng, seq_length, batch_size):
    """x (T, B, {len(data.inputs)}) from random places, y (T, B, {len(data.outputs)}) later by {data.horizon}."""
    start = rng.integers(0, len(series) - seq_length - {data.horizon} + 1, batch_size)
    at = start + np.arange(seq_length)[:, None]
    return series[at][..., {list(data.inputs)}], series[at + {data.horizon}][..., {list(data.outputs)}]
'''
        return one.strip("\n")
    one = f'''
text = np.load("{file_name(e)}.npy")  # (N,): the part for training, each character as its place in the alphabet


def draw(rng, seq_length, batch_size):
    """Stretches from random places, one-hot (T, B, {len(data.alphabet)}), and the character after each (T, B)."""
    start = rng.integers(0, max(1, len(text) - seq_length), batch_size)
    characters = text[(start + np.arange(seq_length + 1)[:, None]) % len(text)]
    return np.eye({len(data.alphabet)})[characters[:-1]], characters[1:].astype(np.int64)
'''
    return one.strip("\n")
