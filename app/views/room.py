"""A room, as those see it who watch: the lecturer's run on their own screen, and the way to a run of their own."""

from typing import Any

import streamlit as st

from app import rooms, session
from app.rooms import LENGTH, LETTERS, ROOMS, Room
from app.stage import stage_data
from app.views.explore import notice
from app.views.room_words import student_words
from app.words import _

# Whatever stands here travels with every rerun: three lines, which fetch the real module once.
_component = st.components.v2.component(
    "room",
    html='<div id="room"></div>',
    js="""export default async function (component) {
  const room = await import(new URL('assets/stage/room.js', document.baseURI).href)
  return room.default(component)
}""",
    isolate_styles=False,
)


def page() -> None:
    notice()
    written = session.extra("room")
    room = ROOMS.by_code(rooms.read_code(written))
    if room is None:
        room = _left(written)
    if room is None:
        _join(written)
        return
    st.session_state.watched = room
    stage = stage_data(room.token, tuple(room.run.figures), "room", readonly=True) | {"route": "room"}
    data = {"code": room.code, "words": student_words(), "stage": stage}
    _component(data=data, key="watch", on_take_change=_take)


def _left(written: str) -> Room | None:
    """The room that is on this page and was closed meanwhile: its page says so, and keeps what it has."""
    room: Room | None = st.session_state.get("watched")
    return room if room is not None and room.code == rooms.read_code(written) else None


def _join(written: str) -> None:
    """The code, please."""
    with st.container(key="join"):
        st.html(f"<h2>{_('Watch a lecture')}</h2>")
        st.html(f"<p>{_('The lecturer shows a code. With it you see the same run live.')}</p>")
        if written.strip():  # plain text: it quotes the address
            text = _("There is no open room “{code}”. A code has {n} of these letters and digits: {letters}.")
            st.text(text.format(code=written.strip()[:20], n=LENGTH, letters=" ".join(LETTERS)))
        with st.form("join_form", border=False):
            st.text_input(_("Code of the room"), key="join_code", max_chars=20, autocomplete="off")
            st.form_submit_button(_("Watch"), on_click=_enter)


def _enter() -> None:
    session.set_extra("room", st.session_state.join_code.strip())


def _take() -> None:
    """A run of one's own, from exactly the moment that is on the screen."""
    asked: Any = st.session_state.watch.take
    room: Room | None = st.session_state.get("watched")
    step = asked.get("step") if isinstance(asked, dict) else None
    if room is None or not (step is None or type(step) is int):
        return
    checkpoint = None if room.hidden else room.run.checkpoint(step)
    if checkpoint is None:
        session.command()
        session.complain(_("There is nothing to take yet: the lecturer's run has not begun, or has ended."))
        return
    try:
        session.start_from(checkpoint, room.run.network)
    except ValueError as refused:
        session.command()
        session.complain(str(refused))
        return
    session.go("explore")
