"""What does the loss look like around here? It, on a plane through the weights (Li et al. 2018, eq. 1).

L(x, y) = L(θ + x u + y v), forward passes on one and the same batch. A plane is a slice through as many dimensions as
there are weights: what lies beside it is not seen, so every state of a path says how far from it it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from engine.experiment import Experiment
from engine.instruments.pieces import Pieces, finish
from engine.instruments.plane import Plane, flat, plane_through, random_plane
from engine.network import Network
from engine.parameters import frozen
from engine.probe import network_of

DIRECTIONS = ("random", "path")
MARGIN = 1.3  # the plane of a path reaches so much farther than its states
SLIM = 0.25  # … and across at least so much as along


@dataclass(frozen=True, eq=False)
class Landscape:
    """n × n losses, and a path of P states. A coordinate 1 is the length `lengths` in weight space, ‖Δθ‖₂.

    Losses are NaN or infinite where they are. x = y = 0 are the weights that are looked at.
    """

    x: np.ndarray  # (n,) along the first direction
    y: np.ndarray  # (n,) along the second
    loss: np.ndarray  # (n, n): loss[j, i] at x[i], y[j]
    here: float  # the loss at the weights themselves
    lengths: np.ndarray  # (2,) of both directions: ‖u‖, ‖v‖
    path: np.ndarray  # (P, 2) where the states of the path come to lie on the plane: the points next to them
    off_plane: np.ndarray  # (P,) ‖Δθ‖₂ from there to the states, and
    distance: np.ndarray  # (P,) from the weights that are looked at to the states
    path_loss: np.ndarray  # (P,) at the states themselves, not at these points
    steps_in_plane: np.ndarray  # (P−1,) ‖Δθ‖₂ between two points on the plane, and
    steps: np.ndarray  # (P−1,) between the states themselves
    directions: str  # "random", "path" or "points"

    @property
    def share_in_plane(self) -> float:
        """How much of the path's length is seen: Σ steps_in_plane / Σ steps; NaN for a path without length."""
        whole = float(self.steps.sum())
        return float(self.steps_in_plane.sum()) / whole if whole else float("nan")


def landscape(
    e: Experiment, state_dict: Mapping[str, Any] | None = None, inputs: Any = None, targets: Any = None, *,
    directions: str | Sequence[Mapping[str, Any]] = "random", path: Sequence[Mapping[str, Any]] = (), seed: int = 0,
    extent: float = 1.0, size: int = 25,
) -> Landscape:  # fmt: skip
    """The loss around the initial weights on the first batch, or around your weights or on your data (see probe).

    directions: "random": two of them from `seed`, filter-normalised (see plane.random_plane), −extent … extent along
    each: at 1 every filter has been moved by its own length. "path": the plane through the first and the last state of
    `path` and these weights (where they lie on one line, the state farthest from it); extent 1 shows all of the path.
    Two state dicts: the plane through them and these weights. `path`: states to project. size: of the grid, n × n.
    Raises ValueError as probe() does, and where an option is out of range or three states make no plane.

    >>> import engine
    >>> e = engine.Experiment(hidden_size=8, seq_length=10)
    >>> found = engine.landscape(e, extent=0.5, size=11)
    >>> found.loss.shape, bool(found.loss[5, 5] == engine.probe(e).loss)      # the middle: these weights
    ((11, 11), True)
    >>> trained = engine.Trainer(e); states = []
    >>> for _ in range(10): states.append(trained.state_dict); trained.advance(10)
    >>> found = engine.landscape(e, trained.state_dict, directions="path", path=states, size=11)
    >>> print(f"{found.share_in_plane:.0%} of the way, farthest off by {found.off_plane.max():.2f}")
    99% of the way, farthest off by 0.02
    """
    return finish(
        in_pieces(e, state_dict, inputs, targets, directions=directions, path=path, seed=seed, extent=extent, size=size)
    )


def in_pieces(
    e: Experiment, state_dict: Mapping[str, Any] | None = None, inputs: Any = None, targets: Any = None, *,
    directions: str | Sequence[Mapping[str, Any]] = "random", path: Sequence[Mapping[str, Any]] = (), seed: int = 0,
    extent: float = 1.0, size: int = 25,
) -> Pieces[Landscape]:  # fmt: skip
    """The same, one forward pass after another."""
    _check(directions, seed, extent, size)
    network, x, targets = network_of(e, state_dict, inputs, targets)

    def loss(weights: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            network.parameters.flat[:] = weights
            network.forward(x)
            return network.loss(e.loss_name, targets)[0]

    states = [flat(e, state, network.parameters) for state in path]
    plane = _plane(e, network, directions, states, seed)
    found = [plane.project(state) for state in states]
    places = np.array([place for place, _ in found]).reshape(-1, 2)
    lengths = np.sqrt(np.diagonal(plane.gram))
    axes = _axes(places if directions == "path" else np.zeros((0, 2)), directions, plane, extent, size)
    total, losses, along = size * size + len(states) + 1, np.zeros((size, size)), []
    here = loss(plane.origin)
    for n, state in enumerate(states):
        along.append(loss(state))
        yield (n + 1) / total
    for n, (j, i) in enumerate(_inside_out(size)):
        losses[j, i] = loss(plane.at(axes[0][i], axes[1][j]))
        yield (len(states) + 1 + n) / total
    moved = np.diff(places, axis=0)
    return Landscape(
        frozen(axes[0]), frozen(axes[1]), frozen(losses), here, frozen(lengths), frozen(places),
        frozen(np.array([off for _, off in found])), frozen(np.array([_length(s - plane.origin) for s in states])),
        frozen(np.array(along)),
        frozen(np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", moved, plane.gram, moved), 0.0))),
        frozen(np.array([_length(b - a) for a, b in pairwise(states)])),
        directions if isinstance(directions, str) else "points",
    )  # fmt: skip


def _length(x: np.ndarray) -> float:
    return float(np.linalg.norm(x))


def _check(directions: Any, seed: Any, extent: Any, size: Any) -> None:
    pair = isinstance(directions, Sequence) and not isinstance(directions, str) and len(directions) == 2
    if not pair and directions not in DIRECTIONS:
        raise ValueError(f"directions: {directions!r}; allowed: {', '.join(DIRECTIONS)}, two state dicts")
    for name, value, low, high in (("seed", seed, 0, 2**63 - 1), ("size", size, 3, 501)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise ValueError(f"{name}: {value!r}; allowed: whole numbers from {low} to {high}")
    if isinstance(extent, bool) or not isinstance(extent, (int, float, np.number)) or not 0 < extent <= 1e6:
        raise ValueError(f"extent: {extent!r}; allowed: numbers above 0, up to 1000000")


def _plane(e: Experiment, network: Network, directions: Any, states: list[np.ndarray], seed: int) -> Plane:
    here = network.parameters.flat.astype(np.float64)
    if directions == "random":
        return random_plane(network.parameters, seed)
    if directions == "path":
        if len(states) < 2:
            raise ValueError(f"path: {len(states)} states; allowed for directions='path': 2 or more")
        return plane_through(here, states[0], [here, *states[1:]])
    first, last = (flat(e, state, network.parameters) for state in directions)
    return plane_through(here, first, [here, last])


def _axes(places: np.ndarray, directions: Any, plane: Plane, extent: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """−extent … extent; or about all states, those that make the plane among them."""
    steps = np.linspace(-1.0, 1.0, size)
    if size % 2:
        steps[size // 2] = 0.0
    if directions == "random":
        return extent * steps, extent * steps
    middle, half, places = np.zeros(2), np.ones(2), places[np.isfinite(places).all(axis=1)]
    if len(places):
        low, high = np.minimum(places.min(axis=0), 0.0), np.maximum(places.max(axis=0), 0.0)
        middle, half = (low + high) / 2, (high - low) / 2
    reach = extent * MARGIN * np.maximum(half, SLIM * half.max())
    middle = min(1.0, extent) * middle  # nearer than all of the path is nearer to these weights
    return middle[0] + reach[0] * steps, middle[1] + reach[1] * steps


def _inside_out(size: int) -> Iterator[tuple[int, int]]:
    """The cells of the grid, those in the middle first."""
    rows, columns = np.indices((size, size)).reshape(2, -1)
    far = np.maximum(np.abs(2 * rows - size + 1), np.abs(2 * columns - size + 1))
    for k in np.argsort(far, kind="stable"):
        yield int(rows[k]), int(columns[k])
