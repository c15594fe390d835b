"""One update in slow motion: what was found of it, and the positions that it is walked through."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import engine
from app.words import N_, _, listed

PHASES = {  # the five, in their order
    "forward": N_("Forward"),
    "loss": N_("Loss"),
    "backward": N_("Backward"),
    "clip": N_("Clip"),
    "update": N_("Update"),
}


class Named(NamedTuple):
    """Of each layer and unit (L, H) one weight of W_hh, that to it with the largest gradient."""

    source: np.ndarray  # the unit that it comes from, 0-based
    weight: np.ndarray  # before the update
    raw: np.ndarray  # its gradient
    clipped: np.ndarray
    used: np.ndarray  # with L2 where that is part of it
    change: np.ndarray
    before: np.ndarray  # (slots, L, H) what the optimizer remembered of it
    after: np.ndarray


@dataclass(frozen=True, eq=False)
class Motion:
    """The numbers of one update: n timesteps that are drawn, of the first sequence of the batch; m where a loss is."""

    unrolled: engine.Unrolled
    inputs: np.ndarray  # (n, I) as the task gives them
    read: np.ndarray  # (m,) which of the n timesteps have a loss
    outputs: np.ndarray  # (m, O)
    targets: np.ndarray  # (m, O) numbers, or (m,) classes
    own_losses: np.ndarray  # (m,) of the sequence
    batch_losses: np.ndarray  # (m,) the mean over the batch
    loss: float  # of the batch, over all timesteps
    loss_after: float  # the same, with the same dropout, after the update
    promised: float | None  # g · Δθ, what a straight line would make of it; None where g is of more than the loss
    update: engine.Update  # the norms of its blocks, and no vectors
    raw_norms: np.ndarray  # (blocks,) of the gradient before clipping
    clipped_norms: np.ndarray
    grad_norm: float
    clipped_norm: float
    cosine: float  # of the two
    changed: float  # the share of components that clipping changes
    change_norm: float  # ‖Δθ‖
    weight_norm: float  # ‖θ‖
    named: Named
    marks: tuple[int, ...]  # timesteps of note
    batch: int  # sequences

    @property
    def steps(self) -> int:
        return self.unrolled.log10_norms.shape[1]


class Position(NamedTuple):
    phase: str
    column: int | None  # which of the drawn timesteps, 0-based


def positions(m: Motion) -> list[Position]:
    """Forward through the drawn timesteps, their losses, back again, clip, update, and what has come of it."""
    n = len(m.unrolled.at)
    return [
        *(Position("forward", i) for i in range(n)),
        *(Position("loss", int(i)) for i in m.read),
        *(Position("backward", i) for i in reversed(range(n))),
        Position("clip", None), Position("update", None), Position("update", n),
    ]  # fmt: skip


def first(m: Motion, phase: str) -> int:
    """The position at which a phase begins."""
    return [p.phase for p in positions(m)].index(phase)


def places(m: Motion) -> np.ndarray:
    """(n,): where each drawn timestep stands; a gap between two takes a place of its own."""
    at = m.unrolled.at
    return np.concatenate([[0], np.cumsum(1 + (np.diff(at) > 1))]).astype(np.float64)


def stretches(m: Motion) -> str:
    """The timesteps that are drawn, as a reader would say them.

    1…8 and 93…100, say."""
    at = [int(t) for t in m.unrolled.at]
    cuts = [0, *(i for i in range(1, len(at)) if at[i] > at[i - 1] + 1), len(at)]
    parts = [f"{at[a]}…{at[b - 1]}" if b - a > 1 else str(at[a]) for a, b in pairwise(cuts)]
    if len(parts) == 1:
        return parts[0]
    return _("{parts} and {last}").format(parts=listed(parts[:-1]), last=parts[-1])
