"""Your network: a file of weights becomes the network that all pages show, is trained here, and goes out again."""

import html
from typing import Any

import streamlit as st

from app import networks, session, settings
from app.figures.words import on_noise
from app.networks import LARGEST_FILE, Network
from app.views import files, own
from app.words import _
from engine.foreign import Ambiguous
from engine.foreign.files import FROM_KERAS, FROM_TORCH

MOST_FOUND, MOST_CHOICES = 8, 30  # sentences about a file, and buttons where something has to be chosen


def button() -> None:
    """The way in, on Explore: the name of the file whose weights are shown."""
    mine = session.network()
    label = _("Your network") if mine is None else mine.file
    about = _("A file of weights, from PyTorch or Keras: all pictures show that network, and it can be trained here")
    if mine is not None:
        about = _("The run begins with the weights of {file}.").format(file=files.plain(mine.file))
    if st.button(
        files.plain(label),
        key="network_open",
        type="tertiary",
        icon=":material/neurology:",
        on_click=_opens,
        help=about,
    ):
        st.dialog(_("Your network"), width="large", on_dismiss=_close)(_contents)()


def _opens() -> None:
    session.command()
    st.session_state.network_loaded = False


def _close() -> None:
    """What the panel had in hand is gone with it."""
    session.command()
    st.session_state.network_refused, st.session_state.network_asks = "", None


def notice() -> None:
    """On the page: what a file was found to be, or that its weights have made way for fresh ones."""
    state = st.session_state
    mine, dropped = session.network(), session.kept_network(state.get("dropped", ""))
    if mine is None and dropped is not None:
        said = _("The weights of {file} do not fit these controls: fresh ones are in their place.")
        with st.container(key="network_notice", border=True):
            st.text(said.format(file=dropped.file))
            with st.container(horizontal=True):
                st.button(
                    _("Put them back"), key="network_back", on_click=session.put_network_back,
                    help=_("The controls as they were when the file was read."),
                )  # fmt: skip
                st.button(_("Dismiss"), key="network_dropped", on_click=session.dismiss)
        return
    if mine is None or state.get("network_new") != mine.key:
        return
    with st.container(key="network_notice", border=True):
        with st.container(key="sentences_network", gap=None):
            for sentence in networks.found(mine)[:MOST_FOUND]:
                st.text(sentence)
        with st.container(horizontal=True):
            if on_noise(state.experiment):  # what it learns there says nothing
                own.button("network_data", _("Add your data"), "secondary")
            st.button(_("Train it"), key="network_train", icon=":material/play_arrow:", on_click=_train)
            _fresh("network_notice_fresh")
            st.button(_("Close"), key="network_seen", on_click=_seen)


def _fresh(key: str) -> bool:
    about = _(
        "The controls draw weights for the same network, in the place of those of the file. Undo brings them back."
    )
    return st.button(_("Fresh weights"), key=key, on_click=session.fresh_weights, help=about)


def _seen() -> None:
    session.command()
    st.session_state.network_new = ""


def _train() -> None:
    _seen()
    session.run().play()


def _contents() -> None:
    state = st.session_state
    if state.pop("network_loaded", False):
        st.rerun()
    with st.container(key="taking"):
        mine = session.network()
        if mine is not None:
            _shown(mine)
        if state.get("network_asks") is not None:
            _ask()
        label = _("Drop a file of weights") if mine is None else _("Another file")
        about = _("Numbers alone are read from it, no code and no pickle. It stays in the memory of this session.")
        files.upload("network_file", label, ("safetensors", "npz"), LARGEST_FILE, about, _load)
        if state.get("network_refused"):
            files.refused(state.network_refused)
        _how()


def _how() -> None:
    found = _(
        "A .safetensors or .npz file of at most {most} MB. Recurrent layers (RNN, LSTM, GRU), a linear layer after "
        "them and an embedding are found by their names. From PyTorch and from Keras such a file is one line:"
    )
    st.html(f"<p>{html.escape(found.format(most=LARGEST_FILE))}</p>")
    st.code(f"{FROM_TORCH}  # PyTorch\n{FROM_KERAS}  # Keras", language="python", wrap_lines=True)


def _shown(mine: Network) -> None:
    """What is known of the network that is shown, and what can be done with it."""
    for sentence in networks.found(mine)[:MOST_FOUND]:
        st.html(f"<p>{html.escape(sentence)}</p>")
    said = _(
        "Reset goes back to its weights. A control that keeps its shape keeps them, too; one that makes another "
        "network draws fresh ones. “Take away” has the weights as they are now, as a file like this one."
    )
    st.html(f"<p class='small'>{html.escape(said)}</p>")
    if _fresh("network_fresh"):
        st.rerun()


def _ask() -> None:
    """Which of several layers is meant."""
    asks: dict[str, Any] = st.session_state.network_asks
    options: tuple[str, ...] = asks["options"]
    if asks["parameter"] == "recurrent":
        st.html(f"<p>{html.escape(_('This file has several recurrent layers. Which is meant?'))}</p>")
        choices: list[tuple[str, ...]] = [(name,) for name in options]
        if 1 < len(options) <= 4:
            choices.append(options)
    else:
        st.html(f"<p>{html.escape(_('Several linear layers could give the answer. Which is meant?'))}</p>")
        choices = [(name,) for name in options]
    with st.container(horizontal=True):
        for number, names in enumerate(choices[:MOST_CHOICES]):
            label = " → ".join(networks.shown(name) or _("without a name") for name in names)
            if len(names) > 1:
                label = _("{layers}, one above the other").format(layers=label)
            st.button(
                files.plain(label), key=f"network_choice_{number}", on_click=_chosen, args=(asks["parameter"], names)
            )


def _chosen(parameter: str, names: tuple[str, ...]) -> None:
    asks: dict[str, Any] = st.session_state.network_asks
    session.command()
    answers = asks["answers"] | {parameter: names if parameter == "recurrent" else names[0]}
    _take(asks["arrays"], asks["file"], answers)


def _load(key: str) -> None:
    """Take the network of the file that was chosen; the file itself is not kept."""
    state: Any = st.session_state
    file = state[key]
    session.command()
    if file is None:
        return
    state.network_refused, state.network_asks = "", None
    try:
        arrays = networks.read(file, file.size)
    except ValueError as refused:
        state.network_refused = _refused(refused)
    else:
        _take(arrays, file.name, {})
    files.let_go("network_file", file)


def _take(arrays: Any, file: str, answers: dict[str, Any]) -> None:
    state = st.session_state
    values = {field: state[field] for field in settings.FIELDS}
    state.network_asks = None
    try:
        mine = networks.network(arrays, file, values, **answers)
    except Ambiguous as several:
        state.network_asks = {
            "arrays": arrays, "file": file, "answers": answers, "parameter": several.parameter,
            "options": several.options,
        }  # fmt: skip
    except ValueError as refused:
        state.network_refused = _refused(refused)
    else:
        session.begin_with(mine)
        state.network_refused, state.network_loaded, state.network_new = "", True, mine.key


def _refused(error: ValueError) -> str:
    return _("This file was not taken, and nothing has changed. {why}").format(why=networks.why(error))
