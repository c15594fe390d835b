"""A training run at one step, whole: what a trainer needs to go on from there as if nothing had happened; and its file.

The random streams need no state of their own: every batch, mask and epoch is drawn from (seed, step), see streams.py.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engine.experiment import Experiment, check_experiment
from engine.optimizers import OPTIMIZERS
from engine.parameters import frozen, load
from engine.trace import Change, History
from engine.weights import blank

FORMAT = 1  # of the file
MOST_BYTES = 1 << 30  # of all arrays of a file together, unpacked
CURVES = ("at", "loss", "validation_loss", "lr", "grad_norm", "clipped", "examples")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run after `step` updates. `Trainer.resume` goes on from it bit by bit as the run itself would have done.

    Raises ValueError that names the first part that does not fit the experiment, or another part.
    """

    experiment: Experiment  # the settings in use at `step`
    step: int  # updates made
    state_dict: Mapping[str, np.ndarray]  # the weights then, by PyTorch's names
    optimizer_state: np.ndarray  # (slots, n), all weights in the order of `state_dict`
    history: History  # of the steps before `step`
    validate_every: int = 10  # steps between two validations; 0: none
    schedule_since: int = 0  # the step at which the schedule began
    examples: int = 0  # sequences seen
    seconds: float = 0.0  # of training
    last_loss: float = float("inf")  # of the last update's batch
    best: tuple[float, int] = (float("inf"), 0)  # the least validation loss and its step
    measured: int = 0  # the step of the last validation

    def __post_init__(self) -> None:
        check_experiment(self.experiment)
        for name in ("step", "validate_every", "schedule_since", "examples", "measured"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name}: {value!r}; allowed: whole numbers, 0 or more")
        for name in ("seconds", "last_loss"):
            if not isinstance(getattr(self, name), int | float):
                raise ValueError(f"{name}: {getattr(self, name)!r}; allowed: a number")
        if not (isinstance(self.best, tuple) and [type(part) for part in self.best] in ([float, int], [int, int])):
            raise ValueError(f"best: {self.best!r}; allowed: a loss and its step")
        parameters = blank(self.experiment)
        load(parameters, self.state_dict)
        state = OPTIMIZERS[self.experiment.optimizer].init(parameters.flat)
        if self.optimizer_state.shape != state.shape or self.optimizer_state.dtype != state.dtype:
            found = f"shape {self.optimizer_state.shape}, {self.optimizer_state.dtype}"
            raise ValueError(f"optimizer_state: {found}; allowed: shape {state.shape}, {state.dtype}")
        _check_history(self.history, self.experiment, self.step)

    def save(self, file: str | Path | BinaryIO) -> None:
        """Write it as an NPZ without pickle: arrays by name (weights as "weights/weight_ih_l0"), the rest as JSON."""
        h = self.history
        said = {
            "format": FORMAT,
            "experiment": self.experiment.model_dump(),
            "changes": [list(change) for change in h.changes],
            "diverged": None if h.diverged_at is None else [h.diverged_at, h.diverged_tensor],
            **{name: getattr(self, name) for name in SAID},
        }
        arrays = {f"weights/{name}": value for name, value in self.state_dict.items()}
        arrays |= {f"history/{name}": getattr(h, name) for name in CURVES}
        arrays |= {"history/grad_norms_at": h.grad_norms_at, "history/log10_grad_norms": h.log10_grad_norms}
        np.savez_compressed(
            file, allow_pickle=False, said=np.array(json.dumps(said)), optimizer=self.optimizer_state, **arrays
        )


SAID = tuple(
    field.name
    for field in fields(Checkpoint)
    if field.name not in ("experiment", "state_dict", "optimizer_state", "history")
)


def load_checkpoint(file: str | Path | BinaryIO, most_bytes: int = MOST_BYTES) -> Checkpoint:
    """Read what `Checkpoint.save` wrote. Nothing in a file is ever executed, and nothing larger than `most_bytes`
    unpacked is read. Raises ValueError with what is wrong with the file (OSError where it cannot be opened)."""
    try:
        with zipfile.ZipFile(file) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > most_bytes:
            raise ValueError(f"{size:,} bytes unpacked; allowed: {most_bytes:,}")
        if not isinstance(file, (str, Path)):
            file.seek(0)
        with np.load(file, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
        return _read(arrays)
    except OSError:
        raise
    except KeyError as error:
        raise ValueError(f"checkpoint: {error} is missing; allowed: a file that Checkpoint.save wrote") from None
    except Exception as error:  # zip, zlib, struct, json, numpy and pydantic have each errors of their own
        raise ValueError(f"checkpoint: {error}; allowed: a file that Checkpoint.save wrote") from None


def _read(arrays: dict[str, np.ndarray]) -> Checkpoint:
    said = json.loads(str(arrays["said"]))
    if said["format"] != FORMAT:
        raise ValueError(f"format {said['format']!r}; allowed: {FORMAT}")
    log10 = np.asarray(arrays["history/log10_grad_norms"], np.float64)
    with np.errstate(over="ignore", under="ignore"):
        linear = np.float_power(10.0, log10)
    diverged = said["diverged"] or (None, None)
    history = History(
        **{name: frozen(arrays[f"history/{name}"]) for name in CURVES},
        grad_norms=frozen(linear),
        log10_grad_norms=frozen(log10),
        grad_norms_at=frozen(arrays["history/grad_norms_at"]),
        diverged_at=diverged[0],
        diverged_tensor=diverged[1],
        changes=tuple(Change(*change) for change in said["changes"]),
    )
    more = {name: said[name] for name in SAID}
    return Checkpoint(
        experiment=Experiment(**said["experiment"]),
        state_dict={
            name.removeprefix("weights/"): frozen(value)
            for name, value in arrays.items()
            if name.startswith("weights/")
        },
        optimizer_state=frozen(arrays["optimizer"]),
        history=history,
        **more | {"best": tuple(more["best"])},
    )


def _check_history(h: History, e: Experiment, step: int) -> None:
    """Raises ValueError unless it is one of this experiment's steps before `step`."""
    for name in CURVES:
        curve = getattr(h, name)
        if curve.shape != h.at.shape or curve.ndim != 1 or curve.dtype.kind not in "fi":
            raise ValueError(f"history.{name}: shape {curve.shape}, {curve.dtype}; allowed: numbers, {h.at.shape}")
    for name, at in (("at", h.at), ("grad_norms_at", h.grad_norms_at)):
        good = at.dtype.kind == "i" and at.ndim == 1 and (len(at) > 0) == (step > 0)
        if not good or (len(at) and (at[0] != 0 or at[-1] >= step or len(set(np.diff(at))) > 1)):
            raise ValueError(f"history.{name}: {at!r:.80}; allowed: even steps from 0 to {step - 1}")
    rows = (len(h.grad_norms_at), e.num_layers, e.steps)
    if h.log10_grad_norms.shape != rows:
        raise ValueError(f"history.log10_grad_norms: shape {h.log10_grad_norms.shape}; allowed: {rows}")
    for change in h.changes:
        if change.field not in Experiment.model_fields or not 0 <= change.step <= step:
            raise ValueError(f"history.changes: {change}; allowed: fields of an experiment, steps up to {step}")
