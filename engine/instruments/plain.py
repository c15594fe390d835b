"""A layer step by step in NumPy: the very equations of engine/cells, in any floating type, with nothing rescaled."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from engine.activations import ACTIVATIONS
from engine.cells import KINDS
from engine.instruments.jacobians import NUMPY

Array = np.ndarray


class Plain:
    """One layer of a state dict, and what has been computed of it.

    `states` fills forward: (h,) or (h, c), each (B, H), from the initial one on. Going back `from_above` fills with
    ∂L/∂(this layer's input) (B, I), from the last step on, and `grads` with those of the four tensors.
    """

    def __init__(self, kind: str, nonlinearity: str, weights: Mapping[str, Array], layer: int) -> None:
        self.row, activation = KINDS[kind], ACTIVATIONS[nonlinearity]
        self.w = {name: weights[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        self.units = self.w["weight_hh"].shape[1]
        self.m = SimpleNamespace(
            **vars(NUMPY), phi=lambda x: activation.value(NUMPY, x), slope=lambda y: activation.slope(NUMPY, y)
        )
        self.states: list[tuple[Array, ...]] = []
        self.grads: dict[str, Array] = {}
        self.from_above: list[Array] = []
        self._saved: list[Any] = []
        self._factors: list[list[tuple[Array, Array]]] = []  # of each step, from the last on: see `part`

    def forward(self, x: Array) -> None:
        """z = W_ih x + b_ih + W_hh h + b_hh, and the cell's step."""
        row, w, h, n = self.row, self.w, self.states[-1][0], self.row.blocks
        of_x = np.split(x @ w["weight_ih"].T + w["bias_ih"], n, axis=1)
        of_h = np.split(h @ w["weight_hh"].T + w["bias_hh"], n, axis=1)
        z = [a + b for a, b in zip(of_x, of_h, strict=True)]
        times = h  # what the last block of W_hh multiplies
        if row.apart:
            z[-1:] = [of_h[-1], of_x[-1]]
        if row.gated is not None:
            times = row.gated(self.m, z, self.states[-1])
            z[-1] = of_x[-1] + times @ w["weight_hh"][-self.units :].T + w["bias_hh"][-self.units :]
        new, saved = row.step(self.m, z, self.states[-1])
        self.states.append(new)
        self._saved.append((saved, times))

    def back(self, k: int, x: Array, gradient: tuple[Array, ...]) -> tuple[Array, ...]:
        """From ∂L/∂(state after step k) to that before it (k = 0 … T−1); adds to grads and from_above."""
        row, w, old, units = self.row, self.w, self.states[k], self.units
        saved, times = self._saved[k]
        dz, direct = row.pullback(self.m, saved, old, self.states[k + 1], gradient)
        before = list(direct)
        if row.gated is not None:
            assert row.gated_pullback is not None
            first, more = row.gated_pullback(self.m, saved, old, dz[-1] @ w["weight_hh"][-units:])
            dz = (first, *dz[1:])
            before[0] = before[0] + more
        of_h, of_x = (np.hstack(dz[: row.blocks]), np.hstack((*dz[: row.blocks - 1], dz[-1])))
        through = row.blocks * units - (units if row.gated is not None else 0)  # rows of W_hh that multiply h itself
        dh = of_h[:, :through] @ w["weight_hh"][:through]
        before[0] = dh if before[0] is None else before[0] + dh
        last = [(of_h[:, through:], times)] if row.gated is not None else []
        self._factors.append([(of_h[:, :through], old[0]), *last])
        self._add("weight_ih", of_x.T @ x)
        self._add("weight_hh", self.part(k))
        self._add("bias_ih", of_x.sum(axis=0))
        self._add("bias_hh", of_h.sum(axis=0))
        self.from_above.append(of_x @ w["weight_ih"])
        self._saved[k] = None
        return tuple(before)

    def part(self, k: int) -> Array:
        """Step k's part of the gradient of W_hh, (k·H, H): Σ over the batch of dz hᵀ."""
        with np.errstate(all="ignore"):
            return np.vstack([dz.T @ h for dz, h in self._factors[len(self._saved) - 1 - k]])

    def _add(self, name: str, value: Array) -> None:
        self.grads[name] = self.grads[name] + value if name in self.grads else value


def steps_forward(cell: Plain, x: Array) -> Iterator[int]:
    """All steps of x (T, B, I) from a state of zeros; yields the 1-based timestep of each."""
    zero = np.zeros((x.shape[1], cell.units), x.dtype)
    cell.states.append((zero,) * cell.row.states)
    for k, x_t in enumerate(x):
        with np.errstate(all="ignore"):
            cell.forward(x_t)
        yield k + 1


def steps_back(cell: Plain, x: Array, arriving: Array, cut: int) -> Iterator[tuple[int, Array]]:
    """All steps back; arriving (T, B, H): what comes from above. Yields k = T−1 … 0 and δ = ∂L/∂h after step k."""
    later = tuple(np.zeros_like(arriving[0]) for _ in range(cell.row.states))
    for k in reversed(range(len(arriving))):
        with np.errstate(all="ignore"):
            delta = arriving[k] + later[0]
            later = cell.back(k, x[k], (delta, *later[1:]))
        if cut and k % cut == 0:
            later = tuple(np.zeros_like(a) for a in later)
        yield k, delta
