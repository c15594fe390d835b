"""Keras's SimpleRNN, LSTM and GRU (both forms): their kernels are ours transposed, their gates in another order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from engine.foreign.found import LEFT_OUT, NO_BIAS, Arrays, Found, Note, note

KINDS = {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru"}
ORDER = {"rnn": (0,), "lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}  # their gate in our place: i f c o; z r h
BATCH_FIRST = "Keras has batches first: here inputs are (T, B, I)."
ONE_BIAS = (
    "Keras has one bias a gate, here are two: its gradient counts twice in ‖g‖, and training moves it twice as far."
)
ACTIVATIONS = {  # theirs that are ours, value for value (their leaky_relu is not: its slope is 0.2, ours 0.01)
    "tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid", "linear": "identity", "elu": "elu", "softsign": "softsign",
    "hard_tanh": "hardtanh",
}  # fmt: skip


def is_model(source: Any) -> bool:
    """Is it a keras.Model? Asked without importing keras: whoever has one has imported it."""
    return any(c.__module__.startswith("keras.") and c.__name__ == "Model" for c in type(source).__mro__)


def of_model(model: Any, recurrent: Sequence[str], head: str | None) -> Found:
    """The recurrent layers in the order of the model, its last Dense layer, and an Embedding."""
    parts = list(_flat(model))
    chosen = [part for part in parts if _is_recurrent(part) and (not recurrent or part.name in recurrent)]
    if missing := set(recurrent) - {part.name for part in chosen}:
        listed = ", ".join(part.name for part in parts if _is_recurrent(part))
        raise ValueError(f"recurrent: {sorted(missing)[0]!r}; allowed: {listed or 'none was found'}")
    if not chosen:
        listed = ", ".join(f"{part.name} ({type(part).__name__})" for part in parts)
        raise ValueError(f"no recurrent layer among: {listed}; allowed: SimpleRNN, LSTM, GRU")
    for part in chosen:
        _check(part, chosen[0])
    kind = KINDS[type(chosen[0]).__name__]
    if kind == "gru" and not chosen[0].reset_after:
        kind = "gru_before"
    dense = [part for part in parts if type(part).__name__ == "Dense" and part.kernel.shape[0] == chosen[0].units]
    dense = [part for part in dense if head is None or part.name == head]
    if head is not None and not dense:
        raise ValueError(f"head: {head!r}; allowed: a Dense layer of {chosen[0].units} inputs")
    last = dense[-1] if dense else None
    tables = [part for part in parts if type(part).__name__ == "Embedding"]
    notes = usual_notes(kind, [part.use_bias for part in chosen])
    if last is not None and (name := _name(last.activation)) not in ("linear", "softmax"):
        notes.append(
            note("{name} has activation {activation}: here the head is linear.", name=last.name, activation=name)
        )
    for part in chosen:
        for option in ("dropout", "recurrent_dropout"):
            if rate := getattr(part, option, 0.0):
                said = "{name} has {option} {rate}: here nothing of its inputs and states is dropped."
                notes.append(note(said, name=part.name, option=option, rate=rate))
    if tables and tables[0].mask_zero:
        notes.append(note("{name} has mask_zero: here symbol 0 is a timestep like any other.", name=tables[0].name))
    names = {part.name for part in (*chosen, *([last] if last is not None else []), *tables[:1])}
    others = [part for part in parts if part.name not in names and type(part).__name__ != "InputLayer"]
    if listed := ", ".join(f"{part.name} ({type(part).__name__})" for part in others):
        notes.append(note(LEFT_OUT, names=listed))

    def export(state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
        out = {part.name: to_theirs(kind, layer, state_dict, part) for layer, part in enumerate(chosen)}
        if last is not None:
            bias = [state_dict["head.bias"]] if last.use_bias else []
            out[last.name] = [np.ascontiguousarray(state_dict["head.weight"].T), *bias]
        if tables:
            out[tables[0].name] = [state_dict["embedding.weight"]]
        return out

    return Found(
        kind=kind,
        nonlinearity=ACTIVATIONS[_name(chosen[0].activation)],
        layers=[to_ours(kind, [np.asarray(w) for w in part.get_weights()], part) for part in chosen],
        head=None if last is None else _dense(last),
        embedding=np.asarray(tables[0].get_weights()[0]) if tables else None,
        export=export,
        notes=notes,
    )


def usual_notes(kind: str, biases: Sequence[bool]) -> list[Note]:
    """What every network from Keras is told; `biases`: which layers have any."""
    said = [note(BATCH_FIRST)]
    if not all(biases):
        said.append(note(NO_BIAS))
    if any(biases) and kind != "gru":  # whose reset_after has both, as PyTorch
        said.append(note(ONE_BIAS))
    return said


def _flat(model: Any) -> Iterator[Any]:
    for part in getattr(model, "layers", ()):
        if hasattr(part, "layers"):
            yield from _flat(part)
        elif type(part).__name__ == "TimeDistributed":
            yield part.layer
        else:
            yield part


def _is_recurrent(part: Any) -> bool:
    """Is it one of the three, or something recurrent that is none (then ValueError)?"""
    name = type(part).__name__
    if name in ("Bidirectional", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"):
        raise ValueError(f"{part.name}: {name}; allowed: SimpleRNN, LSTM, GRU that run forward in time")
    return name in KINDS


def _name(activation: Any) -> str:
    """What Keras calls one of its own functions; another's, or a layer in its place, with where it comes from."""
    name = getattr(activation, "__name__", type(activation).__name__)
    module = getattr(activation, "__module__", None) or ""
    return name if module.startswith("keras.") and hasattr(activation, "__name__") else f"{module}.{name}"


def _check(part: Any, first: Any) -> None:
    """Raises ValueError where a layer is none of ours."""
    same = type(part) is type(first) and part.units == first.units and part.activation is first.activation
    if not same or getattr(part, "reset_after", None) != getattr(first, "reset_after", None):
        raise ValueError(f"{part.name}: another kind, size or activation than {first.name}; allowed: equal layers")
    if part.go_backwards:
        raise ValueError(f"{part.name}: go_backwards; allowed: layers that run forward in time")
    gate = getattr(part, "recurrent_activation", None)
    if gate is not None and _name(gate) != "sigmoid":
        raise ValueError(f"{part.name}: recurrent_activation {_name(gate)}; allowed: sigmoid")
    # their LSTM reads c through the activation, too, where ours has tanh; their GRU has it where ours has
    allowed = ["tanh"] if type(part).__name__ == "LSTM" else list(ACTIVATIONS)
    if _name(part.activation) not in allowed:
        raise ValueError(f"{part.name}: activation {_name(part.activation)}; allowed: {', '.join(allowed)}")


def _swap(kind: str, value: np.ndarray) -> np.ndarray:
    """Blocks of gates (…, kH) in the other library's order; the swap is its own inverse."""
    order = ORDER[kind.removesuffix("_before")]
    blocks = np.split(value, len(order), axis=-1)
    return np.concatenate([blocks[n] for n in order], axis=-1)


def to_ours(kind: str, theirs: list[np.ndarray], part: Any) -> Arrays:
    """Kernel (I, kH), recurrent kernel (H, kH) and bias, (kH,) or (2, kH), of a layer as the four tensors of ours."""
    kernel, recurrent = theirs[:2]
    bias = theirs[2] if part.use_bias else np.zeros(kernel.shape[-1], kernel.dtype)
    two = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    tensors = {"weight_ih": _swap(kind, kernel).T, "weight_hh": _swap(kind, recurrent).T}
    tensors |= {"bias_ih": _swap(kind, two[0]), "bias_hh": _swap(kind, two[1])}
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def to_theirs(kind: str, layer: int, state_dict: Mapping[str, np.ndarray], part: Any) -> list[np.ndarray]:
    """What `part.set_weights` takes. Raises ValueError for a bias that is not 0, where the layer has none."""
    ih, hh, b_ih, b_hh = (
        state_dict[f"{tensor}_l{layer}"] for tensor in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    kernels = [np.ascontiguousarray(_swap(kind, w.T)) for w in (ih, hh)]
    if not part.use_bias:
        if (b_ih + b_hh).any():
            raise ValueError(f"bias of layer {layer}: not 0; allowed: 0, since {part.name} has use_bias=False")
        return kernels
    if kind == "gru":  # its reset gate multiplies the recurrent bias: the two stay apart
        return [*kernels, np.stack([_swap(kind, b_ih), _swap(kind, b_hh)])]
    return [*kernels, _swap(kind, b_ih + b_hh)]


def _dense(part: Any) -> Arrays:
    weights = [np.asarray(w) for w in part.get_weights()]
    bias = weights[1] if part.use_bias else np.zeros(weights[0].shape[1], weights[0].dtype)
    return {"weight": np.ascontiguousarray(weights[0].T), "bias": bias}
