"""The questions of a room: what the run answers, told again by slow loops from the same snapshot's numbers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import engine
from app import guesses
from app.figures.numbers import times
from app.guesses import GUESSES, Question
from app.snapshot import Snapshot
from app.training import Training
from app.words import LANGUAGES, speak

BASE = engine.Experiment(seq_length=30, hidden_size=8, batch_size=4)


def snapshot(steps: int = 0, **fields: Any) -> Snapshot:
    training = Training(BASE.replace(**fields))
    if steps:
        training.advance(steps, lambda: False)
        while training.step < steps and not training.ended:
            training.advance(steps, lambda: False)
        training.record(rests=True)
    return training.snapshot(None, 0)


def asked(kind: str, s: Snapshot) -> Question:
    question = guesses.put(kind, s)
    assert question is not None
    return question


@pytest.mark.parametrize("kind", GUESSES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_all_that_is_said_can_be_said(kind, language):
    speak(language)
    question = asked(kind, snapshot())
    assert 2 <= len(question.choices) <= guesses.MOST
    texts = [question.text, *question.choices, *([question.answer.said] if question.answer else [])]
    assert all(str(text) and "{" not in str(text) for text in texts)
    assert len({str(choice) for choice in question.choices}) == len(question.choices)
    speak("en")


@pytest.mark.parametrize(
    ("gain", "init", "right"), [(0.3, "orthogonal", 0), (1.0, "orthogonal", 1), (2.5, "normal", 2)]
)
def test_the_fate_of_a_gradient(gain, init, right):
    s = snapshot(gain=gain, init=init, nonlinearity="identity")
    question = asked("fate", s)
    assert question.answer is not None
    assert question.answer.right == right
    ends = s.flow[0, 0] - s.flow[0, -1]
    assert (ends < -2, -2 <= ends <= 2, ends > 2)[right], "the same as plain arithmetic says"


@pytest.mark.parametrize("fields", [{"task": "sine", "cell": "gru"}, {"task": "copy_memory", "cell": "lstm"}])
def test_where_every_step_has_a_loss_the_question_is_of_all_of_them(fields):
    s = snapshot(**fields)
    question = asked("depth", s)
    assert s.now.min() > -6
    assert question.answer is not None
    assert question.answer.right == 3
    assert "the last loss's gradient" in str(asked("fate", s).text)


@pytest.mark.parametrize("fields", [{"num_layers": 2, "gain": 1.1, "seq_length": 60}, {"task": "text"}, {"gain": 2.5}])
def test_the_number_said_is_the_one_that_marks_the_choice(fields):
    s = snapshot(**fields)
    question, v = asked("fate", s), engine.verdict(s.flow[0])
    assert question.answer is not None
    assert question.answer.right == (0 if v.span < -2 else 2 if v.span > 2 else 1)
    assert f"a factor {times(v.span)} on the way" in str(question.answer.said)


@pytest.mark.parametrize("edge", [-1e9, -30.0, -6.5, -3.0, 5.0])
def test_where_a_gradient_falls_below_the_edge(edge):
    """A curve that falls by a third of a decade at each step back, up or down by `edge`."""
    s = snapshot()
    curve = np.linspace(edge + 6.5 - 10, 0, 30)[None] if edge > -1e8 else np.zeros((1, 30))
    question = asked("depth", replace(s, now=curve))
    found = next((t for t in range(30, 0, -1) if curve[0, t - 1] < -6), None)
    spans = [range(21, 31), range(11, 21), range(1, 11)]
    right = 3 if found is None else next(i for i, span in enumerate(spans) if found in span)
    assert question.answer is not None
    assert question.answer.right == right
    assert [str(choice) for choice in question.choices[:3]] == [
        f"Between t = {span[-1]} and t = {span[0]}" for span in spans
    ]
    if found is not None:
        assert f"t = {found}" in str(question.answer.said)


def learning(losses: np.ndarray, **more: Any) -> Snapshot:
    """A run with these losses, whose line of guessing is 1."""
    values = {"loss": losses, "reached": len(losses) - 1, "step": len(losses) - 1, "moment": len(losses) - 1}
    return replace(snapshot(), baseline=1.0, **(values | more))


def test_whether_it_learns_is_the_mean_of_twenty_steps():
    question = asked("learns", learning(np.ones(1)))
    assert (question.goal, question.asked, question.answer) == (200, 0, None)
    waiting = learning(np.ones(150))
    assert guesses.measured(question, waiting) is None
    losses = np.ones(150)
    losses[40] = 0.001  # one batch by chance
    assert guesses.measured(question, learning(losses)) is None
    losses[100:] = 0.5
    found = guesses.measured(question, learning(losses))
    assert found is not None
    assert found.right == 0
    first = next(n for n in range(20, 150) if losses[n - 19 : n + 1].mean() < 0.8)
    assert f"training step {first}," in str(found.said)


def test_it_does_not_learn():
    question = asked("learns", learning(np.ones(1)))
    late = np.ones(260)
    late[205:] = 0.1  # after the goal
    for s in (learning(np.ones(201)), learning(late), learning(np.ones(5), stopped="steps")):
        found = guesses.measured(question, s)
        assert found is not None
        assert found.right == 1
        assert str(found.said).startswith("No:")
    lost = np.ones(12)
    lost[10:] = np.nan
    found = guesses.measured(question, learning(lost, diverged=(10, "loss")))
    assert found is not None
    assert (found.right, "10" in str(found.said)) == (1, True)


def test_a_question_about_other_settings_has_no_answer():
    s = learning(np.ones(50))
    question = asked("learns", s)
    for other in (replace(s, experiment=BASE.replace(gain=0.5)), replace(s, reached=3)):
        found = guesses.measured(question, other)
        assert found is not None
        assert found.right is None
        assert str(found.said)
    fate = asked("fate", snapshot())
    assert guesses.measured(fate, snapshot()) is fate.answer
    changed = guesses.measured(fate, snapshot(gain=0.5))
    assert changed is not None
    assert changed.right is None, "the pictures that come back are not those of the question"


def test_what_cannot_be_asked():
    assert guesses.put("depth", snapshot(seq_length=5)) is None
    assert guesses.put("learns", learning(np.ones(5), stopped="steps")) is None
    assert guesses.put("learns", learning(np.full(40, 0.5))) is None, "it has learned"
    s = snapshot()
    assert guesses.put("fate", replace(s, diverged=(0, "loss"))) is None


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("", ["a", "b"]), ("x" * 201, ["a", "b"]), ("Why?", ["a"]), ("Why?", ["a", " a "]), ("Why?", []),
        ("Why?", ["a", "b", "c", "d", "e"]), ("Why?", ["a", "b" * 61]),
    ],
)  # fmt: skip
def test_own_questions_are_bounded(text, choices):
    with pytest.raises(ValueError, match=r"\d"):
        guesses.own(text, choices)


def test_own_questions_are_text():
    question = guesses.own(" <img src=x onerror=alert(1)> {step}? ", ["<b>yes</b>", "no & {n}", ""])
    assert str(question.text) == "&lt;img src=x onerror=alert(1)&gt; {step}?"
    assert question.choices == ("&lt;b&gt;yes&lt;/b&gt;", "no &amp; {n}")
    assert guesses.measured(question, snapshot()) is None
