"""Guess first: questions to a room, whose right choice is read off the run's numbers. No Streamlit in here.

A row of GUESSES puts a question to the moment that a snapshot shows. What that moment says already is measured with
the question, and kept back; what only training can say is measured on later snapshots, by `measured`.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

import engine
from app.figures.numbers import power, short, times
from app.snapshot import Snapshot
from app.training import LAST_STEP
from app.words import N_, Said
from engine.instruments.verdict import HEALTHY_DECADES

LONGEST_TEXT, LONGEST_CHOICE = 200, 60  # characters of a question of the lecturer's own
FEWEST, MOST = 2, 4  # choices
FATES = ("vanishing", "healthy", "exploding")
FAINT = -6  # log10 of a gradient that is called lost
WITHIN = 200  # training steps
MEAN = 20  # steps over which a loss is averaged: one batch may lie below the line by chance
SHARE = 0.8  # of the line of guessing: the loss of fewer batches than that is noise, as for the verdict

Text = Said | str  # a message for readers of every language, or the lecturer's own words; HTML, the latter escaped


@dataclass(frozen=True)
class Answer:
    right: int | None  # the choice that the numbers mark; None: no choice
    said: Text  # the numbers


@dataclass(frozen=True)
class Question:
    kind: str  # a row of GUESSES, or "own"
    text: Text
    choices: tuple[Text, ...]
    answer: Answer | None = None  # where it is known already: nobody is told before it is time
    goal: int | None = None  # the training step up to which the run has to go
    asked: int = 0  # the step that was reached
    experiment: engine.Experiment | None = None  # that it is about


@dataclass(frozen=True)
class Guess:
    label: str
    put: Callable[[Snapshot], Question | None]  # None: no such question to this run


def fate(s: Snapshot) -> Question | None:
    """Does the gradient of the shown step vanish, arrive or explode?"""
    curve = s.flow[s.layer]
    steps, v = len(curve), engine.verdict(curve)
    kind = "vanishing" if v.kind == "none" else v.kind  # none at all: it has vanished
    if s.lost or kind not in FATES or steps < 2:
        return None
    if v.zero_before or v.kind == "none":
        said = Said(N_("Before t = {t} it is exactly 0."), t=v.zero_before or steps)
    else:
        text = N_("At its pace it changes by a factor {ratio} on the way: between {low} and {high} is called arriving.")
        said = Said(text, ratio=times(v.span), low=power(-HEALTHY_DECADES), high=power(HEALTHY_DECADES))
    text = N_("Training step {step}: what becomes of the gradient on its way back from t = {n} to t = 1?")
    if engine.TASKS[s.experiment.task].every_step:
        text = N_("Training step {step}: what becomes of the last loss's gradient on its way from t = {n} to t = 1?")
    return Question(
        "fate",
        Said(text, n=steps, step=s.drawn),
        (Said(N_("It vanishes")), Said(N_("It arrives")), Said(N_("It explodes"))),
        Answer(FATES.index(kind), said),
    )


def depth(s: Snapshot) -> Question | None:
    """Where on its way back does the gradient fall below 1e-6?"""
    steps, curve = s.now.shape[1], s.now[s.layer]
    if s.lost or steps < 6 or np.isnan(curve).any():
        return None
    near, far = steps - steps // 3, steps // 3
    span = N_("Between t = {a} and t = {b}")
    spans = [Said(span, a=a, b=b) for a, b in ((steps, near + 1), (near, far + 1), (far, 1))]
    below = np.flatnonzero(curve < FAINT)
    if below.size:
        first = int(below[-1]) + 1
        right = 0 if first > near else 1 if first > far else 2
        said = Said(N_("It is below {edge} for the first time at t = {t}."), edge=power(FAINT), t=first)
    else:
        right, least = 3, float(curve.min())
        said = Said(N_("It never is: the least is {least}."), least=power(least))
    return Question(
        "depth",
        Said(
            N_("Training step {step}: going back from t = {n}, where does ‖∂L/∂h<sub>t</sub>‖ fall below {edge}?"),
            step=s.drawn,
            n=steps,
            edge=power(FAINT),
        ),
        (*spans, Said(N_("Nowhere"))),
        Answer(right, said),
    )


def learns(s: Snapshot) -> Question | None:
    """Will the loss fall below the line of guessing within 200 training steps?"""
    goal, latest = s.reached + WITHIN, s.loss[-MEAN:]
    if len(latest) == MEAN and latest.mean() < SHARE * s.baseline:  # it has
        return None
    if s.lost or s.diverged or s.stopped or goal > LAST_STEP or not s.baseline > 0:
        return None
    text = N_(
        "Will the loss fall below the line of guessing by training step {goal}? "
        "(The mean of {mean} steps, to below {edge}: {share} % of the line.)"
    )
    values = {"goal": goal, "mean": MEAN, "edge": short(SHARE * s.baseline), "share": round(100 * SHARE)}
    return Question("learns", Said(text, **values), (Said(N_("Yes")), Said(N_("No"))), goal=goal, asked=s.reached)


GUESSES = {
    "fate": Guess(N_("Will it vanish, arrive or explode?"), fate),
    "depth": Guess(N_("Where is the gradient below 1e-6?"), depth),
    "learns": Guess(N_("Will it learn within 200 steps?"), learns),
}


def put(kind: str, s: Snapshot) -> Question | None:
    """A ready question to the run at this moment; None: it makes no sense there."""
    question = GUESSES[kind].put(s)
    return None if question is None else replace(question, experiment=s.experiment)


def own(text: str, choices: Sequence[str]) -> Question:
    """A question of the lecturer's. ValueError with a sentence for the wrong number of choices, or their length."""
    text, given = text.strip(), tuple(choice.strip() for choice in choices if choice.strip())
    if not 0 < len(text) <= LONGEST_TEXT:
        raise ValueError(str(Said(N_("A question has 1 to {most} characters."), most=LONGEST_TEXT)))
    if not FEWEST <= len(given) <= MOST or len(set(given)) < len(given):
        raise ValueError(str(Said(N_("A question has {few} to {most} different choices."), few=FEWEST, most=MOST)))
    if max(map(len, given)) > LONGEST_CHOICE:
        raise ValueError(str(Said(N_("A choice has at most {most} characters."), most=LONGEST_CHOICE)))
    return Question("own", html.escape(text), tuple(map(html.escape, given)))


def measured(q: Question, s: Snapshot) -> Answer | None:
    """What the run answers; None: nothing yet (or nothing ever, to a question of the lecturer's own)."""
    if q.kind != "own" and (s.experiment != q.experiment or s.reached < q.asked):
        return Answer(None, Said(N_("The run was changed or reset after the question was put: it cannot answer it.")))
    if q.answer is not None or q.goal is None:
        return q.answer
    edge = SHARE * s.baseline
    losses = s.loss[q.asked + 1 : min(q.goal, s.last_finite) + 1]
    means = np.convolve(losses, np.full(MEAN, 1 / MEAN), "valid") if len(losses) >= MEAN else np.zeros(0)
    below = np.flatnonzero(means < edge)
    if below.size:
        step = q.asked + MEAN + int(below[0])
        text = N_("Yes: the mean loss of {mean} steps is {loss} at training step {step}, below {edge}.")
        return Answer(0, Said(text, mean=MEAN, loss=short(float(means[below[0]])), step=step, edge=short(edge)))
    if s.diverged is not None:
        return Answer(1, Said(N_("No: the loss is not a number since training step {step}."), step=s.diverged[0]))
    if s.reached < q.goal and s.stopped is None:
        return None
    if not means.size:
        return Answer(1, Said(N_("No: the run has stopped at training step {step}."), step=s.reached))
    text = N_("No: the least mean loss of {mean} steps is {loss}, not below {edge}.")
    return Answer(1, Said(text, mean=MEAN, loss=short(float(means.min())), edge=short(edge)))
