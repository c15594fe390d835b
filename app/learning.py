"""What a visitor has done of the lessons, and how one is opened and left. It ends with the session."""

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from app import link, session, settings
from app.history import Choice
from app.lessons import LESSONS
from app.words import _

SCREENS = ("guess", "try", "why", "check")
PAGE, WORD = "lessons", "lesson"  # the page's path, and its word in the address


@dataclass
class Progress:
    """`open` and `last`: names of lessons, "": none. `left`: the controls of each as they were left."""

    open: str = ""
    last: str = ""
    guesses: dict[str, int] = field(default_factory=dict)
    screens: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    left: dict[str, Choice] = field(default_factory=dict)
    before: Choice | None = None  # what Explore had before the first of the lessons
    clicked: str = ""  # the lesson that was opened by a click, and no link


def progress() -> Progress:
    found: Progress = st.session_state.setdefault("lessons", Progress())
    return found


def turn_to(page: str) -> None:
    """Open the lesson that the address of the page names, with its settings, or leave the one that is open."""
    said, p, now = session.extra(WORD) if page == PAGE else "", progress(), st.session_state.history.now
    if said and said not in LESSONS:
        names = ", ".join(LESSONS)
        session.complain(_("The link names a lesson that does not exist. Allowed: {names}.").format(names=names))
        session.set_extra(WORD, "")
        said = ""
    if said == p.open:
        return
    if p.open:
        p.left[p.open], p.last = now, p.open
    elif not p.last or now != p.left[p.last]:  # from another place than the last lesson
        p.before = now
    p.open = said
    by_link = p.clicked != said and any(name in settings.FIELDS or name == link.PRESET for name in st.query_params)
    p.clicked = ""
    if not said or by_link:
        return
    choice = p.left.get(said)
    session.begin(*(("", values_of(said)) if choice is None else (choice.preset, choice.values)))


def values_of(name: str) -> dict[str, Any]:
    """The values of all controls that a lesson begins with."""
    return LESSONS[name].experiment.model_dump()


def screen(name: str) -> str:
    """The screen that is shown of a lesson: nothing else before the guess."""
    return progress().screens.get(name, "try") if name in progress().guesses else "guess"


# What buttons do.


def open_lesson(name: str) -> None:
    """ "": back to the list."""
    progress().clicked = name
    session.set_extra(WORD, name)


def guess(name: str, choice: int) -> None:
    session.command()
    progress().guesses.setdefault(name, choice)
    progress().screens[name] = "guess"


def show(name: str, which: str) -> None:
    session.command()
    progress().screens[name] = which


def put_back(name: str) -> None:
    """The controls as the lesson begins."""
    session.begin("", values_of(name))


def offered() -> Choice | None:
    """What Explore had before the lessons, where it still shows the last of them."""
    p = progress()
    return p.before if p.last and st.session_state.history.now == p.left[p.last] != p.before else None


def bring_back() -> None:
    """What Explore had before the lessons."""
    if (before := progress().before) is not None:
        session.begin(before.preset, before.values)


def keep() -> None:
    """The settings of the lesson stay, and nothing more is said of it."""
    session.command()
    progress().before = None
