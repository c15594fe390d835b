"""The switch between the languages, on every page: what is chosen stands in the address."""

import streamlit as st

from app import session
from app.words import LANGUAGES, _, language

SHORT = {"en": "EN", "zh": "中文"}  # as their readers write them, whatever the page is in


def draw() -> None:
    """Its place is the header (chrome.css)."""
    with st.container(key="language_switch"):
        st.session_state.language_chosen = language()
        st.segmented_control(
            _("Language"), list(LANGUAGES), format_func=SHORT.__getitem__, required=True, key="language_chosen",
            on_change=_choose, label_visibility="collapsed",
        )  # fmt: skip


def _choose() -> None:
    session.set_extra("lang", st.session_state.language_chosen)
