"""A place to drop a file. The file goes as soon as it is read, and what it says of itself is shown as text.

Streamlit's own words in it are English in every language: ours stand in their places.
"""

import html
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.words import _, listed


def upload(name: str, label: str, types: Sequence[str], most: int, about: str, take: Callable[[str], None]) -> None:
    """A field for one file of these types (endings) and of at most `most` MB; `take` is called with the key of the
    uploader when one has come. `name` is the place; after each file another uploader stands in it."""
    said = {
        "choose": _("Choose a file"),
        "most": _("or drop it here: at most {n} MB, {types}").format(
            n=most, types=listed(ending.removeprefix(".").upper() for ending in types)
        ),
        "drop": _("Drop the file here"),
    }
    words = "".join(f"--upload-{part}: {_quoted(text)};" for part, text in said.items())
    key = f"{name}_{st.session_state.setdefault(name, 0)}"
    with st.container(key=f"upload_{name}"):  # what the words stand in is chrome.css's
        st.html(f"<style>.st-key-upload_{name} {{{words}}}</style>")
        st.file_uploader(
            label, type=list(types), key=key, max_upload_size=most, on_change=take, args=(key,), help=about
        )


def _quoted(text: str) -> str:
    """A text of ours as a string of CSS within a style element."""
    return json.dumps(text, ensure_ascii=False).replace("<", "\\3c ")


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
