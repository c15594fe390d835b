"""The head of the sidebar: undo and redo, the menu of presets, what to look for, and what was changed against it."""

import html
from collections.abc import Callable

import streamlit as st

import engine
from app import session
from app.words import _, clauses, listed

MENU = "presets"  # the key of the menu: whether it is open


def draw(changes: dict[str, str]) -> None:
    """`changes`: what differs from the preset, by the name of the control; "Learning rate 0.001 → 0.01"."""
    now, history = st.session_state.preset, st.session_state.history
    with st.container(key="history", horizontal=True, gap=None):
        st.html(f"<h3>{_('Preset')}</h3>")
        _button("undo", _("Undo"), _("Undo (Ctrl+Z)"), not history.past, session.undo, history.count)
        _button("redo", _("Redo"), _("Redo (Ctrl+Shift+Z)"), not history.future, session.redo, history.count)
    menu = st.popover(_label(now), key=MENU, width="stretch", wrap=False, on_change=session.command)
    if menu.open:
        with menu, st.container(key="menu", gap=None):
            _rows(now)
    said = html.escape(_meaning(now))
    state = "changed" if changes else ""
    st.html(f'<p class="meaning {state}" title="{html.escape(_source(now).strip())}"><span>{said}</span></p>')
    with st.container(key="changes", horizontal=True, gap=None):
        about = html.escape(clauses(changes.values()))
        st.html(f'<p title="{about}" data-count="{history.count}">{html.escape(_said(changes))}</p>')  # keys.js counts
        listed = "\n".join(f"- {change}" for change in changes.values())
        st.button(
            _("Put back"), key="put_back", type="tertiary", disabled=not changes, on_click=session.put_back,
            help=_("All controls as in the preset.") + ("\n\n" + listed if listed else ""),
        )  # fmt: skip


def _button(key: str, label: str, about: str, disabled: bool, do: Callable[[int], None], count: int) -> None:
    icon = f":material/{key}:"
    st.button(label, key=key, icon=icon, type="tertiary", help=about, disabled=disabled, on_click=do, args=(count,))


def _rows(now: str) -> None:
    """The presets, by group, the default first; what to look for in the one that is pointed at stands at the foot."""
    _row("", now)
    for group in dict.fromkeys(row.group for row in engine.PRESETS.values()):
        with st.container(key=f"presets_{group}", gap=None):
            st.html(f"<h3>{html.escape(_(group))}</h3>")
            for name, row in engine.PRESETS.items():
                if row.group == group:
                    _row(name, now)


def _row(name: str, now: str) -> None:
    st.button(
        _label(name),
        key=f"preset_{name}",
        type="tertiary",
        icon=":material/check:" if name == now else None,
        width="stretch",
        on_click=_choose,
        args=(name,),
    )
    foot = html.escape(_meaning(name) + _source(name))
    st.html(f'<p class="foot">{foot}</p>')  # shown while the button before it is pointed at


def _choose(name: str) -> None:
    session.load(name)
    st.session_state[MENU] = False


def _label(name: str) -> str:
    return _(engine.PRESETS[name].label) if name else _("Default")


def _meaning(name: str) -> str:
    if name:
        return _(engine.PRESETS[name].meaning)
    return _("A plain RNN adds two numbers, 100 steps apart. Press Play: its gradient vanishes on the way back.")


def _source(name: str) -> str:
    source = engine.PRESETS[name].source if name else ""
    return _(" ({source})").format(source=_(source)) if source else ""


def _said(changes: dict[str, str]) -> str:
    """What was changed, in one line that ends where the room does."""
    if len(changes) < 2:
        return next(iter(changes.values()), _("Nothing is changed."))
    return _("{count} changed: {names}").format(count=len(changes), names=listed(changes))
