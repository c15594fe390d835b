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


def one_after_another(*all_of_it: Pieces[Result]) -> Pieces[list[Result]]:
    """All results, each taken for an equal share of the work."""
    found = []
    for k, pieces in enumerate(all_of_it):
        while True:
            try:
                share = next(pieces)
            except StopIteration as done:
                found.append(done.value)
                break
            yield (k + share) / len(all_of_it)
    return found
