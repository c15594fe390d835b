"""The language that a visitor reads."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app import link, small, words
from app.session.linking import extra
from app.settings import FIELDS

WORDED = (  # what the keys of further controls that offer words begin with
    "versus_field", "versus_values", "versus_first", "room_kind", "why_plane", "why_layer_", "lesson_screen_", "maps_",
)  # fmt: skip


def read_language() -> None:
    """The language that the address says, or that was chosen, or else the browser's."""
    said = extra("lang") if "extra" in st.session_state else st.query_params.get("lang", "")
    browser = (st.context.locale or "")[:2].lower()
    found = said if said in words.LANGUAGES else browser if browser in words.LANGUAGES else "en"
    before = st.session_state.get("language", found)
    st.session_state.language = found
    words.speak(found)
    if before != found:
        _reword()


def _reword() -> None:
    """Another language: what was complained of is said anew, and controls that offer words are sent anew, or the
    browser would answer with those of before."""
    state = st.session_state
    if state.get("complaints"):
        again = dict.fromkeys(sentence for said in state.complained for sentence in said())
        state.complaints = list(again)[: link.MOST_COMPLAINTS + 1]
    for key in [str(key) for key in state if key in FIELDS or key in small.FIELDS or str(key).startswith(WORDED)]:
        state[key] = state[key]
        if key in FIELDS or key in small.FIELDS:
            state.undelivered[key] = state[key]


def _reader() -> str | None:
    """The language of the visitor whose page is being made in this thread."""
    return st.session_state.get("language") if get_script_run_ctx(suppress_warning=True) is not None else None


words.ask(_reader)
