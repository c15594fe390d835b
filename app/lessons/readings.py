"""What the checks of the lessons read: pure functions of a snapshot of the run."""

from collections.abc import Callable
from math import isfinite

import numpy as np

import engine
from app.figures.numbers import short, times
from app.lessons.lesson import Reading
from app.snapshot import Snapshot
from app.words import _, sentences

Check = Callable[[Snapshot], Reading]


def slower_than(steps: float) -> Check:
    """The gradient neither halves nor doubles in fewer than so many steps back."""

    def read(s: Snapshot) -> Reading:
        v = engine.verdict(s.flow[s.layer])
        if s.lost or v.kind in ("none", "diverged") or v.zero_before:
            return _nothing()
        text = _("Now it halves every {n} steps back.") if v.decades_per_step < 0 else _("Now it doubles every {n}.")
        said = text.format(n=short(v.half_life, 2)) if isfinite(v.half_life) else _("Now it keeps its size.")
        return Reading(v.half_life > steps, said)

    return read


def within(factor: float) -> Check:
    """The gradient at t = 1 is at most so many times larger or smaller than at the last timestep."""

    def read(s: Snapshot) -> Reading:
        ends = _ends(s)
        if ends is None:
            return _nothing()
        said = _("Now the gradient at t = 1 is {ratio} times the one at t = {T}.")
        return Reading(abs(ends) <= np.log10(factor), said.format(ratio=times(ends), T=s.flow.shape[1]))

    return read


def learns(share: float, steps: int | None = None, examples: int | None = None) -> Check:
    """The validation loss is, or was, below this share of guessing, within so many steps or examples."""

    def read(s: Snapshot) -> Reading:
        last = steps if examples is None else examples // s.experiment.sequences
        measured = s.validation[: None if last is None else last + 1]
        measured = measured[np.isfinite(measured)]
        goal, least = share * s.baseline, float(measured.min()) if measured.size else np.inf
        said = _("The lowest validation loss in time: {least}; the goal: {goal}.")
        if last is not None and s.reached > last and least > goal:
            said = _("Step {last} has passed, with {least} at best; the goal: {goal}. Press Reset and try another way.")
        return Reading(least < goal, said.format(least=short(least), goal=short(goal), last=f"{last or 0:,}"))

    return read


def survives(steps: int, factor: float, most: float) -> Check:
    """At `steps` or later the gradient still arrives, within `factor`, and the loss is at most `most` of guessing."""
    arrives = within(factor)

    def read(s: Snapshot) -> Reading:
        found = arrives(s)
        measured = s.validation[: s.drawn + 1]
        measured = measured[np.isfinite(measured)]
        loss = float(measured[-1]) if measured.size and not s.lost else np.inf
        said = _("Step {n}. {arrives} The validation loss is {loss}; allowed: {most}.").format(
            n=f"{s.drawn:,}", arrives=found.said, loss=short(loss), most=short(most * s.baseline)
        )
        return Reading(s.drawn >= steps and found.met and loss <= most * s.baseline, said)

    return read


def both(first: Check, second: Check) -> Check:
    """Two at once."""

    def read(s: Snapshot) -> Reading:
        one, two = first(s), second(s)
        return Reading(one.met and two.met, sentences(one.said, two.said))

    return read


def _ends(s: Snapshot) -> float | None:
    """Decades that the gradient gains from the last timestep to the first; None: one of them is no number."""
    curve = s.flow[s.layer]
    return float(curve[0] - curve[-1]) if not s.lost and isfinite(curve[0]) and isfinite(curve[-1]) else None


def _nothing() -> Reading:
    return Reading(False, _("Now no gradient reaches t = 1."))
