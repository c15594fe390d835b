"""The WebSocket /room/{token}: one run for many screens. A picture is drawn and encoded once, whoever watches.

The token says who comes: a watcher (Room.ticket) or the lecturer (Room.host). The query: `pictures=flow,loss` (all,
where it is missing), `lang=en`, `theme=light`, `you=` who one was before (see below). Neither token commands the run.

Out, to watchers: binary frames as of /live (app/frames.py), at most 5 a second, never one before the last was drawn.
The head has beside what /live says `sent` (the server's time in ms when the frame was drawn) and `hidden` (no
pictures now). A frame is either whole, or a difference to the frame with the number before; frames that a slow screen
has missed are never sent again, it then gets a whole one.
Out, to all: JSON texts.
  {"room": Room.state(…)}   what is pointed at, the question, the votes where they may be seen; `settings` in words
  {"you": {"id": …, "number": n, "choice": i | null}}   to watchers: who they are, to be said again after a reload
  {"over": "closed" | "full"}   the last word, then the connection is closed with 4404
In: {"do": "drawn", "frame": n}, {"do": "theme", "value": "dark"}, {"do": "vote", "number": n, "choice": i} from
watchers; {"do": "point", "picture": "flow" | null, "at": x | null} from the lecturer. Anything else is rubbish;
so is more than RATE messages a second.
"""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from app.broadcast import Broadcast, Seat
from app.live import LONGEST, PATIENCE, RUBBISH, THEMES, TOO_BIG, UNKNOWN, same_origin
from app.room import Room
from app.rooms import ROOMS
from app.words import LANGUAGES

RATE, BURST = 15.0, 30.0  # messages a second that one page may send, and how many at once
POLITE = 1.0  # seconds in which a page can take that its place is somebody else's
SLOW = 10.0  # seconds after which a page that takes nothing is let go
GONE = (WebSocketDisconnect, RuntimeError, TimeoutError)  # how a connection ends that the other side has left


class Guest(Seat):
    """One connection. All of it runs on the event loop."""

    def __init__(self, ws: WebSocket, broadcast: Broadcast, host: bool) -> None:
        query, figures = ws.query_params, broadcast.room.run.figures
        asked = query.get("pictures")
        super().__init__(host)
        self.ws, self.broadcast, self.room = ws, broadcast, broadcast.room
        self.pictures = tuple(name for name in figures if asked is None or name in asked.split(","))
        self.language = query.get("lang", "") if query.get("lang") in LANGUAGES else "en"
        self.theme = query.get("theme", "") if query.get("theme") in THEMES else "light"
        self.name = "" if host else self.room.voter(query.get("you", "")[:LONGEST])
        self.stirred.set()
        self.number = 0  # of the frame that was sent last
        self._budget, self._spent = BURST, time.monotonic()
        self._choose()
        broadcast.seats.add(self)

    def _choose(self) -> None:
        """Which frames are for this guest."""
        self.has, self.key = None, self.broadcast.allowed((self.theme, self.language, self.pictures))
        self.broadcast.wake()

    def leave(self) -> None:
        self.broadcast.seats.discard(self)
        if not self.host:
            self.room.gone(self.name)

    async def send(self) -> None:
        text = mine = ""
        while True:
            await self.stirred.wait()
            if self.room.closed:
                break
            self.stirred.clear()
            if not self.host and mine != (mine := self._mine()):
                await self._put(mine)
            sees = self.host or self.room.voted(self.name) is not None
            if text != (text := self.broadcast.text(self.language, sees)):
                await self._put(text)
            if self.host or not self.free:
                continue
            if (message := await self.broadcast.message(self)) is not None:
                channel, number, frame = message
                self.free, self.number, self.has = False, number, (channel, number)
                self.waits = time.monotonic()
                self.broadcast.watcher.sent(0)
                await self._put(frame)
        await self._put(json.dumps({"over": "closed"}))
        await self.ws.close(UNKNOWN)

    async def _put(self, message: str | bytes) -> None:
        """TimeoutError where the other side takes nothing."""
        send = self.ws.send_text(message) if isinstance(message, str) else self.ws.send_bytes(message)
        await asyncio.wait_for(send, SLOW)

    def _mine(self) -> str:
        choice = self.room.voted(self.name)
        return json.dumps({"you": {"id": self.name, "number": self.room.number, "choice": choice}})

    async def listen(self) -> None:
        """Take what comes until the browser is gone."""
        rubbish = 0
        while (message := await self.ws.receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            if text is None or len(text) > LONGEST:
                await self.ws.close(TOO_BIG)
                return
            if not (self._affords() and self.obey(text)) and (rubbish := rubbish + 1) >= PATIENCE:
                await self.ws.close(RUBBISH)
                return

    def _affords(self) -> bool:
        now = time.monotonic()
        self._budget = min(BURST, self._budget + RATE * (now - self._spent)) - 1
        self._spent = now
        return self._budget >= 0

    def obey(self, text: str) -> bool:
        """Do what a message says; False for anything that is not exactly one of ours."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return False
        match message, self.host:
            case {"do": "drawn", "frame": int(n), **rest}, False if not rest and type(n) is int:
                self._drawn(n)
            case {"do": "theme", "value": ("light" | "dark") as theme, **rest}, False if not rest:
                self._paint(theme)
            case {"do": "vote", "number": int(n), "choice": int(i), **rest}, False if not rest and type(i) is int:
                if not 0 <= i < 100:
                    return False
                self.room.vote(self.name, n, i)
                self.stirred.set()  # too late, or not at all: what counts is told again
            case {"do": "point", "picture": picture, "at": at, **rest}, True if not rest:
                known = picture is None or (isinstance(picture, str) and picture in self.room.run.figures)
                if not known or not (at is None or _number(at)):
                    return False
                self.room.point(picture, at)
            case _:
                return False
        return True

    def _drawn(self, number: int) -> None:
        if number == self.number:  # an old or a doubled one says nothing about the frame that is on its way
            self.broadcast.watcher.drawn()
            self.free = True
            self.stirred.set()
            self.broadcast.wake()

    def _paint(self, theme: str) -> None:
        if theme != self.theme:
            self.theme = theme
            self._choose()


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e12  # neither NaN nor infinity is, and no int overflows here


_broadcasts: dict[Room, Broadcast] = {}


async def room(ws: WebSocket) -> None:
    """The route."""
    if not same_origin(ws):
        await ws.close()
        return
    await ws.accept()
    found = ROOMS.by_token(ws.path_params["token"])
    here, host = found or (None, False)
    ticket = None if host else ws.path_params["token"]
    if here is None or not (here.enter(ticket) or (await _make_way(here) and here.enter(ticket))):
        await _over(ws, "closed" if here is None or here.closed else "full")
        return
    broadcast = _broadcasts.get(here)
    if broadcast is None:
        broadcast = _broadcasts[here] = Broadcast(here)
    guest = Guest(ws, broadcast, host)
    tasks = {asyncio.create_task(part) for part in (guest.send(), guest.listen(), guest.out.wait())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:  # whichever ended, the other would wait for ever
        guest.leave()
        here.leave(ticket)
        guest.gone.set()
        if not broadcast.seats:
            broadcast.close()
            _broadcasts.pop(here, None)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, GONE):
                raise result
    if guest.out.is_set():
        with suppress(*GONE):
            await asyncio.wait_for(_over(ws, "full"), POLITE)


async def _over(ws: WebSocket, why: str) -> None:
    """The last word."""
    await ws.send_text(json.dumps({"over": why}))
    await ws.close(UNKNOWN)


async def _make_way(room: Room) -> bool:
    """In a full room, whoever has not looked for long goes."""
    broadcast = _broadcasts.get(room)
    seat = broadcast.asleep() if broadcast is not None and not room.closed else None
    if seat is None:
        return False
    seat.out.set()
    await seat.gone.wait()
    return True
