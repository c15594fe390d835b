"""Simulated students for tests/benchmarks/classroom.py: each a Streamlit session and the socket of its run.

A process of its own, so that their work is not counted as the server's: it is told what to do by JSON on its first line
of input, says "ready" when all tabs show their first picture, begins at the second line, and prints one JSON line.
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

OPENING = 60.0  # seconds for a tab to show its first picture
ANSWER = 20.0  # seconds after which a control counts as not answered
SETTLE = 3.0  # seconds of training before it is counted
GAINS = tuple(f"{0.5 + n / 20:.2f}" for n in range(16))


class Tab:
    """One student's tab on Explore."""

    def __init__(self, address: str, paint: float) -> None:
        self.address, self.paint = address, paint  # paint: seconds that this browser takes to paint a picture
        self.origin = f"http://{address}"
        self.token, self.gain_id, self.cached = "", "", set[str]()
        self.shown = asyncio.Condition()
        self.setting, self.reached, self.frames, self.bytes, self.ahead = -1, 0, 0, 0, 0
        self.page: ClientConnection | None = None
        self.live: ClientConnection | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.errors: list[str] = []

    async def open(self) -> None:
        """Load the page, and wait for the first picture."""
        self.page = await connect(
            f"ws://{self.address}/_stcore/stream", origin=self.origin, subprotocols=["streamlit"], max_size=None
        )
        self.tasks.append(asyncio.create_task(self._read_page()))
        await self._rerun({})
        await self._until(lambda: self.token and self.gain_id, OPENING)
        self.live = await connect(
            f"ws://{self.address}/live/{self.token}", origin=self.origin, max_size=None, compression=None
        )
        await self.say(do="theme", value="light")
        self.tasks.append(asyncio.create_task(self._read_pictures()))
        await self._until(lambda: self.setting > 0, OPENING)

    async def _until(self, condition: Any, seconds: float) -> None:
        async with asyncio.timeout(seconds), self.shown:
            await self.shown.wait_for(condition)

    async def say(self, **message: Any) -> None:
        assert self.live
        await self.live.send(json.dumps(message))

    async def _rerun(self, values: dict[str, str]) -> None:
        message = BackMsg()
        message.rerun_script.page_name = "explore"
        message.rerun_script.cached_message_hashes.extend(self.cached)
        for widget, value in values.items():
            message.rerun_script.widget_states.widgets.add(id=widget).string_array_value.data.append(value)
        assert self.page
        await self.page.send(message.SerializeToString())

    async def _read_page(self) -> None:
        """What Streamlit sends: where the gain's slider and the run's token stand in it."""
        assert self.page
        try:
            async for data in self.page:
                message = ForwardMsg.FromString(data)
                if message.metadata.cacheable:
                    self.cached.add(message.hash)
                element = message.delta.new_element
                if element.slider.id.endswith("-gain"):
                    self.gain_id = element.slider.id
                elif element.HasField("bidi_component") and '"token"' in element.bidi_component.json:
                    self.token = json.loads(element.bidi_component.json)["token"]
                elif element.HasField("exception"):
                    self.errors.append(f"the page: {element.exception.message[:80]}")
                async with self.shown:
                    self.shown.notify_all()
        except ConnectionClosed as gone:
            self.errors.append(f"the page was closed: {gone}")

    async def _read_pictures(self) -> None:
        assert self.live
        try:
            async for frame in self.live:
                size = int.from_bytes(frame[:4], "little")
                head = json.loads(frame[4 : 4 + size])
                self.frames, self.bytes = self.frames + 1, self.bytes + len(frame)
                if head["status"] == "error":
                    self.errors.append(head["message"])
                async with self.shown:
                    self.setting, self.reached = head["run"]["setting"], head["run"]["reached"]
                    self.shown.notify_all()
                asyncio.get_running_loop().call_later(self.paint, self._drawn, head["frame"])
        except ConnectionClosed as gone:
            self.errors.append(f"the pictures were closed: {gone}")

    def _drawn(self, frame: int) -> None:
        self.tasks.append(asyncio.ensure_future(self._acknowledge(frame)))
        self.tasks = [task for task in self.tasks if not task.done()]

    async def _acknowledge(self, frame: int) -> None:
        try:
            await self.say(do="drawn", frame=frame)
        except ConnectionClosed:  # said where it is read
            return

    async def move(self, value: str) -> float | None:
        """Move a control; returns the seconds until its picture was here, None where none came."""
        begin, before = time.perf_counter(), self.setting
        await self._rerun({self.gain_id: value})
        try:
            await self._until(lambda: self.setting > before, ANSWER)
        except TimeoutError:
            self.errors.append("a control was not answered")
            return None
        return time.perf_counter() - begin

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        for socket in (self.live, self.page):
            if socket is not None:
                await socket.close()


async def train(tab: Tab, speed: int, seconds: float) -> dict[str, float]:
    """Play; steps and frames a second, after the start."""
    await tab.say(do="speed", value=speed)
    await tab.say(do="play")
    await asyncio.sleep(SETTLE)
    begin, steps, frames = time.perf_counter(), tab.reached, tab.frames
    await asyncio.sleep(seconds - SETTLE)
    passed = time.perf_counter() - begin
    return {"steps": (tab.reached - steps) / passed, "frames": (tab.frames - frames) / passed}


async def choose(tab: Tab, every: float, seconds: float, chance: random.Random) -> list[float]:
    """Change a control every so often, in a phase of its own; seconds until each was answered."""
    end, took, last = time.perf_counter() + seconds, [], "0.90"  # what the page begins with
    at = time.perf_counter() + chance.uniform(0, every)
    while at < end:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        last = chance.choice([gain for gain in GAINS if gain != last])
        answer = await tab.move(last)
        if answer is not None:
            took.append(answer)
        at += every
    return took


async def classroom(asked: dict[str, Any]) -> None:
    """All students of this process."""
    tabs = [Tab(asked["address"], asked["paint"]) for _ in range(asked["train"] + asked["choose"])]
    opened = []
    for tab in tabs:  # one after the other: a class comes in by the door
        begin = time.perf_counter()
        try:
            await tab.open()
            opened.append(time.perf_counter() - begin)
        except (TimeoutError, OSError, ConnectionClosed) as problem:
            tab.errors.append(f"a tab did not open: {problem!r}")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began, chance, seconds = time.process_time(), random.Random(asked["seed"]), asked["seconds"]
    here = [(n < asked["train"], tab) for n, tab in enumerate(tabs) if tab.setting > 0]
    training = [train(tab, asked["speed"], seconds) for trains, tab in here if trains]
    choosing = [choose(tab, asked["every"], seconds, chance) for trains, tab in here if not trains]
    done = await asyncio.gather(*training, *choosing, return_exceptions=True)
    good = [end for end in done if not isinstance(end, BaseException)]
    failed = [f"a student failed: {end!r}" for end in done if isinstance(end, BaseException)]
    said = {
        "opened": opened, "cpu": time.process_time() - began, "bytes": sum(tab.bytes for tab in tabs),
        "errors": [error for tab in tabs for error in tab.errors] + failed,
        "training": [end for end in good if isinstance(end, dict)],
        "controls": [seconds for end in good if isinstance(end, list) for seconds in end],
    }  # fmt: skip
    print(json.dumps(said), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(tab.close() for tab in tabs), return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(classroom(json.loads(sys.stdin.readline())))
