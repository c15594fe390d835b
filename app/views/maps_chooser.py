"""What the map shows: two knobs, the measure, how often, and how much training; in a menu the ranges of the knobs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from app import maps, session, settings
from app.controls import title, written
from app.figures.maps_measures import LOOKS, trains
from app.maps import COUNTS, FOLDS, KNOBS, SEEDS, STEPS, USUAL, Axis, Choice
from app.words import _
from engine.sweeps import MEASURES

Chosen = Callable[[Choice], None]


def draw(choice: Choice, values: dict[str, Any]) -> None:
    state = st.session_state
    state.maps_now = choice
    with st.container(key="maps_chooser", horizontal=True):
        _knob("across", choice.across, choice, values, optional=False)
        _knob("up", choice.up, choice, values, optional=True)
        state.maps_measure = choice.measure
        st.selectbox(
            _("Measure"), list(LOOKS), format_func=lambda name: _(MEASURES[name].label), key="maps_measure",
            on_change=_measure, help=_(MEASURES[choice.measure].meaning),
        )  # fmt: skip
        state.maps_samples = (choice.seeds, choice.folds)
        samples = [(n, 0) for n in SEEDS]
        whole = maps.overlapping(choice, values)
        if LOOKS[choice.measure].validation and not whole:
            samples += [(1, n) for n in FOLDS]
        if state.maps_samples not in samples:
            samples.append(state.maps_samples)
        st.selectbox(
            _("Each cell"), samples, format_func=_samples, key="maps_samples", on_change=_sampled,
            help=maps.no_folds() if whole and LOOKS[choice.measure].validation else None,
        )  # fmt: skip
        state.maps_train = choice.steps
        steps = [n for n in sorted({*STEPS, choice.steps}) if n or not trains(choice.measure)]
        st.selectbox(
            _("Training"), steps, key="maps_train", on_change=_train,
            format_func=lambda n: _("{n} steps").format(n=n) if n else _("none: fresh"),
        )  # fmt: skip
        with st.popover(_("Ranges"), icon=":material/tune:", key="maps_ranges"):
            for word, axis in (("across", choice.across), ("up", choice.up)):
                if axis is not None:
                    _range(word, axis)
            if refused := state.pop("maps_refused", ""):
                st.text(refused)


def _samples(chosen: tuple[int, int]) -> str:
    seeds, folds = chosen
    if folds:
        return _("{n} folds").format(n=folds)
    return _("one seed") if seeds == 1 else _("{n} seeds").format(n=seeds)


def _knob(word: str, axis: Axis | None, choice: Choice, values: dict[str, Any], optional: bool) -> None:
    key = f"maps_{word}"
    other = choice.up if word == "across" else choice.across
    fields = [field for field in KNOBS if settings.applies(field, values) and (other is None or field != other.field)]
    now = "" if axis is None else axis.field
    if now and now not in fields:
        fields.append(now)
    if optional:
        fields.insert(0, "")
    st.session_state[key] = now
    st.selectbox(
        _("Across") if word == "across" else _("Up"), fields, key=key, on_change=_turn, args=(word,),
        format_func=lambda field: title(field) if field else _("nothing: a curve"),
    )  # fmt: skip


def _range(word: str, axis: Axis) -> None:
    """From where to where, in how many values; or which names."""
    state = st.session_state
    st.html(f"<p class='menu'><b>{title(axis.field)}</b></p>")
    if axis.names:
        key = f"maps_{word}_names"
        state[key] = list(axis.names)
        st.multiselect(
            title(axis.field), settings.NAMES[axis.field], key=key, on_change=_names, args=(word,),
            format_func=lambda name: written(axis.field, name), label_visibility="collapsed",
        )  # fmt: skip
        return
    inside = settings.RANGES[axis.field]
    kind: Any = int if inside.whole else float
    keys = {end: f"maps_{word}_{end}" for end in ("low", "high", "count", "log")}
    state[keys["low"]], state[keys["high"]] = kind(axis.low), kind(axis.high)
    state[keys["count"]], state[keys["log"]] = axis.count, axis.log
    number: dict[str, Any] = {"min_value": kind(inside.low), "max_value": kind(inside.high), "on_change": _ends}
    if not inside.whole:
        number |= {"format": "%.6g", "step": None}
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"maps_ends_{word}"):
        st.number_input(_("From"), key=keys["low"], args=(word,), **number)
        st.number_input(_("To"), key=keys["high"], args=(word,), **number)
        st.selectbox(
            _("Values"), sorted({*COUNTS, axis.count}), key=keys["count"], on_change=_ends, args=(word,),
        )  # fmt: skip
        st.toggle(
            _("By factors"), key=keys["log"], on_change=_ends, args=(word,),
            help=_("Each value is the one before it times the same factor: a logarithmic axis."),
        )  # fmt: skip


# What the controls do: each writes another choice into the address.


def _choose(choice: Choice) -> None:
    for name, text in maps.write(choice).items():
        session.set_extra(name, text)


def _turn(word: str) -> None:
    state = st.session_state
    now: Choice = state.maps_now
    field = state[f"maps_{word}"]
    axis = maps.suggest(field) if field else None
    _choose(replace(now, across=axis) if word == "across" and axis else replace(now, up=axis))


def _measure() -> None:
    now: Choice = st.session_state.maps_now
    measure = st.session_state.maps_measure
    steps = USUAL if trains(measure) and not now.steps else now.steps
    folds = now.folds if LOOKS[measure].validation else 0
    _choose(replace(now, measure=measure, steps=steps, folds=folds))


def _sampled() -> None:
    seeds, folds = st.session_state.maps_samples
    _choose(replace(st.session_state.maps_now, seeds=seeds, folds=folds))


def _train() -> None:
    _choose(replace(st.session_state.maps_now, steps=st.session_state.maps_train))


def _names(word: str) -> None:
    _changed(word, names=tuple(st.session_state[f"maps_{word}_names"]))


def _ends(word: str) -> None:
    state = st.session_state
    _changed(word, **{end: state[f"maps_{word}_{end}"] for end in ("low", "high", "count", "log")})


def _changed(word: str, **ends: Any) -> None:
    """Another range, where it makes sense; else a sentence, and the one that there is."""
    now: Choice = st.session_state.maps_now
    axis = now.across if word == "across" else now.up
    if axis is None:
        return
    try:
        axis = maps.check(replace(axis, **ends))
    except (ValueError, TypeError) as refused:  # a field may be empty for a moment
        session.command()
        st.session_state.maps_refused = str(refused) if isinstance(refused, ValueError) else ""
        return
    _choose(replace(now, across=axis) if word == "across" else replace(now, up=axis))
