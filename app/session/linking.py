"""The address: what it says is read once, and again when the visitor goes back or forward; else it is written."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from app import link, small
from app.history import Choice, History
from app.registry import RUNS
from app.session.choosing import command, set_controls
from app.settings import FIELDS

EXTRA: dict[str, str | None] = {  # further words of the address: the page that each belongs to, None: every page
    "lang": None,
    "lecture": "explore",
    "show": "explore",
    "controls": "explore",
    "lesson": "lessons",
    "versus": "compare",
    "seeds": "compare",
    "across": "maps",
    "up": "maps",
    "measure": "maps",
    "samples": "maps",
    "train": "maps",
    "room": "room",
}
LONGEST = 300  # characters of one of them
WITHOUT_WORDS = "gallery"  # whose address says nothing of the experiment: one that does leads to Explore


def turn_to(page: str) -> None:
    """Another page comes with an address without our values: that is no going back."""
    state = st.session_state
    if state.setdefault("page", page) != page:
        state.page = page
        if found := RUNS.get(state.get("token")):
            found.held = None  # a closer look holds its step as long as its page is open
        command()


def read_link() -> None:
    """Set the controls from the link, where it says something new."""
    state, query = st.session_state, _query()
    state.setdefault("undelivered", {})
    if "history" in state and not _went_back(query):
        return
    _read_extra()
    found = link.read(query)
    command()
    set_controls(found.preset, found.values)
    state.complaints, state.linked = list(found.complaints), query
    state.complained = [lambda: link.read(query).complaints]
    if "history" not in state:
        state.history = History(Choice(found.preset, found.values))


def read_beside() -> None:
    """Set what Small worlds has of its own, from the link where it says something new."""
    state, query = st.session_state, _query(beside=True)
    now = state.get("beside")
    if now is not None:
        new = state.page == "small" and not state.commanded and query != state.linked_beside
        if not new or any(name not in state or state[name] != value for name, value in now.items()):
            _check_beside(now)
            return
    values, complaints = small.read(query)
    command()
    set_beside(values)
    state.beside, state.linked_beside = values, query
    state.complaints = [*complaints, *state.complaints][: link.MOST_COMPLAINTS + 1]
    state.complained = [lambda: small.read(query)[1], *state.complained]


def _check_beside(now: dict[str, Any]) -> None:
    """Take what its controls say; a widget may say None for a moment, or be gone."""
    state, said = st.session_state, dict[str, Any]()
    for name, value in now.items():
        said[name] = state.get(name)
        if not small.FIELDS[name].accepts(said[name]):
            state[name] = said[name] = value
    state.beside = said


def set_beside(values: Mapping[str, Any]) -> None:
    """Set some of its controls."""
    for name, value in values.items():
        st.session_state.undelivered[name] = value
        st.session_state[name] = value


def write_link() -> None:
    """Write the link of the experiment into the address."""
    state = st.session_state
    before = state.get("linked"), state.get("linked_beside")
    further = _written_extra()
    words = address()
    if state.page == WITHOUT_WORDS and further == state.linked_extra:
        return
    said = (_query(), _query(beside=True)) == before == (state.linked, state.linked_beside)
    if not (said and further == state.linked_extra):  # the address may be older than what was written
        st.query_params.from_dict(words)


def address() -> dict[str, str]:
    """The words of the page's address: whoever asks for them writes them there."""
    state = st.session_state
    wanted = {} if state.page == WITHOUT_WORDS else link.write(state.experiment, state.history.now.preset)
    beside = small.write(state.beside) if state.page == "small" else {}
    further = {name: text for name, text in state.extra.items() if text and EXTRA[name] in (None, state.page)}
    state.linked, state.linked_beside = ({name: [text] for name, text in texts.items()} for texts in (wanted, beside))
    state.linked_extra = further
    return beside | wanted | further


def extra(name: str) -> str:
    """What the address says further, by a name in EXTRA; "": nothing. As it was written: whoever reads it checks it."""
    texts: dict[str, str] = st.session_state.get("extra", {})
    return texts.get(name, "")


def set_extra(name: str, text: str) -> None:
    """Say it in the address, as long as its page is open; "": no more. For callbacks: the next run writes it."""
    command()
    st.session_state.extra = {**st.session_state.get("extra", {}), name: text[:LONGEST]}


def complain(sentence: str, again: Callable[[], Sequence[str]] | None = None) -> None:
    """Show, over the page, what was wrong with the address; `again` says it anew, in the language of that time."""
    state = st.session_state
    if sentence not in state.complaints:
        state.complained = [*state.complained, again or (lambda: [sentence])]
        state.complaints = [*state.complaints, sentence][: link.MOST_COMPLAINTS + 1]


def _query(beside: bool = False) -> dict[str, list[str]]:
    """What the address says of the experiment, or `beside` it of Small worlds."""
    return {
        name: st.query_params.get_all(name)
        for name in st.query_params
        if name not in EXTRA and (name in small.FIELDS) == beside
    }


def _written_extra() -> dict[str, str]:
    return {name: st.query_params[name] for name in st.query_params if name in EXTRA}


def _read_extra() -> None:
    """What the address says of this page and of all; what it says of other pages was not meant."""
    state, texts = st.session_state, _written_extra()
    before = {name: text for name, text in state.get("extra", {}).items() if EXTRA[name] not in (None, state.page)}
    state.extra = before | {name: text[:LONGEST] for name, text in texts.items()}
    state.linked_extra = texts


def _went_back(query: dict[str, list[str]]) -> bool:
    """Does the address say something else than what was written there, while nothing was moved or clicked?

    (A control that moves twice in a row brings the address of before its first move: that is no going back.)
    """
    state = st.session_state
    now: Choice = state.history.now
    elsewhere = query != state.linked or _written_extra() != state.linked_extra
    return elsewhere and not state.commanded and all(state[field] == now.values[field] for field in FIELDS)
