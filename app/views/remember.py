"""Values of widgets that one page alone draws: Streamlit forgets them while another page is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st


@contextmanager
def remembered(key: str, usual: Any) -> Iterator[str]:
    """For a widget with this key: before it is drawn it gets the value that it had, or the usual one."""
    state = st.session_state
    said: dict[str, Any] = state.setdefault("why_said", {})
    if key not in state:
        state[key] = said.get(key, usual)
    yield key
    said[key] = state[key]
