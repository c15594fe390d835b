"""The head of the Why page: which training step is looked at. It holds until another is asked for."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import streamlit as st

from app import session
from app.kept import Weights, spread
from app.runs import Run
from app.training import Past
from app.words import _

OFTEN = 1.0  # seconds between two looks at a run in training
STOPS = 0.5  # seconds that a paused run needs at most to come to rest
STATES = 24  # of the run that are looked at together, about


@dataclass(frozen=True, eq=False)
class Held:
    """What is looked at: the state at one training step of a run, and the run's states around it."""

    setting: int  # which of the run's settings it is of
    step: int  # the step that Explore shows
    lost: bool
    weights: Weights  # those kept nearest to it
    path: tuple[Weights, ...]  # states of the run, spread over it, this one among them


def held(run: Run) -> Held | None:
    """The state that the page was opened with, or that was asked for since; None before the first pass."""
    found: Held | None = run.held
    if found is None or found.setting != run.setting:
        end = time.monotonic() + STOPS
        while not (run.rests or run.head()["run"]["playing"]) and time.monotonic() < end:
            time.sleep(0.01)  # it has just been paused: where it stopped comes in a moment
        snapshot, past = run.picture()[1], run.past()
        if snapshot is None or snapshot.weights is None or past is None:
            return None
        shown = past.weights.nearest(snapshot.weights.step)
        found = run.held = Held(run.setting, snapshot.step, snapshot.lost, snapshot.weights, _path(past, shown))
    return found


def with_newest(run: Run, now: Held) -> Held:
    """The same state, among all that the run has by now."""
    past = run.past()
    return now if past is None or run.setting != now.setting else replace(now, path=_path(past, now.weights))


def _path(past: Past, shown: Weights) -> tuple[Weights, ...]:
    path = {w.step: w for w in (*spread(past.weights.moments, STATES), shown)}
    return tuple(path[step] for step in sorted(path))


def draw(run: Run, now: Held, about: str) -> None:
    """Say what the page is `about` and which step it is of; a slider over the steps that are kept, train and pause, and
    a way to the newest."""
    text = _("The network that Explore shows, at step {n}: its weights, and the batch of that step.")
    if now.lost:
        text = _("The run is lost at step {step}; this is the network at step {n}, the last one kept with numbers.")
    elif now.weights.step != now.step:
        text = _("The network at step {n}, the nearest to step {step} whose weights are kept.")
    st.html(f"<p class='state'><b>{about}</b> {text.format(n=now.weights.step, step=now.step)}</p>")
    with st.container(horizontal=True, vertical_alignment="center", key="why_film"):
        _every(OFTEN if run.head()["run"]["playing"] else None, partial(_player, now.weights.step, now.lost))
        _slider(run, now)


def _every(seconds: float | None, draw: Callable[[], None]) -> None:
    fragment: Any = st.fragment(draw, run_every=seconds)
    fragment()


def _slider(run: Run, now: Held) -> None:
    past = run.past()
    steps = sorted({now.weights.step, *(past.steps() if past else ())})
    if len(steps) == 1:
        if not run.head()["run"]["playing"]:
            st.html(f"<p class='state'>{_('Train it, and every step can be brought back here.')}</p>")
        return
    if st.session_state.get("why_step") != now.weights.step:
        st.session_state.why_step = now.weights.step
    st.select_slider(
        _("Training step"), steps, key="why_step", format_func=lambda n: _("step {n}").format(n=n),
        on_change=_scrub, label_visibility="collapsed",
    )  # fmt: skip


def _player(step: int, lost: bool) -> None:
    """Play or pause, where training is, and a way there.

    What is drawn again and again holds no run and none of its states: a closed tab would keep them.
    """
    run = session.run()
    head = run.head()["run"]
    playing, reached = head["playing"], head["reached"]
    if playing:
        run.look_on()
    if st.session_state.get("why_played", False) != playing:  # the page as a whole draws another button, and looks on
        st.session_state.why_played = playing
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key="why_player"):
        over = head["diverged"] is not None or head["stopped"] is not None
        st.button(
            _("Pause") if playing else _("Train"), key="why_play", disabled=over,
            icon=":material/pause:" if playing else ":material/play_arrow:", on_click=_play, args=(not playing,),
        )  # fmt: skip
        if reached > step and not lost:
            word = _("Show the newest, step {n}") if not playing else _("In training: show the newest, step {n}")
            if st.button(word.format(n=reached), key="why_newest", on_click=_newest):
                st.rerun()


def _scrub() -> None:
    """The run itself shows the step: Explore does too, when one comes back."""
    session.command()
    run = session.run()
    step, head = int(st.session_state.why_step), run.head()["run"]
    run.show(None if step >= head["reached"] and not head["playing"] else step)
    run.held = None


def _newest() -> None:
    session.command()
    run = session.run()
    run.show(None)
    run.held = None


def _play(on: bool) -> None:
    session.command()
    run = session.run()
    run.play() if on else run.pause()
