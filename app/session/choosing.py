"""The controls are set: all of them, some, a preset, one step back. Each is harmless when it happens twice."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import link, settings
from app.history import Choice
from app.settings import FIELDS


def command() -> None:
    """A click that moves no control: the address it came with may be an older one, and is no going back."""
    st.session_state.commanded = True


def set_controls(preset: str, values: Mapping[str, Any], network: str | None = None) -> None:
    """Set the preset, and these controls. `network`: whose weights are begun with, "": of none; None: as they are."""
    state = st.session_state
    state.preset = preset
    if network is not None:
        state.network, state.dropped = network, ""
    for field, value in values.items():
        value = settings.cast(field, value)
        state.undelivered[field] = value
        if field not in state or state[field] != value:  # a widget that is set is sent anew: only where it differs
            state[field] = value


def load(preset: str) -> None:
    """All controls take the values of a preset."""
    command()
    set_controls(preset, link.base(preset), "")


def begin(preset: str, values: Mapping[str, Any]) -> None:
    """All controls take these values, which count from a preset ("": the default)."""
    command()
    set_controls(preset, values, "")


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
    set_controls(state.preset, {field: settings.cast(field, value) for field, value in known.items()})


def changes() -> list[str]:
    """The fields that count and have another value than in the preset."""
    now: Choice = st.session_state.history.now
    return settings.differing(now.values, link.base(now.preset))


def delivered() -> None:
    """All controls have been drawn. (A run of the script that is interrupted before leaves the browser with the values
    of before a button was pressed, and the next one would take them for a choice.)"""
    st.session_state.undelivered = {}


def undo(count: int) -> None:
    """Take back what was chosen last; `count`: what History.count was when the button was drawn."""
    _travel(st.session_state.history.undo(count))


def redo(count: int) -> None:
    _travel(st.session_state.history.redo(count))


def _travel(moved: bool) -> None:
    command()
    now: Choice = st.session_state.history.now
    if moved:
        set_controls(now.preset, now.values, now.network)


def go(page: str) -> None:
    """Turn to another page of the app. For callbacks, in which Streamlit cannot."""
    command()
    st.session_state.going = page


def going() -> str:
    """The page that was asked for, once; "": none."""
    wanted: str = st.session_state.pop("going", "")
    return wanted


def dismiss() -> None:
    """The sentences about the link have been read."""
    command()
    st.session_state.complaints, st.session_state.complained, st.session_state.dropped = [], [], ""
