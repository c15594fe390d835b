"""Compile ahead of need: what an experiment runs does not depend on its sizes, so a tiny one compiles it all."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import llvmlite.binding as llvm
import numba

from engine._jit import cache_folder
from engine.experiment import Experiment
from engine.tasks import TASKS
from engine.trainer import Trainer

_READY: set[tuple[str, ...]] = set()


def _kinds(e: Experiment) -> tuple[str, ...]:
    extra = [name for name, used in (("omega", e.omega > 0), ("embedding", e.embedding_dim is not None)) if used]
    return e.kind, e.dtype, e.loss_name, e.optimizer, e.clip, *extra


def _marker(e: Experiment) -> Path:
    return Path(cache_folder()) / "-".join(("ready", numba.__version__, llvm.get_host_cpu_name(), *_kinds(e)))


def is_compiled(e: Experiment) -> bool:
    """Can `e` run without compiling first (a second or more for each cell and floating type)?"""
    return _kinds(e) in _READY or _marker(e).exists()


def warm_up(e: Experiment, progress: Callable[[int, int], None] | None = None) -> None:
    """Compile, or load from disk, all that `e` needs. `progress(done, total)` is called as it goes on."""
    small = e.replace(
        hidden_size=2, num_layers=2, batch_size=1, seq_length=max(2, TASKS[e.task].min_length), weight_decay=1e-3,
        tbptt=None, dropout=0.0, train_size=None, batching="mini", stop_steps=None, stop_loss=None, patience=None,
    )  # fmt: skip
    trainer = Trainer(small)
    stages: list[Callable[[], object]] = [trainer.validation_loss, trainer.trace, trainer.advance]
    for done, stage in enumerate(stages):
        if progress:
            progress(done, len(stages))
        stage()
    _READY.add(_kinds(e))
    with suppress(OSError):  # nothing but the next process's guess depends on it
        _marker(e).touch()
