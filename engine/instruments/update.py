"""What does the optimizer make of the gradient? Each weight's gradient beside the step that it really makes.

Adam divides a gradient by its own recent size: a step is about the learning rate η whatever |g| is, so that a vanished
gradient is not seen in the steps, until |g| is near ε: Δθ = η g/(|g| + ε) at the first step (Kingma & Ba 2015, alg. 1).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import updating
from engine.experiment import Experiment, check_experiment
from engine.instruments.blocks import Block, blocks, flat, norms, starts
from engine.optimizers import OPTIMIZERS
from engine.parameters import as_array, frozen
from engine.trace import Trace, check_trace


@dataclass(frozen=True, eq=False)
class Update:
    """One update of all n weights, in the order of a state dict; `blocks` says which is which."""

    blocks: tuple[Block, ...]
    gradient: np.ndarray  # (n,): g as the optimizer gets it, after clipping, and with L2 where that is part of it
    change: np.ndarray  # (n,): Δθ as it is stored: what is below the last digit of θ is 0
    state: np.ndarray  # (slots, n): what the optimizer remembers after it
    weights: np.ndarray  # (n,): θ before it
    lr: float
    epsilon: float | None  # of the optimizer, None where it has none
    gradient_norms: np.ndarray  # (blocks,): ‖g‖₂
    change_norms: np.ndarray  # (blocks,): ‖Δθ‖₂
    weight_norms: np.ndarray  # (blocks,): ‖θ‖₂

    @property
    def relative(self) -> np.ndarray:
        """(blocks,): ‖Δθ‖/‖θ‖; infinite where the weights are 0."""
        with np.errstate(all="ignore"):
            return self.change_norms / self.weight_norms


def update(e: Experiment, t: Trace, optimizer_state: Any = None, step: int = 0, lr: float | None = None) -> Update:
    """The update that training makes of the pass `t` at training step `step` (0, 1, …).

    optimizer_state: (slots, n) as Trainer.optimizer_state has it before the update; None: zero, as before the first.
    lr: the learning rate; None: that of the experiment and its schedule. Raises ValueError for a state of another
    shape, and for a step or a learning rate that is none.

    >>> import engine
    >>> trainer = engine.Trainer(engine.Experiment(optimizer="adam", lr=0.01))
    >>> trainer.advance(20)
    >>> u = engine.update(trainer.experiment, trainer.trace(), trainer.optimizer_state, trainer.step)
    >>> recurrent, *others = zip(u.blocks, u.gradient_norms, u.change_norms)    # every block by its name
    >>> float(np.median(abs(u.change))) < 2 * u.lr                            # however small its gradient is
    True
    """
    check_experiment(e)
    check_trace(t, e)
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 0:
        raise ValueError(f"step: {step!r}; allowed: whole numbers, 0 or more")
    if lr is not None and (isinstance(lr, bool) or not isinstance(lr, int | float | np.number) or not 0 <= lr < np.inf):
        raise ValueError(f"lr: {lr!r}; allowed: a number, 0 or more")
    gradient, before, row = flat(t.grads), flat(t.state_dict), OPTIMIZERS[e.optimizer]
    state = row.init(before)
    if optimizer_state is not None:
        given = as_array("optimizer_state", optimizer_state)
        if given.shape != state.shape or given.dtype.kind not in "fiu":
            raise ValueError(
                f"optimizer_state: shape {given.shape}, {given.dtype}; allowed: {state.shape}, real numbers"
            )
        state[...] = given
    eta, weights = updating.learning_rate(e, step) if lr is None else float(lr), before.copy()
    updating.clip(e, gradient, starts(t.grads), t.grad_norm)
    updating.decay(e, weights, gradient, eta)
    updating.step(e, weights, gradient, state, eta, step + 1)
    with np.errstate(all="ignore"):
        change = weights - before
    of = blocks(t.kind, t.grads)
    return Update(
        of, frozen(gradient), frozen(change), frozen(state), frozen(before), eta, row.epsilon,
        norms(of, gradient), norms(of, change), norms(of, before),
    )  # fmt: skip
