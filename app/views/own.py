"""Your data: a panel in which a CSV or a text becomes a task. Nothing of a file is written to disk; all is text."""

import html
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import streamlit as st

import engine
from app import networks, own, session
from app.figures.loss import mean_over
from app.figures.numbers import short
from app.limits import LIMITS
from app.own_examples import EXAMPLES
from app.views import assets, files
from app.words import N_, _, clauses, sentences
from engine.own.reading import content
from engine.own.said import WORDS, Refused, Said
from engine.own.series import MISSING, NORMALISE, Series
from engine.own.tables import Table, table
from engine.own.text import MOST_SIGNS, SIGNS, Text

TEXTS = (".txt", ".md")  # what these names end with is a text at first
SUFFIXES = ("csv", "tsv", "dat", "txt", "md")
KINDS = {"series": N_("Series of numbers"), "text": N_("Text")}
LABELS = {
    "standard": N_("mean 0, variance 1"), "minmax": N_("0 to 1"), "none": N_("as they are"),
    "refuse": N_("refuse"), "drop": N_("leave rows out"), "interpolate": N_("fill in"),
}  # fmt: skip
MOST_HORIZON = 1000


@dataclass
class Brought:
    """A file while its panel is open: what it says, as text or as a table."""

    label: str
    data: bytes
    read: Table | Refused | None = None

    def table(self) -> Table:
        """Read once. Raises Refused."""
        found = self.read
        if found is None:
            try:
                found = table(content(self.data, label=self.label))
                if found.values.size > LIMITS.data:
                    rows, columns = found.values.shape
                    found = Refused(
                        "cells", file=found.file, rows=f"{rows:,}", columns=columns, most=f"{LIMITS.data:,}"
                    )
            except Refused as refused:
                found = refused
            self.read = found
        if isinstance(found, Refused):
            raise found
        return found


def button(key: str = "own_data", label: str = "", kind: Literal["secondary", "tertiary"] = "tertiary") -> None:
    """The way in, at the head of the controls of the task, and where else data are lacking."""
    if said := st.session_state.pop("own_said", ""):
        st.toast(said, icon=":material/check:")
    if st.button(
        label or _("Your data"), key=key, type=kind, icon=":material/upload_file:", on_click=_open,
        help=_("Train on data of your own: a table (CSV) or a text"),
    ):  # fmt: skip
        st.dialog(_("Your data"), width="large", on_dismiss=_close)(_contents)()


def _open() -> None:
    session.command()
    st.session_state.own_refused, st.session_state.own_used = "", False


def _close() -> None:
    """What the panel had in hand is gone with it; what is in use stays in the session."""
    session.command()
    st.session_state.pop("own_file", None)


def _contents() -> None:
    state = st.session_state
    if state.pop("own_used", False):
        st.rerun()
    assets.style("own.css")
    with st.container(key="own_panel"):
        brought: Brought | None = state.get("own_file")
        if brought is None:
            _bring()
            _kept()
        else:
            _choose(brought)


def _bring() -> None:
    state = st.session_state
    st.html(
        f"<p>{_('A table of numbers, a row a timestep, or a text: the network learns to say what comes next.')}</p>"
    )
    about = _("It stays in the memory of this session, and goes with it. No other visitor can reach it.")
    files.upload("own_upload", _("A table (CSV) or a text"), SUFFIXES, LIMITS.own_data, about, _take)
    if state.get("own_refused"):
        files.refused(state.own_refused)
    with st.container(key="own_examples", horizontal=True, vertical_alignment="center"):
        st.html(f"<p>{_('None at hand? Try an example:')}</p>")
        for name in EXAMPLES:
            st.button(name, key=f"own_example_{name}", on_click=_example, args=(name,))


def _kept() -> None:
    """What the session has, and a way to forget it."""
    for name, task in own.mine().items():
        with st.container(horizontal=True, vertical_alignment="center"):
            size = _("{file}: kept in this session").format(file=task.task.label)
            st.html(f"<p>{html.escape(size)}</p>")
            st.button(_("Forget"), key=f"own_forget_{name}", type="tertiary", on_click=session.forget, args=(name,))


def _take(key: str) -> None:
    """The file that was dropped: its bytes alone are kept, for the panel."""
    state: Any = st.session_state
    file = state[key]
    session.command()
    if file is None:
        return
    _read(file.name, file.getvalue())
    files.let_go("own_upload", file)


def _example(name: str) -> None:
    session.command()
    _read(name, EXAMPLES[name]())


def _read(name: str, data: bytes) -> None:
    state = st.session_state
    try:
        read = content(data, label=name, most=LIMITS.own_data << 20)
    except Refused as refused:
        state.own_refused = said(refused.said)
        return
    for key in [key for key in state if str(key).startswith("own_choice_")]:
        del state[key]
    state.own_refused, state.own_file = "", Brought(read.label, data)


def _choose(brought: Brought) -> None:
    with st.container(key="own_head", horizontal=True, vertical_alignment="center"):
        st.html(f"<h3>{html.escape(brought.label)}</h3>", width="content")
        st.button(_("Another file"), key="own_back", on_click=_close)
    usual = "text" if brought.label.lower().endswith(TEXTS) else "series"
    kind = st.segmented_control(
        _("Read as"), list(KINDS), default=usual, required=True, format_func=lambda k: _(KINDS[k]),
        key="own_choice_kind",
    )  # fmt: skip
    try:
        made = _text(brought) if kind == "text" else _series(brought)
    except Refused as refused:
        files.refused(said(refused.said))
        return
    _told(made)
    st.button(_("Use these data"), key="own_use", type="primary", on_click=_use, args=(made,))


def _series(brought: Brought) -> engine.OwnTask:
    """The task as it is chosen. Raises Refused."""
    found = brought.table()
    usual = [name for name in found.columns if name not in found.left]
    heard = st.multiselect(
        _("The network hears"), found.columns, default=usual, key="own_choice_columns",  # no Markdown in its options
        help=_("Columns of numbers. Those that count the rows, or never change, are left out at first."),
    )  # fmt: skip
    target = st.multiselect(
        _("It has to predict"), found.columns, key="own_choice_target",
        placeholder=_("all that it hears"),
    )  # fmt: skip
    left, middle, right = st.columns([1, 1.6, 1.6])
    horizon = left.number_input(_("Steps ahead"), 1, MOST_HORIZON, 1, key="own_choice_horizon")
    normalise = middle.segmented_control(
        _("Scale"), NORMALISE, default="standard", required=True, key="own_choice_normalise", format_func=_label,
        help=_("Fitted on the part for training alone."),
    )  # fmt: skip
    lacking = np.isnan(found.values[:, [found.columns.index(name) for name in (*heard, *target)]]).any()
    missing = "refuse"
    if lacking:
        missing = right.segmented_control(
            _("Missing values"), MISSING, default="refuse", required=True, key="own_choice_missing", format_func=_label
        )
    return engine.series(
        found, columns=heard if heard != usual else None, target=target or None, horizon=int(horizon or 1),
        normalise=normalise or "standard", missing=missing or "refuse",
    )  # fmt: skip


def _text(brought: Brought) -> engine.OwnTask:
    """The task as it is chosen. Raises Refused."""
    left, right = st.columns([1, 1.6])
    signs = left.number_input(
        _("Different characters"), 2, MOST_SIGNS, SIGNS, key="own_choice_signs",
        help=_("Of more than so many the rarest count as one: each is an input of the network, and an output."),
    )  # fmt: skip
    lower = right.segmented_control(
        _("Capital letters"), (False, True), default=False, required=True, key="own_choice_lower",
        format_func=lambda small: _("as small ones") if small else _("as they are"),
    )  # fmt: skip
    return engine.text(brought.data, lower=bool(lower), signs=int(signs or SIGNS), label=brought.label)


def _told(made: engine.OwnTask) -> None:
    """What was found out, how it is split, and what the network will be held to."""
    data, row = made.data, made.task
    if isinstance(data, Series):
        parts = _("{training} rows for training, in windows of T rows from random places; then {held} for validation.")
    else:
        assert isinstance(data, Text)
        parts = _("{training} characters for training, then {held} for validation; {n} different ones.")
    steps = min(st.session_state.seq_length, row.max_length or 1)  # of the windows that the task will have
    lines = {row.baseline_label: row.trivial_loss, **row.references}
    found = {name: short(line[row.loss](steps)) for name, line in lines.items()}
    losses = [_("{what}: {loss}").format(what=_(name), loss=loss) for name, loss in found.items()]
    split = parts.format(training=f"{data.training:,}", held=f"{data.held:,}", n=row.input_size)
    over = mean_over(data) if isinstance(data, Series) else []
    compared = _("Loss to compare with: {lines}.").format(lines=clauses([*losses, *over]))  # HTML: powers of ten
    with st.container(key="own_told"):
        st.html(f"<p>{html.escape(split)}</p><p>{compared}</p>")
        notes = [html.escape(said(note)) for note in data.notes]
        if notes:
            st.html(f'<p class="small">{sentences(*notes)}</p>')
    mine = session.network()
    if mine is not None and (wrong := networks.misfit(mine, row)):
        files.refused(sentences(*wrong))


def _use(made: engine.OwnTask) -> None:
    session.use(made)
    st.session_state.pop("own_file", None)
    st.session_state.own_used = True
    st.session_state.own_said = _("The task is now {file}.").format(file=files.plain(made.task.label))


def said(what: Said) -> str:
    """A sentence of the engine about a file, in the reader's language. Plain text: it quotes the file."""
    values = {name: _(value) if value in WORDS else value for name, value in what.values.items()}
    if what.name in ("missing", "no_number"):  # on the page they are buttons, by their own names
        found = _("In column {column} {count} of {rows} values are missing, the first in line {line}.")
        if what.name == "no_number":
            found = _("Column {column} is not of numbers alone: line {line} has {text}.")
        go_on = _(
            "Choose “{drop}” or “{fill}” to go on. The first takes such rows away, so that rows that lay apart follow "
            "each other; the second puts the missing values on a straight line between their neighbours."
        )
        values |= {"drop": _label("drop"), "fill": _label("interpolate")}
        return sentences(found, go_on).format(**values)
    return _(what.message).format(**values)


def _label(name: str) -> str:
    return _(LABELS[name])
