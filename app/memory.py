"""Memory that is not used any more goes back to the system."""

import ctypes
import gc
from contextlib import suppress


def give_back() -> None:
    """Pages and runs refer to each other in circles, which Python only looks for while it makes new objects: not on a
    server where nothing happens. And the C library keeps what was freed in pieces, unless it is told."""
    gc.collect()
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
