"""The run as a film on the Why page: many states at once, the landscape around one, and the step that is held."""

import gc
import time
import weakref
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

import app.jobs
import app.looks
import app.states
import engine
from app.figures import palette
from app.figures.asked import Asked
from app.figures.why import WHY, closer_figure
from app.frames import Encoder, decode
from app.kept import Weights, spread
from app.looks import Look, probe, sequences
from app.memory import give_back
from app.pool import Pool
from app.registry import RUNS
from app.states import KNOWN
from app.training import Training
from engine.data import batch
from engine.instruments.pieces import finish
from engine.instruments.plane import random_plane
from engine.parameters import load
from engine.weights import blank
from tests.test_app import runs_end as runs_end  # a fixture
from tests.test_why import SMALL, page, said, weights


@pytest.fixture
def pool():
    pool = Pool(2)
    yield pool
    pool.close()


def run_of(steps: int = 12, every: int = 3, **fields: Any) -> tuple[Weights, ...]:
    """Kept states of a short run."""
    e = engine.Experiment(**(SMALL | {"lr": 0.01} | fields))
    trainer, states = engine.Trainer(e), []
    for step in range(0, steps + 1, every):
        trainer.advance(step - trainer.step)
        states.append(Weights(step, e, trainer.state_dict))
    return tuple(states)


def scaled(*gains: float, **fields: Any) -> tuple[Weights, ...]:
    """States of one linear network whose W_hh is a rotation times these."""
    fields = {"nonlinearity": "identity", "init": "orthogonal", "seq_length": 20} | fields
    return tuple(
        Weights(10 * n, e, engine.probe(e).state_dict)
        for n, e in enumerate(engine.Experiment(**(SMALL | fields | {"gain": gain})) for gain in gains)
    )


def asked(name: str, w: Weights, **options: Any) -> Asked:
    found = finish(app.looks.INSTRUMENTS[name](w.experiment, probe(w), w, **options))
    return Asked(w.experiment, w.step, sequences(w.experiment), found)


# --- which states


@given(steps=st.sets(st.integers(0, 5000), min_size=1, max_size=200), most=st.integers(2, 30))
def test_states_are_spread_over_the_run(steps, most):
    things = [Weights(step, engine.Experiment(), {}) for step in sorted(steps)]
    found = spread(things, most)
    assert found[0] is things[0]
    assert found[-1] is things[-1]
    assert [w.step for w in found] == sorted({w.step for w in found})
    assert len(found) <= most + 1
    if len(things) <= 3:
        assert len(found) == len(things) or things[-1].step - things[0].step > most


def test_what_was_chosen_stays_chosen_while_the_run_goes_on():
    things = [Weights(step, engine.Experiment(), {}) for step in range(2000)]
    before: set[int] = set()
    for length in range(10, 2000, 10):
        now = {w.step for w in spread(things[:length], 24)}
        assert len(now) > 10 or length < 24
        kept = len(before & now)
        assert kept >= len(before) // 2 - 1, (length, before, now)
        before = now


# --- the landscape


def test_a_look_at_the_landscape_finds_what_the_engine_says(pool):
    states = run_of(cell="gru")
    w = states[1]
    options = {"path": states, "directions": "path", "extent": 0.3}
    look = Look("landscape", w, options).start(pool)
    assert look.done.wait(30)
    t = probe(w)
    expected = engine.landscape(
        w.experiment, w.state_dict, t.inputs, t.targets, directions="path", path=[s.state_dict for s in states],
        extent=0.3, size=31,
    )  # fmt: skip
    found = look.asked.found
    np.testing.assert_array_equal(found.landscape.loss, expected.loss)
    np.testing.assert_array_equal(found.steps, [0, 3, 6, 9, 12])
    assert not found.lone


def test_a_wide_network_is_asked_with_fewer_sequences():
    w = weights(batch_size=32, hidden_size=100, seq_length=500)
    a = asked("landscape", w, extent=0.1)
    assert (a.found.sequences, a.found.landscape.loss.shape) == (8, (21, 21))
    assert a.found.landscape.here == engine.probe(a.experiment, w.state_dict, *first(w, 8)).loss
    surface = WHY["landscape"].pictures(a)["surface"](a, palette("light"))
    assert "Loss of 8 sequences" in surface["layout"]["meta"]["answer"]


def first(w: Weights, few: int) -> tuple[Any, Any]:
    x, y = batch(w.experiment, w.step)
    return x[:, :few].copy(), y[:few]


def test_a_run_of_one_state_has_no_plane_of_its_own():
    (w, *_) = run_of()
    a = asked("landscape", w, path=(w,), directions="path")
    assert a.found.lone
    assert a.found.landscape.directions == "random"
    assert "train first" in WHY["landscape"].sentence(a)
    assert "off" not in WHY["landscape"].pictures(a)


def test_the_sentence_counts():
    states = run_of()
    a = asked("landscape", states[-1], path=states, seed=5)
    found, text = a.found.landscape, WHY["landscape"].sentence(a)
    lower = int((found.loss < engine.probe(a.experiment, states[-1].state_dict, *batch_of(a)).loss).sum())
    assert f"of 961 points around it {lower} have a lower one" in text
    inside = sum(np.linalg.norm(np.diff(found.path, axis=0) @ np.linalg.cholesky(gram(found, a)), axis=1))
    moved = sum(np.linalg.norm(vector(b) - vector(a_)) for a_, b in pairwise(states))
    assert f"{100 * inside / moved:.2g} %" in text


def batch_of(a: Asked) -> tuple[Any, Any]:
    return batch(a.experiment, a.step)


def vector(w: Weights) -> np.ndarray:
    return np.concatenate([value.ravel() for value in w.state_dict.values()])


def gram(found: engine.Landscape, a: Asked) -> np.ndarray:
    parameters = blank(a.experiment)
    load(parameters, run_of()[-1].state_dict)
    return random_plane(parameters, 5).gram


def test_losses_over_decades_have_a_log_colour_and_others_too_where_they_differ_much():
    for gain, extent, decades in ((0.9, 0.01, False), (3.0, 3.0, True)):
        w = weights(nonlinearity="identity", gain=gain, seq_length=40)
        a = asked("landscape", w, extent=extent)
        part = WHY["landscape"].pictures(a)["surface"](a, palette("light"))
        z, loss = part["data"][0]["z"], a.found.landscape.loss
        if decades:
            np.testing.assert_allclose(z, np.log10(loss), rtol=1e-5)
        else:
            np.testing.assert_allclose(z, loss, rtol=1e-5)


def test_what_is_not_finite_is_drawn_as_such():
    w = weights(nonlinearity="identity", gain=3.0, seq_length=30, dtype="float32")
    a = asked("landscape", w, extent=3.0)
    finite = np.isfinite(a.found.landscape.loss)
    assert 0 < finite.sum() < finite.size
    values, lost = WHY["landscape"].pictures(a)["surface"](a, palette("dark"))["data"][:2]
    np.testing.assert_array_equal(np.isnan(values["z"]), ~finite)
    np.testing.assert_array_equal(np.isnan(lost["z"]), finite)
    assert f"At {(~finite).sum()} of them it is not finite" in WHY["landscape"].sentence(a)


def test_a_state_off_the_plane_is_smaller_and_fainter_and_says_how_far():
    states = run_of(40, 4, cell="lstm")
    a = asked("landscape", states[5], path=states)
    (marks,) = (t for t in WHY["landscape"].pictures(a)["surface"](a, palette("light"))["data"] if "text" in t)
    order = np.argsort(a.found.landscape.off_plane)
    for look in ("size", "opacity"):
        assert (np.diff(marks["marker"][look][order]) <= 0).all()
        assert np.ptp(marks["marker"][look]) > 0
    assert marks["text"][0].startswith("step 0: loss")
    assert "off this plane" in marks["text"][0]


# --- over training


@pytest.mark.parametrize("fields", [{}, {"cell": "lstm", "num_layers": 2}, {"cell": "gru", "reset_after": False}])
def test_every_state_is_what_the_engine_says(fields):
    states = run_of(6, 3, **fields)
    found = asked("over_training", states[1], path=states).found
    assert [state.step for state in found.states] == [0, 3, 6]
    for w, state in zip(states, found.states, strict=True):
        exponent = engine.lyapunov(w.experiment, 200, 1, state_dict=w.state_dict)
        assert (state.lyapunov, state.error) == (exponent.exponents[0], exponent.standard_errors[0])
        np.testing.assert_equal(state.radii, engine.radii(w.experiment.kind, w.state_dict))
        t = probe(w, 8)
        gates = engine.gates(t)
        np.testing.assert_array_equal(state.constants, gates.time_constants)
        if gates.keep:
            gate = t.gates[gates.keep]
            np.testing.assert_allclose(state.open, (gate > 0.9).mean(axis=(1, 2, 3)))
            np.testing.assert_allclose(state.closed, (gate < 0.1).mean(axis=(1, 2, 3)))
            np.testing.assert_allclose(state.keep.sum(axis=1), 1.0)
        assert len(np.unique(state.hidden)) > w.experiment.hidden_size


def test_known_states_are_not_computed_again(monkeypatch):
    states, computed = run_of(12, 3), []
    original = app.states.lyapunov.in_pieces
    monkeypatch.setattr(app.states.lyapunov, "in_pieces", lambda e, *a, **k: computed.append(1) or original(e, *a, **k))
    asked("over_training", states[2], path=states[:3])
    assert len(computed) == 3
    asked("over_training", states[4], path=states)
    assert len(computed) == 5
    before = len(KNOWN)
    del states
    gc.collect()
    assert len(KNOWN) <= before - 5


def test_the_picture_fills_in_as_it_goes(monkeypatch):
    states = run_of(12, 3)
    w = states[-1]
    shown = list(app.looks.INSTRUMENTS["over_training"](w.experiment, probe(w), w, path=states))
    assert [len(found.states) for _, found in (x for x in shown if isinstance(x, tuple))] == [1, 2, 3, 4, 5]
    states = run_of(12, 3)  # not known yet
    look, sizes = Look("over_training", states[-1], {"path": states}), []
    monkeypatch.setattr(app.looks, "SLICE", 1e-3)
    while not look.done.is_set():
        look.work()
        if look.asked is not None:
            sizes.append(len(look.asked.found.states))
            WHY["over_training"].sentence(look.asked)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == 5


def test_closed_forms():
    """A rotation times g: λ₁ = log g, ρ = σ = g. LSTM of zeros: τ = −1/log σ(b)."""
    states = scaled(0.5, 0.9, 1.1)
    a = asked("over_training", states[-1], path=states)
    for state, gain in zip(a.found.states, (0.5, 0.9, 1.1), strict=True):
        assert state.lyapunov == pytest.approx(np.log(gain), abs=1e-9)
        assert state.radii[0].rho == pytest.approx(gain)
        assert state.radii[0].sigma == pytest.approx(gain)
    drawn = WHY["over_training"].pictures(a)
    np.testing.assert_allclose(drawn["edge"](a, palette("light"))["data"][0]["y"], np.log([0.5, 0.9, 1.1]), rtol=1e-5)
    for trace in drawn["matrix"](a, palette("light"))["data"]:
        np.testing.assert_allclose(trace["y"], [0.5, 0.9, 1.1], rtol=1e-6)
    w = weights(cell="lstm", init="zeros", input_init="zeros", forget_bias=3.0)
    a = asked("over_training", w)
    median = WHY["over_training"].pictures(a)["constants"](a, palette("light"))["data"][2]["y"]
    np.testing.assert_allclose(10**median, -1 / np.log(1 / (1 + np.exp(-3))), rtol=1e-5)


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((0.5, 0.9), "towards the edge: λ₁ was −0.693 at step 0 and is −0.105 ± 0.000 at step 10"),
        ((0.9, 0.5), "away from the edge"),
        ((0.9, 1.2), "across the edge"),
        ((0.9, 0.9), "No nearer to the edge and no farther"),
        ((0.5, 1.0), "That is the edge"),
        ((0.9,), "Train the network"),
    ],
)
def test_the_sentence_says_which_way_it_went(gains, said):
    states = scaled(*gains)
    assert said in WHY["over_training"].sentence(asked("over_training", states[-1], path=states))


LOST = weights(lost=0)
PATHS = {
    "rnn": run_of(),
    "lstm": run_of(cell="lstm", num_layers=2),
    "gru": run_of(cell="gru", task="text"),
    "gru_before": run_of(cell="gru", reset_after=False, nonlinearity="relu"),
    "float32": run_of(cell="lstm", dtype="float32"),
    "one unit": run_of(hidden_size=1, batch_size=1),
    "one state": run_of(0),
    "two states": run_of(3, 3),
    "dead": run_of(nonlinearity="relu", gain=0.0, input_init="zeros"),
    "exploding": run_of(nonlinearity="identity", gain=50.0, init="orthogonal", seq_length=400, clip="none"),
    "lost": (*run_of(), Weights(20, LOST.experiment, LOST.state_dict)),
}
OPTIONS = {"over_training": ({},), "landscape": ({}, {"directions": "path"}, {"extent": 3.0, "seed": 2})}


@pytest.mark.parametrize("name", list(OPTIONS))
@pytest.mark.parametrize("case", list(PATHS))
def test_every_picture_is_valid(case, name):
    path = PATHS[case]
    for options in OPTIONS[name]:
        for w in {path[0].step: path[0], path[-1].step: path[-1]}.values():
            whole = asked(name, w, path=path, **options)
            for layer in range(w.experiment.num_layers):
                a = whole.of_layer(layer)
                drawn = {id: draw(a, palette("dark")) for id, draw in WHY[name].pictures(a).items()}
                for id, part in drawn.items():
                    go.Figure({"data": part["data"], "layout": part["layout"]})
                    closer_figure(name, id, a, "light")
                    meta = part["layout"]["meta"]
                    for text in (meta["question"], meta["answer"], WHY[name].sentence(a)):
                        assert "nan" not in text
                        assert "inf" not in text.lower()
                    for axis in ("xaxis", "yaxis"):
                        low, high = part["layout"][axis]["range"]
                        assert low < high
                assert set(decode(Encoder().encode({}, drawn))[1]) == set(drawn)


# --- the step that is held


def trained_page(*opened: str) -> AppTest:
    """A page of a run that is at step 20."""
    at = page(*opened, **{name: str(value) for name, value in SMALL.items()})
    RUNS.get(at.session_state["token"]).step(20)
    wait(lambda: RUNS.get(at.session_state["token"]).head()["run"]["reached"] == 20, at)
    return at


def wait(true: Any, at: AppTest) -> None:
    for _ in range(200):
        RUNS.get(at.session_state["token"]).look_on()  # as a page that is open does
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def step_of(at: AppTest) -> int:
    return next(int("".join(c for c in text if c.isdigit())) for text in said(at) if "at step" in text)


def held(at: AppTest) -> Any:
    return RUNS.get(at.session_state["token"]).held


def test_the_step_holds_until_the_newest_is_asked_for():
    at = trained_page()
    at.run()
    assert step_of(at) == 0
    assert at.button(key="why_newest").label == "Show the newest, step 20"
    at.button(key="why_newest").click().run()
    at.run()
    assert step_of(at) == 20
    assert held(at).path[0].step == 0
    assert held(at).path[-1].step == 20


def test_a_run_that_was_just_paused_is_held_where_it_stopped():
    at = page(**{name: str(value) for name, value in SMALL.items()})
    run = RUNS.get(at.session_state["token"])
    run.speed(0)
    for _ in range(5):
        run.play()
        before = run._training.step
        wait(lambda before=before: run._training.step > before + 20, at)
        run.pause()
        run.held = None
        at.run()
        assert step_of(at) == run._training.step == run.picture()[1].step


def test_the_slider_scrubs_the_run_itself():
    at = trained_page()
    at.run()
    run = RUNS.get(at.session_state["token"])
    steps = run.past().steps()
    assert [int(option.removeprefix("step ")) for option in at.select_slider(key="why_step").options] == steps
    chosen = steps[1]
    at.select_slider(key="why_step").set_value(chosen).run()
    assert step_of(at) == chosen
    assert run.picture()[1].step == chosen  # what Explore shows
    assert run.picture()[1].weights.state_dict is run.held.weights.state_dict
    at.select_slider(key="why_step").set_value(20).run()
    assert run.head()["run"]["following"]


def test_play_and_pause():
    at = trained_page()
    at.run()
    run = RUNS.get(at.session_state["token"])
    assert at.button(key="why_play").label == "Train"
    at.button(key="why_play").click().run()
    assert run.head()["run"]["playing"]
    wait(lambda: run.head()["run"]["reached"] > 25, at)
    at.run()
    assert step_of(at) == 0  # it holds
    assert at.button(key="why_play").label == "Pause"
    assert "In training" in at.button(key="why_newest").label
    at.button(key="why_play").click().run()
    assert not run.head()["run"]["playing"]
    assert not at.exception


def test_a_control_that_moves_lets_go_of_the_step():
    at = trained_page()
    at.run()
    at.session_state["gain"] = 1.5
    at.run()
    assert RUNS.get(at.session_state["token"]).settle(30)
    at.run()
    assert held(at).weights.experiment.gain == 1.5


def test_before_training_there_is_nothing_to_scrub():
    at = page(**{name: str(value) for name, value in SMALL.items()})
    assert any("Train it" in text for text in said(at))
    assert len(at.select_slider) == 0 or "why_step" not in {s.key for s in at.select_slider}


def test_steps_that_come_back_have_pictures_and_weights(monkeypatch):
    monkeypatch.setattr("app.training.WEIGHTS_BUDGET", 20_000)
    training = Training(engine.Experiment(**SMALL))
    for step in range(1, 100):
        training.advance(step, lambda: False)
        training.record()
    steps = training.past.steps()
    assert steps[0] == 0
    assert steps[-1] == 99
    assert len(steps) > 5
    for step in steps:
        snapshot = training.snapshot(step, 0)
        assert snapshot.step == snapshot.weights.step == step


@pytest.mark.parametrize("name", ["landscape", "over_training"])
def test_the_panels_options_ask_anew(name):
    at = page(name, **{field: str(value) for field, value in SMALL.items()})
    (first,) = at.session_state["looks"].values()
    assert [w.step for w in first.options["path"]] == [w.step for w in held(at).path]
    if name == "landscape":
        at.button(key="why_other").click().run()
        *_, second = at.session_state["looks"].values()
        assert second is not first
        assert second.options["seed"] == 1
        at.segmented_control(key="why_plane").set_value("path").run()
        assert "why_other" not in {button.key for button in at.button}
    assert not at.exception


# --- memory


def test_a_run_that_is_freed_holds_nothing(registry, monkeypatch):
    run = registry.open()
    run.configure(engine.Experiment(**SMALL))
    assert run.settle(60)
    trainer = weakref.ref(run._training._trainer)
    look = Look("credit", run.picture()[1].weights).start(registry.pool)
    run.looks["credit",], run.held = look, look.weights
    assert look.done.wait(30)
    monkeypatch.setattr("app.watching.UNUSED", -1.0)
    registry.sweep()
    assert trainer() is None  # though the run itself is still held here, as a page that was closed holds it
    assert not run.looks
    assert run.held is None
    assert run.picture()[1] is None
    run.configure(engine.Experiment(**SMALL, seed=1))
    run.play()
    time.sleep(0.2)
    assert run._training is None  # and nothing begins any more


def test_circles_are_given_back():
    class Circle:
        def __init__(self) -> None:
            self.me = self

    gc.disable()
    try:
        found = weakref.ref(Circle())
        assert found() is not None
        give_back()
        assert found() is None
    finally:
        gc.enable()


def test_work_that_nobody_comes_back_to_lets_go_of_its_pass(pool, monkeypatch):
    def endless(e: Any, t: Any, w: Any) -> Any:
        while True:
            time.sleep(0.005)
            yield 0.5

    monkeypatch.setitem(app.looks.INSTRUMENTS, "gates", endless)
    monkeypatch.setattr(app.jobs, "GRACE", 0.1)
    monkeypatch.setattr(app.jobs, "FORGOTTEN", 0.3)
    look = Look("gates", weights()).start(pool)
    comes(lambda: look._trace is not None)
    trace = weakref.ref(look._trace)
    comes(lambda: trace() is None)
    assert not look.done.is_set()
    look.want()
    comes(lambda: look.share == 0.5)
    look.cancel()
    assert look.done.wait(30)


def comes(true: Any) -> None:
    assert any(true() or time.sleep(0.02) for _ in range(1000))


def test_a_closed_tab_keeps_no_results(monkeypatch):
    at = page("gates", cell="gru", **{field: str(value) for field, value in SMALL.items()})
    (look,) = at.session_state["looks"].values()
    assert look.done.wait(30)
    found = weakref.ref(look.asked)
    del look
    monkeypatch.setattr("app.watching.UNUSED", -1.0)
    RUNS.sweep()
    assert found() is None
    assert not at.session_state["looks"]
    monkeypatch.undo()
    at.run()  # somebody comes back to it after all
    assert not at.exception
    comes(lambda: at.run() and len(at.session_state["looks"]) == 1)
