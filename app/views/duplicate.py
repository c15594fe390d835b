"""A button at the head of the controls: this experiment once more, with one thing changed, beside it."""

import streamlit as st

from app import session, versus
from app.words import _


def button() -> None:
    """Leads to Compare: against the value before of what was changed last, or something telling."""
    st.button(
        _("Compare"), key="duplicate", type="tertiary", on_click=_duplicate,
        help=_("Compare: duplicate this experiment and change one thing, both train side by side"),
    )  # fmt: skip


def last_changed() -> versus.Knob | None:
    """What was changed last, against what it was; None: nothing was."""
    history = st.session_state.history
    return versus.last_changed([history.now, *reversed(history.past)])


def _duplicate() -> None:
    knob = last_changed()
    session.set_extra("versus", "" if knob is None else versus.write(knob))
    session.go("compare")
