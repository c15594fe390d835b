"""The controls: one row a control in the table, one row a control in the sidebar.

A control's key in the session state is the experiment's field, so that a link, a control and the engine speak of the
same thing by the same name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

import engine
from app.link import NAMES, RANGES
from app.words import _

Values = Mapping[str, Any]


def _always(_values: Values) -> bool:
    return True


@dataclass(frozen=True)
class Control:
    """`options`: what a list or a slider offers (a link may bring others); `label`: how one of them is written."""

    field: str
    group: str
    widget: str  # "segments", "list", "slider" or "number"
    options: tuple[Any, ...] = ()
    label: Callable[[Any], str] = str
    applies: Callable[[Values], bool] = _always  # otherwise it is dimmed and stays in its place


def _names(field: str, group: str, widget: str, table: Mapping[str, Any] | None = None) -> Control:
    label = str if table is None else lambda name: _(table[name].label)
    return Control(field, group, widget, NAMES[field], label)


def _slider(field: str, group: str, options: Any, label: Callable[[Any], str] = "{:g}".format, **more: Any) -> Control:
    return Control(field, group, "slider", tuple(options), label, **more)


NETWORK, START, TASK, TRAINING = "Network", "Start", "Task", "Training"
CONTROLS = (
    _names("cell", NETWORK, "segments", engine.CELLS),
    Control("num_layers", NETWORK, "segments", (1, 2, 3, 4)),
    _slider("hidden_size", NETWORK, (2, 4, 8, 16, 32, 64, 128, 256)),
    _names("nonlinearity", NETWORK, "list", engine.ACTIVATIONS),
    _names("init", START, "list", engine.INITS),
    _slider("gain", START, (n / 20 for n in range(61)), "{:.2f}".format),
    _slider("forget_bias", START, (n / 2 for n in range(-4, 13)), applies=lambda values: values["cell"] == "lstm"),
    Control("seed", START, "number"),
    _names("task", TASK, "list", engine.TASKS),
    _slider("seq_length", TASK, (10, 20, 50, 100, 200, 500, 1000, 2000)),
    _slider("batch_size", TASK, (1, 2, 4, 8, 16, 32, 64, 128, 256)),
    _names("optimizer", TRAINING, "list", engine.OPTIMIZERS),
    _slider("lr", TRAINING, (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)),
    _names("clip", TRAINING, "segments", engine.CLIPS),
    _slider(
        "clip_threshold",
        TRAINING,
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
        applies=lambda values: values["clip"] != "none",
    ),
    _names("dtype", TRAINING, "segments"),
)


def draw() -> dict[str, Any]:
    """Draw all controls in the sidebar; returns their values by field. The session state must hold one for each."""
    values: dict[str, Any] = {}
    with st.sidebar, st.container(key="controls", gap=None):
        group = None
        for control in CONTROLS:
            if control.group != group:
                group = control.group
                st.html(f"<h3>{_(group)}</h3>")
            values[control.field] = _widget(control, disabled=not control.applies(values))
    return values


def _widget(control: Control, disabled: bool) -> Any:
    field = engine.Experiment.model_fields[control.field]
    about: dict[str, Any] = {"key": control.field, "disabled": disabled, "help": _(field.description or "")}
    label = _(field.title or control.field)
    if control.widget == "number":
        low, high = RANGES[control.field]
        return st.number_input(label, int(low), int(high), step=1, **about)
    if control.widget == "segments":
        return st.segmented_control(
            label, control.options, format_func=control.label, required=True, width="stretch", **about
        )
    if control.widget == "list":
        return st.selectbox(label, control.options, format_func=control.label, **about)
    return st.select_slider(label, _with_own(control), format_func=control.label, **about)


def _with_own(control: Control) -> list[Any]:
    """The slider's options, and among them what a link brought: it stays on offer as long as the page is open."""
    own: set[Any] = st.session_state.setdefault("own", {}).setdefault(control.field, set())
    value = st.session_state[control.field]
    if value not in control.options:
        own.add(value)
    return sorted({*control.options, *own})
