"""Optimizers: one update kernel and one row each, in PyTorch's form and with its defaults.

θ: params (n,), g: gradient (n,) after clipping, s: state (slots, n), zero before the first step, t: step (1, 2, …).
Each update works in place on `params` and `state` and has the same arguments, so that the trainer has one call.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine._jit import jit
from engine.rows import Row


@dataclass(frozen=True)
class Optimizer(Row):
    slots: int  # how many numbers it remembers for each parameter
    update: Callable[[np.ndarray, np.ndarray, np.ndarray, float, float, int], None]
    uses_momentum: bool = False
    decoupled: bool = False  # weight decay shrinks θ by the factor 1 − ηλ, and is not part of the gradient

    def init(self, params: np.ndarray) -> np.ndarray:
        """The state before the first step: (slots, n), zero."""
        return np.zeros((self.slots, params.size), params.dtype)


@jit
def decay_weights(params, gradient, weight_decay):
    """g ← g + λθ, after clipping (torch.optim's weight_decay)."""
    decay = params.dtype.type(weight_decay)
    for i in range(params.size):
        gradient[i] += decay * params[i]


@jit
def shrink_weights(params, share):
    """θ ← θ − ηλ θ: decoupled weight decay (Loshchilov & Hutter 2019)."""
    factor = params.dtype.type(1 - share)
    for i in range(params.size):
        params[i] *= factor


@jit
def sgd(params, gradient, state, lr, momentum, step):
    """θ ← θ − η g."""
    eta = params.dtype.type(lr)
    for i in range(params.size):
        params[i] -= eta * gradient[i]


@jit
def heavy_ball(params, gradient, state, lr, momentum, step):
    """v ← μ v + g;  θ ← θ − η v."""
    eta, mu = params.dtype.type(lr), params.dtype.type(momentum)
    velocity = state[0]
    for i in range(params.size):
        velocity[i] = mu * velocity[i] + gradient[i]
        params[i] -= eta * velocity[i]


@jit
def rmsprop(params, gradient, state, lr, momentum, step):
    """v ← α v + (1−α) g²;  θ ← θ − η g/(√v + ε),  α = 0.99, ε = 1e-8."""
    eta, alpha, beta = params.dtype.type(lr), params.dtype.type(0.99), params.dtype.type(0.01)
    epsilon = params.dtype.type(1e-8)
    square = state[0]
    for i in range(params.size):
        square[i] = alpha * square[i] + beta * gradient[i] * gradient[i]
        params[i] -= eta * gradient[i] / (np.sqrt(square[i]) + epsilon)


@jit
def adam(params, gradient, state, lr, momentum, step):
    """m ← β₁ m + (1−β₁) g;  v ← β₂ v + (1−β₂) g²;  θ ← θ − η m̂/(√v̂ + ε),  m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)."""
    beta1, beta2 = params.dtype.type(0.9), params.dtype.type(0.999)
    rest1, rest2 = params.dtype.type(1 - 0.9), params.dtype.type(1 - 0.999)
    rate = params.dtype.type(lr / (1 - 0.9**step))
    scale = params.dtype.type(1 / np.sqrt(1 - 0.999**step))
    epsilon = params.dtype.type(1e-8)
    mean, square = state[0], state[1]
    for i in range(params.size):
        mean[i] = beta1 * mean[i] + rest1 * gradient[i]
        square[i] = beta2 * square[i] + rest2 * gradient[i] * gradient[i]
        params[i] -= rate * mean[i] / (np.sqrt(square[i]) * scale + epsilon)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer("SGD", "A step of size lr down the gradient.", "Robbins & Monro 1951; torch.optim.SGD", 0, sgd),
    "momentum": Optimizer(
        "momentum",
        "Gradients add up to a velocity that fades by the momentum at each step.",
        "Polyak 1964; torch.optim.SGD(momentum=…)",
        1,
        heavy_ball,
        uses_momentum=True,
    ),
    "rmsprop": Optimizer(
        "RMSprop",
        "Each component is divided by the recent size of its gradient.",
        "Tieleman & Hinton 2012; torch.optim.RMSprop",
        1,
        rmsprop,
    ),
    "adam": Optimizer(
        "Adam",
        "Momentum over the recent size of each component, bias-corrected: even a tiny gradient makes a full step.",
        "Kingma & Ba 2015, algorithm 1; torch.optim.Adam",
        2,
        adam,
    ),
}
