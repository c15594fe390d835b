"""The Keras script of an experiment: layers and training loop of plain Keras 3, for any of its backends.

Keras' cells are PyTorch's in another dress, but for two things. They have one bias where PyTorch's have two, whose sum
moves twice as far in a step: a constant input of 1 is the other. And some of its rules of training have another form
(see keras_optimizer.py).
"""

from collections.abc import Sequence

import engine
from app.code.keras_optimizer import made_optimizer, optimizer, rate, warm_up
from app.code.shared import Given, Script, block, data, first_weights, gates, joined, loop, stream, title

LAYERS = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU", "gru_before": "GRU"}
ACTIVATIONS = {
    "tanh": '"tanh"', "relu": '"relu"', "sigmoid": '"sigmoid"', "identity": '"linear"',
    "leaky_relu": "lambda x: keras.ops.leaky_relu(x, 0.01)", "elu": '"elu"', "softsign": '"softsign"',
    "hardtanh": '"hard_tanh"',
}  # fmt: skip
LOSSES = {"mse": '"mse"', "cross_entropy": "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"}


def keras_script(
    e: engine.Experiment, steps: int, notes: Sequence[str] = (), given: Given | None = None
) -> str:  # fmt: skip
    """It trains for so many steps and prints the loss; `notes` say why its curve is another, where it is."""
    s = Script(e, steps, given)
    s.imports |= {"import numpy as np", "import keras"}
    constants = f"SEED, STEPS, HIDDEN = {e.seed}, {steps}, {e.hidden_size}"
    if e.dtype == "float64":
        constants += '\nkeras.config.set_floatx("float64")'
    sequences = data(s)
    weights = first_weights(s, lambda tensor, layer: _key(tensor, layer), "head.", "embedding.")
    own = [_with_one(s), _cell(s), _truncated(s), warm_up(s), optimizer(s)]
    after = [*own, _model(s), _training(s)]
    if "ops." in "".join(own).replace("keras.ops.", ""):
        s.imports.add("from keras import ops")
    agrees = "to about 1e-5, unless the network is chaotic and roundings grow"
    head = title(s, "Keras", notes, agrees)
    return joined(s.imported, head, constants, stream(), sequences, s.weights.text, gates(s), weights, *after)


def _key(tensor: str, layer: str) -> str:
    return f'w[f"{tensor}_l{{layer}}"]' if layer == "layer" else f'w["{tensor}_l{layer}"]'


def _two_biases(s: Script) -> bool:
    """Has Keras' layer both of PyTorch's biases?"""
    return s.e.kind == "gru"


def _with_one(s: Script) -> str:
    if _two_biases(s):
        return ""
    return block('''
        class WithOne(keras.layers.Layer):
            """A constant input: its weights are the second bias that PyTorch's cells have and Keras' have not."""

            def call(self, x):
                return keras.ops.concatenate([x, keras.ops.ones_like(x[..., :1])], axis=-1)
    ''')


def _own_cell(s: Script) -> bool:
    """An LSTM whose φ is another: Keras would use it for tanh c, too."""
    return s.e.cell == "lstm" and s.e.nonlinearity != "tanh"


def _cell(s: Script) -> str:
    if not _own_cell(s):
        return ""
    name = ACTIVATIONS[s.e.nonlinearity]
    return block(f'''
        class Cell(keras.layers.LSTMCell):
            """An LSTM with φ = {s.e.nonlinearity} for what is new, and tanh for what is shown."""

            def call(self, x, states, training=False):
                h, c = states
                z = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
                i, f, g, o = ops.split(z, 4, axis=-1)
                c = ops.sigmoid(f) * c + ops.sigmoid(i) * self.activation(g)
                h = ops.sigmoid(o) * ops.tanh(c)
                return h, [h, c]


        PHI = {name}
    ''')


def _truncated(s: Script) -> str:
    if s.e.tbptt is None:
        return ""
    return block(f'''
        class Truncated(keras.layers.Layer):
            """A layer in parts of {s.e.tbptt} timesteps: no gradient passes from one part to the one before."""

            def __init__(self, layer):
                super().__init__()
                self.layer = layer
                layer.return_sequences = layer.return_state = True

            def build(self, shape):
                self.layer.build(shape)

            def call(self, x):
                state, parts = None, []
                for t in range(0, x.shape[1], {s.e.tbptt}):
                    h, *state = self.layer(x[:, t : t + {s.e.tbptt}], initial_state=state)
                    state = [ops.stop_gradient(part) for part in state]
                    parts.append(h)
                return ops.concatenate(parts, axis=1)
    ''')


def _model(s: Script) -> str:
    e, task = s.e, s.task
    lines = [
        f'keras.Input(({e.steps},), dtype="int32"),'
        if e.embedding_dim
        else f"keras.Input(({e.steps}, {task.input_size})),"
    ]
    if e.embedding_dim is not None:
        lines.append(f"keras.layers.Embedding({task.input_size}, {e.embedding_dim}),")
    for layer in range(e.num_layers):
        if layer and e.dropout:
            mask = ", noise_shape=(None, 1, HIDDEN)" if e.variational_dropout else ""
            lines.append(f"keras.layers.Dropout({e.dropout!r}{mask}),")
        if not _two_biases(s):
            lines.append("WithOne(),")
        lines.append(_layer(s, last=layer == e.num_layers - 1) + ",")
    if e.tbptt is not None and not task.every_step:
        lines.append("keras.layers.Lambda(lambda h: h[:, -1]),")
    lines.append(f"keras.layers.Dense({task.output_size}),")
    made = "\n".join(["model = keras.Sequential(", "    [", *("        " + line for line in lines), "    ]", ")"])
    return made + "\n\n" + _weights(s)


def _layer(s: Script, last: bool) -> str:
    e = s.e
    whole = (not last or s.task.every_step) and e.tbptt is None  # Truncated asks for all states by itself
    options = ["return_sequences=True"] * whole
    if _own_cell(s):
        layer = _call("keras.layers.RNN", ["Cell(HIDDEN, activation=PHI)", *options])
    else:
        phi = [f"activation={ACTIVATIONS[e.nonlinearity]}"] if e.nonlinearity != "tanh" else []
        before = ["reset_after=False"] if e.kind == "gru_before" else []
        layer = _call(f"keras.layers.{LAYERS[e.kind]}", ["HIDDEN", *phi, *before, *options])
    return f"Truncated({layer})" if e.tbptt is not None else layer


def _call(name: str, given: list[str]) -> str:
    return f"{name}({', '.join(given)})"


def _weights(s: Script) -> str:
    """Puts PyTorch's tensors where Keras has them."""
    e = s.e
    order = "[ORDER]" if e.cell == "gru" else ""
    lines = ["w = first_weights()"]
    if order:
        lines.append("ORDER = np.arange(3 * HIDDEN).reshape(3, HIDDEN)[[1, 0, 2]].ravel()  # Keras' gates are z, r, n")
    lines.append("tensors = []" if e.embedding_dim is None else 'tensors = [w["embedding.weight"]]')
    key = (lambda t: _key(t, "layer")) if e.num_layers > 1 else (lambda t: _key(t, "0"))
    kernel = f"{key('weight_ih')}{order}.T"
    if _two_biases(s):
        three = [kernel, f"{key('weight_hh')}{order}.T", f"np.stack([{key('bias_ih')}, {key('bias_hh')}])[:, ORDER]"]
    else:
        three = [
            f"np.vstack([{kernel}, {key('bias_ih')}{order}])",
            f"{key('weight_hh')}{order}.T",
            f"{key('bias_hh')}{order}",
        ]
    lines += [f"for layer in range({e.num_layers}):"] if e.num_layers > 1 else []
    indent = "    " if e.num_layers > 1 else ""
    lines += [f"{indent}tensors += [", *(f"{indent}    {part}," for part in three), f"{indent}]"]
    lines.append('model.set_weights([*tensors, w["head.weight"].T, w["head.bias"]])')
    return "\n".join(lines)


def _training(s: Script) -> str:
    e, every = s.e, s.task.every_step
    loss = LOSSES[e.loss_name]
    before, drawn = loop(s)
    *first, head = before.splitlines()
    x = "x.argmax(2).T" if e.embedding_dim else "x.swapaxes(0, 1)"
    y = "y.swapaxes(0, 1)" if every else "y"
    if s.classes and e.loss_name == "mse":
        y = f"np.eye({s.task.output_size})[{y}]"
    swapped = f"x, y = {x}, {y}  # Keras has the batch first"
    lines = [
        *rate(e),
        f"optimizer = {made_optimizer(e)}",
        f"model.compile(optimizer, loss={loss})",
        "",
        "losses = []",
        *first,
        *([swapped] if first else []),
        head,
        *([drawn] if drawn else []),
        *([] if first else ["    " + swapped]),
        "    losses.append(float(model.train_on_batch(x, y)))",
        "    if step % 10 == 0:",
        '        print(f"step {step}: loss {losses[-1]:.6g}")',
    ]
    if e.stop_loss is not None:
        lines += [f"    if losses[-1] <= {e.stop_loss!r}:", "        break"]
    return "\n".join(lines)
