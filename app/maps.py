"""What a map shows: one or two knobs with their ranges, a measure, how many seeds or folds, how much training; what the
address says of it, and what a shared server allows. No Streamlit in here.

`across=gain:0.5:2:17&up=seq_length:10:200:9:log&measure=val_loss&samples=3&train=200`: from, to, how many, and `log`
where the steps are factors; of a field with names these instead: `across=cell:rnn,lstm`. Sentences are plain text: they
quote the address, so they must never be drawn as HTML or Markdown.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import product
from math import isfinite
from typing import Any

import numpy as np

import engine
from app import link, settings
from app.figures.maps_measures import LOOKS, trains
from app.limits import LIMITS, seconds
from app.settings import RANGES
from app.words import _, listed
from engine.sweeps.folds import different
from engine.sweeps.measures import MEASURES

WORDS = ("across", "up", "measure", "samples", "train")
EXAMPLE = "across=gain:0.5:2:17"
COUNTS = (3, 5, 9, 17, 33)  # how many values an axis is offered; a link may say others
MOST = 65  # values of an axis
SEEDS = (1, 3, 5, 10)
FOLDS = (5, 10)
STEPS = (0, 50, 100, 200, 500, 1000)  # of training that are offered
USUAL = 200  # steps where a measure needs some
WITHOUT = ("seed", "batching", "dtype", "stop_steps", "stop_loss", "patience", "variational_dropout", "reset_after")
KNOBS = tuple(field for field in settings.FIELDS if field not in WITHOUT)  # what can be an axis
NAMED = tuple(field for field in KNOBS if field not in RANGES)


@dataclass(frozen=True)
class Axis:
    """A field, and its values: `count` of them from `low` to `high` (`log`: by equal factors), or `names`."""

    field: str
    low: float = 0.0
    high: float = 0.0
    count: int = 0
    log: bool = False
    names: tuple[str, ...] = ()

    @cached_property
    def values(self) -> tuple[Any, ...]:
        """As the experiment has them, each once: whole numbers of a whole field, else as few digits as tell them."""
        if self.names:
            return self.names
        at = np.geomspace(self.low, self.high, self.count) if self.log else np.linspace(
            self.low, self.high, self.count
        )  # fmt: skip
        whole = RANGES[self.field].whole
        if whole:
            return tuple(dict.fromkeys(round(float(v)) for v in at))
        near = 0.02 * np.diff(at, append=2 * at[-1] - at[-2])  # of the way to the next one
        written = [[float(f"{v:.{digits}g}") for v in at] for digits in range(3, 17)]
        digits = next((3 + k for k, row in enumerate(written) if (np.abs(row - at) <= near).all()), 16)
        return tuple(dict.fromkeys(float(f"{v:.{digits}g}") for v in at))


@dataclass(frozen=True)
class Choice:
    """All that a map depends on beside the controls. `folds`: of cross-validation, in place of seeds."""

    across: Axis
    up: Axis | None
    measure: str
    seeds: int = 1
    folds: int = 0
    steps: int = 0

    @property
    def axes(self) -> tuple[Axis, ...]:
        return (self.across,) if self.up is None else (self.across, self.up)

    @property
    def samples(self) -> int:
        return self.folds or self.seeds

    @property
    def points(self) -> int:
        """How often a network is probed or trained."""
        return self.samples * int(np.prod([len(axis.values) for axis in self.axes]))


# What to begin with


def default(values: Mapping[str, Any]) -> Choice:
    """Something telling at once about these values: of fresh networks, which takes a moment."""
    across = suggest("forget_bias" if settings.applies("forget_bias", values) else "gain")
    up = suggest("seq_length" if settings.applies("seq_length", values) else "hidden_size")
    return Choice(across, up, "decades_per_step", seeds=3)


SUGGESTED: dict[str, Axis] = {
    "gain": Axis("gain", 0.4, 2.0, 17),
    "seq_length": Axis("seq_length", 10, 160, 9, True),
    "forget_bias": Axis("forget_bias", -2.0, 6.0, 17),
    "hidden_size": Axis("hidden_size", 4, 64, 9, True),
    "num_layers": Axis("num_layers", 1, 4, 4),
    "batch_size": Axis("batch_size", 2, 128, 7, True),
    "train_size": Axis("train_size", 10, 1000, 9, True),
    "lr": Axis("lr", 1e-4, 1.0, 9, True),
    "clip_threshold": Axis("clip_threshold", 1e-3, 100.0, 9, True),
    "embedding_dim": Axis("embedding_dim", 2, 100, 5, True),
    "momentum": Axis("momentum", 0.0, 0.98, 9),
    "schedule_steps": Axis("schedule_steps", 10, 1000, 9, True),
    "schedule_factor": Axis("schedule_factor", 0.001, 1.0, 9, True),
    "tbptt": Axis("tbptt", 2, 128, 7, True),
    "weight_decay": Axis("weight_decay", 1e-6, 0.1, 9, True),
    "dropout": Axis("dropout", 0.0, 0.8, 9),
    "omega": Axis("omega", 0.01, 10.0, 9, True),
}


def suggest(field: str) -> Axis:
    """The values of a knob that one would try first."""
    if field in NAMED:
        names = settings.NAMES[field]
        return Axis(field, names=tuple(names) if len(names) <= MOST else tuple(names[:MOST]))
    return SUGGESTED[field]


# The address


def write(c: Choice) -> dict[str, str]:
    """The words from which `read` gives the same."""
    return {
        "across": _write_axis(c.across), "up": "none" if c.up is None else _write_axis(c.up), "measure": c.measure,
        "samples": f"{c.folds}folds" if c.folds else str(c.seeds), "train": str(c.steps),
    }  # fmt: skip


def _write_axis(axis: Axis) -> str:
    if axis.names:
        return f"{axis.field}:{','.join(axis.names)}"
    low, high = (f"{end:g}" if float(f"{end:g}") == end else str(end) for end in (axis.low, axis.high))
    ends = f"{axis.field}:{low}:{high}:{axis.count}"
    return ends + ":log" if axis.log else ends


def read(words: Mapping[str, str], values: Mapping[str, Any]) -> tuple[Choice, list[str]]:
    """What these words of an address show, on an experiment of these values; and a sentence for all that makes no
    sense, in whose place is what one begins with."""
    complaints: list[str] = []
    usual = default(values)
    across = _read_axis("across", words.get("across", ""), usual.across, complaints)
    up: Axis | None = None
    if words.get("up", "") != "none":
        instead = usual.up if usual.up is not None and usual.up.field != across.field else None
        up = _read_axis("up", words.get("up", ""), instead, complaints)
    if up is not None and up.field == across.field:
        complaints.append(_("The link has {field} on both axes. Shown is one of them.").format(field=up.field))
        up = None
    measure = words.get("measure", "") or usual.measure
    if measure not in LOOKS:
        complaints.append(_named("measure", measure, LOOKS))
        measure = usual.measure
    seeds, folds = _read_samples(words.get("samples", ""), usual.seeds if not words.get("measure") else 1, complaints)
    least = USUAL if trains(measure) else 0
    steps = _read_steps(words.get("train", ""), least, complaints)
    if trains(measure) and steps == 0:
        said = _("“{measure}” is measured while a network trains: {n} steps are made.")
        complaints.append(said.format(measure=_(MEASURES[measure].label), n=USUAL))
        steps = USUAL
    if folds and not LOOKS[measure].validation:
        said = _("Cross-validation is for the validation loss. Shown is one seed.")
        complaints.append(said)
        folds = 0
    return Choice(across, up, measure, seeds, folds, steps), complaints


def _read_axis(word: str, text: str, usual: Any, complaints: list[str]) -> Any:
    """The axis that a word says; `usual` where it says nothing, or nothing that makes sense."""
    if not text:
        return usual
    field, _colon, rest = text.partition(":")
    if field not in KNOBS:
        complaints.append(_named(word, field, KNOBS))
        return usual
    try:
        return check(Axis(field, names=tuple(rest.split(",")))) if field in NAMED else check(_numbers(field, rest))
    except ValueError as wrong:
        said = _("The link says {word} = {text}. {why}")
        complaints.append(said.format(word=word, text=link.quote(text), why=str(wrong)))
        return usual


def _numbers(field: str, rest: str) -> Axis:
    parts = rest.split(":")
    log = parts[-1] == "log"
    parts = parts[:-1] if log else parts
    if len(parts) != 3 or not re.fullmatch(r"[0-9]{1,3}", parts[2]):
        raise ValueError(_("It has to say from, to and how many, as in {example}.").format(example=EXAMPLE))
    numbers = []
    for part in parts[:2]:
        try:
            numbers.append(settings.cast(field, settings.read(field, part)))
        except ValueError:
            numbers.append(None)
    if None in numbers:
        said = _("Allowed for {field}: {allowed}.")
        raise ValueError(said.format(field=field, allowed=str(RANGES[field])))
    return Axis(field, numbers[0], numbers[1], int(parts[2]), log)


def check(axis: Axis) -> Axis:
    """The axis. Raises ValueError with a sentence for readers where it makes no sense, or is not allowed here."""
    if axis.field in NAMED:
        wrong = [name for name in axis.names if not settings.accepts(axis.field, name)]
        if wrong or len(set(axis.names)) != len(axis.names) or not axis.names:
            said = _("Allowed for {field}, each once: {allowed}.")
            raise ValueError(said.format(field=axis.field, allowed=listed(settings.NAMES[axis.field])))
        return axis
    inside = RANGES[axis.field]
    if not all(isfinite(end) and end in inside for end in (axis.low, axis.high)):
        raise ValueError(_("Allowed for {field}: {allowed}.").format(field=axis.field, allowed=str(inside)))
    if not 2 <= axis.count <= MOST:
        raise ValueError(_("An axis has from 2 to {most} values.").format(most=MOST))
    if axis.log and axis.low <= 0:
        raise ValueError(_("Equal factors need a beginning above 0."))
    if not axis.low < axis.high or len(axis.values) < 2:
        raise ValueError(_("The axis has to end above its beginning."))
    return axis


def _read_samples(text: str, usual: int, complaints: list[str]) -> tuple[int, int]:
    """(seeds, folds)"""
    if not text:
        return usual, 0
    found = re.fullmatch(r"([0-9]{1,3})(folds)?", text)
    n = int(found[1]) if found else 0
    most = max(FOLDS) if found and found[2] else max(SEEDS)
    if found is None or not (2 if found[2] else 1) <= n <= most:
        said = _("The link says samples = {text}. Allowed: 1 to {seeds} seeds, or as 5folds 2 to {folds} folds.")
        complaints.append(said.format(text=link.quote(text), seeds=max(SEEDS), folds=max(FOLDS)))
        return 1, 0
    return (1, n) if found[2] else (n, 0)


def _read_steps(text: str, usual: int, complaints: list[str]) -> int:
    if not text:
        return usual
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) > LIMITS.steps:
        said = _("The link says train = {text}. Allowed: 0 to {most} training steps. Shown instead: {value}.")
        complaints.append(said.format(text=link.quote(text), most=LIMITS.steps, value=usual))
        return usual
    return int(text)


def _named(word: str, name: str, known: Any) -> str:
    """The sentence about a name that there is not."""
    near = get_close_matches(name[:40], list(known), n=1)
    said = _("The link says {word} = {name}, which does not exist. Allowed: {allowed}.")
    if near:
        said = _("The link says {word} = {name}, which does not exist. The nearest is {near}.")
    return said.format(word=word, name=link.quote(name), near=near[0] if near else "", allowed=listed(known))


# What is allowed, and what it costs


def refusal(c: Choice, values: Mapping[str, Any]) -> str:
    """Why this map is not made on an experiment of these values, in a sentence for readers; "": it can be."""
    for axis, other in ((c.across, c.up), (c.up, c.across)):
        if axis is not None and not any(settings.applies(axis.field, v) for v in _with_names(values, other)):
            said = _("“{field}” does not count here. {why}")
            title = _(engine.Experiment.model_fields[axis.field].title or axis.field)
            return said.format(field=title, why=_(settings.NEEDS[axis.field].words))
    if c.points > LIMITS.map_points:
        said = _("{n} networks are more than the {most} of a map on this server: choose fewer values or seeds.")
        return said.format(n=f"{c.points:,}", most=f"{LIMITS.map_points:,}")
    if c.folds and overlapping(c, values):
        return no_folds()
    if c.folds and not values["train_size"] and all(axis.field != "train_size" for axis in c.axes):
        return _("Cross-validation needs a training set that ends: choose a size under “Training set” first.")
    try:
        for found in largest(c, values):
            link.experiment(found)
    except ValueError as refused:
        return str(refused)
    if c.folds and _too_few(c, values):
        return _("The training set has fewer different sequences than folds: choose a larger one, or fewer folds.")
    if (cost := work(c, values)) > LIMITS.map_seconds:
        said = _(
            "This map would be about {n} seconds of work: more than the {most} that this server allows. Choose fewer "
            "values, seeds or training steps."
        )
        return said.format(n=f"{cost:,.0f}", most=f"{LIMITS.map_seconds:,}")
    return ""


def overlapping(c: Choice, values: Mapping[str, Any]) -> bool:
    """Are all sequences windows of one series or text, which are not parted into folds?"""
    tasks = next((axis.names for axis in c.axes if axis.field == "task"), (values["task"],))
    return all(engine.TASKS[task].overlapping for task in tasks)


def no_folds() -> str:
    """Why windows are not parted into folds."""
    return _(
        "No cross-validation here: the sequences of this task are windows that overlap, and folds of them would share "
        "values. Its validation is the end that is held back."
    )


def _too_few(c: Choice, values: Mapping[str, Any]) -> bool:
    """Have all training sets fewer different sequences than there are folds?"""
    for found in largest(c, values):
        try:
            e = link.experiment(found)
        except ValueError:  # such a cell does not exist
            continue
        if not engine.TASKS[e.task].overlapping and e.train_size is not None and different(e) >= c.folds:
            return False
    return True


def _with_names(values: Mapping[str, Any], axis: Axis | None) -> Iterator[dict[str, Any]]:
    """The values with each value of an axis."""
    for value in (None,) if axis is None else axis.values:
        yield dict(values) if axis is None else {**values, axis.field: value}


def largest(c: Choice, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Of the values that the map's networks have those with which one pass is most work: numbers at their ends."""
    ends = [axis.values if axis.names else (axis.values[0], axis.values[-1]) for axis in c.axes]
    for chosen in product(*ends):
        yield {**values, **{axis.field: value for axis, value in zip(c.axes, chosen, strict=True)}}


def work(c: Choice, values: Mapping[str, Any]) -> float:
    """Seconds of one core that the map takes, about, before anything is measured."""
    each = []
    for chosen in product(*(_some(axis) for axis in c.axes)):
        found = {**values, **{axis.field: value for axis, value in zip(c.axes, chosen, strict=True)}}
        try:
            each.append(seconds(link.experiment(found)))
        except ValueError:  # such a cell stays empty
            each.append(0.0)
    return c.points * float(np.mean(each)) * (LOOKS[c.measure].passes + 1.3 * c.steps) + 2e-3 * c.points


def _some(axis: Axis) -> tuple[Any, ...]:
    """A few values of an axis that stand for all."""
    return axis.values if axis.names else tuple(axis.values[i] for i in {0, len(axis.values) // 2, -1})
