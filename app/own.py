"""The data of one's own that a visitor has brought: theirs alone, named by their files, and few. No Streamlit in here.

The engine finds data by a name alone, whoever brought them. Here a name counts only in the session that has them: a
link, a run's file or a room's moment that names them reaches nothing elsewhere.
"""

import re
from collections.abc import Callable, Mapping, MutableMapping

import engine
from app.words import _
from engine.tasks import Task
from engine.tasks.own import DESCRIBED, PREFIX, held

MOST = 3  # data that a session keeps; of more the oldest go
_asked: list[Callable[[], Mapping[str, engine.OwnTask] | None]] = []


def ask(reader: Callable[[], Mapping[str, engine.OwnTask] | None]) -> None:
    """`reader` says what the visitor has whose page is being made; None: it does not know."""
    _asked.append(reader)


def mine() -> Mapping[str, engine.OwnTask]:
    """By their names, the oldest first."""
    return next((found for reader in _asked if (found := reader()) is not None), {})


def keep(kept: MutableMapping[str, engine.OwnTask], task: engine.OwnTask) -> None:
    """Add to what a session has; one that has the same file's data in another form loses that."""
    for name in [name for name, other in kept.items() if other.task.label == task.task.label]:
        del kept[name]
    kept[str(task)] = task
    while len(kept) > MOST:
        del kept[next(iter(kept))]


def is_own(name: object) -> bool:
    return isinstance(name, str) and name.startswith(PREFIX)


def find(name: str) -> engine.OwnTask | None:
    """The visitor's data of this name, or data that the name says all about."""
    return mine().get(name) or _described(name)


def _described(name: str) -> engine.OwnTask | None:
    return next((found for made in DESCRIBED if (found := made(name)) is not None), None)


def row(name: str) -> Task:
    """The task of a name in a session; of data that are gone one that stands for them."""
    if not is_own(name):
        return engine.TASKS[name]
    found = find(name)
    return found.task if found is not None else engine.TASKS["random_series"]


def label(name: str) -> str:
    """A task as its reader knows it: of own data the name of the file, which is plain text."""
    if (described := _described(name)) is not None:
        return _(described.task.label)
    found = held(name)  # pictures are drawn where no page is: of what a run has its name may be said
    return _("{file} (yours)").format(file=_(found.task.label)) if found else _("data that are gone")


def gone() -> str:
    """Why a name of own data is no task here."""
    return _(
        "The data of one's own that are meant are not here: they are kept only in the session that brought them. Bring "
        "the same file again, by “Your data” beside Task."
    )


def file_name(e: engine.Experiment) -> str:
    """The task in a file's name: letters, digits and hyphens."""
    if not is_own(e.task) or _described(e.task) is not None:
        return e.task.removeprefix(PREFIX)
    return re.sub(r"[^A-Za-z0-9]+", "-", engine.TASKS[e.task].label).strip("-")[:30] or "own"
