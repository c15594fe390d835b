"""The components: the stage, which holds the figures in the browser and talks to its run by a socket, and stills."""

import base64
from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import lecture, session
from app.figures import FIGURES
from app.figures.words import player_words
from app.frames import Encoder
from app.live import frame
from app.runs import Run
from app.words import language

# Whatever stands here travels with every rerun: three lines, which fetch the real module once.
_component = st.components.v2.component(
    "stage",
    html='<div id="stage"></div>',
    js="""export default async function (component) {
  const stage = await import(new URL('assets/stage/stage.js', document.baseURI).href)
  return stage.default(component)
}""",
    isolate_styles=False,
)


def stage(run: Run, pictures: Sequence[str] = tuple(FIGURES), mode: str = "explore", readonly: bool = False) -> None:
    """Place the stage, connected to a run (or what has a run's methods), with these of its pictures.

    `mode`: the arrangement, `#stage[data-mode=…]` in CSS; `readonly`: nothing but looking.
    """
    data = stage_data(run.token, pictures, mode, readonly) | {"fallback": _fallback(run, pictures)}
    _component(data=data, key="stage", on_change_change=_change)


def stage_data(token: str, pictures: Sequence[str], mode: str, readonly: bool) -> dict[str, Any]:
    """What stage.js is told, wherever a stage stands."""
    return {
        "token": token, "words": player_words(), "pictures": list(pictures), "mode": mode, "readonly": readonly,
        "language": language(), "keys": lecture.keys(readonly), "fallback": None,
    }  # fmt: skip


def _fallback(run: Run, pictures: Sequence[str]) -> str | None:
    """A whole frame, for a browser that has said that its socket cannot open."""
    if not st.session_state.get("without_socket"):
        return None
    run.settle(timeout=20)
    theme = "dark" if st.context.theme.type == "dark" else "light"
    return base64.b64encode(frame(run, Encoder(), 0, theme, pictures)).decode()


def _change() -> None:
    """The stage asks for another experiment ("New seed", "Clip at 1"), a preset, or lecture mode, or says that its
    socket cannot open."""
    asked: Any = st.session_state.stage.change
    if not isinstance(asked, dict):
        return
    if isinstance(asked.get("fallback"), bool):
        st.session_state.without_socket = asked["fallback"]
    if asked.get("preset") in lecture.KEYED:
        session.load(asked["preset"])
    if isinstance(asked.get("lecture"), bool):
        lecture.turn(asked["lecture"])
    session.change(asked)
