"""Closer looks: the weights that a run keeps for them, the work in the shared threads, every picture, and the page."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

import app.jobs
import app.kept
import app.probing
import engine
from app.figures import palette
from app.figures.asked import Asked
from app.figures.credit import reach
from app.figures.exponents import fixed
from app.figures.numbers import short
from app.figures.why import WHY, closer_figure
from app.frames import Encoder, decode
from app.kept import Kept, Weights
from app.looks import INSTRUMENTS, Look, probe, sequences
from app.pool import Pool
from app.registry import RUNS
from app.training import Training
from app.views.why import KEPT
from engine.data import batch
from engine.instruments.pieces import finish
from tests import cases
from tests.test_app import runs_end as runs_end  # a fixture

SMALL = {"hidden_size": 6, "batch_size": 3, "seq_length": 12}


def weights(step: int = 0, lost: int | None = None, **fields: Any) -> Weights:
    """The initial network of an experiment; `lost`: a layer whose weights are not numbers."""
    e = engine.Experiment(**(SMALL | fields))
    state = dict(engine.probe(e).state_dict)
    if lost is not None:
        state[f"weight_hh_l{lost}"] = np.full_like(state[f"weight_hh_l{lost}"], np.nan)
    return Weights(step, e, state)


def asked(name: str, w: Weights) -> Asked:
    e = w.experiment
    found = finish(INSTRUMENTS[name](e, probe(w), w))
    return Asked(e, w.step, sequences(e), found)


# --- the weights that a run keeps


def test_a_run_keeps_its_weights_as_it_keeps_its_moments():
    training = Training(engine.Experiment(**SMALL))
    trainer = engine.Trainer(training.experiment)
    for step in range(4):
        snapshot = training.snapshot(step, 0)
        assert snapshot.weights is not None
        assert snapshot.weights.step == step
        cases.assert_identical(snapshot.weights.state_dict, trainer.state_dict)
        training.advance(step + 1, lambda: False)
        training.record()
        trainer.advance(1)
    assert training.snapshot(1, 0).weights.step == 1


def test_a_lost_run_keeps_the_last_weights_that_were_numbers():
    training = Training(engine.Experiment(nonlinearity="identity", gain=2.0, lr=10.0, optimizer="sgd", clip="none"))
    while not training.ended and training.step < 2000:
        training.advance(2000, lambda: False)
    training.record()
    snapshot = training.snapshot(None, 0)
    assert snapshot.lost
    assert snapshot.weights.step == snapshot.last_finite
    assert all(np.isfinite(w).all() for w in snapshot.weights.state_dict.values())


def test_kept_weights_have_a_budget_of_their_own(monkeypatch):
    monkeypatch.setattr("app.training.WEIGHTS_BUDGET", 20_000)
    training = Training(engine.Experiment(**SMALL))
    for step in range(1, 200):
        training.advance(step, lambda: False)
        training.record()
    kept: Kept[Weights] = training.past.weights
    assert sum(w.size for w in kept.moments) <= 20_000
    assert (kept.first.step, kept.newest.step) == (0, 199)
    assert len(training.past.kept.moments) == 200


# --- the work


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(2)
    yield pool
    pool.close()


@pytest.mark.parametrize("name", list(INSTRUMENTS))
def test_a_look_finds_what_the_engine_says(name, pool):
    w = weights(cell="lstm", num_layers=2)
    look = Look(name, w).start(pool)
    assert look.done.wait(30)
    assert look.asked is not None
    e, t = w.experiment, engine.probe(w.experiment)
    if name == "credit":
        np.testing.assert_array_equal(
            look.asked.found.flow.log10_norms, engine.gradient_flow(e, everywhere=True).log10_norms
        )
        by_step = engine.weight_gradient_by_step(e, t)
        for kind, norms in look.asked.found.weights.log10_norms.items():
            np.testing.assert_array_equal(norms, by_step.log10_norms[kind])
    if name == "spectrum":
        np.testing.assert_array_equal(look.asked.found.log10_product, engine.jacobian_spectrum(t).log10_product)
    if name == "exponents":
        for found, inputs in zip(look.asked.found, ("task", "none"), strict=True):
            np.testing.assert_array_equal(found.exponents, engine.lyapunov(e, count=24, inputs=inputs).exponents)
    if name == "gates":
        np.testing.assert_array_equal(look.asked.found.time_constants, engine.gates(t).time_constants)


def test_the_batch_is_that_of_the_step():
    w = weights(step=7)
    np.testing.assert_array_equal(probe(w).inputs, batch(w.experiment, 7)[0])


@pytest.mark.parametrize("task", ["adding", "sine", "text"])
def test_of_a_large_batch_only_some_sequences_are_looked_at(task, monkeypatch):
    monkeypatch.setattr(app.probing, "NUMBERS", 12 * 6 * 2 + 1)
    w = weights(task=task)
    t = probe(w)
    assert sequences(w.experiment) == 2
    assert t.inputs.shape[1] == 2
    np.testing.assert_array_equal(t.inputs, batch(w.experiment, 0)[0][:, :2])


def test_work_is_cut_into_slices_and_can_be_cancelled(pool, monkeypatch):
    inside, outside = threading.Event(), threading.Event()

    def endless(e: Any, t: Any, w: Any) -> Any:
        while True:
            inside.set()
            outside.wait(0.01)
            yield 0.5

    monkeypatch.setitem(INSTRUMENTS, "gates", endless)
    look = Look("gates", weights()).start(pool)
    assert inside.wait(30)
    begin = time.monotonic()
    look.work_was_shared = Look("credit", weights()).start(pool).done.wait(30)  # others have their turn meanwhile
    assert look.share in (0.0, 0.5)
    assert not look.done.is_set()
    look.cancel()
    assert look.done.wait(5)
    assert look.asked is None
    assert time.monotonic() - begin < 30


def test_work_that_nobody_waits_for_rests_until_somebody_does(pool, monkeypatch):
    """A closed tab must not cost the others minutes of a thread."""
    slices = []

    def endless(e: Any, t: Any, w: Any) -> Any:
        while True:
            slices.append(time.sleep(0.01))
            yield 0.5

    def rests() -> bool:
        before = len(slices)
        time.sleep(0.2)
        return len(slices) == before

    def comes(true: Any) -> bool:
        return any(true() or time.sleep(0.05) for _ in range(200))

    monkeypatch.setitem(INSTRUMENTS, "gates", endless)
    monkeypatch.setattr(app.jobs, "GRACE", 0.5)
    look = Look("gates", weights()).start(pool)
    assert comes(lambda: slices)
    assert comes(rests)
    look.want()
    assert comes(lambda: not rests())
    assert comes(rests)
    assert not look.done.is_set()
    look.cancel()
    assert look.done.wait(30)


def test_what_fails_says_so_and_costs_no_thread(pool, monkeypatch):
    def broken(e: Any, t: Any, w: Any) -> Any:
        yield 0.0
        raise ValueError("on purpose")

    monkeypatch.setitem(INSTRUMENTS, "gates", broken)
    looks = [Look("gates", weights()).start(pool) for _ in range(3)]
    assert all(look.done.wait(30) and look.failed for look in looks)
    assert Look("credit", weights()).start(pool).done.wait(30)


def test_pieces_are_short():
    """A piece of the default's instruments is a few milliseconds: nobody else waits longer for a thread."""
    w = weights(hidden_size=32, batch_size=32, seq_length=100, task="sine")
    t, longest = probe(w), {}
    for name, instrument in INSTRUMENTS.items():
        pieces, took, begin = instrument(w.experiment, t, w), [], time.perf_counter()
        for _ in pieces:
            took.append(time.perf_counter() - begin)
            begin = time.perf_counter()
        longest[name] = np.median(took)
    assert max(longest.values()) < 0.025, longest


# --- the pictures

CASES = {
    "rnn": weights(),
    "lstm": weights(cell="lstm", num_layers=2),
    "gru": weights(cell="gru", task="text"),
    "gru_before": weights(cell="gru", reset_after=False, nonlinearity="relu"),
    "float32": weights(cell="lstm", dtype="float32"),
    "one unit": weights(hidden_size=1, batch_size=1),
    "one timestep": weights(seq_length=1, task="sine"),
    "truncated": weights(tbptt=4, task="sine"),
    "long": weights(seq_length=700, hidden_size=3, task="sine"),
    "dead": weights(nonlinearity="relu", gain=0.0),
    "exploding": weights(nonlinearity="identity", gain=50.0, init="orthogonal", seq_length=400),
    "lost": weights(lost=0),
    "lost above": weights(cell="lstm", num_layers=2, lost=1),
    "lost gru": weights(cell="gru", lost=0),
}
ASKED = {(case, name): asked(name, w) for case, w in CASES.items() for name in WHY}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", list(WHY))
@pytest.mark.parametrize("case", list(CASES))
def test_every_picture_is_valid(case, name, theme):
    for layer in range(CASES[case].experiment.num_layers):
        a = ASKED[case, name].of_layer(layer)
        drawn = {id: draw(a, palette(theme)) for id, draw in WHY[name].pictures(a).items()}
        for id, part in drawn.items():
            go.Figure({"data": part["data"], "layout": part["layout"]})
            closer_figure(name, id, a, theme)
            meta = part["layout"]["meta"]
            assert meta["question"].endswith("?") or ":" in meta["question"]
            for said in (meta["question"], meta["answer"], WHY[name].sentence(a)):
                assert "nan" not in said
                assert "inf" not in said.lower()
            for axis in ("xaxis", "yaxis"):
                low, high = part["layout"][axis]["range"]
                assert low < high
        _, figures = decode(Encoder().encode({}, drawn))
        assert set(figures) == set(drawn)


@pytest.mark.parametrize("case", CASES)
def test_names_of_powers_stand_on_their_lines_and_in_the_picture(case):
    """Where a line is last seen: all of them begin in one point."""
    drawn = WHY["spectrum"].pictures(ASKED[case, "spectrum"])["powers"](ASKED[case, "spectrum"], palette("light"))
    spans = [drawn["layout"][axis]["range"] for axis in ("xaxis", "yaxis")]
    for said in drawn["layout"]["meta"]["labels"]:
        assert all(low <= at <= high for at, (low, high) in zip(said["at"], spans, strict=True)), said
        line = drawn["data"][said["traces"][0]]
        if np.isfinite(line["y"]).all():
            assert np.interp(said["at"][0], line["x"], line["y"]) == pytest.approx(said["at"][1], abs=1e-4)


def test_a_mean_that_few_sequences_carry_is_told_from_the_typical_one():
    """ReLU: three of 32 sequences explode and carry the batch mean, the typical one neither grows nor dies."""
    w = weights(nonlinearity="relu", gain=1.6, hidden_size=32, batch_size=32, seq_length=100)
    assert engine.verdict(engine.probe(w.experiment).log10_grad_norms[0]).kind == "exploding"
    text = WHY["exponents"].sentence(asked("exponents", w))
    assert "neither grows nor dies" in text
    assert "a few sequences with large gradients may carry" in text


def test_exponents_are_said_as_factors_too():
    w = CASES["rnn"]
    found = asked("exponents", w).found
    first, alone = (f.exponents[0] for f in found)
    text = WHY["exponents"].sentence(asked("exponents", w))
    assert f"multiplies it by {short(np.exp(first))}" in text
    assert f"λ₁ = {fixed(first, 3)}" in text
    assert f"Without input it is multiplied by {short(np.exp(alone))}." in text


def test_a_lost_layer_is_a_gap():
    a = ASKED["lost above", "credit"].of_layer(1)
    z = WHY["credit"].pictures(a)["matrix"](a, palette("light"))["data"][0]["z"]
    assert np.isnan(z).all()
    assert "not a number" in WHY["credit"].sentence(a)


def test_sentences_say_what_is_measured():
    e = engine.Experiment(nonlinearity="identity", init="orthogonal", gain=0.9, hidden_size=8, seq_length=50)
    w = Weights(0, e, engine.probe(e).state_dict)
    shares = 0.9 ** np.arange(50)
    beyond = shares[11:].sum() / shares.sum()
    assert f"{100 * beyond:.0f} % comes from more than 10 steps" in WHY["credit"].sentence(asked("credit", w))
    assert "at most 0.9 (median), and all 50 by 10<sup>−2.3</sup>" in WHY["spectrum"].sentence(asked("spectrum", w))
    assert "falls to 1/e in 9.5 steps" in WHY["exponents"].sentence(asked("exponents", w))  # −1/log 0.9
    assert "no gates" in WHY["gates"].sentence(asked("gates", w))
    lstm = weights(cell="lstm", forget_bias=8.0, init="zeros", input_init="zeros")
    assert "is 1 on average" in WHY["gates"].sentence(asked("gates", lstm))
    assert "open (above 0.9) 100 % of the time" in WHY["gates"].sentence(asked("gates", lstm))


def test_where_the_loss_is_read_at_the_end_only_that_loss_is_shared_out():
    a = ASKED["rnn", "credit"]
    own = engine.gradient_flow(a.experiment).beyond()
    y = WHY["credit"].pictures(a)["by_lag"](a, palette("light"))["data"][0]["y"]
    with np.errstate(divide="ignore"):
        expected = np.where(own > 1e-12, np.log10(own), np.nan)
    np.testing.assert_allclose(y, expected, atol=1e-4)
    assert "read at t = 12 only" in WHY["credit"].sentence(a).replace("reads its loss", "read")


def test_reach():
    assert reach(np.array([0.9, 0.5, 0.01, 0.0]), 0.5) == 1
    assert reach(np.full(3, np.nan), 0.5) is None


def test_a_layer_that_is_not_there_is_the_last():
    assert dataclasses.replace(ASKED["lstm", "gates"]).of_layer(9).layer == 1


# --- the page


def why() -> None:
    from app import session
    from app.views import why

    session.turn_to("why")
    session.read_link()
    session.take()
    session.run()
    session.delivered()
    why.page()


def page(*opened: str, **query: str) -> AppTest:
    at = AppTest.from_function(why, default_timeout=30)
    at.query_params.update(query)
    for name in opened:
        at.session_state[f"why_{name}"] = True
    at.run()
    for _ in range(3):  # the run's first pass may still be at work
        if not any("being computed" in text for text in said(at)):
            break
        time.sleep(0.5)
        at.run()
    assert not at.exception
    return at


def said(at: AppTest) -> list[str]:
    return [element.proto.body for element in at.main if hasattr(getattr(element, "proto", None), "body")]


def test_nothing_is_computed_before_it_is_asked_for():
    at = page(**{name: str(value) for name, value in SMALL.items()})
    assert "looks" not in at.session_state or not at.session_state["looks"]
    assert [panel.label for panel in at.expander] == [row.question for row in WHY.values()]


@pytest.mark.parametrize("cell", list(engine.CELLS))
@pytest.mark.parametrize("name", list(WHY))
def test_an_open_panel_has_its_sentence(name, cell):
    at = page(name, cell=cell, **{field: str(value) for field, value in SMALL.items()})
    for _ in range(100):
        if any("class='answer'" in text for text in said(at)):
            break
        time.sleep(0.1)
        at.run()
    (look,) = at.session_state["looks"].values()
    assert look.name == name
    assert any(WHY[name].sentence(look.asked) in text for text in said(at))


def test_a_control_that_moves_asks_anew_and_old_work_ends():
    at = page("gates", cell="gru", **{field: str(value) for field, value in SMALL.items()})
    (first,) = at.session_state["looks"].values()
    at.session_state["gain"] = 1.5
    at.run()
    assert RUNS.get(at.session_state["token"]).settle(30)
    at.run()
    *_, last = at.session_state["looks"].values()
    assert last is not first
    assert last.weights.experiment.gain == 1.5
    assert first.done.wait(30)  # done, or cancelled


def test_what_a_session_keeps_is_bounded():
    at = page("gates", cell="gru", **{field: str(value) for field, value in SMALL.items()})
    for n in range(KEPT + 2):
        at.session_state["seed"] = n + 1
        at.run()
        assert RUNS.get(at.session_state["token"]).settle(30)
        at.run()
    assert len(at.session_state["looks"]) == KEPT


def test_all_questions_together_come_to_an_end():
    at = page(*WHY, cell="lstm", **{field: str(value) for field, value in SMALL.items()})
    for _ in range(20):
        at.run()
    looks = at.session_state["looks"]
    assert {key[0] for key in looks} == set(WHY)
    assert all(look.done.wait(30) and not look.cancelled for look in looks.values())


def test_work_that_takes_long_shows_how_far_it_is_and_can_be_cancelled(monkeypatch):
    def slow(e: Any, t: Any, w: Any) -> Any:
        while True:
            time.sleep(0.01)
            yield 0.25

    monkeypatch.setitem(INSTRUMENTS, "gates", slow)
    at = page("gates", **{field: str(value) for field, value in SMALL.items()})
    at.button(key="why_cancel_gates").click().run()
    (look,) = at.session_state["looks"].values()
    assert look.share == 0.25
    assert look.done.wait(30)
    at.run()
    assert any("Cancelled" in text for text in said(at))
    monkeypatch.undo()
    at.button(key="why_again_gates").click().run()
    assert not at.exception
    *_, again = at.session_state["looks"].values()
    assert again.done.wait(30)
    assert again.asked is not None
