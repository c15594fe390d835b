"""What a cell is: the row of the table, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.rows import Row


@dataclass(frozen=True)
class Cell(Row):
    """One recurrent cell, as its pointwise mathematics.

    With zx = W_ih x_t + b_ih and zh = W_hh h_{t-1} + b_hh, both cut into one block a gate:
    step(m, zx, zh, state) -> (new state, saved): state is (h,) or (h, c); saved is what the pullback needs.
    pullback(m, saved, old state, new state, gradient of the new state) -> (dzx, dzh, gradient of the old state as far
    as it does not go through zh; None for none).
    `m` has tanh, sigmoid, phi (the experiment's activation) and slope (its derivative from its value).

    Where `gated` is given, the last block of W_hh multiplies a instead of h, and a is the last of `saved`:
    gated(m, zx, zh, state) -> a, before the last block of zh is there; pullback has None as the first block of dz;
    gated_pullback(m, saved, old state, da) -> (the first block of dz, what a adds to the gradient of the old h).
    """

    gates: tuple[str, ...]  # the blocks of the weights, in PyTorch's order; the first of `saved`
    saved: tuple[str, ...]  # what step saves, in order
    candidate: int  # which block of W_hh proposes the new state: its ρ and σ_max are what the plain RNN's are
    forget: int | None  # which block forget_bias is for
    keep: int | None  # which block is the gate whose opening keeps the state, and
    write: int | None  # which one opens to the new: what an initialiser of gate biases is for
    states: int  # 1: (h,)   2: (h, c)
    one_dz: bool  # dzx and dzh are the same
    carries_h: bool  # h' depends on h directly too, not only through zh
    weights: type  # the NamedTuple by whose class the kernels choose this cell
    step: Callable[..., Any]
    pullback: Callable[..., Any]
    gated: Callable[..., Any] | None = None
    gated_pullback: Callable[..., Any] | None = None

    @property
    def blocks(self) -> int:
        """Blocks of H rows in weight_ih and weight_hh."""
        return max(1, len(self.gates))
