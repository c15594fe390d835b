"""Compare over many seeds: progress, the pictures of what is known so far, and a table."""

import html
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

import engine
from app import session, versus
from app.bands import MOST, STEPS, Bands, total
from app.comparison import Comparison
from app.figures.palette import palette
from app.figures.versus_bands import PICTURES
from app.figures.versus_seeds import Seeds, learners, sentences, table
from app.registry import RUNS
from app.still import still, theme
from app.versus import Compared
from app.views.remember import remembered
from app.words import _
from app.words import sentences as in_a_row

OFTEN = 1.0  # seconds between two looks at what is computed
FIRST = 0.6  # seconds to wait for the first pass: mostly it is there by then


def draw(run: Comparison, c: Compared, seeds: int) -> None:
    if c.field == "seed":
        _say(_("The knob is the seed itself: choose another one to see what holds over many seeds."))
        return
    with st.container(key="versus_over", horizontal=True, vertical_alignment="center"):
        with remembered("versus_steps", STEPS[1]) as key:
            chosen = st.segmented_control(
                _("Training steps of each"), STEPS, required=True, key=key, on_change=session.command,
                format_func=lambda n: _("{n} steps").format(n=n), label_visibility="collapsed",
            )  # fmt: skip
        progress = st.container(key="versus_progress", horizontal=True, vertical_alignment="center")
    steps = chosen or STEPS[1]
    if (numbers := total(c, seeds, steps)) > MOST:
        said = _(
            "{seeds} seeds × {steps} steps of all would be {numbers} numbers in the hidden states: more than the "
            "{most} that this server allows. Choose fewer seeds or steps, or a smaller network."
        )
        _say(said.format(seeds=seeds, steps=steps, numbers=f"{numbers:,}", most=f"{MOST:,}"))
        return
    if not run.settle(FIRST):  # its kernels are being compiled, which the seeds wait for
        _every(_waiting_for_first)
        return
    bands = run.over_seeds(c, seeds, steps)
    if bands.done.is_set():
        with progress:
            _ended(bands)
        _found(bands)
    else:
        _every(partial(_waiting, bands))


def _every(what: Callable[[], None]) -> None:
    again: Any = st.fragment(what, run_every=OFTEN)
    again()


def _waiting_for_first() -> None:
    found = RUNS.get(st.session_state.get("comparison"))
    if found is None or found.settle(0):
        st.rerun()
    else:
        _say(found.head()["message"] or _("The first pass is being computed."))


def _waiting(bands: Bands) -> None:
    if bands.done.is_set():
        st.rerun()
    bands.want()
    with st.container(horizontal=True, vertical_alignment="center", key="versus_wait"):
        said = _("{done} of {all} seeds done, {n} % in all")
        text = said.format(done=len(bands.found), all=len(bands.seeds), n=round(100 * bands.share))
        st.progress(bands.share, text)
        st.button(_("Cancel"), key="versus_cancel", on_click=_cancel, args=(bands,))
    _found(bands)


def _cancel(bands: Bands) -> None:
    session.command()
    bands.cancel()


def _ended(bands: Bands) -> None:
    """What is not complete, and the way on."""
    if not (bands.cancelled or bands.failed):
        return
    text = (
        _("Cancelled after {done} of {all} seeds.")
        if bands.cancelled
        else _("Something went wrong after {done} seeds.")
    )
    st.html(f"<p class='state'>{text.format(done=len(bands.found), all=len(bands.seeds))}</p>")
    st.button(_("Compute it"), key="versus_again", on_click=_again, args=(bands,))


def _again(bands: Bands) -> None:
    session.command()
    found = RUNS.get(st.session_state.get("comparison"))
    if isinstance(found, Comparison):
        found.forget(bands)


def _found(bands: Bands) -> None:
    """What is known so far."""
    if not bands.found:
        _say(_("Each seed gives all of them the same data. The first one is being trained."))
        return
    s, painted = _seeds(bands), theme()
    said, first = sentences(s), len(learners(s))
    st.html(f"<p class='answer'>{in_a_row(*said[:first])}</p><p class='more'>{in_a_row(*said[first:])}</p>")
    st.html(_table(table(s, painted)))
    colours = palette(painted)
    names = [name for name in PICTURES if len(s.names) > 1 or name != "seeds_gap"]
    still("seeds", {name: PICTURES[name](s, colours) for name in names}, painted)


def _seeds(bands: Bands) -> Seeds:
    c = bands.compared
    names = tuple(c.written(c.field, value) for value in c.values)
    task = engine.TASKS[c.experiments[0].task]
    found = bands.found
    return Seeds(
        names=names,
        full_names=tuple(_("{field} {value}").format(field=versus.title(c.field), value=name) for name in names),
        steps=bands.steps,
        planned=len(bands.seeds),
        seeds=bands.seeds[: len(found)],
        found=found,
        baselines=tuple(engine.TASKS[e.task].baseline(e) for e in c.experiments),
        baseline_label=task.baseline_label,
    )


def _table(said: dict[str, Any]) -> str:
    """The table as HTML; names and cells are texts of ours, with no more than sup in them."""
    heads = "".join(f"<th scope='col'>{text}</th>" for text in said["heads"])
    rows = []
    for i, row in enumerate(said["rows"]):
        sample = f"<i class='dash{i}' style='color: {row['color']}'></i>"
        cells = "".join(f"<td>{text}</td>" for text in row["cells"])
        name = html.escape(row["name"])
        rows.append(f"<tr><th scope='row'>{sample}<b>{name}</b></th>{cells}</tr>")
    caption = f"<caption>{said['caption']}</caption>"
    return f"<table class='runs'>{caption}<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _say(sentence: str) -> None:
    st.html(f"<p class='left'>{html.escape(sentence)}</p>")
