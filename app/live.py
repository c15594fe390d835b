"""The WebSocket /live/{token}: pictures of one run go out, commands of its player come in, and nothing else.

Out: binary frames (app/frames.py), the newest state only, and only after the browser has drawn the last one.
In: small JSON texts, see COMMANDS. A connection that sends rubbish is closed.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect

from app.drawing import Drawing
from app.export import signed, source_of_shown
from app.figures import palette
from app.figures.spoken import spoken
from app.frames import Encoder
from app.limits import LIMITS
from app.registry import RUNS
from app.runs import SPEEDS, Run
from app.training import LAST_STEP
from app.words import _, speak

UNKNOWN, FULL = 4404, 4429  # close codes of ours: no such run (any more); it has as many pictures as it may
RUBBISH, TOO_BIG = 1008, 1009
LONGEST = 256  # characters of a message
PATIENCE = 5  # messages that make no sense before the connection is closed
EVERY = 1 / 12  # seconds between two frames while training
FIRST_WORD = 0.3  # seconds to wait for the theme before the first frame
THEMES = ("light", "dark")
DRAWING = Drawing()
log = logging.getLogger(__name__)


class Bucket:
    """How many messages of one socket are heard: so many a second, and twice as many at once."""

    def __init__(self, rate: float) -> None:
        self._rate, self._left, self._at = rate, 2 * rate, time.monotonic()
        self._late = 0  # messages that had to wait since there was room for a second's

    async def take(self) -> bool:
        """Wait until one more may be heard; meanwhile nothing is read. False: that goes on, it is a flood."""
        now = time.monotonic()
        self._left = min(2 * self._rate, self._left + self._rate * (now - self._at)) - 1
        self._at = now
        if self._left >= self._rate:  # not at the first in time: a busy server oversleeps, and hears some at once then
            self._late = 0
        elif self._left < 0:
            self._late += 1
            await asyncio.sleep(-self._left / self._rate)
        return self._late < 2 * self._rate


class Command(NamedTuple):
    field: str | None  # the only other key of the message
    allows: Callable[[Any], bool]
    act: Callable[["Viewer", Any], None]


def _whole(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


COMMANDS = {
    "drawn": Command("frame", lambda n: _whole(n, 2**53), lambda viewer, n: viewer.drawn(n)),
    "theme": Command("value", lambda name: name in THEMES, lambda viewer, name: viewer.paint(name)),
    "play": Command(None, lambda value: True, lambda viewer, value: viewer.run.play()),
    "pause": Command(None, lambda value: True, lambda viewer, value: viewer.run.pause()),
    "reset": Command(None, lambda value: True, lambda viewer, value: viewer.run.reset()),
    "step": Command("to", lambda n: _whole(n, LAST_STEP), lambda viewer, n: viewer.run.step(n)),
    "speed": Command("value", lambda v: _whole(v, 1000) and v in SPEEDS, lambda viewer, v: viewer.run.speed(v)),
    "show": Command("step", lambda n: n is None or _whole(n, LAST_STEP), lambda viewer, n: viewer.run.show(n)),
    "view": Command("layer", lambda n: _whole(n, 63), lambda viewer, n: viewer.run.view(n)),
}


def understand(text: str) -> tuple[Command, Any] | None:
    """The command of a message and its value; None for anything that is not exactly one of ours."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(do := message.get("do"), str) or do not in COMMANDS:
        return None
    command = COMMANDS[do]
    if message.keys() != {"do", command.field} - {None}:
        return None
    value = message[command.field] if command.field else None
    return (command, value) if isinstance(value, int | str | None) and command.allows(value) else None


def same_origin(ws: WebSocket) -> bool:
    """Does the page that opens the socket come from this server? A browser always says so, and cannot lie."""
    try:
        origin = urlsplit(ws.headers.get("origin", ""))
    except ValueError:
        return False
    return origin.scheme in ("http", "https") and origin.netloc.lower() == ws.headers.get("host", "").lower() != ""


def frame(run: Run, encoder: Encoder, number: int, theme: str, pictures: Sequence[str]) -> bytes:
    """One message for the browser: the player's state, the verdict and what changed in these pictures."""
    head, snapshot = run.picture()
    head |= {"frame": number, "verdict": None, "cost": "", "radii": None}
    if snapshot is None:
        return encoder.encode(head, {})
    colours = palette(theme)
    head |= run.words(snapshot, theme)
    source = source_of_shown(snapshot)
    figures = {name: signed(name, spoken(run.figures[name](snapshot, colours)), source) for name in pictures}
    return encoder.encode(head, figures)


def failed(run: Run, number: int) -> bytes:
    """What is sent instead when drawing fails: the state of the player, and that something is wrong."""
    head = run.head() | {"frame": number, "verdict": None, "cost": "", "radii": None, "status": "error"}
    head["message"] = _("The pictures could not be drawn. Reset begins again; so does every control.")
    return Encoder().encode(head, {})


async def crowded(ws: WebSocket, run: Run) -> None:
    """Say that it has too many pictures, and close."""
    head = run.head() | {"frame": 0, "verdict": None, "cost": "", "radii": None, "status": "error"}
    sentence = _("This run is open in {n} windows, which is the most that this server allows. Close one of them.")
    head["message"] = sentence.format(n=LIMITS.sockets)
    await ws.send_bytes(Encoder().encode(head, {}))
    await ws.close(FULL)


def _call_soon(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Call `what` on the loop, from any thread; a loop that has ended meanwhile needs no news."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what)


@dataclass
class Viewer:
    """One connection. All of it runs on the event loop; only the encoding is done in a thread."""

    ws: WebSocket
    run: Run
    pictures: Sequence[str]

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.news, self.free, self.themed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.stirred = asyncio.Event()  # either of the first two was set
        self.news.set()
        self.free.set()
        self.number, self.theme = 0, "light"
        self.ahead = False  # was the last frame sent before the one before it was drawn?
        self.watcher = self.run.watch(partial(_call_soon, loop, self.wake))

    def wake(self) -> None:
        self.news.set()
        self.stirred.set()

    def drawn(self, number: int) -> None:
        if number == self.number:  # an old or a doubled "drawn" says nothing about the frame that is on its way
            self.watcher.drawn()
            self.free.set()
            self.stirred.set()

    def paint(self, theme: str) -> None:
        self.themed.set()
        if theme != self.theme:
            self.theme = theme
            self.news.set()

    async def send(self) -> None:
        encoder, last, setting = Encoder(), 0.0, None
        with suppress(TimeoutError):  # the browser begins with its theme: a light flash in a dark page is ugly
            await asyncio.wait_for(self.themed.wait(), FIRST_WORD)
        while True:
            await self.news.wait()
            await self.room(setting)
            await self.pause(last + EVERY, setting)
            self.news.clear()
            self.ahead = not self.free.is_set()
            self.free.clear()
            self.number += 1
            answers = self.run.setting != setting or not self.run.head()["run"]["playing"]
            while not answers and RUNS.pool.held():  # a picture of training can wait
                await asyncio.sleep(0.01)
            last, setting = time.monotonic(), self.run.setting
            try:
                message, work = await DRAWING.draw(
                    answers, frame, self.run, encoder, self.number, self.theme, self.pictures
                )
                if not answers:
                    RUNS.pool.pictured("drawing", work)
            except Exception:  # a picture that fails costs neither the connection nor the next picture
                log.exception("a picture failed")
                encoder, message = Encoder(), failed(self.run, self.number)
            self.watcher.sent(setting)
            await self.ws.send_bytes(message)
            RUNS.pool.release(self.run.token)

    async def room(self, setting: int | None) -> None:
        """Wait until the last frame was drawn; one of a control that moved since goes ahead of that, never two."""
        while not self.free.is_set() and (self.ahead or self.run.setting == setting):
            self.stirred.clear()
            await self.stirred.wait()

    async def pause(self, until: float, setting: int | None) -> None:
        """Wait, but not when a control has moved: that is answered at once."""
        while (left := until - time.monotonic()) > 0 and self.run.setting == setting:
            self.news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), left)

    async def listen(self) -> None:
        """Obey until the browser is gone."""
        rubbish, bucket = 0, Bucket(LIMITS.commands)
        while (message := await self.ws.receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            if text is None or len(text) > LONGEST:  # nothing of ours is binary
                await self.ws.close(TOO_BIG)
                return
            if understood := understand(text):
                command, value = understood
                command.act(self, value)
            elif (rubbish := rubbish + 1) >= PATIENCE:
                await self.ws.close(RUBBISH)
                return
            if not await bucket.take():
                log.warning("a socket was closed that sent more than %d messages a second", LIMITS.commands)
                await self.ws.close(RUBBISH)
                return


async def live(ws: WebSocket) -> None:
    """The route."""
    if not same_origin(ws):
        await ws.close()
        return
    await ws.accept()
    run = RUNS.get(ws.path_params["token"])
    if run is None:
        await ws.close(UNKNOWN)
        return
    speak(ws.query_params.get("lang", ""))
    if run.watchers >= LIMITS.sockets:
        await crowded(ws, run)
        return
    asked = ws.query_params.get("pictures")
    pictures = tuple(run.figures) if asked is None else [name for name in run.figures if name in asked.split(",")]
    viewer = Viewer(ws, run, pictures)
    tasks = {asyncio.create_task(viewer.send()), asyncio.create_task(viewer.listen())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:  # whichever ended, the other would wait for ever
        viewer.watcher.close()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect | RuntimeError):
                raise result
