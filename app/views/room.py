"""A room, as those see it who watch: the lecturer's run on their own screen, and the way to a run of their own."""

from typing import Any

import streamlit as st

from app import codes, session
from app.codes import LENGTH, LETTERS, Tries
from app.doors import network
from app.room import Room
from app.rooms import ROOMS, TooMany
from app.stage import stage_data
from app.views.explore import notice
from app.views.room_words import student_words
from app.words import N_, Said, _

TAKEN = N_("This run is yours: it goes on from training step {step} of room {code}. The lecturer does not see it.")
WRONG, HEALED = 10, 0.1  # wrong codes of one page at once, and a second after that
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
    notice(controls=False)
    written = session.extra("room")
    try:
        room = _found(codes.read_code(written))
    except TooMany as refused:
        _join(str(refused))
        return
    if room is None:
        _join(_unknown(written))
        return
    stage = stage_data(st.session_state.ticket, tuple(room.run.figures), "room", readonly=True) | {"route": "room"}
    data = {"code": codes.spaced(room.code), "words": student_words(), "stage": stage}
    _component(data=data, key="watch", on_take_change=_take)


def _found(code: str) -> Room | None:
    """The room of a code. One that was closed meanwhile stays: its page says so, and keeps what it has. What was found
    is not sought again at the next rerun, and what was wrong neither."""
    state = st.session_state
    room: Room | None = state.get("watched")
    if room is not None and room.code == code:
        return room
    if not code or state.get("wrong_code") == code:
        return None
    found = ROOMS.seek(code, state.setdefault("tries", Tries(WRONG, HEALED)), network(st.context.ip_address))
    if found is None:
        state.wrong_code = code
    else:
        state.watched, state.ticket = found, found.ticket()
    return found


def _unknown(written: str) -> str:
    if not written.strip():
        return ""
    text = _("There is no open room “{code}”. A code has {n} of these letters and digits: {letters}.")
    return text.format(code=written.strip()[:20], n=LENGTH, letters=" ".join(LETTERS))


def _join(said: str) -> None:
    """The code, please; and before, what was wrong with the last."""
    with st.container(key="join"):
        st.html(f"<h2>{_('Watch a lecture')}</h2>")
        st.html(f"<p>{_('The lecturer shows a code. With it you see the same run live.')}</p>")
        if said:  # plain text: it quotes the address
            st.text(said)
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
    checkpoint = None if room.hidden or room.closed else room.run.checkpoint(step)
    if checkpoint is None:
        why = _why_not(room)
        session.command()
        session.complain(_(why), lambda: [_(why)])
        return
    try:
        session.start_from(checkpoint, room.run.network)
    except ValueError as refused:
        session.command()
        session.complain(str(refused))
        return
    session.dismiss()  # what was said of the run before
    said = Said(TAKEN, step=checkpoint.step, code=codes.spaced(room.code))
    session.complain(str(said), lambda: [str(said)])
    session.go("explore")


def _why_not(room: Room) -> str:
    if room.closed:
        return N_("This room is closed: its run cannot be taken any more.")
    if room.hidden:
        return N_("There is nothing to take while the pictures are hidden.")
    return N_("There is nothing to take yet: the lecturer's run has not begun, or has ended.")
