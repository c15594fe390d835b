"""The Explore page: one experiment, its player and six pictures."""

import streamlit as st

from app import lecture, session
from app.stage import stage
from app.views import after_lesson, hosting, network, presets, take
from app.views import lecture as lectured
from app.words import _


def page() -> None:
    notice()
    if lecturing := lecture.read():
        lectured.page(lecturing)
        return
    after_lesson.offer()
    with st.container(key="tools", horizontal=True, gap="small"):
        presets.at_hand()
        lectured.button()
        network.button()
        take.button()
        hosting.button()
    stage(session.run())


def notice(controls: bool = True) -> None:
    """What was wrong with the link or with a combination of controls. Plain text: it quotes the link. Of a network that
    was handed in: only where the page has the controls that it speaks of."""
    state = st.session_state
    if controls:
        network.notice()
    sentences = [*state.complaints, *([state.refusal] if state.refusal else [])]
    if state.refusal:
        sentences.append(_("The pictures still show the experiment before."))
    if not sentences:
        return
    with st.container(key="notice", border=True):
        with st.container(key="sentences", gap=None):
            for sentence in sentences:
                st.text(sentence)
        with st.container(horizontal=True):
            if state.refusal:
                st.button(
                    _("Put back"),
                    key="put_back_refused",
                    help=_("The controls as in the pictures."),
                    on_click=session.put_back_refused,
                )
            if state.complaints:
                st.button(_("Dismiss"), key="dismiss", on_click=session.dismiss)
