"""What a visitor has brought, which the session keeps: networks whose weights a run begins with, and own data."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

import engine
from app import link, networks, own
from app.networks import Network
from app.session.choosing import command, set_controls


def network() -> Network | None:
    """Whose weights the run begins with; None: those that the controls draw."""
    return kept_network(st.session_state.get("network", ""))


def kept_network(key: str) -> Network | None:
    """One that was handed in, as long as the session keeps it."""
    kept: dict[str, Network] = st.session_state.get("networks", {})
    return kept.get(key)


def begin_with(mine: Network) -> None:
    """The run begins with the weights of this network, and the controls are set for it. For callbacks."""
    command()
    state = st.session_state
    kept = {key: other for key, other in state.get("networks", {}).items() if key != mine.key} | {mine.key: mine}
    while len(kept) > 1 and (
        len(kept) > networks.MOST_KEPT or sum(other.size for other in kept.values()) > networks.MOST_KEPT_BYTES
    ):
        del kept[next(iter(kept))]
    state.networks = kept
    set_controls("", mine.values, mine.key)


def fresh_weights() -> None:
    """The controls draw the weights again. For callbacks."""
    command()
    st.session_state.network = ""


def put_network_back() -> None:
    """The network whose weights have made way for fresh ones, with its controls. For callbacks."""
    mine = kept_network(st.session_state.get("dropped", ""))
    if mine is not None:
        begin_with(mine)


def use(task: engine.OwnTask) -> None:
    """Own data become the session's and its task; a length that they have no room for becomes the next that fits."""
    command()
    state = st.session_state
    own.keep(state.setdefault("own_tasks", {}), task)
    most, length = task.task.max_length, state.seq_length
    set_controls(state.preset, {"task": str(task), "seq_length": length if most is None else min(length, most)})


def forget(name: str) -> None:
    """Own data leave the session; where they are its task, it has the preset's again."""
    command()
    state = st.session_state
    state.own_tasks = {other: task for other, task in state.get("own_tasks", {}).items() if other != name}
    if state.task == name:
        set_controls(state.preset, {"task": link.base(state.preset)["task"]})


def _brought() -> dict[str, engine.OwnTask] | None:
    """The own data of the visitor whose page is being made in this thread."""
    here = get_script_run_ctx(suppress_warning=True) is not None
    found: dict[str, engine.OwnTask] | None = st.session_state.get("own_tasks", {}) if here else None
    return found


own.ask(_brought)
