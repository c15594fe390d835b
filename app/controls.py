"""The controls: one row a control in the table, one row a control in the sidebar.

A control's key in the session state is the experiment's field, so that a link, a control and the engine speak of the
same thing by the same name. Streamlit keeps the value of one that is not drawn (persist_state).
"""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any

import streamlit as st

import engine
from app import link, own, session, settings
from app.networks import DRAWN, Network
from app.settings import NAMES, NEEDS, RANGES
from app.views import own as own_data
from app.views import presets
from app.words import N_, _, listed
from engine.rows import Row


@dataclass(frozen=True)
class Control:
    """`options`: what a list or a slider offers (a link may bring others); `label`: how one of them is written."""

    field: str
    group: str
    widget: str  # "segments", "list", "slider" or "number"
    options: tuple[Any, ...] = ()
    label: Callable[[Any], str] = str
    table: Mapping[str, Row] | None = None  # where the options are rows, with a meaning
    more: bool = False  # shown only when its group is opened
    hides: bool = False  # where it does not apply; the others are dimmed and stay in their places


def _names(field: str, group: str, table: Any = None, **more: Any) -> Control:
    def label(name: str) -> str:
        return _(table[name].label, field) if table else name

    labels = [table[name].label if table else name for name in NAMES[field]]
    few = len(labels) <= 4 and len("".join(labels)) <= 16
    widget = "segments" if few and field not in settings.OPTIONAL else "list"
    return Control(field, group, widget, NAMES[field], label, table, **more)


def _slider(field: str, group: str, *options: Any, none: str = "", zero: str = "", **more: Any) -> Control:
    """`none`, `zero`: the words for these values, as message ids."""

    def label(value: Any) -> str:
        return _(none) if value is None else _(zero) if zero and value == 0 else number(value)

    return Control(field, group, "slider", options, more.pop("label", label), **more)


def _switch(field: str, group: str, **more: Any) -> Control:
    return Control(field, group, "segments", (False, True), lambda on: _("on") if on else _("off"), **more)


@lru_cache(1000, typed=True)
def number(value: float) -> str:
    """1e-05 as 1e-5, 100000 as 100,000; all digits that make it another number."""
    if isinstance(value, int):
        return f"{value:,}"
    return re.sub(r"e([+-])0", r"e\1", f"{value:g}" if float(f"{value:g}") == value else str(value)).replace("e+", "e")


NETWORK, START, TASK, TRAINING = N_("Network"), N_("Start"), N_("Task"), N_("Training")
REGULARISATION, STOP = N_("Regularisation"), N_("Stop")
CONTROLS = (
    _names("cell", NETWORK, engine.CELLS),
    _switch("reset_after", NETWORK, more=True, hides=True),
    Control("num_layers", NETWORK, "segments", (1, 2, 3, 4)),
    _slider("hidden_size", NETWORK, 2, 4, 8, 16, 32, 64, 128, 256),
    _names("nonlinearity", NETWORK, engine.ACTIVATIONS),
    _slider("embedding_dim", NETWORK, None, 2, 5, 10, 20, 50, 100, 200, none=N_("one-hot"), more=True),
    _names("init", START, engine.INITS),
    _slider("gain", START, *(n / 20 for n in range(61)), label="{:.2f}".format),
    _slider("forget_bias", START, *(n / 2 for n in range(-4, 13))),
    Control("seed", START, "number"),
    _names("input_init", START, engine.INITS, more=True),
    _names("task", TASK, engine.TASKS),
    _slider("seq_length", TASK, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
    _slider("batch_size", TASK, 1, 2, 4, 8, 10, 16, 32, 64, 128, 256),
    _names("batching", TASK, engine.BATCHINGS, more=True),
    _slider(
        "train_size", TASK, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, None, none=N_("endless"), more=True,
    ),
    _names("loss", TASK, engine.LOSSES, more=True, hides=True),
    _names("optimizer", TRAINING, engine.OPTIMIZERS),
    _slider("lr", TRAINING, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0),
    _names("clip", TRAINING, engine.CLIPS),
    _slider(
        "clip_threshold", TRAINING,
        1e-8, 1e-6, 1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0,
    ),
    _names("dtype", TRAINING),
    _slider("momentum", TRAINING, 0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, more=True, hides=True),
    _names("schedule", TRAINING, engine.SCHEDULES, more=True),
    _slider(
        "schedule_steps", TRAINING, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000,
        more=True, hides=True,
    ),
    _slider("schedule_factor", TRAINING, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.9, 1.0, more=True, hides=True),
    _slider("tbptt", TRAINING, 1, 2, 5, 10, 20, 50, 100, 200, 500, None, none=N_("full"), more=True),
    _slider("weight_decay", REGULARISATION, 0.0, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, zero=N_("off"), more=True),
    _slider("dropout", REGULARISATION, *(n / 10 for n in range(10)), zero=N_("off"), more=True),
    _switch("variational_dropout", REGULARISATION, more=True, hides=True),
    _slider("omega", REGULARISATION, 0.0, 0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, zero=N_("off"), more=True),
    _slider(
        "stop_steps", STOP, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, None,
        none=N_("never"), more=True,
    ),
    _slider(
        "stop_loss", STOP, None, 1e-6, 1e-5, 1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, none=N_("never"), more=True,
    ),
    _slider("patience", STOP, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, None, none=N_("never"), more=True),
)  # fmt: skip
BY_FIELD = {control.field: control for control in CONTROLS}
GROUPS = tuple(dict.fromkeys(control.group for control in CONTROLS))


def draw() -> None:
    """Draw the sidebar: the presets, what was changed, and all controls. The session state must hold their values."""
    values = st.session_state.history.now.values
    changed = session.changes()
    _open_changed(changed)
    with st.sidebar, st.container(key="controls", gap=None):
        presets.draw(_describe(changed, link.base(st.session_state.history.now.preset)))
        st.html(f"<style>{''.join(map(_mark, changed))}</style>")
        for group in GROUPS:
            shown = [
                control
                for control in CONTROLS
                if control.group == group and (settings.applies(control.field, values) or not control.hides)
            ]
            opened = _head(group, [control for control in shown if control.more], changed)
            for control in shown:
                if control.field == "init" and (mine := session.network()) is not None:
                    _given(mine)
                elif opened or not control.more:
                    widget(control, settings.applies(control.field, values))


def _given(mine: Network) -> None:
    """In the place of how weights are drawn: whose they are."""
    with st.container(key="given", horizontal=True, gap=None):
        file = html.escape(mine.file)
        st.html(f'<p>{html.escape(title("init"))}</p><p class="file" title="{file}">{file}</p>')
        st.button(
            _("Fresh"), key="given_fresh", type="tertiary", on_click=session.fresh_weights,
            help=_("Weights drawn by the controls, in the place of those of the file. Undo brings them back."),
        )  # fmt: skip


def _head(group: str, more: list[Control], changed: list[str]) -> bool:
    """The name of a group, and the button that shows the rest of its controls; returns whether they are shown."""
    opened: set[str] = st.session_state.opened
    with st.container(key=f"head_{group}", horizontal=True, gap=None):
        st.html(f"<h3>{_(group)}</h3>")
        if group == TASK:
            own_data.button()
        if more:
            count = sum(control.field in changed for control in more)
            word = _("less") if group in opened else _("more")
            st.button(
                _("{word}, {count} changed").format(word=word, count=count) if count else word,
                key=f"more_{group}",
                type="tertiary",
                icon=":material/expand_less:" if group in opened else ":material/expand_more:",
                icon_position="right",
                help=listed(title(control.field) for control in more),
                on_click=_toggle,
                args=(group, group not in opened),
            )
    return group in opened


def _toggle(group: str, to: bool) -> None:
    session.command()
    opened: set[str] = st.session_state.opened
    st.session_state.opened = opened | {group} if to else opened - {group}


def _open_changed(changed: list[str]) -> None:
    """Open a group when something in its rest begins to differ from the preset; who closes it again keeps it closed."""
    state, now = st.session_state, {BY_FIELD[field].group for field in changed if BY_FIELD[field].more}
    state.opened = state.get("opened", set()) | now - state.get("differing", set())
    state.differing = now


def _mark(field: str) -> str:
    """CSS: a dot beside the label of a control that was changed."""
    return f".st-key-{field} [data-testid=stWidgetLabel]::before{{content:'•'}}"


def few(fields: Sequence[str], title: str, base: settings.Values, put_back: Callable[..., None], *args: Any) -> None:
    """Draw a few controls where the caller is, in the place of all: these, and what was changed against `base`."""
    values = {field: st.session_state[field] for field in settings.FIELDS}
    changed = settings.differing(values, base)
    with st.container(key="controls", gap=None):
        presets.undo_redo(title)
        st.html(f"<style>{''.join(map(_mark, changed))}</style>")
        for field in (*fields, *(field for field in changed if field not in fields)):
            widget(BY_FIELD[field], settings.applies(field, values))
        presets.what_changed(_describe(changed, base), _("All controls as at the beginning."), put_back, *args)


def _describe(changed: list[str], before: settings.Values) -> dict[str, str]:
    """What was changed, by the name of the control: "Learning rate 0.001 → 0.01"."""
    now, texts = st.session_state.history.now, dict[str, str]()
    for field in changed:
        old, new = (_written(BY_FIELD[field], values[field]) for values in (before, now.values))
        texts[title(field)] = f"{title(field)} {old} → {new}"
    return texts


def title(field: str) -> str:
    return _(engine.Experiment.model_fields[field].title or field)


def written(field: str, value: Any) -> str:
    """A value of a field in words, as its control shows it."""
    return _written(BY_FIELD[field], value)


def _written(control: Control, value: Any) -> str:
    """A value in words: as its option, or all digits of what a link brought."""
    if control.field == "task" and own.is_own(value):
        return own.label(value)
    if value in control.options or isinstance(value, str):
        return control.label(value)
    return number(value) if value is not None else _("none")


def _help(control: Control) -> str:
    """What the control is for, what its present choice does, when it applies, and whether training goes on."""
    about = engine.Experiment.model_fields[control.field].description or ""
    said = [_plain(_(about))]
    row = control.table.get(st.session_state[control.field]) if control.table else None
    if row is not None:
        source = _plain(_(" ({source})").format(source=_(row.source))) if row.source else ""
        said.append(f"**{_plain(_(row.label, control.field))}**: {_plain(_(row.meaning))}{source}")
    if control.field in DRAWN and (mine := session.network()) is not None:
        said.append(_plain(_("The weights are those of {file}: nothing is drawn.").format(file=mine.file)))
    elif control.field in NEEDS:
        said.append(_plain(_(NEEDS[control.field].words)))
    if control.field in engine.LIVE:
        said.append(_("Can be changed while it trains."))
    return "\n\n".join(said)


def _plain(text: str) -> str:
    """A text as it stands, in Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>$~#|:])", r"\\\1", text)


def widget(control: Control, applies: bool) -> None:
    field = control.field
    applies = applies and not (field in DRAWN and session.network() is not None)
    about: dict[str, Any] = {
        "key": field, "disabled": not applies, "help": _help(control), "persist_state": "session",
    }  # fmt: skip
    label = title(field)
    if control.widget == "number":
        low, high = int(RANGES[field].low), int(RANGES[field].high)
        st.number_input(label, low, high, step=1, **about)
        return
    about["format_func"] = lambda value: _written(control, value)
    if control.widget == "segments":
        st.segmented_control(label, control.options, required=True, width="stretch", **about)
    elif control.widget == "list":
        if field in settings.OPTIONAL:
            about |= {"index": None, "placeholder": _("the task's own")}
        st.selectbox(label, _with_data(control), **about)
    else:
        st.select_slider(label, _with_own(control), **about)


def _with_data(control: Control) -> tuple[Any, ...]:
    """The list's options; of tasks also the visitor's own data, and what is chosen now where those are gone."""
    if control.field != "task":
        return control.options
    return tuple(dict.fromkeys((*control.options, *own.mine(), st.session_state.task)))


def _with_own(control: Control) -> list[Any]:
    """The slider's options, and among them what a link brought: it stays on offer as long as the page is open."""
    brought: set[Any] = st.session_state.setdefault("own", {}).setdefault(control.field, set())
    value = st.session_state[control.field]
    if value not in control.options:
        brought.add(value)
    most: float = inf
    if control.field == "seq_length":
        most = own.row(st.session_state.task).max_length or inf  # of own data that have an end
    numbers = sorted(n for n in {*control.options, *brought} - {None} if n <= most or n == value)
    if None not in control.options:
        return numbers
    return [None, *numbers] if control.options[0] is None else [*numbers, None]
