"""Training, one step at a time: pass, clip, update; and what is remembered of it."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np

from engine import updating
from engine.checkpoint import Checkpoint
from engine.data import batches, dropout_masks, validation_batches
from engine.experiment import Experiment, check_experiment
from engine.generate import generate
from engine.network import Network
from engine.optimizers import OPTIMIZERS
from engine.parameters import frozen, load
from engine.passes import Pass, run_pass
from engine.record import Curves, Rows
from engine.tasks import TASKS
from engine.trace import Change, History, Trace, trace
from engine.weights import blank, initialise

LIVE = (
    "lr", "momentum", "schedule", "schedule_steps", "schedule_factor", "clip", "clip_threshold", "weight_decay",
    "omega", "stop_steps", "stop_loss", "patience",
)  # fmt: skip
"""Fields of an experiment that can change while it trains: see Trainer.change."""


class Trainer:
    """A network in training. At step k it has seen k updates; the pass at step k is on batch k.

    `validate_every`: measure the validation loss at every so many steps (0: never). Not to be shared between threads.
    `threads`: 2 work on the halves of a batch of 32 or more where a step takes about a millisecond; the numbers are the
    same, bit by bit.
    `seconds`: spent in passes and updates, validation not counted (the first one of a process compiles).
    `experiment`: the settings in use now.
    `state_dict`: weights to begin with, arrays with the names and shapes of `state_dict` below; None: those that the
    experiment draws. Raises ValueError that names a tensor that is missing, not known, or of another shape.
    """

    def __init__(
        self, e: Experiment, validate_every: int = 10, threads: int = 1, state_dict: Mapping[str, Any] | None = None
    ) -> None:
        check_experiment(e)
        if _count("threads", threads) < 1:
            raise ValueError("threads: 0; allowed: whole numbers, 1 or more")
        self._threads = threads
        self.experiment, self.step, self.seconds = e, 0, 0.0
        self._task, self._validate_every = TASKS[e.task], _count("validate_every", validate_every)
        self._parameters = blank(e)
        if state_dict is None:
            initialise(self._parameters, e)
        else:
            load(self._parameters, state_dict)
        self._networks: dict[tuple[int, int, str], Network] = {}
        self._state = OPTIMIZERS[e.optimizer].init(self._parameters.flat)
        self._validation: list[tuple[np.ndarray, np.ndarray]] | None = None
        self._pass: Pass | None = None
        self._batches = batches(e)
        self._batch: tuple[np.ndarray, np.ndarray] | None = None  # of the current step
        self._curves = Curves(6)  # loss, validation, lr, norm, clipped norm, examples
        self._rows = Rows((e.num_layers, e.steps))
        self._loss = float("inf")  # of the last update's batch
        self._diverged: tuple[int, str] | None = None
        self._changes: tuple[Change, ...] = ()
        self._schedule_since = 0
        self._best, self._measured = (float("inf"), 0), 0  # least validation loss and its step; the last one's step
        self.examples = 0

    @classmethod
    def resume(cls, c: Checkpoint, threads: int = 1) -> "Trainer":
        """A trainer that goes on from a checkpoint, bit by bit as the one that made it would."""
        if not isinstance(c, Checkpoint):
            raise ValueError(f"checkpoint: {c!r:.80}; allowed: what Trainer.checkpoint or load_checkpoint gave")
        new, h = cls(c.experiment, c.validate_every, threads, c.state_dict), c.history
        new._state[...] = c.optimizer_state
        new.step, new.seconds, new.examples, new._batches = c.step, c.seconds, c.examples, batches(c.experiment, c.step)
        if c.step:
            new._curves.go_on(h.at, h.loss, h.validation_loss, h.lr, h.grad_norm, h.clipped, h.examples)
            new._rows.go_on(h.grad_norms_at, h.log10_grad_norms)
        new._loss, new._best, new._measured, new._changes = c.last_loss, c.best, c.measured, h.changes
        new._schedule_since = c.schedule_since
        if h.diverged_at is not None:
            new._diverged = h.diverged_at, str(h.diverged_tensor)
        return new

    def checkpoint(self) -> Checkpoint:
        """The run as it is now: to go on from there later, elsewhere, or twice; see Checkpoint.save.

        >>> import engine
        >>> t = engine.Trainer(engine.Experiment(hidden_size=8, seq_length=10))
        >>> t.advance(5)
        >>> again = engine.Trainer.resume(t.checkpoint())
        >>> t.advance(5); again.advance(5)
        >>> bool((t.history.loss == again.history.loss).all())
        True
        """
        return Checkpoint(
            experiment=self.experiment,
            step=self.step,
            state_dict=self.state_dict,
            optimizer_state=self.optimizer_state,
            history=self.history,
            validate_every=self._validate_every,
            schedule_since=self._schedule_since,
            examples=self.examples,
            seconds=self.seconds,
            last_loss=self._loss,
            best=self._best,
            measured=self._measured,
        )

    def advance(self, steps: int = 1) -> None:
        """Make `steps` updates, fewer where a stop rule of the experiment ends them (see `stopped`).

        Raises ValueError unless `steps` is a whole number, 0 or more.
        """
        for _ in range(_count("steps", steps)):
            if self.stopped is not None:
                return
            self._advance_one()

    def change(self, e: Experiment) -> None:
        """Go on with other settings: from the next update on they count, and the history says so.

        A schedule that changes begins anew at this step. Raises ValueError where `e` differs in a field not in LIVE.
        """
        check_experiment(e)
        before = self.experiment
        changed = [name for name in type(e).model_fields if getattr(e, name) != getattr(before, name)]
        if fixed := [name for name in changed if name not in LIVE]:
            raise ValueError(f"{', '.join(fixed)}: cannot change in training; allowed: {', '.join(LIVE)}")
        self._changes += tuple(Change(self.step, name, getattr(before, name), getattr(e, name)) for name in changed)
        self.experiment = e
        if any(name.startswith("schedule") for name in changed):
            self._schedule_since = self.step
        if "omega" in changed:  # it is part of the gradient
            self._pass = None

    @property
    def stopped(self) -> str | None:
        """The stop rule that holds: "steps", "loss" or "patience" (where validation is measured); None: go on."""
        e, k = self.experiment, self.step
        if e.stop_steps is not None and k >= e.stop_steps:
            return "steps"
        if e.stop_loss is not None and self._loss <= e.stop_loss:
            return "loss"
        if e.patience is not None and self._measured - self._best[1] >= e.patience:
            return "patience"
        return None

    def trace(self) -> Trace:
        """The pass at the current weights, on the batch that the next update will use."""
        done = self._current()
        return trace(self._network(*done.inputs.shape[:2]), done)

    def validation_loss(self) -> float:
        """The loss at the current weights on sequences drawn apart from training's; dropout off."""
        e = self.experiment
        if self._validation is None:
            self._validation = validation_batches(e)
        total, count = 0.0, 0
        for inputs, targets in self._validation:
            steps, size = inputs.shape[:2]
            network = self._network(steps, size, "validation")
            network.forward(inputs)
            total, count = total + size * network.loss(e.loss_name, targets)[0], count + size
        return total / count

    def generate(self, inputs: np.ndarray, steps: int, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """What the network goes on to say by itself: see engine.generate."""
        return generate(self.experiment, self.state_dict, inputs, steps, seed, temperature)

    @property
    def state_dict(self) -> dict[str, np.ndarray]:
        """The weights by PyTorch's names: read-only copies."""
        return self._parameters.copies()

    @property
    def optimizer_state(self) -> np.ndarray:
        """What the optimizer remembers, (slots, n), all weights in the order of `state_dict`: a read-only copy."""
        return frozen(self._state.copy())

    @property
    def lr(self) -> float:
        """The learning rate of the next update. A schedule that was changed in training began anew then."""
        return updating.learning_rate(self.experiment, self.step - self._schedule_since)

    @property
    def diverged(self) -> bool:
        """Has a number been NaN or infinite?"""
        return self._diverged is not None

    @property
    def history(self) -> History:
        """The run so far. The arrays do not change when training goes on."""
        at, loss, validation, lr, norm, clipped, examples = self._curves.arrays()
        rows_at, log10 = self._rows.arrays()
        return History(
            at=at,
            loss=loss,
            validation_loss=validation,
            lr=lr,
            grad_norm=norm,
            clipped=clipped,
            examples=examples,
            log10_grad_norms=frozen(log10),
            grad_norms_at=frozen(rows_at),
            diverged_at=self._diverged[0] if self._diverged else None,
            diverged_tensor=self._diverged[1] if self._diverged else None,
            changes=self._changes,
        )

    def _network(self, steps: int, size: int, purpose: str = "") -> Network:
        """The network for batches of this many sequences: the last batch of an epoch may be smaller."""
        key = (steps, size, purpose)
        if key not in self._networks:
            e = self.experiment
            self._networks[key] = Network(
                e.kind, e.nonlinearity, self._parameters, steps, size, self._task.every_step, self._threads
            )
        return self._networks[key]

    def _current(self) -> Pass:
        """The pass at the current weights, made once."""
        if self._pass is None:
            begin, e, k = perf_counter(), self.experiment, self.step
            if self._batch is None:
                self._batch = next(self._batches)
            size = self._batch[0].shape[1]
            network = self._network(e.steps, size)
            self._pass = run_pass(network, e, *self._batch, dropout_masks(e, k, size))
            if self._pass.non_finite is not None and self._diverged is None:
                self._diverged = k, self._pass.non_finite
            self.seconds += perf_counter() - begin
        return self._pass

    def _advance_one(self) -> None:
        e, k, done = self.experiment, self.step, self._current()
        network = self._network(*done.inputs.shape[:2])
        self._rows.add(k, network)
        gradient, weights, loss, norm = network.gradient.flat, self._parameters.flat, done.loss, done.grad_norm
        measured = self._validate_every and k % self._validate_every == 0
        validation = self.validation_loss() if measured else float("nan")
        if measured:
            self._measured = k
        if validation < self._best[0]:
            self._best = validation, k
        begin = perf_counter()
        lr, clipped = self.lr, updating.clip(e, gradient, self._parameters.starts, norm)
        updating.decay(e, weights, gradient, lr)
        updating.step(e, weights, gradient, self._state, lr, k + 1)
        self.examples += done.inputs.shape[1]
        self._curves.add(k, (loss, validation, lr, norm, clipped, self.examples))
        self._loss = loss
        self._pass, self._batch, self.step = None, None, k + 1
        self.seconds += perf_counter() - begin


def train(e: Experiment, steps: int = 500, threads: int = 1) -> History:
    """Train from the initial weights for `steps` updates, a whole number, in 1 or more threads; see Trainer.

    Raises ValueError where one of them is none.
    """
    count = _count("steps", steps)
    trainer = Trainer(e, threads=threads)
    trainer.advance(count)
    return trainer.history


def _count(name: str, n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
        raise ValueError(f"{name}: {n!r}; allowed: whole numbers, 0 or more")
    return int(n)
