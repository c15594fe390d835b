"""What the recurrent layers of a torch module do in one pass, written down timestep by timestep.

A fused layer hides h_t from autograd: its output has a gradient, but not what flows through the recurrence. So for one
pass every nn.RNN, LSTM and GRU is unrolled, step by step, with the layer's own weights.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

Tensor = Any


class Layer:
    """What one layer, in one direction, has done: lists over the timesteps, of (B, H)."""

    def __init__(self, kind: str, part: Any, prefix: str, suffix: str = "") -> None:
        self.kind, self.part, self.suffix = kind, part, suffix
        self.prefix = f"{prefix}." if prefix else ""
        self.states: list[Tensor] = []  # h_0, h_1, …, h_T
        self.memory: list[Tensor] = []  # c_0, …, of an LSTM
        self.gates: dict[str, list[Tensor]] = {}

    def keep(self, h: Tensor, c: Tensor | None, **gates: Tensor) -> None:
        if h.requires_grad:
            h.retain_grad()
        self.states.append(h)
        if c is not None:
            self.memory.append(c)
        for name, value in gates.items():
            self.gates.setdefault(name, []).append(value)

    def weights(self) -> Iterator[tuple[str, str, Tensor]]:
        """The engine's name for a weight but for the number of the row, the module's own, and the weight, if any."""
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            yield name, f"{self.prefix}{name}{self.suffix}", getattr(self.part, f"{name}{self.suffix}", None)


@contextmanager
def unrolled(module: Any, torch: Any, recurrent: Sequence[str]) -> Iterator[list[Layer]]:
    """The recurrent parts of the module (of these names; (): all) write down what they do, until the block ends."""
    nn, layers, patched, hooks = torch.nn, list[Layer](), list[Any](), list[Any]()
    kinds = {nn.RNN: "rnn", nn.LSTM: "lstm", nn.GRU: "gru"}
    cells = {nn.RNNCell: "rnn", nn.LSTMCell: "lstm", nn.GRUCell: "gru"}
    every = tuple(kinds) + tuple(cells)
    parts = {name: part for name, part in module.named_modules() if isinstance(part, every)}
    if not parts:
        raise ValueError("module: no nn.RNN, LSTM, GRU or cell of them in it; allowed: a recurrent module")
    if missing := [name for name in recurrent if name not in parts]:
        raise ValueError(f"recurrent: {missing[0]!r}; allowed: {', '.join(parts)}")
    try:
        for name in recurrent or parts:
            part = parts[name]
            if base := next((base for base in kinds if isinstance(part, base)), None):
                if type(part).forward is not base.forward:  # ours would stand in for what it does besides
                    own = type(part).__name__
                    raise ValueError(f"module: {own}, with a forward of its own; allowed: that of nn.{base.__name__}")
                if getattr(part, "proj_size", 0):
                    raise ValueError(f"module: an LSTM with proj_size={part.proj_size}; allowed: 0")
                patched.append((part, vars(part).get("forward")))
                part.forward = _forward(part, name, kinds[base], torch, layers)
            elif base := next((base for base in cells if isinstance(part, base)), None):
                layer = Layer(cells[base], part, name)
                layers.append(layer)
                hooks.append(part.register_forward_hook(_hook(layer, torch, type(part).forward is base.forward)))
        yield layers
    finally:
        for part, own in patched:
            if own is None:
                del part.forward  # the class's own again
            else:
                part.forward = own
        for hook in hooks:
            hook.remove()


def _with_gradient(h: Tensor) -> Tensor:
    """The state, known to autograd also where nothing before it is: its layer is frozen, it is the first."""
    return h if h.requires_grad else h.detach().clone().requires_grad_()


def _hook(layer: Layer, torch: Any, plain: bool) -> Callable[..., Any]:
    """plain: the cell's step is that of its class, so that its gates are known."""

    def hook(part: Any, given: Any, out: Any) -> Any:
        h, c = out if isinstance(out, tuple) else (out, None)
        start = given[1] if len(given) > 1 and given[1] is not None else None
        h0, c0 = start if isinstance(start, tuple) else (start, None)
        h0, c0 = (torch.zeros_like(h) if s is None else s for s in (h0, c0))
        if not layer.states:
            layer.keep(h0, None if c is None else c0)
        elif start is None:
            raise ValueError(_again(part))
        with torch.no_grad():
            gates = _step(part, torch, layer.kind, "", given[0], h0, c0)[2] if plain else {}
        h = _with_gradient(h)
        layer.keep(h, c, **gates)
        return h if c is None else (h, c)

    return hook


def _again(part: Any) -> str:
    what = f"module: a {type(part).__name__} that is run more than once, each time from the beginning"
    return f"{what}; allowed: once, or on from the state that it has left"


def _forward(part: Any, name: str, kind: str, torch: Any, layers: list[Layer]) -> Callable[..., Any]:
    """What stands in for part.forward: the same, step by step. Called again with a state, it goes on."""
    ways = 2 if part.bidirectional else 1
    two = kind == "lstm"
    own: list[Layer] = []

    def begin(start: Any) -> bool:
        """Is this the first call? Its rows are made."""
        if own and (start is None or ways == 2):
            raise ValueError(_again(part))
        first = not own
        if first:
            suffixes = (f"_l{n}{way}" for n in range(part.num_layers) for way in ("", "_reverse")[:ways])
            own.extend(Layer(kind, part, name, suffix) for suffix in suffixes)
            layers.extend(own)
        return first

    def forward(x: Tensor, start: Any = None) -> Any:
        if not isinstance(x, torch.Tensor) or x.ndim != 3:
            shape = f" of shape {tuple(x.shape)}" if isinstance(x, torch.Tensor) else ""
            raise ValueError(f"x: a {type(x).__name__}{shape}; allowed: a batch, (T, B, I), not packed")
        if x.shape[-1] != part.input_size or not x.numel() or not x.is_floating_point():
            raise ValueError(
                f"x: {x.dtype} of shape {tuple(x.shape)} comes to {name or 'the layer'}; allowed: floating numbers, "
                f"(T, B, {part.input_size}) or batch first, each at least 1"
            )
        first = begin(start)
        x = x.transpose(0, 1) if part.batch_first else x
        zeros = x.new_zeros(part.num_layers * ways, x.shape[1], part.hidden_size)
        h0, c0 = (zeros, zeros) if start is None else start if two else (start, zeros)
        last_h, last_c = [], []
        for number in range(part.num_layers):
            outputs = []
            for way in range(ways):
                at = number * ways + way
                layer = own[at]
                h, c = _with_gradient(h0[at]), c0[at]
                if first:
                    layer.keep(h, c if two else None)
                done = len(layer.states)
                for x_t in x.flip(0) if way else x:
                    h, c, gates = _step(part, torch, kind, layer.suffix, x_t, h, c)
                    layer.keep(h, c, **gates)
                out = torch.stack(layer.states[done:])
                outputs.append(out.flip(0) if way else out)
                last_h.append(h)
                last_c.append(c)
            x = torch.cat(outputs, -1)
            if part.dropout and number < part.num_layers - 1:
                x = torch.nn.functional.dropout(x, part.dropout, part.training)
        x = x.transpose(0, 1) if part.batch_first else x
        last = torch.stack(last_h)
        return x, (last, torch.stack(last_c)) if two else last

    return forward


def _step(part: Any, torch: Any, kind: str, suffix: str, x: Tensor, h: Tensor, c: Tensor) -> Any:
    """One timestep, as in the documentation of torch.nn: h, c and the gates."""
    w_ih, w_hh = getattr(part, f"weight_ih{suffix}"), getattr(part, f"weight_hh{suffix}")
    b_ih, b_hh = (getattr(part, f"bias_{to}{suffix}") if part.bias else 0.0 for to in ("ih", "hh"))
    zx, zh = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    if kind == "rnn":
        return (torch.tanh if part.nonlinearity == "tanh" else torch.relu)(zx + zh), None, {}
    if kind == "lstm":
        i, f, g, o = (zx + zh).chunk(4, -1)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        c = f * c + i * g
        return o * torch.tanh(c), c, {"i": i, "f": f, "g": g, "o": o}
    (xr, xz, xn), (hr, hz, hn) = zx.chunk(3, -1), zh.chunk(3, -1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return (1 - z) * n + z * h, None, {"r": r, "z": z, "n": n}


def array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return np.array((tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy())  # NumPy has none


def norms(layers: list[Layer]) -> np.ndarray:
    """(L, T): ‖∂L/∂h_t‖, the mean over the batch."""

    def norm(h: Tensor) -> float:
        return 0.0 if h.grad is None else float(np.linalg.norm(array(h.grad).astype(np.float64), axis=-1).mean())

    return np.array([[norm(h) for h in layer.states[1:]] for layer in layers])
