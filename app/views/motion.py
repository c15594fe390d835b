"""Slow motion: one update of the network that Explore shows, from the first timestep to the loss after it."""

import base64
from functools import partial
from typing import Any

import streamlit as st

from app import session
from app.export import signed, source_of
from app.figures.asked import Asked
from app.figures.motion_beside import PICTURES, lost, no_numbers, phases, told
from app.figures.palette import palette
from app.figures.words import player_words
from app.frames import Encoder
from app.looks import Look
from app.motion import ALL
from app.registry import RUNS
from app.runs import Run
from app.still import WORDS, theme
from app.views import scrub
from app.views.explore import notice
from app.views.remember import remembered
from app.views.scrub import Held
from app.views.why import chosen_layer, every, keep, waiting_for_run
from app.words import _

OFTEN, SELDOM = 0.25, 40.0  # seconds between two looks at what is computed, and at a run that must not be forgotten
FIRST_LOOK = 0.6  # seconds to wait for a result: most are there by then, and nothing has to blink
KEPT = 4  # updates that a session keeps
_component = st.components.v2.component(
    "motion",
    html='<div class="still motion"></div>',
    js="""export default async function (component) {
  const motion = await import(new URL('assets/stage/motion.js', document.baseURI).href)
  return motion.default(component)
}""",
    isolate_styles=False,
)


def page() -> None:
    notice()
    run = session.run()
    with st.container(key="motion"):
        held = scrub.held(run) if run.settle(FIRST_LOOK) else None
        if held is None:
            every(SELDOM if run.settle(0) else OFTEN, waiting_for_run)
            return
        scrub.draw(run, held, _("What does one update do?"))
        layer, unit, around = _of(run, held)
        look = _look(held, around)
        look.done.wait(FIRST_LOOK)
        _draw(look, layer, unit)
        keep()


def _of(run: Run, held: Held) -> tuple[int, int, int | None]:
    """Which layer and unit the equation is of (0-based), and around which timestep the drawing shows most."""
    e = held.weights.experiment
    with st.container(horizontal=True, key="motion_of"):
        layer = chosen_layer(run, held.weights)
        units, steps = e.hidden_size, e.steps
        unit = 1
        if units > 1:
            with remembered("motion_unit", 1) as key:
                st.session_state[key] = min(st.session_state[key], units)
                unit = st.number_input(
                    _("Unit"), 1, units, step=1, key=key, on_change=session.command,
                    help=_("The unit whose numbers stand in the equation."), width=190,
                )  # fmt: skip
        around = None
        if steps > ALL:
            with remembered("motion_around", steps) as key:
                st.session_state[key] = min(st.session_state[key], steps)
                around = st.slider(
                    _("Around t"), 1, steps, key=key, on_change=session.command,
                    help=_("The timestep around which the drawing shows every step; both ends are always there."),
                )  # fmt: skip
    return layer, int(unit or 1) - 1, around


def _look(held: Held, around: int | None) -> Look:
    """The numbers of this update: those that there are, or those that begin now."""
    looks: dict[tuple[Any, ...], Look] = session.run().looks
    w, key = held.weights, ("motion", id(held.weights.state_dict), around)
    if key not in looks or looks[key].weights.state_dict is not w.state_dict or looks[key].cancelled:
        mine = [k for k in looks if k[0] == "motion"]
        for other in mine[: max(0, len(mine) - KEPT + 1)]:
            looks.pop(other).let_go()
        looks[key] = Look("motion", w, {"around": around}).start(RUNS.pool)
    looks[key].want()
    return looks[key]


def _draw(look: Look, layer: int, unit: int) -> None:
    if not look.done.is_set():
        every(OFTEN, partial(_waiting, look))
    elif look.failed or look.asked is None:
        st.html(f"<p class='answer'>{_('Something went wrong in the computation.')}</p>")
    else:
        _place(look.asked.of_layer(layer), unit)


def _waiting(look: Look) -> None:
    if look.done.is_set():
        st.rerun()
    look.want()
    st.progress(min(1.0, look.share), _("{n} % computed").format(n=round(100 * look.share)))


def _place(asked: Asked, unit: int) -> None:
    if lost(asked):
        st.html(f"<p class='answer'>{no_numbers(asked)}</p>")
        return
    painted = theme()
    colours = palette(painted)
    source = source_of(asked.experiment, asked.step, asked.given)
    figures = {name: signed(f"motion_{name}", draw(asked, colours), source) for name, draw in PICTURES.items()}
    words = {name: player_words()[name] for name in WORDS} | {
        "phases": _("Phases of the update"),
        "equation": _("The equation with its numbers"),
        "play": _("Play the update"),
        "of_steps": _("{n} of {steps}"),
        "replay_scrubber": _("Position shown"),
        "step": _("Step forward (→)"),
        "step_back": _("Step back (←)"),
    }
    data = {
        "frame": base64.b64encode(Encoder().encode({}, figures)).decode(), "ids": list(figures), "words": words,
        "told": told(asked, unit), "phases": phases(asked), "theme": painted,
    }  # fmt: skip

    def repaint() -> None:
        session.command()
        st.session_state.theme = st.session_state.motion_stage.theme

    _component(data=data, key="motion_stage", on_theme_change=repaint)
