"""One experiment in training: its trainer, what is kept of its past, and the snapshots made of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan, nan

import engine
from app.checkpoints import VALIDATE_EVERY, checkpoint_of
from app.curves import Curves, curves_of
from app.kept import WEIGHTS_BUDGET, Kept, Moment, Radii, Weights, moment_of, weights_of
from app.limits import LIMITS
from app.networks import Network
from app.snapshot import Snapshot
from app.thrown import Thrown, reach, thrown
from app.words import N_

SLICE = 0.025  # seconds of training before others have their turn
SHARE = 0.08  # of the time that recording for pictures may take
REPLAY = 3.0  # seconds of training that may be repeated to bring back the last finite step
LAST_STEP = LIMITS.steps  # training ends here: up to there the engine keeps every step of the curves
STOP_RULES = ("stop_steps", "stop_loss", "patience")


@dataclass(frozen=True, eq=False)
class Past:
    """What has been recorded so far. Never changed, only replaced: any thread may read it."""

    curves: Curves
    kept: Kept[Moment]
    weights: Kept[Weights]
    experiment: engine.Experiment  # the settings at the newest step
    stopped: str | None  # the stop rule that holds there
    thrown: Thrown | None = None  # the update that threw the weights away

    def at(self, step: int | None) -> tuple[int, Moment]:
        """The step that is shown for `step` (None: the newest), and the moment drawn for it.

        Past a divergence that is the last moment which had numbers.
        """
        if step is None or step >= self.curves.reached:
            return self.curves.reached, self.kept.newest
        moment = self.kept.nearest(step)
        return moment.step, moment

    def steps(self) -> list[int]:
        """The steps that can be brought back whole: with their pictures and their weights."""
        drawn = {moment.step for moment in self.kept.moments}
        return [w.step for w in self.weights.moments if w.step in drawn]


class Training:
    """Made with the first pass done. All methods but `snapshot` and `checkpoint` belong to one thread at a time.

    `lean`: what takes longest to record, validation and eigenvalues, waits until training rests; training itself
    measures validation at every tenth step.
    """

    def __init__(
        self, e: engine.Experiment, start: engine.Checkpoint | None = None, lean: bool = False,
        network: Network | None = None,
    ) -> None:  # fmt: skip
        """`start`: the run of `e` goes on from there; `network`: whose weights it begins with, None: drawn ones."""
        self._first, self._start, self._lean, self._network = e, start, lean, network  # what it began with
        self._changed: list[tuple[int, engine.Experiment]] = []  # and what was changed since, at which step
        self._trainer = self._begun()
        trace, task = self._trainer.trace(), engine.TASKS[e.task]
        self._baseline, self._baseline_label = task.baseline(e), task.baseline_label
        references = ((label, losses.get(e.loss_name)) for label, losses in task.references.items())
        self._references = tuple((label, of(e.seq_length)) for label, of in references if of is not None)
        self._theory: float | None = None
        self._theory_note = N_("not for a trained network")
        if network is None:
            theory = engine.mean_field(e)
            self._theory, self._theory_note = None if isnan(theory.chi) else theory.slope, theory.reason
        self._worked = self._cost = self.took = 0.0  # took: seconds of work that the last picture cost
        self._recorded = time.monotonic()
        validation = self._trainer.validation_loss()
        # The first pass loads kernels, which is no cost of this training.
        self._trainer.seconds = 0.0 if start is None else start.seconds
        self._radii = self._radii_of(trace, None)
        moment = moment_of(self._trainer, trace, validation, self._radii, None)
        curves, states = (
            curves_of(self._trainer, trace, validation),
            Kept((weights_of(self._trainer, trace),), WEIGHTS_BUDGET),
        )
        self._at_step_0 = curves.rows[0]
        self.past = Past(curves, Kept((moment,)), states, e, self._trainer.stopped)

    def _begun(self, validate_every: int = VALIDATE_EVERY) -> engine.Trainer:
        """A trainer where this one began."""
        if self._start is not None:
            return engine.Trainer.resume(self._start)
        given = None if self._network is None else self._network.state_dict
        return engine.Trainer(self._first, validate_every, state_dict=given)

    @property
    def experiment(self) -> engine.Experiment:
        """The settings in use now."""
        return self.past.experiment

    @property
    def step(self) -> int:
        """Updates made; `past` may lag behind."""
        return self._trainer.step

    @property
    def ended(self) -> bool:
        return self._trainer.diverged or self._trainer.stopped is not None or self.step >= LAST_STEP

    def due(self, every: float) -> bool:
        """Is it time for the next picture, so many seconds after the last?"""
        return time.monotonic() - self._recorded > max(every, self._cost / SHARE)

    @property
    def unrecorded(self) -> bool:
        return self.past.curves.diverged is None and self.step > min(self.past.curves.reached, self._radii.step)

    def takes(self, e: engine.Experiment) -> bool:
        """Can training go on with these settings? Not one that has not begun, or is over: then another begins."""
        before = self.experiment
        changed = {name for name in type(e).model_fields if getattr(e, name) != getattr(before, name)}
        if self.step == 0 or self._trainer.diverged or not changed <= set(engine.LIVE):
            return False
        return self._trainer.stopped is None or not changed.isdisjoint(STOP_RULES)

    def change(self, e: engine.Experiment) -> None:
        """Go on with other settings."""
        self._trainer.change(e)
        self._changed.append((self.step, e))
        self.record()

    def advance(self, last: int, hurry: Callable[[], bool]) -> None:
        """Train for a slice of time, not past step `last`, and not on when there is something better to do."""
        begin, trainer = time.perf_counter(), self._trainer
        while trainer.step < last and not (self.ended or hurry() or time.perf_counter() - begin > SLICE):
            trainer.advance(1)
        self._worked += time.perf_counter() - begin

    def record(self, rests: bool = False) -> None:
        """Bring `past` up to date; `rests`: training does not go on at once, so that all of it can be measured."""
        begin, trainer, kept, weights = time.thread_time(), self._trainer, self.past.kept, self.past.weights
        trace = None if trainer.diverged else trainer.trace()  # this pass may be the first that is not finite
        rests = rests or self.ended
        validation = trainer.validation_loss() if rests or not self._lean else nan
        if trace is not None and not trainer.diverged:
            self._radii = self._radii_of(trace, None if rests else self._radii)
            kept = kept.add(moment_of(trainer, trace, validation, self._radii, kept.newest))
            weights = weights.add(weights_of(trainer, trace))
        curves = curves_of(trainer, trace, validation)
        if curves.diverged is not None:
            kept, weights = self._with_last_finite(kept, weights, curves.diverged[0] - 1)
        lost = self.past.thrown or thrown(trainer.experiment, curves, kept, self.past.curves.reached)
        self.past = Past(curves, kept, weights, trainer.experiment, trainer.stopped, lost)
        self._recorded = time.monotonic()
        self.took = time.thread_time() - begin
        self._cost += 0.3 * (self.took - self._cost)

    def _radii_of(self, trace: engine.Trace, before: Radii | None) -> Radii:
        if self._lean:
            return before or Radii((), self.step, 0.0, 0.0)
        return Radii.of(self._first, self.step, trace, before)

    def _with_last_finite(
        self, kept: Kept[Moment], weights: Kept[Weights], step: int
    ) -> tuple[Kept[Moment], Kept[Weights]]:
        """With the step before the first non-finite number, computed again when it was not kept."""
        if step <= kept.newest.step or self._worked > REPLAY:
            return kept, weights
        again = self._begun(validate_every=0)
        for at, e in self._changed:
            if again.step <= at <= step:
                again.advance(at - again.step)
                again.change(e)
        again.advance(step - again.step)
        trace = again.trace()
        radii = self._radii if self._lean else Radii.of(self._first, step, trace)
        moment = moment_of(again, trace, again.validation_loss(), radii, kept.newest)
        return kept.add(moment), weights.add(weights_of(again, trace))

    def checkpoint(self, step: int | None) -> engine.Checkpoint:
        """The run at the kept step nearest to `step` (None: the newest); at the last that has numbers of a lost one."""
        past = self.past
        weights = past.weights.newest if step is None else past.weights.nearest(step)
        return checkpoint_of(past.curves, weights, past.kept.nearest(weights.step).seconds)

    def snapshot(self, step: int | None, layer: int, past: Past | None = None) -> Snapshot:
        """All that a picture of `step` (None: the newest) needs; `past`: of what was recorded by then."""
        past = past or self.past
        shown, moment = past.at(step)
        layer = min(layer, past.experiment.num_layers - 1)
        validation = past.curves.validation.copy()
        if not isnan(moment.validation):
            validation[moment.step] = moment.validation
        return Snapshot(
            experiment=past.experiment,
            step=shown,
            moment=moment.step,
            reached=past.curves.reached,
            layer=layer,
            now=moment.log10_norms,
            flow=moment.flow,
            start=self._at_step_0,
            hidden=moment.hidden,
            marks=moment.marks,
            loss=past.curves.loss,
            validation=validation,
            grad_norm=past.curves.grad_norm,
            clipped=past.curves.clipped,
            rows=past.curves.rows,
            rows_at=past.curves.rows_at,
            lr=past.curves.lr,
            changes=past.curves.changes,
            stopped=past.stopped if shown == past.curves.reached else None,
            examples=moment.examples,
            seconds=moment.seconds,
            shown=moment.shown,
            shown_span=past.kept.newest.shown.span,
            norms_span=past.kept.newest.norms_span,
            radii=tuple(radius for radius in moment.radii if radius.layer == layer),
            radii_at=moment.radii_at,
            truncation=moment.truncation,
            theory=self._theory,
            theory_note=self._theory_note,
            baseline=self._baseline,
            baseline_label=self._baseline_label,
            references=self._references,
            diverged=past.curves.diverged,
            thrown=past.thrown,
            reach=reach(moment),
            weights_of="" if self._network is None else self._network.file,
            weights=replace(
                past.weights.nearest(moment.step),
                curves=past.curves,
                moments=past.kept,
                given="" if self._network is None else self._network.file,
            ),
        )
