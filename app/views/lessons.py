"""The Lessons page: the list, and one lesson at a time, beside the live pictures that it is about."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from app import controls, learning, session
from app.lessons import LESSONS, Lesson, Reading, Tex
from app.stage import stage
from app.views import assets
from app.views.explore import notice
from app.words import _

OFTEN = 1.0  # seconds between two looks of a check at the run; it ends when the check is met
FIRST_LOOK = 0.5  # seconds that a check waits for the pass that a control has asked for


def page() -> None:
    assets.style("lessons.css")
    name = learning.progress().open
    notice(controls=bool(name))
    if name:
        _lesson(name, LESSONS[name])
    else:
        _list()


def _list() -> None:
    p = learning.progress()
    with st.container(key="lessons"):
        st.html(f"<h2>{_('Ten lessons, five minutes each')}</h2>")
        said = _(
            "Each begins with a guess, goes on with the live network, and ends with something that you bring about."
        )
        if p.done:
            said = _("Done: {n} of {all}.").format(n=len(p.done), all=len(LESSONS))
        st.html(f"<p class='lead'>{said}</p>")
        with st.container(key="lesson_list"):
            for number, (name, lesson) in enumerate(LESSONS.items(), 1):
                done = name in p.done
                st.button(
                    f"**{number} · {_(lesson.label)}**  \n{_(lesson.question)}", key=f"lesson_{name}", width="stretch",
                    icon=":material/check_circle:" if done else ":material/circle:", type="secondary",
                    help=_("Done.") if done else None, on_click=learning.open_lesson, args=(name,),
                )  # fmt: skip


def _lesson(name: str, lesson: Lesson) -> None:
    which = learning.screen(name)
    with st.container(key="lesson"):
        _head(name, lesson)
        if which == "guess":
            with st.container(key="lesson_guess"):
                _guess(name, lesson)
            return
        with st.container(key="lesson_desk"):
            with st.container(key="lesson_text"):
                SCREENS[which](name, lesson)
                if lesson.controls and not st.session_state.get("lesson_all"):
                    controls.few(
                        lesson.controls, _("Settings"), lesson.experiment.model_dump(), learning.put_back, name
                    )
                _all_controls(lesson)
            with st.container(key="lesson_stage"):
                stage(session.run(), lesson.pictures, mode="lesson")


def _head(name: str, lesson: Lesson) -> None:
    p, names = learning.progress(), {
        "guess": _("Guess"), "try": _("Try"), "why": _("Why"), "check": _("Check"),
    }  # fmt: skip
    number = list(LESSONS).index(name) + 1
    with st.container(key="lesson_head", horizontal=True, vertical_alignment="center"):
        st.button(
            _("All lessons"), key="lesson_back", icon=":material/arrow_back:", type="tertiary",
            on_click=learning.open_lesson, args=("",),
        )  # fmt: skip
        st.html(f"<h2>{number} · {_(lesson.label)}</h2>")
        if name in p.done:
            st.html(f"<p class='done'>✓ {_('done')}</p>")
        shown = f"lesson_screen_{name}"
        st.session_state[shown] = learning.screen(name)
        st.segmented_control(
            _("Part of the lesson"), list(names), format_func=lambda part: names[part], required=True, key=shown,
            label_visibility="collapsed", disabled=name not in p.guesses, on_change=_turn, args=(name,),
        )  # fmt: skip


def _turn(name: str) -> None:
    learning.show(name, st.session_state[f"lesson_screen_{name}"] or "try")


def _guess(name: str, lesson: Lesson) -> None:
    guess, made = lesson.guess, learning.progress().guesses.get(name)
    st.html(f"<p class='question'>{_(lesson.question)}</p>")
    st.markdown(_(lesson.opening))
    st.markdown(f"**{_(guess.question)}**")
    if made is None:
        for number, choice in enumerate(guess.choices):
            st.button(
                _(choice), key=f"guess_{name}_{number}", width="stretch", on_click=learning.guess, args=(name, number)
            )
        aside = _("Nothing is shown before you have guessed. A wrong guess is worth as much as a right one.")
        st.html(f"<p class='aside'>{aside}</p>")
        return
    for number, choice in enumerate(guess.choices):
        mark = "✓" if number == guess.right else "✗" if number == made else "·"
        text = _("{choice} (your guess)").format(choice=_(choice)) if number == made else _(choice)
        with st.container(key=f"answer_{'right' if number == guess.right else number}", border=True):
            st.markdown(f"{mark} {text}")
    verdict = _("Right.") if made == guess.right else _("Not so.")
    st.markdown(f"**{verdict}** {_(guess.answer)}")
    _next(name, "try", _("Try it"))


def _try(name: str, lesson: Lesson) -> None:
    st.markdown("\n".join(f"{number}. {_(text)}" for number, text in enumerate(lesson.tries, 1)))
    _next(name, "why", _("Why is it so?"))


def _why(name: str, lesson: Lesson) -> None:
    for part in lesson.why:
        if isinstance(part, Tex):
            st.latex(part)
        else:
            st.markdown(_(part))
    st.html(f"<p class='aside'>{_('From: {source}').format(source=_(lesson.source))}</p>")
    _next(name, "check", _("Now you"))


def _check(name: str, lesson: Lesson) -> None:
    st.markdown(f"**{_(lesson.task)}**")
    done = name in learning.progress().done
    if done:
        _reading(name)
    else:
        _every(OFTEN, partial(_reading, name))
    following = list(LESSONS)[list(LESSONS).index(name) + 1 :]
    if following:  # from the beginning, so that nothing moves when the check is met
        st.button(
            _("Next: {lesson}").format(lesson=_(LESSONS[following[0]].label)), key="lesson_next", type="primary",
            disabled=not done, on_click=learning.open_lesson, args=(following[0],),
        )  # fmt: skip
    with st.expander(_("A hint"), key=f"lesson_hint_{name}"):
        st.markdown(_(lesson.hint))


SCREENS: dict[str, Callable[[str, Lesson], None]] = {"guess": _guess, "try": _try, "why": _why, "check": _check}


def _every(seconds: float, draw: Callable[[], object]) -> None:
    """Draw a part of the page, now and at every so many seconds. (What is drawn again and again holds no run.)"""
    fragment: Any = st.fragment(draw, run_every=seconds)
    fragment()


def _reading(name: str) -> None:
    """Is the check met, and the present number; the page turns to done by itself."""
    p, found = learning.progress(), read(LESSONS[name])
    if found is not None and found.met and name not in p.done:
        p.done.add(name)
        st.rerun()
    done = name in p.done
    word = _("Done.") if done else _("Not yet.")
    said = found.said if found is not None else _("The first pass is being computed.")
    mark = "✓" if done else "○"
    st.html(f"<p class='reading {'met' if done else ''}' role='status'><b>{mark} {word}</b> {said}</p>")


def read(lesson: Lesson) -> Reading | None:
    """What the check finds in the visitor's run as it is now; None: no picture of the present settings is there yet."""
    run = session.run()
    end = time.monotonic() + FIRST_LOOK
    snapshot = run.picture()[1] if run.settle(max(0.0, end - time.monotonic())) else None
    return None if snapshot is None else lesson.reading(snapshot)


def _next(name: str, which: str, label: str) -> None:
    st.button(label, key=f"lesson_to_{which}", type="primary", on_click=learning.show, args=(name, which))


def _all_controls(lesson: Lesson) -> None:
    if not lesson.controls:
        return
    shown = st.session_state.get("lesson_all", False)
    st.button(
        _("Only those of the lesson") if shown else _("All controls"), key="lesson_controls", type="tertiary",
        icon=":material/tune:", on_click=_toggle, args=(not shown,),
    )  # fmt: skip


def _toggle(to: bool) -> None:
    session.command()
    st.session_state.lesson_all = to


def in_sidebar() -> bool:
    """Are all controls to be drawn in the sidebar?"""
    name = learning.progress().open
    if not name or learning.screen(name) == "guess":
        return False
    return not LESSONS[name].controls or bool(st.session_state.get("lesson_all"))
