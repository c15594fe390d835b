"""The pages of a room without a browser: opening, asking, joining, and a run of one's own (Streamlit's AppTest)."""

import html
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import engine
from app import rooms
from app.registry import RUNS
from app.rooms import ROOMS, Room
from app.runs import Run
from app.views import hosting
from app.views import room as watching
from tests.test_rooms import trained, until

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
    return at, room


def messages(at: AppTest) -> list[str]:
    return [text.value for text in at.text]


def student(code: str) -> AppTest:
    at = AppTest.from_file(EXPLORER, default_timeout=30)
    at.query_params["room"] = code
    at.switch_page("room")
    return at
