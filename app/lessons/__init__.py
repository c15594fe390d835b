"""The lessons, in their order. A lesson is one file with a row `LESSON`, and one line here."""

from app.lessons import (
    activation,
    batches,
    capstone,
    clipping,
    exploding,
    gru,
    initialisation,
    lstm,
    optimizers,
    vanishing,
)
from app.lessons.lesson import Guess, Lesson, Reading, Tex

LESSONS: dict[str, Lesson] = {
    "vanish": vanishing.LESSON,
    "explode": exploding.LESSON,
    "clip": clipping.LESSON,
    "activation": activation.LESSON,
    "init": initialisation.LESSON,
    "lstm": lstm.LESSON,
    "gru": gru.LESSON,
    "batch": batches.LESSON,
    "optimizer": optimizers.LESSON,
    "copy": capstone.LESSON,
}

__all__ = ["LESSONS", "Guess", "Lesson", "Reading", "Tex"]
