"""Take away: the run as a file, and back again; the experiment as code for three libraries."""

import html
from typing import Any

import streamlit as st

import engine
from app import code, session
from app.code import CODES, FEWEST, START
from app.export import stem
from app.handout import LARGEST_FILE, outgrown, shown, taken_up
from app.networks import Network
from app.views import files
from app.words import _, language, listed


def button() -> None:
    """The way in, on Explore. What was done in it is said when it has closed."""
    if said := st.session_state.pop("take_said", ""):
        st.toast(said, icon=":material/check:")
    if st.button(
        _("Take away"), key="take", type="tertiary", icon=":material/download:", on_click=session.command,
        help=_("The run as a file, and back again; the experiment as code for Python, PyTorch and Keras"),
    ):  # fmt: skip
        st.dialog(_("Take away"), width="large")(_contents)()


def _contents() -> None:
    if st.session_state.pop("take_loaded", False):
        st.rerun()
    with st.container(key="taking"):
        run, *codes = st.tabs([_("The run"), *(row.label for row in CODES.values())])
        with run:
            _run()
        for tab, name in zip(codes, CODES, strict=True):
            with tab:
                _code(name)


def _run() -> None:
    lang = f"lang={language()}"  # for what the route may have to say
    state, token = st.session_state, session.run().token
    st.html(
        f"<p>{_('Weights, the optimizer’s memory, the whole history and all settings, at the step that is shown.')}</p>"
        f'<p class="files"><a href="take/{token}/run.npz?{lang}" download>{_("Download the run (NPZ)")}</a>'
        f'<a href="take/{token}/curves.csv?{lang}" download>{_("Its curves (CSV)")}</a></p>'
        f"<p>{html.escape(_weights(token))}</p>"
        f'<p class="files"><a href="take/{token}/weights.safetensors?{lang}" download>'
        f"{_('Its weights (safetensors)')}</a>"
        f'<a href="take/{token}/weights.npz?{lang}" download>{_("Its weights (NPZ)")}</a></p>'
        f"<p class='small'>{_('In Python: {call} gives it back.').format(call='<code>engine.load_checkpoint</code>')}"
        f" {_('A picture’s data are in the menu at its lower right corner.')}</p>"
    )
    about = _("A file that was downloaded here: it goes on exactly where it was, in the place of the present run.")
    files.upload("take_file", _("Take up a run again"), ("npz",), LARGEST_FILE, about, _load)
    if state.get("take_refused"):
        files.refused(state.take_refused)


def _weights(token: str) -> str:
    """Whose names the files of weights have."""
    c, mine = shown(token), session.network()
    if mine is None:
        return _("The weights alone have PyTorch’s names and layout, with the linear layer as “head”.")
    if c is not None and (reason := outgrown(c, mine)):
        said = _("The weights alone have PyTorch’s names and no longer fit {file}. {why}")
        return said.format(file=mine.file, why=reason)
    return _("The weights alone have the names and the layout of {file}.").format(file=mine.file)


def _load(key: str) -> None:
    """Take up the run of the file that was chosen; the file itself is not kept."""
    state: Any = st.session_state
    file = state[key]
    session.command()
    if file is None:
        return
    try:
        c = taken_up(file, file.size)
        session.start_from(c)
    except ValueError as refused:
        state.take_refused = str(refused)
    else:
        state.take_refused, state.take_loaded = "", True
        state.take_said = _("Taken up at step {n}.").format(n=f"{c.step:,}")
    files.let_go("take_file", file)


def _code(name: str) -> None:
    e: engine.Experiment = st.session_state.experiment
    c = shown(session.run().token)
    steps = max(FEWEST, c.step if c is not None else 0)
    mine = session.network()
    text = code.script(name, e, steps, mine)
    for note in [_(message) for message in CODES[name].differs(e)] or [_agrees(name)]:
        st.html(f"<p>{html.escape(note)}</p>")
    if c is not None and c.history.changes:
        st.html(f"<p>{_('Settings that were changed while it trained are in it as they are now, from step 0 on.')}</p>")
    with st.container(horizontal=True, vertical_alignment="center"):
        file = f"{stem(e)}_{CODES[name].suffix}.py"
        st.download_button(
            _("Download the script"), text, file, "text/x-python", key=f"take_code_{name}", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip
        if name != "engine" and (own := code.beside(e)):
            about = _("It reads this file, which has to lie beside it: your data as the network gets them.")
            st.download_button(own[0], own[1], own[0], key=f"take_data_{name}", on_click="ignore", help=about)
        if links := _beside(name, e, mine):
            st.html(f"<p>{_('It reads {file}, which has to lie beside it.').format(file=listed(links))}</p>")
    st.code(text, language="python", line_numbers=False, height=420)


def _beside(name: str, e: engine.Experiment, mine: Network | None) -> list[str]:
    """The files that a script reads, as links where this page has them."""
    if name == "engine":
        return [] if mine is None else [html.escape(mine.file)]
    links = [f'<a href="data/{p.name}" download>{p.name}</a>' for p in code.files(e)]
    if mine is not None:
        links.append(f'<a href="take/{session.run().token}/{START}?lang={language()}" download="{START}">{START}</a>')
    return links


def _agrees(name: str) -> str:
    if name == "engine":
        return _("It runs in the folder of this repository, and gives exactly the curve of this page.")
    if name == "torch":
        return _(
            "It needs numpy and torch alone, draws the same data and first weights, and finds the same losses: "
            "to 8 digits in float64. (In a chaotic network roundings grow, and the curves part after some steps.)"
        )
    return _(
        "It needs numpy and Keras 3 with any backend, draws the same data and first weights, and finds the same "
        "losses to about 5 digits. (In a chaotic network roundings grow, and the curves part after some steps.)"
    )
