"""Files of assets/ that travel with a page. Each is read once: a page is made again at every move of a control."""

from functools import cache
from pathlib import Path

import streamlit as st

ASSETS = Path(__file__).parents[2] / "assets"


@cache
def text(name: str) -> str:
    return (ASSETS / name).read_text()


def style(name: str) -> None:
    """Give the page a style sheet."""
    st.html(f"<style>{text(name)}</style>")
