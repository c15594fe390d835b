"""What a visitor has chosen, one thing after the other, so that it can be taken back. No Streamlit in here."""

from dataclasses import dataclass, field
from typing import Any

MOST = 200  # choices that can be taken back
ONE_MOVE = 1.5  # seconds: moves of one slider that follow each other faster are one choice


@dataclass(frozen=True)
class Choice:
    """A preset ("": the default), the value of every control, of those too that do not count at present, and whose
    weights."""

    preset: str
    values: dict[str, Any]
    network: str = ""  # the key of the network whose weights are begun with; "": of none

    def changed(self, other: "Choice") -> list[str]:
        return [name for name, value in self.values.items() if value != other.values[name]]


@dataclass
class History:
    """`now` and what was before and after it. `count` tells one state from the next: a click says which state its
    button was drawn for. One that arrives twice was drawn before the undo it has made, and is ignored; one drawn before
    the newest choice counts: a page that is being drawn still shows the old button."""

    now: Choice
    past: list[Choice] = field(default_factory=list)
    future: list[Choice] = field(default_factory=list)
    count: int = 0
    _moved: tuple[str, float] | None = None  # the slider that has moved last, and when
    _travelled: int = 0  # the state that the last undo or redo has made

    def choose(self, choice: Choice, when: float, slider: str | None = None) -> None:
        """Something was chosen, at `when` seconds; `slider`: the field, where nothing else than a slider was moved."""
        if choice == self.now:
            return
        goes_on = slider is not None and self._moved is not None and self._moved[0] == slider
        if not (goes_on and self._moved and when - self._moved[1] < ONE_MOVE):
            self.past = [*self.past, self.now][-MOST:]
        self._moved = None if slider is None else (slider, when)
        self.now, self.future, self.count = choice, [], self.count + 1

    def undo(self, count: int) -> bool:
        """Back to the choice before; False where there is none, or the last undo or redo came after state `count`."""
        return self._move(self.past, self.future, count)

    def redo(self, count: int) -> bool:
        return self._move(self.future, self.past, count)

    def _move(self, source: list[Choice], target: list[Choice], count: int) -> bool:
        if not source or count < self._travelled:
            return False
        target.append(self.now)
        self.now, self.count, self._moved = source.pop(), self.count + 1, None
        self._travelled = self.count
        return True
