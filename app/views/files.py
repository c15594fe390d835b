"""A file that was dropped (upload.py): it goes as soon as it is read, and what it says of itself is shown as text."""

import html
import re
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def uploader(name: str) -> str:
    """The key of the uploader that stands in this place now: another one after each file."""
    return f"{name}_{st.session_state.setdefault(name, 0)}"


def let_go(name: str, file: Any) -> None:
    """The uploader in this place makes way for one that has no file, and the server forgets this one."""
    st.session_state[name] += 1
    if (context := get_script_run_ctx()) is not None:
        files: Any = context.uploaded_file_mgr
        files.remove_file(context.session_id, file.file_id)


def refused(sentence: str) -> None:
    """Say why a file was not taken."""
    st.html(f'<p class="refused" role="alert">{html.escape(sentence)}</p>')


def plain(text: str) -> str:
    """A text of a file in Markdown: as it stands."""
    return re.sub(r"([\\`*_{}\[\]<>$~#|:!-])", r"\\\1", text)
