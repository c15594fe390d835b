"""How the Keras script trains: the optimizer, clipping, decay and schedule of an experiment in Keras 3.

Where Keras has the same rule, it is Keras' own; where its rule has another form or another order, it is written out.
"""

import engine
from app.code.shared import Script, block

OPTIMIZERS = {  # Keras' own of the same formula, and what they take beside the rate
    "sgd": ("SGD", ""),
    "momentum": ("SGD", "momentum={momentum!r}"),
    "nesterov": ("SGD", "momentum={momentum!r}, nesterov=True"),
    "adadelta": ("Adadelta", "rho=0.9, epsilon=1e-6"),
}
OUTSIDE = "The rate stands outside of the velocity, so that a schedule changes all of the step, as in PyTorch."
EPSILON = "{}, with ε outside of the root as in PyTorch: it counts where a gradient has almost vanished."
ADAM = ["m.assign(0.9 * m + 0.1 * g)", "v.assign(0.999 * v + 0.001 * g**2)"]
CORRECTED = [
    *ADAM,
    "t = ops.cast(self.iterations + 1, p.dtype)",
    "p.assign_sub(lr * m / (1 - 0.9**t) / (ops.sqrt(v / (1 - 0.999**t)) + 1e-8))",
]
WRITTEN = {  # rules that Keras has not, or in another form: name, why, what they remember of g, a step of p
    "momentum": ("Momentum", OUTSIDE, "v", ["v.assign({momentum!r} * v + g)", "p.assign_sub(lr * v)"]),
    "nesterov": (
        "Nesterov", OUTSIDE, "v", ["v.assign({momentum!r} * v + g)", "p.assign_sub(lr * (g + {momentum!r} * v))"],
    ),
    "adagrad": (
        "Adagrad", EPSILON.format("Adagrad"), "v",
        ["v.assign(v + g**2)", "p.assign_sub(lr * g / (ops.sqrt(v) + 1e-10))"],
    ),
    "rmsprop": (
        "RMSprop", EPSILON.format("RMSprop"), "v",
        ["v.assign(0.99 * v + 0.01 * g**2)", "p.assign_sub(lr * g / (ops.sqrt(v) + 1e-8))"],
    ),
    "dynamic": (
        "RMSprop", EPSILON.format("RMSprop"), "v",
        ["v.assign(0.9 * v + 0.1 * g**2)", "p.assign_sub(lr * g / (ops.sqrt(v) + 1e-8))"],
    ),
    "adam": ("Adam", "Adam, with ε beside the corrected √v as in PyTorch.", "mv", CORRECTED),
    "adamw": ("Adam", "Adam, with ε beside the corrected √v as in PyTorch.", "mv", CORRECTED),
    "adam_uncorrected": (
        "UncorrectedAdam", "Adam without its bias correction.", "mv",
        [*ADAM, "p.assign_sub(lr * m / (ops.sqrt(v) + 1e-8))"],
    ),
}  # fmt: skip
CLIPS = {"norm": "global_clipnorm={c!r}", "value": "clipvalue={c!r}", "param_norm": "clipnorm={c!r}"}  # Keras' own
CLIPPED = {  # written out, where something else follows before the step
    "none": (),
    "norm": (
        "norm = ops.sqrt(sum(ops.sum(g**2) for g in grads))",
        "grads = [g * ops.minimum(1.0, {c!r} / (norm + 1e-6)) for g in grads]",
    ),
    "value": ("grads = [ops.clip(g, -{c!r}, {c!r}) for g in grads]",),
    "unit": ("grads = [g / ops.maximum(ops.abs(g), {c!r}) for g in grads]",),
    "param_norm": ("grads = [g * {c!r} / ops.maximum(ops.norm(g), {c!r}) for g in grads]",),
}
SCHEDULES = {
    "exponential": "ExponentialDecay({lr!r}, {n}, {f!r})",
    "linear": "PolynomialDecay({lr!r}, {n}, {end!r})",
    "cosine": "CosineDecay({lr!r}, {n}, alpha={f!r})",
    "step": "ExponentialDecay({lr!r}, {n}, {f!r}, staircase=True)",
}
DECOUPLED = "adamw"


def warm_up(s: Script) -> str:
    """The class of the one schedule that Keras has not; "" for others."""
    if s.e.schedule != "warm_up":
        return ""
    return block(f'''
        class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
            def __call__(self, step):
                return {s.e.lr!r} * ops.minimum((ops.cast(step, "{s.e.dtype}") + 1) / {s.e.schedule_steps}, 1.0)

            def get_config(self):
                return {{}}
    ''')


def _is_written(e: engine.Experiment) -> bool:
    """Is the optimizer's rule written out? Keras' velocity contains the rate: with a schedule it is another rule."""
    return e.optimizer in WRITTEN and (e.optimizer not in OPTIMIZERS or e.schedule != "constant")


def _changed(e: engine.Experiment) -> list[str]:
    """Lines that change the gradients before the optimizer takes them, where it cannot be told to."""
    decays = e.weight_decay > 0 and e.optimizer != DECOUPLED
    if not decays and e.clip != "unit":
        return []
    lines = [line.format(c=e.clip_threshold) for line in CLIPPED[e.clip]]
    return lines + [f"grads = [g + {e.weight_decay!r} * p for g, p in zip(grads, variables)]"] * decays


def optimizer(s: Script) -> str:
    """The classes of a rule that is written out, and of what changes gradients before it; "" where Keras has both."""
    e = s.e
    rule = ""
    if _is_written(e):
        name, about, slots, step = WRITTEN[e.optimizer]
        made = [f'self.{slot} = [self.add_variable_from_reference(p, "{slot}") for p in variables]' for slot in slots]
        lines = [
            f"class {name}(keras.optimizers.Optimizer):",
            f'    """{about}"""',
            "",
            "    def build(self, variables):",
            "        super().build(variables)",
            *("        " + line for line in made),
            "",
            "    def update_step(self, g, p, lr):",
            "        k = self._get_variable_index(p)",
            f"        {', '.join(slots)} = {', '.join(f'self.{slot}[k]' for slot in slots)}",
            *("        " + line.format(momentum=e.momentum) for line in step),
        ]
        rule = "\n".join(lines)
    changed = _changed(e)
    if not changed:
        return rule
    decays = "L2 as in PyTorch: λθ joins the clipped gradient; Keras' own decay is apart from it."
    lines = [
        f"class Changed({_base(e)}):",
        f'    """{decays if e.weight_decay and e.optimizer != DECOUPLED else "Each component by its own size."}"""',
        "",
        "    def apply(self, grads, variables):",
        *("        " + line for line in changed),
        "        super().apply(grads, variables)",
    ]
    return rule + "\n\n" + "\n".join(lines)


def _base(e: engine.Experiment) -> str:
    return WRITTEN[e.optimizer][0] if _is_written(e) else f"keras.optimizers.{OPTIMIZERS[e.optimizer][0]}"


def rate(e: engine.Experiment) -> list[str]:
    """The line that makes the schedule, if there is one."""
    if e.schedule == "constant":
        return []
    if e.schedule == "warm_up":
        return ["rate = WarmUp()"]
    about = {"lr": e.lr, "n": e.schedule_steps, "f": e.schedule_factor, "end": e.lr * e.schedule_factor}
    return ["rate = keras.optimizers.schedules." + SCHEDULES[e.schedule].format(**about)]


def made_optimizer(e: engine.Experiment) -> str:
    """The call that makes it."""
    changed = _changed(e)
    given = [repr(e.lr) if e.schedule == "constant" else "rate"]
    if not _is_written(e):
        given.append(OPTIMIZERS[e.optimizer][1].format(momentum=e.momentum))
    if e.optimizer == DECOUPLED and e.weight_decay:
        given.append(f"weight_decay={e.weight_decay!r}")
    if not changed and e.clip != "none":
        given.append(CLIPS[e.clip].format(c=e.clip_threshold))
    return f"{'Changed' if changed else _base(e)}({', '.join(g for g in given if g)})"
