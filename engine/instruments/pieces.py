"""Long computations in short pieces, so that whoever runs them can show how far they are, do other things, or stop."""

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Pieces = Generator[float, None, Result]  # yields the share that is done, 0 to 1, and returns the result


def finish(pieces: Pieces[Result]) -> Result:
    """The result, with no pause."""
    while True:
        try:
            next(pieces)
        except StopIteration as done:
            return done.value


def part(before: float, share: float, pieces: Pieces[Result]) -> Pieces[Result]:
    """These pieces as a share of a longer work, of which `before` is done."""
    while True:
        try:
            yield before + share * next(pieces)
        except StopIteration as done:
            return done.value
