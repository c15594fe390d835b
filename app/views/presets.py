"""The head of the sidebar: undo and redo, the menu of presets, what to look for, and what was changed against it."""

import html
from collections.abc import Callable
from typing import Any

import streamlit as st

import engine
from app import session
from app.views import duplicate
from app.words import _, clauses, listed

MENU, AT_HAND = "presets", "presets_at_hand"  # the keys of the menus: whether they are open


def draw(changes: dict[str, str]) -> None:
    """`changes`: what differs from the preset, by the name of the control; "Learning rate 0.001 → 0.01"."""
    now = st.session_state.preset
    undo_redo(_("Preset"))
    _menu(MENU, now)
    mine = session.network()
    text = _meaning(now) if mine is None else _("The network of {file}, on all pages.").format(file=mine.file)
    said = html.escape(text)
    state = "changed" if changes and mine is None else ""
    st.html(f'<p class="meaning {state}" title="{html.escape(_source(now).strip())}"><span>{said}</span></p>')
    what_changed(changes, _("All controls as in the preset."), session.put_back)


def undo_redo(title: str) -> None:
    """A row: what the controls below it are, undo and redo."""
    history = st.session_state.history
    with st.container(key="history", horizontal=True, gap=None):
        st.html(f"<h3>{html.escape(title)}</h3>")
        duplicate.button()
        _button("undo", _("Undo"), _("Undo (Ctrl+Z)"), not history.past, session.undo, history.count)
        _button("redo", _("Redo"), _("Redo (Ctrl+Shift+Z)"), not history.future, session.redo, history.count)


def what_changed(changes: dict[str, str], help: str, put_back: Callable[..., None], *args: Any) -> None:
    """A row: what was changed, and a button that puts it back."""
    with st.container(key="changes", horizontal=True, gap=None):
        about, count = html.escape(clauses(changes.values())), st.session_state.history.count
        st.html(f'<p title="{about}" data-count="{count}">{html.escape(_said(changes))}</p>')  # keys.js counts
        listed = "\n".join(f"- {change}" for change in changes.values())
        st.button(
            _("Put back"), key="put_back", type="tertiary", disabled=not changes, on_click=put_back, args=args,
            help=help + ("\n\n" + listed if listed else ""),
        )  # fmt: skip


def at_hand() -> None:
    """The menu alone, for where the sidebar is hidden: on a phone."""
    _menu(AT_HAND, st.session_state.preset)


def _menu(key: str, now: str) -> None:
    menu = st.popover(_label(now), key=key, width="stretch", wrap=False, on_change=session.command)
    if menu.open:
        with menu, st.container(key="menu" if key == MENU else "menu_at_hand", gap=None):
            _rows(now, "preset" if key == MENU else "preset_at_hand")


def _button(key: str, label: str, about: str, disabled: bool, do: Callable[[int], None], count: int) -> None:
    icon = f":material/{key}:"
    st.button(label, key=key, icon=icon, type="tertiary", help=about, disabled=disabled, on_click=do, args=(count,))


def _rows(now: str, key: str) -> None:
    """The presets, by group, the default first; what to look for in the one that is pointed at stands at the foot."""
    _row("", now, key)
    for group in dict.fromkeys(row.group for row in engine.PRESETS.values()):
        with st.container(key=f"{key}s_{group}", gap=None):
            st.html(f"<h3>{html.escape(_(group))}</h3>")
            for name, row in engine.PRESETS.items():
                if row.group == group:
                    _row(name, now, key)


def _row(name: str, now: str, key: str) -> None:
    st.button(
        _label(name),
        key=f"{key}_{name}",
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
    st.session_state[MENU] = st.session_state[AT_HAND] = False


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
