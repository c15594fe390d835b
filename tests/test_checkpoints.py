"""A run that is taken up somewhere else goes on as it would have gone on here."""

import io
from unittest.mock import patch

import numpy as np
import pytest

import engine
from app import session
from app.registry import Registry
from app.runs import Run
from tests.test_app import page, press, run_of, runs_end  # noqa: F401  (a fixture)
from tests.test_runs import SMALL, snapshot, step, until


def opened(registry: Registry, e: engine.Experiment) -> Run:
    run = watched(registry)
    run.configure(e)
    assert run.settle(60)
    return run


def watched(registry: Registry) -> Run:
    run = registry.open()
    run.watch(lambda: None)
    return run


def at(run: Run, n: int) -> None:
    run.step(n)
    until(lambda: step(run) == n and run.rests, 20)


@pytest.mark.parametrize(
    "e",
    [
        SMALL,
        SMALL.replace(cell="lstm", num_layers=2, dropout=0.2, optimizer="rmsprop"),
        SMALL.replace(train_size=9, batching="mini", batch_size=4, patience=50),
    ],
    ids=["rnn", "lstm", "a set"],
)
def test_it_goes_on_bit_by_bit(registry, e):
    here = opened(registry, e)
    at(here, 23)
    there = opened(registry, SMALL.replace(gain=2))
    there.start_from(here.checkpoint())
    assert there.settle(60)
    for run in (here, there):
        at(run, 41)
    mine, yours = snapshot(here), snapshot(there)
    for name in ("loss", "grad_norm", "clipped", "lr", "now", "start", "hidden"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(yours, name), err_msg=name)
    assert (mine.examples, mine.reached, mine.stopped) == (yours.examples, yours.reached, yours.stopped)
    assert yours.end == mine.end


def test_a_kept_step_of_the_past_goes_on_as_the_run_did(registry):
    here, there = opened(registry, SMALL), watched(registry)
    for n in (5, 12, 20):
        at(here, n)
    here.configure(SMALL.replace(lr=0.2, schedule="cosine", schedule_steps=30))
    assert here.settle(60)
    at(here, 40)
    for kept in (12, 20):
        there.start_from(here.checkpoint(kept))
        assert there.settle(60)
        assert step(there) == kept
    at(there, 40)
    np.testing.assert_array_equal(snapshot(here).loss, snapshot(there).loss)
    assert snapshot(there).changes == snapshot(here).changes


def test_reset_goes_back_to_step_0(registry):
    here, there = opened(registry, SMALL), watched(registry)
    at(here, 15)
    there.start_from(here.checkpoint())
    assert there.settle(60)
    there.reset()
    assert there.settle(60)
    assert snapshot(there).reached == 0
    np.testing.assert_array_equal(snapshot(there).loss, snapshot(here).loss[:1])
    assert there.head()["message"] == ""


def test_a_lost_run_is_taken_up_where_it_had_numbers(registry):
    e = engine.Experiment(nonlinearity="relu", gain=1.6, optimizer="sgd", clip="none", lr=1e-4)
    here, there = opened(registry, e), watched(registry)
    here.step(100)
    until(lambda: here.head()["run"]["diverged"], 20)
    found = here.checkpoint()
    assert found.step == here.head()["run"]["diverged"]["step"] - 1
    there.start_from(found)
    assert there.settle(60)
    there.step(100)
    until(lambda: there.head()["run"]["diverged"], 20)
    assert there.head()["run"]["diverged"] == here.head()["run"]["diverged"]


def test_more_steps_than_a_run_may_have_are_refused(registry, monkeypatch):
    here = opened(registry, SMALL)
    at(here, 15)
    monkeypatch.setattr("app.runs.LAST_STEP", 10)
    with pytest.raises(ValueError, match="step 15: allowed is a run of up to 10 steps"):
        registry.open().start_from(here.checkpoint())


def test_the_controls_say_what_is_taken_up():
    first = page(hidden_size="8", seq_length="10", gain="1.5")
    run = run_of(first)
    run.watch(lambda: None)
    at(run, 12)
    file = io.BytesIO()
    run.checkpoint().save(file)
    file.seek(0)
    _take_up(second := page(), engine.load_checkpoint(file))
    taken = run_of(second)
    assert (step(taken), snapshot(taken).experiment) == (12, run.checkpoint().experiment)
    assert second.session_state["gain"] == 1.5
    press(second, "undo")
    assert (second.session_state["gain"], step(run_of(second))) == (0.9, 0)


def _take_up(at, checkpoint: engine.Checkpoint) -> None:
    """As a button's callback would."""
    done: list[int] = []
    read = session.read_link

    def first() -> None:
        read()
        if not done:
            done.append(1)
            session.start_from(checkpoint)

    with patch.object(session, "read_link", first):
        at.run()
    assert not at.exception
