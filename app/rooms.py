"""All rooms of this server: opened, found by code or token, closed. No Streamlit in here."""

import threading
import time

from app.codes import Tries, new_code
from app.limits import LIMITS
from app.registry import RUNS, Registry
from app.room import Room
from app.runs import Run
from app.words import _

MOST_ROOMS = LIMITS.rooms
WRONG, HEALED = 300, 5.0  # wrong codes of one network at once, and a second after that: it may be that of a class


class TooMany(ValueError):
    """Too many wrong codes were tried: the sentence says so."""


class Rooms:
    """All rooms of this server."""

    def __init__(self, runs: Registry) -> None:
        self._runs = runs
        self._rooms: dict[str, Room] = {}
        self._lock = threading.Lock()
        self._tries = Tries(WRONG, HEALED)

    def open(self, run: Run, network: str = "") -> Room:
        """The room of a run. ValueError with a sentence where there are too many, or too many of one network."""
        self._make_way()
        with self._lock:
            found = next((room for room in self._rooms.values() if room.run is run), None)
            if found is not None:
                return found
            if len(self._rooms) >= MOST_ROOMS:
                text = _(
                    "This server has {most} open rooms already, and allows no more. Try again when one has closed."
                )
                raise ValueError(text.format(most=MOST_ROOMS))
            if network and sum(room.network == network for room in self._rooms.values()) >= max(1, MOST_ROOMS // 2):
                text = _("{n} rooms are open from your network already, and this server allows no more of one network.")
                raise ValueError(text.format(n=max(1, MOST_ROOMS // 2)))
            code = new_code()
            while code in self._rooms:
                code = new_code()
            room = self._rooms[code] = Room(code, run, network)
            return room

    def _make_way(self) -> None:
        """Where there are too many, the rooms close that nobody is in."""
        now = time.monotonic()
        with self._lock:
            full = len(self._rooms) >= MOST_ROOMS
            empty = [room for room in self._rooms.values() if full and room.empty(now)]
        for room in empty:
            self.close(room)

    def seek(self, code: str, mine: Tries, network: str) -> Room | None:
        """The room of a code that somebody tries. TooMany where they, or (unless it is "") their network, tried too
        many wrong ones."""
        counted = [(mine, ""), (self._tries, network)] if network else [(mine, "")]
        if not all(tries.hears(who) for tries, who in counted):
            raise TooMany(_("Too many codes came from here that no room has. Wait a minute, and try again."))
        found = self.by_code(code)
        if found is None:
            for tries, who in counted:
                tries.wrong(who)
        return found

    def by_code(self, code: str) -> Room | None:
        with self._lock:
            return self._rooms.get(code)

    def by_token(self, token: str | None) -> tuple[Room, bool] | None:
        """The room of a token of either kind, and whether it is the lecturer's."""
        with self._lock:
            rooms = tuple(self._rooms.values())
        for room in rooms:
            if (host := room.admits(token)) is not None:
                return room, host
        return None

    def hosted(self, host: str | None) -> Room | None:
        found = self.by_token(host)
        return found[0] if found is not None and found[1] else None

    def close(self, room: Room) -> None:
        with self._lock:
            self._rooms.pop(room.code, None)
        room.close()

    def sweep(self) -> None:
        """Close the rooms whose run was freed, or whose lecturer is gone; the others use their run."""
        now = time.monotonic()
        with self._lock:
            rooms = tuple(self._rooms.values())
        for room in rooms:
            if room.deserted(now) or self._runs.get(room.run.token) is not room.run:
                self.close(room)
            else:
                room.run.use()

    def clear(self) -> None:
        with self._lock:
            rooms = tuple(self._rooms.values())
        for room in rooms:
            self.close(room)


ROOMS = Rooms(RUNS)
