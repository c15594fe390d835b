"""The PyTorch script of an experiment: what one would write by hand for this very one, and the same numbers."""

from collections.abc import Sequence
from textwrap import indent

import engine
from app.code.shared import BLOCKS, Given, Script, block, data, first_weights, gates, joined, loop, stream, title

# Activations as a call; the modules of PyTorch know the first two by name.
PHI = {
    "tanh": "{}.tanh()", "relu": "{}.relu()", "sigmoid": "{}.sigmoid()", "identity": "{}",
    "leaky_relu": "F.leaky_relu({})", "elu": "F.elu({})", "softsign": "F.softsign({})", "hardtanh": "F.hardtanh({})",
}  # fmt: skip
MODULES = {"rnn": "nn.RNN", "lstm": "nn.LSTM", "gru": "nn.GRU"}
# A timestep, from x_t = W_ih x + b_ih, for a cell that PyTorch does not have; {phi} is the activation of what it takes.
STEPS = {
    "rnn": ["h = {phi:(x_t + F.linear(h, self.weight_hh, self.bias_hh))}"],
    "lstm": [
        "i, f, g, o = (x_t + F.linear(h, self.weight_hh, self.bias_hh)).chunk(4, 1)",
        "c = f.sigmoid() * c + i.sigmoid() * {phi:g}",
        "h = o.sigmoid() * c.tanh()",
    ],
    "gru": [
        "(x_r, x_z, x_n), (h_r, h_z, h_n) = x_t.chunk(3, 1), F.linear(h, self.weight_hh, self.bias_hh).chunk(3, 1)",
        "r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()",
        "n = {phi:(x_n + r * h_n)}",
        "h = (1 - z) * n + z * h",
    ],
    "gru_before": [
        "x_r, x_z, x_n = x_t.chunk(3, 1)",
        "h_r, h_z = F.linear(h, w_rz, b_rz).chunk(2, 1)",
        "r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()",
        "n = {phi:(x_n + F.linear(r * h, w_n, b_n))}",
        "h = (1 - z) * n + z * h",
    ],
}
BEFORE = [  # of the time loop
    "w_rz, w_n = self.weight_hh.split((2 * HIDDEN, HIDDEN))",
    "b_rz, b_n = self.bias_hh.split((2 * HIDDEN, HIDDEN))",
]
OPTIMIZERS = {  # the class, and what it takes beside parameters, lr and weight_decay
    "sgd": ("torch.optim.SGD", ""),
    "momentum": ("torch.optim.SGD", "momentum={momentum!r}"),
    "nesterov": ("torch.optim.SGD", "momentum={momentum!r}, nesterov=True"),
    "adagrad": ("torch.optim.Adagrad", ""),
    "rmsprop": ("torch.optim.RMSprop", ""),
    "adadelta": ("torch.optim.Adadelta", ""),
    "dynamic": ("torch.optim.RMSprop", "alpha=0.9"),
    "adam": ("torch.optim.Adam", ""),
    "adam_uncorrected": ("UncorrectedAdam", ""),
    "adamw": ("torch.optim.AdamW", ""),
}
UNCORRECTED = '''
    class UncorrectedAdam(torch.optim.Optimizer):
        """Adam without its bias correction."""

        def __init__(self, parameters, lr, weight_decay=0.0):
            super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    g, kept = p.grad + group["weight_decay"] * p, self.state[p]
                    kept["m"] = 0.9 * kept.get("m", 0) + 0.1 * g
                    kept["v"] = 0.999 * kept.get("v", 0) + 0.001 * g**2
                    p -= group["lr"] * kept["m"] / (kept["v"].sqrt() + 1e-8)
'''
CLIPS = {
    "none": (),
    "norm": ("nn.utils.clip_grad_norm_(model.parameters(), {c!r})",),
    "value": ("nn.utils.clip_grad_value_(model.parameters(), {c!r})",),
    "param_norm": ("for p in model.parameters():", "    p.grad *= {c!r} / p.grad.norm().clamp(min={c!r})"),
    "unit": ("for p in model.parameters():", "    p.grad /= p.grad.abs().clamp(min={c!r})"),
}
SCHEDULES = {  # PyTorch's own, or the factor on lr as a function of the step k
    "constant": "",
    "exponential": "ExponentialLR(optimizer, {f!r} ** (1 / {n}))",
    "linear": "LinearLR(optimizer, 1.0, {f!r}, {n})",
    "cosine": "LambdaLR(optimizer, lambda k: {f!r} + (1 - {f!r}) * (1 + cos(pi * min(k / {n}, 1))) / 2)",
    "step": "StepLR(optimizer, {n}, {f!r})",
    "warm_up": "LambdaLR(optimizer, lambda k: min((k + 1) / {n}, 1))",
}


class _Phi:
    """For the templates above: {phi:…} is the activation of whatever stands there."""

    def __init__(self, name: str) -> None:
        self.call = PHI[name]

    def __format__(self, what: str) -> str:
        if self.call == "{}":
            return what[1:-1] if what.startswith("(") else what
        return self.call.format(what if self.call.startswith("{}") or not what.startswith("(") else what[1:-1])


def torch_script(
    e: engine.Experiment, steps: int, notes: Sequence[str] = (), given: Given | None = None
) -> str:  # fmt: skip
    """It trains for so many steps and prints the loss; `notes` say why its curve is another, where it is."""
    s = Script(e, steps, given)
    s.imports |= {"import numpy as np", "import torch", "from torch import nn"}
    constants = f"SEED, STEPS, HIDDEN = {e.seed}, {steps}, {e.hidden_size}"
    if e.dtype == "float64":
        constants += "\ntorch.set_default_dtype(torch.float64)"
    own = [_cell(s) if written_out(e) else "", block(UNCORRECTED) if e.optimizer == "adam_uncorrected" else ""]
    sequences, weights = data(s), _weights(s)
    after = [*own, _network(s), _training(s)]
    if "F." in "".join(after):
        s.imports.add("import torch.nn.functional as F")
    if "lr_scheduler." in after[-1]:
        s.imports.add("from torch.optim import lr_scheduler")
    if "cos(" in after[-1]:
        s.imports |= {"from math import cos", "from math import pi"}
    agrees = f"to about {'1e-8' if e.dtype == 'float64' else '1e-5'}, unless the network is chaotic and roundings grow"
    head = title(s, "PyTorch", notes, agrees)
    return joined(s.imported, head, constants, stream(), sequences, s.weights.text, gates(s), weights, *after)


def written_out(e: engine.Experiment) -> bool:
    """Is its cell none of PyTorch's modules, or its dropout?"""
    known = ("tanh", "relu") if e.cell == "rnn" else ("tanh",)
    variational = e.variational_dropout and e.dropout > 0 and e.num_layers > 1
    return e.kind not in MODULES or e.nonlinearity not in known or variational


def _cell(s: Script) -> str:
    e = s.e
    phi, rows = _Phi(e.nonlinearity), f"{BLOCKS[e.kind]} * HIDDEN" if BLOCKS[e.kind] > 1 else "HIDDEN"
    state = "h = c =" if e.cell == "lstm" else "h ="
    names = "h, c" if e.cell == "lstm" else "h"
    cut = "h, c = h.detach(), c.detach()" if e.cell == "lstm" else "h = h.detach()"
    step = [line.format(phi=phi) for line in STEPS[e.kind]]
    loop = ["for x_t in F.linear(x, self.weight_ih, self.bias_ih):"]
    if e.tbptt is not None:
        loop = [
            "for t, x_t in enumerate(F.linear(x, self.weight_ih, self.bias_ih)):",
            f"    if t % {e.tbptt} == 0:  # no gradient passes from here to the timestep before",
            f"        {cut}",
        ]
    body = [
        *(BEFORE if e.kind == "gru_before" else ()),
        f"{state} torch.zeros(x.shape[1], HIDDEN)",
        "states = []",
        *loop,
        *("    " + line for line in step),
        "    states.append(h)",
        "return torch.stack(states)",
    ]
    return (
        block(f'''
        class Recurrent(nn.Module):
            """One layer, written out: state {names}, φ = {e.nonlinearity}."""

            def __init__(self, inputs):
                super().__init__()
                self.weight_ih = nn.Parameter(torch.empty({rows}, inputs))
                self.weight_hh = nn.Parameter(torch.empty({rows}, HIDDEN))
                self.bias_ih = nn.Parameter(torch.empty({rows}))
                self.bias_hh = nn.Parameter(torch.empty({rows}))

            def forward(self, x):  # (T, B, inputs) -> (T, B, HIDDEN)
    ''')
        + "\n"
        + indent("\n".join(body), "        ")
    )


def _network(s: Script) -> str:
    e, task = s.e, s.task
    made, run = [], []
    if e.embedding_dim is not None:
        made.append(f"self.embedding = nn.Embedding({task.input_size}, {e.embedding_dim})")
        run.append("x = self.embedding(x.argmax(2))")
    if written_out(e):
        made.append(f"self.rnn = nn.ModuleList([{', '.join(_layers(s))}])")
        run += _through_layers(s)
    else:
        options = [str(s.inputs), "HIDDEN"]
        options += [f"num_layers={e.num_layers}"] if e.num_layers > 1 else []
        options += ['nonlinearity="relu"'] if e.cell == "rnn" and e.nonlinearity == "relu" else []
        options += [f"dropout={e.dropout!r}"] if e.dropout and e.num_layers > 1 else []
        made.append(f"self.rnn = {MODULES[e.kind]}({', '.join(options)})")
        run += _through_module(s)
    made.append(f"self.head = nn.Linear(HIDDEN, {task.output_size})")
    read, shape = ("x", f"(T, B, {task.output_size})") if task.every_step else ("x[-1]", f"(B, {task.output_size})")
    run.append(f"return self.head({read})")
    lines = [
        "class Network(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        *("        " + line for line in made),
        "",
        f"    def forward(self, x):  # (T, B, {task.input_size}) -> {shape}",
        *("        " + line for line in run),
    ]
    return "\n".join(lines)


def _layers(s: Script) -> list[str]:
    return [f"Recurrent({s.inputs})", *["Recurrent(HIDDEN)"] * (s.e.num_layers - 1)]


def _through_layers(s: Script) -> list[str]:
    e = s.e
    if not e.dropout or e.num_layers == 1:
        return ["for layer in self.rnn:", "    x = layer(x)"]
    mask = "torch.ones_like(x[:1])" if e.variational_dropout else "torch.ones_like(x)"
    about = "  # one mask for all timesteps" if e.variational_dropout else ""
    return [
        "x = self.rnn[0](x)",
        "for layer in self.rnn[1:]:",
        f"    x = layer(x * F.dropout({mask}, {e.dropout!r}, self.training)){about}",
    ]


def _through_module(s: Script) -> list[str]:
    e = s.e
    if e.tbptt is None:
        return ["x, _ = self.rnn(x)"]
    cut = "tuple(part.detach() for part in state)" if e.cell == "lstm" else "state.detach()"
    return [
        "state, states = None, []",
        f"for part in x.split({e.tbptt}):",
        "    h, state = self.rnn(part, state)",
        f"    state = {cut}  # no gradient passes from one part to the one before",
        "    states.append(h)",
        "x = torch.cat(states)",
    ]


def _weights(s: Script) -> str:
    """`first_weights` with the names that this network's state_dict has."""
    written = written_out(s.e)

    def name(tensor: str, layer: str) -> str:
        place = f"{{{layer}}}" if layer == "layer" else layer
        key = f"rnn.{place}.{tensor}" if written else f"rnn.{tensor}_l{place}"
        return f'w[{"f" if layer == "layer" else ""}"{key}"]'

    return first_weights(s, name, "head.", "embedding.")


def _loss(s: Script) -> str:
    e, flat = s.e, s.task.every_step
    if e.loss_name == "cross_entropy":
        return "F.cross_entropy(model(x).flatten(0, 1), y.flatten())" if flat else "F.cross_entropy(model(x), y)"
    if s.classes:
        return f"F.mse_loss(model(x), F.one_hot(y, {s.task.output_size}).to(x.dtype))"
    return "F.mse_loss(model(x), y)"


def _training(s: Script) -> str:
    e = s.e
    cast = "" if e.dtype == "float64" else ".float()"
    as_tensors = f"x, y = torch.tensor(x){cast}, torch.tensor(y){'' if s.classes else cast}"
    name, options = OPTIMIZERS[e.optimizer]
    given = [f"lr={e.lr!r}", options.format(momentum=e.momentum)]
    if e.weight_decay or e.optimizer == "adamw":  # AdamW's own default is not 0
        given.append(f"weight_decay={e.weight_decay!r}")
    schedule = SCHEDULES[e.schedule].format(f=e.schedule_factor, n=e.schedule_steps)
    before, drawn = loop(s)
    once = before.count("\n")  # the whole set is every batch: it becomes tensors once
    lines = [
        "model = Network()",
        "model.load_state_dict({name: torch.tensor(value) for name, value in first_weights().items()})",
        f"optimizer = {name}(model.parameters(), {', '.join(g for g in given if g)})",
        *([f"schedule = lr_scheduler.{schedule}"] if schedule else []),
        "",
        "losses = []",
        *([as_tensors.replace("tensor(x)", "tensor(inputs)").replace("tensor(y)", "tensor(targets)")] if once else []),
        before.splitlines()[-1],
        *([drawn] if drawn else []),
        *([] if once else ["    " + as_tensors]),
        f"    loss = {_loss(s)}",
        "    optimizer.zero_grad()",
        "    loss.backward()",
        *("    " + line.format(c=e.clip_threshold) for line in CLIPS[e.clip]),
        "    optimizer.step()",
        *(["    schedule.step()"] if schedule else []),
        "    losses.append(loss.item())",
        "    if step % 10 == 0:",
        '        print(f"step {step}: loss {losses[-1]:.6g}")',
    ]
    if e.stop_loss is not None:
        lines += [f"    if losses[-1] <= {e.stop_loss!r}:", "        break"]
    return "\n".join(lines)
