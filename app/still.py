"""Pictures that stand still: the same figures in the same dress as the stage's, sent once with the page."""

import base64
from collections.abc import Mapping

import streamlit as st

from app import lecture, session
from app.export import signed
from app.figures.spoken import spoken
from app.figures.template import Part
from app.figures.words import player_words
from app.frames import Encoder

WORDS = (
    "hide", "whole", "player", "play", "pause", "step", "step_back", "replay_scrubber", "of_steps", "no_solid",
    "take", "take_png", "take_svg", "take_html", "take_csv", "take_step", "take_failed",
)  # fmt: skip
_component = st.components.v2.component(
    "still",
    html='<div class="still"></div>',
    js="""export default async function (component) {
  const still = await import(new URL('assets/stage/still.js', document.baseURI).href)
  return still.default(component)
}""",
    isolate_styles=False,
)


def theme() -> str:
    """What the browser has said it is painted in, or what Streamlit thinks."""
    said = st.session_state.get("theme")
    return said if said in ("light", "dark") else "dark" if st.context.theme.type == "dark" else "light"


def still(key: str, figures: Mapping[str, Part], painted: str, steps: int = 0, source: Part | None = None) -> None:
    """Place figures, made for the theme `painted`; where they hold paths of so many `steps`, under a player.

    `source`: what they are of, for those who take one away (see app/export.py).
    """
    panel = key.removeprefix("still_").removeprefix("small_")
    own = {name: signed(f"{panel}_{name}", spoken(figure), source) for name, figure in figures.items()}
    frame = base64.b64encode(Encoder().encode({}, own)).decode()
    words = {name: player_words()[name] for name in WORDS}
    data = {"frame": frame, "ids": list(figures), "words": words, "theme": painted, "steps": steps}
    data["keys"] = lecture.keys(readonly=True)

    def repaint() -> None:
        session.command()
        st.session_state.theme = st.session_state[key].theme

    _component(data=data, key=key, on_theme_change=repaint)
