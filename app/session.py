"""What one visitor's session holds: the values of the controls, the experiment they make, and its run.

The link is read once, at the first run of a session, and again when the visitor goes back or forward; otherwise the
controls decide, and the link follows them.
"""

from typing import Any

import streamlit as st

from app import link
from app.registry import RUNS
from app.runs import Run


def read_link() -> None:
    """Set the controls from the link, where it says something new."""
    state, query = st.session_state, _query()
    if "experiment" in state and not _went_back(query):
        return
    found = link.read(query)
    for field, value in found.values.items():
        state[field] = value
    state.experiment = link.experiment(found.values)
    state.complaints = list(found.complaints)
    state.linked = query


def choose(values: dict[str, Any]) -> None:
    """Take the controls' values as the experiment, and write its link; a refused one leaves everything as it was."""
    state = st.session_state
    try:
        state.experiment = link.experiment(values)
        state.refusal = None
    except ValueError as refused:
        state.refusal = str(refused)
    wanted = link.write(state.experiment)
    if wanted != st.query_params.to_dict() or any(len(texts) > 1 for texts in _query().values()):
        st.query_params.from_dict(wanted)
    state.linked = _query()


def run() -> Run:
    """The visitor's run, set to the experiment. One that was freed meanwhile is opened anew."""
    state = st.session_state
    found = RUNS.get(state.get("token")) or RUNS.open()
    state.token = found.token
    found.configure(state.experiment)
    return found


def _query() -> dict[str, list[str]]:
    return {name: st.query_params.get_all(name) for name in st.query_params}


def _went_back(query: dict[str, list[str]]) -> bool:
    """Does the address say something else than what was written there, while no control has moved?

    (A control that moves twice in a row brings the address of before its first move: that is no going back.)
    """
    state = st.session_state
    moved = any(state[field] != getattr(state.experiment, field) for field in link.FIELDS)
    return query != state.linked and not moved
