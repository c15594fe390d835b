"""What a room sends: a picture is drawn and encoded once, whoever watches. No page in here; its socket: audience.py."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import engine
from app.export import signed, source_of
from app.figures import palette
from app.figures.run import cost, radii
from app.figures.words import verdict
from app.frames import Encoder
from app.room import Room
from app.snapshot import Snapshot
from app.words import _, speak

EVERY = 0.2  # seconds from one frame to the next
REST = 0.05  # seconds that the loop gets at least between two frames, where drawing takes longer than that
ASLEEP = 60.0  # seconds after which a screen that draws nothing gives way to another, where a room is full
MOST_CHANNELS = 8  # further choices of pictures get all of them, so that many wishes cost no more than this
Key = tuple[str, str, tuple[str, ...]]  # theme, language, pictures
log = logging.getLogger(__name__)


class Channel:
    """The pictures for all who have the same theme, language and choice of pictures. Drawn in one thread at a time."""

    def __init__(self, key: Key) -> None:
        self.theme, self.language, self.pictures = key
        self.number = 0  # of the newest frame
        self.version = -1  # of the news that it shows
        self.difference = b""  # from the frame before
        self._encoder = Encoder()
        self._head: dict[str, Any] = {}
        self._figures: dict[str, Any] = {}
        self._whole: tuple[int, bytes] = (0, b"")

    def draw(self, room: Room, head: dict[str, Any], snapshot: Snapshot | None) -> None:
        speak(self.language)
        hidden = room.hidden
        head = head | {"verdict": None, "cost": "", "radii": None, "hidden": hidden, "sent": time.time() * 1000}
        figures = {}
        if hidden:
            head["run"] = head["run"] | {"diverged": None, "stopped": None}
            head["verdict"] = {"kind": "waiting", "badge": _("Guess first"), "rule": "", "why": ""}
            head["verdict"]["what"] = _("The pictures are hidden until the run answers.")
        elif snapshot is not None:
            head |= {"verdict": verdict(snapshot), "cost": cost(snapshot), "radii": radii(snapshot)}
            colours = palette(self.theme)
            source = source_of(snapshot.experiment, snapshot.drawn, snapshot.weights_of)
            figures = {name: signed(name, room.run.figures[name](snapshot, colours), source) for name in self.pictures}
        head["frame"] = self.number + 1
        if not figures:  # whoever comes meanwhile has none: the next ones go whole to all
            self._encoder = Encoder()
        self.difference = self._encoder.encode(head, figures)
        self._head, self._figures = head, figures
        self.number += 1

    def whole(self) -> tuple[int, bytes]:
        """The newest frame's number, and all of it; encoded when somebody asks first."""
        number, head, figures = self.number, self._head, self._figures
        if self._whole[0] != number:
            self._whole = number, Encoder().encode(head, figures)
        return self._whole


@dataclass(eq=False)
class Seat:
    """One screen, as far as it matters for what it is sent."""

    host: bool  # the lecturer's: it gets no pictures
    key: Key = ("light", "en", ())
    free: bool = True  # the last frame was drawn
    waits: float = 0.0  # since when it is not
    has: tuple[Channel, int] | None = None  # the frame that was sent last
    stirred: asyncio.Event = field(default_factory=asyncio.Event)  # there may be something for it
    out: asyncio.Event = field(default_factory=asyncio.Event)  # it gives way to another
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # it has left, and its place is free


class Broadcast:
    """What a room sends: made once, for all its seats. Lives on the event loop, as long as somebody is there."""

    def __init__(self, room: Room) -> None:
        loop = asyncio.get_running_loop()
        self.room = room
        self.seats: set[Seat] = set()
        self.channels: dict[Key, Channel] = {}
        self.drawing = asyncio.Lock()  # of frames: in one thread at a time
        self._news = asyncio.Event()
        self._version = 0  # counts the news of the run
        self._texts: dict[tuple[str, bool], tuple[int, str]] = {}
        self._settings: engine.Experiment | None = None
        self._ends = room.listen(partial(_soon, loop, self._changed))
        self.watcher = room.run.watch(partial(_soon, loop, self._changed))
        self._task = asyncio.create_task(self._serve())

    def _changed(self) -> None:
        """There is something new of the run, or of the room."""
        self._version += 1
        self._news.set()

    def wake(self) -> None:
        """Somebody waits for a frame (again)."""
        self._news.set()

    def close(self) -> None:
        self._ends()
        self.watcher.close()
        self._task.cancel()

    async def _serve(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            begun = time.monotonic()
            try:
                await self._draw()
            except Exception:  # a picture that fails costs neither the room nor the next picture
                log.exception("a room's picture failed")
            for seat in tuple(self.seats):
                seat.stirred.set()
            await asyncio.sleep(max(REST, begun + EVERY - time.monotonic()))

    async def _draw(self) -> None:
        """Bring up to date what somebody is waiting for."""
        version = self._version
        wanted = {seat.key for seat in self.seats if seat.free and not seat.host}
        self.channels = {seat.key: self._channel(seat.key) for seat in self.seats if not seat.host}
        stale = [channel for key, channel in self.channels.items() if key in wanted and channel.version != version]
        if not stale and self.room.phase != "running":
            return
        async with self.drawing:
            head, snapshot = await asyncio.to_thread(self.room.picture)
            if snapshot is not None and snapshot.experiment != self._settings:
                self._settings = snapshot.experiment
                self._texts.clear()
            for channel in stale:
                await asyncio.to_thread(channel.draw, self.room, head, snapshot)
                channel.version = version

    def _channel(self, key: Key) -> Channel:
        return self.channels.get(key) or Channel(key)

    def asleep(self) -> Seat | None:
        """Who has not drawn the last frame for longest, and for long: a page in the background, or a script."""
        late = time.monotonic() - ASLEEP
        found = [seat for seat in self.seats if not seat.host and not seat.free and seat.waits < late]
        return min(found, key=lambda seat: seat.waits, default=None)

    def allowed(self, key: Key) -> Key:
        """The same, or with all pictures."""
        taken = {seat.key for seat in self.seats if not seat.host}
        if key in taken or len(taken) < MOST_CHANNELS:
            return key
        return *key[:2], tuple(self.room.run.figures)

    async def message(self, seat: Seat) -> tuple[Channel, int, bytes] | None:
        """What leads a seat to the newest frame; None: it has it, or there is none."""
        channel = self.channels.get(seat.key)
        if channel is None or channel.number == 0 or seat.has == (channel, channel.number):
            return None
        if seat.has == (channel, channel.number - 1):
            return channel, channel.number, channel.difference
        async with self.drawing:
            number, frame = await asyncio.to_thread(channel.whole)
        return channel, number, frame

    def text(self, language: str, sees: bool) -> str:
        """What all are told in a language, encoded once."""
        version, text = self._texts.get((language, sees), (-1, ""))
        if version != self._version:
            speak(language)
            settings = None if self._settings is None else described(self._settings)
            text = json.dumps({"room": self.room.state(sees) | {"settings": settings}}, ensure_ascii=False)
            self._texts[language, sees] = self._version, text
        return text


def _soon(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Call `what` on the loop, from any thread; a loop that has ended meanwhile needs no news."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what)


def described(e: engine.Experiment) -> str:
    """The experiment in one line."""
    text = _(
        "{cell}, {layers} × {H} {phi} units · {task}, T = {T}, batch {B} · {init}, gain {gain} · "
        "{optimizer} at {lr}, clip {clip}"
    )
    return text.format(
        cell=_(engine.CELLS[e.cell].label), layers=e.num_layers, H=e.hidden_size,
        phi=_(engine.ACTIVATIONS[e.nonlinearity].label), task=_(engine.TASKS[e.task].label), T=e.steps, B=e.sequences,
        init=_(engine.INITS[e.init].label), gain=f"{e.gain:g}", optimizer=_(engine.OPTIMIZERS[e.optimizer].label),
        lr=f"{e.lr:g}", clip=_(engine.CLIPS[e.clip].label, "clip"),
    )  # fmt: skip
