"""A training run at one step, whole: what a trainer needs to go on from there as if nothing had happened; and its file.

The random streams need no state of their own: every batch, mask and epoch is drawn from (seed, step), see streams.py.
"""

import json
import zipfile
from collections.abc import Mapping, Sized
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from engine.experiment import Experiment, check_experiment
from engine.optimizers import OPTIMIZERS
from engine.parameters import frozen, load
from engine.tasks.own import PREFIX, OwnTask, held
from engine.trace import Change, History
from engine.weights import blank
from engine.zips import check_directory

FORMAT = 1  # of the file
MOST_BYTES = 1 << 30  # of all arrays of a file together, unpacked
MOST_ENTRIES = 300  # arrays of a file: 64 layers have 4 each, and there are a dozen more
MOST_SAID = (4 << 20) + 1000  # bytes of the array that holds the JSON: numpy takes four for a character
MOST_CHANGES = 5000  # of settings, in a file
LARGEST = 10**15  # of a count: floats and 64 bits hold it
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
            if not _counts(getattr(self, name)):
                raise ValueError(f"{name}: {getattr(self, name)!r:.80}; allowed: whole numbers, 0 or more")
        most = {"schedule_since": self.step, "measured": self.step, "examples": self.step * self.experiment.sequences}
        for name, limit in most.items():
            if getattr(self, name) > limit:
                raise ValueError(f"{name}: {getattr(self, name)}; allowed: up to {limit}")
        for name in ("seconds", "last_loss"):
            if not _is_number(getattr(self, name)):
                raise ValueError(f"{name}: {getattr(self, name)!r:.80}; allowed: a number")
        if not 0 <= self.seconds < float("inf"):
            raise ValueError(f"seconds: {self.seconds}; allowed: 0 or more")
        pair = isinstance(self.best, tuple) and len(self.best) == 2
        if not (pair and _is_number(self.best[0]) and _counts(self.best[1]) and self.best[1] <= self.step):
            raise ValueError(f"best: {self.best!r:.80}; allowed: a loss and its step, up to {self.step}")
        for name, kind in (("state_dict", Mapping), ("optimizer_state", np.ndarray), ("history", History)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name}: {getattr(self, name)!r:.80}; allowed: what a Trainer has")
        parameters = blank(self.experiment)
        load(parameters, self.state_dict)
        state = OPTIMIZERS[self.experiment.optimizer].init(parameters.flat)
        if self.optimizer_state.shape != state.shape or self.optimizer_state.dtype != state.dtype:
            found = f"shape {self.optimizer_state.shape}, {self.optimizer_state.dtype}"
            raise ValueError(f"optimizer_state: {found}; allowed: shape {state.shape}, {state.dtype}")
        _check_history(self.history, self.experiment, self.step)

    def save(self, file: str | Path | BinaryIO) -> None:
        """Write it as an NPZ without pickle: arrays by name (weights as "weights/weight_ih_l0"), the rest as JSON.
        Raises ValueError where more settings were changed than `load_checkpoint` reads."""
        e, h = self.experiment, self.history
        _check_count(h.changes)
        said = {
            "format": FORMAT,
            "experiment": e.model_dump(),
            "changes": [list(change) for change in h.changes],
            "diverged": None if h.diverged_at is None else [h.diverged_at, h.diverged_tensor],
            "data": e.task.data.recipe if isinstance(e.task, OwnTask) else None,
            **{name: getattr(self, name) for name in SAID},
        }
        arrays = {f"weights/{name}": value for name, value in self.state_dict.items()}
        arrays |= {f"history/{name}": getattr(h, name) for name in CURVES}
        arrays |= {"history/grad_norms_at": h.grad_norms_at, "history/log10_grad_norms": h.log10_grad_norms}
        arrays |= {"said": np.array(json.dumps(said)), "optimizer": self.optimizer_state}
        with open(file, "wb") if isinstance(file, (str, Path)) else nullcontext(file) as opened:
            np.savez_compressed(opened, allow_pickle=False, **arrays)  # given a path, it would add .npz to it


SAID = tuple(
    field.name
    for field in fields(Checkpoint)
    if field.name not in ("experiment", "state_dict", "optimizer_state", "history")
)


def load_checkpoint(file: str | Path | BinaryIO, most_bytes: int = MOST_BYTES) -> Checkpoint:
    """Read what `Checkpoint.save` wrote. Nothing in a file is ever executed, and nothing larger than `most_bytes`
    unpacked is read. Raises ValueError with what is wrong with the file (OSError where it cannot be opened)."""
    try:
        with open(file, "rb") if isinstance(file, (str, Path)) else nullcontext(file) as opened:
            check_directory(opened, MOST_ENTRIES)
            with zipfile.ZipFile(opened) as packed:
                entries = packed.infolist()
        if len(entries) > MOST_ENTRIES:
            raise ValueError(f"{len(entries):,} arrays; allowed: {MOST_ENTRIES}")
        size = sum(entry.file_size for entry in entries)
        if size > most_bytes:
            raise ValueError(f"{size:,} bytes unpacked; allowed: {most_bytes:,}")
        if any(entry.filename in ("said", "said.npy") and entry.file_size > MOST_SAID for entry in entries):
            raise ValueError(f"said: allowed are {MOST_SAID:,} bytes")
        if not isinstance(file, (str, Path)):
            file.seek(0)
        with np.load(file, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        return _read(arrays)
    except OSError:
        raise
    except KeyError as error:
        raise ValueError(f"checkpoint: {error} is missing; allowed: a file that Checkpoint.save wrote") from None
    except Exception as error:  # zip, zlib, struct, json, numpy and pydantic have each errors of their own
        allowed = "" if "allowed: " in str(error) else "; allowed: a file that Checkpoint.save wrote"
        raise ValueError(f"checkpoint: {error}{allowed}") from None


def _read(arrays: dict[str, np.ndarray]) -> Checkpoint:
    said = json.loads(str(arrays["said"]))
    if said["format"] != FORMAT:
        raise ValueError(f"format {said['format']!r}; allowed: {FORMAT}")
    log10 = np.asarray(arrays["history/log10_grad_norms"], np.float64)
    _check_count(said["changes"])
    diverged = (None, None) if said["diverged"] is None else said["diverged"]
    if len(diverged) != 2:
        raise ValueError(f"diverged: {diverged!r:.80}; allowed: a step and a tensor")
    history = History(
        **{name: frozen(arrays[f"history/{name}"]) for name in CURVES},
        log10_grad_norms=frozen(log10),
        grad_norms_at=frozen(arrays["history/grad_norms_at"]),
        diverged_at=diverged[0],
        diverged_tensor=diverged[1],
        changes=tuple(Change(*change) for change in said["changes"]),
    )
    more = {name: said[name] for name in SAID}
    task = said["experiment"].get("task")
    if isinstance(task, str) and task.startswith(PREFIX) and held(task) is None:
        raise ValueError(f"task: data of one's own that are not here; load them first with {said.get('data')!s:.500}")
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
        stride = int(at[1]) if good and len(at) > 1 else 1
        if (
            not good
            or stride < 1
            or not np.array_equal(at, np.arange(len(at)) * stride)
            or (len(at) and at[-1] >= step)
        ):
            raise ValueError(f"history.{name}: {at!r:.80}; allowed: even steps from 0 to {step - 1}")
    rows = (len(h.grad_norms_at), e.num_layers, e.steps)
    if h.log10_grad_norms.shape != rows:
        raise ValueError(f"history.log10_grad_norms: shape {h.log10_grad_norms.shape}; allowed: {rows}")
    lost = (h.diverged_at, h.diverged_tensor)
    if lost != (None, None) and not (_counts(lost[0]) and lost[0] in range(step + 1) and isinstance(lost[1], str)):
        raise ValueError(f"history.diverged: {lost!r:.80}; allowed: a step up to {step} and the name of a tensor")
    for change in h.changes:
        known = isinstance(change.field, str) and change.field in Experiment.model_fields
        if not known or not _counts(change.step) or change.step > step:
            raise ValueError(f"history.changes: {change!r:.80}; allowed: fields of an experiment, steps up to {step}")
        for value in (change.before, change.after):
            if getattr(e.replace(**{change.field: value}), change.field) != value:  # "0.5" would be taken as 0.5
                raise ValueError(f"history.changes: {change!r:.80}; allowed: values as the experiment has them")


def _check_count(changes: Sized) -> None:
    if len(changes) > MOST_CHANGES:
        raise ValueError(f"history.changes: {len(changes):,}; a file may have {MOST_CHANGES:,}")


def _counts(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= LARGEST)
