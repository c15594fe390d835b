"""Somebody's own network, from a file of weights: what was found, the controls that fit it, and its way out again.

A file is read as arrays of numbers and never as code. It lives in the session that it was given to, and nowhere else.
No Streamlit in here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from pydantic import ValidationError

import engine
from app import link, settings
from app.words import N_, _, listed
from engine.foreign import Misfit, read_arrays
from engine.foreign.files import packed
from engine.parameters import shapes
from engine.tasks import Task

LARGEST_FILE = 32  # MB that a visitor may hand in
MOST_BYTES = 64 << 20  # of it unpacked
MOST_KEPT = 3  # networks of a session, for undo;
MOST_KEPT_BYTES = 96 << 20  # and of their weights together, but for the newest
LONGEST = 60  # characters of a name in a file, or of the file's own
ITS_OWN = ("cell", "reset_after", "nonlinearity", "hidden_size", "num_layers", "embedding_dim", "dtype")
DRAWN = ("init", "gain", "input_init", "forget_bias")  # how weights are drawn: of no effect on given ones
SMALLER = ((100, 32), (50, 16), (20, 8), (10, 4), (5, 2), (2, 1))  # length and batch, where the first are too much
KINDS = {  # of a network, in a sentence
    "rnn": N_("a plain RNN"), "lstm": N_("an LSTM"), "gru": N_("a GRU"), "gru_before": N_("a GRU (reset before)"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Network:
    """A network that was handed in. `key`: the same for the same file and choices."""

    key: str
    file: str  # its name, as it may be shown
    loaded: engine.Loaded
    options: Mapping[str, Any]  # of load_weights, where something had to be chosen
    values: Mapping[str, Any]  # of all controls, as they were set for it

    @property
    def state_dict(self) -> Mapping[str, np.ndarray]:
        return self.loaded.state_dict

    @property
    def size(self) -> int:
        """Bytes of its weights."""
        return sum(value.nbytes for value in self.state_dict.values())

    def fits(self, e: engine.Experiment) -> bool:
        """Is it a network of this shape, and are its weights not asked to be drawn in another way?"""
        same = all(getattr(e, field) == _effective(self.values)[field] for field in DRAWN)
        return same and self.has_shape(e)

    def has_shape(self, e: engine.Experiment) -> bool:
        task = engine.TASKS[e.task]
        sizes = task.input_size, e.hidden_size, e.num_layers, task.output_size, e.embedding_dim
        return shapes(e.kind, *sizes) == {name: value.shape for name, value in self.state_dict.items()}

    @property
    def sizes(self) -> tuple[int, int]:
        """How many inputs and outputs it has: of symbols, where it embeds them, how many there are."""
        embedding = self.state_dict.get("embedding.weight")
        inputs = self.state_dict["weight_ih_l0"].shape[1] if embedding is None else len(embedding)
        return inputs, len(self.state_dict["head.bias"])

    def packed(self, state_dict: Mapping[str, np.ndarray], suffix: str) -> bytes:
        """A file of weights, by the names and in the layout of the one that was handed in. Raises ValueError where that
        network has no place for one of them."""
        return packed(self.loaded.export(state_dict), suffix)


def _effective(values: Mapping[str, Any]) -> dict[str, Any]:
    return settings.effective({**settings.DEFAULTS, **values})


def read(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    """The arrays of a file of so many bytes. Raises ValueError with a sentence for readers."""
    if size > LARGEST_FILE << 20:
        most = _("This file has {size} MB; allowed are {most}.")
        raise ValueError(most.format(size=-(-size >> 20), most=LARGEST_FILE))
    try:
        return read_arrays(file, MOST_BYTES)
    except OSError as error:
        raise Misfit("{error}", error=error) from None


def network(
    arrays: Mapping[str, np.ndarray], file: str, values: Mapping[str, Any], recurrent: Sequence[str] = (),
    head: str | None = None,
) -> Network:  # fmt: skip
    """What the arrays hold, with the controls that fit: those of the network from it, all others from `values`.

    The task stays where it has as many inputs and outputs. Raises Ambiguous where the reader has to choose, ValueError
    with what does not fit, here or on this server.
    """
    options: dict[str, Any] = {
        name: value for name, value in (("recurrent", tuple(recurrent)), ("head", head)) if value
    }
    loaded = engine.load_weights(arrays, **options)
    its = {field: getattr(loaded.experiment, field) for field in ITS_OWN}
    for field, value in its.items():
        if not settings.accepts(field, value):
            said = _("{field} is {value} in this file; this server allows {allowed}.")
            title = _(engine.Experiment.model_fields[field].title or field)
            raise ValueError(said.format(field=title, value=f"{value:,}", allowed=settings.allowed(field)))
    digest = hashlib.sha256(repr((file, sorted(options.items()))).encode())
    for name, array in arrays.items():
        digest.update(name.encode(errors="replace") + str(array.dtype).encode() + array.tobytes())
    found = Network(digest.hexdigest()[:24], shown(file), loaded, options, {})
    kept = {**values, **its}
    e = _fitting(kept)
    if e is not None and found.has_shape(e):
        return replace(found, values=kept)
    if not found.has_shape(loaded.experiment):  # too wide for noise, too: fresh weights would stand in its place
        raise Misfit(loaded.notes[-1].message, **loaded.notes[-1].values)
    kept |= {"task": str(loaded.experiment.task), "loss": None}
    first = (kept["seq_length"], kept["batch_size"])
    for length, batch in (first, *(pair for pair in SMALLER if pair[0] <= first[0] and pair[1] <= first[1])):
        tried = kept | {"seq_length": length, "batch_size": batch}
        if _fitting(tried) is not None:
            return replace(found, values=tried)
    link.experiment(kept)  # which says why
    raise ValueError(_("These settings do not go together."))


def _fitting(values: Mapping[str, Any]) -> engine.Experiment | None:
    try:
        return link.experiment(values)
    except ValueError:
        return None


def shown(text: str) -> str:
    """A name from a file as it may be shown: short and printable."""
    clean = "".join(c if c.isprintable() else "·" for c in text[: LONGEST + 1])
    return f"{clean[:LONGEST]}…" if len(clean) > LONGEST else clean


def why(error: ValueError) -> str:
    """What an error says, in the reader's language, short and printable."""
    said = str(error)
    if isinstance(error, Misfit):
        said = _(error.message).format(**_named(error.values))
    elif isinstance(refused := error.__context__ or error, ValidationError):  # the engine's sentence is in English
        said = link.said(refused)
    return "".join(c if c.isprintable() else "·" for c in said[:500])


def found(n: Network) -> list[str]:
    """What was found, and what a reader should know of it: sentences."""
    e = n.loaded.experiment
    inputs, outputs = n.sizes
    about = _("{file}: {cell}, by the names of {library}. Layers: {L}, units: {H}, inputs: {I}, outputs: {O}.").format(
        file=n.file, cell=_(KINDS[e.kind]), library=n.loaded.source, L=e.num_layers, H=e.hidden_size,
        I=inputs, O=outputs,
    )  # fmt: skip
    said = [about]
    if e.cell == "rnn":
        said.append(
            _("A file does not say the activation of a plain RNN: tanh is assumed, and the control changes it.")
        )
    for note in n.loaded.notes:
        if "inputs" not in note.values or n.values["task"] == e.task:  # not of another task than it has here
            said.append(_(note.message).format(**_named(note.values)))
    if not all(np.isfinite(value).all() for value in n.state_dict.values()):
        names = [name for name, value in n.state_dict.items() if not np.isfinite(value).all()]
        said.append(_("Not all of its numbers are finite: {names}.").format(names=listed(names[:4])))
    if not any(np.any(value) for value in n.state_dict.values()):
        said.append(_("All of its weights are 0: no gradient flows."))
    return said


def misfit(n: Network, data: Task) -> list[str]:
    """Why its weights would make way for fresh ones with these data, and what would keep them: sentences; []: they
    fit."""
    (inputs, outputs), embeds = n.sizes, n.loaded.experiment.embedding_dim is not None
    if (data.input_size, data.output_size) == (inputs, outputs) and (data.symbols or not embeds):
        return []
    text = _(
        "{file} (inputs: {I}, outputs: {O}) does not fit these data (inputs: {i}, outputs: {o}): with them the run "
        "begins with fresh weights."
    )
    said = [text.format(file=n.file, I=inputs, O=outputs, i=data.input_size, o=data.output_size)]
    if data.symbols and inputs == outputs:
        text = _("To keep its weights, set “{control}” to {n}.")
        said.append(text.format(control=_("Different characters"), n=inputs))
    elif data.symbols:
        said.append(_("To keep its weights, bring a table: with a text it has as many outputs as inputs."))
    elif embeds:
        said.append(_("To keep its weights, bring a text: it reads symbols, no numbers."))
    else:
        text = _("To keep its weights, choose as many columns: {I} that it hears, {O} that it has to predict.")
        said.append(text.format(I=inputs, O=outputs))
    return said


def _named(values: Mapping[str, object]) -> dict[str, object]:
    """Names as they may be shown, and the task as the reader knows it."""
    short: dict[str, object] = {
        name: value if isinstance(value, int | float) or name == "call" else shown(str(value))
        for name, value in values.items()
    }
    if "task" in values:
        short["task"] = _(engine.TASKS[str(values["task"])].label, "task")
    return short
