"""The equation of a position with its numbers: of the way forward, of the loss, of the way back.

A line is {"about": whose numbers, "terms": [[symbol, number], …]}: the number stands below its symbol. A term that is
no number ("=", "+") says the same in both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import engine
from app.figures.asked import Asked
from app.figures.motion import Motion
from app.figures.numbers import power, short, times
from app.figures.sequence import named
from app.figures.template import Part
from app.words import _
from engine.activations import ACTIVATIONS
from engine.instruments.jacobians import NUMPY
from engine.instruments.unrolled import LayerSteps, Scaled

Terms = list[list[str]]
LOG10_2 = float(np.log10(2.0))
SIZE = 1e-300  # below, a number is told by its exponent


def sub(text: str, index: str = "t") -> str:
    return f"{text}<sub>{index}</sub>"


W_HH, W_IH, B_IH, B_HH = sub("W", "hh"), sub("W", "ih"), sub("b", "ih"), sub("b", "hh")
H, H1, X, C, C1 = sub("h"), sub("h", "t−1"), sub("x"), sub("c"), sub("c", "t−1")
DELTA, DELTA2 = sub("δ"), sub("δ", "t+1")


def line(about: str, *terms: list[str] | str) -> Part:
    """A term that is one text stands for itself."""
    return {"about": about, "terms": [[t, ""] if isinstance(t, str) else t for t in terms]}


def exact(x: float, digits: int = 3) -> str:
    """A number whose digits all count: 0.0382, 3.82·10^−5.

    >>> exact(-0.03821), exact(0.0000382149), exact(0.0), exact(9.9999e-5)
    ('−0.0382', '3.82·10<sup>−5</sup>', '0', '1·10<sup>−4</sup>')
    """
    if x == 0 or not np.isfinite(x) or 1e-3 <= abs(rounded := float(f"{x:.{digits - 1}e}")) < 1e4:
        return short(rounded if x and np.isfinite(x) else x, digits)
    return scientific(x, 0.0, digits)


def scientific(mantissa: float, decades: float = 0.0, digits: int = 3) -> str:
    """mantissa · 10^decades, which may leave the range of floating point."""
    total = float(np.log10(abs(mantissa))) + decades
    exponent = int(np.floor(total))
    first = round(10 ** (total - exponent), digits - 1)
    if first >= 10:
        first, exponent = first / 10, exponent + 1
    return ("−" if mantissa < 0 else "") + f"{short(first, digits)}·{power(exponent, 0)}"


def wide(mantissa: float, exponent: int) -> str:
    """mantissa · 2^exponent, past the range of floating point too."""
    with np.errstate(all="ignore"):
        plain = float(np.ldexp(mantissa, int(np.clip(exponent, -10_000, 10_000))))
    if mantissa == 0 or not np.isfinite(mantissa) or SIZE < abs(plain) < 1 / SIZE:
        return exact(plain if np.isfinite(mantissa) else mantissa)
    return scientific(mantissa, exponent * LOG10_2)


def of(x: Scaled, i: int, unit: int) -> str:
    return wide(float(x.values[i, unit]), int(x.exponents[i]))


def size(log10: float) -> str:
    """A norm from its decades; −inf is an exact 0."""
    if not np.isfinite(log10):
        return "0" if np.isneginf(log10) else "NaN"
    return exact(float(10**log10)) if abs(log10) < 300 else scientific(1.0, log10)


@dataclass(frozen=True)
class Here:
    """One unit of one layer at one drawn timestep."""

    a: Asked
    column: int
    unit: int

    @property
    def m(self) -> Motion:
        return self.a.found

    @property
    def s(self) -> LayerSteps:
        return self.m.unrolled.layers[self.a.layer]

    @property
    def t(self) -> int:
        return int(self.m.unrolled.at[self.column])

    @property
    def who(self) -> str:
        text = _("unit {n}")
        if self.a.experiment.num_layers > 1:
            text = _("unit {n} of layer {layer}")
        return text.format(n=self.unit + 1, layer=self.a.layer + 1)

    def block(self, of_x: bool, k: int) -> float:
        """(W x + b) or (W h + b) of the k-th gate."""
        z = self.s.of_x if of_x else self.s.of_h
        return float(z[self.column, k * self.s.h.shape[1] + self.unit])

    def z(self, k: int) -> float:
        return self.block(True, k) + self.block(False, k)

    def gate(self, name: str) -> float:
        return float(self.s.gates[name][self.column, self.unit])

    def phi(self) -> str:
        return _(ACTIVATIONS[self.a.experiment.nonlinearity].label)

    def slope(self, y: float) -> float:
        return float(ACTIVATIONS[self.a.experiment.nonlinearity].slope(NUMPY, np.float64(y)))


def _squash(name: str, x: float) -> str:
    return f"{name}({exact(x)})"


# --- forward


def forward(here: Here) -> list[Part]:
    lines = FORWARD[here.a.experiment.kind](here)
    s, i = here.s, here.column
    norms = line(
        _("all units"), ["‖" + H1 + "‖", exact(float(np.linalg.norm(s.before[i])))], "→",
        ["‖" + H + "‖", exact(float(np.linalg.norm(s.h[i])))],
    )  # fmt: skip
    return [*lines, norms]


def _rnn(here: Here) -> list[Part]:
    h = float(here.s.h[here.column, here.unit])
    return [
        line(
            here.who, [sub("z"), exact(here.z(0))], "=", [f"{W_IH} {X} + {B_IH}", exact(here.block(True, 0))], "+",
            [f"{W_HH} {H1} + {B_HH}", exact(here.block(False, 0))],
        ),
        line("", [H, exact(h)], "=", [f"{here.phi()}( {sub('z')} )", _squash(here.phi(), here.z(0))]),
    ]  # fmt: skip


def _lstm(here: Here) -> list[Part]:
    i, f, g, o = (here.gate(name) for name in "ifgo")
    c0, c, h = (float(x[here.column, here.unit]) for x in (here.s.c_before, here.s.c, here.s.h))  # type: ignore[index]
    opened: Terms = []
    for k, (name, value) in enumerate(zip("ifgo", (i, f, g, o), strict=True)):
        opened.append([f"{sub(name)} = {here.phi() if name == 'g' else 'σ'}( {sub('z', name)} )", f"{exact(value)}"])
        opened.append([f"{sub('z', name)}", exact(here.z(k))])
    return [
        line(here.who, *opened),
        line(
            "",
            [C, exact(c)],
            "=",
            [sub("f"), exact(f)],
            "·",
            [C1, exact(c0)],
            "+",
            [sub("i"), exact(i)],
            "·",
            [sub("g"), exact(g)],
        ),
        line("", [H, exact(h)], "=", [sub("o"), exact(o)], "·", [f"tanh( {C} )", _squash("tanh", c)]),
    ]


def _gru(here: Here, before: bool = False) -> list[Part]:
    r, u, n = (here.gate(name) for name in "rzn")
    h0, h = (float(x[here.column, here.unit]) for x in (here.s.before, here.s.h))
    opened: Terms = [
        [f"{sub('r')} = σ( {sub('z', 'r')} )", exact(r)], [sub("z", "r"), exact(here.z(0))],
        [f"{sub('z')} = σ( {sub('z', 'z')} )", exact(u)], [sub("z", "z"), exact(here.z(1))],
    ]  # fmt: skip
    of_x = [f"{sub('W', 'in')} {X} + {sub('b', 'in')}", exact(here.block(True, 2))]
    of_h = [f"{sub('W', 'hn')} {H1} + {sub('b', 'hn')}", exact(here.block(False, 2))]
    if before:
        of_h[0] = f"{sub('W', 'hn')} ({sub('r')} ⊙ {H1}) + {sub('b', 'hn')}"
    reset: list[list[str] | str] = [] if before else [[sub("r"), exact(r)], "·"]
    return [
        line(here.who, *opened),
        line("", [sub("n"), exact(n)], "=", f"{here.phi()}(", of_x, "+", *reset, of_h, ")"),
        line(
            "",
            [H, exact(h)],
            "=",
            [f"(1 − {sub('z')})", exact(1 - u)],
            "·",
            [sub("n"), exact(n)],
            "+",
            [sub("z"), exact(u)],
            "·",
            [H1, exact(h0)],
        ),
    ]


def _gru_before(here: Here) -> list[Part]:
    return _gru(here, before=True)


FORWARD: dict[str, Callable[[Here], list[Part]]] = {
    "rnn": _rnn, "lstm": _lstm, "gru": _gru, "gru_before": _gru_before,
}  # fmt: skip


# --- the loss


def loss(a: Asked, k: int) -> list[Part]:
    """At the k-th timestep that has a loss, of the first sequence."""
    m: Motion = a.found
    steps = m.steps if engine.TASKS[a.experiment.task].every_step else 1
    out, y = sub("W", "out"), sub("y")
    classes = m.targets.ndim == 1
    n = int(m.targets[k]) if classes else int(np.nanargmax(np.nan_to_num(np.abs(m.outputs[k] - m.targets[k]))))
    said, count = float(m.outputs[k, n]), m.outputs.shape[1]
    whose = _("sequence 1 of {b}").format(b=m.batch)
    if classes:
        whose = _("sequence 1 of {b}; right: {name}").format(
            b=m.batch, name=named(engine.TASKS[a.experiment.task].classes, n)
        )
    elif count > 1:
        whose = _("sequence 1 of {b}; output {n} of {count}").format(b=m.batch, n=n + 1, count=count)
    if a.experiment.loss_name == "cross_entropy":
        with np.errstate(all="ignore"):
            p = float(1 / np.sum(np.exp(m.outputs[k] - said)))
            lines = [
                line(
                    whose,
                    [f"{y} = {out} {H} + {sub('b', 'out')}", exact(said)],
                    "→",
                    [_("p(right) = softmax(y)"), exact(p)],
                ),
                line("", [sub("L", "1,t"), exact(float(m.own_losses[k]))], "=", ["−ln p", f"−ln {exact(p)}"]),
            ]
        pull, names = (p - 1) / (m.batch * steps), "(p − 1) / "
    else:
        target = float(m.targets[k] == n) if classes else float(m.targets[k, n])
        target = 1.0 if classes else target
        whole = sub("L", "1,t") if count == 1 else _("its part of the mean over {n}").format(n=count)
        lines = [
            line(whose, [f"{y} = {out} {H} + {sub('b', 'out')}", exact(said)], ",", [_("right"), exact(target)]),
            line(
                "",
                [whole, exact((said - target) ** 2 / count)],
                "=",
                [f"({y} − {_('right')})²", f"({exact(said)} − {exact(target)})²"],
                *([f"/ {count}"] if count > 1 else []),
            ),
        ]
        pull, names = 2 * (said - target) / (m.batch * steps * count), f"2 ({y} − {_('right')}) / "
    parts = [_("{n} sequences").format(n=m.batch), *([_("{n} steps").format(n=steps)] if steps > 1 else [])]
    parts += [_("{n} outputs").format(n=count)] if count > 1 and a.experiment.loss_name == "mse" else []
    return [
        *lines,
        line(
            _("the whole batch"),
            ["L", exact(m.loss)],
            "=",
            [_("mean over {all}").format(all=" · ".join(parts[:2])), ""],
        ),
        line(_("what goes back"), [f"∂L/∂{y}", exact(pull)], "=", [names + "(" + " · ".join(parts) + ")", ""]),
    ]


# --- backward


def _cell(here: Here) -> list[Part]:
    """What the cell makes of δ_t of this unit, before W_hhᵀ takes it one step further back."""
    s, i, j, kind = here.s, here.column, here.unit, here.a.experiment.kind
    delta = of(s.delta, i, j)
    if kind == "rnn":
        slope = here.slope(float(s.h[i, j]))
        on = wide(float(s.delta.values[i, j]) * slope, int(s.delta.exponents[i]))
        return [
            line(
                _("goes on to t−1"),
                ["φ′(" + sub("z") + ")", exact(slope)],
                "·",
                [DELTA, delta],
                "=",
                [_("into {w}ᵀ").format(w=W_HH), on],
            )
        ]
    if kind == "lstm":
        assert s.c is not None
        assert s.memory is not None
        gate = here.gate("o") * (1 - float(np.tanh(s.c[i, j])) ** 2)
        into = float(s.delta.values[i, j]) * gate
        rest = float(s.memory.values[i, j]) - into
        scale = int(s.memory.exponents[i])
        return [
            line(
                _("the cell's own way"),
                [sub("dc"), of(s.memory, i, j)],
                "=",
                [f"{sub('o')} (1 − tanh² {C})", exact(gate)],
                "·",
                [DELTA, delta],
                "+",
                [f"{sub('f', 't+1')} · {sub('dc', 't+1')}", wide(rest, scale)],
            ),
            line(
                _("goes on to t−1"),
                [sub("f"), exact(here.gate("f"))],
                "·",
                [sub("dc"), of(s.memory, i, j)],
                "=",
                [_("into {c}").format(c=sub("dc", "t−1")), wide(float(s.memory.values[i, j]) * here.gate("f"), scale)],
            ),
        ]
    u, n = here.gate("z"), here.gate("n")
    on = (u * float(s.delta.values[i, j]), (1 - u) * here.slope(n) * float(s.delta.values[i, j]))
    scale = int(s.delta.exponents[i])
    return [
        line(
            _("goes on to t−1"), [sub("z"), exact(u)], "·", [DELTA, delta], "=", [_("straight on"), wide(on[0], scale)]
        ),
        line(
            "",
            [f"(1 − {sub('z')}) φ′", exact((1 - u) * here.slope(n))],
            "·",
            [DELTA, delta],
            "=",
            [_("into the weights of n"), wide(on[1], scale)],
        ),
    ]


WAYS = {  # what δ_t has from the step after it
    "rnn": f"{W_HH}ᵀ (φ′({sub('z', 't+1')}) ⊙ {DELTA2})",
    "lstm": f"{W_HH}ᵀ {sub('dz', 't+1')}",
    "gru": f"{sub('z', 't+1')} ⊙ {DELTA2} + {W_HH}ᵀ {sub('d', 't+1')}",
    "gru_before": f"{sub('z', 't+1')} ⊙ {DELTA2} + {W_HH}ᵀ {sub('d', 't+1')}",
}
KEEPS = {"rnn": "φ′", "lstm": "f", "gru": "z", "gru_before": "z"}


def backward(here: Here) -> list[Part]:
    m, s, i, j, e = here.m, here.s, here.column, here.unit, here.a.experiment
    top, last = here.a.layer == e.num_layers - 1, here.t == m.steps
    source = _("from the loss") if top else _("from layer {n}").format(n=here.a.layer + 2)
    terms: list[list[str] | str] = [[DELTA, of(s.delta, i, j)], "="]
    terms += [] if last else [[WAYS[e.kind], of(s.through, i, j)], "+"]
    lines = [line(here.who, *terms, [source, of(s.entering, i, j)])]
    norms, kept = m.unrolled.log10_norms[here.a.layer], m.unrolled.kept[here.a.layer]
    if last:
        lines.append(line(_("mean over the batch"), [f"‖{DELTA}‖", size(norms[here.t - 1])]))
    else:
        with np.errstate(all="ignore"):
            ratio = norms[here.t - 1] - norms[here.t]
        lines.append(
            line(
                _("mean over the batch"),
                [f"‖{DELTA}‖", size(norms[here.t - 1])],
                "=",
                [_("factor"), times(ratio, 3) if np.isfinite(ratio) else "–"],
                "·",
                [f"‖{DELTA2}‖", size(norms[here.t])],
                ";",
                [_("mean {what}").format(what=sub(KEEPS[e.kind], "t+1")), exact(float(kept[here.t]))],
            )
        )
    return [*lines, *_cell(here)]
