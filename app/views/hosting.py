"""A room, as the lecturer has it: a button that opens it, its link and code, and the questions that are put."""

import html
import time
from typing import Any, Literal

import streamlit as st

from app import guesses, session
from app.codes import spaced
from app.doors import network
from app.guesses import GUESSES, LONGEST_CHOICE, LONGEST_TEXT, MOST
from app.qr import address, show_link
from app.room import Room
from app.rooms import ROOMS
from app.views import assets
from app.views.room_words import host_words
from app.words import _, language

OWN = "own"
COOKIE = "explorer_room_"  # + code: the lecturer's token, for a page that is loaded again; a room is open for long
PATIENCE = 5.0  # seconds to wait for a run that begins, or ends its step
_component = st.components.v2.component(
    "host",
    html='<div id="host"></div>',
    js="""export default async function (component) {
  const host = await import(new URL('assets/stage/room_host.js', document.baseURI).href)
  return host.default(component)
}""",
    isolate_styles=False,
)


def room() -> Room | None:
    """The open room of this session."""
    return ROOMS.hosted(st.session_state.get("hosting"))


def draw() -> None:
    """On every page, while a room is open: what students do, and its menu; Explore has that among its tools."""
    here = room()
    assets.style("room.css")
    if here is None:
        _offer()
        return
    if st.session_state.page != "explore":
        with st.container(key="room_alone"):
            _menu(here)
    data = {
        "token": here.host, "code": spaced(here.code), "join": _link(here).partition("://")[2], "points": here.points,
        "words": host_words(), "language": language(), "cookie": COOKIE + here.code,
    }  # fmt: skip
    _component(data=data, key="host", on_act_change=_act)
    if st.session_state.pop("show_room", False):
        _show(here)


def button() -> None:
    """Among the tools of Explore, and of a lecture: what opens a room, or the menu of the open one."""
    if (here := room()) is not None:
        _menu(here)
        return
    for lost in _lost(hosted=True):
        _take_up_button(lost, type="secondary")
    if (watched := st.session_state.get("watched")) is not None and not watched.closed:
        st.button(
            _("Room {code}").format(code=spaced(watched.code)), key="room_back", icon=":material/undo:",
            type="tertiary", help=_("Back to the room: watch the lecturer's run."), on_click=_go_back,
            args=(watched.code,),
        )  # fmt: skip
        return
    about = _("Open a room: students watch this run live on their own screens, and guess before you show.")
    st.button(_("Room"), key="open_room", icon=":material/groups:", type="tertiary", help=about, on_click=_open)


def _menu(here: Room) -> None:
    menu = st.popover(spaced(here.code), key="room_menu", icon=":material/groups:", on_change=session.command)
    if menu.open:
        with menu, st.container(key="room_panel"):
            _panel(here)


def _lost(hosted: bool) -> list[Room]:
    """The rooms that this browser has opened, and that no page of a lecturer's has open now; or (`hosted`), where there
    are none, those that another page has: one that was cut off still counts for a minute."""
    tokens = [token for name, token in st.context.cookies.items() if name.startswith(COOKIE)]
    found = [room for room in map(ROOMS.hosted, tokens) if room is not None and room.run.past() is not None]
    alone = [room for room in found if not room.hosted]
    return (found if not alone else []) if hosted else alone


def _offer() -> None:
    """Over any page, as long as a room of this browser is without its lecturer: the way back to it."""
    lost = [room for room in _lost(hosted=False) if room.code not in st.session_state.get("rooms_left", ())]
    if not lost:
        return
    with st.container(key="room_lost", border=True):
        st.text(_("A room that you have opened is still open. It closes ten minutes after you have left it."))
        with st.container(horizontal=True):
            for each in lost:
                _take_up_button(each, type="primary")
            st.button(_("Not now"), key="room_leave", on_click=_leave, args=([each.code for each in lost],))


def _take_up_button(lost: Room, type: Literal["primary", "secondary"]) -> None:
    st.button(
        _("Take up room {code}").format(code=spaced(lost.code)), key=f"take_up_{lost.code}", icon=":material/undo:",
        type=type, on_click=_take_up, args=(lost.host,),
        help=_("This browser has opened it. Its run goes on where it is."),
    )  # fmt: skip


def _take_up(host: str) -> None:
    found = ROOMS.hosted(host)
    if found is not None and session.take_up(found.run):
        st.session_state.hosting = host
        if st.session_state.page != "explore":
            session.go("explore")


def _leave(codes: list[str]) -> None:
    session.command()
    st.session_state.rooms_left = codes


def _go_back(code: str) -> None:
    session.dismiss()
    session.set_extra("room", code)
    session.go("room")


def _open() -> None:
    session.command()
    try:
        st.session_state.hosting = ROOMS.open(session.run(), network(st.context.ip_address)).host
    except ValueError as refused:
        session.complain(str(refused))
        return
    st.session_state.show_room = True


def _link(here: Room) -> str:
    return address("room", {"room": here.code})


def _show(here: Room) -> None:
    """Code, link and QR code, for the back row."""

    @st.dialog(_("Join this lecture"), width="large")
    def dialog() -> None:
        with st.container(key="room_join"):
            st.html(f'<p class="code" aria-label="{html.escape(" ".join(here.code))}">{spaced(here.code)}</p>')
            show_link(_link(here), _("this room"))

    dialog()


def _panel(here: Room) -> None:
    """What the lecturer chooses. The numbers are beside it: they change without a rerun."""
    with st.container(horizontal=True):
        st.button(_("Code and link"), key="room_show", icon=":material/qr_code_2:", on_click=_ask_to_show)
        st.button(_("Close the room"), key="room_close", icon=":material/close:", on_click=_close)
    about = _("The picture and the place in it where your pointer is show on every screen.")
    st.toggle(_("Students see where I point"), here.points, key="room_points", help=about, on_change=_point)
    about = _("Neither pictures nor verdict, here and there: so you can change a setting, and ask, before it shows.")
    st.toggle(_("Hide the pictures"), here.hidden, key="room_hide", help=about, on_change=_hide)
    st.html(f"<h3>{_('Guess first')}</h3>")
    labels = {name: _(row.label) for name, row in GUESSES.items()} | {OWN: _("A question of my own")}
    kind = st.selectbox(_("Question"), tuple(labels), key="room_kind", format_func=labels.__getitem__)
    if kind == OWN:
        st.text_input(_("Question"), key="room_text", max_chars=LONGEST_TEXT, label_visibility="collapsed")
        for i in range(MOST):
            label = _("Choice {n}").format(n=i + 1)
            st.text_input(
                label, key=f"room_choice_{i}", max_chars=LONGEST_CHOICE, placeholder=label, label_visibility="collapsed"
            )
    st.toggle(_("Hide the pictures while they guess"), True, key="room_cover")
    if refused := st.session_state.pop("room_refused", ""):
        st.text(refused)
    st.button(_("Ask"), key="room_ask", on_click=_ask, args=(kind,))


def _ask_to_show() -> None:
    session.command()
    st.session_state.room_menu = False
    st.session_state.show_room = True


def _close() -> None:
    session.command()
    if (here := room()) is not None:
        ROOMS.close(here)
    st.session_state.hosting = None


def _point() -> None:
    session.command()
    if (here := room()) is not None:
        here.let_point(st.session_state.room_points)


def _hide() -> None:
    session.command()
    if (here := room()) is not None:
        here.hide(st.session_state.room_hide)


def _ask(kind: str) -> None:
    """Put the question; what is wrong with it is said in the menu."""
    session.command()
    state, here = st.session_state, room()
    if here is None:
        return
    try:
        question = _own() if kind == OWN else _ready(kind, here)
    except ValueError as refused:
        state.room_refused = str(refused)
        return
    if state.room_cover:
        here.hide(True)
    here.ask(question)
    state.room_menu = False


def _own() -> guesses.Question:
    state = st.session_state
    return guesses.own(state.room_text, [state.get(f"room_choice_{i}", "") for i in range(MOST)])


def _ready(kind: str, here: Room) -> guesses.Question:
    """A question to the run as it is now: it rests, so that the pictures that come back are those of the question."""
    here.run.pause()
    end = time.monotonic() + PATIENCE
    while not (here.run.settle(PATIENCE) and here.run.rests) and time.monotonic() < end:
        time.sleep(0.01)
    snapshot = here.run.picture()[1]
    question = None if snapshot is None else guesses.put(kind, snapshot)
    if question is None:
        text = _(
            "This run cannot be asked that: it has ended, is too short, or has shown it. Press Reset, or change it."
        )
        raise ValueError(text)
    return question


def _act() -> None:
    """A button on the question: what it means depends on the question that it was drawn for."""
    session.command()
    told: Any = st.session_state.get("host")  # a page that is being drawn without a room has it no more
    asked = None if told is None else told.act
    here = room()
    if here is None or not isinstance(asked, dict):
        return
    do, number = asked.get("do"), asked.get("number")
    if do == "reveal":
        here.hide(False)
    elif number != here.number:
        return
    elif do in ("answer", "end"):
        here.answer()
    elif do == "back":
        here.take_back()
    elif do == "mark" and type(asked.get("choice")) is int:
        here.mark(asked["choice"])
