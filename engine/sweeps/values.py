"""Fields of an experiment as written in a shell: cell=lstm, gain=0.5:1.5:33, lr=1e-4:1:log13, tbptt=none,10."""

from collections.abc import Iterable
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from engine.experiment import SWITCHES, Experiment

MOST_VALUES = 10_000  # of a range
DIGITS = 12  # of a value of a range: 0.3 is meant, not 0.30000000000000004


def experiment(settings: Iterable[str]) -> Experiment:
    """NAME=VALUE, each once, over the defaults. Raises ValueError in a sentence."""
    found: dict[str, Any] = {}
    for text in settings:
        name, value = _pair(text, "--set")
        if name in found:
            raise ValueError(f"--set: {name} twice; allowed: each field once")
        found[name] = _value(name, value)
    try:
        return Experiment(**found)
    except ValidationError as wrong:
        errors = [(".".join(map(str, error["loc"])), error["msg"]) for error in wrong.errors()]
        said = [f"{place}={found[place]!r:.80}: {text}" if place in found else text for place, text in errors]
        raise ValueError(f"--set: {'; '.join(said)}") from None


def axes(ranges: Iterable[str]) -> dict[str, list[Any]]:
    """NAME=VALUES, each once. Raises ValueError in a sentence."""
    found: dict[str, list[Any]] = {}
    for text in ranges:
        name, values = _pair(text, "--axis")
        if name in found:
            raise ValueError(f"--axis: {name} twice; allowed: each field once")
        found[name] = _range(name, values) if values.count(":") else [_value(name, v) for v in values.split(",")]
    return found


def whole_numbers(text: str) -> int | list[int]:
    """A number, or a list of them."""
    try:
        return [int(part) for part in text.split(",")] if "," in text else int(text)
    except ValueError:
        raise ValueError(f"--seeds: {text!r:.80}; allowed: how many, or which: 3 or 0,7,42") from None


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{option}: {text!r:.80}; allowed: NAME=VALUE")
    if name not in Experiment.model_fields:
        raise ValueError(f"{option}: {name!r:.80} is no field; allowed: {', '.join(Experiment.model_fields)}")
    return name, value


def _kinds(name: str) -> set[Any]:
    annotation = Experiment.model_fields[name].annotation
    return {annotation, *get_args(annotation)}


def _value(name: str, text: str) -> Any:
    """As the field wants it; what cannot be that stays text, and the experiment says what is allowed."""
    kinds, low = _kinds(name), text.strip().lower()
    if low == "none" and type(None) in kinds:
        return None
    if name in SWITCHES:
        return {"true": True, "false": False}.get(low, text)
    if str in kinds:
        return text.strip()
    try:
        number = float(low)
    except ValueError:
        return text
    if int not in kinds:
        return number
    digits = low.lstrip("+-").isdecimal() and np.isfinite(number)  # Python reads no number of thousands of them
    return int(low) if digits else int(number) if number.is_integer() else number


def _range(name: str, text: str) -> list[Any]:
    """FIRST:LAST:COUNT, equal steps, or FIRST:LAST:logCOUNT, equal factors; whole numbers where the field has them."""
    allowed = "FIRST:LAST:COUNT, or FIRST:LAST:logCOUNT with numbers above 0"
    kinds, parts = _kinds(name), text.split(":")
    count, log = parts[-1].removeprefix("log"), parts[-1].startswith("log")
    counts = count.isdecimal() and len(count) <= len(str(MOST_VALUES)) and 2 <= int(count) <= MOST_VALUES
    if not kinds & {int, float} or len(parts) != 3 or not counts:
        allowed += f", COUNT from 2 to {MOST_VALUES}"
        raise ValueError(f"--axis {name}: {text!r:.80}; allowed for a field of numbers: {allowed}")
    try:
        first, last = float(parts[0]), float(parts[1])
    except ValueError:
        first, last = np.nan, np.nan
    if not (np.isfinite(first) and np.isfinite(last)) or (log and not (first > 0 and last > 0)):
        raise ValueError(f"--axis {name}: {text!r:.80}; allowed: {allowed}")
    with np.errstate(over="ignore", invalid="ignore"):
        values = (np.geomspace if log else np.linspace)(first, last, int(count)).tolist()
    if not np.isfinite(values).all():
        raise ValueError(f"--axis {name}: {text!r:.80}; allowed: {allowed}, less far from each other")
    if int in kinds:
        return list(dict.fromkeys(round(v) for v in values))
    return [float(f"{v:.{DIGITS}g}") for v in values]
