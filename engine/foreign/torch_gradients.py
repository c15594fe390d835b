"""The same Trace for any recurrent module of PyTorch, computed by torch itself: for networks that the engine is not.

A fused layer hides h_t from autograd: its output has a gradient, but not what flows through the recurrence. So for one
pass every nn.RNN, LSTM and GRU of the module is unrolled, step by step, with the layer's own weights.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine.parameters import frozen
from engine.trace import Trace

Tensor = Any


def torch_gradients(module: Any, x: Any, y: Any, loss: Callable[[Any, Any], Any] | None = None) -> Trace:
    """One forward and one backward pass of `module(x)` against `y`, with ‖∂L/∂h_t‖ of every recurrent layer.

    module: a torch.nn.Module with nn.RNN, LSTM, GRU (also stacked, bidirectional, batch_first; anything may lie between
    and after them) or their cells; its mode (train, eval) is kept, its gradients are left as they were. x: what it
    takes, time before batch unless its layers are batch_first; y: targets; loss(output, y): the mean over the batch,
    None: cross-entropy for whole-number targets, else the mean squared error. An output that is a tuple counts by its
    first part.

    The Trace: a row for each layer and direction (l0, l0 reverse, l1, …; a reverse layer's first step is its first, at
    the end of the sequence), `grads` and `state_dict` by the module's own names, log10 norms as far as the floating
    type reaches; `cell` where all layers are LSTMs, `gates` where all are of one kind. `engine.verdict` reads it;
    what looks at weights by their names wants a network of the engine's own: see load_weights.

    Raises ValueError for a module without recurrent layers, projections, packed sequences, layers of different sizes
    or lengths, or a class derived from such a layer with a forward of its own.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise ValueError(f"module: {type(module).__name__}; allowed: a torch.nn.Module")
    x, y = (torch.as_tensor(value).detach().clone() for value in (x, y))  # the caller's stay as they are
    before = {name: p.grad for name, p in module.named_parameters()}
    with _unrolled(module, torch) as layers, torch.enable_grad():
        try:
            for p in module.parameters():
                p.grad = None
            out = module(x)
            out = out[0] if isinstance(out, tuple) else out
            value = (loss or _usual(torch))(out, y)
            _check_layers(layers)
            value.backward()
            return _trace(module, torch, layers, x, y, out, value)
        finally:
            for name, p in module.named_parameters():
                p.grad = before[name]


class Layer:
    """What one layer, in one direction, has done: lists over the timesteps, of (B, H)."""

    def __init__(self, kind: str, first: bool) -> None:
        self.kind, self.batch_first = kind, first
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


@contextmanager
def _unrolled(module: Any, torch: Any) -> Iterator[list[Layer]]:
    """All recurrent parts of the module write down what they do, until the end of the block."""
    nn, layers, patched, hooks = torch.nn, list[Layer](), list[Any](), list[Any]()
    kinds = {nn.RNN: "rnn", nn.LSTM: "lstm", nn.GRU: "gru"}
    cells = {nn.RNNCell: "rnn", nn.LSTMCell: "lstm", nn.GRUCell: "gru"}
    try:
        for part in module.modules():
            if base := next((base for base in kinds if isinstance(part, base)), None):
                if type(part).forward is not base.forward:  # ours would stand in for what it does besides
                    own = type(part).__name__
                    raise ValueError(f"module: {own}, with a forward of its own; allowed: that of nn.{base.__name__}")
                if getattr(part, "proj_size", 0):
                    raise ValueError(f"module: an LSTM with proj_size={part.proj_size}; allowed: 0")
                patched.append((part, vars(part).get("forward")))
                part.forward = _forward(part, kinds[base], torch, layers)
            elif base := next((base for base in cells if isinstance(part, base)), None):
                layer = Layer(cells[base], False)
                layers.append(layer)
                hooks.append(part.register_forward_hook(_hook(layer, torch)))
        if not patched and not hooks:
            raise ValueError("module: no nn.RNN, LSTM, GRU or cell of them in it; allowed: a recurrent module")
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


def _hook(layer: Layer, torch: Any) -> Callable[..., Any]:
    def hook(part: Any, given: Any, out: Any) -> Any:
        h, c = out if isinstance(out, tuple) else (out, None)
        if not layer.states:
            start = given[1] if len(given) > 1 and given[1] is not None else None
            h0, c0 = start if isinstance(start, tuple) else (start, None)
            layer.keep(torch.zeros_like(h) if h0 is None else h0, None)
            if c is not None:
                layer.memory.append(torch.zeros_like(c) if c0 is None else c0)
        h = _with_gradient(h)
        layer.keep(h, c)
        return h if c is None else (h, c)

    return hook


def _forward(part: Any, kind: str, torch: Any, layers: list[Layer]) -> Callable[..., Any]:
    """What stands in for part.forward: the same, step by step."""

    def forward(x: Tensor, start: Any = None) -> Any:
        if not isinstance(x, torch.Tensor) or x.ndim != 3:
            raise ValueError(f"x: {type(x).__name__}; allowed: a batch, (T, B, I), not packed")
        x = x.transpose(0, 1) if part.batch_first else x
        ways = 2 if part.bidirectional else 1
        two = kind == "lstm"
        zeros = x.new_zeros(part.num_layers * ways, x.shape[1], part.hidden_size)
        h0, c0 = (zeros, zeros) if start is None else start if two else (start, zeros)
        last_h, last_c = [], []
        for number in range(part.num_layers):
            outputs = []
            for way in range(ways):
                suffix, at = f"_l{number}" + ("_reverse" if way else ""), number * ways + way
                layer = Layer(kind, part.batch_first)
                layers.append(layer)
                h, c = _with_gradient(h0[at]), c0[at]
                layer.keep(h, c if two else None)
                for x_t in x.flip(0) if way else x:
                    h, c, gates = _step(part, torch, kind, suffix, x_t, h, c)
                    layer.keep(h, c, **gates)
                out = torch.stack(layer.states[1:])
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


def _usual(torch: Any) -> Callable[[Any, Any], Any]:
    f = torch.nn.functional

    def loss(out: Tensor, y: Tensor) -> Tensor:
        if y.dtype in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8):
            return f.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1).long())
        return f.mse_loss(out, y)

    return loss


def _check_layers(layers: list[Layer]) -> None:
    shapes = {(len(layer.states), *layer.states[-1].shape) for layer in layers if layer.states}
    if len(shapes) != 1 or any(not layer.states for layer in layers):
        found = ", ".join(f"T={n - 1} B={b} H={h}" for n, b, h in sorted(shapes)) or "none was run"
        raise ValueError(f"module: recurrent layers of {found}; allowed: all of one T, B and H, each run once")


def _trace(
    module: Any, torch: Any, layers: list[Layer], x: Tensor, y: Tensor, out: Tensor, value: Tensor
) -> Trace:  # fmt: skip
    def array(tensor: Tensor) -> np.ndarray:
        return np.array(tensor.detach().cpu().numpy())

    def stacked(each: list[list[Tensor]]) -> np.ndarray:
        return frozen(np.stack([np.stack([array(t) for t in over_time]) for over_time in each]))

    def gradient(h: Tensor) -> np.ndarray:
        return np.zeros(tuple(h.shape)) if h.grad is None else array(h.grad)

    kinds = {layer.kind for layer in layers}
    grads = {
        name: frozen(np.zeros(tuple(p.shape)) if p.grad is None else array(p.grad))
        for name, p in module.named_parameters()
    }
    norms = np.stack(
        [[np.linalg.norm(gradient(h).astype(np.float64), axis=-1).mean() for h in each.states[1:]] for each in layers]
    )
    with np.errstate(divide="ignore"):
        log10 = np.log10(norms)
    inputs, outputs = array(x), array(out)
    inputs = inputs[..., None] if inputs.ndim == 2 else inputs
    named = {"loss": value, "outputs": out} | {name: p.grad for name, p in module.named_parameters()}
    first = layers[0]
    return Trace(
        loss=float(value.detach()),
        inputs=frozen(inputs.swapaxes(0, 1) if first.batch_first else inputs),
        targets=frozen(array(y)),
        outputs=frozen(outputs[None] if outputs.ndim == 2 else outputs),
        hidden=stacked([layer.states for layer in layers]),
        cell=stacked([layer.memory for layer in layers]) if kinds == {"lstm"} else None,
        gates={name: stacked([layer.gates[name] for layer in layers]) for name in first.gates}
        if len(kinds) == 1
        else {},
        grad_norms=frozen(norms),
        log10_grad_norms=frozen(log10),
        log10_flow_norms=frozen(log10),
        grads=grads,
        state_dict={name: frozen(array(p)) for name, p in module.named_parameters()},
        grad_norm=float(np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in grads.values()))),
        non_finite=next((name for name, t in named.items() if t is not None and not torch.isfinite(t).all()), None),
        truncation=None,
        omega=None,
        kind=first.kind,
        nonlinearity=next(
            (p.nonlinearity for p in module.modules() if isinstance(p, (torch.nn.RNN, torch.nn.RNNCell))), "tanh"
        ),
    )
