"""What Explore says after a lesson: whose settings these are, and a way back to those of before."""

import html

import streamlit as st

from app import learning
from app.lessons import LESSONS
from app.views import assets
from app.words import _


def offer() -> None:
    """What was there before the lesson is not lost."""
    if learning.offered() is None:
        return
    assets.style("lessons.css")
    lesson = LESSONS[learning.progress().last]
    said = _("These are the settings of the lesson “{lesson}”.").format(lesson=_(lesson.label))
    with st.container(key="lesson_offer", border=True, horizontal=True, vertical_alignment="center"):
        st.html(f"<p>{html.escape(said)}</p>")
        st.button(_("Bring back what was here before"), key="lesson_bring_back", on_click=learning.bring_back)
        st.button(_("Keep these"), key="lesson_keep", type="tertiary", on_click=learning.keep)
