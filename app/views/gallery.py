"""The Gallery, where a visitor arrives: moving pictures, each one click away from the thing itself."""

from typing import Any

import streamlit as st

from app import learning, session, small
from app.figures import thumb
from app.figures.palette import PALETTES
from app.gallery import CARDS, FILMS, Card
from app.registry import RUNS
from app.views.explore import notice
from app.words import N_, _

KINDS = {
    "explore": N_("Explore"), "why": N_("Why"), "small": N_("Small worlds"), "compare": N_("Compare"),
    "lessons": N_("Lesson"),
}  # fmt: skip
_component = st.components.v2.component(
    "gallery",
    html='<div class="gallery"></div>',
    js="""export default async function (component) {
  const gallery = await import(new URL('assets/stage/gallery.js', document.baseURI).href)
  return gallery.default(component)
}""",
    isolate_styles=False,
)


def page() -> None:
    FILMS.begin(RUNS.pool, RUNS.compiler)
    notice(controls=False)
    lang = session.extra("lang")  # whoever opens a card in another tab goes on reading this language
    cards = [
        {
            "name": name, "title": _(card.title), "claim": _(card.claim), "kind": _(KINDS[card.page]),
            "href": card.address(lang),
        }
        for name, card in CARDS.items()
    ]  # fmt: skip
    words = {
        "title": _("See what gradients do inside a recurrent network"),
        "lead": _("Open a picture, press Play (or the space bar), and change what you like: every number is live."),
        "step": _("step {n}"), "gain": _("gain {n}"), "t": "t = {n}", "coming": _("being computed"),
        "up": _("↑ {name} {low} … {high}"), "right": _("{name} {low} … {high} →"),
        "axes": {name: _(text) for name, text in thumb.AXES.items()},
        "keys": {name: _(text) for name, text in thumb.KEYS.items()},
    }  # fmt: skip
    colours = {name: thumb.colours(palette) for name, palette in PALETTES.items()}
    data = {"cards": cards, "words": words, "colours": colours}
    _component(data=data, key="gallery", on_open_change=_open)


def _open() -> None:
    """A card was clicked."""
    name: Any = st.session_state.gallery.open
    if isinstance(name, str) and name in CARDS:
        open_card(CARDS[name])


def open_card(card: Card) -> None:
    """Set all that the card shows, and turn to its page. For callbacks."""
    if card.page == "lessons":
        learning.open_lesson(card.extra["lesson"])
    elif card.page == "small":
        session.set_beside({**small.DEFAULTS, **card.beside})
    else:
        session.begin(card.preset, card.experiment.model_dump())
        for name, text in card.extra.items():
            session.set_extra(name, text)
    if card.panel:
        st.session_state.setdefault("why_said", {})[f"why_{card.panel}"] = True
    session.go(card.page)
