"""Optimizers: one update kernel and one row each, in PyTorch's form and with its defaults.

θ: params (n,), g: gradient (n,) after clipping, s: state (slots, n), zero before the first step, t: step (1, 2, …).
Each update works in place on `params` and `state` and has the same arguments, so that the trainer has one call.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine._jit import jit
from engine.rows import Row

EPSILON, ADAGRAD_EPSILON, ADADELTA_EPSILON = 1e-8, 1e-10, 1e-6


@dataclass(frozen=True)
class Optimizer(Row):
    slots: int  # how many numbers it remembers for each parameter
    update: Callable[[np.ndarray, np.ndarray, np.ndarray, float, float, int], None]
    uses_momentum: bool = False
    decoupled: bool = False  # weight decay shrinks θ by the factor 1 − ηλ, and is not part of the gradient
    epsilon: float | None = None  # where gradients stay below it, steps are smaller than elsewhere

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
def nesterov(params, gradient, state, lr, momentum, step):
    """v ← μ v + g;  θ ← θ − η (g + μ v)."""
    eta, mu = params.dtype.type(lr), params.dtype.type(momentum)
    velocity = state[0]
    for i in range(params.size):
        velocity[i] = mu * velocity[i] + gradient[i]
        params[i] -= eta * (gradient[i] + mu * velocity[i])


@jit
def adagrad(params, gradient, state, lr, momentum, step):
    """s ← s + g²;  θ ← θ − η g/(√s + ε),  ε = 1e-10."""
    eta, epsilon = params.dtype.type(lr), params.dtype.type(ADAGRAD_EPSILON)
    total = state[0]
    for i in range(params.size):
        total[i] += gradient[i] * gradient[i]
        params[i] -= eta * gradient[i] / (np.sqrt(total[i]) + epsilon)


@jit
def rmsprop(params, gradient, state, lr, momentum, step):
    """v ← α v + (1−α) g²;  θ ← θ − η g/(√v + ε),  α = 0.99, ε = 1e-8."""
    eta, alpha, beta = params.dtype.type(lr), params.dtype.type(0.99), params.dtype.type(0.01)
    epsilon = params.dtype.type(EPSILON)
    square = state[0]
    for i in range(params.size):
        square[i] = alpha * square[i] + beta * gradient[i] * gradient[i]
        params[i] -= eta * gradient[i] / (np.sqrt(square[i]) + epsilon)


@jit
def adadelta(params, gradient, state, lr, momentum, step):
    """v ← ρ v + (1−ρ) g²;  Δ = g √(u + ε)/√(v + ε);  u ← ρ u + (1−ρ) Δ²;  θ ← θ − η Δ,  ρ = 0.9, ε = 1e-6."""
    eta, rho, rest = params.dtype.type(lr), params.dtype.type(0.9), params.dtype.type(1 - 0.9)
    epsilon = params.dtype.type(ADADELTA_EPSILON)
    square, moved = state[0], state[1]
    for i in range(params.size):
        square[i] = rho * square[i] + rest * gradient[i] * gradient[i]
        delta = gradient[i] * np.sqrt((moved[i] + epsilon) / (square[i] + epsilon))  # one root: 1/√∞ may become NaN
        moved[i] = rho * moved[i] + rest * delta * delta
        params[i] -= eta * delta


@jit
def dynamic(params, gradient, state, lr, momentum, step):
    """v ← β v + (1−β) g²;  θ ← θ − η g/(√v + ε),  β = 0.9, ε = 1e-8."""
    eta, beta, rest = params.dtype.type(lr), params.dtype.type(0.9), params.dtype.type(1 - 0.9)
    epsilon = params.dtype.type(EPSILON)
    square = state[0]
    for i in range(params.size):
        square[i] = beta * square[i] + rest * gradient[i] * gradient[i]
        params[i] -= eta * gradient[i] / (np.sqrt(square[i]) + epsilon)


@jit
def adam_uncorrected(params, gradient, state, lr, momentum, step):
    """m ← β₁ m + (1−β₁) g;  v ← β₂ v + (1−β₂) g²;  θ ← θ − η m/(√v + ε)."""
    beta1, beta2 = params.dtype.type(0.9), params.dtype.type(0.999)
    rest1, rest2 = params.dtype.type(1 - 0.9), params.dtype.type(1 - 0.999)
    eta, epsilon = params.dtype.type(lr), params.dtype.type(EPSILON)
    mean, square = state[0], state[1]
    for i in range(params.size):
        mean[i] = beta1 * mean[i] + rest1 * gradient[i]
        square[i] = beta2 * square[i] + rest2 * gradient[i] * gradient[i]
        params[i] -= eta * mean[i] / (np.sqrt(square[i]) + epsilon)


@jit
def adam(params, gradient, state, lr, momentum, step):
    """m ← β₁ m + (1−β₁) g;  v ← β₂ v + (1−β₂) g²;  θ ← θ − η m̂/(√v̂ + ε),  m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)."""
    beta1, beta2 = params.dtype.type(0.9), params.dtype.type(0.999)
    rest1, rest2 = params.dtype.type(1 - 0.9), params.dtype.type(1 - 0.999)
    rate = params.dtype.type(lr / (1 - 0.9**step))
    scale = params.dtype.type(1 / np.sqrt(1 - 0.999**step))
    epsilon = params.dtype.type(EPSILON)
    mean, square = state[0], state[1]
    for i in range(params.size):
        mean[i] = beta1 * mean[i] + rest1 * gradient[i]
        square[i] = beta2 * square[i] + rest2 * gradient[i] * gradient[i]
        params[i] -= rate * mean[i] / (np.sqrt(square[i]) * scale + epsilon)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(
        "SGD",
        "A step of lr times the gradient: a small gradient makes a small step, a large one a large step.",
        "Robbins & Monro 1951; torch.optim.SGD",
        0,
        sgd,
    ),
    "momentum": Optimizer(
        "momentum",
        "Gradients add up to a velocity that fades by the momentum at each step: small ones that agree add up, "
        "large ones that change sign cancel.",
        "Polyak 1964; torch.optim.SGD(momentum=…)",
        1,
        heavy_ball,
        uses_momentum=True,
    ),
    "nesterov": Optimizer(
        "Nesterov",
        "Momentum that looks one step ahead: the newest gradient counts more, so a large one that turns round brakes "
        "the velocity sooner.",
        "Nesterov 1983; Sutskever et al. 2013; torch.optim.SGD(nesterov=True)",
        1,
        nesterov,
        uses_momentum=True,
    ),
    "adagrad": Optimizer(
        "Adagrad",
        "Each component is divided by the size of all its gradients so far: seldom or small ones still move, and "
        "every large one shortens all later steps.",
        "Duchi, Hazan & Singer 2011; torch.optim.Adagrad",
        1,
        adagrad,
        epsilon=ADAGRAD_EPSILON,
    ),
    "rmsprop": Optimizer(
        "RMSprop",
        "Each component is divided by the recent size of its gradient: small and large ones make the same step.",
        "Tieleman & Hinton 2012; torch.optim.RMSprop",
        1,
        rmsprop,
        epsilon=EPSILON,
    ),
    "adadelta": Optimizer(
        "Adadelta",
        "Each component is divided by the recent size of its gradient and makes steps as long as its last ones: they "
        "begin tiny for small and large ones alike and grow; meant for lr 1.",
        "Zeiler 2012, algorithm 1; torch.optim.Adadelta",
        2,
        adadelta,
        epsilon=ADADELTA_EPSILON**0.5,
    ),
    "dynamic": Optimizer(
        "dynamic rate",
        "RMSprop with a shorter memory, 10 steps: a small gradient soon makes full steps, a sudden large one at most "
        "3 of them.",
        "RMSprop's form with β = 0.9",
        1,
        dynamic,
        epsilon=EPSILON,
    ),
    "adam": Optimizer(
        "Adam",
        "Momentum over the recent size of each component, bias-corrected: even a tiny gradient makes a full step.",
        "Kingma & Ba 2015, algorithm 1; torch.optim.Adam",
        2,
        adam,
        epsilon=EPSILON,
    ),
    "adam_uncorrected": Optimizer(
        "Adam, uncorrected",
        "Adam without its bias correction: small and large gradients alike make first steps of 3 to 7 times lr.",
        "Kingma & Ba 2015, without the corrections of §3",
        2,
        adam_uncorrected,
        epsilon=EPSILON,
    ),
    "adamw": Optimizer(
        "AdamW",
        "Adam whose weight decay shrinks the weights themselves: the size of a gradient does not change how fast.",
        "Loshchilov & Hutter 2019, algorithm 2; torch.optim.AdamW",
        2,
        adam,
        decoupled=True,
        epsilon=EPSILON,
    ),
}
