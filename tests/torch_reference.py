"""The same pass and the same training in PyTorch: modules that load our state dict, autograd for every gradient."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
MODULES = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Model(nn.Module):
    """torch.nn.RNN, LSTM or GRU with a Linear head: `fused` is PyTorch's own kernel, `unrolled` a loop on its weights.

    The loop exists because the modules know only tanh and relu, and because autograd keeps ∂L/∂h_t only where h_t is a
    tensor of its own.
    """

    def __init__(self, cell: str, input_size: int, hidden_size: int, num_layers: int, outputs: int, dtype: str) -> None:
        super().__init__()
        kind = getattr(torch, dtype)
        self.cell, self.layers = cell, num_layers
        self.recurrent = MODULES[cell](input_size, hidden_size, num_layers, dtype=kind)
        self.head = nn.Linear(hidden_size, outputs, dtype=kind)

    def load(self, state_dict: Mapping[str, np.ndarray]) -> "Model":
        """Loads with strict=True: every name and every shape is PyTorch's."""
        tensors = {name: torch.tensor(np.array(value)) for name, value in state_dict.items()}
        prefix = "head."
        self.recurrent.load_state_dict({n: v for n, v in tensors.items() if not n.startswith(prefix)}, strict=True)
        self.head.load_state_dict(
            {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}, strict=True
        )
        return self

    def named(self) -> dict[str, nn.Parameter]:
        """The parameters by the engine's names."""
        names = dict(self.recurrent.named_parameters())
        return names | {f"head.{name}": value for name, value in self.head.named_parameters()}

    def fused(self, x: torch.Tensor) -> torch.Tensor:
        """(T, B, H) of the last layer."""
        return self.recurrent(x)[0]

    def unrolled(self, x: torch.Tensor, activation: str, tbptt: int | None = None) -> "Unrolled":
        phi, weights = ACTIVATIONS[activation], dict(self.recurrent.named_parameters())
        units = self.recurrent.hidden_size
        zero = torch.zeros(x.shape[1], units, dtype=x.dtype)
        hidden, memory, gates = [], [], []
        below = list(x)
        for layer in range(self.layers):
            w_ih, w_hh, b_ih, b_hh = (
                weights[f"{n}_l{layer}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h, c, above, cs, gs = zero, zero, [], [zero], []
            for t, x_t in enumerate(below):
                if tbptt and t and t % tbptt == 0:
                    h, c = h.detach(), c.detach()
                zx, zh = F.linear(x_t, w_ih, b_ih), F.linear(h, w_hh, b_hh)
                opened: dict[str, torch.Tensor] = {}
                if self.cell == "rnn":
                    h = phi(zx + zh)
                elif self.cell == "lstm":
                    zi, zf, zg, zo = (zx + zh).chunk(4, 1)
                    opened = {"i": zi.sigmoid(), "f": zf.sigmoid(), "g": phi(zg), "o": zo.sigmoid()}
                    c = opened["f"] * c + opened["i"] * opened["g"]
                    h = opened["o"] * c.tanh()
                else:
                    (xr, xz, xn), (hr, hz, hn) = zx.chunk(3, 1), zh.chunk(3, 1)
                    r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
                    opened = {"r": r, "z": z, "n": phi(xn + r * hn)}
                    h = (1 - z) * opened["n"] + z * h
                if h.requires_grad:
                    h = h.clone()  # a node of its own (identity without weights would be shared)
                    h.retain_grad()
                above.append(h)
                cs.append(c)
                gs.append(opened)
            hidden.append([zero, *above])
            memory.append(cs)
            gates.append(gs)
            below = above
        return Unrolled(hidden, memory, gates)


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


def model_for(e: engine.Experiment, state_dict: Mapping[str, np.ndarray]) -> Model:
    outputs, inputs = len(state_dict["head.bias"]), state_dict["weight_ih_l0"].shape[1]
    return Model(e.cell, inputs, e.hidden_size, e.num_layers, outputs, e.dtype).load(state_dict)


def run(
    e: engine.Experiment,
    state_dict: Mapping[str, np.ndarray],
    inputs: np.ndarray,
    targets: np.ndarray,
    every_step: bool | None = None,
) -> Pass:
    """One pass, ∂L/∂h_t by retain_grad."""
    every_step = engine.TASKS[e.task].every_step if every_step is None else every_step
    model = model_for(e, state_dict)
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
    model = model_for(e, state_dict)
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
