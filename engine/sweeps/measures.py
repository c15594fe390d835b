"""What is measured of one run of a sweep: a function and a row each. Only what is asked for is computed, and once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any, NamedTuple

import numpy as np

from engine.data import dropout_masks
from engine.experiment import Experiment, check_experiment
from engine.instruments import lyapunov as exponents
from engine.instruments.mean_field import mean_field
from engine.instruments.pieces import Pieces, finish, part
from engine.instruments.verdict import Verdict, verdict
from engine.passes import run_pass
from engine.probe import network_of
from engine.sweeps.folds import Fold
from engine.tasks import TASKS
from engine.trace import History
from engine.trainer import Trainer

VALIDATE_EVERY = 10  # steps between two validations, where something asks for them
LAYER = 0  # the lowest: what arrives there has come the longest way
LYAPUNOV_STEPS = 200  # timesteps that count, of each of 4 trajectories
LYAPUNOV_COST = 10  # training steps that take as long, about: for the share that is done
# Of the baseline. A network that has learned nothing is below it for every second seed: its loss on 256 sequences of
# the adding task is off by 7 %. So far below it, chance brings one of 300.
BEATEN = 0.8
ENOUGH = 1e-6  # of its norm a gradient has to lose to count as clipped


class Seen(NamedTuple):
    """What the pass at a run's last weights shows, on the batch that the next update would use."""

    loss: float
    grad_norm: float
    finite: bool
    log10_norms: np.ndarray  # (T,) log10 ‖∂L/∂h_t‖ of the lowest layer, L the loss at the last timestep


class Run:
    """A network after its training, or a fresh one (`trainer` None): what the measures are read from."""

    def __init__(self, e: Experiment, trainer: Trainer | None) -> None:
        self.experiment, self.trainer = e, trainer
        self.lyapunov = nan

    @cached_property
    def seen(self) -> Seen:
        if self.trainer is not None:
            t = self.trainer.trace()
            return Seen(t.loss, t.grad_norm, t.non_finite is None, t.log10_flow_norms[LAYER])
        e = self.experiment
        network, x, y = network_of(e)
        done = run_pass(network, e, x, y, dropout_masks(e, 0, x.shape[1]))
        at_the_end = len(done.d_outputs) == 1
        norms = network.log10_norms() if at_the_end else network.log10_flow_norms(done.d_outputs, done.cut)
        return Seen(done.loss, done.grad_norm, done.non_finite is None, norms[LAYER])

    @cached_property
    def verdict(self) -> Verdict:
        return verdict(self.seen.log10_norms)

    @cached_property
    def history(self) -> History:
        return self.trained.history

    @cached_property
    def validation_loss(self) -> float:
        fold = getattr(self.experiment.task, "data", None)
        return self._of_part(fold) if isinstance(fold, Fold) else self.trained.validation_loss()

    def _of_part(self, fold: Fold) -> float:
        """The mean over all of a fold's validation part; a trainer's own draws from it."""
        total, weights = 0.0, self.trained.state_dict
        for inputs, targets in fold.validation():
            network, x, y = network_of(self.experiment, weights, inputs, targets)
            network.forward(x)
            total += x.shape[1] * network.loss(self.experiment.loss_name, y)[0]
        return total / len(fold.held)

    @property
    def trained(self) -> Trainer:
        if self.trainer is None:
            raise ValueError("steps: 0; allowed for a measure of training: 1 or more")
        return self.trainer

    @property
    def diverged(self) -> bool:
        if self.trainer is None or not self.seen.finite:
            return not self.seen.finite
        weights = self.trainer.state_dict.values()
        return self.trainer.diverged or not all(np.isfinite(each).all() for each in weights)

    @property
    def to_beat(self) -> float:
        """The validation loss that is clearly below the task's baseline."""
        return BEATEN * TASKS[self.experiment.task].baseline(self.experiment)


def _clipped_share(run: Run) -> float:
    e, h = run.experiment, run.history
    if e.clip == "none":
        return 0.0
    if e.clip == "unit":  # every component gets a new size
        return nan
    cut = h.grad_norm > e.clip_threshold if e.clip == "norm" else h.clipped < h.grad_norm * (1 - ENOUGH)
    return float(cut.mean())


def _steps_to_baseline(run: Run) -> float:
    below = np.flatnonzero(run.history.validation_loss <= run.to_beat)
    if below.size:
        return float(run.history.at[below[0]])
    return float(run.trained.step) if run.validation_loss <= run.to_beat else nan


@dataclass(frozen=True)
class Measure:
    """label: its name; unit; meaning: one sentence; trains: it is of training, and steps=0 has none.

    share: it is 0 or 1 a seed, and its mean over seeds a share. worst: what a run without a value counts as, beside
    others, in a median: nan leaves it out, inf is worse than all of them.
    """

    label: str
    unit: str
    meaning: str
    of: Callable[[Run], float]
    trains: bool = False
    share: bool = False
    worst: float = nan
    of_folds: str = ""  # its name where folds stand in place of seeds; "": the same


MEASURES: dict[str, Measure] = {
    "decades_per_step": Measure(
        "Gradient's slope",
        "decades per step back",
        "Decades that the gradient ‖∂L/∂hₜ‖ gains with each timestep back: below 0 it vanishes, above 0 it explodes. "
        "−∞ where it is exactly 0 before it arrives; with a loss at every step, L is the last one.",
        lambda run: run.verdict.decades_per_step,
    ),
    "half_life": Measure(
        "Half-life of the gradient",
        "timesteps",
        "Timesteps back in which the gradient ‖∂L/∂hₜ‖ halves or doubles, without a sign that says which: vanishing "
        "and exploding have one alike. Infinite where it keeps its length, 0 where it is exactly 0 before it arrives; "
        "with a loss at every step, L is the last one.",
        lambda run: run.verdict.half_life,
    ),
    "lyapunov": Measure(
        "Largest Lyapunov exponent",
        "nats per timestep",
        "How fast a small difference between two states grows (above 0) or dies, along the task's sequences.",
        lambda run: run.lyapunov,
    ),
    "chi": Measure(
        "Mean field's χ",
        "factor per step back",
        "What theory expects ‖∂L/∂hₜ‖² of the fresh network to be multiplied by with each timestep back, "
        "also where its assumptions hold only roughly; none for gated cells.",
        lambda run: mean_field(run.experiment).chi,
    ),
    "grad_norm": Measure(
        "Gradient norm ‖g‖",
        "",
        "Length of the gradient of all weights together, before it is clipped.",
        lambda run: run.seen.grad_norm,
    ),
    "clipped_share": Measure(
        "Clipped steps",
        "share",
        "Share of the training steps at which clipping shortened the gradient.",
        _clipped_share,
        trains=True,
    ),
    "train_loss": Measure(
        "Training loss",
        "",
        "Loss of the next training batch after the last step.",
        lambda run: run.seen.loss,
        trains=True,
        worst=np.inf,
    ),
    "val_loss": Measure(
        "Validation loss",
        "",
        "Loss after the last step, on sequences that training has not seen.",
        lambda run: run.validation_loss,
        trains=True,
        worst=np.inf,
    ),
    "beats_baseline": Measure(
        "Seeds that beat the baseline",
        "share",
        "1 where the validation loss after the last step is a fifth or more below the task's baseline, else 0.",
        lambda run: float(run.validation_loss <= run.to_beat),
        trains=True,
        share=True,
        of_folds="Folds that beat the baseline",
    ),
    "steps_to_baseline": Measure(
        "Steps to beat the baseline",
        "training steps",
        "The first training step, of every tenth and the last, whose validation loss is a fifth below the baseline.",
        _steps_to_baseline,
        trains=True,
        worst=np.inf,
    ),
    "diverged": Measure(
        "Diverged",
        "share",
        "1 where a loss, a gradient or a weight became infinite or not a number, else 0.",
        lambda run: float(run.diverged),
        share=True,
    ),
}


def measure(e: Experiment, names: Iterable[str], steps: int = 0) -> dict[str, float]:
    """The measures of one run, by name: of the fresh network, or after `steps` steps of training.

    Fewer where a stop rule of the experiment ends them. The gradient's measures are those of Trainer(e) after
    advance(steps). Raises ValueError where a name is not known, or is of training and steps is 0.

    >>> import engine
    >>> e = engine.Experiment(init="orthogonal", gain=0.5, nonlinearity="identity", hidden_size=8)
    >>> {name: round(value, 6) for name, value in engine.measure(e, ["half_life", "lyapunov"]).items()}
    {'half_life': 1.0, 'lyapunov': -0.693147}
    """
    return finish(measure_in_pieces(e, names, steps))


def measure_in_pieces(e: Experiment, names: Iterable[str], steps: int = 0) -> Pieces[dict[str, float]]:
    """The same, with a pause after every training step."""
    check_experiment(e)
    asked = check_names(names, steps)
    trainer = None
    total = steps + 1 + LYAPUNOV_COST * ("lyapunov" in asked)
    if steps:
        often = "steps_to_baseline" in asked or e.patience is not None
        trainer = Trainer(e, validate_every=VALIDATE_EVERY if often else 0)
        for k in range(steps):
            trainer.advance()
            yield (k + 1) / total
            if trainer.stopped is not None:
                break
    run = Run(e, trainer)
    if "lyapunov" in asked:
        weights = None if trainer is None else trainer.state_dict
        pieces = exponents.in_pieces(e, LYAPUNOV_STEPS, 1, state_dict=weights)
        found = yield from part(steps / total, LYAPUNOV_COST / total, pieces)
        run.lyapunov = float(found.exponents[0])
    return {name: float(MEASURES[name].of(run)) for name in asked}


def check_names(names: Any, steps: int) -> tuple[str, ...]:
    """The names, each once. Raises ValueError unless they are measures, and such as there are for so many steps."""
    given = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Iterable) else ()
    asked = tuple(dict.fromkeys(given))
    if not asked or any(name not in MEASURES for name in asked):
        raise ValueError(f"measures: {names!r:.80}; allowed: {', '.join(MEASURES)}")
    for name in asked:
        if MEASURES[name].trains and not steps:
            free = ", ".join(name for name, row in MEASURES.items() if not row.trains)
            raise ValueError(f"measures: {name} is of training, and steps=0; allowed: steps of 1 or more, or {free}")
    return asked
