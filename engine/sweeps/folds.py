"""k-fold cross-validation: a finite training set is cut into k parts, and each is once what the others are judged by.

How the reference article on training RNNs would choose the hidden size; the method is Stone's (1974).
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from engine.experiment import Experiment
from engine.own.sequences import Sequences
from engine.streams import Purpose, stream
from engine.tasks import TASKS
from engine.tasks.own import own_task
from engine.tasks.task import Task, at_any_length

TOGETHER = 256  # sequences of a part that are judged at once: so a large part takes no more memory than a small one


@dataclass(frozen=True)
class Fold:
    """The training set of `size` sequences that `task` gives under `seed`: part `number` (0, 1, …) of `count` is for
    validation, the others are for training. Sequences of equal inputs are in one part: else a network would be judged
    by what it was trained on. It holds how to draw them, so that a copy of it is small."""

    source: str  # a name in TASKS, or one that holds data
    seq_length: int
    seed: int
    size: int
    count: int
    number: int

    @property
    def name(self) -> str:
        said = f"{self.source} {self.seq_length} {self.seed} {self.size}"
        return f"fold-{self.number + 1}-of-{self.count}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"

    @property
    def recipe(self) -> str:
        return f"engine.sweeps.folds.fold(EXPERIMENT, {self.count}, {self.number}).task"

    def __reduce__(self) -> tuple[object, ...]:  # without the sequences
        return Fold, (self.source, self.seq_length, self.seed, self.size, self.count, self.number)

    @cached_property
    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        """inputs (T, N, I) and targets of the whole set."""
        rng = stream(self.seed, Purpose.TRAINING_SET)
        return TASKS[self.source].draw(rng, self.seq_length, self.size)

    @cached_property
    def held(self) -> np.ndarray:
        """Which sequences are for validation; the parts differ by at most one different sequence."""
        groups = _groups(str(self.source), self.seq_length, self.seed, self.size)
        return np.flatnonzero(np.isin(groups, np.array_split(np.arange(groups.max() + 1), self.count)[self.number]))

    @property
    def trained(self) -> int:
        """How many are for training."""
        return self.size - len(self.held)

    def _of(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs, targets = self._all
        return inputs[:, chosen], targets[:, chosen] if TASKS[self.source].every_step else targets[chosen]

    def draw(self, rng: np.random.Generator, seq_length: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Sequences for training, none twice before all have come."""
        return self._of(_some(rng, np.setdiff1d(np.arange(self.size), self.held), batch_size))

    def draw_validation(
        self, rng: np.random.Generator, seq_length: int, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sequences for validation, none twice before all have come."""
        return self._of(_some(rng, self.held, batch_size))

    def validation(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Every sequence for validation, once, some at a time."""
        return [self._of(self.held[start : start + TOGETHER]) for start in range(0, len(self.held), TOGETHER)]

    def _baseline(self, loss: str) -> float:
        """The task's own; of sequences of one's own, the best constant of this fold's training part on the other."""
        row, own = TASKS[self.source], getattr(self.source, "data", None)
        if not isinstance(own, Sequences):
            return row.trivial_loss[loss](self.seq_length)
        _, targets = row.draw(stream(self.seed, Purpose.TRAINING_SET), self.seq_length, self.size)
        axis = 1 if row.every_step else 0
        return own.loss_of_constant(np.delete(targets, self.held, axis), np.take(targets, self.held, axis), loss)

    def task(self) -> Task:
        row = TASKS[self.source]
        losses = {loss: at_any_length(self._baseline(loss)) for loss in row.trivial_loss}
        lines = {
            label: {loss: at_any_length(of(self.seq_length)) for loss, of in each.items()}
            for label, each in row.references.items()
        }
        return replace(
            row, draw=self.draw, draw_validation=self.draw_validation, trivial_loss=losses, references=lines,
            fixed_steps=row.steps(self.seq_length), extra_steps=0, min_length=1, held_back=len(self.held),
        )  # fmt: skip


@lru_cache(maxsize=64)  # of plain names: it keeps no data alive
def _groups(source: str, seq_length: int, seed: int, size: int) -> np.ndarray:
    """(size,): which of the different sequences each one of a training set is, counted as they first come."""
    inputs, _ = TASKS[source].draw(stream(seed, Purpose.TRAINING_SET), seq_length, size)
    known: dict[bytes, int] = {}
    digests = (hashlib.sha256((inputs[:, n] + 0.0).tobytes()).digest() for n in range(size))  # −0 is 0
    return np.array([known.setdefault(digest, len(known)) for digest in digests])


def different(e: Experiment) -> int:
    """How many different sequences the training set has; equal ones are in one part."""
    return int(_groups(str(e.task), e.seq_length, e.seed, e.train_size or 0).max()) + 1


def _some(rng: np.random.Generator, of: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([rng.permutation(of) for _ in range(-(-count // len(of)))])[:count]


def fold(e: Experiment, count: int, number: int) -> Experiment:
    """The experiment that trains on all parts of e's training set but one, and is validated on that one.

    Raises ValueError where it has no training set, one of too few different sequences, or one of windows that overlap.
    """
    if TASKS[e.task].overlapping:
        raise ValueError(
            f"folds: {count}; allowed for task={e.task}: none, for its sequences are windows that overlap, and parts "
            "of them would share values; its validation is the end that is held back"
        )
    if e.train_size is None or e.train_size < count:
        raise ValueError(f"train_size={e.train_size}; allowed: at least {count} sequences, one for each fold")
    if (found := different(e)) < count:
        allowed = f"at least {count}, one for each fold, as equal ones are in one"
        raise ValueError(f"train_size={e.train_size}: {found} different sequences; allowed: {allowed}")
    part = Fold(e.task, e.seq_length, e.seed, e.train_size, count, number)
    return e.replace(task=own_task(part), train_size=part.trained)
