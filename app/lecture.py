"""Lecture mode: what the address says of it, whether it is on, and the keys of a stage.

`?lecture=1&show=flow,loss&controls=gain,clip`: these pictures and these controls, in this order; all others are hidden.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import streamlit as st

import engine
from app import session
from app.figures import FIGURES
from app.link import quote
from app.settings import FIELDS
from app.words import N_, _, listed

LECTURE, SHOW, CONTROLS = WORDS = ("lecture", "show", "controls")  # of the address
MOST_CONTROLS = 4
USUAL = ("flow", "loss")  # the pictures where the address names none
KEYED = (  # the presets of the keys 1 to 9: it vanishes, explodes, diverges; then what helps, and what clipping does
    "vanishing", "sigmoid_vanishing", "n01_exploding", "relu_diverges", "orthogonal_long", "healthy", "lstm_forget_5",
    "pascanu_order_unclipped", "pascanu_order_clipped",
)  # fmt: skip
KEYS = (  # as they are written, and what they do; those that only look come first
    ("f", N_("One picture, over the whole window; f or Esc: back")),
    ("?", N_("These keys")),
    (N_("space"), N_("Play or pause")),
    ("→", N_("One training step")),
    ("←", N_("One step back")),
    (N_("End"), N_("The newest step")),
    ("r", N_("Back to step 0")),
    ("n", N_("A new seed")),
    ("l", N_("Lecture mode; l or Esc: back")),
)
LOOKING = 2  # of them


@dataclass(frozen=True)
class Lecture:
    """What is left on the page: pictures, and controls by their fields."""

    pictures: tuple[str, ...] = USUAL
    controls: tuple[str, ...] = ()

    def words(self) -> dict[str, str]:
        """What the address says of it."""
        said = {LECTURE: "1", SHOW: ",".join(self.pictures)}
        return said | ({CONTROLS: ",".join(self.controls)} if self.controls else {})


def understand(show: str, controls: str) -> tuple[Lecture, list[str]]:
    """What the address asks for, and a sentence for all in it that makes no sense."""
    complaints: list[str] = []
    pictures = _known(show, FIGURES, SHOW, complaints)
    fields = _known(controls, FIELDS, CONTROLS, complaints)
    if len(fields) > MOST_CONTROLS:
        text = _("A lecture has room for {most} controls. Left out: {names}.")
        complaints.append(text.format(most=MOST_CONTROLS, names=listed(fields[MOST_CONTROLS:])))
    return Lecture(pictures or USUAL, fields[:MOST_CONTROLS]), complaints


def _known(text: str, names: Iterable[str], word: str, complaints: list[str]) -> tuple[str, ...]:
    """The names in the text that there are, each once."""
    allowed, given = tuple(names), dict.fromkeys(part for part in text.split(",") if part)
    for name in given:
        if name not in allowed:
            complaints.append(_unknown(word, name, allowed))
    return tuple(name for name in given if name in allowed)


def _unknown(word: str, text: str, allowed: Iterable[str]) -> str:
    said = _("The link says {word} = {name}, which does not exist. Allowed: {allowed}.")
    return said.format(word=word, name=quote(text), allowed=listed(allowed))


def read() -> Lecture | None:
    """What the address says of it, where its page is shown; what is wrong with that is said once."""
    state = st.session_state
    if state.page != "explore":
        return None
    texts = tuple(map(session.extra, WORDS))
    if texts != state.get("lecture_said"):
        now, complaints = _read(texts)
        for sentence in complaints:
            session.complain(sentence, lambda: _read(texts)[1])
        begin(now)
    found: Lecture | None = state.lecture
    return found


def _read(texts: tuple[str, ...]) -> tuple[Lecture | None, list[str]]:
    """Of all three words of the address."""
    if texts[0] == "1":
        return understand(*texts[1:])
    return None, [_unknown(LECTURE, texts[0], ("1",))] if texts[0] else []


def begin(now: Lecture | None) -> None:
    """Have this on the page and in the address; None: no lecture."""
    words = now.words() if now else {}
    for name in WORDS:
        session.set_extra(name, words.get(name, ""))
    st.session_state.lecture, st.session_state.lecture_said = now, tuple(words.get(name, "") for name in WORDS)


def turn(on: bool) -> None:
    """Begin a lecture as it was prepared last, or end it. For callbacks."""
    state = st.session_state
    if on:
        begin(state.get("lecture_kept", Lecture()))
    elif now := state.get("lecture"):
        state.lecture_kept = now
        begin(None)


def keys(readonly: bool = False) -> dict[str, Any]:
    """The keys of a stage, for the browser: what it shows under "?", and the presets of the digits."""
    rows = KEYS[:LOOKING] if readonly else KEYS
    presets = () if readonly else enumerate(KEYED, 1)
    return {
        "title": _("Keys"),
        "close": _("Close"),
        "back": _("Back to all pictures"),
        "rows": [[_(key), _(does)] for key, does in rows],
        "presets": [[str(n), name, _(engine.PRESETS[name].label)] for n, name in presets],
    }
