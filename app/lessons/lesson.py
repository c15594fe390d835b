"""What a lesson is: a row of the table, made of sentences, an experiment, and a check that reads the run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import engine
from app.snapshot import Snapshot


class Tex(str):
    """An equation, in LaTeX; it needs no translation."""


class Reading(NamedTuple):
    """What a check finds in the run: is it met, and the present number in a sentence (in the reader's language)."""

    met: bool
    said: str


@dataclass(frozen=True)
class Guess:
    """A question before anything is shown. `answer`: what the numbers say, whichever choice was made."""

    question: str
    choices: tuple[str, ...]
    right: int
    answer: str


@dataclass(frozen=True)
class Lesson:
    """About five minutes. Texts are message ids: whole paragraphs of Markdown, with inline equations in $…$.

    pictures: those of the stage that matter; controls: the fields in the sidebar (none named: all of them).
    tries: what to do, one thing each; why: paragraphs and equations, with `source` where they are from.
    task, reading: the check. hint: a way to meet it; solution, solution_steps: the fields of that way and the training
    steps it takes, which a test proves.
    """

    label: str
    question: str
    opening: str  # what one has before oneself
    guess: Guess
    experiment: engine.Experiment
    pictures: tuple[str, ...]
    controls: tuple[str, ...]
    tries: tuple[str, ...]
    why: tuple[str, ...]
    source: str
    task: str
    reading: Callable[[Snapshot], Reading]
    hint: str
    solution: Mapping[str, Any]
    solution_steps: int = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """Every message of it."""
        said = (self.label, self.question, self.opening, self.guess.question, *self.guess.choices, self.guess.answer)
        return (*said, *self.tries, *(part for part in self.why if not isinstance(part, Tex)), self.task, self.hint)
