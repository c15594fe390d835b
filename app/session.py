"""What one visitor's session holds: the values of the controls, the preset, the experiment they make, and its run.

The link is read once, at the first run of a session, and again when the visitor goes back or forward; otherwise the
controls decide, and the link follows them. Whatever was chosen, by whatever way, can be undone.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

import engine
from app import link, networks, own, settings, small, words
from app.history import Choice, History
from app.networks import Network
from app.registry import RUNS, Full
from app.runs import Run
from app.settings import FIELDS
from app.words import _

R = TypeVar("R", bound=Run)
EXTRA: dict[str, str | None] = {  # further words of the address: the page that each belongs to, None: every page
    "lang": None,
    "lecture": "explore",
    "show": "explore",
    "controls": "explore",
    "lesson": "lessons",
    "versus": "compare",
    "seeds": "compare",
    "across": "maps",
    "up": "maps",
    "measure": "maps",
    "samples": "maps",
    "train": "maps",
    "room": "room",
}
WORDED = (  # what the keys of further controls that offer words begin with
    "versus_field", "versus_values", "versus_first", "room_kind", "why_plane", "why_layer_", "lesson_screen_", "maps_",
)  # fmt: skip
LONGEST = 300  # characters of one of them
WITHOUT_WORDS = "gallery"  # whose address says nothing of the experiment: one that does leads to Explore
SOON, PATIENCE = 0.03, 0.1  # seconds: from a click to the run, and that one page gives way to others' pictures


def turn_to(page: str) -> None:
    """Another page comes with an address without our values: that is no going back."""
    state = st.session_state
    if state.setdefault("page", page) != page:
        state.page = page
        if found := RUNS.get(state.get("token")):
            found.held = None  # a closer look holds its step as long as its page is open
        command()


def read_link() -> None:
    """Set the controls from the link, where it says something new."""
    state, query = st.session_state, _query()
    state.setdefault("undelivered", {})
    if "history" in state and not _went_back(query):
        return
    _read_extra()
    found = link.read(query)
    command()
    _set(found.preset, found.values)
    state.complaints, state.linked = list(found.complaints), query
    state.complained = [lambda: link.read(query).complaints]
    if "history" not in state:
        state.history = History(Choice(found.preset, found.values))


def read_language() -> None:
    """The language that the address says, or that was chosen, or else the browser's."""
    said = extra("lang") if "extra" in st.session_state else st.query_params.get("lang", "")
    browser = (st.context.locale or "")[:2].lower()
    found = said if said in words.LANGUAGES else browser if browser in words.LANGUAGES else "en"
    before = st.session_state.get("language", found)
    st.session_state.language = found
    words.speak(found)
    if before != found:
        _reword()


def _reword() -> None:
    """Another language: what was complained of is said anew, and controls that offer words are sent anew, or the
    browser would answer with those of before."""
    state = st.session_state
    if state.get("complaints"):
        again = dict.fromkeys(sentence for said in state.complained for sentence in said())
        state.complaints = list(again)[: link.MOST_COMPLAINTS + 1]
    for key in [str(key) for key in state if key in FIELDS or key in small.FIELDS or str(key).startswith(WORDED)]:
        state[key] = state[key]
        if key in FIELDS or key in small.FIELDS:
            state.undelivered[key] = state[key]


def read_beside() -> None:
    """Set what Small worlds has of its own, from the link where it says something new."""
    state, query = st.session_state, _query(beside=True)
    now = state.get("beside")
    if now is not None:
        moved = any(name not in state or state[name] != value for name, value in now.items())
        if moved or state.commanded or query == state.linked_beside or state.page != "small":
            _check_beside(now)
            return
    values, complaints = small.read(query)
    command()
    set_beside(values)
    state.beside, state.linked_beside = values, query
    state.complaints = [*complaints, *state.complaints][: link.MOST_COMPLAINTS + 1]
    state.complained = [lambda: small.read(query)[1], *state.complained]


def _check_beside(now: dict[str, Any]) -> None:
    """Take what its controls say; a widget may say None for a moment, or be gone."""
    state = st.session_state
    for name, value in now.items():
        if not small.FIELDS[name].accepts(state.get(name)):
            state[name] = value
    state.beside = {name: state[name] for name in now}


def set_beside(values: Mapping[str, Any]) -> None:
    """Set some of its controls."""
    for name, value in values.items():
        st.session_state.undelivered[name] = value
        st.session_state[name] = value


def take() -> None:
    """Take what the controls say as the experiment; one that is refused leaves the old one."""
    state = st.session_state
    history: History = state.history
    for field, value in state.undelivered.items():
        if state[field] != value:
            state[field] = value
    for field in FIELDS:  # a widget may say None for a moment, while its options change
        if not settings.accepts(field, state[field]):
            state[field] = history.now.values[field]
    values = {field: state[field] for field in FIELDS}
    try:
        state.experiment = link.experiment(values)
        state.refusal = None
    except ValueError as refused:
        state.refusal = str(refused)
    if (mine := network()) is None:
        state.network = ""
    elif state.refusal is None and not mine.fits(state.experiment):
        state.network, state.dropped = "", mine.key
    choice = Choice(state.preset, values, state.get("network", ""))
    moved = choice.changed(history.now)
    one = len(moved) == 1 and moved[0] in settings.RANGES and not state.get("commanded")
    history.choose(choice, time.monotonic(), moved[0] if one else None)
    state.commanded = False


def write_link() -> None:
    """Write the link of the experiment into the address."""
    state = st.session_state
    before = state.get("linked"), state.get("linked_beside")
    further = _written_extra()
    words = address()
    if state.page == WITHOUT_WORDS and further == state.linked_extra:
        return
    said = (_query(), _query(beside=True)) == before == (state.linked, state.linked_beside)
    if not (said and further == state.linked_extra):  # the address may be older than what was written
        st.query_params.from_dict(words)


def address() -> dict[str, str]:
    """The words of the page's address: whoever asks for them writes them there."""
    state = st.session_state
    wanted = {} if state.page == WITHOUT_WORDS else link.write(state.experiment, state.history.now.preset)
    beside = small.write(state.beside) if state.page == "small" else {}
    further = {name: text for name, text in state.extra.items() if text and EXTRA[name] in (None, state.page)}
    state.linked, state.linked_beside = ({name: [text] for name, text in texts.items()} for texts in (wanted, beside))
    state.linked_extra = further
    return beside | wanted | further


def delivered() -> None:
    """All controls have been drawn. (A run of the script that is interrupted before leaves the browser with the values
    of before a button was pressed, and the next one would take them for a choice.)"""
    st.session_state.undelivered = {}


def run() -> Run:
    """The visitor's run, set to the experiment. One that was freed meanwhile is opened anew."""
    state = st.session_state
    found = RUNS.get(state.get("token")) or opened(RUNS.open)
    state.token = found.token
    found.configure(state.experiment, network())
    return found


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
    _set("", mine.values, mine.key)


def fresh_weights() -> None:
    """The controls draw the weights again. For callbacks."""
    command()
    st.session_state.network = ""


def put_network_back() -> None:
    """The network whose weights have made way for fresh ones, with its controls. For callbacks."""
    mine = kept_network(st.session_state.get("dropped", ""))
    if mine is not None:
        begin_with(mine)


def opened(opening: Callable[[], R]) -> R:
    """A new run; where the server is full the page says so, and ends here."""
    try:
        return opening()
    except Full as full:
        with st.container(key="full", border=True):
            st.text(str(full))
            st.button(_("Try again"), key="try_again")
        st.stop()


def start_from(c: engine.Checkpoint, network: Network | None = None) -> None:
    """The visitor's run goes on from a checkpoint, and the controls say its settings. For callbacks. `network`: whose
    weights it began with, if any: Reset goes back to them.

    Raises ValueError with a sentence where this server does not allow the experiment, or is full; nothing has changed
    then.
    """
    values = c.experiment.model_dump()
    e = link.experiment(values)
    command()
    state = st.session_state
    found = RUNS.get(state.get("token")) or RUNS.open()
    if network is not None and network.fits(e):
        begin_with(network)
    else:
        network = None
    _set("", {field: values[field] for field in FIELDS}, "" if network is None else network.key)
    state.refusal, state.experiment = None, e
    state.token = found.token
    found.start_from(replace(c, experiment=e), network)


def make_way() -> None:
    """A control may have moved: the training of others waits a moment for the answer."""
    if token := st.session_state.get("token"):
        RUNS.pool.hold(token, SOON)


def give_way() -> None:
    """What is drawn beside the pictures can wait until others have been answered."""
    end, mine = time.monotonic() + PATIENCE, st.session_state.token
    RUNS.pool.release(mine)
    while RUNS.pool.held(but=mine) and time.monotonic() < end:
        time.sleep(0.01)


def take_up(found: Run) -> bool:
    """A run that goes on becomes the visitor's, and the controls say its settings. For callbacks. False: it is over."""
    past, state = found.past(), st.session_state
    if past is None or RUNS.get(found.token) is not found:
        return False
    command()
    if past.experiment != state.experiment:
        if isinstance(past.experiment.task, engine.OwnTask):  # whoever may take up the run has brought them
            own.keep(state.setdefault("own_tasks", {}), past.experiment.task)
        values = past.experiment.model_dump()
        _set("", {field: values[field] for field in FIELDS})
        state.refusal, state.experiment = None, past.experiment
    if found.network is None:
        state.network = ""
    elif found.network is not kept_network(state.get("network", "")):
        begin_with(found.network)
        values = past.experiment.model_dump()
        _set("", {field: values[field] for field in FIELDS})
    state.token = found.token
    return True


def changes() -> list[str]:
    """The fields that count and have another value than in the preset."""
    now: Choice = st.session_state.history.now
    return settings.differing(now.values, link.base(now.preset))


# What buttons do. Each is harmless when it happens twice.


def command() -> None:
    """A click that moves no control: the address it came with may be an older one, and is no going back."""
    st.session_state.commanded = True


def load(preset: str) -> None:
    """All controls take the values of a preset."""
    command()
    _set(preset, link.base(preset), "")


def begin(preset: str, values: Mapping[str, Any]) -> None:
    """All controls take these values, which count from a preset ("": the default)."""
    command()
    _set(preset, values, "")


def put_back() -> None:
    """The preset again, as it was."""
    load(st.session_state.preset)


def put_back_refused() -> None:
    """The controls again as in the experiment that is shown."""
    command()
    shown = st.session_state.experiment.model_dump()
    change({field: value for field, value in shown.items() if settings.applies(field, shown)})


def change(values: Mapping[str, Any]) -> None:
    """Set some controls; what they cannot have is ignored."""
    command()
    state = st.session_state
    known = {field: value for field, value in values.items() if field in FIELDS and settings.accepts(field, value)}
    _set(state.preset, {field: settings.cast(field, value) for field, value in known.items()})


def go(page: str) -> None:
    """Turn to another page of the app. For callbacks, in which Streamlit cannot."""
    command()
    st.session_state.going = page


def going() -> str:
    """The page that was asked for, once; "": none."""
    wanted: str = st.session_state.pop("going", "")
    return wanted


def dismiss() -> None:
    """The sentences about the link have been read."""
    command()
    st.session_state.complaints, st.session_state.complained, st.session_state.dropped = [], [], ""


def undo(count: int) -> None:
    """Take back what was chosen last; `count`: what History.count was when the button was drawn."""
    _travel(st.session_state.history.undo(count))


def redo(count: int) -> None:
    _travel(st.session_state.history.redo(count))


def _travel(moved: bool) -> None:
    command()
    now: Choice = st.session_state.history.now
    if moved:
        _set(now.preset, now.values, now.network)


def _set(preset: str, values: Mapping[str, Any], network: str | None = None) -> None:
    """`network`: whose weights are begun with, "": of none; None: as they are."""
    state = st.session_state
    state.preset = preset
    if network is not None:
        state.network, state.dropped = network, ""
    for field, value in values.items():
        value = settings.cast(field, value)
        state.undelivered[field] = value
        if field not in state or state[field] != value:  # a widget that is set is sent anew: only where it differs
            state[field] = value


def _query(beside: bool = False) -> dict[str, list[str]]:
    """What the address says of the experiment, or `beside` it of Small worlds."""
    return {
        name: st.query_params.get_all(name)
        for name in st.query_params
        if name not in EXTRA and (name in small.FIELDS) == beside
    }


def extra(name: str) -> str:
    """What the address says further, by a name in EXTRA; "": nothing. As it was written: whoever reads it checks it."""
    texts: dict[str, str] = st.session_state.get("extra", {})
    return texts.get(name, "")


def set_extra(name: str, text: str) -> None:
    """Say it in the address, as long as its page is open; "": no more. For callbacks: the next run writes it."""
    command()
    st.session_state.extra = {**st.session_state.get("extra", {}), name: text[:LONGEST]}


def complain(sentence: str, again: Callable[[], Sequence[str]] | None = None) -> None:
    """Show, over the page, what was wrong with the address; `again` says it anew, in the language of that time."""
    state = st.session_state
    if sentence not in state.complaints:
        state.complained = [*state.complained, again or (lambda: [sentence])]
        state.complaints = [*state.complaints, sentence][: link.MOST_COMPLAINTS + 1]


def _written_extra() -> dict[str, str]:
    return {name: st.query_params[name] for name in st.query_params if name in EXTRA}


def _read_extra() -> None:
    """What the address says of this page and of all; what it says of other pages was not meant."""
    state, texts = st.session_state, _written_extra()
    before = {name: text for name, text in state.get("extra", {}).items() if EXTRA[name] not in (None, state.page)}
    state.extra = before | {name: text[:LONGEST] for name, text in texts.items()}
    state.linked_extra = texts


def _reader() -> str | None:
    """The language of the visitor whose page is being made in this thread."""
    return st.session_state.get("language") if get_script_run_ctx(suppress_warning=True) is not None else None


words.ask(_reader)


def use(task: engine.OwnTask) -> None:
    """Own data become the session's and its task; a length that they have no room for becomes the next that fits."""
    command()
    state = st.session_state
    own.keep(state.setdefault("own_tasks", {}), task)
    most, length = task.task.max_length, state.seq_length
    _set(state.preset, {"task": str(task), "seq_length": length if most is None else min(length, most)})


def forget(name: str) -> None:
    """Own data leave the session; where they are its task, it has the preset's again."""
    command()
    state = st.session_state
    state.own_tasks = {other: task for other, task in state.get("own_tasks", {}).items() if other != name}
    if state.task == name:
        _set(state.preset, {"task": link.base(state.preset)["task"]})


def _brought() -> dict[str, engine.OwnTask] | None:
    """The own data of the visitor whose page is being made in this thread."""
    here = get_script_run_ctx(suppress_warning=True) is not None
    found: dict[str, engine.OwnTask] | None = st.session_state.get("own_tasks", {}) if here else None
    return found


own.ask(_brought)


def _went_back(query: dict[str, list[str]]) -> bool:
    """Does the address say something else than what was written there, while nothing was moved or clicked?

    (A control that moves twice in a row brings the address of before its first move: that is no going back.)
    """
    state = st.session_state
    now: Choice = state.history.now
    moved = any(state[field] != now.values[field] for field in FIELDS)
    elsewhere = query != state.linked or _written_extra() != state.linked_extra
    return elsewhere and not moved and not state.commanded
