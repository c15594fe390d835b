"""Who trains, where more want to than the server allows at once: each for a while, in the order in which they came."""

import threading
from collections.abc import Hashable

TURN = 5.0  # seconds that a run trains while others wait
FORGOTTEN = 2.0  # seconds without a question after which a place is free: it was paused, or its tab closed


class Turns:
    """So many places. Whoever wants to train asks before every slice; times are those of time.monotonic()."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._since: dict[Hashable, float] = {}  # who has a place, and since when
        self._asked: dict[
            Hashable, float
        ] = {}  # when each asked last; those without a place in the order of their turn

    def may(self, who: Hashable, now: float) -> bool:
        """Is it their turn?"""
        with self._lock:
            for other in [other for other, asked in self._asked.items() if now - asked > FORGOTTEN]:
                self._asked.pop(other)
                self._since.pop(other, None)
            self._asked[who] = now  # a new one stands at the end of the line
            waiting = [other for other in self._asked if other not in self._since]
            if who in self._since:
                if not waiting or now - self._since[who] < TURN:
                    return True
                del self._since[who]
                self._asked[who] = self._asked.pop(who)  # to the end of the line
                return False
            if len(self._since) < self._places and waiting.index(who) < self._places - len(self._since):
                self._since[who] = now
                return True
            return False
