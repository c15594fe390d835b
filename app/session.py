"""What one visitor's session holds: the values of the controls, the preset, the experiment they make, and its run.

The link is read once, at the first run of a session, and again when the visitor goes back or forward; otherwise the
controls decide, and the link follows them. Whatever was chosen, by whatever way, can be undone.
"""

import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import link, settings, small
from app.history import Choice, History
from app.registry import RUNS
from app.runs import Run
from app.settings import FIELDS


def turn_to(page: str) -> None:
    """Another page comes with an address without our values: that is no going back."""
    state = st.session_state
    if state.setdefault("page", page) != page:
        state.page = page
        if found := RUNS.get(state.get("token")):
            found.held = None  # a closer look holds its step as long as its page is open
        command()


def read_link() -> None:
    """Set the controls from the link, where it says something new."""
    state, query = st.session_state, _query()
    state.setdefault("undelivered", {})
    if "history" in state and not _went_back(query):
        return
    found = link.read(query)
    command()
    _set(found.preset, found.values)
    state.complaints, state.linked = list(found.complaints), query
    if "history" not in state:
        state.history = History(Choice(found.preset, found.values))


def read_beside() -> None:
    """Set what Small worlds has of its own, from the link where it says something new."""
    state, query = st.session_state, _query(beside=True)
    now = state.get("beside")
    if now is not None:
        moved = any(name not in state or state[name] != value for name, value in now.items())
        if moved or state.commanded or query == state.linked_beside or state.page != "small":
            _check_beside(now)
            return
    values, complaints = small.read(query)
    command()
    set_beside(values)
    state.beside, state.linked_beside = values, query
    state.complaints = [*complaints, *state.complaints][: link.MOST_COMPLAINTS + 1]


def _check_beside(now: dict[str, Any]) -> None:
    """Take what its controls say; a widget may say None for a moment, or be gone."""
    state = st.session_state
    for name, value in now.items():
        if not small.FIELDS[name].accepts(state.get(name)):
            state[name] = value
    state.beside = {name: state[name] for name in now}


def set_beside(values: Mapping[str, Any]) -> None:
    """Set some of its controls."""
    for name, value in values.items():
        st.session_state.undelivered[name] = value
        st.session_state[name] = value


def take() -> None:
    """Take what the controls say as the experiment; one that is refused leaves the old one."""
    state = st.session_state
    history: History = state.history
    for field, value in state.undelivered.items():
        if state[field] != value:
            state[field] = value
    for field in FIELDS:  # a widget may say None for a moment, while its options change
        if not settings.accepts(field, state[field]):
            state[field] = history.now.values[field]
    choice = Choice(state.preset, {field: state[field] for field in FIELDS})
    moved = choice.changed(history.now)
    one = len(moved) == 1 and moved[0] in settings.RANGES and not state.get("commanded")
    history.choose(choice, time.monotonic(), moved[0] if one else None)
    try:
        state.experiment = link.experiment(choice.values)
        state.refusal = None
    except ValueError as refused:
        state.refusal = str(refused)
    state.commanded = False


def write_link() -> None:
    """Write the link of the experiment into the address."""
    state = st.session_state
    wanted = link.write(state.experiment, state.history.now.preset)
    beside = small.write(state.beside) if state.page == "small" else {}
    lists, others = ({name: [text] for name, text in texts.items()} for texts in (wanted, beside))
    said, said_beside = lists == _query() == state.linked, others == _query(beside=True) == state.linked_beside
    if not (said and said_beside):  # the address may be older than what was written there last
        st.query_params.from_dict(beside | wanted)
    state.linked, state.linked_beside = lists, others


def delivered() -> None:
    """All controls have been drawn. (A run of the script that is interrupted before leaves the browser with the values
    of before a button was pressed, and the next one would take them for a choice.)"""
    st.session_state.undelivered = {}


def run() -> Run:
    """The visitor's run, set to the experiment. One that was freed meanwhile is opened anew."""
    state = st.session_state
    found = RUNS.get(state.get("token")) or RUNS.open()
    state.token = found.token
    found.configure(state.experiment)
    return found


def changes() -> list[str]:
    """The fields that count and have another value than in the preset."""
    now: Choice = st.session_state.history.now
    return settings.differing(now.values, link.base(now.preset))


# What buttons do. Each is harmless when it happens twice.


def command() -> None:
    """A click that moves no control: the address it came with may be an older one, and is no going back."""
    st.session_state.commanded = True


def load(preset: str) -> None:
    """All controls take the values of a preset."""
    command()
    _set(preset, link.base(preset))


def put_back() -> None:
    """The preset again, as it was."""
    load(st.session_state.preset)


def put_back_refused() -> None:
    """The controls again as in the experiment that is shown."""
    command()
    shown = st.session_state.experiment.model_dump()
    change({field: value for field, value in shown.items() if settings.applies(field, shown)})


def change(values: Mapping[str, Any]) -> None:
    """Set some controls; what they cannot have is ignored."""
    command()
    state = st.session_state
    known = {field: value for field, value in values.items() if field in FIELDS and settings.accepts(field, value)}
    _set(state.preset, {field: settings.cast(field, value) for field, value in known.items()})


def dismiss() -> None:
    """The sentences about the link have been read."""
    command()
    st.session_state.complaints = []


def undo(count: int) -> None:
    """Take back what was chosen last; `count`: what History.count was when the button was drawn."""
    _travel(st.session_state.history.undo(count))


def redo(count: int) -> None:
    _travel(st.session_state.history.redo(count))


def _travel(moved: bool) -> None:
    command()
    now: Choice = st.session_state.history.now
    if moved:
        _set(now.preset, now.values)


def _set(preset: str, values: Mapping[str, Any]) -> None:
    state = st.session_state
    state.preset = preset
    for field, value in values.items():
        state.undelivered[field] = value
        if field not in state or state[field] != value:  # a widget that is set is sent anew: only where it differs
            state[field] = value


def _query(beside: bool = False) -> dict[str, list[str]]:
    """What the address says of the experiment, or `beside` it of Small worlds."""
    return {name: st.query_params.get_all(name) for name in st.query_params if (name in small.FIELDS) == beside}


def _went_back(query: dict[str, list[str]]) -> bool:
    """Does the address say something else than what was written there, while nothing was moved or clicked?

    (A control that moves twice in a row brings the address of before its first move: that is no going back.)
    """
    state = st.session_state
    now: Choice = state.history.now
    moved = any(state[field] != now.values[field] for field in FIELDS)
    return query != state.linked and not moved and not state.commanded
