"""The experiment that the controls make, and the visitor's run of it."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import streamlit as st

import engine
from app import link, own, settings
from app.history import Choice, History
from app.networks import Network
from app.registry import RUNS, Full
from app.runs import Run
from app.session.brought import begin_with, kept_network, network
from app.session.choosing import command, set_controls
from app.settings import FIELDS
from app.words import _

R = TypeVar("R", bound=Run)
SOON, PATIENCE = 0.03, 0.1  # seconds: from a click to the run, and that one page gives way to others' pictures


def take() -> None:
    """Take what the controls say as the experiment; one that is refused leaves the old one."""
    state = st.session_state
    history: History = state.history
    for field, value in state.undelivered.items():
        if state[field] != value:
            state[field] = value
    values = {field: state[field] for field in FIELDS}  # once: a look is thirty calls
    for field, value in values.items():  # a widget may say None for a moment, while its options change
        if not settings.accepts(field, value):
            state[field] = values[field] = history.now.values[field]
    try:
        state.experiment = link.experiment(values)
        state.refusal = None
    except ValueError as refused:
        state.refusal = str(refused)
    if (mine := network()) is None:
        state.network = ""
    elif state.refusal is None and not mine.fits(state.experiment):
        state.network, state.dropped = "", mine.key
    choice = Choice(state.preset, values, state.get("network", ""))
    moved = choice.changed(history.now)
    one = len(moved) == 1 and moved[0] in settings.RANGES and not state.get("commanded")
    history.choose(choice, time.monotonic(), moved[0] if one else None)
    state.commanded = False


def run() -> Run:
    """The visitor's run, set to the experiment. One that was freed meanwhile is opened anew."""
    state = st.session_state
    found = RUNS.get(state.get("token")) or opened(RUNS.open)
    state.token = found.token
    found.configure(state.experiment, network())
    return found


def opened(opening: Callable[[], R]) -> R:
    """A new run; where the server is full the page says so, and ends here."""
    try:
        return opening()
    except Full as full:
        with st.container(key="full", border=True):
            st.text(str(full))
            st.button(_("Try again"), key="try_again")
        st.stop()


def start_from(c: engine.Checkpoint, network: Network | None = None) -> None:
    """The visitor's run goes on from a checkpoint, and the controls say its settings. For callbacks. `network`: whose
    weights it began with, if any: Reset goes back to them.

    Raises ValueError with a sentence where this server does not allow the experiment, or is full; nothing has changed
    then.
    """
    values = c.experiment.model_dump()
    e = link.experiment(values)
    command()
    state = st.session_state
    found = RUNS.get(state.get("token")) or RUNS.open()
    if network is not None and network.fits(e):
        begin_with(network)
    else:
        network = None
    set_controls("", {field: values[field] for field in FIELDS}, "" if network is None else network.key)
    state.refusal, state.experiment = None, e
    state.token = found.token
    found.start_from(replace(c, experiment=e), network)


def take_up(found: Run) -> bool:
    """A run that goes on becomes the visitor's, and the controls say its settings. For callbacks. False: it is over."""
    past, state = found.past(), st.session_state
    if past is None or RUNS.get(found.token) is not found:
        return False
    command()
    if past.experiment != state.experiment:
        if isinstance(past.experiment.task, engine.OwnTask):  # whoever may take up the run has brought them
            own.keep(state.setdefault("own_tasks", {}), past.experiment.task)
        values = past.experiment.model_dump()
        set_controls("", {field: values[field] for field in FIELDS})
        state.refusal, state.experiment = None, past.experiment
    if found.network is None:
        state.network = ""
    elif found.network is not kept_network(state.get("network", "")):
        begin_with(found.network)
        values = past.experiment.model_dump()
        set_controls("", {field: values[field] for field in FIELDS})
    state.token = found.token
    return True


def make_way() -> None:
    """A control may have moved: the training of others waits a moment for the answer."""
    if token := st.session_state.get("token"):
        RUNS.pool.hold(token, SOON)


def give_way() -> None:
    """What is drawn beside the pictures can wait until others have been answered."""
    end, mine = time.monotonic() + PATIENCE, st.session_state.token
    RUNS.pool.release(mine)
    while RUNS.pool.held(but=mine) and time.monotonic() < end:
        time.sleep(0.01)
