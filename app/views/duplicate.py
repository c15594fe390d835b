"""A button of Explore and Why: this experiment once more, with one thing changed, beside it."""

import streamlit as st

from app import session, versus
from app.words import _


def button() -> None:
    """Leads to Compare: against the value before of what was changed last, or something telling."""
    st.button(
        _("Compare"), key="duplicate", type="tertiary", icon=":material/difference:", on_click=_duplicate,
        help=_("Duplicate this experiment and change one thing: both train side by side"),
    )  # fmt: skip


def _duplicate() -> None:
    history = st.session_state.history
    knob = versus.last_changed([history.now, *reversed(history.past)])
    session.set_extra("versus", "" if knob is None else versus.write(knob))
    session.go("compare")
