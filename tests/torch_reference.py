"""The same pass and the same training in PyTorch: modules that load our state dict, autograd for every gradient."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import engine

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
            if not name.startswith("head."):
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
        tensors = {name: torch.tensor(np.array(value)) for name, value in state_dict.items()}
        head = {name.removeprefix("head."): tensors.pop(name) for name in list(tensors) if name.startswith("head.")}
        self.recurrent.load_state_dict(tensors, strict=True)
        self.head.load_state_dict(head, strict=True)

    def named(self) -> dict[str, nn.Parameter]:
        """The parameters by the engine's names."""
        names = dict(self.recurrent.named_parameters())
        return names | {f"head.{name}": value for name, value in self.head.named_parameters()}

    def unrolled(self, x: torch.Tensor, activation: str, tbptt: int | None = None) -> "Unrolled":
        phi, weights = ACTIVATIONS[activation], dict(self.recurrent.named_parameters())
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


@dataclass
class Training:
    loss: list[float]
    grad_norm: list[float]  # before clipping
    state_dict: dict[str, np.ndarray]  # after the last update


def train(
    e: engine.Experiment, state_dict: Mapping[str, np.ndarray], batches: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Training:
    """One update a batch with torch.optim and torch.nn.utils.clip_grad_*."""
    model = Model(e, state_dict)
    every_step, parameters = engine.TASKS[e.task].every_step, list(model.named().values())
    settings = {"lr": e.lr, "weight_decay": e.weight_decay}
    optimizer = {
        "sgd": lambda: torch.optim.SGD(parameters, **settings),
        "momentum": lambda: torch.optim.SGD(parameters, momentum=e.momentum, **settings),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, **settings),
        "adam": lambda: torch.optim.Adam(parameters, **settings),
    }[e.optimizer]()
    loss_curve, norms = [], []
    for inputs, targets in batches:
        optimizer.zero_grad()
        hidden = torch.stack(model.unrolled(torch.tensor(inputs), e.nonlinearity, e.tbptt).hidden[-1][1:])
        loss = loss_of(e.loss_name, model.head(hidden if every_step else hidden[-1]), torch.tensor(targets))
        loss.backward()
        norms.append(torch.sqrt(sum((p.grad**2).sum() for p in parameters)).item())
        if e.clip == "norm":
            nn.utils.clip_grad_norm_(parameters, e.clip_threshold)
        elif e.clip == "value":
            nn.utils.clip_grad_value_(parameters, e.clip_threshold)
        optimizer.step()
        loss_curve.append(loss.item())
    return Training(loss_curve, norms, {name: p.detach().numpy() for name, p in model.named().items()})
