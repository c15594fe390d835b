"""The training steps that the scrubber can bring back, in bounded memory."""

import time
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

import engine
from app.curves import Curves
from app.shown import Shown, run_free, shown_of

BUDGET = 12_000_000  # bytes for the kept steps of one run: 900 of the default, more than a scrubber has pixels
WEIGHTS_BUDGET = 4_000_000  # bytes for the weights kept of one run, with Adam 130 times those of the default
RADII_SHARE = 0.03  # of the time that eigenvalues may take


@dataclass(frozen=True, eq=False)
class Moment:
    """What is kept of one training step; arrays are read-only."""

    step: int
    log10_norms: np.ndarray  # (L, T) log10 ||dL/dh_t||
    flow: np.ndarray  # (L, T) the same for the loss of the last timestep alone: the same array where there is no other
    hidden: np.ndarray  # (L, T, H) float32 where that can hold them, the hidden states of the shown sequence
    marks: tuple[int, ...]  # timesteps of note of the shown sequence, which is another at every step
    validation: float  # the loss on sequences drawn apart from training's
    radii: tuple[engine.Radius, ...]  # ρ and σ_max of W_hh of each layer and gate
    radii_at: int  # the step when they were measured: of a wide network not at every one
    truncation: tuple[float, float] | None  # truncated BPTT: cosine and ratio of norms against the full gradient
    shown: Shown
    parts: np.ndarray  # (3, blocks) ‖g‖, ‖Δθ‖ and ‖θ‖ of each block of weights, of the update that follows
    examples: int  # sequences seen before this step
    seconds: float  # of training before this step
    norms_span: tuple[float, float]  # least and greatest finite of `log10_norms` and `flow` at this step and before

    @property
    def size(self) -> int:
        norms = self.log10_norms.nbytes * (1 if self.flow is self.log10_norms else 2)
        return norms + self.hidden.nbytes + self.shown.size + 2000


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights at one training step, for whoever wants to look closer than the pictures do."""

    step: int
    experiment: engine.Experiment  # the settings in use there
    state_dict: Mapping[str, np.ndarray]
    optimizer_state: np.ndarray | None = None  # None: zero, as before the first step
    lr: float | None = None  # of the update that followed; None: that of the experiment
    curves: Curves | None = None  # of the run so far; this and the next are given to those that are shown, not kept
    moments: "Kept[Moment] | None" = None
    given: str = ""  # the file whose weights the run has begun with; "": drawn ones

    @property
    def size(self) -> int:
        state = 0 if self.optimizer_state is None else self.optimizer_state.nbytes
        return state + sum(value.nbytes for value in self.state_dict.values())


class Sized(Protocol):
    @property
    def step(self) -> int: ...
    @property
    def size(self) -> int: ...


Thing = TypeVar("Thing", bound=Sized)


@dataclass(frozen=True, eq=False)
class Kept(Generic[Thing]):
    """Moments, or weights, in the order of their steps, which all have one size.

    When they outgrow the budget every second one goes, so that what stays is spread evenly over the run; the first
    (the start, which is drawn as a ghost) and the newest always stay.
    """

    moments: tuple[Thing, ...]
    budget: int = BUDGET
    stride: int = 1  # steps between neighbours, grows with every thinning

    def add(self, moment: Thing) -> "Kept[Thing]":
        """With the newest moment; the one before it goes when it lies too close to its neighbour."""
        before, stride = self.moments, self.stride
        if before[-1].step == moment.step or (len(before) > 2 and before[-1].step - before[-2].step < stride):
            before = before[:-1]
        kept = (*before, moment)
        if len(kept) > 2 and len(kept) * moment.size > self.budget:
            kept = (kept[0], *kept[2:-1:2], kept[-1])
            stride = (kept[-1].step - kept[0].step) // (len(kept) - 1)
        return replace(self, moments=kept, stride=stride)

    @property
    def first(self) -> Thing:
        return self.moments[0]

    @property
    def newest(self) -> Thing:
        return self.moments[-1]

    def nearest(self, step: int) -> Thing:
        """The kept moment nearest to a step; of two the earlier one."""
        at = bisect(self.moments, step, key=lambda moment: moment.step)
        return min(self.moments[max(at - 1, 0) : at + 1], key=lambda moment: abs(moment.step - step))


def spread(things: Sequence[Thing], most: int) -> tuple[Thing, ...]:
    """At most about `most` of them, evenly over the steps: those nearest to whole multiples of 1, 2, 4, … steps, and
    the first and the last. So what was chosen stays chosen, or every second of it, while a run goes on."""
    steps = [thing.step for thing in things]
    stride = 1
    while steps[-1] - steps[0] > stride * (most - 1):
        stride *= 2
    chosen = {0, len(steps) - 1}
    for wanted in range(steps[0], steps[-1], stride):
        at = bisect(steps, wanted) - 1
        after = min(at + 1, len(steps) - 1)
        chosen.add(at if wanted - steps[at] <= steps[after] - wanted else after)
    return tuple(things[at] for at in sorted(chosen))


@dataclass(frozen=True)
class Radii:
    """When they were measured, and what it cost."""

    found: tuple[engine.Radius, ...]
    step: int
    seconds: float
    when: float  # time.monotonic()

    @classmethod
    def of(cls, e: engine.Experiment, step: int, trace: engine.Trace, before: "Radii | None" = None) -> "Radii":
        """Those of a trace; where they take long (wide networks), those of `before`, if given, until their share is
        small."""
        begin = time.monotonic()
        if before is not None and begin - before.when < before.seconds / RADII_SHARE:
            return before
        found = engine.radii(e.kind, trace.state_dict)
        return cls(found, step, time.monotonic() - begin, begin)


def weights_of(trainer: engine.Trainer, trace: engine.Trace) -> Weights:
    """What is kept of a trainer at its current step, whose pass is `trace`."""
    state = trainer.optimizer_state if trainer.step else None
    return Weights(trainer.step, trainer.experiment, trace.state_dict, state, trainer.lr)


def parts_of(trainer: engine.Trainer, trace: engine.Trace) -> np.ndarray:
    """‖g‖, ‖Δθ‖ and ‖θ‖ of each block, (3, blocks), of the update that a trainer will make of the pass `trace`."""
    u = engine.update(trainer.experiment, trace, trainer.optimizer_state, trainer.step, trainer.lr)
    return np.stack([u.gradient_norms, u.change_norms, u.weight_norms])


def moment_of(
    trainer: engine.Trainer, trace: engine.Trace, validation: float, radii: Radii, before: Moment | None
) -> Moment:
    """What is kept of the pass at the current step of a trainer; `before`: the newest moment before it."""
    e, step = trainer.experiment, trainer.step
    hidden = trace.hidden[:, 1:, 0]
    if np.abs(hidden).max() < np.finfo(np.float32).max:  # states may grow past the range of float32
        hidden = hidden.astype(np.float32)
    hidden = hidden.copy()
    hidden.flags.writeable = False
    return Moment(
        step=step,
        log10_norms=trace.log10_grad_norms,
        flow=trace.log10_flow_norms,
        hidden=hidden,
        marks=engine.TASKS[e.task].marks(trace.inputs, 0),
        validation=validation,
        radii=radii.found,
        radii_at=radii.step,
        truncation=trace.truncation,
        parts=parts_of(trainer, trace),
        shown=shown_of(e, trace, run_free(trainer, trace.inputs), None if before is None else before.shown),
        examples=trainer.examples,
        seconds=trainer.seconds,
        norms_span=_norms_span(trace, before),
    )


def _norms_span(trace: engine.Trace, before: Moment | None) -> tuple[float, float]:
    """Remembered from step to step: not all norms of the past are kept, and an axis without them would breathe."""
    norms = np.concatenate([trace.log10_grad_norms.ravel(), trace.log10_flow_norms.ravel()])
    low, high = (0.0, 0.0) if before is None else before.norms_span
    finite = norms[np.isfinite(norms)]
    return min(low, float(finite.min(initial=0.0))), max(high, float(finite.max(initial=0.0)))
