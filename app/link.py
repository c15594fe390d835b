"""The experiment in the URL: what a link may say, how it is read, and what is said about one that makes no sense.

`?cell=lstm&seq_length=200`: the fields and names of engine.Experiment, and only what differs from the default. No
Streamlit in here. Sentences are plain text: they quote the link, so they must never be drawn as HTML or Markdown.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

import engine
from app.words import _
from engine.data import FEWEST_SEQUENCES

DEFAULT = engine.Experiment()
NAMES: dict[str, tuple[str, ...]] = {  # field -> the names it may have
    "cell": tuple(engine.CELLS),
    "nonlinearity": tuple(engine.ACTIVATIONS),
    "init": tuple(engine.INITS),
    "task": tuple(engine.TASKS),
    "optimizer": tuple(engine.OPTIMIZERS),
    "clip": tuple(engine.CLIPS),
    "dtype": ("float32", "float64"),
}
RANGES: dict[
    str, tuple[float, float]
] = {  # field -> least and greatest: the engine's range, narrowed for a shared server
    "num_layers": (1, 4),
    "hidden_size": (1, 256),
    "gain": (0, 10),
    "forget_bias": (-10, 10),
    "seed": (0, 999_999_999),
    "seq_length": (2, 2000),
    "batch_size": (1, 256),
    "lr": (0, 10),
    "clip_threshold": (1e-6, 1e6),
}
FIELDS = (*NAMES, *RANGES)
SIZES = ("seq_length", "batch_size", "hidden_size", "num_layers")
MOST_COMPLAINTS = 4
MOST_WORK = 2**21  # T·B·H·layers: numbers in the hidden states of one pass, which takes about a second at most


@dataclass(frozen=True)
class Link:
    """What was read: a value for every field, and a sentence for everything that was not understood."""

    values: dict[str, Any]
    complaints: tuple[str, ...]


def read(query: Mapping[str, Iterable[str]]) -> Link:
    """The link's values; a field that makes no sense falls back to its default, alone."""
    values, complaints = {field: getattr(DEFAULT, field) for field in FIELDS}, []
    for name, texts in query.items():
        given = list(texts)
        if name not in FIELDS:
            complaints.append(
                _("The link says {name}, which is not a setting. Allowed: {allowed}.").format(
                    name=_quote(name), allowed=", ".join(FIELDS)
                )
            )
        elif len(given) != 1:
            complaints.append(
                _("The link says {field} {times} times; shown is the default, {default}.").format(
                    field=name, times=len(given), default=values[name]
                )
            )
        elif (value := _value(name, given[0])) is None:
            complaints.append(
                _("The link says {field} = {value}. Allowed: {allowed}. Shown is the default, {default}.").format(
                    field=name, value=_quote(given[0]), allowed=allowed(name), default=values[name]
                )
            )
        else:
            values[name] = value
    try:
        experiment(values)
    except ValueError as refused:
        complaints.append(_("{reason} Shown are the default sizes.").format(reason=refused))
        values |= {field: getattr(DEFAULT, field) for field in SIZES}
    return Link(values, tuple(complaints[:MOST_COMPLAINTS]))


def write(e: engine.Experiment) -> dict[str, str]:
    """The query of a link to the experiment; `read` gives the same values back."""
    return {field: str(getattr(e, field)) for field in FIELDS if getattr(e, field) != getattr(DEFAULT, field)}


def experiment(values: Mapping[str, Any]) -> engine.Experiment:
    """The experiment with these values. Raises ValueError with a sentence for readers."""
    try:
        e = engine.Experiment(**values)
    except ValidationError as error:
        raise ValueError(" ".join(_sentence(detail) for detail in error.errors())) from None
    work = e.steps * max(e.batch_size, FEWEST_SEQUENCES) * e.hidden_size * e.num_layers  # training, or validation
    if work > MOST_WORK:
        sizes = {"T": e.steps, "B": max(e.batch_size, FEWEST_SEQUENCES), "H": e.hidden_size, "L": e.num_layers}
        raise ValueError(
            _(
                "Length {T} × batch {B} × hidden size {H} × layers {L} = {work}: "
                "more than the {most} that this server allows. Choose a smaller one of them; "
                "the pictures show the last network that fits."
            ).format(**sizes, work=f"{work:,}", most=f"{MOST_WORK:,}")
        )
    return e


def accepts(field: str, value: Any) -> bool:
    """Is this a value that the field may have here?"""
    if field in NAMES:
        return value in NAMES[field]
    if field not in RANGES or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = RANGES[field]
    return low <= value <= high and (isinstance(value, int) or not _is_whole(field))  # NaN is in no range


def allowed(field: str) -> str:
    """What may stand in a link, in words."""
    if field in NAMES:
        return ", ".join(NAMES[field])
    low, high = RANGES[field]
    if _is_whole(field):
        return _("a whole number from {low} to {high}").format(low=low, high=high)
    return _("a number from {low:g} to {high:g}").format(low=low, high=high)


def _is_whole(field: str) -> bool:
    return isinstance(getattr(DEFAULT, field), int)


def _value(field: str, text: str) -> Any:
    """The value that a text of the link stands for; None when there is none."""
    if field in NAMES:
        value: Any = text
    elif _is_whole(field):
        value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,15}", text) else None
    else:
        value = (
            float(text)
            if re.fullmatch(r"[+-]?[0-9.]{1,25}(e[+-]?[0-9]{1,3})?", text, re.I) and _is_float(text)
            else None
        )
    return value if value is not None and accepts(field, value) else None


def _is_float(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _quote(text: str) -> str:
    """A text of the link as it may be shown: short and printable."""
    shown = "".join(c if c.isprintable() else "·" for c in text[:41])
    return f"“{shown[:40]}…”" if len(shown) > 40 else f"“{shown}”"


def _sentence(detail: Any) -> str:
    """A pydantic error in one sentence: field, what is wrong, value."""
    field = ".".join(str(part) for part in detail["loc"])
    text = detail["msg"].rstrip(".")
    return f"{field} = {_quote(str(detail['input']))}: {text}." if field else f"{text}."
