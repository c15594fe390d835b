"""What a cell is: the row of the table, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.rows import Row


@dataclass(frozen=True)
class Cell(Row):
    """One recurrent cell, as its pointwise mathematics.

    With z = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh, cut into one block a gate:
    step(m, z, state) -> (new state, saved): state is (h,) or (h, c); saved is what the pullback needs.
    pullback(m, saved, old state, new state, gradient of the new state) -> (dz, gradient of the old state as far as it
    does not go through z; None for none).
    `m` has tanh, sigmoid, phi (the experiment's activation) and slope (its derivative from its value).

    Where the input stands `apart`, the last gate's block of z is W_hh h + b_hh alone, and one more block follows, its
    W_ih x + b_ih. Where `gated` is given, the last block of W_hh multiplies a instead of h:
    gated(m, z, state) -> a, before the last block of z is whole; pullback has None as the first block of dz;
    gated_pullback(m, saved, old state, da) -> (the first block of dz, what a adds to the gradient of the old h).
    """

    gates: tuple[str, ...]  # the blocks of the weights, in PyTorch's order; the first of `saved`
    saved: tuple[str, ...]  # what step saves, in order
    candidate: int  # which block of W_hh proposes the new state: its ρ and σ_max are what the plain RNN's are
    forget: int | None  # which block forget_bias is for
    keep: int | None  # which block is the gate whose opening keeps the state, and
    write: int | None  # which one opens to the new: what an initialiser of gate biases is for
    states: int  # 1: (h,)   2: (h, c)
    carries_h: bool  # h' depends on h directly too, not only through z
    weights: type  # the NamedTuple by whose class the kernels choose this cell
    step: Callable[..., Any]
    pullback: Callable[..., Any]
    apart: bool = False
    gated: Callable[..., Any] | None = None
    gated_pullback: Callable[..., Any] | None = None

    @property
    def blocks(self) -> int:
        """Blocks of H rows in weight_ih and weight_hh."""
        return max(1, len(self.gates))

    @property
    def joined(self) -> int:
        """Blocks of z, the first ones, that W_hh h is part of."""
        return self.blocks - (self.gated is not None)

    @property
    def sums(self) -> int:
        """Blocks of H numbers in z."""
        return self.blocks + self.apart
