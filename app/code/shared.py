"""What the scripts for PyTorch and Keras share: the same data and the same first weights, in NumPy alone.

A script is a list of blocks, texts without blank lines around them. All that an experiment does not need is left out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent, indent
from typing import Any, Protocol

import engine
from app.code import own_data
from app.code.source import Source
from engine.cells import KINDS
from engine.streams import Purpose
from engine.tasks import Task

CELL_NAMES = {"rnn": "A plain RNN", "lstm": "An LSTM", "gru": "A GRU", "gru_before": "A GRU (reset before the product)"}
BLOCKS = {kind: cell.blocks for kind, cell in KINDS.items()}


START = "start.npz"  # the weights of a network that was handed in, by the engine's names


class Given(Protocol):
    """A file of weights that a run has begun with, and what had to be chosen of it."""

    @property
    def file(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


@dataclass
class Script:
    """The experiment, and what its script is made of so far."""

    e: engine.Experiment
    steps: int  # of training
    given: Given | None = None  # whose weights it begins with; None: they are drawn
    data: Source = field(default_factory=Source)  # what draws them
    weights: Source = field(default_factory=Source)
    imports: set[str] = field(default_factory=set)

    @property
    def task(self) -> Task:
        return engine.TASKS[self.e.task]

    @property
    def draw(self) -> str:
        """The name of the function that draws the data."""
        return "draw" if own_data.held_by(self.e) is not None else self.data.add(self.task.draw)

    @property
    def drawing(self) -> str:
        """Its text, with all that it needs."""
        if (data := own_data.held_by(self.e)) is not None:
            self.imports.add("import numpy as np")
            return own_data.drawing(self.e, data)
        self.data.add(self.task.draw)
        return self.data.text

    @property
    def files(self) -> list[str]:
        """The names of the files that have to lie beside it."""
        beside = own_data.beside(self.e)
        return [beside[0]] if beside else [path.name for path in self.data.files]

    @property
    def imported(self) -> set[str]:
        return self.imports | self.data.imports | self.weights.imports

    @property
    def inputs(self) -> int:
        """Numbers that the first layer gets at a timestep."""
        return self.e.embedding_dim or self.task.input_size

    @property
    def classes(self) -> bool:
        """Are the targets classes, and not numbers?"""
        return self.task.loss == "cross_entropy"


def block(text: str) -> str:
    return dedent(text).strip("\n")


def joined(imports: Iterable[str], title: str, *blocks: str) -> str:
    """A script: what it says, what it imports, and its blocks; functions and classes stand apart from the rest."""
    lines = [*title.splitlines(), "", *_ordered(imports), ""]
    inside = False  # of a function or class
    for line in "\n\n".join(b for b in blocks if b).splitlines():
        begins = line.startswith(("def ", "class ", "@"))
        if line and not line.startswith(" ") and (begins or inside) and not lines[-1].startswith("@"):
            while not lines[-1]:
                lines.pop()
            lines += ["", ""]
        if line and not line.startswith(" "):
            inside = begins
        lines.append(line)
    return "\n".join(lines) + "\n"


def _ordered(imports: Iterable[str]) -> list[str]:
    """The standard library first, names of one module in one line."""
    plain, names = set(), dict[str, set[str]]()
    for line in imports:
        if line.startswith("from "):
            module, name = line.removeprefix("from ").split(" import ")
            names.setdefault(module, set()).add(name)
        else:
            plain.add(line)
    lines = sorted(plain) + [f"from {m} import {', '.join(sorted(names[m]))}" for m in sorted(names)]
    standard = [line for line in lines if line.split()[1] in ("functools", "math", "pathlib", "itertools")]
    others = [line for line in lines if line not in standard]
    return [*standard, *([""] if standard and others else []), *others]


def title(s: Script, library: str, notes: Iterable[str], agrees: str) -> str:
    """The docstring: what it is, whether its curve is the explorer's, what it needs."""
    e = s.e
    names = s.files + ([START] if s.given is not None else [])
    files = ", and beside it the file " + " and ".join(names) if names else ""
    said = [
        f'"""{CELL_NAMES[e.kind]} on the task “{s.task.label}”, in {library}.',
        "",
        *(notes or [f"Data, first weights and losses are those of the RNN Gradient Explorer,\n{agrees}."]),
        f"Needs numpy and {library.lower().replace('pytorch', 'torch')}{files}.",
        '"""',
    ]
    return "\n".join(said)


def stream() -> str:
    return block('''
        def stream(*purpose):
            """One seed, and a stream of random numbers of its own for each purpose."""
            return np.random.Generator(np.random.PCG64(np.random.SeedSequence(SEED, spawn_key=purpose)))
    ''')


def drawn(s: Script, purpose: str, count: int) -> str:
    """The call that draws `count` sequences."""
    return f"{s.draw}({purpose}, seq_length={s.e.seq_length}, batch_size={count})"


def data(s: Script) -> str:
    """What draws the data, the training set and the order in which it is seen, if there is one."""
    e, draws = s.e, s.drawing
    if e.train_size is None:
        return draws
    whole = f"inputs, targets = {drawn(s, f'stream({Purpose.TRAINING_SET:d})', e.train_size)}  # the training set"
    if e.steps_per_epoch == 1:
        return f"{draws}\n\n{whole}"
    s.imports.add("from itertools import count")
    targets = "targets[:, chosen]" if s.task.every_step else "targets[chosen]"
    order = block(f'''
        def batches():
            """Step by step, all of it once an epoch, in an order of its own."""
            for epoch in count():
                order = stream({Purpose.ORDER:d}, epoch).permutation({e.train_size})
                for start in range(0, {e.train_size}, {e.sequences}):
                    chosen = order[start : start + {e.sequences}]
                    yield inputs[:, chosen], {targets}
    ''')
    return f"{draws}\n\n{whole}\n\n{order}"


def loop(s: Script) -> tuple[str, str]:
    """The head of the training loop, and the line in it that gets x and y, if any."""
    e = s.e
    if e.train_size is None:
        return "for step in range(STEPS):", f"    x, y = {drawn(s, f'stream({Purpose.DATA:d}, step)', e.sequences)}"
    if e.steps_per_epoch == 1:
        return "x, y = inputs, targets\nfor step in range(STEPS):", ""
    return "for step, (x, y) in zip(range(STEPS), batches()):", ""


def first_weights(s: Script, name: Callable[[str, str], str], head: str, embedding: str) -> str:
    """A function that draws them. `name`: (tensor, layer as it stands in the text) -> its key, as text."""
    if s.given is not None:
        return _given(s, name, head, embedding)
    e, blocks = s.e, BLOCKS[s.e.kind]
    row, below = engine.INITS[e.init], engine.INITS[e.input_init]
    recurrent, inputs = s.weights.add(row.draw), s.weights.add(below.draw_input or below.draw)
    many = e.num_layers > 1
    layer, width = ("layer", "inputs") if many else ("0", str(s.inputs))
    at = (lambda k: f"4 * layer + {k}" if k else "4 * layer") if many else str

    def tensor(place: int, draw: str, columns: str, whole: bool) -> str:
        rng = f"stream({Purpose.WEIGHTS:d}, {at(place)})"
        if whole or blocks == 1:
            rows = f"{blocks} * HIDDEN" if blocks > 1 else "HIDDEN"
            return f"{draw}({rng}, {rows}, {columns}, HIDDEN)"
        return f"gates({draw}, {rng}, {columns})"

    lines = [f"{name('weight_ih', layer)} = {tensor(0, inputs, width, below.whole)}"]
    gain = "" if e.gain == 1 else f"{e.gain!r} * "
    lines.append(f"{name('weight_hh', layer)} = {gain}{tensor(1, recurrent, 'HIDDEN', row.whole)}")
    size = f"{blocks} * HIDDEN" if blocks > 1 else "HIDDEN"
    for place, bias in ((2, "bias_ih"), (3, "bias_hh")):
        drawn = f"stream({Purpose.WEIGHTS:d}, {at(place)}).uniform(-bound, bound, {size})"
        lines.append(f"{name(bias, layer)} = {drawn if e.init == 'pytorch' else f'np.zeros({size})'}")
    lines += _kept(s, name, layer)
    if many:
        lines = [f"for layer in range({e.num_layers}):", f"    inputs = HIDDEN if layer else {s.inputs}",
                 *("    " + line for line in lines)]  # fmt: skip
    outputs, seed = s.task.output_size, f"stream({Purpose.WEIGHTS:d}, 1 << 20"
    lines.append(f'w["{head}weight"] = {seed}, 2).uniform(-bound, bound, ({outputs}, HIDDEN))')
    lines.append(f'w["{head}bias"] = {seed}, 1).uniform(-bound, bound, {outputs})')
    if e.embedding_dim is not None:
        table = f"({s.task.input_size}, {e.embedding_dim})"
        lines.append(f'w["{embedding}weight"] = stream({Purpose.WEIGHTS:d}, 1 << 21).standard_normal({table})')
    body = "\n".join(["w, bound = {}, HIDDEN**-0.5", *lines, "return w"])
    head_line = 'def first_weights():\n    """Every tensor by its name, each drawn from a stream of its own."""\n'
    return head_line + indent(body, "    ")


def _given(s: Script, name: Callable[[str, str], str], head: str, embedding: str) -> str:
    """A function that reads them."""
    layers = range(s.e.num_layers)
    tensors = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    lines = [f'{name(tensor, str(layer))} = given["{tensor}_l{layer}"]' for layer in layers for tensor in tensors]
    lines += [f'w["{head}{part}"] = given["head.{part}"]' for part in ("weight", "bias")]
    if s.e.embedding_dim is not None:
        lines.append(f'w["{embedding}weight"] = given["embedding.weight"]')
    body = indent("\n".join([f'w, given = {{}}, np.load("{START}")', *lines, "return w"]), "    ")
    return f'def first_weights():\n    """Those of the file that the run began with."""\n{body}'


def _kept(s: Script, name: Callable[[str, str], str], layer: str) -> list[str]:
    """The lines that set the biases of the gates that keep and write."""
    e, cell = s.e, KINDS[s.e.kind]
    draw = engine.INITS[e.init].bias

    def rows(block: int) -> str:
        first, last = ("", "HIDDEN", "2 * HIDDEN", "3 * HIDDEN", "4 * HIDDEN")[block : block + 2]
        return f"{first} : {last}" if first else f":{last}"

    def effective(block: int, value: str, what: str) -> list[str]:
        lines = [f"{name('bias_ih', layer)}[{rows(block)}] = {value}  # {what}"]
        if e.init == "pytorch":
            lines.append(f"{name('bias_hh', layer)}[{rows(block)}] = 0")
        return lines

    if draw is not None and cell.keep is not None:
        call = f"{s.weights.add(draw)}(stream({Purpose.WEIGHTS:d}, 1 << 22, {layer}), HIDDEN, {e.steps})"
        lines = effective(cell.keep, call, "the gate that keeps")
        if cell.write is not None:
            kept = f"{name('bias_ih', layer)}[{rows(cell.keep)}]"
            lines += effective(cell.write, f"-{kept}", "the gate that writes")
        return lines
    if cell.forget is not None and (e.forget_bias or e.init == "pytorch"):
        return effective(cell.forget, repr(e.forget_bias), "the forget gate")
    return []


def gates(s: Script) -> str:
    """A helper where weights are drawn gate by gate."""
    e, blocks = s.e, BLOCKS[s.e.kind]
    if s.given is not None:
        return ""
    if blocks == 1 or (engine.INITS[e.init].whole and engine.INITS[e.input_init].whole):
        return ""
    return block(f'''
        def gates(draw, rng, columns):
            """One block a gate, one below the other."""
            return np.concatenate([draw(rng, HIDDEN, columns, HIDDEN) for _ in range({blocks})])
    ''')
