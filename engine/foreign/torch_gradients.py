"""The same Trace for any recurrent module of PyTorch, computed by torch itself: for networks that the engine is not."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from engine.foreign.torch_given import check_classes, check_parameters, given
from engine.foreign.torch_layers import Layer, array, norms, unrolled
from engine.parameters import frozen
from engine.trace import Trace

Tensor = Any


class Named(dict[str, np.ndarray]):
    """Arrays by the engine's names, which answer to the names of the module that they are from, too."""

    def __init__(self, arrays: Mapping[str, np.ndarray], own: Mapping[str, str]) -> None:
        """own: a module's name -> the name here."""
        super().__init__(arrays)
        self._own = {theirs: ours for theirs, ours in own.items() if ours in arrays}

    def __missing__(self, name: str) -> np.ndarray:
        if name not in self._own:
            raise KeyError(name)
        return self[self._own[name]]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._own


def torch_gradients(
    module: Any, x: Any, y: Any, loss: Callable[[Any, Any], Any] | None = None, recurrent: str | Sequence[str] = ()
) -> Trace:  # fmt: skip
    """One forward and one backward pass of `module(x)` against `y`, with ‖∂L/∂h_t‖ of every recurrent layer.

    module: a torch.nn.Module with nn.RNN, LSTM, GRU (also stacked, bidirectional, batch_first; anything may lie between
    and after them; called once, or in a loop that hands the state on) or their cells. Its mode (train, eval) is kept;
    its gradients, buffers and torch's random state are left as they were. x: what it takes, one array or tensor; y:
    targets; both come to the module's device and floating type. loss(output, y): the mean over the batch; None:
    cross-entropy for whole-number targets, else the mean squared error. An output that is a tuple or a list counts by
    its first part. recurrent: the name of a recurrent part of the module, or several; (): all of them. The others run
    as they are, so that layers of other sizes or lengths can be looked at one after the other.

    The Trace: a row for each layer and direction (l0, l0 reverse, l1, …; a reverse layer's first step is its first, at
    the end of the sequence), log10 norms as far as the floating type reaches (those of the last loss alone are NaN
    where the loss is one's own and read at every step); `cell` where all rows are LSTMs, `gates`
    and `kind` where all are of one kind (else `kind` names all of them, "gru, lstm"). `grads` and `state_dict` have the
    weights of row k as weight_ih_l{k}, weight_hh_l{k}, …, absent biases as 0, and the module's other parameters, all of
    them found by the module's own names, too. `engine.verdict`, `gates`, `jacobian_spectrum`, `clipping` and `radii`
    read it (Jacobians are of the cell alone, without what may change a state between two steps); what takes an
    Experiment beside a Trace wants a network of the engine's own: see load_weights.

    Raises ValueError for a module without recurrent layers, projections, packed sequences, rows of different sizes or
    lengths, a class derived from such a layer with a forward of its own, a layer that begins anew in the same pass, and
    for an output that does not fit y.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise ValueError(f"module: {type(module).__name__}; allowed: a torch.nn.Module")
    module = getattr(module, "_orig_mod", module)  # what torch.compile has wrapped: for one pass there is no gain
    names = (recurrent,) if isinstance(recurrent, str) else recurrent
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"recurrent: {recurrent!r:.80}; allowed: the name of a part of the module, or several")
    if loss is not None and not callable(loss):
        raise ValueError(f"loss: {loss!r:.80}; allowed: a function of output and y, None")
    check_parameters(torch, module)
    x, y = (given(module, torch, name, value) for name, value in (("x", x), ("y", y)))
    with _as_it_was(module, torch), unrolled(module, torch, names) as layers, torch.enable_grad():
        for p in module.parameters():
            p.grad = None
        try:
            out = module(x)
        except RuntimeError as error:  # sizes that do not go together, in torch's words
            said = str(error).partition("\n")[0]
            raise ValueError(f"module: it cannot be run on x of shape {tuple(x.shape)}, {x.dtype} ({said})") from error
        out = out[0] if isinstance(out, tuple | list) and out else out
        value = (loss or _usual(torch))(out, y)
        _check_layers(layers)
        _check_loss(torch, value)
        last = _last(torch, layers, out, y) if loss is None else None
        value.backward(retain_graph=last is not None)
        t = _trace(module, torch, layers, x, y, out, value)
        return t if last is None else replace(t, log10_flow_norms=_flow(layers, last))


@contextmanager
def _as_it_was(module: Any, torch: Any) -> Iterator[None]:
    """Gradients, buffers (BatchNorm's in training) and torch's random state, after the block as before."""
    gradients = [(p, p.grad) for p in module.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    devices = sorted({p.device.index or 0 for p in module.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
            for p, gradient in gradients:
                p.grad = gradient


def _usual(torch: Any) -> Callable[[Any, Any], Any]:
    f, whole = torch.nn.functional, (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)

    def loss(out: Any, y: Tensor) -> Tensor:
        if not isinstance(out, torch.Tensor):
            raise ValueError(f"output: {type(out).__name__}; allowed: a tensor, or loss=… that takes it")
        shapes = f"output: shape {tuple(out.shape)}, for y {tuple(y.shape)}"
        if y.dtype not in whole:
            if out.numel() != y.numel():
                raise ValueError(f"{shapes}; allowed: as many numbers as y, or loss=… that takes them")
            return f.mse_loss(out, y.reshape(out.shape))  # (B,) against (B, 1) would be B × B differences
        if out.shape[-1] == 1:
            raise ValueError(f"{shapes}: one output for classes; allowed: one for each, or loss=… that takes it")
        if out.shape[:-1].numel() == y.numel():
            check_classes(y, out.shape[-1])
            return f.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1).long())
        if (*out.shape[:1], *out.shape[2:]) == tuple(y.shape):  # torch's own order: (B, classes, T)
            check_classes(y, out.shape[1])
            return f.cross_entropy(out, y.long())
        raise ValueError(f"{shapes}; allowed: one number for each class, or loss=… that takes them")

    return loss


def _check_loss(torch: Any, value: Any) -> None:
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"loss: {shape}; allowed: one number, a tensor")
    if value.is_complex():
        raise ValueError(f"loss: {value.dtype}; allowed: one real number")
    if not value.requires_grad:
        raise ValueError("loss: it has no gradient (detached, or under torch.no_grad); allowed: one that depends on h")


def _check_layers(layers: list[Layer]) -> None:
    if not any(layer.states for layer in layers):
        raise ValueError("module: none of its recurrent layers was run; allowed: one that module(x) runs")
    shapes = {(len(layer.states), *h.shape) for layer in layers for h in layer.states[1:]}
    if len(shapes) != 1 or any(not layer.states for layer in layers):
        found = ", ".join(f"T={n - 1} B={b} H={h}" for n, b, h in sorted(shapes)) or "none was run"
        names = ", ".join(dict.fromkeys(repr(layer.prefix.removesuffix(".")) for layer in layers))
        raise ValueError(
            f"module: recurrent layers of {found}; allowed: all of one T, B and H, each run; recurrent=… chooses among "
            f"{names}"
        )


def _weights(module: Any, layers: list[Layer], kinds: set[str]) -> tuple[Named, Named]:
    """state_dict and grads. Rows of several kinds have no names in common with the engine's."""
    state: dict[str, np.ndarray] = {}
    own: dict[str, str] = {}
    for row, layer in enumerate(layers if len(kinds) == 1 else []):
        for name, theirs, weight in layer.weights():
            ours = f"{name}_l{row}"
            own.setdefault(theirs, ours)
            state[ours] = np.zeros(len(state[f"weight_hh_l{row}"])) if weight is None else array(weight)
    parameters: dict[str, Any] = dict(module.named_parameters())
    state |= {name: array(p) for name, p in parameters.items() if name not in own}
    grads = {
        own.get(name, name): np.zeros(tuple(p.shape)) if p.grad is None else array(p.grad)
        for name, p in parameters.items()
    }
    for value in (*state.values(), *grads.values()):
        frozen(value)
    return Named(state, own), Named(grads, own)


def _by_time(value: np.ndarray, steps: int, batch: int, first: bool) -> np.ndarray:
    """(T, B, …), of what may be (B, T, …)."""
    if value.ndim < 2 or value.shape[:2] != (batch, steps) or (batch == steps and not first):
        return value
    return np.ascontiguousarray(value.swapaxes(0, 1))


def _log10(sizes: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return frozen(np.log10(sizes))


def _last(torch: Any, layers: list[Layer], out: Tensor, y: Tensor) -> Tensor | None:
    """What the last timestep adds to the usual loss of all, where each has one: outputs (T, B, O) or (B, T, O)."""
    steps, batch = len(layers[0].states) - 1, layers[0].states[1].shape[0]
    first, shape = bool(getattr(layers[0].part, "batch_first", False)), tuple(out.shape[:2])
    if out.ndim != 3 or steps < 2 or y.numel() not in (steps * batch, out.numel()):
        return None
    if shape not in ((steps, batch), (batch, steps)):
        return None
    at = (slice(None), -1) if shape == (batch, steps) and (first or batch != steps) else (-1,)
    return _usual(torch)(out[at], y.reshape(*shape, *y.shape[2:])[at]) / steps


def _flow(layers: list[Layer], last: Tensor) -> np.ndarray:
    for layer in layers:
        for h in layer.states:
            h.grad = None
    last.backward()
    return _log10(norms(layers))


def _trace(module: Any, torch: Any, layers: list[Layer], x: Tensor, y: Tensor, out: Any, value: Tensor) -> Trace:
    def stacked(each: list[list[Tensor]]) -> np.ndarray:
        return frozen(np.stack([np.stack([array(t) for t in over_time]) for over_time in each]))

    kinds, first = {layer.kind for layer in layers}, layers[0]
    state_dict, grads = _weights(module, layers, kinds)
    sizes = norms(layers)
    at = len(first.states) - 1, first.states[1].shape[0], bool(getattr(first.part, "batch_first", False))
    inputs, targets = array(x), array(y)
    inputs = inputs[..., None] if inputs.ndim == 2 else inputs
    outputs = array(out) if isinstance(out, torch.Tensor) else np.zeros((0, 0, 0))  # what a loss of one's own reads
    outputs = outputs.reshape(-1, 1) if outputs.ndim < 2 else outputs
    outputs = outputs[None] if outputs.ndim == 2 else _by_time(outputs, *at)
    named = {"loss": value, "outputs": torch.as_tensor(outputs)} | {n: p.grad for n, p in module.named_parameters()}
    return Trace(
        loss=float(value.detach()),
        inputs=frozen(_by_time(inputs, *at)),
        targets=frozen(targets if len(outputs) == 1 else _by_time(targets, *at)),
        outputs=frozen(outputs),
        hidden=stacked([layer.states for layer in layers]),
        cell=stacked([layer.memory for layer in layers]) if kinds == {"lstm"} else None,
        gates={name: stacked([layer.gates[name] for layer in layers]) for name in first.gates}
        if len(kinds) == 1 and all(layer.gates.keys() == first.gates.keys() for layer in layers)
        else {},
        grad_norms=frozen(sizes),
        log10_grad_norms=_log10(sizes),
        log10_flow_norms=_log10(sizes)
        if outputs.ndim == 3 and len(outputs) == 1
        else frozen(np.full(sizes.shape, np.nan)),
        grads=grads,
        state_dict=state_dict,
        grad_norm=float(np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in grads.values()))),
        non_finite=next((name for name, t in named.items() if t is not None and not torch.isfinite(t).all()), None),
        truncation=None,
        omega=None,
        kind=", ".join(dict.fromkeys(layer.kind for layer in layers)),
        nonlinearity=next((layer.part.nonlinearity for layer in layers if layer.kind == "rnn"), "tanh"),
    )
