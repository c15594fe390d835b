"""Small worlds: one and two units, which one can see whole. Controls of its own, in the place of Explore's."""

import html
from typing import Any

import streamlit as st

import engine
from app import session, small
from app.controls import number
from app.export import source_of_world
from app.figures.palette import palette
from app.figures.small import SMALL
from app.small import FIELDS, PRESETS, STEPS, Field
from app.still import still, theme
from app.views.explore import notice
from app.views.why import keep
from app.words import _


def controls() -> None:
    """The sidebar: what to begin with, and what can be changed of the part that is shown."""
    values = _values()
    part = values["part"]
    with st.sidebar, st.container(key="controls", gap=None):
        st.html(f"<h3>{_('Begin with')}</h3>")
        with st.container(key="starts", gap=None):
            for name, start in PRESETS[part].items():
                same = all(values[field] == value for field, value in small.preset_values(part, name).items())
                st.button(
                    _(start.label), key=f"start_{part}_{name}", width="stretch", type="tertiary",
                    icon=":material/check:" if same else None, on_click=_begin, args=(part, name),
                )  # fmt: skip
                if same:
                    st.html(f'<p class="start">{html.escape(_(start.meaning))}</p>')
        st.html(f"<h3>{_('Change')}</h3>")
        for name in small.of_part(part):
            _widget(name, FIELDS[name], values[name])
        if part == "two":
            _from_run()


def _widget(name: str, field: Field, value: Any) -> None:
    about: dict[str, Any] = {"key": name, "help": _(field.meaning), "persist_state": "session"}
    label = _(field.label)
    if field.range is None:
        st.selectbox(label, field.options, format_func=_activation, **about)
    elif field.options:
        st.select_slider(label, sorted({*field.options, value}), format_func=number, **about)
    elif field.range.high == 10:  # a weight: exact numbers are wanted
        st.number_input(label, field.range.low, field.range.high, step=0.1, format="%.4g", **about)
    else:
        st.slider(label, field.range.low, field.range.high, step=field.step, **about)


def page() -> None:
    notice(controls=False)
    with st.container(key="small"):
        st.segmented_control(
            _("Part"), FIELDS["part"].options, required=True, key="part", label_visibility="collapsed",
            format_func=lambda name: _(SMALL[name].label), persist_state="session",
        )  # fmt: skip
        values = _values()
        world, found, painted = SMALL[values["part"]], small.look(values), theme()
        st.html(f"<h2>{_(world.question)}</h2><p class='answer'>{world.sentence(found)}</p>")
        colours = palette(painted)
        figures = {name: draw(found, colours) for name, draw in world.pictures.items()}
        steps = values["cliff_steps"] if values["part"] == "cliff" else STEPS[values["part"]]
        source = source_of_world(values["part"], {name: values[name] for name in small.of_part(values["part"])})
        still(f"small_{values['part']}", figures, painted, steps, source)
        keep()


def _values() -> dict[str, Any]:
    return {name: st.session_state[name] for name in FIELDS}


def _activation(name: str) -> str:
    return _(engine.ACTIVATIONS[name].label, "nonlinearity")


def _begin(part: str, name: str) -> None:
    session.command()
    session.set_beside(small.preset_values(part, name))


def _from_run() -> None:
    """The two units that Explore trains, where it does train two."""
    run = session.run()
    snapshot = run.picture()[1] if run.settle(0) else None
    weights = None if snapshot is None else snapshot.weights
    found = None if weights is None else small.of_run(weights.experiment, weights.state_dict)
    if weights is None or found is None:
        about = _("Explore has to show a plain RNN with hidden size 2 and one layer, its weights between −10 and 10.")
    else:
        about = _("The network that Explore shows, at step {n}: W and b, without its inputs.").format(n=weights.step)
    st.button(
        _("Take the run's weights"), key="from_run", width="stretch", help=about, disabled=found is None,
        on_click=_take, args=(found or {},),
    )  # fmt: skip


def _take(found: dict[str, Any]) -> None:
    session.command()
    session.set_beside(found)
