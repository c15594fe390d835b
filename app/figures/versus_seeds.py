"""The same experiments over many seeds: median and quartiles, pairs by seed, and what that proves, in words.

A run that diverged counts as worse than all others (its loss is infinite from there), and has no gradient to show. One
that a stop rule ended keeps its last loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, isfinite
from typing import Any

import numpy as np

from app.figures.loss import LEARNS
from app.figures.numbers import minus, short, times
from app.figures.palette import palette
from app.figures.versus import of
from app.words import _, listed
from engine.sweeps.dataset import between

QUARTERS = (0.25, 0.5, 0.75)
CLEAR = 0.05  # a sign test below this is not put down to chance
SAME = 1e-3  # of the larger loss: two that differ by less are a tie
ENOUGH = 10  # seeds; with fewer than 6 pairs even all of them on one side are not clear


@dataclass(frozen=True, eq=False)
class Finished:
    """One experiment, trained with one seed. Arrays are read-only."""

    at: np.ndarray  # (n,) training steps at which validation was measured
    validation: np.ndarray  # (n,) the loss there; NaN at the end of one that diverged
    flow: np.ndarray  # (T,) log10 ‖∂L/∂h_t‖ of the last loss in the top layer, at the end; NaN where it diverged
    diverged: int | None  # the step of the first number that was none

    @property
    def last(self) -> float:
        """The validation loss at the end; infinite where it diverged."""
        value = float(self.validation[-1])
        return value if self.diverged is None and isfinite(value) else np.inf


@dataclass(frozen=True, eq=False)
class Seeds:
    """What is known so far. Every experiment was trained with each of the `seeds`; the first experiment is the base."""

    names: tuple[str, ...]  # of the experiments, as short as a label
    full_names: tuple[str, ...]  # the same with the knob
    steps: int  # training steps of each run
    planned: int  # seeds that were asked for
    seeds: tuple[int, ...]  # those that are done
    found: tuple[tuple[Finished, ...], ...]  # for each of these, one of each experiment
    baselines: tuple[float, ...]  # the loss of guessing, of each experiment
    baseline_label: str

    @property
    def relative(self) -> bool:
        """Are the losses shown as shares of the loss of guessing, because that is not the same for all?"""
        return len(set(self.baselines)) > 1

    def scale(self, i: int) -> float:
        return self.baselines[i] if self.relative else 1.0

    def of(self, i: int) -> list[Finished]:
        return [row[i] for row in self.found]

    def last(self, i: int) -> np.ndarray:
        """(seeds,) validation loss at the end."""
        return np.array([one.last for one in self.of(i)]) / self.scale(i)

    def lost(self, i: int) -> int:
        return sum(one.diverged is not None for one in self.of(i))

    def beats(self, i: int) -> int:
        """How many learned more than to guess: a validation loss below LEARNS times that of guessing."""
        limit = LEARNS * self.baselines[i] / self.scale(i)
        return int((self.last(i) < limit).sum())

    def wins(self, i: int) -> tuple[int, int]:
        """In how many seeds experiment `i` ended below the base, and above; the others are ties."""
        ours, base = self.last(i), self.last(0)
        with np.errstate(invalid="ignore"):
            apart = np.abs(ours - base) > SAME * np.where(np.isfinite(ours + base), np.maximum(ours, base), 0.0)
        return int((apart & (ours < base)).sum()), int((apart & (ours > base)).sum())

    def ties(self, i: int) -> int:
        """In how many seeds it ended with the same loss as the base; where both diverged there is none."""
        neither = np.isinf(self.last(i)) & np.isinf(self.last(0))
        return len(self.seeds) - int(neither.sum()) - sum(self.wins(i))

    def change(self, i: int) -> float:
        """Decades that the gradient gains from the last step to t = 1 at the end, the median of those that are there;
        -inf: none arrives, NaN: all have diverged."""
        there = [one.flow for one in self.of(i) if one.diverged is None]
        gains = [-np.inf if np.isneginf(flow[0]) else float(flow[0] - flow[-1]) for flow in there]
        return float(quartiles(np.array(gains)[:, None])[1, 0]) if gains else np.nan


def chance(wins: int, losses: int) -> float:
    """Two-sided sign test: how often would coins fall so unevenly, or more so? 1 where there is no pair."""
    n = wins + losses
    tail = sum(comb(n, k) for k in range(max(wins, losses), n + 1)) / 2**n
    return min(1.0, 2 * tail)


def quartiles(values: np.ndarray) -> np.ndarray:
    """(3, columns): lower quartile, median, upper quartile of values (seeds, columns), which may be infinite.

    Linear between neighbours where both are finite; beside an infinite one as `between` has it, never NaN.
    """
    ordered = np.sort(values.T, axis=1)
    last = np.full(len(ordered), len(values) - 1)
    return np.stack([between(ordered, share * last) for share in QUARTERS])


def curves(finished: Sequence[Finished], steps: np.ndarray) -> np.ndarray:
    """(seeds, steps): validation losses at these training steps."""
    rows = []
    for one in finished:
        last = np.searchsorted(one.at, steps, side="right") - 1
        row = one.validation[np.maximum(last, 0)].astype(float)
        lost = np.zeros(len(steps), bool) if one.diverged is None else steps >= one.diverged
        rows.append(np.where(lost | ~np.isfinite(row), np.inf, row))
    return np.array(rows)


def sentences(s: Seeds) -> list[str]:
    """What it proves: how many learn, the pairs of each but the base with what chance alone makes, and the gradient."""
    return [*learners(s), *_pairs(s), *_gradient(s)]


def learners(s: Seeds) -> list[str]:
    """How many seeds beat guessing: those of as many in one sentence, the first with the knob's name."""
    alike: dict[int, list[str]] = {}
    for i, name in enumerate(s.names):
        there = alike.setdefault(s.beats(i), [])
        there.append(name if there else s.full_names[i])
    said = _("<b>{names}</b>: {n} of {all} seeds beat guessing.")
    return [said.format(names=listed(names), n=n, all=len(s.seeds)) for n, names in alike.items()]


def _pairs(s: Seeds) -> list[str]:
    found, open_ = [], False
    for i in range(1, len(s.names)):
        better, worse = s.wins(i)
        odds, pairs = chance(better, worse), better + worse
        names = {"a": s.full_names[i], "b": s.full_names[0], "all": len(s.seeds)}
        if ties := s.ties(i):
            same = _("{a} and {b} end with the same loss in {n} of {all} seeds.")
            found.append(same.format(n=ties, **names))
        if not pairs:
            continue
        # All on one side, and yet not clear: no result of so few pairs could be.
        few = odds >= CLEAR and not (better and worse)
        open_ |= few
        less, more = {
            "clear": (
                _("{a} ends with less loss than {b} in {n} of {all} seeds (by chance alone: {odds})."),
                _("{a} ends with more loss than {b} in {n} of {all} seeds (by chance alone: {odds})."),
            ),
            "few": (
                _("{a} ends with less loss than {b} in {n} of {all} seeds: so few can never be surer than {odds}."),
                _("{a} ends with more loss than {b} in {n} of {all} seeds: so few can never be surer than {odds}."),
            ),
            "chance": (
                _("{a} ends with less loss than {b} in {n} of {all} seeds: that may be chance ({odds})."),
                _("{a} ends with more loss than {b} in {n} of {all} seeds: that may be chance ({odds})."),
            ),
        }["clear" if odds < CLEAR else "few" if few else "chance"]
        said, share = more if better < worse else less, f"{short(100 * odds, 2)} %"
        found.append(said.format(n=max(better, worse), odds=share, **names))
    if open_ and len(s.seeds) == s.planned < ENOUGH:
        found.append(_("Take {n} seeds to be surer.").format(n=ENOUGH))
    return found


def _gradient(s: Seeds) -> list[str]:
    found = []
    for i, name in enumerate(s.names):
        change = s.change(i)
        if np.isneginf(change):
            found.append(_("<b>{name}</b> none at t = 1").format(name=name))
        elif isfinite(change):
            found.append(of(f"<b>{name}</b>", f"× {times(change)}"))
    return [_("Gradient from t = T to 1, median: {changes}.").format(changes=listed(found))] if found else []


def table(s: Seeds, theme: str) -> dict[str, Any]:
    """caption, heads, and rows: name, colour, dash, and cells of text."""
    knob = s.full_names[0].removesuffix(s.names[0]).strip()
    heads = [
        knob, _("Beat guessing"), _("Loss at the end"), _("Half of them within"), _("Below the base"), _("Diverged"),
    ]  # fmt: skip
    rows = []
    for i, name in enumerate(s.names):
        low, middle, high = (float(x) for x in quartiles(s.last(i)[:, None])[:, 0])
        wins = "–" if i == 0 else _("{n} of {all}").format(n=s.wins(i)[0], all=len(s.seeds))
        rows.append(
            {
                "name": name, "color": palette(theme).runs[i],
                "cells": [
                    _("{n} of {all} seeds").format(n=s.beats(i), all=len(s.seeds)), short(middle),
                    f"{short(low)} … {short(high)}", wins,
                    _("{n} of {all}").format(n=s.lost(i), all=len(s.seeds)),
                ],
            }
        )  # fmt: skip
    rule = _(
        "Beat guessing: a validation loss below {share} times that of guessing. Pairs have the same seed. By chance: "
        "how often a coin thrown for every pair would fall so unevenly, or more so (sign test, both sides)."
    )
    return {"caption": minus(rule.format(share=LEARNS)), "heads": heads, "rows": rows}
