"""What Explore says after a lesson: whose settings these are, and a way back to those of before."""

import html
from pathlib import Path

import streamlit as st

from app import learning
from app.lessons import LESSONS
from app.words import _

CSS = Path(__file__).parent.parent.parent / "assets" / "lessons.css"


def offer() -> None:
    """What was there before the lesson is not lost."""
    if learning.offered() is None:
        return
    st.html(CSS)
    lesson = LESSONS[learning.progress().last]
    said = _("These are the settings of the lesson “{lesson}”.").format(lesson=_(lesson.label))
    with st.container(key="lesson_offer", border=True, horizontal=True, vertical_alignment="center"):
        st.html(f"<p>{html.escape(said)}</p>")
        st.button(_("Bring back what was here before"), key="lesson_bring_back", on_click=learning.bring_back)
        st.button(_("Keep these"), key="lesson_keep", type="tertiary", on_click=learning.keep)
