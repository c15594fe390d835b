"""Small worlds: what may be chosen there, how a link says it, and what the engine finds for it. No Streamlit here.

The names stand in the address beside those of the experiment, and only where they differ from the default.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

import engine
from app.figures.cliff import B_SPAN, W_SPAN, Walk
from app.figures.one_unit import U_SPAN, Unit, grid
from app.figures.one_unit import W_SPAN as UNIT_SPAN
from app.figures.small import SMALL
from app.settings import Range
from app.words import _, listed

Values = Mapping[str, Any]
STEPS = {"one": 40, "two": 25}  # of the state: until it has come to rest, and little more


@dataclass(frozen=True)
class Field:
    """A number in a range (`options`: what its slider offers; else `step`), or one of some names."""

    label: str
    default: Any
    meaning: str
    range: Range | None = None
    step: float = 0.01
    options: tuple[Any, ...] = ()

    def accepts(self, value: Any) -> bool:
        return value in self.range if self.range else value in self.options

    def allowed(self) -> str:
        return str(self.range) if self.range else listed(self.options)


def _number(label: str, default: float, low: float, high: float, meaning: str, **more: Any) -> Field:
    whole = isinstance(default, int)
    return Field(label, default, meaning, Range(low, high, whole), **more)


_WEIGHT = "One of the four weights. w₁₂: how much of h₂ goes into the next h₁. Gain multiplies all."
FIELDS: dict[str, Field] = {
    "part": Field("Part", "cliff", "What is shown.", options=tuple(SMALL)),
    "cliff_w": _number("Start w", 5.5, *W_SPAN, "The recurrent weight before the first step."),
    "cliff_b": _number("Start b", -2.6, *B_SPAN, "The bias before the first step."),
    "cliff_lr": _number(
        "Learn. rate", 0.5, 0.001, 100.0, "A step is this times the gradient: plain gradient descent.",
        options=(0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
    ),
    "cliff_clip": _number(
        "Clip at", 0.1, 1e-4, 1e4, "The longest gradient that the clipped path follows; a longer one is cut to it.",
        options=(0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0),
    ),
    "cliff_steps": _number("Steps", 100, 10, 500, "Steps of both paths.", options=(20, 50, 100, 200, 500)),
    "one_w": _number("Weight w", 2.0, *UNIT_SPAN, "How much of tanh(a) the unit feeds back to itself.", step=0.05),
    "one_u": _number("Push u", 0.3, *U_SPAN, "A constant input. To hold a bit is to stand against it."),
    "one_start": _number("Start a₀", -0.4, -5.0, 5.0, "The state before the first step.", step=0.05),
    "two_w11": _number("w₁₁", 1.0, -10.0, 10.0, _WEIGHT),
    "two_w12": _number("w₁₂", 0.8, -10.0, 10.0, _WEIGHT),
    "two_w21": _number("w₂₁", 0.8, -10.0, 10.0, _WEIGHT),
    "two_w22": _number("w₂₂", 1.0, -10.0, 10.0, _WEIGHT),
    "two_gain": _number("Gain", 1.0, 0.0, 4.0, "Multiplies all four weights.", step=0.02),
    "two_b1": _number("b₁", 0.0, -10.0, 10.0, "The bias of the first unit."),
    "two_b2": _number("b₂", 0.0, -10.0, 10.0, "The bias of the second unit."),
    "two_phi": Field("φ", "tanh", "What a unit makes of its sum.", options=tuple(engine.ACTIVATIONS)),
    "two_h1": _number("Start h₁", 0.9, -3.0, 3.0, "The first state before the first step."),
    "two_h2": _number("Start h₂", -0.75, -3.0, 3.0, "The second state before the first step."),
}  # fmt: skip
DEFAULTS: dict[str, Any] = {name: field.default for name, field in FIELDS.items()}


@dataclass(frozen=True)
class Start:
    """A preset: what it shows, and what it sets; all other fields of its part have their defaults."""

    label: str
    meaning: str
    values: Values


PRESETS: dict[str, dict[str, Start]] = {
    "cliff": {
        "thrown": Start(
            "Thrown off by the wall", "It bounces, until one step meets the wall where it is steep. Press Play.", {}
        ),
        "careful": Start(
            "A smaller rate meets it too", "A fifth of the rate: the wall is met later, and where it is steeper.",
            {"cliff_w": 4.8, "cliff_b": -2.2, "cliff_lr": 0.1},
        ),
        "smooth": Start(
            "Where there is no wall", "Below w = 4.26 x₀ does not repel, and both paths come down.",
            {"cliff_w": 3.6, "cliff_b": -2.8, "cliff_lr": 0.2, "cliff_clip": 0.2},
        ),
        "tight": Start(
            "Clipped too hard", "Every step is cut to 0.01: it is safe, and goes nowhere.",
            {"cliff_clip": 0.01},
        ),
    },
    "one": {
        "latch": Start("A latch", "w = 2 holds one bit against a push of 0.3, and forgets where it came from.", {}),
        "pushed": Start(
            "Pushed over", "A push of 0.6 is more than 0.533: the lower rest is gone, and the bit with it.",
            {"one_u": 0.6},
        ),
        "edge": Start(
            "The edge", "w = 1: no step shrinks a gradient at 0, and none holds anything.",
            {"one_w": 1.0, "one_u": 0.0, "one_start": 1.0},
        ),
        "forgets": Start("It forgets", "w = 0.5: half of what it was is gone at each step.", {"one_w": 0.5}),
        "swings": Start("It swings", "w = −2: every step turns the sign.", {"one_w": -2.0, "one_u": 0.0}),
    },
    "two": {
        "two": Start("Two memories", "Both units push each other the same way: one bit, in two units.", {}),
        "one": Start(
            "One rest", "Gain 0.5: wherever it starts it comes to 0, and forgets.",
            {"two_gain": 0.5},
        ),
        "four": Start(
            "Four memories", "Two latches beside each other: two bits.",
            {"two_w11": 2.0, "two_w12": 0.0, "two_w21": 0.0, "two_w22": 2.0},
        ),
        "turns": Start(
            "It turns", "A rotation, a little larger than 1: a cycle, and a gradient that lives as long.",
            {"two_w11": 1.1, "two_w12": -0.6, "two_w21": 0.6, "two_w22": 1.1},
        ),
        "spiral": Start(
            "It spirals in", "The same rotation below 1: it forgets, turning.",
            {"two_w11": 1.1, "two_w12": -0.6, "two_w21": 0.6, "two_w22": 1.1, "two_gain": 0.75},
        ),
        "edge": Start(
            "The edge", "Orthogonal weights: |λ| is exactly 1, and no step back shrinks a gradient at 0.",
            {"two_w11": 0.8, "two_w12": -0.6, "two_w21": 0.6, "two_w22": 0.8, "two_h1": 0.2, "two_h2": 0.0},
        ),
    },
}  # fmt: skip


def of_part(part: str) -> list[str]:
    return [name for name in FIELDS if name.startswith(part + "_")]


def preset_values(part: str, preset: str) -> dict[str, Any]:
    return {name: DEFAULTS[name] for name in of_part(part)} | dict(PRESETS[part][preset].values)


# The link.


def read(query: Mapping[str, Iterable[str]]) -> tuple[dict[str, Any], list[str]]:
    """A value for every field, and a sentence for each that makes no sense: that one has its default."""
    values, complaints = dict(DEFAULTS), list[str]()
    for name, texts in query.items():
        field, said = FIELDS[name], list(texts)
        value = _value(field, said[0]) if len(said) == 1 else None
        if value is not None and field.accepts(value):
            values[name] = value
            continue
        shown = ", ".join(said)
        shown = "".join(c if c.isprintable() else "·" for c in shown[:40]) + ("…" if len(shown) > 40 else "")
        complaints.append(
            _("The link says {field} = “{text}”. Allowed: {allowed}. Shown instead: {value}.").format(
                field=name, text=shown, allowed=field.allowed(), value=field.default
            )
        )
    return values, complaints


def _value(field: Field, text: str) -> Any:
    if field.range is None:
        return text
    if field.range.whole:
        return int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text) else None
    return (
        float(text)
        if re.fullmatch(r"[+-]?([0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(e[+-]?[0-9]{1,3})?", text)
        else None
    )


def write(values: Values) -> dict[str, str]:
    """What differs from the default; `read` gives the same values back."""
    return {name: str(values[name]) for name in FIELDS if values[name] != DEFAULTS[name]}


# What the engine finds: a few hundredths of a second each, and the last ones are kept for all sessions.


def look(values: Values) -> Any:
    """The Walk, Unit or TwoUnits of these values."""
    part = values["part"]
    return {"cliff": _cliff, "one": _one, "two": _two}[part](*(values[name] for name in of_part(part)))


@lru_cache(maxsize=1)
def _surface() -> engine.Cliff:
    return engine.cliff(np.linspace(*W_SPAN, 101), np.linspace(*B_SPAN, 106))


@lru_cache(maxsize=32)
def _cliff(w: float, b: float, lr: float, clip: float, steps: int) -> Walk:
    free, clipped = (engine.descend(w, b, lr, threshold, steps) for threshold in (None, clip))
    return Walk(_surface(), free, clipped, lr)


@lru_cache(maxsize=32)
def _one(w: float, u: float, start: float) -> Unit:
    ws, us = grid(UNIT_SPAN), grid(U_SPAN)
    unit = engine.one_unit(w, u, start, STEPS["one"])
    return Unit(unit, ws, engine.one_unit_branches(ws, u), us, engine.one_unit_branches(w, us))


@lru_cache(maxsize=32)
def _two(
    w11: float, w12: float, w21: float, w22: float, gain: float, b1: float, b2: float, phi: str, h1: float, h2: float
) -> engine.TwoUnits:
    weight = gain * np.array([[w11, w12], [w21, w22]])
    return engine.two_units(weight, (b1, b2), phi, start=(h1, h2), steps=STEPS["two"])


def of_run(e: engine.Experiment, state_dict: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
    """The fields of a run's own two units, to four digits; None where it has not two, or they are out of range."""
    if e.cell != "rnn" or e.hidden_size != 2 or e.num_layers != 1:
        return None
    w, b = state_dict["weight_hh_l0"], state_dict["bias_ih_l0"] + state_dict["bias_hh_l0"]
    numbers = dict(zip(("two_w11", "two_w12", "two_w21", "two_w22", "two_b1", "two_b2"), [*w.ravel(), *b], strict=True))
    values: dict[str, Any] = {name: float(f"{float(x):.4g}") for name, x in numbers.items()}
    values |= {"two_gain": 1.0, "two_phi": e.nonlinearity}
    return values if all(FIELDS[name].accepts(value) for name, value in values.items()) else None
