"""The experiment in the URL: what a link may say, how it is read, and what is said about one that makes no sense.

`?cell=lstm&seq_length=200`: the fields and names of engine.Experiment, and only what differs from the default;
`?preset=irnn&lr=0.01`: only what differs from the preset. No Streamlit in here. Sentences are plain text: they quote
the link, so they must never be drawn as HTML or Markdown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

import engine
from app import own, settings
from app.limits import LIMITS
from app.settings import DEFAULTS, FIELDS
from app.words import _, sentences
from engine.data import FEWEST_SEQUENCES

PRESET = "preset"
SIZES = ("seq_length", "batch_size", "hidden_size", "num_layers", "embedding_dim", "batching", "train_size")
MOST_COMPLAINTS = 50  # no link by mistake has more; one with thousands is not to fill the page
MOST_WORK = LIMITS.work  # numbers in the hidden states of one pass, which takes about a second at most
MOST_DATA = LIMITS.data  # numbers in the training set, which is held in memory


@dataclass(frozen=True)
class Link:
    """What was read: a preset or "", a value for every field, and a sentence for all that was not understood."""

    preset: str
    values: dict[str, Any]
    complaints: tuple[str, ...]


def base(preset: str) -> dict[str, Any]:
    """The values from which a link says the differences: those of a preset; "" is the default."""
    return engine.PRESETS[preset].experiment.model_dump() if preset else dict(DEFAULTS)


def read(query: Mapping[str, Iterable[str]]) -> Link:
    """The link's values; a field that makes no sense falls back to its value in the preset, alone."""
    given, complaints = {name: list(texts) for name, texts in query.items()}, list[str]()
    preset = _preset(given.pop(PRESET, [""]), complaints)
    values = base(preset)
    for name, texts in given.items():
        if name not in FIELDS:
            complaints.append(
                sentences(
                    _("The link says {name}, which is not a setting.").format(name=quote(name)), _nearest(name, FIELDS)
                )
            )
            continue
        instead = settings.write(values[name])
        if len(texts) != 1:
            complaints.append(
                _("The link says {field} {times} times. Shown instead: {value}.").format(
                    field=name, times=len(texts), value=instead
                )
            )
            continue
        try:
            values[name] = settings.read(name, texts[0])
        except ValueError:
            if name == "task" and own.is_own(texts[0]):
                complaints.append(sentences(own.gone(), _("Shown instead: {value}.").format(value=instead)))
                continue
            complaints.append(
                _("The link says {field} = {text}. Allowed: {allowed}. Shown instead: {value}.").format(
                    field=name, text=quote(texts[0]), allowed=settings.allowed(name), value=instead
                )
            )
    misfits: list[str] = []  # what changes most goes first
    values = _fitting(values, preset, misfits)
    complaints = [*misfits, *complaints]
    if (more := len(complaints) - MOST_COMPLAINTS) > 0:
        complaints[MOST_COMPLAINTS:] = [_("And {n} more of the kind.").format(n=more)]
    return Link(preset, values, tuple(complaints))


def _preset(texts: list[str], complaints: list[str]) -> str:
    """The preset that the link names; "" where it names none that exists."""
    if len(texts) == 1 and (texts[0] in engine.PRESETS or not texts[0]):
        return texts[0]
    complaints.append(
        sentences(
            _("The link says preset = {text}, which does not exist.").format(text=quote(", ".join(texts))),
            _nearest(texts[0], engine.PRESETS),
        )
    )
    return ""


def _nearest(text: str, names: Iterable[str]) -> str:
    found = get_close_matches(text[:40], names, n=1)
    return _("The nearest is {name}.").format(name=found[0]) if found else ""


def _fitting(values: dict[str, Any], preset: str, complaints: list[str]) -> dict[str, Any]:
    """The values; where they do not go together, with the sizes of the preset, or all as in the preset."""
    if preset:
        shown = _("Shown are the sizes of the preset."), _("Shown is the preset.")
    else:
        shown = _("Shown are the default sizes."), _("Shown is the default.")
    for fields, instead in zip((SIZES, FIELDS), shown, strict=True):
        try:
            experiment(values)
        except ValueError as refused:
            complaints.append(sentences(str(refused), instead))
            values = values | {field: base(preset)[field] for field in fields}
    return values


def write(e: engine.Experiment, preset: str = "") -> dict[str, str]:
    """The query of a link to the experiment; `read` gives values back that make the same."""
    values = e.model_dump()
    differences = {field: settings.write(values[field]) for field in settings.differing(values, base(preset))}
    return {PRESET: preset, **differences} if preset else differences


def experiment(values: Mapping[str, Any]) -> engine.Experiment:
    """The experiment with those of these values that count. Raises ValueError with a sentence for readers."""
    counting = settings.effective({**DEFAULTS, **values})
    if own.is_own(counting["task"]):
        found = own.find(counting["task"])
        if found is None:
            raise ValueError(own.gone())
        counting["task"] = found
    if counting["batching"] == "full" and counting["train_size"] is None:
        title = engine.Experiment.model_fields["train_size"].title or "train_size"
        text = _("A full batch is a whole training set, and this one is endless: choose a size under “{title}” first.")
        raise ValueError(text.format(title=_(title)))
    try:
        e = engine.Experiment(**counting)
    except ValidationError as error:
        raise ValueError(said(error)) from None
    _check_work(e)
    _check_data(e)
    return e


def _check_work(e: engine.Experiment) -> None:
    """Raises ValueError where one pass, of training or of validation, is too much."""
    task, sequences = engine.TASKS[e.task], max(e.sequences, FEWEST_SEQUENCES)
    ends = max(task.input_size, task.output_size, e.embedding_dim or 0)
    width = max(e.hidden_size * e.num_layers, ends)
    if (work := e.steps * sequences * width) <= MOST_WORK:
        return
    wide = (
        _("{n} inputs or outputs").format(n=ends)
        if width == ends
        else _("hidden size {H} × layers {L}").format(H=e.hidden_size, L=e.num_layers)
    )
    many = _("{B} sequences in a step") if sequences == e.sequences else _("{B} sequences of validation")
    many = many.format(B=sequences)
    raise ValueError(
        _(
            "Length {T} × {sequences} × {wide} = {work}: more than the {most} that this server allows. "
            "Choose a smaller one of them."
        ).format(T=e.steps, sequences=many, wide=wide, work=f"{work:,}", most=f"{MOST_WORK:,}")
    )


def _check_data(e: engine.Experiment) -> None:
    """Raises ValueError where the training set takes too much memory."""
    task = engine.TASKS[e.task]
    numbers = (e.train_size or 0) * e.steps * (task.input_size + (task.output_size if task.every_step else 0))
    if numbers > MOST_DATA:
        raise ValueError(
            _(
                "{N} sequences of length {T} in the training set are {numbers} numbers: more than the {most} that this "
                "server allows. Choose a smaller set or a shorter length."
            ).format(N=f"{e.train_size:,}", T=e.steps, numbers=f"{numbers:,}", most=f"{MOST_DATA:,}")
        )


def quote(text: str) -> str:
    """A text of the link as it may be shown: short and printable."""
    shown = "".join(c if c.isprintable() else "·" for c in text[:41])
    return f"“{shown[:40]}…”" if len(shown) > 40 else f"“{shown}”"


def said(error: ValidationError) -> str:
    """What pydantic refuses, in sentences of ours."""
    return sentences(*map(_sentence, error.errors()))


def _sentence(detail: Any) -> str:
    """A pydantic error in one sentence of ours: field, value, what is allowed."""
    if detail["type"] == "too_short":  # this and the next are those between fields that `effective` lets through
        said = detail["ctx"]
        text = _("Length T = {value}: the task “{task}” needs at least {least} timesteps.")
        return text.format(value=said["value"], task=_(engine.TASKS[said["task"]].label, "task"), least=said["least"])
    if detail["type"] == "too_long":
        said = detail["ctx"]
        text = _("Length T = {value}: the data have room for {most} timesteps at most. Choose a shorter length.")
        return text.format(value=said["value"], most=said["most"])
    if not detail["loc"]:
        return _("These settings do not go together.")
    field = str(detail["loc"][0])
    text = _("{field} = {text}. Allowed: {allowed}.")
    return text.format(field=field, text=quote(str(detail["input"])), allowed=settings.allowed(field))
