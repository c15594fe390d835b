"""What is compared: one knob, its values, the experiments they make; what a link says of it, and what to begin with.

`versus=forget_bias:-2,5`: the experiment of the controls against the same one with these values of one field. No
Streamlit in here. Sentences are plain text: they quote the link, so they must never be drawn as HTML or Markdown.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import engine
from app import link, settings
from app.history import Choice
from app.settings import DEFAULTS, FIELDS
from app.words import _, listed, sentences

MOST = 3  # values beside the one that the controls have
NEXT = 9  # values that are offered of a number without a list of its own
LONGEST = 200  # characters of a link that are read
MOST_WORK = link.MOST_WORK  # numbers in the hidden states of one pass of all of them: together as much as a run may
DATA = ("task", "seq_length", "batch_size", "batching", "train_size", "seed")  # with another of these the data differ
Written = Callable[[str, Any], str]


@dataclasses.dataclass(frozen=True)
class Knob:
    """A field, and the values that the experiment of the controls is compared with."""

    field: str
    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Compared:
    """Experiments that differ in one field, the base first; each has the value of the field at its place in `values`.

    `written`: how a value of the field is written in the reader's language.
    """

    field: str
    values: tuple[Any, ...]
    experiments: tuple[engine.Experiment, ...]
    written: Written = dataclasses.field(compare=False, repr=False, default=lambda _field, value: str(value))


# The link


def read(text: str) -> tuple[Knob | None, list[str]]:
    """What a link compares, and a sentence for all that was not understood."""
    complaints: list[str] = []
    name, colon, rest = text[:LONGEST].partition(":")
    if not colon or name not in FIELDS:
        said = _("The link says versus = {text}, which names no setting. An example: {example}.")
        complaints.append(said.format(text=_quote(text), example="versus=clip:none"))
        if near := get_close_matches(name[:40], FIELDS, n=1):
            complaints.append(_("The nearest is {name}.").format(name=near[0]))
        return None, complaints
    found: list[Any] = []
    for part in rest.split(",") if rest else []:
        try:
            value = settings.cast(name, settings.read(name, part))
        except ValueError:
            said = _("The link compares {field} = {text}. Allowed: {allowed}.")
            complaints.append(said.format(field=name, text=_quote(part), allowed=settings.allowed(name)))
            continue
        if value not in found:
            found.append(value)
    if len(found) > MOST:
        said = _("The link compares with {n} values. At most {most} are shown.")
        complaints.append(said.format(n=len(found), most=MOST))
    return Knob(name, tuple(found[:MOST])), complaints


def write(knob: Knob | None) -> str:
    """The text of a link from which `read` gives the same."""
    return "" if knob is None else f"{knob.field}:{','.join(map(settings.write, knob.values))}"


def _quote(text: str) -> str:
    shown = "".join(c if c.isprintable() else "·" for c in text[:40])
    return f"“{shown}{'…' if len(text) > 40 else ''}”"


def title(name: str) -> str:
    """A field as the reader knows it."""
    return _(engine.Experiment.model_fields[name].title or name)


# What to begin with


def default(values: Mapping[str, Any], kind: str = "") -> Knob:
    """Something telling for an experiment of these values, whose gradient is of this kind (see engine.verdict)."""
    if kind in ("exploding", "diverged"):
        return Knob("clip", ("norm",) if values["clip"] == "none" else ("none",))
    if values["cell"] == "rnn":
        return Knob("cell", ("lstm", "gru"))
    if settings.applies("forget_bias", values):
        return Knob("forget_bias", tuple(v for v in (-2.0, 5.0) if v != values["forget_bias"]))
    return Knob("cell", ("rnn",))


def options(name: str, base: Any, offered: Iterable[Any], also: Iterable[Any] = ()) -> list[Any]:
    """What may be chosen of a field, in order: what its control offers, the base's value and what `also` is there; of a
    number that has no such list, the next ones."""
    listed = list(offered) or [base + n for n in range(NEXT + 1)]
    further = [value for value in dict.fromkeys([base, *also]) if value not in listed]
    if name not in settings.RANGES:
        return listed + further
    numbers = sorted(value for value in [*listed, *further] if value is not None)
    if None not in listed:
        return numbers
    return [None, *numbers] if listed[0] is None else [*numbers, None]


def suggest(name: str, base: Any, offered: Iterable[Any]) -> Knob:
    """Values of a field that differ from the base's by as much as one would try."""
    listed = options(name, base, offered)
    at = listed.index(base)
    if name not in settings.RANGES or not list(offered):
        return Knob(name, tuple(value for value in listed if value != base)[:1])
    stride = max(1, len(listed) // 5)
    wanted = [listed[i] for i in (at - stride, at + stride) if 0 <= i < len(listed)]
    return Knob(name, tuple(wanted))


def last_changed(choices: Iterable[Choice]) -> Knob | None:
    """The field that was changed last of all, alone, against its value before; `choices`: the newest first."""
    after: Choice | None = None
    now: Choice | None = None
    for before in choices:
        now = now or before
        if after is not None:
            moved = after.changed(before)
            if len(moved) == 1 and settings.applies(moved[0], now.values):
                name = moved[0]
                if before.values[name] != now.values[name]:
                    return Knob(name, (before.values[name],))
        after = before
    return None


# The experiments


def of(base: engine.Experiment, values: Mapping[str, Any], knob: Knob, written: Written) -> tuple[Compared, list[str]]:
    """The base and the experiments with the knob's values instead; and a sentence for each that cannot be.

    `values`: of all controls, of those too that do not count in the base.
    """
    found: list[tuple[Any, engine.Experiment]] = [(values[knob.field], base)]
    refused: list[str] = []
    if not settings.applies(knob.field, values):
        text = _("{field} does not count in this experiment. {why}")
        said = text.format(field=title(knob.field), why=_(settings.NEEDS[knob.field].words))
        said = sentences(said, _("Choose another knob, or change that in the sidebar."))
        return Compared(knob.field, (values[knob.field],), (base,), written), [said]
    total = work(base)
    for value in knob.values:
        if value == values[knob.field]:
            continue
        name = f"{title(knob.field)} {written(knob.field, value)}"
        try:
            e = link.experiment({**values, knob.field: value})
        except ValueError as error:
            refused.append(_("{name} is left out. {why}").format(name=name, why=error))
            continue
        if any(e == other for _value, other in found):
            refused.append(_("{name} is left out: here it makes the same experiment.").format(name=name))
        elif total + work(e) > MOST_WORK:
            said = _(
                "{name} is left out: with it one pass of all would have {work} numbers in the hidden states, more than "
                "the {most} that this server allows. Choose a smaller network or batch, or compare fewer."
            )
            refused.append(said.format(name=name, work=f"{total + work(e):,}", most=f"{MOST_WORK:,}"))
        else:
            found.append((value, e))
            total += work(e)
    shown, experiments = zip(*found, strict=True)
    return Compared(knob.field, shown, experiments, written), refused


def work(e: engine.Experiment) -> int:
    """Numbers in the hidden states of one pass: what a step costs."""
    return e.steps * e.sequences * e.hidden_size * e.num_layers


def beside(values: Mapping[str, Any], c: Compared) -> list[str]:
    """What else differs: settings that count with one value of the knob and not with another. A sentence for each.

    Only those that are not what they are everywhere else anyway.
    """
    said: dict[tuple[str, bool], list[str]] = {}
    kept = set(FIELDS) - {c.field}
    for value, e in zip(c.values[1:], c.experiments[1:], strict=True):
        here = {**values, c.field: value}
        for name in FIELDS:
            if name not in kept or settings.applies(name, values) == settings.applies(name, here):
                continue
            gained = settings.applies(name, here)
            if gained or values[name] != DEFAULTS[name]:
                shown = getattr(e, name) if gained else None
                said.setdefault((name, gained), []).append(
                    c.written(c.field, value) + (f" ({c.written(name, shown)})" if gained else "")
                )
    gains, loses = _("{field} counts with {names} only."), _("{field} does not count with {names}.")
    return [
        (gains if gained else loses).format(field=title(name), names=listed(names))
        for (name, gained), names in said.items()
    ]


def same_data(c: Compared) -> bool:
    return c.field not in DATA
