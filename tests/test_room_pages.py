"""The pages of a room without a browser: opening, asking, joining, and a run of one's own (Streamlit's AppTest)."""

import html
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app import rooms
from app.codes import spaced
from app.figures.words import player_words
from app.limits import LIMITS
from app.registry import RUNS
from app.room import Room
from app.rooms import ROOMS
from app.runs import Run
from app.views import hosting
from app.views import room as watching
from app.views.room_words import student_words
from engine import Experiment
from tests.test_rooms import trained

EXPLORER = str(pytest.importorskip("app").__path__[0]) + "/explorer.py"
SMALL = {"hidden_size": "4", "seq_length": "10", "batch_size": "2"}


@pytest.fixture(autouse=True)
def all_ends() -> Iterator[None]:
    yield
    ROOMS.clear()
    for run in RUNS.clear():
        run.close()


def page(**query: str) -> AppTest:
    at = AppTest.from_file(EXPLORER, default_timeout=30)
    at.query_params.update(query)
    return checked(at.run())


def checked(at: AppTest) -> AppTest:
    assert not at.exception
    return at


def press(at: AppTest, key: str) -> AppTest:
    return checked(at.button(key=key).click().run())


def hosted() -> tuple[AppTest, Room]:
    at = press(page(**SMALL), "open_room")
    room = ROOMS.hosted(at.session_state["hosting"])
    assert room is not None
    assert room.run.settle(60)
    return at, room


def messages(at: AppTest) -> list[str]:
    return [text.value for text in at.text]


def student(code: str) -> AppTest:
    at = AppTest.from_file(EXPLORER, default_timeout=30)
    at.query_params["room"] = code
    at._page_hash = calc_hash("room")  # AppTest.switch_page knows pages that are files
    return checked(at.run())


def say(monkeypatch: pytest.MonkeyPatch, module: Any, key: str, trigger: str) -> dict[str, Any]:
    """AppTest has no browser: a button in the component's place, which says what is in the dict that is returned."""
    said: dict[str, Any] = {}

    def component(key: str, **more: Any) -> None:
        st.session_state[key] = SimpleNamespace(**{trigger: said})
        st.button("say", key=f"say_{key}", on_click=more[f"on_{trigger}_change"])

    monkeypatch.setattr(module, "_component", component)
    return said


def test_explore_opens_a_room_once():
    at, room = hosted()
    assert room.run.token == at.session_state["token"]
    shown = " ".join(element.proto.body for element in at.get("html"))
    assert spaced(room.code) in shown
    assert f"room={room.code}" in at.code[0].value
    assert not [button for button in at.button if button.key == "open_room"]
    assert ROOMS.open(room.run) is room
    checked(at.run())
    assert not at.code, "the dialog was shown once"


def test_a_full_server_says_so(monkeypatch):
    monkeypatch.setattr(rooms, "MOST_ROOMS", 0)
    at = press(page(**SMALL), "open_room")
    assert any("0 open rooms" in message for message in messages(at))
    assert at.button(key="open_room")


def test_the_lecturer_asks_and_lets_the_run_answer(monkeypatch):
    said = say(monkeypatch, hosting, "host", "act")
    at, room = hosted()
    at.session_state["room_menu"] = True
    checked(at.run())
    press(at, "room_ask")
    assert room.question is not None, messages(at)
    assert (room.question.kind, room.phase, room.hidden) == ("fate", "open", True)
    said |= {"do": "answer", "number": room.number - 1}
    press(at, "say_host")
    assert room.phase == "open", "a button of another question"
    said |= {"number": room.number}
    press(at, "say_host")
    assert (room.phase, room.hidden) == ("answered", False)
    assert room.answered is not None
    assert room.answered.right is not None
    press(at, "say_host")
    said |= {"do": "back"}
    press(at, "say_host")
    assert room.question is None


def test_an_own_question_is_checked_and_stays_text(monkeypatch):
    said = say(monkeypatch, hosting, "host", "act")
    at, room = hosted()
    at.session_state["room_menu"] = True
    at.session_state["room_kind"] = "own"
    checked(at.run())
    press(at, "room_ask")
    assert room.question is None
    assert any("1 to 200 characters" in message for message in messages(at))
    at.text_input(key="room_text").set_value("<script>alert(1)</script>")
    at.text_input(key="room_choice_0").set_value("<b>a</b>")
    at.text_input(key="room_choice_1").set_value("b")
    press(at, "room_ask")
    assert room.question is not None
    assert str(room.question.text) == html.escape("<script>alert(1)</script>")
    said |= {"do": "end", "number": room.number}
    press(at, "say_host")
    said |= {"do": "mark", "choice": 1}
    press(at, "say_host")
    assert room.answered is not None
    assert room.answered.right == 1


def test_hiding_pointing_and_closing():
    at, room = hosted()
    at.session_state["room_menu"] = True
    checked(at.run())
    checked(at.toggle(key="room_hide").set_value(True).run())
    checked(at.toggle(key="room_points").set_value(False).run())
    assert (room.hidden, room.points) == (True, False)
    press(at, "room_close")
    assert room.closed
    assert at.button(key="open_room")


def test_a_page_that_is_loaded_again_takes_the_room_up(monkeypatch):
    _, room = hosted()
    trained(room.run, 5)
    other = hosted()[1]
    cookies = {hosting.COOKIE + each.code: each.host for each in (room, other)}
    monkeypatch.setattr(type(st.context), "cookies", cookies)
    assert other.enter(None)  # in another tab, which has it open
    at = page(hidden_size="8")
    assert not offered(at, other), "nobody is led out of a lecture that goes on"
    own = at.session_state["token"]
    press(at, f"take_up_{room.code}")
    assert at.session_state["token"] == room.run.token != own
    assert at.session_state["hidden_size"] == 4
    assert room.run.head()["run"]["reached"] == 5, "it goes on where it was"
    assert room.enter(None)
    assert offered(page(**SMALL), room), "a page that was cut off is open for the server: a second one may take it up"
    monkeypatch.setattr(type(st.context), "cookies", {hosting.COOKIE + room.code: room.ticket()})
    assert not offered(page(**SMALL), room), "a watcher's token is none of a lecturer"


def offered(at: AppTest, room: Room) -> bool:
    return any(button.key == f"take_up_{room.code}" for button in at.button)


@pytest.mark.parametrize("written", ["", "nonsense", "AAAAAA", "<img src=x onerror=alert(1)>", "ＡＢＣＤＥＦ"])
def test_a_code_that_is_none(written):
    at = student(written)
    assert at.text_input(key="join_code")
    if written:
        assert any(written[:20] in message and "letters and digits" in message for message in messages(at))
    assert "onerror" not in " ".join(element.proto.body for element in at.get("html"))
    assert len(RUNS.clear()) == 0, "who looks for a room needs no run"


def test_a_student_joins_by_code_without_a_run_of_their_own(monkeypatch):
    say(monkeypatch, watching, "watch", "take")
    _, room = hosted()
    at = student("")
    at.text_input(key="join_code").set_value(f" {room.code[:3].lower()} {room.code[3:].lower()} ")
    checked(at.button[0].click().run())
    assert at.session_state["watched"] is room
    assert "token" not in at.session_state
    assert at.query_params["room"] == f"{room.code[:3].lower()} {room.code[3:].lower()}"


@pytest.mark.parametrize("fields", [{}, {"optimizer": "adam", "cell": "gru", "dropout": "0.3", "num_layers": "2"}])
def test_take_it_from_here_goes_on_bit_by_bit(monkeypatch, fields):
    said = say(monkeypatch, watching, "watch", "take")
    lecturer = page(**SMALL, **fields)
    run: Run | None = RUNS.get(lecturer.session_state["token"])
    assert run is not None
    room = ROOMS.open(run)
    trained(run, 7)
    at = student(room.code)
    said |= {"step": 7}
    press(at, "say_watch")
    own = RUNS.get(at.session_state["token"])
    assert own is not None
    assert own is not run
    assert own.settle(30)
    assert at.session_state["page"] == "explore"
    assert any(f"training step 7 of room {spaced(room.code)}" in message for message in messages(at))
    assert at.button(key="room_back")
    assert own.head()["run"]["reached"] == 7
    for each in (run, own):
        trained(each, 20)
    mine, theirs = own.picture()[1], run.picture()[1]
    assert mine is not None
    assert theirs is not None
    np.testing.assert_array_equal(mine.loss, theirs.loss)
    assert mine.experiment == theirs.experiment
    assert room.run is run


@pytest.mark.parametrize(("runs", "why"), [(1, "1 runs are open on this server"), (9, "hidden_size")])
def test_what_cannot_be_taken_is_said(monkeypatch, runs, why):
    said = say(monkeypatch, watching, "watch", "take")
    _, room = hosted()
    at = student(room.code)
    said |= {"step": 0}
    monkeypatch.setattr("app.registry.LIMITS", replace(LIMITS, runs=runs))
    if runs > 1:
        monkeypatch.setattr("app.link.experiment", refuse)
    press(at, "say_watch")
    assert at.session_state["page"] == "room"
    assert any(why in message for message in messages(at))


def refuse(values: Any) -> Any:
    if values["hidden_size"] == 4:
        raise ValueError("hidden_size: not on this server")
    return Experiment(**values)


def test_nothing_is_taken_while_the_pictures_are_hidden(monkeypatch):
    said = say(monkeypatch, watching, "watch", "take")
    _, room = hosted()
    at = student(room.code)
    said |= {"step": 0}
    room.hide(True)
    press(at, "say_watch")
    assert "token" not in at.session_state
    assert any("nothing to take" in message.lower() for message in messages(at))


def test_a_room_that_was_closed_keeps_its_page(monkeypatch):
    said = say(monkeypatch, watching, "watch", "take")
    _, room = hosted()
    at = student(room.code)
    ROOMS.close(room)
    checked(at.run())
    said |= {"step": 0}
    press(at, "say_watch")
    assert "token" not in at.session_state, "what the lecturer does afterwards is nobody's"
    assert any("closed" in message for message in messages(at))
    assert any("There is no open room" in message for message in messages(student(room.code)))


def test_a_rooms_words_replace_only_the_states_of_a_stage():
    """The words of both go to the browser in one dict."""
    ours, theirs = student_words(), player_words()
    changed = {name for name, word in theirs.items() if ours[name] != word}
    assert changed == {"connecting_what", "connecting_why", "offline_why", "ended", "ended_what", "ended_why"}
