"""A task for tests of sweeps: it keeps a diary of what was computed where, and does what points should not do."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.tasks.own import OwnTask, own_task
from engine.tasks.task import Task, at_any_length

RAISES, KILLS, BATCH = 13, 17, 5


@dataclass(frozen=True)
class Tricky:
    """Points are told apart by their seq_length. `seconds`: that each takes, at least."""

    folder: str
    seconds: float

    @property
    def name(self) -> str:
        return f"tricky-{self.folder}-{self.seconds}"

    def draw(self, rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        if batch_size == BATCH:  # not the compiling, whose batch has one sequence
            with (Path(self.folder) / "diary").open("a") as diary:
                diary.write(f"{seq_length} {os.getpid()}\n")
            time.sleep(self.seconds)
            if seq_length == RAISES:
                raise ValueError("thirteen\nis refused")
            if seq_length == KILLS:
                os.kill(os.getpid(), signal.SIGKILL)
        x = rng.standard_normal((seq_length, batch_size, 2))
        return x, x.sum(axis=(0, 2))[:, None]

    def task(self) -> Task:
        return Task(
            label="Tricky", meaning="", source="", input_size=2, output_size=1, loss="mse", every_step=False,
            draw=self.draw, trivial_loss={"mse": at_any_length(1.0)}, baseline_label="",
        )  # fmt: skip


def tricky(folder: Path, seconds: float = 0.0) -> OwnTask:
    return own_task(Tricky(str(folder), seconds))


def diary(folder: Path) -> list[tuple[int, int]]:
    """(seq_length, process) of every point that was begun, in order."""
    path = folder / "diary"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(length), int(process)) for length, process in map(str.split, lines)]
