"""Lecture mode: what the address says, what is left on the page, and that nothing is lost by it."""

from typing import Any

import pytest

import engine
from app import lecture
from app.controls import BY_FIELD
from app.figures import FIGURES
from app.lecture import KEYED, MOST_CONTROLS, USUAL, Lecture
from app.registry import RUNS

from .test_app import messages, page, press, run_of, runs_end, shown

__all__ = ["runs_end"]  # a fixture that every test here uses


def drawn(at: Any) -> list[str]:
    """The controls on the page, wherever they stand."""
    kinds = ("button_group", "select_slider", "selectbox", "number_input")
    return [e.key for kind in kinds for e in at.get(kind) if e.key in BY_FIELD]


def query(at: Any) -> dict[str, str]:
    """The address; AppTest knows lists."""
    return {name: texts[0] if isinstance(texts, list) else texts for name, texts in at.query_params.items()}


@pytest.mark.parametrize("pictures", [USUAL, ("map",), tuple(reversed(FIGURES))])
@pytest.mark.parametrize("controls", [(), ("gain",), ("lr", "cell", "clip", "stop_loss")])
def test_what_is_written_is_read_again(pictures, controls):
    words = Lecture(pictures, controls).words()
    assert lecture.understand(words["show"], words.get("controls", "")) == (Lecture(pictures, controls), [])


def test_nonsense_is_told_and_left_out():
    found, said = lecture.understand("flow,<img src=x>,flow", "gain,hacked,lr,cell,clip,seed")
    assert found == Lecture(("flow",), ("gain", "lr", "cell", "clip"))
    assert len(said) == 3
    assert "“<img src=x>”" in said[0]
    assert "flow, task, state, loss, clip, map" in said[0]
    assert "hacked" in said[1]
    assert "seed" in said[2]
    assert f"{MOST_CONTROLS} controls" in said[2]


def test_a_link_opens_with_the_chosen_controls_alone():
    at = page(lecture="1", show="loss,flow", controls="clip,gain", gain="1.5", cell="gru")
    assert sorted(drawn(at)) == ["clip", "gain"]
    assert shown(at) == engine.Experiment(gain=1.5, cell="gru")
    assert at.session_state["lecture"] == Lecture(("loss", "flow"), ("clip", "gain"))
    assert query(at) == {"gain": "1.5", "cell": "gru", "lecture": "1", "show": "loss,flow", "controls": "clip,gain"}
    assert messages(at) == []
    assert not at.sidebar.children


def test_a_control_of_a_lecture_moves_the_same_experiment():
    at = page(lecture="1", controls="gain", cell="gru")
    next(e for e in at.get("select_slider") if e.key == "gain").set_value(1.2).run()
    assert shown(at) == engine.Experiment(gain=1.2, cell="gru")
    assert query(at)["gain"] == "1.2"
    assert query(at)["lecture"] == "1"


def test_a_wrong_link_is_told_once():
    at = page(lecture="1", show="flow,nothing")
    assert [said for said in messages(at) if "nothing" in said]
    assert query(at)["show"] == "flow"
    press(at, "dismiss")
    assert messages(at) == []
    at = page(lecture="yes")
    assert at.session_state["lecture"] is None
    assert "Allowed: 1." in messages(at)[0]


def test_nothing_is_lost_on_the_way_in_and_out():
    at = page(gain="1.5")
    run = run_of(at)
    press(at, "lecture_on")
    assert query(at) == {"gain": "1.5", "lecture": "1", "show": "flow,loss"}
    press(at, "lecture_off")
    assert query(at) == {"gain": "1.5"}
    assert run_of(at) is run
    assert at.session_state["gain"] == 1.5
    press(at, "lecture_on")
    assert RUNS.get(at.session_state["token"]) is run


def test_what_was_prepared_is_there_at_the_next_lecture():
    at = page(lecture="1", show="map,loss", controls="lr")
    press(at, "lecture_off")
    assert query(at) == {}
    press(at, "lecture_on")
    assert query(at) == {"lecture": "1", "show": "map,loss", "controls": "lr"}


def test_keys_name_presets_that_exist_and_a_reader_s_list_is_shorter():
    assert len(KEYED) == 9
    assert len(set(KEYED)) == 9
    assert set(KEYED) <= set(engine.PRESETS)
    mine, theirs = lecture.keys(), lecture.keys(readonly=True)
    assert [key for key, *_ in mine["presets"]] == list("123456789")
    assert theirs["presets"] == []
    assert [key for key, _ in theirs["rows"]] == ["f", "?"]


def test_every_picture_has_a_name_in_the_panel():
    from app.views.lecture import NAMES

    assert set(NAMES) == set(FIGURES)
