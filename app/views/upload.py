"""A place to drop a file. Streamlit's own words in it are English in every language: ours stand in their places."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from app.words import _, listed


def upload(
    label: str, types: Sequence[str], most: int, key: str, help: str, take: Callable[..., None], *args: Any
) -> None:
    """A field for one file of these types (endings) and of at most `most` MB; `take` is called when one has come."""
    named = listed(ending.removeprefix(".").upper() for ending in types)
    said = {
        "choose": _("Choose a file"),
        "most": _("or drop it here: at most {n} MB, {types}").format(n=most, types=named),
        "drop": _("Drop the file here"),
    }
    words = "".join(f"--upload-{name}: {_quoted(text)};" for name, text in said.items())
    with st.container(key="upload"):  # what the words stand in is chrome.css's
        st.html(f"<style>.st-key-upload {{{words}}}</style>")
        st.file_uploader(label, type=list(types), key=key, max_upload_size=most, on_change=take, args=args, help=help)


def _quoted(text: str) -> str:
    """A text of ours as a string of CSS within a style element."""
    return json.dumps(text, ensure_ascii=False).replace("<", "\\3c ")
