"""Tasks of one's own data: a name that holds them. They live as long as anything that names them, and no longer."""

from collections.abc import Callable
from typing import Protocol
from weakref import WeakValueDictionary

from engine.tasks.task import Task

PREFIX = "own:"  # of the names; a row of `TASKS` has none


class Data(Protocol):
    """Data that are a task. Frozen, and can be pickled."""

    @property
    def name(self) -> str:
        """A word about what they are, and a hash of all that the task depends on."""
        ...

    @property
    def recipe(self) -> str:
        """The call of Python that makes them again; a word in capitals stands for what only their owner has."""
        ...

    def task(self) -> Task: ...


class OwnTask(str):
    """The name of a task of one's own data, to be used as any other: `Experiment(task=name)`.

    Equal data have equal names. The name carries the data: an Experiment keeps them alive, one that is pickled takes
    them along, and when the last is gone so are they. The plain text of a name, from a link or a file, is understood as
    long as the data are here.
    """

    data: Data
    task: Task

    def __reduce__(self) -> tuple[object, tuple[Data]]:
        return own_task, (self.data,)


_HELD: WeakValueDictionary[str, OwnTask] = WeakValueDictionary()
DESCRIBED: list[Callable[[str], OwnTask | None]] = []  # name -> its task, of data that a name says all about


def own_task(data: Data) -> OwnTask:
    """The task of these data, by the name that holds them."""
    name = PREFIX + data.name
    held = _HELD.get(name)
    if held is None:
        new = OwnTask(name)
        new.data, new.task = data, data.task()
        held = _HELD.setdefault(name, new)  # another thread may have been first
    return held


def held(name: str) -> OwnTask | None:
    """The name that holds the data, or None where they are not here and the name does not say all about them."""
    return _HELD.get(name) or described(name)


def described(name: str) -> OwnTask | None:
    """The task of a name that says all about its data; None of any other."""
    return next(filter(None, (known(name) for known in DESCRIBED)), None) if name.startswith(PREFIX) else None


class Tasks(dict[str, Task]):
    """The table of tasks. Those of one's own data are found by their names; only the table's own rows are listed."""

    def __missing__(self, name: str) -> Task:
        data = held(name)
        if data is None:
            raise KeyError(name)
        return data.task
