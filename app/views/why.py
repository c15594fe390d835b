"""The Why page: closer looks at the state of the run that Explore shows. Nothing is computed before it is asked for."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from app import session
from app.export import source_of
from app.figures.asked import Asked
from app.figures.palette import palette
from app.figures.why import WHY
from app.kept import Weights
from app.limits import LIMITS
from app.looks import Look
from app.memory import let_go
from app.registry import RUNS
from app.runs import Run
from app.still import still, theme
from app.views import around, scrub
from app.views.explore import notice
from app.views.remember import remembered
from app.views.scrub import Held
from app.words import _

OFTEN, SELDOM = 0.25, 40.0  # seconds between two looks at what is computed, and at a run that must not be forgotten
KEPT = len(WHY) + 3  # results that a session keeps: of every panel that can be open, and some of states before
FIRST_LOOK = 0.6  # seconds to wait for a result: most are there by then, and nothing has to blink
OPTIONS: dict[str, Callable[[], dict[str, Any]]] = {"landscape": around.options}  # what a panel lets choose
OF_THE_RUN = {"landscape", "over_training"}  # those that look at other states of the run, too
LIVE, NOW_AND_THEN = "over_training", 3.0  # grows while the run trains, every so many seconds


def page() -> None:
    notice()
    run = session.run()
    st.session_state.looks = run.looks  # they end with their run
    with st.container(key="why"):
        held = scrub.held(run) if run.settle(FIRST_LOOK) else None
        if held is None:
            every(SELDOM if run.settle(0) else OFTEN, waiting_for_run)
            return
        scrub.draw(run, held, _("Questions to one network: open one."))
        layer = chosen_layer(run, held.weights)
        panels = {}
        for name, row in WHY.items():
            with remembered(f"why_{name}", False) as key:
                panels[name] = st.expander(_(row.question), key=key, on_change=session.command)
        looks, playing = {}, run.head()["run"]["playing"]
        for name, panel in panels.items():
            if panel.open and name == LIVE and playing:
                with panel:
                    every(NOW_AND_THEN, partial(_live, layer))
            elif panel.open:
                with panel:
                    looks[name] = _look(name, held)
        end = time.monotonic() + FIRST_LOOK
        for name, look in looks.items():
            look.done.wait(max(0.0, end - time.monotonic()))
            with panels[name]:
                _panel(name, look, layer)
        let_go(run.looks)
        keep()


def every(seconds: float, draw: Callable[[], object]) -> None:
    """Draw a part of the page, now and at every so many seconds."""
    fragment: Any = st.fragment(draw, run_every=seconds)
    fragment()


def waiting_for_run() -> None:
    run = session.run()
    if run.settle(0) and run.picture()[1] is not None:
        st.rerun()
    st.html(f"<p class='state'>{run.head()['message'] or _('The first pass is being computed.')}</p>")


def keep() -> None:
    """A run that nobody asks for is freed: a page that shows another picture asks for it as long as it is open."""
    every(SELDOM, session.run)


def chosen_layer(run: Run, w: Weights) -> int:
    """The layer that is shown: the one of Explore, here and there."""
    layers = w.experiment.num_layers
    if layers == 1:
        return 0
    key, now = f"why_layer_{layers}", min(run.head()["run"]["layer"], layers - 1)
    st.session_state[key] = now
    st.segmented_control(
        _("Layer"), range(layers), format_func=lambda n: _("layer {n}").format(n=n + 1), required=True, key=key,
        on_change=_view, args=(key,), label_visibility="collapsed",
    )  # fmt: skip
    return now


def _view(key: str) -> None:
    session.command()
    if (chosen := st.session_state[key]) is not None:
        session.run().view(chosen)


def _look(name: str, held: Held) -> Look:
    """The look at these weights, with what is chosen in the panel: one that there is, or one that begins now."""
    looks: dict[tuple[Any, ...], Look] = st.session_state.looks
    w, options = held.weights, OPTIONS[name]() if name in OPTIONS else {}
    key = (name, id(w.state_dict), *options.values())
    if name in OF_THE_RUN:
        path = scrub.with_newest(session.run(), held).path if name == LIVE else held.path
        options["path"] = path
        key = (*key, path[-1].step)
    if key not in looks or looks[key].weights.state_dict is not w.state_dict:
        for other in [k for k in looks if k[0] == name and not looks[k].done.is_set()]:
            looks.pop(other).cancel()  # of a state that is no longer shown
        while len(looks) >= KEPT:
            looks.pop(next(iter(looks))).cancel()
        looks[key] = Look(name, w, options).start(RUNS.pool)
    looks[key] = looks.pop(key)  # the last to go: it is on the page
    looks[key].want()
    return looks[key]


def _live(layer: int) -> None:
    """As far as it has come by now. (What is drawn again and again holds no run: see scrub._player.)"""
    now = scrub.held(session.run())
    if now is None:
        return
    look = _look(LIVE, now)
    look.done.wait(FIRST_LOOK)
    if look.asked is not None:
        _draw(LIVE, look.asked.of_layer(layer))


def _panel(name: str, look: Look, layer: int) -> None:
    if not look.done.is_set():
        every(OFTEN, partial(_waiting, name, look, layer))
    elif look.failed:
        st.html(f"<p class='answer'>{_('Something went wrong in the computation.')}</p>")
        st.button(_("Try again"), key=f"why_again_{name}", on_click=_forget, args=(look,))
    elif look.forgotten:
        text = _("This answer was let go: a run keeps {n} MB of them on this server, and others came after it.")
        st.html(f"<p class='answer'>{text.format(n=LIMITS.memory)}</p>")
        st.button(_("Compute it"), key=f"why_again_{name}", on_click=_forget, args=(look,))
    elif look.cancelled:
        st.html(f"<p class='answer'>{_('Cancelled.')}</p>")
        st.button(_("Compute it"), key=f"why_again_{name}", on_click=_forget, args=(look,))
    elif look.asked is not None:
        _draw(name, look.asked.of_layer(layer))


def _waiting(name: str, look: Look, layer: int) -> None:
    if look.done.is_set():
        st.rerun()
    look.want()
    with st.container(horizontal=True, vertical_alignment="center", key=f"why_wait_{name}"):
        st.progress(min(1.0, look.share), _("{n} % computed").format(n=round(100 * look.share)))
        st.button(_("Cancel"), key=f"why_cancel_{name}", on_click=_cancel, args=(look,))
    if look.asked is not None:
        _draw(name, look.asked.of_layer(layer))


def _cancel(look: Look) -> None:
    session.command()
    look.cancel()


def _forget(look: Look) -> None:
    session.command()
    looks = st.session_state.looks
    for key in [k for k, other in looks.items() if other is look]:
        del looks[key]


def _draw(name: str, asked: Asked) -> None:
    row, painted = WHY[name], theme()
    st.html(f"<p class='answer'>{row.sentence(asked)}</p>")
    colours = palette(painted)
    figures = {id: draw(asked, colours) for id, draw in row.pictures(asked).items()}
    if figures:
        still(f"still_{name}", figures, painted, source=source_of(asked.experiment, asked.step, asked.given))
