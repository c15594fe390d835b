"""Undo and redo: laws of a history of choices."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.history import MOST, ONE_MOVE, Choice, History

START = Choice("", {"gain": 0, "lr": 0})


def gain(value: Any) -> Choice:
    return Choice("", {"gain": value, "lr": 0})


def filled(n: int) -> History:
    history = History(START)
    for value in range(1, n + 1):
        history.choose(gain(value), when=10.0 * value)
    return history


def test_undo_and_redo_walk_the_same_way():
    history = filled(60)
    for value in range(59, -1, -1):
        assert history.undo(history.count)
        assert history.now == gain(value)
    assert not history.undo(history.count)
    for value in range(1, 61):
        assert history.redo(history.count)
        assert history.now == gain(value)
    assert not history.redo(history.count)


def test_it_is_deep_but_not_endless():
    assert len(filled(MOST + 50).past) == MOST >= 50


def test_a_new_choice_ends_what_could_be_redone():
    history = filled(3)
    history.undo(history.count)
    history.choose(gain(9), when=99.0)
    assert not history.redo(history.count)
    assert history.undo(history.count)
    assert history.now == gain(2)


def test_a_click_that_arrives_twice_goes_back_once():
    history = filled(3)
    count = history.count
    assert history.undo(count)
    assert not history.undo(count)
    assert history.now == gain(2)


def test_a_click_on_a_button_drawn_before_the_newest_choice_counts():
    history = filled(3)
    drawn = history.count
    history.choose(gain(9), when=99.0)
    assert history.undo(drawn)
    assert history.now == gain(3)
    assert not history.undo(drawn), "the same click again"


def test_quick_moves_of_one_slider_are_one_choice():
    history = History(START)
    for k, when in enumerate([0.0, 0.5, 1.0, 1.0 + 2 * ONE_MOVE], 1):
        history.choose(gain(k), when, slider="gain")
    assert [choice.values["gain"] for choice in history.past] == [0, 3]
    history.choose(Choice("", {"gain": 4, "lr": 1}), 1.1 + 2 * ONE_MOVE, slider="lr")
    assert len(history.past) == 3, "another slider"
    history.undo(history.count)
    history.choose(gain(5), 1.2 + 2 * ONE_MOVE, slider="gain")
    assert history.past[-1] == gain(4), "undo stands between two moves"


def test_the_same_again_is_no_choice():
    history = filled(2)
    history.undo(history.count)
    history.choose(history.now, when=0.0)
    assert history.redo(history.count)


@given(st.lists(st.one_of(st.integers(0, 3), st.sampled_from(["undo", "redo"])), max_size=60))
def test_undo_undoes_whatever_came_before(actions):
    history = History(START)
    for k, action in enumerate(actions):
        if action == "undo":
            before = history.now
            if history.undo(history.count):
                assert history.redo(history.count)
                assert history.now == before
                history.undo(history.count)
        elif action == "redo":
            history.redo(history.count)
        else:
            before = history.now
            history.choose(gain(action), when=float(k * 10))
            if history.now != before:
                history.undo(history.count)
                assert history.now == before
                history.redo(history.count)
