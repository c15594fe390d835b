"""The equations of clipping and of the optimizer's step, with the numbers of one weight."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.figures.asked import Asked
from app.figures.credit import percent
from app.figures.motion import Motion
from app.figures.motion_lines import exact, line, sub
from app.figures.numbers import rate
from app.figures.template import Part
from app.words import _
from engine import OPTIMIZERS, optimizers

ROOT = "√"


@dataclass(frozen=True)
class One:
    """One weight of W_hh: that to a unit with the largest gradient."""

    a: Asked
    unit: int

    @property
    def m(self) -> Motion:
        return self.a.found

    def _of(self, x: np.ndarray) -> float:
        return float(x[..., self.a.layer, self.unit])

    @property
    def source(self) -> int:
        return int(self.m.named.source[self.a.layer, self.unit])

    @property
    def weight(self) -> float:
        return self._of(self.m.named.weight)

    @property
    def raw(self) -> float:
        return self._of(self.m.named.raw)

    @property
    def clipped(self) -> float:
        return self._of(self.m.named.clipped)

    @property
    def g(self) -> float:
        """As the optimizer gets it."""
        return self._of(self.m.named.used)

    @property
    def change(self) -> float:
        return self._of(self.m.named.change)

    def slot(self, k: int, after: bool) -> float:
        state = self.m.named.after if after else self.m.named.before
        return float(state[k, self.a.layer, self.unit])

    @property
    def lr(self) -> float:
        return self.m.update.lr

    @property
    def update(self) -> int:
        """Its number: 1, 2, …"""
        return self.a.step + 1

    @property
    def name(self) -> str:
        return _("{w}: the weight from unit {i} to unit {j}").format(
            w=sub("W", "hh"), i=self.source + 1, j=self.unit + 1
        )


# --- clipping


def clip(one: One) -> list[Part]:
    m, e = one.m, one.a.experiment
    c, whole = e.clip_threshold, _("all weights")
    g, used = ["‖g‖", exact(m.grad_norm)], ["‖g′‖", exact(m.clipped_norm)]
    if e.clip == "none":
        lines = [line(whole, used, "=", g, _("nothing is clipped"))]
    elif e.clip == "norm":
        factor = min(1.0, c / (m.grad_norm + 1e-6))
        limit = ["min(1, c / ‖g‖)", f"min(1, {exact(c)} / {exact(m.grad_norm)})"]
        lines = [line(whole, used, "=", g, "·", limit), line("", [_("factor"), exact(factor)])]
    elif e.clip == "param_norm":
        kept = int(np.sum(m.clipped_norms < m.raw_norms * (1 - 1e-9)))
        text = _("{n} of {all} parts are longer than c, or have a tensor that is").format(n=kept, all=len(m.raw_norms))
        lines = [
            line(whole, used, "←", g),
            line("", [_("each tensor: g · c / max(‖g‖, c)"), f"c = {exact(c)}"]),
            line("", text),
        ]
    elif e.clip == "value":
        lines = [
            line(whole, used, "←", g, ";", ["cos(g, g′)", exact(m.cosine)]),
            line(
                "",
                [_("each component: between −c and c"), f"c = {exact(c)}"],
                ";",
                [_("components cut"), percent(m.changed)],
            ),
        ]
    else:
        lines = [
            line(whole, used, "←", g, ";", ["cos(g, g′)", exact(m.cosine)]),
            line("", [_("each component: g / max(|g|, ε)"), f"ε = {exact(c)}"]),
        ]
    return [*lines, line(one.name, ["g", exact(one.raw)], "→", ["g′", exact(one.clipped)])]


# --- the step: each gives its lines and the Δθ that follows from the numbers in them

Rule = Callable[[One], tuple[list[Part], float]]
G = "g"


def _sgd(one: One) -> tuple[list[Part], float]:
    return [_step(one, [["−η", _eta(one)], "·", [G, exact(one.g)]])], -one.lr * one.g


def _momentum(one: One) -> tuple[list[Part], float]:
    mu, v = one.a.experiment.momentum, one.slot(0, True)
    return [_velocity(one, mu, v), _step(one, [["−η", _eta(one)], "·", ["v", exact(v)]])], -one.lr * v


def _nesterov(one: One) -> tuple[list[Part], float]:
    mu, v = one.a.experiment.momentum, one.slot(0, True)
    ahead = [["−η", _eta(one)], "·", "(", [G, exact(one.g)], "+", ["μ", exact(mu)], "·", ["v", exact(v)], ")"]
    return [_velocity(one, mu, v), _step(one, ahead)], -one.lr * (one.g + mu * v)


def _velocity(one: One, mu: float, v: float) -> Part:
    return line(
        one.name, ["v", exact(v)], "=", ["μ", exact(mu)], "·", [_("v before"), exact(one.slot(0, False))], "+",
        [G, exact(one.g)],
    )  # fmt: skip


def _adagrad(one: One) -> tuple[list[Part], float]:
    s = one.slot(0, True)
    first = line(
        one.name, ["s", exact(s)], "=", [_("s before"), exact(one.slot(0, False))], "+", ["g²", exact(one.g**2)]
    )
    return [first, _over(one, G, one.g, "s", s, optimizers.ADAGRAD_EPSILON)], _divided(
        one, one.g, s, optimizers.ADAGRAD_EPSILON
    )


def _rmsprop(one: One) -> tuple[list[Part], float]:
    return _mean_square(one, "α", 0.99)


def _dynamic(one: One) -> tuple[list[Part], float]:
    return _mean_square(one, "β", 0.9)


def _mean_square(one: One, letter: str, keep: float) -> tuple[list[Part], float]:
    v = one.slot(0, True)
    return [_faded(one, "v", 0, letter, keep, "g²", one.g**2, one.name), _over(one, G, one.g, "v", v)], _divided(
        one, one.g, v
    )


def _adadelta(one: One) -> tuple[list[Part], float]:
    v, u, epsilon = one.slot(0, True), one.slot(1, False), optimizers.ADADELTA_EPSILON
    change = -one.lr * one.g * float(np.sqrt((u + epsilon) / (v + epsilon)))
    terms: list[list[str] | str] = [
        ["−η", _eta(one)],
        "·",
        [G, exact(one.g)],
        "·",
        [f"{ROOT}(u + ε)", f"{ROOT}({exact(u)} + {rate(epsilon)})"],
        "/",
        [f"{ROOT}(v + ε)", f"{ROOT}({exact(v)} + {rate(epsilon)})"],
    ]
    return [_faded(one, "v", 0, "ρ", 0.9, "g²", one.g**2, one.name), _step(one, terms)], change


def _adam_uncorrected(one: One) -> tuple[list[Part], float]:
    m, v = one.slot(0, True), one.slot(1, True)
    return [*_moments(one), _over(one, "m", m, "v", v)], _divided(one, m, v)


def _adam(one: One) -> tuple[list[Part], float]:
    m, v = one.slot(0, True) / (1 - 0.9**one.update), one.slot(1, True) / (1 - 0.999**one.update)
    k = one.update
    corrected = line(
        _("corrected, as both began at 0"), ["m̂ = m / (1 − β₁<sup>k</sup>)", exact(m)], ",",
        ["v̂ = v / (1 − β₂<sup>k</sup>)", exact(v)], ";", [_("update k"), str(k)],
    )  # fmt: skip
    return [*_moments(one), corrected, _over(one, "m̂", m, "v̂", v)], _divided(one, m, v)


def _adamw(one: One) -> tuple[list[Part], float]:
    lines, change = _adam(one)
    decay = one.a.experiment.weight_decay
    if decay:
        shrunk = one.lr * decay * one.weight
        lines.append(
            line(
                _("weight decay besides"),
                ["−η λ θ", exact(-shrunk)],
                ";",
                ["λ", rate(decay)],
                ",",
                ["θ", exact(one.weight)],
            )
        )
        change -= shrunk
    return lines, change


def _moments(one: One) -> list[Part]:
    return [_faded(one, "m", 0, "β₁", 0.9, "g", one.g, one.name), _faded(one, "v", 1, "β₂", 0.999, "g²", one.g**2, "")]


def _faded(one: One, name: str, slot: int, letter: str, keep: float, of: str, value: float, about: str) -> Part:
    """A mean that forgets: name = keep · name + (1 − keep) · of."""
    return line(
        about,
        [name, exact(one.slot(slot, True))],
        "=",
        [letter, f"{keep:g}"],
        "·",
        [_("{name} before").format(name=name), exact(one.slot(slot, False))],
        "+",
        [f"(1 − {letter})", f"{1 - keep:.3g}"],
        "·",
        [of, exact(value)],
    )


def _over(one: One, of: str, value: float, root: str, square: float, epsilon: float = optimizers.EPSILON) -> Part:
    return _step(
        one,
        [
            ["−η", _eta(one)],
            "·",
            [of, exact(value)],
            "/",
            [f"({ROOT}{root} + ε)", f"({exact(float(np.sqrt(square)))} + {rate(epsilon)})"],
        ],
    )


def _divided(one: One, value: float, square: float, epsilon: float = optimizers.EPSILON) -> float:
    with np.errstate(all="ignore"):
        return float(-one.lr * value / (np.sqrt(np.float64(square)) + epsilon))


def _eta(one: One) -> str:
    return "−" + rate(one.lr)


def _step(one: One, terms: list[list[str] | str]) -> Part:
    return line("" if one.a.experiment.optimizer != "sgd" else one.name, ["Δθ", exact(one.change)], "=", *terms)


RULES: dict[str, Rule] = {
    "sgd": _sgd, "momentum": _momentum, "nesterov": _nesterov, "adagrad": _adagrad, "rmsprop": _rmsprop,
    "dynamic": _dynamic, "adadelta": _adadelta, "adam": _adam, "adam_uncorrected": _adam_uncorrected, "adamw": _adamw,
}  # fmt: skip


def update(one: One) -> list[Part]:
    e, lines = one.a.experiment, RULES[one.a.experiment.optimizer](one)[0]
    if e.weight_decay and not OPTIMIZERS[e.optimizer].decoupled:
        lines.insert(
            0,
            line(
                _("with weight decay"),
                ["g", exact(one.g)],
                "=",
                ["g′", exact(one.clipped)],
                "+",
                ["λ", rate(e.weight_decay)],
                "·",
                ["θ", exact(one.weight)],
            ),
        )
    share = one.m.change_norm / one.m.weight_norm if one.m.weight_norm else float("inf")
    return [
        *lines,
        line(
            _("all weights"),
            ["‖Δθ‖", exact(one.m.change_norm)],
            "=",
            ["‖Δθ‖ / ‖θ‖", exact(share)],
            "·",
            ["‖θ‖", exact(one.m.weight_norm)],
        ),
    ]


def after(one: One) -> list[Part]:
    """What has come of it on the same batch."""
    m = one.m
    moved = m.loss_after - m.loss
    lines = [
        line(
            _("one weight"),
            ["θ + Δθ", exact(one.weight + one.change, 5)],
            "=",
            ["θ", exact(one.weight, 5)],
            "+",
            ["Δθ", exact(one.change)],
        ),
        line(
            _("the same batch"),
            ["L(θ)", exact(m.loss, 5)],
            "→",
            ["L(θ + Δθ)", exact(m.loss_after, 5)],
            ";",
            [_("change"), exact(moved)],
        ),
    ]
    if m.promised is not None:
        lines.append(line(_("a straight line would make"), ["g · Δθ", exact(m.promised)]))
    return lines
