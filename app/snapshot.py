"""What one picture of a run needs, and nothing that it could reach back to the run with."""

from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan, log, nan

import numpy as np

import engine
from app.kept import Weights
from app.shown import Shown
from app.thrown import Thrown
from app.words import N_


def axis_end(reached: int) -> int:
    """The right end of the training axes: 200, 500, 1000, 2000, … so that they hold still while the run goes on."""
    decade = 100
    while True:
        for end in (2 * decade, 5 * decade, 10 * decade):
            if reached <= end:
                return end
        decade *= 10


@dataclass(frozen=True)
class Snapshot:
    """One moment of a run. Arrays are read-only. T timesteps, L layers, H units, `reached` training steps made."""

    experiment: engine.Experiment
    step: int  # the training step shown
    moment: int  # the step whose gradient and states these are: `step`, or the last finite one that is known
    reached: int  # the newest step reached
    layer: int  # the layer that the state picture and the verdict show, 0-based
    now: np.ndarray  # (L, T) log10 ‖∂L/∂h_t‖ at `step`; at the last finite step when diverged
    flow: np.ndarray  # (L, T) the same for the loss of the last timestep alone; `now` where there is no other
    start: np.ndarray  # (L, T) log10 ‖∂L/∂h_t‖ at step 0
    hidden: np.ndarray  # (L, T, H) hidden states of the shown sequence at `step`
    marks: tuple[int, ...]  # 1-based timesteps to mark
    loss: np.ndarray  # (reached+1,) at steps 0..reached
    validation: np.ndarray  # (reached+1,), NaN where not measured
    grad_norm: np.ndarray  # (reached+1,) over all parameters, before clipping
    clipped: np.ndarray  # (reached+1,) after clipping
    rows: np.ndarray  # (n, L, T) log10 norms of the kept steps
    rows_at: np.ndarray  # (n,) their steps, ascending; the first is 0
    lr: np.ndarray  # (reached+1,) learning rate of the update that followed
    changes: tuple[engine.Change, ...]  # settings changed while it trained
    stopped: str | None  # the stop rule that ended the run at `reached`
    examples: int  # sequences seen before `moment`
    seconds: float  # of training before `moment`
    shown: Shown  # the sequence whose states are shown, and the answer to it, at `moment`
    shown_span: tuple[float, float]  # of all numbers of such sequences so far
    radii: tuple[engine.Radius, ...]  # of W_hh of the shown layer: each gate, and all together
    radii_at: int  # the step when they were measured
    truncation: tuple[float, float] | None  # truncated BPTT: cosine, ratio of norms against the full gradient
    theory: float | None  # mean-field slope of the start, decades gained by one step back; None when there is none
    theory_note: str  # why there is none, or which of its assumptions fails ("" when all hold)
    baseline: float  # loss of the best answer that ignores the inputs
    baseline_label: str
    references: tuple[tuple[str, float], ...]  # further losses to compare with: label, loss
    diverged: tuple[int, str] | None  # (step, tensor) where the first non-finite number appeared
    thrown: Thrown | None = None  # the update that threw the weights away, if any did, before `moment` or after
    reach: float = nan  # ‖Δθ‖ / ‖θ‖ of the update that follows `moment`
    norms_span: tuple[float, float] = (0.0, 0.0)  # of `now` and `flow` at every step that was looked at so far
    weights_of: str = ""  # the file whose weights the run has begun with; "": drawn
    weights: Weights | None = None  # those kept nearest to `moment`

    @property
    def theory_fails(self) -> str:
        """The assumption of the theory that does not hold at the step drawn, as a message id; "": all do."""
        return self.theory_note or (N_("not for a trained network") if self.drawn > 0 else "")

    @property
    def memory_length(self) -> float:
        """ξ = 1/|log χ| of the theory: the steps in which ‖δ‖² changes by a factor e. NaN when there is none."""
        if self.theory is None or isnan(self.theory):
            return nan
        return inf if self.theory == 0 else 1 / (2 * log(10) * abs(self.theory))

    @property
    def end(self) -> int:
        """The right end of the training axes."""
        return axis_end(self.reached)

    @property
    def last_finite(self) -> int:
        """The newest step that still is a number."""
        return self.reached if self.diverged is None else min(max(self.diverged[0] - 1, 0), self.reached)

    @property
    def lost(self) -> bool:
        """Is the step shown past the last finite one?"""
        return self.step > self.last_finite or (self.diverged is not None and self.diverged[0] == 0)

    @property
    def drawn(self) -> int:
        """The step whose gradient and states are drawn: the one shown, or the last finite one that is known."""
        return min(self.moment, self.last_finite)

    def settings(self, *fields: str) -> list[tuple[int, int, engine.Experiment]]:
        """The stretches of steps (from, to, both included) without a change of these fields, and what held there."""
        e, to, found = self.experiment, self.reached, []
        for change in reversed(self.changes):
            if change.field not in fields:
                continue
            if change.step <= to:
                found.append((change.step, to, e))
                to = change.step - 1
            e = e.replace(**{change.field: change.before})
        return [(0, to, e), *reversed(found)]

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """Least and greatest finite log10 norm of the run so far, over all layers; (0, 0) when there is none."""
        every = max(1, self.rows.shape[-1] // 400)  # a sample of the timesteps is enough for an axis
        low, high = self.norms_span
        numbers = self.rows[self.rows_at <= self.last_finite]  # of a lost pass some are left, up to 10^308
        for part in (self.now, self.flow, self.start, numbers[..., ::every]):
            finite = part[np.isfinite(part)]
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        return low, high
