"""The training steps that the scrubber can bring back, in bounded memory."""

from dataclasses import dataclass, replace

import numpy as np

import engine

BUDGET = 12_000_000  # bytes for the kept steps of one run: 900 of the default, more than a scrubber has pixels


@dataclass(frozen=True, eq=False)
class Moment:
    """What is kept of one training step; arrays are read-only."""

    step: int
    log10_norms: np.ndarray  # (L, T) log10 ||dL/dh_t||
    flow: np.ndarray  # (L, T) the same for the loss of the last timestep alone: the same array where there is no other
    hidden: np.ndarray  # (L, T, H) float32 where that can hold them, the hidden states of the shown sequence
    marks: tuple[int, ...]  # timesteps of note of the shown sequence, which is another at every step
    validation: float  # the loss on sequences that training never sees
    rho: np.ndarray  # (L,) spectral radius of W_hh of each layer
    sigma: np.ndarray  # (L,) its largest singular value

    @property
    def size(self) -> int:
        norms = self.log10_norms.nbytes * (1 if self.flow is self.log10_norms else 2)
        return norms + self.hidden.nbytes + 500


@dataclass(frozen=True, eq=False)
class Kept:
    """Moments in the order of their steps, which all have one size.

    When they outgrow the budget every second one goes, so that what stays is spread evenly over the run; the first
    (the start, which is drawn as a ghost) and the newest always stay.
    """

    moments: tuple[Moment, ...]
    budget: int = BUDGET
    stride: int = 1  # steps between neighbours, grows with every thinning

    def add(self, moment: Moment) -> "Kept":
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
    def first(self) -> Moment:
        return self.moments[0]

    @property
    def newest(self) -> Moment:
        return self.moments[-1]

    def nearest(self, step: int) -> Moment:
        """The kept moment nearest to a step."""
        return min(self.moments, key=lambda moment: abs(moment.step - step))


def moment_of(e: engine.Experiment, step: int, trace: engine.Trace, validation: float) -> Moment:
    """What is kept of the pass at a training step; ρ and σ are of the block of W_hh that proposes the new state."""
    units, block = trace.hidden.shape[3], engine.CELLS[e.cell].candidate
    rows = slice(block * units, (block + 1) * units)
    recurrent = [trace.state_dict[f"weight_hh_l{layer}"][rows] for layer in range(len(trace.hidden))]
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
        rho=np.array([engine.spectral_radius(w) for w in recurrent]),
        sigma=np.array([engine.sigma_max(w) for w in recurrent]),
    )
