"""Somebody's own network, as an experiment that fits and weights by our names, for `probe` and every instrument."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from engine.activations import ACTIVATIONS
from engine.experiment import Experiment
from engine.foreign import from_keras, from_keras_names, from_torch
from engine.foreign.files import read_arrays
from engine.foreign.found import Found, Misfit, Note, note
from engine.own.noise import MOST as MOST_NOISE
from engine.own.noise import noise
from engine.parameters import frozen
from engine.refusals import sentences
from engine.tasks import TASKS

# fields of the experiment that are read off the network; the nonlinearity has a parameter
ITS_OWN = ("cell", "reset_after", "nonlinearity", "hidden_size", "num_layers", "embedding_dim")


@dataclass(frozen=True, eq=False)
class Loaded:
    """`engine.probe(loaded.experiment, loaded.state_dict, inputs, targets)` is a look at it on your data;
    `engine.Trainer(loaded.experiment, state_dict=loaded.state_dict)` trains it, and `export` gives what it has become.
    """

    experiment: Experiment
    state_dict: Mapping[str, np.ndarray]  # by our names, which are PyTorch's
    notes: tuple[Note, ...]  # what is different from the network that was given
    source: str  # whose names and layout they came with: "PyTorch" or "Keras"
    _export: Callable[[Mapping[str, np.ndarray]], dict[str, Any]]

    def export(self, state_dict: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Weights of ours by the names of the network that was loaded, all else of it unchanged.

        PyTorch, or a file of Keras: arrays by their names, for `module.load_state_dict` (after torch.from_numpy) or
        `save_weights`; a keras model: for each layer's name what its `set_weights` takes. Raises ValueError where one
        is missing or of another shape, and where that network has no room for a bias that is not 0.
        """
        if not isinstance(state_dict, Mapping):
            raise ValueError(f"state_dict: {type(state_dict).__name__}; allowed: arrays by name")
        if missing := [name for name in self.state_dict if name not in state_dict]:
            raise ValueError(f"state_dict: {missing[0]} is missing; allowed: all of {', '.join(self.state_dict)}")
        clean = {name: np.asarray(state_dict[name]) for name in self.state_dict}
        for name, value in clean.items():
            if value.dtype.kind not in "iuf" or value.shape != (shape := self.state_dict[name].shape):
                raise ValueError(f"{name}: {value.dtype} of shape {value.shape}; allowed: real numbers, {shape}")
        return self._export(clean)


def load_weights(
    source: Any, *, recurrent: str | Sequence[str] = (), head: str | None = None, nonlinearity: str = "tanh",
    **fields: Any,
) -> Loaded:  # fmt: skip
    """The recurrent layers, the head and the embedding of a network.

    source: a path to a .safetensors or .npz file, a PyTorch state dict, Keras's variables by their paths, a
    torch.nn.Module, or a keras.Model; torch and keras are asked for nothing but what the object itself has.
    `recurrent`: the names of the recurrent modules, from below, where there are several; `head`: the name of the linear
    layer that answers, where several could; `nonlinearity`: of a plain RNN in a file or state dict (in one of Keras of
    a GRU, too), which does not say it; `fields`: further fields of the experiment (task, loss, lr, …); without `task`,
    one of as many inputs and outputs, or `engine.noise`. Raises ValueError that names what does not fit: a
    bidirectional layer, projections, another cell, layers of different sizes, two candidates for the head.

    >>> import numpy as np, engine
    >>> rng = np.random.default_rng(0)
    >>> found = engine.load_weights({
    ...     "lstm.weight_ih_l0": rng.normal(size=(32, 3)), "lstm.weight_hh_l0": rng.normal(size=(32, 8)),
    ...     "fc.weight": rng.normal(size=(1, 8)), "fc.bias": np.zeros(1)})
    >>> found.experiment.cell, found.experiment.hidden_size, found.experiment.task
    ('lstm', 8, 'own:noise-3-1-mse')
    >>> found.notes[0]
    'The recurrent layers have no biases: here they are 0, but count in ‖g‖, and training changes them.'
    >>> t = engine.probe(found.experiment, found.state_dict, rng.normal(size=(20, 4, 3)), np.zeros(4))
    >>> t.grad_norms.shape
    (1, 20)
    """
    if not isinstance(nonlinearity, str) or nonlinearity not in ACTIVATIONS:
        raise ValueError(f"nonlinearity: {nonlinearity!r:.80}; allowed: {', '.join(ACTIVATIONS)}")
    if head is not None and not isinstance(head, str):
        raise ValueError(f"head: {head!r:.80}; allowed: the name of a linear layer, None")
    free = [name for name in Experiment.model_fields if name not in ITS_OWN]
    for name in fields:
        if name not in free:
            why = "the network itself says it" if name in ITS_OWN else "no field"
            raise ValueError(f"{name}: {why}; allowed: {', '.join(free)}")
    found = _find(source, _names(recurrent), head, nonlinearity)
    if found.nonlinearity not in ACTIVATIONS:
        raise ValueError(f"nonlinearity: {found.nonlinearity!r:.80}; allowed: {', '.join(ACTIVATIONS)}")
    first = found.layers[0]
    dtype = "float64" if first["weight_hh"].dtype == np.float64 else "float32"
    state = {f"{tensor}_l{layer}": value for layer, each in enumerate(found.layers) for tensor, value in each.items()}
    hidden = first["weight_hh"].shape[1]
    notes = list(found.notes)
    if found.head is None:
        notes.append(note("No linear layer after the recurrent ones was found: one output, drawn at random, is read."))
        bound = 1 / sqrt(hidden)
        found.head = {"weight": np.random.default_rng(0).uniform(-bound, bound, (1, hidden)), "bias": np.zeros(1)}
    state |= {f"head.{name}": value for name, value in found.head.items()}
    more: dict[str, Any] = {"dtype": dtype}
    if found.embedding is not None:
        state["embedding.weight"] = found.embedding
        more["embedding_dim"] = found.embedding.shape[1]
    if "task" not in fields:
        more["task"] = _task(found, len(found.head["bias"]), fields.get("loss"), notes)
    try:
        e = Experiment(
            cell=found.kind.removesuffix("_before"),
            reset_after=found.kind != "gru_before",
            nonlinearity=found.nonlinearity,
            hidden_size=hidden,
            num_layers=len(found.layers),
            **more | fields,
        )
    except ValidationError as wrong:
        raise ValueError(sentences(wrong)) from None
    clean = {name: frozen(np.array(value, e.dtype, order="C")) for name, value in state.items()}
    return Loaded(e, clean, tuple(notes), found.source, found.export)


def _task(found: Found, outputs: int, loss: str | None, notes: list[Note]) -> str:
    """A task of as many inputs and outputs, which the notes name: the first of the table, or noise."""
    symbols = found.embedding is not None
    inputs = len(found.embedding) if found.embedding is not None else found.layers[0]["weight_ih"].shape[1]
    wanted = loss or ("cross_entropy" if outputs > 1 or symbols else "mse")
    sizes = {"inputs": inputs, "outputs": outputs}
    for name, row in TASKS.items():
        fits = (row.input_size, row.output_size, row.loss) == (inputs, outputs, wanted)
        if fits and (row.symbols or not symbols):
            said = "Its task is {task}, which has as many inputs ({inputs}) and outputs ({outputs})."
            notes.append(note(said, task=name, **sizes))
            return name
    if wanted == "cross_entropy" and loss is None:
        notes.append(note("Targets are taken for classes, with the loss cross-entropy; mse takes them for numbers."))
    if max(inputs, outputs) > MOST_NOISE:
        said = "No task here is so wide (inputs: {inputs}, outputs: {outputs}): give it data of yours."
        notes.append(note(said, **sizes))
        return "text" if wanted == "cross_entropy" else "adding"
    said = "No task here fits it (inputs: {inputs}, outputs: {outputs}): it is shown on noise until it gets your data."
    notes.append(note(said, **sizes))
    return noise(inputs, outputs, wanted, symbols)


def _names(recurrent: Any) -> tuple[str, ...]:
    """As a tuple. ValueError unless it is a name, or several that differ."""
    names = (recurrent,) if isinstance(recurrent, str) else recurrent
    fits = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
    if not fits or len(set(names)) < len(names):
        raise ValueError(f"recurrent: {recurrent!r:.80}; allowed: the name of a layer, or several names, each once")
    return tuple(names)


def _find(source: Any, recurrent: Sequence[str], head: str | None, nonlinearity: str) -> Found:
    if from_keras.is_model(source):  # with torch below it, it is a torch module as well
        return from_keras.of_model(source, recurrent, head)
    if from_torch.is_module(source):
        return from_torch.of_module(source, recurrent, head)
    if isinstance(source, (str, Path)):
        source = read_arrays(source)
    if not isinstance(source, Mapping):
        allowed = "a .safetensors or .npz file, a state dict, a torch module, a keras model"
        raise Misfit("source: {kind}; allowed: {allowed}", kind=type(source).__name__, allowed=allowed)
    arrays = from_torch.as_arrays(source)
    library = from_keras_names if from_keras_names.are_keras(arrays) else from_torch
    return library.of_arrays(arrays, nonlinearity, recurrent, head)
