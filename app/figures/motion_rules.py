"""The equations of clipping and of the optimizer's step, with the numbers of one weight."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.figures.asked import Asked
from app.figures.credit import percent
from app.figures.motion import Motion
from app.figures.motion_lines import W_HH, exact, line
from app.figures.numbers import rate
from app.figures.template import Part
from app.words import _
from engine import OPTIMIZERS, optimizers


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
        return _("{w}, from unit {i} to unit {j}").format(w=W_HH, i=self.source + 1, j=self.unit + 1)


# --- clipping


def clip(one: One) -> list[Part]:
    m, e = one.m, one.a.experiment
    c, whole, g, used = (
        exact(e.clip_threshold),
        _("all weights"),
        f"‖g‖|{exact(m.grad_norm)}",
        f"‖g′‖|{exact(m.clipped_norm)}",
    )
    turned = f"{used}  ←  {g}  cos(g, g′)|{exact(m.cosine)}"
    if e.clip == "none":
        lines = [line(whole, f"{used}  =  {g}")]
    elif e.clip == "norm":
        factor = exact(min(1.0, e.clip_threshold / (m.grad_norm + 1e-6)))
        lines = [line(whole, f"{used}  =  {g}  ·  min(1, c / ‖g‖)|{factor}  c|{c}")]
    elif e.clip == "param_norm":
        lines = [line(whole, turned), line(_("each tensor"), f"g′ = g · c / max(‖g‖, c)  c|{c}")]
    elif e.clip == "value":
        cut = f"{_('components cut')}|{percent(m.changed)}"
        lines = [line(whole, turned), line(_("each component"), f"g′ = min(max(g, −c), c)  c|{c}  {cut}")]
    else:
        lines = [line(whole, turned), line(_("each component"), f"g′ = g / max(|g|, ε)  ε|{c}".replace("|g|", "∣g∣"))]
    return [*lines, line(one.name, f"g|{exact(one.raw)}  →  g′|{exact(one.clipped)}")]


# --- the step: each gives its lines and the Δθ that follows from the numbers in them

Rule = Callable[[One], tuple[list[Part], float]]


def _sgd(one: One) -> tuple[list[Part], float]:
    return [_step(one, f"·  g|{exact(one.g)}", one.name)], -one.lr * one.g


def _velocity(one: One) -> tuple[float, float, Part]:
    mu, v, before = one.a.experiment.momentum, one.slot(0, True), one.slot(0, False)
    text = f"v|{exact(v)}  =  μ|{exact(mu)}  ·  {_before('v')}|{exact(before)}  +  g|{exact(one.g)}"
    return mu, v, line(one.name, text)


def _momentum(one: One) -> tuple[list[Part], float]:
    _mu, v, first = _velocity(one)
    return [first, _step(one, f"·  v|{exact(v)}")], -one.lr * v


def _nesterov(one: One) -> tuple[list[Part], float]:
    mu, v, first = _velocity(one)
    ahead = f"·  (  g|{exact(one.g)}  +  μ|{exact(mu)}  ·  v|{exact(v)}  )"
    return [first, _step(one, ahead)], -one.lr * (one.g + mu * v)


def _adagrad(one: One) -> tuple[list[Part], float]:
    s, before, epsilon = one.slot(0, True), one.slot(0, False), optimizers.ADAGRAD_EPSILON
    first = line(one.name, f"s|{exact(s)}  =  {_before('s')}|{exact(before)}  +  g²|{exact(one.g**2)}")
    return [first, _over(one, "g", one.g, "s", s, epsilon)], _divided(one, one.g, s, epsilon)


def _rmsprop(one: One) -> tuple[list[Part], float]:
    return _mean_square(one, "α", 0.99)


def _dynamic(one: One) -> tuple[list[Part], float]:
    return _mean_square(one, "β", 0.9)


def _mean_square(one: One, letter: str, keep: float) -> tuple[list[Part], float]:
    v = one.slot(0, True)
    first = _faded(one, "v", 0, letter, keep, "g²", one.g**2, one.name)
    return [first, _over(one, "g", one.g, "v", v)], _divided(one, one.g, v)


def _adadelta(one: One) -> tuple[list[Part], float]:
    v, u, epsilon = one.slot(0, True), one.slot(1, False), optimizers.ADADELTA_EPSILON
    change, small = -one.lr * one.g * float(np.sqrt((u + epsilon) / (v + epsilon))), rate(epsilon)
    roots = f"√(u + ε)|√({exact(u)} + {small})  /  √(v + ε)|√({exact(v)} + {small})"
    first = _faded(one, "v", 0, "ρ", 0.9, "g²", one.g**2, one.name)
    return [first, _step(one, f"·  g|{exact(one.g)}  ·  {roots}")], change


def _adam_uncorrected(one: One) -> tuple[list[Part], float]:
    m, v = one.slot(0, True), one.slot(1, True)
    return [*_moments(one), _over(one, "m", m, "v", v)], _divided(one, m, v)


def _adam(one: One) -> tuple[list[Part], float]:
    k = one.update
    m, v = one.slot(0, True) / (1 - 0.9**k), one.slot(1, True) / (1 - 0.999**k)
    text = f"m̂ = m / (1 − β₁<sup>k</sup>)|{exact(m)}  v̂ = v / (1 − β₂<sup>k</sup>)|{exact(v)}  k|{k}"
    corrected = line(_("corrected: both began at 0"), text)
    return [*_moments(one), corrected, _over(one, "m̂", m, "v̂", v)], _divided(one, m, v)


def _adamw(one: One) -> tuple[list[Part], float]:
    lines, change = _adam(one)
    decay = one.a.experiment.weight_decay
    if not decay:
        return lines, change
    shrunk = one.lr * decay * one.weight
    text = f"−η λ θ|{exact(-shrunk)}  λ|{rate(decay)}  θ|{exact(one.weight)}"
    return [*lines, line(_("and weight decay"), text)], change - shrunk


def _moments(one: One) -> list[Part]:
    first = _faded(one, "m", 0, "β₁", 0.9, "g", one.g, one.name)
    return [first, _faded(one, "v", 1, "β₂", 0.999, "g²", one.g**2, "")]


def _before(name: str) -> str:
    return _("{name} before").format(name=name)


def _faded(one: One, name: str, slot: int, letter: str, keep: float, of: str, value: float, about: str) -> Part:
    """A mean that forgets: name = keep · name + (1 − keep) · of."""
    after, before = exact(one.slot(slot, True)), exact(one.slot(slot, False))
    fresh = f"(1 − {letter})|{1 - keep:.3g}  ·  {of}|{exact(value)}"
    return line(about, f"{name}|{after}  =  {letter}|{keep:g}  ·  {_before(name)}|{before}  +  {fresh}")


def _over(one: One, of: str, value: float, root: str, square: float, epsilon: float = optimizers.EPSILON) -> Part:
    below = f"(√{root} + ε)|({exact(float(np.sqrt(square)))} + {rate(epsilon)})"
    return _step(one, f"·  {of}|{exact(value)}  /  {below}")


def _divided(one: One, value: float, square: float, epsilon: float = optimizers.EPSILON) -> float:
    with np.errstate(all="ignore"):
        return float(-one.lr * value / (np.sqrt(np.float64(square)) + epsilon))


def _step(one: One, text: str, about: str = "") -> Part:
    return line(about, f"Δθ|{exact(one.change)}  =  −η|−{rate(one.lr)}  {text}")


RULES: dict[str, Rule] = {
    "sgd": _sgd, "momentum": _momentum, "nesterov": _nesterov, "adagrad": _adagrad, "rmsprop": _rmsprop,
    "dynamic": _dynamic, "adadelta": _adadelta, "adam": _adam, "adam_uncorrected": _adam_uncorrected, "adamw": _adamw,
}  # fmt: skip


def update(one: One) -> list[Part]:
    m, e, lines = one.m, one.a.experiment, RULES[one.a.experiment.optimizer](one)[0]
    if e.weight_decay and not OPTIMIZERS[e.optimizer].decoupled:
        text = f"g|{exact(one.g)}  =  g′|{exact(one.clipped)}  +  λ|{rate(e.weight_decay)}  ·  θ|{exact(one.weight)}"
        lines = [line(_("with weight decay"), text), *lines]
    share = m.change_norm / m.weight_norm if m.weight_norm else float("inf")
    text = f"‖Δθ‖|{exact(m.change_norm)}  =  ‖Δθ‖ / ‖θ‖|{exact(share)}  ·  ‖θ‖|{exact(m.weight_norm)}"
    return [*lines, line(_("all weights"), text)]


def after(one: One) -> list[Part]:
    """What has come of it on the same batch."""
    m, theta = one.m, one.weight
    moved = f"θ + Δθ|{exact(theta + one.change, 5)}  =  θ|{exact(theta, 5)}  +  Δθ|{exact(one.change)}"
    losses = (
        f"L(θ)|{exact(m.loss, 5)}  →  L(θ + Δθ)|{exact(m.loss_after, 5)}  {_('change')}|{exact(m.loss_after - m.loss)}"
    )
    lines = [line(one.name, moved), line(_("the same batch"), losses)]
    if m.promised is not None:
        lines.append(line(_("a straight line would say"), f"{_('change')} = g · Δθ|{exact(m.promised)}"))
    return lines
