"""The settings of an experiment as a visitor may choose them: names, ranges, and which of them count for the others.

Everything comes from the engine: the fields and their ranges from Experiment, the names from its tables. Only upper
limits are narrowed here, for a server that many share. No Streamlit in here.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt

import engine
from app import own
from app.limits import LIMITS
from app.words import _, listed
from engine.experiment import CHOICES, SWITCHES

Values = Mapping[str, Any]
DEFAULT = engine.Experiment()
DEFAULTS: dict[str, Any] = DEFAULT.model_dump()
FIELDS = tuple(engine.Experiment.model_fields)
OPTIONAL = tuple(
    name for name, field in engine.Experiment.model_fields.items() if type(None) in get_args(field.annotation)
)
NAMES: dict[str, tuple[str, ...]] = dict(CHOICES)  # field -> the names it may have
UPPER: dict[str, float] = {  # narrower than the engine's
    "num_layers": LIMITS.num_layers, "hidden_size": LIMITS.hidden_size, "embedding_dim": 256, "gain": 10,
    "forget_bias": 10, "seed": 999_999_999, "seq_length": LIMITS.seq_length, "batch_size": LIMITS.batch_size,
    "train_size": 10_000, "lr": 10, "schedule_steps": 1_000_000, "weight_decay": 10, "omega": 1000,
    "clip_threshold": 1e6, "tbptt": LIMITS.seq_length, "stop_loss": 1e6, "stop_steps": 10_000_000,
    "patience": 10_000_000,
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; an end that is `open` does not belong to it."""

    low: float
    high: float
    whole: bool
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        above = self.low < value if self.open_low else self.low <= value
        return above and (value < self.high if self.open_high else value <= self.high)  # NaN is in no range

    def __str__(self) -> str:
        ends = {"low": f"{self.low:.15g}", "high": f"{self.high:.15g}"}
        if self.whole:
            return _("a whole number from {low} to {high}").format(**ends)
        if self.open_low:
            return _("a number above {low}, up to {high}").format(**ends)
        if self.open_high:
            return _("a number from {low}, below {high}").format(**ends)
        return _("a number from {low} to {high}").format(**ends)


def _range(name: str) -> Range:
    field, ends = engine.Experiment.model_fields[name], dict[str, Any]()
    for bound in field.metadata:
        match bound:
            case Ge(low):
                ends["low"] = low
            case Gt(low):
                ends |= {"low": low, "open_low": True}
            case Le(high):
                ends["high"] = high
            case Lt(high):
                ends |= {"high": high, "open_high": True}
    ends["high"] = min(ends["high"], UPPER.get(name, math.inf))
    return Range(whole=int in (field.annotation, *get_args(field.annotation)), **ends)


RANGES: dict[str, Range] = {name: _range(name) for name in FIELDS if name not in NAMES and name not in SWITCHES}


# Which settings count, given the others. One that does not is dimmed or hidden, and the experiment has its default.


@dataclass(frozen=True)
class Need:
    holds: Callable[[Values], bool]
    words: str


def _responds(row: Callable[..., Any], *calls: tuple[Any, ...]) -> bool:
    """Do these calls differ? So a row of a table need not say which of its arguments it uses."""
    return len({row(*call) for call in calls}) > 1


@cache  # asked some times for each picture
def _schedule(name: str, *ends: tuple[int, float]) -> bool:
    factor = engine.SCHEDULES[name].factor
    return any(_responds(factor, *((k, *end) for end in ends)) for k in range(20))


NEEDS: dict[str, Need] = {
    "reset_after": Need(lambda v: v["cell"] == "gru", "Only in the GRU."),
    "embedding_dim": Need(lambda v: bool(own.row(v["task"]).symbols), "Only for tasks whose inputs are symbols."),
    "forget_bias": Need(
        lambda v: v["cell"] == "lstm" and engine.INITS[v["init"]].bias is None,
        "Only in the LSTM, with weights that do not set it themselves.",
    ),
    "seq_length": Need(lambda v: own.row(v["task"]).fixed_steps is None, "This task has a length of its own."),
    "batch_size": Need(
        lambda v: _responds(engine.BATCHINGS[v["batching"]].sequences, (1, 8), (2, 8)), "Only for mini-batches."
    ),
    "loss": Need(lambda v: own.row(v["task"]).loss == "cross_entropy", "Only for tasks with classes."),
    "momentum": Need(lambda v: engine.OPTIMIZERS[v["optimizer"]].uses_momentum, "Only for optimizers with momentum."),
    "schedule_steps": Need(lambda v: _schedule(v["schedule"], (7, 0.5), (3, 0.5)), "Only for schedules that change."),
    "schedule_factor": Need(
        lambda v: _schedule(v["schedule"], (7, 0.5), (7, 0.1)), "Only for schedules that end at a factor."
    ),
    "clip_threshold": Need(lambda v: engine.CLIPS[v["clip"]].apply is not None, "Only with clipping."),
    "dropout": Need(lambda v: v["num_layers"] > 1, "Only between layers: it needs two of them."),
    "variational_dropout": Need(lambda v: v["num_layers"] > 1 and v["dropout"] > 0, "Only with dropout."),
    "omega": Need(lambda v: v["cell"] == "rnn", "Only in the plain RNN."),
}


def applies(field: str, values: Values) -> bool:
    """Does this setting count, given the others?"""
    return field not in NEEDS or NEEDS[field].holds(values)


def effective(values: Values) -> dict[str, Any]:
    """The values that count, and defaults in place of those that do not."""
    return {field: values[field] if applies(field, values) else DEFAULTS[field] for field in FIELDS}


def differing(values: Values, base: Values) -> list[str]:
    """The fields that count and have another value than in `base`."""
    return [field for field in FIELDS if applies(field, values) and values[field] != base[field]]


# One value, and its text in a link.


def accepts(field: str, value: Any) -> bool:
    """Is this a value that the field may have here?"""
    if value is None:
        return field in OPTIONAL
    if field in SWITCHES:
        return isinstance(value, bool)
    if field == "task" and own.is_own(value):
        return own.find(value) is not None
    return value in NAMES[field] if field in NAMES else field in RANGES and value in RANGES[field]


def cast(field: str, value: Any) -> Any:
    """An accepted value in the type that the experiment has for it: JSON has no 1.0. Own data are named by text: only
    the session and an experiment hold them."""
    if field == "task":
        return str(value)
    return float(value) if value is not None and field in RANGES and not RANGES[field].whole else value


def allowed(field: str) -> str:
    """What a link may say, in words."""
    words = listed(NAMES[field]) if field in NAMES else "true, false" if field in SWITCHES else str(RANGES[field])
    return _("none, or {words}").format(words=words) if field in OPTIONAL else words


def write(value: Any) -> str:
    """The text that stands for a value in a link."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def read(field: str, text: str) -> Any:
    """The value that a text of the link stands for. Raises ValueError where there is none."""
    value: Any = text
    if field in OPTIONAL and text == "none":
        return None
    if field in SWITCHES:
        value = {"true": True, "false": False}.get(text)
    elif field in RANGES and RANGES[field].whole:
        value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,15}", text) else None
    elif field in RANGES:
        value = float(text) if re.fullmatch(r"[+-]?[0-9.]{1,25}(e[+-]?[0-9]{1,3})?", text, re.I) else None
    if value is None or not accepts(field, value):
        raise ValueError(text)
    return value
