"""Lessons: every number they say is the engine's, every check can be met and is not given away; and the page."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import engine
from app import learning, link, settings
from app.controls import BY_FIELD
from app.figures import FIGURES
from app.lessons import LESSONS, Tex
from app.lessons.readings import learns
from app.snapshot import Snapshot
from app.training import Training
from tests.test_app import page as any_page
from tests.test_app import press, run_of, runs_end  # noqa: F401  (a fixture)

PLAYED = 120  # training steps that the start of a lesson is played for without meeting its check
SLOW = {"copy", "clip"}  # whose solutions train for seconds

# --- every row


@pytest.mark.parametrize("name", LESSONS)
def test_row(name):
    lesson = LESSONS[name]
    assert re.fullmatch("[a-z]+", name)
    assert 2 <= len(lesson.guess.choices) <= 4
    assert 0 <= lesson.guess.right < len(lesson.guess.choices)
    assert lesson.question.endswith("?")
    assert lesson.guess.question.endswith("?")
    assert set(lesson.pictures) <= set(FIGURES)
    assert set(lesson.controls) <= set(BY_FIELD)
    assert set(lesson.solution) <= set(lesson.controls or BY_FIELD)
    assert any(isinstance(part, Tex) for part in lesson.why)
    assert lesson.source
    values = lesson.experiment.model_dump()
    chosen = link.experiment(values).model_dump()
    assert not settings.differing(values, chosen), "a visitor can choose all of it"


@pytest.mark.parametrize("name", LESSONS)
def test_is_short(name):
    """About five minutes, and no wall of text."""
    lesson = LESSONS[name]
    words = sum(len(text.split()) for text in lesson.texts)
    assert 150 < words < 420
    assert max(len(text) for text in lesson.texts) < 330
    assert len(lesson.tries) <= 4
    assert len(lesson.why) <= 7


# --- the check of each lesson


@cache
def trained(name: str, solved: bool, steps: int) -> Training:
    lesson = LESSONS[name]
    e = lesson.experiment.replace(**(lesson.solution if solved else {}))
    training = Training(e)
    played(training, steps)
    return training


def played(training: Training, steps: int) -> Snapshot:
    """After so many steps, or where it has ended."""
    while training.step < steps and not training.ended:
        training.advance(steps, lambda: False)
    training.record(rests=True)
    return training.snapshot(None, 0)


def reading(name: str, solved: bool, steps: int) -> Any:
    return LESSONS[name].reading(trained(name, solved, steps).snapshot(None, 0))


@pytest.mark.parametrize("name", LESSONS)
def test_the_start_does_not_meet_the_check(name):
    assert not reading(name, False, 0).met
    assert not reading(name, False, PLAYED).met, "playing alone is not enough"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in LESSONS]
)
def test_the_hint_meets_the_check(name):
    found = reading(name, True, LESSONS[name].solution_steps)
    assert found.met, found.said
    assert found.said.endswith(".")


def test_a_check_says_the_present_number():
    assert reading("vanish", False, 0).said == "Now it halves every 3.8 steps back."
    said = reading("gru", False, 0).said
    assert "0.0833" in said
    assert "10<sup>−12.8</sup>" in said


def test_a_check_survives_a_lost_run_and_an_exact_zero():
    lost = Training(
        engine.Experiment(nonlinearity="relu", gain=1.6, optimizer="sgd", lr=1.0, clip="none", seq_length=60)
    )
    lost.advance(40, lambda: False)
    lost.record(rests=True)
    nothing = Training(engine.Experiment(init="zeros", seq_length=20))
    for training in (lost, nothing):
        for lesson in LESSONS.values():
            found = lesson.reading(training.snapshot(None, 0))
            assert not found.met
            assert found.said


def test_a_goal_that_was_met_in_time_stays_met_and_one_that_was_late_does_not_count():
    lesson, e = LESSONS["lstm"], LESSONS["lstm"].experiment.replace(forget_bias=1.0)
    assert lesson.reading(played(Training(e), 420)).met
    late = Training(LESSONS["optimizer"].experiment.replace(optimizer="adam", lr=0.001, seq_length=10))
    assert not learns(0.5, steps=20)(played(late, 150)).met
    assert learns(0.5, steps=150)(played(late, 150)).met
    assert "Step 20 has passed" in learns(0.5, steps=20)(played(late, 150)).said


# --- every number that a lesson says


def decades(e: engine.Experiment, steps: int = 0) -> float:
    """What the gradient gains from the last timestep to the first."""
    curve = trainer(e, steps).trace().log10_flow_norms[-1]
    return float(curve[0] - curve[-1])


def factor(e: engine.Experiment) -> float:
    return engine.verdict(engine.probe(e).log10_flow_norms[-1]).factor


def half_life(e: engine.Experiment) -> float:
    return engine.verdict(engine.probe(e).log10_flow_norms[-1]).half_life


@cache
def trainer(e: engine.Experiment, steps: int) -> engine.Trainer:
    found = engine.Trainer(e)
    found.advance(steps)
    return found


def loss(e: engine.Experiment, steps: int) -> float:
    return trainer(e, steps).validation_loss()


def saturated(e: engine.Experiment) -> float:
    return float((np.abs(engine.probe(e).hidden[:, 1:]) > 0.9).mean())


def first_below(e: engine.Experiment, share: float, steps: int) -> int:
    measured = trainer(e, steps).history.validation_loss
    return int(np.flatnonzero(measured < share * engine.TASKS[e.task].baseline(e))[0])


def start(name: str, **fields: Any) -> engine.Experiment:
    return LESSONS[name].experiment.replace(**fields)


def weights(e: engine.Experiment) -> int:
    return sum(value.size for value in engine.probe(e).state_dict.values())


def unit(name: str) -> engine.Clipped:
    e = start(name)
    return engine.clipping(engine.probe(e), e.clip_threshold).rows["unit"]


def guess(e: engine.Experiment) -> float:
    return engine.TASKS[e.task].baseline(e)


EXPLODE, NORM = start("explode"), start("explode", clip="norm")
INIT, CURED = {"init": "normal"}, start("optimizer", optimizer="adam", lr=0.01)
CLAIMS: dict[str, dict[str, Callable[[], Any]]] = {  # lesson -> what it says, as it says it: the number behind {}
    "vanish": {
        r"$10^{{{:.1f}}}$ of it": lambda: decades(start("vanish")),
        "halves every {:.1f} steps": lambda: half_life(start("vanish")),
        "by about {:.2f}: on": lambda: factor(start("vanish")),
        "half-life falls to {:.1f} steps": lambda: half_life(start("vanish", gain=0.5)),
        "loses {:.1f} decades": lambda: -decades(start("vanish"), 200),
        "factor of {:.2f} each": lambda: factor(start("vanish")),
        "$10^{{{:.0f}}}$ of 99 steps": lambda: 99 * np.log10(0.83),
    },
    "explode": {
        "$10^{{{:.1f}}}$ times": lambda: decades(EXPLODE),
        "step is {:.0f} million long": lambda: EXPLODE.lr * engine.probe(EXPLODE).grad_norm / 1e6,
        "from {:.2f} to": lambda: engine.probe(EXPLODE).loss,
        "to {:.2f}, and": lambda: trainer(EXPLODE, 1).trace().loss,
        "before t = {} the gradient is exactly 0": lambda: engine.verdict(
            trainer(EXPLODE, 1).trace().log10_flow_norms[-1]
        ).zero_before,
    },
    "clip": {
        "has {:,} weights": lambda: weights(start("clip")),
        "gradient is {:.2f} long": lambda: engine.probe(start("clip")).grad_norm,
        "are about {:.0f} long": lambda: np.median(trainer(start("clip", clip="none"), 2000).history.grad_norm),
        "√{:.0f} =": lambda: weights(start("clip")),
        "= {:.1f}. It": lambda: unit("clip").norm,
        "About {:.0f}": lambda: unit("clip").norm,
        "cosine {:.2f}": lambda: unit("clip").cosine,
    },
    "activation": {
        "At least {:.1f}, because": lambda: 99 * np.log10(4),
        "= {:.3f}$ is lost": lambda: np.log10(4),
        "measured are {:.1f}.": lambda: -decades(start("activation")),
        "only {:.1f} decades": lambda: -decades(start("activation", nonlinearity="tanh")),
        "ReLU: {:.1f} decades": lambda: -decades(start("activation", nonlinearity="relu")),
        "Now {:.0f}% of all": lambda: 100 * saturated(start("activation", nonlinearity="tanh", gain=3.0)),
        "below {:.2f}. Yet": lambda: 1 - 0.9**2,
        "gains {:.1f} decades, because": lambda: decades(start("activation", nonlinearity="tanh", gain=3.0)),
    },
    "init": {
        "√128 = {:.1f};": lambda: np.sqrt(128),
        "draw has {:.1f}.": lambda: engine.radii("rnn", engine.probe(start("init")).state_dict)[0].rho,
        "gains {:.1f} decades": lambda: decades(start("init")),
        "now {:.1f} decades are lost": lambda: -decades(start("init", **INIT, gain=0.5)),
        "2.00: {:.1f} decades are gained": lambda: decades(start("init", **INIT, gain=2.0)),
        "changes by {:.0f}% over 99 steps": lambda: 100 * (1 - 10 ** decades(start("init", init="orthogonal"))),
    },
    "lstm": {
        "is $10^{{{:.0f}}}$": lambda: np.log10(0.5**50),
        "still {:.1f} decades": lambda: -decades(start("lstm")),
        "does not leave {:.3f}": lambda: loss(start("lstm"), 400),
        "−1: {:.1f} decades": lambda: -decades(start("lstm", forget_bias=-1.0)),
        "σ(−1) = {:.2f}": lambda: 1 / (1 + np.exp(1)),
        "σ(5) = {:.3f}": lambda: 1 / (1 + np.exp(-5)),
        "gate of {:.2f}, a bias of 1": lambda: 1 / (1 + np.exp(-1)),
        "τ = {:.1f} steps": lambda: -1 / np.log(1 / (1 + np.exp(-1))),
        "0.993 has {:.0f}.": lambda: -1 / np.log(1 / (1 + np.exp(-5))),
    },
    "gru": {
        "loses {:.1f} decades, where": lambda: -decades(start("gru")),
        "network of lesson 1 lost {:.1f}.": lambda: -decades(start("vanish")),
        "z = {:.2f},": lambda: engine.gates(engine.probe(start("gru"))).gates["z"].unit_mean.mean(),
        "after some {} steps": lambda: first_below(start("gru", lr=0.01), 0.8, 400),
    },
    "batch": {
        "One at a time: {:.3f},": lambda: loss(start("batch", batching="single"), 2000),
        "against {:.3f} with ten": lambda: loss(start("batch", batching="mini"), 200),
        "and {:.3f} with the whole set": lambda: loss(start("batch"), 20),
        "loss is {:.3f}.": lambda: loss(start("batch"), 20),
    },
    "optimizer": {
        "$10^{{{:.1f}}}$ of the": lambda: decades(start("optimizer")),
        "{:.4f}, the rate itself": lambda: 0.01 * 1e-6 / (1e-6 + 1e-8),
        "stays at {:.3f}, that": lambda: guess(start("optimizer")),
        "After {} steps the input is recalled": lambda: first_below(CURED, 0.5, 600),
        "loses {:.0f} decades": lambda: -decades(CURED, 600),
    },
    "copy": {
        "a loss of {:.3f},": lambda: guess(start("copy")),
    },
}  # fmt: skip
OTHERWISE = {  # numbers that are settings, counts, or said by a test of their own
    "vanish": {"1", "100", "200", "0.50", "50", "1.2", "1.3"},
    "explode": {"1", "2.5", "100", "0.01", "50", "1.2", "−1", "1/100", "8"},
    "clip": {"50", "1", "±1", "0.1", "2,000", "1,500", "400", "0.7", "0.79", "38"},
    "activation": {"99", "1", "0", "6", "20", "60", "3.00", "0.9", "±0.9", "10", "1/10", "100", "1.2", "1.5", "4"},
    "init": {"128", "0", "1", "11", "0.50", "2.00", "2", "10", "1/10", "100", "99", "0.95"},
    "lstm": {"50", "0", "400", "150", "1", "−1", "5", "100", "0.993"},
    "gru": {"1", "100", "400", "500", "0.01", "220"},
    "batch": {"100", "2,000", "20", "200", "50", "5", "10"},
    "optimizer": {"40", "0.1", "0.000001", "0.01", "10", "8", "6", "2", "600", "1", "100", "70", "0.693"},
    "copy": {"100", "0", "64", "1", "0.01", "600", "10", "110", "0.8", "2,000", "0.03", "750", "0.175"},
}  # fmt: skip
NUMBER = r"(?<![\w^{.\\])[−±]?\d[\d,]*(?:\.\d+)?(?:/\d+)?"


@pytest.mark.parametrize(("name", "said"), [(name, said) for name, claims in CLAIMS.items() for said in claims])
def test_a_number_is_the_engines(name, said):
    text = said.format(CLAIMS[name][said]()).replace("-0 ", "0 ")
    whole = "\n".join(LESSONS[name].texts)
    assert text in whole, f"the engine says: {text}"


@pytest.mark.parametrize("name", LESSONS)
def test_no_number_is_left_without_a_proof(name):
    proved = {
        found.rstrip(".,") for said, of in CLAIMS[name].items() for found in re.findall(NUMBER, said.format(of()))
    }
    for text in LESSONS[name].texts:
        numbers = {found.rstrip(".,") for found in re.findall(NUMBER, text)}
        assert numbers <= proved | OTHERWISE[name], text


def test_sayings_without_a_number():
    one = trainer(EXPLODE, 1).trace()
    assert (np.abs(one.hidden[:, 1:]) > 0.999).all(), "every unit sits at −1 or 1"
    assert decades(start("vanish"), 200) < decades(start("vanish")), "training has made it worse"
    # Chaotic runs: after some steps their numbers hang on the last digit, and with it on the order of sums.
    assert decades(NORM, 50) > 8
    assert loss(NORM, 50) > 3 * guess(NORM)
    norms = trainer(start("clip", clip="none"), 2000).history.grad_norm
    assert norms.max() > 5 * np.median(norms), "several times as long"
    assert loss(start("clip", clip="none"), 2000) > 0.95 * guess(start("clip"))
    assert loss(start("clip", clip="value", clip_threshold=0.1), 1500) > 0.95 * guess(start("clip"))
    assert loss(start("clip"), 1000) > guess(start("clip")), "unit: nothing settles"
    assert loss(start("gru"), 400) > 0.9 * guess(start("gru"))
    assert decades(start("gru"), 400) > decades(start("gru")) + 3, "the curve rises"
    rnn = start("gru", cell="rnn")
    assert decades(rnn, 400) < decades(rnn), "and that of the plain network falls"
    assert loss(start("optimizer"), 600) > 0.95 * guess(start("optimizer"))
    assert abs(decades(start("lstm", forget_bias=5.0))) < 0.5, "level"
    assert decades(start("activation", nonlinearity="softsign", gain=1.5)) == pytest.approx(0, abs=1)
    assert abs(decades(start("init", init="normal", gain=0.95))) < 1
    for seed in (1, 2):
        assert abs(decades(start("init", init="orthogonal", seed=seed))) < 1, "for any seed"


@pytest.mark.slow
def test_sayings_of_long_runs():
    assert loss(start("copy"), 600) == pytest.approx(0.175, abs=5e-4)
    assert 300 <= first_below(start("clip", clip="norm", clip_threshold=1.0), 0.7, 600) <= 500, (
        "some 400, chaotic or not"
    )
    assert 700 <= first_below(start("copy", **LESSONS["copy"].solution), 0.8, 1000) <= 800


# --- the page


def page(path: str = "lessons", **query: str) -> AppTest:
    return any_page(path, timeout=60, **query)


def turn(at: AppTest, path: str) -> AppTest:
    """To another page of the same session, by the navigation: its address has no words of ours."""
    at._page_hash = calc_hash(path)
    at.query_params.clear()
    at.run()
    assert not at.exception
    return at


def keys(at: AppTest) -> set[str]:
    return {str(button.key) for button in at.button}


def experiment(at: AppTest) -> engine.Experiment:
    return at.session_state["experiment"]


def test_the_list_names_every_lesson():
    assert {f"lesson_{name}" for name in LESSONS} <= keys(page())


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_is_walked_through(name):
    at = press(page(), f"lesson_{name}")
    assert at.query_params["lesson"] == name
    lesson = LESSONS[name]
    assert not settings.differing(lesson.experiment.model_dump(), experiment(at).model_dump())
    assert not any(lesson.guess.answer in text.value for text in at.markdown), "hidden until a guess"
    assert "lesson_to_try" not in keys(at)
    wrong = (lesson.guess.right + 1) % len(lesson.guess.choices)
    press(at, f"guess_{name}_{wrong}")
    assert any(text.value == f"**Not so.** {lesson.guess.answer}" for text in at.markdown)
    press(at, "lesson_to_try")
    assert all(any(text in said.value for said in at.markdown) for text in lesson.tries)
    if lesson.controls:
        assert {str(c.key) for c in at.main if getattr(c, "key", None) in settings.FIELDS} == set(lesson.controls)
        assert not [c for c in at.sidebar if getattr(c, "key", None) in settings.FIELDS]
    else:
        assert [c for c in at.sidebar if getattr(c, "key", None) in settings.FIELDS]
    press(at, "lesson_to_why")
    assert [tex.value.strip("$\n ") for tex in at.latex] == [part for part in lesson.why if isinstance(part, Tex)]
    press(at, "lesson_to_check")
    assert any(lesson.task in text.value for text in at.markdown)
    assert at.session_state["lessons"].done == set()


def test_a_right_guess_is_named_and_no_second_one_counts():
    at = press(page(lesson="vanish"), "guess_vanish_2")
    assert any(text.value.startswith("**Right.**") for text in at.markdown)
    assert not [key for key in keys(at) if key.startswith("guess_")]
    learned = at.session_state["lessons"]
    assert learned.guesses == {"vanish": 2}


def test_the_check_turns_to_done_by_itself():
    at = press(page(lesson="vanish"), "guess_vanish_0")
    press(at, "lesson_to_try")
    at.selectbox(key="init").set_value("orthogonal").run()
    press(at, "lesson_to_why")
    press(at, "lesson_to_check")
    assert at.session_state["lessons"].done == set()
    at.select_slider(key="gain").set_value(1.2).run()
    run_of(at)
    at.run()
    assert at.session_state["lessons"].done == {"vanish"}
    assert "lesson_next" in keys(at)
    press(at, "lesson_next")
    assert at.query_params["lesson"] == "explode"
    press(at, "lesson_back")
    assert at.session_state["lessons"].done == {"vanish"}
    assert "lesson" not in at.query_params


def test_a_lesson_that_was_left_is_found_as_it_was():
    at = press(press(page(lesson="vanish"), "guess_vanish_0"), "lesson_to_try")
    at.select_slider(key="gain").set_value(0.5).run()
    press(at, "lesson_back")
    press(at, "lesson_lstm")
    assert experiment(at).cell == "lstm"
    press(at, "lesson_back")
    press(at, "lesson_vanish")
    assert experiment(at).gain == 0.5
    assert at.session_state["lessons"].screens["vanish"] == "try"
    press(at, "put_back")
    assert experiment(at) == LESSONS["vanish"].experiment


def test_what_explore_had_is_not_lost():
    at = page("explore", gain="1.5", cell="gru")
    mine = experiment(at)
    press(turn(at, "lessons"), "lesson_lstm")
    press(at, "lesson_back")
    press(at, "lesson_gru")
    turn(at, "explore")
    assert experiment(at) == LESSONS["gru"].experiment
    press(at, "lesson_bring_back")
    assert experiment(at) == mine
    assert "lesson_bring_back" not in keys(at)
    press(at, "undo")
    assert experiment(at) == LESSONS["gru"].experiment


def test_the_offer_goes_when_it_is_declined_or_something_else_is_chosen():
    at = page("explore", gain="1.5")
    press(turn(at, "lessons"), "lesson_lstm")
    turn(at, "explore")
    press(at, "lesson_keep")
    assert "lesson_bring_back" not in keys(at)
    at = page("explore", gain="1.5")
    press(turn(at, "lessons"), "lesson_lstm")
    turn(at, "explore")
    at.number_input(key="seed").set_value(7).run()
    assert "lesson_bring_back" not in keys(at)


def test_a_link_opens_a_lesson_with_its_settings_or_with_its_own():
    assert experiment(page(lesson="explode")) == LESSONS["explode"].experiment
    at = page(lesson="explode", hidden_size="64", gain="1.2")
    assert experiment(at) == engine.Experiment(hidden_size=64, gain=1.2)
    assert at.session_state["lessons"].open == "explode"


@pytest.mark.parametrize("said", ["<b>x</b>", "nothing", "x" * 5000, "vanish,lstm"])
def test_a_lesson_that_is_none_has_a_sentence(said):
    at = page(lesson=said)
    (sentence,) = [text.value for text in at.text]
    assert sentence.startswith("The link names a lesson that does not exist. Allowed: vanish,")
    assert "lesson" not in at.query_params
    assert "lesson_vanish" in keys(at)


def test_all_controls_are_one_click_away():
    at = press(press(page(lesson="vanish"), "guess_vanish_0"), "lesson_to_try")
    press(at, "lesson_controls")
    assert len([c for c in at.sidebar if getattr(c, "key", None) in settings.FIELDS]) > 10
    at.select_slider(key="gain").set_value(0.5).run()
    press(at, "lesson_controls")
    assert experiment(at).gain == 0.5


def test_progress_is_of_one_session():
    assert learning.Progress().done is not learning.Progress().done
