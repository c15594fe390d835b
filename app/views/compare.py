"""The Compare page: the experiment of the controls against the same one with one knob different, in lock-step."""

import html
from typing import Any

import streamlit as st

import engine
from app import link, session, settings, versus
from app.bands import SEEDS
from app.comparison import PICTURES, Comparison
from app.controls import BY_FIELD, CONTROLS, written
from app.figures.numbers import minus
from app.networks import DRAWN, Network
from app.registry import RUNS
from app.snapshot import Snapshot
from app.stage import stage
from app.versus import Compared, Knob
from app.views import assets, compare_seeds, duplicate
from app.views.explore import notice
from app.words import _, listed, sentences

SELDOM = 40.0  # seconds between two signs of life of the page
FIRST = 0.3  # seconds that the page waits at most for its pictures


def page() -> None:
    values = _values()
    knob = _knob(values)
    notice()
    assets.style("stage/compare.css")
    compared, refused = versus.of(st.session_state.experiment, values, knob, _name)
    with st.container(key="compare"):
        _heading(values, compared)
        seeds = _chooser(values, knob, compared)
        for sentence in refused:
            st.html(f"<p class='left'>{html.escape(sentence)}</p>")
        run = comparison(compared)
        if seeds > 1:
            run.pause()
            compare_seeds.draw(run, compared, seeds)
        else:
            stage(run, (*PICTURES, *(f"map{i}" for i in range(len(compared.values)))), mode="compare")
            run.seen(FIRST)
        keep()


def comparison(c: Compared) -> Comparison:
    """The visitor's comparison, set to these experiments. One that was freed meanwhile is opened anew."""
    state = st.session_state
    found = RUNS.get(state.get("comparison"))
    if not isinstance(found, Comparison):
        found = session.opened(lambda: RUNS.add(Comparison(RUNS.pool, RUNS.compiler)))
    state.comparison = found.token
    found.configure(c, session.network())
    return found


def _values() -> dict[str, Any]:
    """What the controls say, of what does not count at present, too; where that is refused, what is shown instead."""
    state = st.session_state
    chosen: dict[str, Any] = {field: state[field] for field in settings.FIELDS}
    return chosen if state.refusal is None else state.experiment.model_dump()


def _knob(values: dict[str, Any]) -> Knob:
    """What the address compares, or something telling. Where the base takes a value that it is compared with, the value
    that it had takes its place: so a swap is a move of one control, and can be undone."""
    state, text = st.session_state, session.extra("versus")
    knob, complaints = versus.read(text) if text else (None, [])
    if knob is None:
        snapshot = session.run().picture()[1]
        kind = "" if snapshot is None else _kind(snapshot)
        if session.network() is not None:  # nothing is drawn: another cell or bias would be another network
            kind = "exploding"
        knob = duplicate.last_changed() or versus.default(values, kind)
    elif text == state.get("versus_written") and knob.field == state.versus_base[0]:
        before, now = state.versus_base[1], values[knob.field]
        if now != before and now in knob.values:
            knob = Knob(knob.field, tuple(before if value == now else value for value in knob.values))
    state.versus_base, state.versus_written = (knob.field, values[knob.field]), versus.write(knob)
    if text != state.versus_written:
        for sentence in complaints:
            session.complain(sentence, lambda: versus.read(text)[1])
        session.set_extra("versus", state.versus_written)
        st.rerun()
    return knob


def _kind(snapshot: Snapshot) -> str:
    return "diverged" if snapshot.lost else engine.verdict(snapshot.flow[snapshot.layer]).kind


def _heading(values: dict[str, Any], c: Compared) -> None:
    """Which knob differs, and what is the same."""
    names = [_name(c.field, value) for value in c.values]
    if len(names) == 1:
        text = _("{knob}: {base}, and nothing to compare it with").format(knob=versus.title(c.field), base=names[0])
    else:
        said = _("{knob}: {base} against {others}")
        text = said.format(knob=versus.title(c.field), base=names[0], others=listed(names[1:]))
    same = _("Same seed, same data; all else is as in the sidebar.")
    if _over() > 1:
        same = _("For each seed the same data; all else is as in the sidebar.")
    if c.field == "seed":
        same = _("Other weights and other data; all else is as in the sidebar.")
    elif not versus.same_data(c):
        same = _("Same seed, but with it the data differ too; all else is as in the sidebar.")
    if (mine := session.network()) is not None:
        same = sentences(same, _weights(mine, c))
    said_beside = html.escape(sentences(same, *versus.beside(values, c)))
    st.html(f"<h2 class='versus'>{html.escape(text)}</h2><p class='beside'>{said_beside}</p>")


def _weights(mine: Network, c: Compared) -> str:
    """Who begins with the weights of a file."""
    if c.field in DRAWN:
        return _("All begin with fresh weights, not those of {file}: how they are drawn is compared.").format(
            file=mine.file
        )
    if all(mine.has_shape(e) for e in c.experiments):
        if _over() > 1:
            text = _("All begin with the weights of {file}: from seed to seed only the data differ.")
            return text.format(file=mine.file)
        return _("All begin with the weights of {file}.").format(file=mine.file)
    return _("Those of its shape begin with the weights of {file}, the others with fresh ones.").format(file=mine.file)


# The chooser. What it says is written into the address, and read from there.


def _chooser(values: dict[str, Any], knob: Knob, c: Compared) -> int:
    """Draws it; returns over how many seeds."""
    state, base = st.session_state, values[knob.field]
    fields = [control.field for control in CONTROLS if settings.applies(control.field, values)]
    counts = settings.applies(knob.field, values)  # a link may say one that does not; it is kept, but not offered
    if counts and knob.field not in fields:
        fields.append(knob.field)
    options = [value for value in versus.options(knob.field, base, BY_FIELD[knob.field].options) if value != base]
    chosen = [value for value in knob.values if value != base]
    state.versus_field, state.versus_values, state.versus_first = knob.field if counts else None, chosen, base
    with st.container(key="versus", horizontal=True):
        st.selectbox(
            _("The knob"), fields, index=0 if counts else None, format_func=versus.title, key="versus_field",
            on_change=_turn, placeholder=_("Choose a knob"),
        )  # fmt: skip
        if counts:
            st.multiselect(
                _("Against"), [*options, *(value for value in chosen if value not in options)], key="versus_values",
                format_func=lambda value: _name(knob.field, value), max_selections=versus.MOST, on_change=_choose,
                placeholder=_("Choose a value"),
            )  # fmt: skip
        if len(c.values) > 1:
            ordered = [value for value in versus.options(knob.field, base, BY_FIELD[knob.field].options, c.values)
                       if value in c.values]  # fmt: skip
            st.segmented_control(
                _("Base"), ordered, required=True, key="versus_first", on_change=_swap,
                format_func=lambda value: _name(knob.field, value),
            )  # fmt: skip
        state.versus_seeds = _over()
        seeds = st.segmented_control(
            _("Over"), (1, *SEEDS), required=True, key="versus_seeds", on_change=_spread,
            format_func=lambda n: _("one run") if n == 1 else _("{n} seeds").format(n=n),
        )  # fmt: skip
    return seeds or 1


def _over() -> int:
    """Over how many seeds, as the address says it; nothing said: one run."""
    text = session.extra("seeds")
    if text not in ("", *map(str, SEEDS)):
        if text != "1":
            said = _("The link says {word} = {name}, which does not exist. Allowed: {allowed}.")
            session.complain(said.format(word="seeds", name=link.quote(text), allowed=listed(map(str, SEEDS))))
        session.set_extra("seeds", "")
        st.rerun()
    return int(text or 1)


def _name(field: str, value: Any) -> str:
    return minus(written(field, value))


def _turn() -> None:
    """Another knob, with values that differ from the base's by as much as one would try."""
    values, name = _values(), st.session_state.versus_field
    session.set_extra("versus", versus.write(versus.suggest(name, values[name], BY_FIELD[name].options)))


def _choose() -> None:
    state = st.session_state
    session.set_extra("versus", versus.write(Knob(state.versus_field, tuple(state.versus_values[: versus.MOST]))))


def _spread() -> None:
    seeds = st.session_state.versus_seeds or 1
    session.set_extra("seeds", "" if seeds == 1 else str(seeds))


def _swap() -> None:
    """Another one is the base: the sidebar takes its value, and the page gives the old one its place."""
    state = st.session_state
    session.change({state.versus_field: state.versus_first})


def keep() -> None:
    """What nobody asks for is freed: the page asks, as long as it is open."""
    again: Any = st.fragment(_ask, run_every=SELDOM)
    again()


def _ask() -> None:
    session.run()
    if found := RUNS.get(st.session_state.get("comparison")):
        found.look_on()
