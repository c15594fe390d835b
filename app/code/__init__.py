"""An experiment as code: one row a language, its generator, and where its loss curve is not the explorer's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import engine
from app.code.engine_script import engine_script
from app.code.keras_script import keras_script
from app.code.own_data import beside, held_by
from app.code.shared import START, Given, Script
from app.code.torch_script import torch_script
from app.words import N_, _

FEWEST = 100  # steps of a script, where the run has made fewer


@dataclass(frozen=True)
class Code:
    label: str
    suffix: str  # of its file's name
    write: Callable[[engine.Experiment, int, Sequence[str], Given | None], str]
    differs: Callable[[engine.Experiment], list[str]]  # why its losses are others, as message ids


def _of_both(e: engine.Experiment) -> list[str]:
    said = []
    if e.dropout and e.num_layers > 1:
        said.append(N_("Dropout draws its masks in another way here: the losses differ from run to run."))
    if e.omega:
        said.append(N_("Pascanu's Ω is left out, so the losses are others: no optimizer of this library has it."))
    if e.patience is not None:
        said.append(N_("It does not stop by patience, which needs the validation loss."))
    return said


def _of_engine(e: engine.Experiment) -> list[str]:
    if held_by(e) is None:
        return []
    return [N_("It reads the data from the same file, or the same arrays, which have to be where it runs.")]


def _of_keras(e: engine.Experiment) -> list[str]:
    said = _of_both(e)
    if e.clip == "param_norm":
        said.append(N_("Keras clips a bias together with its weights, so the losses are different."))
    return said


CODES: dict[str, Code] = {
    "engine": Code("Python", "engine", engine_script, _of_engine),
    "torch": Code("PyTorch", "torch", torch_script, _of_both),
    "keras": Code("Keras", "keras", keras_script, _of_keras),
}


def script(name: str, e: engine.Experiment, steps: int, given: Given | None = None) -> str:
    """The text of one of them, which trains for so many steps (as far as the experiment allows); `given`: from the
    weights of this file, None: from those that the experiment draws."""
    code = CODES[name]
    return code.write(e, min(steps, e.stop_steps or steps), [_(note) for note in code.differs(e)], given)


def files(e: engine.Experiment) -> list[Path]:
    """What the scripts for PyTorch and Keras read: data of the engine that have to lie beside them."""
    if held_by(e) is not None:
        return []
    s = Script(e, 1)
    s.data.add(s.task.draw)
    return s.data.files


__all__ = ["CODES", "FEWEST", "START", "Code", "beside", "files", "script"]
