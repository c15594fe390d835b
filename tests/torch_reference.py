"""The same pass and the same training in PyTorch: modules that load our state dict, autograd for every gradient."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import engine

torch.set_num_threads(1)  # these networks are too small to share: threads would spend their time waiting for each other

ACTIVATIONS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "softsign": F.softsign,
    "hardtanh": F.hardtanh,
}


def rnn(zx, zh, h, c, phi):
    return phi(zx + zh(h)), c, {}


def lstm(zx, zh, h, c, phi):
    zi, zf, zg, zo = (zx + zh(h)).chunk(4, 1)
    i, f, g, o = zi.sigmoid(), zf.sigmoid(), phi(zg), zo.sigmoid()
    c = f * c + i * g
    return o * c.tanh(), c, {"i": i, "f": f, "g": g, "o": o}


def gru(zx, zh, h, c, phi):
    (xr, xz, xn), (hr, hz, hn) = zx.chunk(3, 1), zh(h).chunk(3, 1)
    r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
    n = phi(xn + r * hn)
    return (1 - z) * n + z * h, c, {"r": r, "z": z, "n": n}


def gru_before(zx, zh, h, c, phi):
    (xr, xz, xn), (hr, hz, _) = zx.chunk(3, 1), zh(h).chunk(3, 1)
    r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
    n = phi(xn + zh(r * h).chunk(3, 1)[2])
    return (1 - z) * n + z * h, c, {"r": r, "z": z, "n": n}


# name: PyTorch's module (None where it has none), and
# (W_ih x + b_ih, v -> W_hh v + b_hh, h, c, φ) -> h', c', gates by name
CELLS: dict[str, tuple[type[nn.Module] | None, Callable]] = {
    "rnn": (nn.RNN, rnn),
    "lstm": (nn.LSTM, lstm),
    "gru": (nn.GRU, gru),
    "gru_before": (None, gru_before),
}


class Plain(nn.Module):
    """The parameters of a recurrent module, for a cell that PyTorch does not have."""

    def __init__(self, state_dict: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        for name, value in state_dict.items():
            if not name.startswith(("head.", "embedding.")):
                self.register_parameter(name, nn.Parameter(torch.tensor(np.array(value))))


class Model(nn.Module):
    """A recurrent module and a Linear head, loaded with strict=True: every name and every shape is PyTorch's.

    `unrolled` is a loop on its weights, because the modules know only tanh and relu, and because autograd keeps ∂L/∂h_t
    only where h_t is a tensor of its own.
    """

    def __init__(self, e: engine.Experiment, state_dict: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        module, self.step = CELLS[e.kind]
        inputs, outputs = state_dict["weight_ih_l0"].shape[1], len(state_dict["head.bias"])
        self.units, self.layers, dtype = e.hidden_size, e.num_layers, getattr(torch, e.dtype)
        self.recurrent = Plain(state_dict) if module is None else module(inputs, self.units, self.layers, dtype=dtype)
        self.head = nn.Linear(self.units, outputs, dtype=dtype)
        self.embedding = None
        tensors = {name: torch.tensor(np.array(value)) for name, value in state_dict.items()}
        head = {name.removeprefix("head."): tensors.pop(name) for name in list(tensors) if name.startswith("head.")}
        if "embedding.weight" in tensors:
            table = tensors.pop("embedding.weight")
            self.embedding = nn.Embedding(*table.shape, dtype=dtype)
            self.embedding.load_state_dict({"weight": table}, strict=True)
        self.recurrent.load_state_dict(tensors, strict=True)
        self.head.load_state_dict(head, strict=True)

    def named(self) -> dict[str, nn.Parameter]:
        """The parameters by the engine's names."""
        names = dict(self.recurrent.named_parameters())
        if self.embedding is not None:
            names = {"embedding.weight": self.embedding.weight} | names
        return names | {f"head.{name}": value for name, value in self.head.named_parameters()}

    def unrolled(self, x: torch.Tensor, activation: str, tbptt: int | None = None) -> "Unrolled":
        phi, weights = ACTIVATIONS[activation], dict(self.recurrent.named_parameters())
        if self.embedding is not None:
            x = self.embedding(x.argmax(2))
        zero = torch.zeros(x.shape[1], self.units, dtype=x.dtype)
        found, below = Unrolled([], [], []), list(x)
        for layer in range(self.layers):
            w_ih, w_hh, b_ih, b_hh = (
                weights[f"{n}_l{layer}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            hidden, memory, gates = [zero], [zero], []
            for t, x_t in enumerate(below):
                h, c = hidden[-1], memory[-1]
                if tbptt and t and t % tbptt == 0:
                    h, c = h.detach(), c.detach()
                h, c, opened = self.step(
                    F.linear(x_t, w_ih, b_ih), partial(F.linear, weight=w_hh, bias=b_hh), h, c, phi
                )
                h.retain_grad()
                hidden.append(h)
                memory.append(c)
                gates.append(opened)
            found.hidden.append(hidden)
            found.memory.append(memory)
            found.gates.append(gates)
            below = hidden[1:]
        return found


@dataclass
class Unrolled:
    """Lists over layers of lists over timesteps of (B, H) tensors; hidden and memory start with the initial state."""

    hidden: list[list[torch.Tensor]]
    memory: list[list[torch.Tensor]]
    gates: list[list[dict[str, torch.Tensor]]]


@dataclass
class Pass:
    """As engine.Trace, in NumPy."""

    loss: float
    hidden: np.ndarray
    cell: np.ndarray
    gates: dict[str, np.ndarray]
    grad_norms: np.ndarray
    grads: dict[str, np.ndarray]


def loss_of(name: str, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """outputs (..., O); targets the same shape, or classes (...)."""
    if name == "mse":
        return F.mse_loss(outputs, targets)
    return F.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1))


def run(
    e: engine.Experiment,
    state_dict: Mapping[str, np.ndarray],
    inputs: np.ndarray,
    targets: np.ndarray,
    every_step: bool | None = None,
) -> Pass:
    """One pass, ∂L/∂h_t by retain_grad."""
    every_step = engine.TASKS[e.task].every_step if every_step is None else every_step
    model = Model(e, state_dict)
    found = model.unrolled(torch.tensor(np.array(inputs)), e.nonlinearity, e.tbptt)
    read = torch.stack(found.hidden[-1][1:]) if every_step else found.hidden[-1][-1]
    loss = loss_of(e.loss_name, model.head(read), torch.tensor(np.array(targets)))
    loss.backward()
    zero = torch.zeros_like(found.hidden[0][0])
    deltas = [[zero if h.grad is None else h.grad for h in layer[1:]] for layer in found.hidden]
    names = found.gates[0][0]
    return Pass(
        loss=loss.item(),
        hidden=_stacked(found.hidden),
        cell=_stacked(found.memory),
        gates={n: _stacked([[gates[n] for gates in layer] for layer in found.gates]) for n in names},
        grad_norms=np.array([[d.norm(dim=1).mean().item() for d in layer] for layer in deltas]),
        grads={n: np.zeros(p.shape) if p.grad is None else p.grad.numpy() for n, p in model.named().items()},
    )


def _stacked(layers: list[list[torch.Tensor]]) -> np.ndarray:
    return np.array([[h.detach().numpy() for h in layer] for layer in layers])


class UncorrectedAdam(torch.optim.Optimizer):
    """m ← 0.9 m + 0.1 g;  v ← 0.999 v + 0.001 g²;  θ ← θ − lr·m/(√v + 1e-8). PyTorch has none of this form."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                g, kept = p.grad + group["weight_decay"] * p, self.state[p]
                kept["m"] = 0.9 * kept.get("m", 0) + (1 - 0.9) * g
                kept["v"] = 0.999 * kept.get("v", 0) + (1 - 0.999) * g**2
                p -= group["lr"] * kept["m"] / (kept["v"].sqrt() + 1e-8)


# name: (parameters, momentum, lr=…, weight_decay=…) -> optimizer
OPTIMIZERS: dict[str, Callable] = {
    "sgd": lambda p, momentum, **rest: torch.optim.SGD(p, **rest),
    "momentum": lambda p, momentum, **rest: torch.optim.SGD(p, momentum=momentum, **rest),
    "nesterov": lambda p, momentum, **rest: torch.optim.SGD(p, momentum=momentum, nesterov=True, **rest),
    "adagrad": lambda p, momentum, **rest: torch.optim.Adagrad(p, **rest),
    "rmsprop": lambda p, momentum, **rest: torch.optim.RMSprop(p, **rest),
    "adadelta": lambda p, momentum, **rest: torch.optim.Adadelta(p, **rest),
    "dynamic": lambda p, momentum, **rest: torch.optim.RMSprop(p, alpha=0.9, **rest),
    "adam": lambda p, momentum, **rest: torch.optim.Adam(p, **rest),
    "adam_uncorrected": lambda p, momentum, **rest: UncorrectedAdam(p, **rest),
    "adamw": lambda p, momentum, **rest: torch.optim.AdamW(p, **rest),
}


@torch.no_grad()
def clip_each_norm(parameters: list[nn.Parameter], threshold: float) -> None:
    """Keras' clipnorm: each tensor's gradient g · c/max(‖g‖, c)."""
    for p in parameters:
        p.grad *= threshold / p.grad.norm().clamp(min=threshold)


@torch.no_grad()
def clip_unit(parameters: list[nn.Parameter], threshold: float) -> None:
    """g/max(|g|, ε), each component by itself."""
    for p in parameters:
        p.grad /= p.grad.abs().clamp(min=threshold)


CLIPS: dict[str, Callable[[list[nn.Parameter], float], object]] = {
    "none": lambda parameters, threshold: None,
    "norm": nn.utils.clip_grad_norm_,
    "param_norm": clip_each_norm,
    "value": nn.utils.clip_grad_value_,
    "unit": clip_unit,
}

# name: (optimizer, N, f) -> scheduler. Cosine goes up again after N steps, which ours does not.
SCHEDULES: dict[str, Callable] = {
    "constant": lambda o, steps, factor: torch.optim.lr_scheduler.ConstantLR(o, 1.0),
    "exponential": lambda o, steps, factor: torch.optim.lr_scheduler.ExponentialLR(o, factor ** (1 / steps)),
    "linear": lambda o, steps, factor: torch.optim.lr_scheduler.LinearLR(o, 1.0, factor, steps),
    "cosine": lambda o, steps, factor: torch.optim.lr_scheduler.CosineAnnealingLR(
        o, steps, eta_min=factor * o.param_groups[0]["lr"]
    ),
    "step": lambda o, steps, factor: torch.optim.lr_scheduler.StepLR(o, steps, factor),
    "warm_up": lambda o, steps, factor: torch.optim.lr_scheduler.LinearLR(o, 1 / steps, 1.0, steps - 1),
}


@dataclass
class Training:
    loss: list[float]
    grad_norm: list[float]  # before clipping
    state_dict: dict[str, np.ndarray]  # after the last update


def train(
    e: engine.Experiment, state_dict: Mapping[str, np.ndarray], batches: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Training:
    """One update a batch with torch.optim, its schedulers and torch.nn.utils.clip_grad_*."""
    model = Model(e, state_dict)
    every_step, parameters = engine.TASKS[e.task].every_step, list(model.named().values())
    optimizer = OPTIMIZERS[e.optimizer](parameters, e.momentum, lr=e.lr, weight_decay=e.weight_decay)
    schedule = SCHEDULES[e.schedule](optimizer, e.schedule_steps, e.schedule_factor)
    loss_curve, norms = [], []
    for inputs, targets in batches:
        optimizer.zero_grad()
        hidden = torch.stack(model.unrolled(torch.tensor(inputs), e.nonlinearity, e.tbptt).hidden[-1][1:])
        loss = loss_of(e.loss_name, model.head(hidden if every_step else hidden[-1]), torch.tensor(targets))
        loss.backward()
        norms.append(torch.sqrt(sum((p.grad**2).sum() for p in parameters)).item())
        CLIPS[e.clip](parameters, e.clip_threshold)
        optimizer.step()
        schedule.step()
        loss_curve.append(loss.item())
    return Training(loss_curve, norms, {name: p.detach().numpy() for name, p in model.named().items()})
