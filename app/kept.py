"""The training steps that the scrubber can bring back, in bounded memory."""

from dataclasses import dataclass

import numpy as np

import engine


@dataclass(frozen=True)
class Moment:
    """What is kept of one training step; arrays are read-only."""

    step: int
    log10_norms: np.ndarray  # (L, T) log10 ||dL/dh_t||
    hidden: np.ndarray  # (L, T, H) float32, the hidden states of the shown sequence
    rho: np.ndarray  # (L,) spectral radius of W_hh of each layer
    sigma: np.ndarray  # (L,) its largest singular value

    @property
    def size(self) -> int:
        return self.log10_norms.nbytes + self.hidden.nbytes + 500


class Kept:
    """Moments in the order of their steps.

    When they outgrow `budget` bytes every second one goes, so that what stays is spread evenly over the run; the
    first (the start, which is drawn as a ghost) and the newest always stay.
    """

    def __init__(self, budget: int = 48_000_000) -> None:
        self._budget = budget
        self._moments: list[Moment] = []
        self._stride = 1  # steps between neighbours, grows with every thinning

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, moment: Moment) -> None:
        """Keep the newest moment; the one before it goes when it lies too close to its neighbour."""
        kept = self._moments
        if kept and kept[-1].step == moment.step:
            kept.pop()
        if len(kept) > 2 and kept[-1].step - kept[-2].step < self._stride:
            kept.pop()
        kept.append(moment)
        if len(kept) > 2 and self.size > self._budget:
            kept[1:-1] = kept[2:-1:2]
            self._stride = (kept[-1].step - kept[0].step) // (len(kept) - 1)

    @property
    def size(self) -> int:
        """Bytes; all moments of a run have one size."""
        return len(self._moments) * self._moments[0].size if self._moments else 0

    @property
    def first(self) -> Moment:
        return self._moments[0]

    @property
    def newest(self) -> Moment:
        return self._moments[-1]

    def nearest(self, step: int) -> Moment:
        """The kept moment nearest to a step."""
        return min(self._moments, key=lambda moment: abs(moment.step - step))


def moment_of(step: int, trace: engine.Trace) -> Moment:
    """What is kept of the pass at a training step."""
    layers = len(trace.hidden)
    recurrent = [_recurrent(trace.state_dict[f"weight_hh_l{layer}"]) for layer in range(layers)]
    with np.errstate(over="ignore", invalid="ignore"):
        hidden = trace.hidden[:, 1:, 0].astype(np.float32)
    hidden.flags.writeable = False
    return Moment(
        step=step,
        log10_norms=trace.log10_grad_norms,
        hidden=hidden,
        rho=np.array([engine.spectral_radius(w) for w in recurrent]),
        sigma=np.array([engine.sigma_max(w) for w in recurrent]),
    )


def _recurrent(weight_hh: np.ndarray) -> np.ndarray:
    """W_hh of the plain RNN; of the gated cells the candidate's block, which is the third in both."""
    units = weight_hh.shape[1]
    return weight_hh if len(weight_hh) == units else weight_hh[2 * units : 3 * units]
