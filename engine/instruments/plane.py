"""A plane through weight space: its two directions, and where other weights lie against it.

θ(x, y) = θ + x u + y v, with θ all weights in one vector.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.experiment import Experiment
from engine.parameters import Parameters, load
from engine.weights import blank

ON_A_LINE = 1e-9  # of the length between two points: a third one nearer to their line makes no plane with them


class Plane(NamedTuple):
    """origin (N,), u (N,), v (N,), which need be neither of length 1 nor orthogonal."""

    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray

    @np.errstate(all="ignore")
    def at(self, x: float, y: float) -> np.ndarray:
        """The weights at a place, (N,)."""
        return self.origin + x * self.u + y * self.v

    @property
    @np.errstate(all="ignore")
    def gram(self) -> np.ndarray:
        """(2, 2): u·u, u·v; v·u, v·v, which make lengths of coordinates."""
        both = np.stack([self.u, self.v])
        return both @ both.T

    @np.errstate(all="ignore")
    def project(self, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """The coordinates (2,) of the point of the plane next to `weights` (N,), and the distance from there to them.

        The normal equations: G (x, y) = (u·d, v·d), d = weights − origin.
        """
        (uu, uv), (_, vv) = self.gram
        d = weights - self.origin
        ud, vd = self.u @ d, self.v @ d
        det = uu * vv - uv * uv
        x, y = (vv * ud - uv * vd) / det, (uu * vd - uv * ud) / det
        return np.array([x, y]), float(np.linalg.norm(d - x * self.u - y * self.v))


def flat(e: Experiment, state_dict: Mapping[str, Any], like: Parameters | None = None) -> np.ndarray:
    """A state dict as one vector (N,) in float64. Raises ValueError where it is not one of such a network."""
    if like is None:
        parameters = blank(e)
    else:
        shapes = {name: view.shape for name, view in like.items()}
        parameters = Parameters(e.kind, shapes, like.flat.dtype)
    load(parameters, state_dict)
    return parameters.flat.astype(np.float64)


@np.errstate(all="ignore")
def random_plane(parameters: Parameters, seed: int) -> Plane:
    """Two random directions, filter-normalised (Li et al. 2018, §4): d_i ← d_i ‖θ_i‖/‖d_i‖ for every filter i.

    A filter is what one unit reads through one matrix: a row of weight_ih or weight_hh (so one for each gate of the
    unit), of the head, a symbol's row of the embedding. Biases stay as they are, as in the paper's own programs.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(2):
        parts = []
        for view in parameters.values():
            d = rng.standard_normal(view.shape)
            if view.ndim == 1:
                parts.append(np.zeros(view.size))
                continue
            own = np.linalg.norm(view.astype(np.float64), axis=1, keepdims=True)
            parts.append((d * (own / np.linalg.norm(d, axis=1, keepdims=True))).ravel())
        found.append(np.concatenate(parts))
    return Plane(parameters.flat.astype(np.float64), *found)


@np.errstate(all="ignore")
def plane_through(origin: np.ndarray, first: np.ndarray, others: Sequence[np.ndarray]) -> Plane:
    """Orthonormal directions: u from `first` to the last of `others`, v towards the others' farthest from that line.

    The first of `others` is taken where it is not on the line. Raises ValueError where all are.
    """
    along = others[-1] - first
    length = float(np.linalg.norm(along))
    if length == 0:
        raise ValueError("directions: the first and the last state are the same; allowed: three states not on a line")
    u = along / length
    best, farthest = np.zeros_like(u), 0.0
    for point in others[:-1]:
        d = point - first
        d = d - (u @ d) * u
        d = d - (u @ d) * u  # twice is enough for all digits
        distance = float(np.linalg.norm(d))
        if not distance <= max(farthest, ON_A_LINE * length):
            best, farthest = d, distance
            if point is others[0]:
                break
    if farthest == 0:
        raise ValueError("directions: all states lie on one line; allowed: three states that do not")
    return Plane(origin, u, best / farthest)
