"""An axis of a sweep: a field of the experiment and its values, checked; and which of them show the map first."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from engine.experiment import Experiment
from engine.refusals import said

MOST_AXES = 3
MOST_VALUES = 10_000
NOT_AN_AXIS = {"seed": "seeds=… says which"}


def checked(base: Experiment, axes: Any) -> dict[str, tuple[Any, ...]]:
    """Axes as given -> field -> its values as the experiment has them. Raises ValueError that names what is wrong."""
    if not isinstance(axes, Mapping) or not 1 <= len(axes) <= MOST_AXES:
        raise ValueError(f"axes: {axes!r:.80}; allowed: one to three fields of Experiment, each with its values")
    return {name: _values(base, name, values) for name, values in axes.items()}


def _values(base: Experiment, name: Any, values: Any) -> tuple[Any, ...]:
    fields = [field for field in Experiment.model_fields if field not in NOT_AN_AXIS]
    if name not in fields:
        why = f" ({NOT_AN_AXIS[name]})" if name in NOT_AN_AXIS else ""
        raise ValueError(f"axes: {name!r:.80} is no axis{why}; allowed: {', '.join(fields)}")
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"axes[{name}]: {values!r:.80}; allowed: a list of values")
    found = tuple(_valid(base, name, value) for value in islice(values, MOST_VALUES + 1))
    if not 1 <= len(found) <= MOST_VALUES:
        how_many = f"more than {MOST_VALUES}" if found else "no"
        raise ValueError(f"axes[{name}]: {how_many} values; allowed: 1 to {MOST_VALUES}")
    before: set[Any] = set()
    for value in found:
        if value in before:
            raise ValueError(f"axes[{name}]: {value!r:.80} twice; allowed: each value once")
        before.add(value)
    return found


def _valid(base: Experiment, name: str, value: Any) -> Any:
    """The value as the experiment has it: a whole 10.0 is 10 where a whole number is asked for."""
    annotation = Experiment.model_fields[name].annotation
    kinds = {annotation, *get_args(annotation)}
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and int in kinds and value.is_integer():
        value = int(value)
    if isinstance(value, str) and str not in kinds:
        allowed = "True or False" if bool in kinds else "numbers, None" if type(None) in kinds else "numbers"
        raise ValueError(f"axes[{name}]: {value!r:.80}; allowed: {allowed}")
    try:
        return getattr(base.replace(**{name: value}), name)
    except ValidationError as wrong:
        for error in wrong.errors():
            if error["loc"][:1] == (name,):  # not: a value that does not go with the rest, which is a point's error
                raise ValueError(f"axes[{name}]: {value!r:.80}{said(error['msg'])}") from None
    return value


def named(values: tuple[Any, ...]) -> bool:
    """Are the values names (or switches, or is None one of them), with nothing in between?"""
    return any(value is None or isinstance(value, str | bool) for value in values)


def levels(values: tuple[Any, ...]) -> list[int]:
    """Of each value, the first level that shows it: the ends and the middle at 0, halfway between those at 1, and so
    on, each level twice as fine. Names have nothing in between: all of them at 0."""
    last = len(values) - 1
    if named(values) or last <= 2:
        return [0] * len(values)
    found: dict[int, int] = {}
    parts, level = 2, 0
    while len(found) <= last:
        for k in range(parts + 1):
            found.setdefault(round(k * last / parts), level)
        parts, level = 2 * parts, level + 1
    return [found[k] for k in range(last + 1)]
