"""What a visitor writes is shown as it was written, or not at all: no HTML, no Markdown, no formula, no pseudo-HTML of
Plotly, through any word of the address, any text field and the name of any file, on any page.

A new page is a row of PAGES; a page that shows more fields after some step is a row of STATES. Text fields and uploads
are found by themselves; what stands in a file is a row of FILES.
"""

import html
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from google.protobuf.message import Message
from safetensors.numpy import save
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app import guesses, session, settings, small
from app.rooms import ROOMS
from tests.test_app import EXPLORER, runs_end  # noqa: F401  (a fixture)

MARK = "hurt7"
PAYLOADS = (
    f'<img src=x onerror="window.hurt=1">{MARK}', f"<script>window.hurt=1</script>{MARK}", f"<b>{MARK}</b>",
    f"</script><b>{MARK}", f"![{MARK}](/x.png)", f"[{MARK}](javascript:window.hurt=1)", f":red[{MARK}]",
    f":material/delete: {MARK}", f"$\\frac{{1}}{{{MARK}}}$", f"**{MARK}**", f"`{MARK}`", f"<sup>{MARK}</sup>",
    f'<a href="javascript:window.hurt=1">{MARK}</a>', f"# {MARK}", f"{{0.__class__}} {MARK}",
)  # fmt: skip
PAGES = ("gallery", "explore", "motion", "why", "compare", "small", "maps", "lessons", "room")
WORDS = [*settings.FIELDS, "preset", *session.EXTRA, *small.FIELDS, MARK]
TURNS = 3  # in each every word says another payload
SMALL = {"hidden_size": "4", "seq_length": "10", "batch_size": "2"}
Opened = Callable[[], AppTest]


@pytest.fixture(autouse=True)
def rooms_end() -> Iterator[None]:
    yield
    ROOMS.clear()


def opened(page: str, **query: str) -> AppTest:
    at = AppTest.from_file(EXPLORER, default_timeout=60)
    if page != "gallery":
        at._page_hash = calc_hash(page)
    at.query_params.update(query)
    return at.run()


def press(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


def own_question() -> AppTest:
    """The lecturer's menu, with a question of their own."""
    at = press(opened("explore", **SMALL), "open_room")
    at.session_state["room_menu"], at.session_state["room_kind"] = True, "own"
    return at.run()


STATES: dict[str, Opened] = {
    **{page: lambda page=page: opened(page, **(SMALL if page not in ("gallery", "room") else {})) for page in PAGES},
    "own question": own_question,
    "take away": lambda: press(opened("explore", **SMALL), "take"),
    "your network": lambda: press(opened("explore", **SMALL), "network_open"),
}
AGAIN = {
    "own question": "room_ask",
    "take away": "take",
    "your network": "network_open",
}  # pressed when all is filled in


def network(payload: str) -> bytes:
    """A .safetensors of one layer of such a name (a # in it: of two, between which one has to choose)."""
    names = [payload, f"2{payload}"] if "#" in payload or "*" in payload else [payload]
    return save({
        f"{name}.{kind}_l0": np.zeros(shape, np.float32)
        for name in names
        for kind, shape in (("weight_ih", (3, 2)), ("weight_hh", (3, 3)), ("bias_ih", (3,)), ("bias_hh", (3,)))
    })  # fmt: skip


FILES: dict[str, tuple[str, Callable[[str], bytes]]] = {  # by the first word of an upload's key; others get no file
    "network": (".safetensors", network)
}


# What is drawn, and as what


def strings(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """All texts of an element: (where in it, text)."""
    for field, value in message.ListFields():
        where = f"{path}.{field.name}" if path else field.name
        for one in value if field.is_repeated else [value]:
            if isinstance(one, Message):
                yield from strings(one, where)
            elif isinstance(one, str):
                yield where, one


PLAIN = ("text", "code", "metric")  # elements that Streamlit shows letter by letter
VALUES = ("value", "default", "id", "key", "raw_values", "set_value", "placeholder", "json", "page_script_hash", "url")


def faults(at: AppTest) -> list[str]:
    """Where the page would draw a payload as anything but text."""
    found = [f"an exception: {error.message}" for error in at.exception]
    for element in at._tree:
        proto, kind = getattr(element, "proto", None), type(element).__name__.lower()
        if not isinstance(proto, Message) or kind in PLAIN:
            continue
        for where, text in strings(proto):
            if MARK not in text or where.rsplit(".", 1)[-1] in VALUES:
                continue
            is_html = kind == "html" or getattr(proto, "allow_html", False)
            # In Markdown &lt; is a letter and * is none; after a backslash, it is one.
            drawn = text if is_html else re.sub(r"\\.", "", html.unescape(text))
            found += [f"{kind} {where}: {p}" for p in PAYLOADS if p in drawn and (not is_html or "<" in p)]
    return found


def filled(at: AppTest, turn: int) -> None:
    """Write payloads into all text fields, and hand in files of such names."""
    for n, field in enumerate((*at.text_input, *at.text_area)):
        field.set_value(PAYLOADS[(n + turn) % len(PAYLOADS)])
    for n, upload in enumerate(at.file_uploader):
        payload = PAYLOADS[(n + turn) % len(PAYLOADS)]
        suffix, made = FILES.get(str(upload.key).split("_")[0], (".npz", lambda _payload: b"no archive"))
        upload.set_value((payload.replace("/", "_") + suffix, made(payload), "text/html"))


@pytest.mark.parametrize("page", PAGES)
def test_no_word_of_the_address_is_drawn_as_anything_but_text(page):
    words = [word for word in WORDS if session.EXTRA.get(word) in (None, page)]
    for turn in range(TURNS):
        at = opened(page, **{word: PAYLOADS[(n + turn) % len(PAYLOADS)] for n, word in enumerate(words)})
        assert faults(at) == [], page


@pytest.mark.parametrize("state", STATES)
def test_no_text_field_and_no_name_of_a_file_is(state):
    at = STATES[state]()
    turns = range(len(PAYLOADS)) if _keys(at) else ()
    for turn in turns:
        if not _keys(at):  # what was pressed last has closed it
            at = STATES[state]()
        filled(at, turn)
        submit = [button for button in at.button if button.proto.is_form_submitter]
        (submit[0].click() if submit else at).run()
        assert faults(at) == [], (state, PAYLOADS[turn])
        if state in AGAIN:
            press(at, AGAIN[state])
            assert faults(at) == [], (state, PAYLOADS[turn])


def test_all_fields_are_reached():
    """The keys of all text fields and uploads that the pages' sources have, but for choices of a number."""
    assert {key for opens in STATES.values() for key in _keys(opens())} >= {
        "join_code", "room_text", "room_choice_0", "room_choice_3", "take_file_0", "network_file_0",
    }  # fmt: skip


def _keys(at: AppTest) -> set[str]:
    return {str(field.key) for field in (*at.text_input, *at.text_area, *at.file_uploader)}


def test_what_a_room_tells_is_escaped():
    """It goes over a socket, and the browser draws it as the server's HTML."""
    at = own_question()
    room = ROOMS.hosted(at.session_state["hosting"])
    assert room is not None
    assert room.run.settle(60)
    for payload in PAYLOADS:
        room.ask(guesses.own(payload, [payload, f"2 {payload}"]))
        for sees in (True, False):
            said = room.state(sees)["question"]
            assert said["text"] == html.escape(payload)
            assert said["choices"] == [html.escape(payload), html.escape(f"2 {payload}")]


def test_the_judge_sees_what_is_drawn():
    def page() -> None:
        import streamlit as st

        st.text("<b>hurt7</b> **hurt7**")
        st.code("**hurt7**")
        st.text_input("a", "**hurt7**")
        st.html("&lt;b&gt;hurt7&lt;/b&gt; **hurt7**")
        if st.session_state.get("bad"):
            st.html("<b>hurt7</b>")
            st.button("**hurt7**", help=":red[hurt7]")
            st.segmented_control("b", ["**hurt7**"])
            with st.container():
                st.markdown("`hurt7`")
            st.selectbox("**hurt7**", ["c"])

    at = AppTest.from_function(page).run()
    assert faults(at) == []
    at.session_state["bad"] = True
    found = [fault.partition(": ")[2] for fault in faults(at.run())]
    assert sorted(found) == sorted(["<b>hurt7</b>", "**hurt7**", "**hurt7**", "**hurt7**", ":red[hurt7]", "`hurt7`"])
