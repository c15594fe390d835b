"""Memory: whether there is any left, how much answers take, the oldest of them let go, and what is not used any more
given back to the system."""

import ctypes
import gc
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from app.limits import LIMITS
from app.looks import Look

MACHINE, CONTAINER = Path("/proc/meminfo"), Path("/sys/fs/cgroup")  # of Linux, which ends a server that takes too much
LEAST, SHARE = 400e6, 0.1  # bytes, what the largest run takes; and of a small machine's memory


def short() -> bool:
    """Is too little memory left for one more run? Where the system does not say, there never is."""
    with suppress(OSError, ValueError, LookupError):
        said = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in MACHINE.read_text().splitlines()}
        if said["MemAvailable"] < min(LEAST, SHARE * said["MemTotal"]):
            return True
    with suppress(OSError, ValueError, LookupError):
        most, used = (int((CONTAINER / name).read_text()) for name in ("memory.max", "memory.current"))
        said = {line.split()[0]: int(line.split()[1]) for line in (CONTAINER / "memory.stat").read_text().splitlines()}
        return most - used + said["inactive_file"] < min(LEAST, SHARE * most)
    return False


def give_back() -> None:
    """Pages and runs refer to each other in circles, which Python only looks for while it makes new objects: not on a
    server where nothing happens. And the C library keeps what was freed in pieces, unless it is told."""
    gc.collect()
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def bytes_of(*things: Any) -> int:
    """The bytes of all arrays that these hold, each counted once: in containers, and in objects of the engine's and the
    app's own classes."""
    seen, waiting, total = set[int](), list(things), 0
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, np.ndarray):
            while isinstance(thing.base, np.ndarray):
                thing = thing.base
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            total += thing.nbytes
        elif isinstance(thing, Mapping):
            waiting += thing.values()
        elif isinstance(thing, list | tuple | set | frozenset):
            waiting += thing
        elif type(thing).__module__.split(".")[0] in ("app", "engine") and not isinstance(thing, type):
            waiting += getattr(thing, "__dict__", {}).values()
    return total


def let_go(looks: Mapping[Any, Look], most: float = LIMITS.memory * 1e6) -> None:
    """Of the answers that a run keeps, let the oldest go until the others take no more than so many bytes; the newest
    stays. The first of the mapping is the oldest."""
    sizes = [(look, bytes_of(look.asked)) for look in looks.values() if look.asked is not None]
    total = sum(size for _look, size in sizes)
    for look, size in sizes[:-1]:
        if total <= most:
            return
        look.forget()
        total -= size
