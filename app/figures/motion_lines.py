"""The equation of a position with its numbers: of the way forward, of the loss, of the way back.

A line is {"about": whose numbers, "terms": [[symbol, number], …]}: the number stands below its symbol, and a sign such
as "=" has none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

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

LOG10_2 = float(np.log10(2.0))
SIZE = 1e-300  # below, a number is told by its exponent


def sub(text: str, index: str = "t") -> str:
    return f"{text}<sub>{index}</sub>"


W_HH, W_IH, B_IH, B_HH = sub("W", "hh"), sub("W", "ih"), sub("b", "ih"), sub("b", "hh")
H, H1, X, C, C1 = sub("h"), sub("h", "t−1"), sub("x"), sub("c"), sub("c", "t−1")
DELTA, DELTA2 = sub("δ"), sub("δ", "t+1")


def line(about: str, text: str) -> Part:
    """From "symbol|number  =  symbol|number": terms stand two spaces apart.

    >>> line("unit 1", "h|0.5  =  o|0.5  ·  tanh(c)|1")["terms"]
    [['h', '0.5'], ['=', ''], ['o', '0.5'], ['·', ''], ['tanh(c)', '1']]
    """
    terms = [term.partition("|")[::2] for term in text.split("  ") if term]
    return {"about": about, "terms": [list(term) for term in terms]}


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


# --- forward


def forward(here: Here) -> list[Part]:
    before, h = (exact(float(np.linalg.norm(x[here.column]))) for x in (here.s.before, here.s.h))
    return [*FORWARD[here.a.experiment.kind](here), line(_("all units"), f"‖{H1}‖|{before}  →  ‖{H}‖|{h}")]


def _rnn(here: Here) -> list[Part]:
    h, z, phi = exact(float(here.s.h[here.column, here.unit])), exact(here.z(0)), here.phi()
    of_x, of_h = exact(here.block(True, 0)), exact(here.block(False, 0))
    return [
        line(here.who, f"{sub('z')}|{z}  =  {W_IH} {X} + {B_IH}|{of_x}  +  {W_HH} {H1} + {B_HH}|{of_h}"),
        line("", f"{H}|{h}  =  {phi}( {sub('z')} )|{phi}({z})"),
    ]


def _lstm(here: Here) -> list[Part]:
    i, f, g, o = (exact(here.gate(name)) for name in "ifgo")
    assert here.s.c is not None
    assert here.s.c_before is not None
    c0, c, h = (exact(float(x[here.column, here.unit])) for x in (here.s.c_before, here.s.c, here.s.h))
    opened = [
        f"{sub(name)} = {here.phi() if name == 'g' else 'σ'}({exact(here.z(k))})|{value}"
        for k, (name, value) in enumerate(zip("ifgo", (i, f, g, o), strict=True))
    ]
    return [
        line(here.who, "  ".join(opened)),
        line("", f"{C}|{c}  =  {sub('f')}|{f}  ·  {C1}|{c0}  +  {sub('i')}|{i}  ·  {sub('g')}|{g}"),
        line("", f"{H}|{h}  =  {sub('o')}|{o}  ·  tanh( {C} )|tanh({c})"),
    ]


def _gru(here: Here) -> list[Part]:
    r, u, n = (here.gate(name) for name in "rzn")
    h0, h = (exact(float(x[here.column, here.unit])) for x in (here.s.before, here.s.h))
    of_x, of_h = exact(here.block(True, 2)), exact(here.block(False, 2))
    w_x, w_h, b = f"{sub('W', 'in')} {X} + {sub('b', 'in')}", sub("W", "hn"), sub("b", "hn")
    new = f"{w_x}|{of_x}  +  {sub('r')}|{exact(r)}  ·  {w_h} {H1} + {b}|{of_h}"
    if here.a.experiment.kind == "gru_before":
        new = f"{w_x}|{of_x}  +  {w_h} ({sub('r')} ⊙ {H1}) + {b}|{of_h}"
    opened = f"{sub('r')} = σ({exact(here.z(0))})|{exact(r)}  {sub('z')} = σ({exact(here.z(1))})|{exact(u)}"
    mixed = f"(1 − {sub('z')})|{exact(1 - u)}  ·  {sub('n')}|{exact(n)}  +  {sub('z')}|{exact(u)}  ·  {H1}|{h0}"
    return [
        line(here.who, opened),
        line("", f"{sub('n')}|{exact(n)}  =  {here.phi()}(  {new}  )"),
        line("", f"{H}|{h}  =  {mixed}"),
    ]


FORWARD: dict[str, Callable[[Here], list[Part]]] = {"rnn": _rnn, "lstm": _lstm, "gru": _gru, "gru_before": _gru}


# --- the loss


def loss(a: Asked, k: int) -> list[Part]:
    """At the k-th timestep that has a loss, of the first sequence."""
    m: Motion = a.found
    task, squares = engine.TASKS[a.experiment.task], a.experiment.loss_name == "mse"
    steps, count, classes = m.steps if task.every_step else 1, m.outputs.shape[1], m.targets.ndim == 1
    n = int(m.targets[k]) if classes else int(np.abs(np.nan_to_num(m.outputs[k] - m.targets[k])).argmax())
    whose, said = _("sequence 1 of {b}").format(b=m.batch), float(m.outputs[k, n])
    if classes:
        whose = _("sequence 1 of {b}; right: {name}").format(b=m.batch, name=escape(named(task.classes, n)))
    elif count > 1:
        whose = _("sequence 1 of {b}; output {n} of {count}").format(b=m.batch, n=n + 1, count=count)
    parts = [_("{n} sequences").format(n=m.batch), *([_("{n} steps").format(n=steps)] if steps > 1 else [])]
    parts += [_("{n} outputs").format(n=count)] if count > 1 and squares else []
    over, y, right = " · ".join(parts), sub("y"), _("right")
    output = f"{y} = {sub('W', 'out')} {H} + {sub('b', 'out')}|{exact(said)}"
    if squares:
        target = 1.0 if classes else float(m.targets[k, n])
        name = sub("L", "1,t") if count == 1 else _("its part of {l}").format(l=sub("L", "1,t"))
        share, error = (f"  / {count}" if count > 1 else ""), f"{exact(said)} − {exact(target)}"
        square = f"{name}|{exact((said - target) ** 2 / count)}  =  ({y} − {right})²|({error})²{share}"
        lines = [line(whose, f"{output}  {right}|{exact(target)}"), line("", square)]
        pull, top = 2 * (said - target) / (m.batch * steps * count), f"2 ({y} − {right})"
    else:
        with np.errstate(all="ignore"):
            p = float(1 / np.sum(np.exp(m.outputs[k] - said)))
        own = exact(float(m.own_losses[k]))
        lines = [
            line(whose, f"{output}  →  {_('p(right) = softmax(y)')}|{exact(p)}"),
            line("", f"{sub('L', '1,t')}|{own}  =  −ln p|−ln {exact(p)}"),
        ]
        pull, top = (p - 1) / (m.batch * steps), "(p − 1)"
    return [
        *lines,
        line(_("the whole batch"), f"L|{exact(m.loss)}  =  " + _("mean over {all}").format(all=over)),
        line(_("what goes back"), f"∂L/∂{y}|{exact(pull)}  =  {top} / ({over})"),
    ]


# --- backward


def _rnn_back(here: Here) -> list[Part]:
    s, i, j = here.s, here.column, here.unit
    slope = here.slope(float(s.h[i, j]))
    on = wide(float(s.delta.values[i, j]) * slope, int(s.delta.exponents[i]))
    into = _("into {w}").format(w=W_HH + "ᵀ")
    return [line(_("goes on to t−1"), f"φ′({sub('z')})|{exact(slope)}  ·  {DELTA}|{of(s.delta, i, j)}  =  {into}|{on}")]


def _lstm_back(here: Here) -> list[Part]:
    s, i, j = here.s, here.column, here.unit
    assert s.c is not None
    assert s.memory is not None
    gate, f, whole = here.gate("o") * (1 - float(np.tanh(s.c[i, j])) ** 2), here.gate("f"), float(s.memory.values[i, j])
    scale, dc = int(s.memory.exponents[i]), of(s.memory, i, j)
    later = wide(whole - float(s.delta.values[i, j]) * gate, scale)
    own = f"{sub('o')} (1 − tanh² {C})|{exact(gate)}  ·  {DELTA}|{of(s.delta, i, j)}"
    into = _("into {c}").format(c=sub("dc", "t−1"))
    return [
        line(_("the cell's own way"), f"{sub('dc')}|{dc}  =  {own}  +  {sub('f', 't+1')} · {sub('dc', 't+1')}|{later}"),
        line(_("goes on to t−1"), f"{sub('f')}|{exact(f)}  ·  {sub('dc')}|{dc}  =  {into}|{wide(whole * f, scale)}"),
    ]


def _gru_back(here: Here) -> list[Part]:
    s, i, j = here.s, here.column, here.unit
    value, scale, delta = float(s.delta.values[i, j]), int(s.delta.exponents[i]), of(s.delta, i, j)
    u = here.gate("z")
    new = (1 - u) * here.slope(here.gate("n"))
    on, into = _("straight on"), _("into {n}").format(n=sub("n"))
    return [
        line(_("goes on to t−1"), f"{sub('z')}|{exact(u)}  ·  {DELTA}|{delta}  =  {on}|{wide(u * value, scale)}"),
        line("", f"(1 − {sub('z')}) φ′|{exact(new)}  ·  {DELTA}|{delta}  =  {into}|{wide(new * value, scale)}"),
    ]


# of each cell: what δ_t has from the step after it; what multiplies the gradient on its shortest way; the step's lines
BACKWARD: dict[str, tuple[str, str, Callable[[Here], list[Part]]]] = {
    "rnn": (f"{W_HH}ᵀ (φ′({sub('z', 't+1')}) ⊙ {DELTA2})", f"φ′({sub('z', 't+1')})", _rnn_back),
    "lstm": (f"{W_HH}ᵀ {sub('dz', 't+1')}", sub("f", "t+1"), _lstm_back),
    "gru": (f"{sub('z', 't+1')} ⊙ {DELTA2} + {W_HH}ᵀ {sub('d', 't+1')}", sub("z", "t+1"), _gru_back),
    "gru_before": (f"{sub('z', 't+1')} ⊙ {DELTA2} + {W_HH}ᵀ {sub('d', 't+1')}", sub("z", "t+1"), _gru_back),
}


def backward(here: Here) -> list[Part]:
    m, s, i, j, e = here.m, here.s, here.column, here.unit, here.a.experiment
    way, keeps, rest = BACKWARD[e.kind]
    top, last = here.a.layer == e.num_layers - 1, here.t == m.steps
    source = _("from the loss") if top else _("from layer {n}").format(n=here.a.layer + 2)
    enters, through = f"{source}|{of(s.entering, i, j)}", "" if last else f"{way}|{of(s.through, i, j)}  +  "
    norms = m.unrolled.log10_norms[here.a.layer]
    batch = f"‖{DELTA}‖|{size(norms[here.t - 1])}"
    if not last:
        with np.errstate(all="ignore"):
            ratio = float(norms[here.t - 1] - norms[here.t])
        factor = times(ratio, 3) if np.isfinite(ratio) else "–"
        batch += f"  =  {_('factor')}|{factor}  ·  ‖{DELTA2}‖|{size(norms[here.t])}"
        batch += f"  {_('mean {what}').format(what=keeps)}|{exact(float(m.unrolled.kept[here.a.layer, here.t]))}"
    return [
        line(here.who, f"{DELTA}|{of(s.delta, i, j)}  =  {through}{enters}"),
        line(_("mean over the batch"), batch),
        *rest(here),
    ]
