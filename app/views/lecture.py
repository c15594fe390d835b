"""Lecture mode on the page: the pictures in large type, a row of few controls, what is prepared, and the link to it."""

import streamlit as st

from app import controls, lecture, link, session, settings
from app.figures import FIGURES
from app.lecture import MOST_CONTROLS, Lecture
from app.qr import address, show_link
from app.stage import stage
from app.views import hosting
from app.words import N_, _

NAMES = {  # of the pictures, as short as a list wants them
    "flow": N_("gradient by timestep"), "task": N_("task and answer"), "state": N_("states"), "loss": N_("loss"),
    "clip": N_("gradient norm"), "map": N_("gradient over training"),
}  # fmt: skip


def button() -> None:
    """The way in, on Explore."""
    st.button(
        _("Lecture"), key="lecture_on", type="tertiary", icon=":material/co_present:", on_click=lecture.turn,
        args=(True,), help=_("Large type, the pictures alone, a link and a QR code for the students (L)"),
    )  # fmt: skip


def bar(now: Lecture) -> None:
    """The row below: the chosen controls, and what prepares, shares and ends the lecture."""
    values = {field: st.session_state[field] for field in settings.FIELDS}
    with st.container(key="lecture", horizontal=True, vertical_alignment="center"):
        if now.controls:
            with st.container(key="lecture_controls", horizontal=True, vertical_alignment="center"):
                for field in now.controls:
                    controls.widget(controls.BY_FIELD[field], settings.applies(field, values))
        tools = st.container(
            key="lecture_tools", horizontal=True, vertical_alignment="center",
            width="content" if now.controls else "stretch",
        )  # fmt: skip
        with tools:
            with st.popover(_("Prepare"), icon=":material/tune:", key="prepare", on_change=session.command) as menu:
                if menu.open:
                    _prepare(now)
            if st.button(_("QR code"), key="lecture_qr", icon=":material/qr_code_2:", on_click=session.command):
                _share(now)
            hosting.button()
            st.button(
                _("Leave"), key="lecture_off", icon=":material/close:", on_click=lecture.turn, args=(False,),
                help=_("Back to all controls (Esc)"),
            )  # fmt: skip


def page(now: Lecture) -> None:
    """The pictures."""
    stage(session.run(), now.pictures, mode="lecture")


def _prepare(now: Lecture) -> None:
    """Which pictures, and which controls."""
    st.pills(
        _("Pictures"), tuple(FIGURES), selection_mode="multi", key="prepare_pictures", default=now.pictures,
        format_func=lambda name: _(NAMES[name]), on_change=_choose,
    )  # fmt: skip
    st.multiselect(
        _("Controls that stay"), tuple(controls.BY_FIELD), key="prepare_controls", default=now.controls,
        max_selections=MOST_CONTROLS, format_func=controls.title, placeholder=_("none"), on_change=_choose,
    )  # fmt: skip
    st.caption(_("The address says all of this: keep the link, and the lecture begins in exactly this state."))


def _choose() -> None:
    """Take what is chosen; a lecture without a picture keeps those that it has."""
    state = st.session_state
    chosen = dict.fromkeys([*state.lecture.pictures, *state.prepare_pictures])  # a new one comes last
    pictures = tuple(name for name in chosen if name in state.prepare_pictures) or state.lecture.pictures
    lecture.begin(Lecture(pictures, tuple(state.prepare_controls)))


def _share(now: Lecture) -> None:
    """The link, large enough for the back row. What the students get is what the lecturer sees."""
    query = link.write(st.session_state.experiment, st.session_state.history.now.preset) | now.words()

    @st.dialog(_("Open this lecture"), width="large")
    def dialog() -> None:
        show_link(address("explore", query), _("this lecture"))

    dialog()
