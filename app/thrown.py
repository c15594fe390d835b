"""Has one update thrown the weights away? An update that is longer than all the weights leaves little of the network.

‖Δθ‖ > ‖θ‖, over all weights together. Ordinary training stays far below: of all presets' first 200 steps the largest
ratio is 0.1, and where a gradient explodes that nothing limits, it is 20 and more. No Streamlit in here.
"""

from bisect import bisect
from dataclasses import dataclass
from math import hypot

import numpy as np

import engine
from app.curves import Curves
from app.kept import Kept, Moment

GRADIENT, CHANGE, WEIGHTS = range(3)  # the rows of Moment.parts


@dataclass(frozen=True)
class Thrown:
    """The first update that was longer than the weights it changed."""

    step: int  # the update from this step to the next
    norm: float  # ‖g‖ there, before clipping
    ratio: float  # ‖Δθ‖ / ‖θ‖, more than 1; may be infinite


def thrown(e: engine.Experiment, curves: Curves, kept: Kept[Moment], since: int = 0) -> Thrown | None:
    """The first such update at the steps from `since` on that have been made; None: there is none.

    At the steps that are kept both lengths are known. At the others ‖Δθ‖ is, for plain SGD and the two with momentum,
    at least about η times the clipped gradient, and ‖θ‖ is that of the kept step before; the other optimizers' updates
    have a length of their own, whatever the gradient, and the kept steps are enough.
    """
    made = curves.reached
    first = max(since, kept.first.step)
    if first >= made:
        return None
    near = kept.moments[bisect(kept.moments, first, key=lambda moment: moment.step) - 1 :]
    at = [moment.step for moment in near]
    weights = np.array([_norm(moment.parts[WEIGHTS]) for moment in near])
    steps = np.arange(first, made)
    before = weights[np.searchsorted(at, steps, side="right") - 1]
    change = np.full(len(steps), np.nan)
    with np.errstate(all="ignore"):
        if follows_gradient(e):
            change[:] = curves.lr[first:made] * curves.clipped[first:made]
        for moment in near:
            if first <= moment.step < made:
                change[moment.step - first] = _norm(moment.parts[CHANGE])
        found = np.flatnonzero(change > before)
        if not found.size:
            return None
        k = int(found[0])
        return Thrown(first + k, float(curves.grad_norm[first + k]), float(change[k] / before[k]))


def reach(moment: Moment) -> float:
    """‖Δθ‖ / ‖θ‖ of the update that follows a moment."""
    with np.errstate(all="ignore"):
        return float(np.divide(_norm(moment.parts[CHANGE]), _norm(moment.parts[WEIGHTS])))


def follows_gradient(e: engine.Experiment) -> bool:
    """Is an update as long as the (clipped) gradient times a number? Others have a length of their own."""
    return engine.OPTIMIZERS[e.optimizer].epsilon is None


def _norm(parts: np.ndarray) -> float:
    return hypot(*parts.tolist())  # a few numbers: a kernel would let go of Python's lock, and wait for it
