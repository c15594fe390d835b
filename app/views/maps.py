"""The Maps page: two knobs and a measure as a map that fills in from coarse to fine; each cell leads to its run."""

import html
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

import engine
from app import link, maps, session, settings
from app.controls import written
from app.figures.maps_cells import Cells, Side
from app.figures.maps_measures import trains
from app.figures.numbers import minus
from app.mapping import Map, plan_of
from app.maps import USUAL, Axis, Choice
from app.maps_ready import MAPS, matching
from app.registry import RUNS
from app.runs import Run
from app.views import maps_chooser, maps_picture, maps_take
from app.views.explore import notice
from app.views.why import keep
from app.words import _, sentences

OFTEN = 1.0  # seconds between two looks at what is computed
FIRST = 1.0  # seconds to wait for a picture: most of what is known by then is shown at once
SOON = 0.5  # … and to wait for the rest of them
AT_ONCE = 60.0  # seconds of work, about, that begin without being asked


def page() -> None:
    notice()
    choice, values = _choice(), _values()
    with st.container(key="maps"):
        _ready(values, choice)
        maps_chooser.draw(choice, values)
        if why := maps.refusal(choice, values):
            st.html(f"<p class='state'>{html.escape(why)}</p>")
            return
        run = session.run()
        found = _map(run, choice)
        if found is None:
            _ask(choice, values)
            return
        _every(lambda: _shown(choice), None if found.done.is_set() else OFTEN)
        keep()


def arrive() -> None:
    """Whoever comes back from the run of a cell, and has changed nothing there, finds the map's own controls."""
    left = st.session_state.pop("map_left", None)
    if left is not None:
        preset, before, opened = left
        if st.session_state.history.now.values == opened:
            session.begin(preset, before)


def _values() -> dict[str, Any]:
    """What the controls say; where that is refused, what is shown instead."""
    state = st.session_state
    chosen: dict[str, Any] = {field: state[field] for field in settings.FIELDS}
    return chosen if state.refusal is None else state.experiment.model_dump()


def _choice() -> Choice:
    """What the address shows; where it makes no sense a sentence says so, and it is put right."""
    said = {name: session.extra(name) for name in maps.WORDS}
    choice, complaints = maps.read(said, _values())
    if said != maps.write(choice):
        for sentence in complaints:
            session.complain(sentence, lambda: maps.read(said, _values())[1])
        choose(choice)
        st.rerun()
    return choice


def choose(choice: Choice) -> None:
    """Show this one. For callbacks."""
    for name, text in maps.write(choice).items():
        session.set_extra(name, text)


# Ready maps


def _ready(values: dict[str, Any], choice: Choice) -> None:
    state, now = st.session_state, matching(values, choice)
    with st.container(key="maps_ready", horizontal=True):
        for k, asks in enumerate(dict.fromkeys(row.asks for row in MAPS.values())):
            names, key = [name for name, row in MAPS.items() if row.asks == asks], f"maps_ready_{k}"
            state[key] = now if now in names else None
            st.html(f"<p class='asks'>{html.escape(_(asks))}</p>", width="content")
            st.pills(
                _("Ready maps: {question}").format(question=_(asks)), names, format_func=lambda n: _(MAPS[n].label),
                key=key, on_change=_begin, args=(key,), label_visibility="collapsed",
            )  # fmt: skip
    if now:
        see = sentences(_(MAPS[now].see), _("({source})").format(source=_(MAPS[now].source)))
    else:
        see = _("The experiment of the sidebar, with the knobs turned that are chosen here.")
    with st.container(key="maps_see", horizontal=True):
        st.html(f"<p class='see'>{html.escape(see)}</p>")
        if not now and not trains(choice.measure):
            st.button(
                _("And where does it train?"), key="maps_train_it", on_click=_train_it, args=(choice,),
                help=_("Each of these networks is trained for {n} steps, in one seed.").format(n=choice.steps or USUAL),
            )  # fmt: skip


def _train_it(choice: Choice) -> None:
    choose(replace(choice, measure="val_loss", seeds=1, steps=choice.steps or USUAL))


def _begin(key: str) -> None:
    name = st.session_state[key]
    if name in MAPS:
        session.begin("", MAPS[name].controls)
        choose(MAPS[name].choice)
    else:
        session.command()


# The map at work


def _key(choice: Choice) -> tuple[engine.Experiment, Choice]:
    """What a map depends on: the controls of its own knobs do not count."""
    e: engine.Experiment = st.session_state.experiment
    with suppress(ValueError):  # such a cell does not exist
        e = e.replace(**{axis.field: axis.values[0] for axis in choice.axes})
    return e, choice


def _map(run: Run, choice: Choice) -> Map | None:
    """The map of this choice, that there is or that begins now; None: it is large, and nobody has asked for it."""
    state, key = st.session_state, _key(choice)
    held = run.held if isinstance(run.held, Map) else None
    if held is not None and state.get("maps_key") == key:
        held.want()
        return held
    if held is not None:
        held.cancel()
    run.held = None
    if maps.work(choice, state.experiment.model_dump()) > AT_ONCE and state.get("maps_asked") != key:
        return None
    e, axes = key[0], {axis.field: axis.values for axis in choice.axes}
    plan = plan_of(e, axes, choice.measure, choice.seeds, choice.folds, choice.steps)
    found = Map(plan, RUNS.pool, RUNS.compiler, baseline=_baseline(e, choice)).start()
    run.held, state.maps_key = found, key
    return found


def _ask(choice: Choice, values: dict[str, Any]) -> None:
    """What it will cost, and the button that begins it."""
    said = _("{n} networks, about {time} of work: start when you are sure.")
    text = said.format(n=f"{choice.points:,}", time=_time(maps.work(choice, values)))
    with st.container(key="maps_ask", horizontal_alignment="center", vertical_alignment="center"):  # in the map's place
        st.html(f"<p class='state'>{text}</p>")
        st.button(_("Start"), key="maps_start", type="primary", on_click=_start, args=(choice,))


def _start(choice: Choice) -> None:
    session.command()
    st.session_state.maps_asked = _key(choice)


def _every(what: Callable[[], None], seconds: float | None) -> None:
    again: Any = st.fragment(what, run_every=seconds)
    again()


def _shown(choice: Choice) -> None:
    """How far it is, and what is known. (What is drawn again and again holds no run and no map.)"""
    found = _held()
    if found is None or st.session_state.get("going"):  # the run was freed meanwhile; a cell was opened
        st.rerun()
        return
    found.want()
    if found.news < 2:
        _wait(found)
    over = found.done.is_set()
    cells = cells_of(found, choice)
    with st.container(key="maps_state", horizontal=True, vertical_alignment="center"):
        _progress(found, over, cells.up is not None)
        maps_take.draw(found, choice, cells)
    maps_picture.draw(cells, choice)
    if over and st.session_state.get("maps_over") != id(found):
        st.session_state.maps_over = id(found)
        st.rerun()


def _wait(found: Map) -> None:
    """For the first cells: mostly they are there by then, and of a quick map all of them."""
    begin = time.monotonic()
    while not found.done.is_set() and time.monotonic() - begin < (SOON if found.count.any() else FIRST):
        time.sleep(0.02)


def _progress(found: Map, over: bool, up: bool) -> None:
    n, all = int(found.count.sum()), found.count.size
    if over:
        opens = _("Click a cell to open its run in Explore.") if up else _("Click a point to open its run in Explore.")
        text = _("{n} networks.") if n == all else _("Stopped: {n} of {all} networks.")
        said = [text.format(n=f"{n:,}", all=f"{all:,}"), opens]
        if found.failed:
            said.append(_("{n} of them failed.").format(n=found.failed))
        st.html(f"<p class='state'>{sentences(*said)}</p>")
        if found.cancelled:
            st.button(_("Go on"), key="maps_again", on_click=_again)
        return
    left = found.seconds_left
    text = _("{n} of {all} networks") if left is None else _("{n} of {all} networks, about {time} left")
    st.progress(found.share, text.format(n=f"{n:,}", all=f"{all:,}", time="" if left is None else _time(left)))
    st.button(_("Cancel"), key="maps_cancel", on_click=_cancel)


def _held() -> Map | None:
    run = RUNS.get(st.session_state.get("token"))
    return run.held if run is not None and isinstance(run.held, Map) else None


def _cancel() -> None:
    session.command()
    if (found := _held()) is not None:
        found.cancel()


def _again() -> None:
    """The same map once more: what it had is known. (A click here runs no more than `_shown`, which without a map
    asks for the whole page.)"""
    session.command()
    state, run = st.session_state, RUNS.get(st.session_state.get("token"))
    if run is not None and _held() is not None:
        state.maps_asked, run.held = state.get("maps_key"), None


def _time(seconds: float) -> str:
    if seconds < 90:
        return _("{n} s").format(n=max(1, round(seconds)))
    return _("{n} min").format(n=round(seconds / 60))


def cells_of(found: Map, choice: Choice) -> Cells:
    """What is known of it by now."""
    plan, measure = found.plan, choice.measure
    done = found.count.copy()
    values = found.values[measure].copy()
    diverged = values > 0 if measure == "diverged" else found.values["diverged"] > 0
    return Cells(
        plan.base, side(choice.across), None if choice.up is None else side(choice.up), measure, choice.steps,
        bool(choice.folds), values, diverged, done, _errors(found, choice),
        theory=found.theory, baseline=found.baseline,
    )  # fmt: skip


def _errors(found: Map, choice: Choice) -> np.ndarray:
    """Why there are no such networks, of the points that are done: in the reader's language, where a link can say it
    (the engine's own words are English)."""
    said = np.where(found.count.any(axis=-1), found.errors, "")
    values = found.plan.base.model_dump()
    for index in np.argwhere(said != ""):
        cell = {axis.field: axis.values[k] for axis, k in zip(choice.axes, index, strict=True)}
        try:
            link.experiment({**values, **cell})
        except ValueError as refused:
            said[tuple(index)] = str(refused)
    return said


def side(axis: Axis) -> Side:
    names = tuple(minus(written(axis.field, value)) for value in axis.values)
    return Side(axis.field, axis.values, axis.log, names)


def _baseline(e: engine.Experiment, choice: Choice) -> float:
    """The loss of guessing, where it is one for all cells."""
    if choice.folds:
        return float("nan")
    found = set()
    for values in maps.largest(choice, e.model_dump()):
        try:
            cell = e.replace(**{axis.field: values[axis.field] for axis in choice.axes})
            found.add(round(engine.TASKS[cell.task].baseline(cell), 9))
        except ValueError:
            continue
    return found.pop() if len(found) == 1 else float("nan")


__all__ = ["arrive", "cells_of", "choose", "page", "side"]
