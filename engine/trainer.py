"""Training, one step at a time: pass, clip, update; and what is remembered of it."""

import numpy as np

from engine.clipping import CLIPS, global_norm
from engine.data import batch, dropout_masks, validation_batches
from engine.experiment import Experiment
from engine.network import Network, log10_of
from engine.optimizers import OPTIMIZERS, decay_weights
from engine.parameters import Parameters, frozen, shapes
from engine.passes import Pass, run_pass
from engine.schedules import SCHEDULES
from engine.tasks import TASKS
from engine.trace import History, Trace, trace
from engine.weights import initialise

AHEAD_NUMBERS = 1 << 16  # batches are drawn some at a time, while the code that draws them is still in the cache
ROW_BYTES, MOST_ROWS, FEWEST_ROWS = 64 << 20, 512, 16  # what the kept rows of gradient norms may take


class Trainer:
    """A network in training. At step k it has seen k updates; the pass at step k is on batch k.

    `validate_every`: measure the validation loss at every so many steps (0: never). Not to be shared between threads.
    """

    def __init__(self, e: Experiment, validate_every: int = 10) -> None:
        self.experiment, self.step = e, 0
        task, dtype = TASKS[e.task], np.dtype(e.dtype)
        validate_every = _count("validate_every", validate_every)
        self._task, self._validate_every = task, validate_every
        self._parameters = Parameters(
            e.kind, shapes(e.kind, task.input_size, e.hidden_size, e.num_layers, task.output_size), dtype
        )
        initialise(self._parameters, e)
        self._network = Network(e.kind, e.nonlinearity, self._parameters, e.steps, e.batch_size, task.every_step)
        self._optimizer, self._clip = OPTIMIZERS[e.optimizer], CLIPS[e.clip]
        self._state = self._optimizer.init(self._parameters.flat)
        self._validation: tuple[Network, list[tuple[np.ndarray, np.ndarray]]] | None = None
        self._pass: Pass | None = None
        self._batches: list[tuple[np.ndarray, np.ndarray]] = []  # the next ones, last first
        self._curves = np.full((5, 256), np.nan)  # loss, validation, lr, norm, clipped norm
        self._rows = _Rows(max(FEWEST_ROWS, min(MOST_ROWS, ROW_BYTES // (16 * e.num_layers * e.steps))))
        self._diverged: tuple[int, str] | None = None

    def advance(self, steps: int = 1) -> None:
        """Make `steps` updates. Raises ValueError unless it is a whole number, 0 or more."""
        for _ in range(_count("steps", steps)):
            self._advance_one()

    def trace(self) -> Trace:
        """The pass at the current weights, on the batch that the next update will use."""
        return trace(self._network, self._current())

    def validation_loss(self) -> float:
        """The loss at the current weights on sequences that training never sees; dropout off."""
        e = self.experiment
        if self._validation is None:
            batches = validation_batches(e)
            steps, size = batches[0][0].shape[:2]
            network = Network(e.kind, e.nonlinearity, self._parameters, steps, size, self._task.every_step)
            self._validation = network, batches
        network, batches = self._validation
        losses = []
        for inputs, targets in batches:
            network.forward(inputs)
            losses.append(network.loss(e.loss_name, targets)[0])
        return sum(losses) / len(losses)

    @property
    def state_dict(self) -> dict[str, np.ndarray]:
        """The weights by PyTorch's names: read-only copies."""
        return self._parameters.copies()

    @property
    def diverged(self) -> bool:
        """Has a number been NaN or infinite?"""
        return self._diverged is not None

    @property
    def history(self) -> History:
        """The run so far. The arrays do not change when training goes on."""
        loss, validation, lr, norm, clipped = (frozen(row[: self.step]) for row in self._curves.view())
        log10, at = self._rows.arrays((self._network.norms.shape[0], self._network.norms.shape[1]))
        with np.errstate(over="ignore", under="ignore"):
            linear = np.float_power(10.0, log10)
        return History(
            loss=loss,
            validation_loss=validation,
            lr=lr,
            grad_norm=norm,
            clipped=clipped,
            grad_norms=frozen(linear),
            log10_grad_norms=frozen(log10),
            grad_norms_at=frozen(at),
            diverged_at=self._diverged[0] if self._diverged else None,
            diverged_tensor=self._diverged[1] if self._diverged else None,
        )

    def _current(self) -> Pass:
        """The pass at the current weights, made once."""
        if self._pass is None:
            e, k = self.experiment, self.step
            self._pass = run_pass(self._network, e, *self._next_batch(), dropout_masks(e, k))
            if self._pass.non_finite is not None and self._diverged is None:
                self._diverged = k, self._pass.non_finite
        return self._pass

    def _next_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """The batch of the current step: what `batch` gives for it."""
        if not self._batches:
            e, k = self.experiment, self.step
            some = 1 if k == 0 else max(1, min(16, AHEAD_NUMBERS // (e.steps * e.batch_size)))
            self._batches = [batch(e, i) for i in reversed(range(k, k + some))]
        return self._batches.pop()

    def _advance_one(self) -> None:
        e, k = self.experiment, self.step
        loss, norm = self._current()[:2]
        measured = self._validate_every and k % self._validate_every == 0
        validation = self.validation_loss() if measured else float("nan")
        self._rows.offer(k, self._network)
        gradient, lr = self._network.gradient.flat, e.lr * SCHEDULES[e.schedule].factor(k, e.schedule_steps, e.schedule_factor)
        clipped = norm
        if self._clip.apply is not None:
            self._clip.apply(gradient, self._parameters.starts, norm, e.clip_threshold)
            clipped = global_norm(gradient)
        if e.weight_decay:
            decay_weights(self._parameters.flat, gradient, e.weight_decay)
        self._optimizer.update(self._parameters.flat, gradient, self._state, lr, e.momentum, k + 1)
        self._record(k, (loss, validation, lr, norm, clipped))
        self._pass, self.step = None, k + 1

    def _record(self, k: int, values: tuple[float, ...]) -> None:
        if k == self._curves.shape[1]:  # a new array: views given out before keep the old one
            longer = np.full((len(values), 2 * k), np.nan)
            longer[:, :k] = self._curves
            self._curves = longer
        self._curves[:, k] = values


class _Rows:
    """Gradient norms of step 0 and an even selection of the others: when full, every second is dropped."""

    def __init__(self, most: int) -> None:
        self._most, self._stride = most, 1
        self._kept: list[tuple[int, np.ndarray, np.ndarray]] = []

    def offer(self, step: int, network: Network) -> None:
        if step % self._stride:
            return
        if len(self._kept) == self._most:
            self._kept, self._stride = self._kept[::2], 2 * self._stride
            if step % self._stride:
                return
        self._kept.append((step, network.norms.copy(), network.exponents.copy()))

    def arrays(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """log10 norms (rows, L, T), and their steps."""
        if not self._kept:
            return np.zeros((0, *shape)), np.zeros(0, np.int64)
        steps, norms, exponents = zip(*self._kept, strict=True)
        return log10_of(np.stack(norms), np.stack(exponents)), np.array(steps)


def train(e: Experiment, steps: int = 500) -> History:
    """Train from the initial weights for `steps` updates. Raises ValueError unless it is a whole number, 0 or more."""
    count = _count("steps", steps)
    trainer = Trainer(e)
    trainer.advance(count)
    return trainer.history


def _count(name: str, n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
        raise ValueError(f"{name}: {n!r}; allowed: whole numbers, 0 or more")
    return int(n)
