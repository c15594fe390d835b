"""A room full of simulated students for tests/benchmarks/classroom.py --watch: a process of its own, as students.py.

A lecturer opens a tab, plays, and opens a room; each student's page gives a ticket, which as many sockets use as may.
"""

import asyncio
import json
import sys
import time
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

ROOT = __file__.rsplit("/", 3)[0]
sys.path.insert(0, ROOT)

from app.room import EACH  # noqa: E402
from tests.benchmarks.students import Tab  # noqa: E402

SETTLE = 3.0  # seconds of watching before lags are counted


class Page:
    """A Streamlit page: what its components were given, and its buttons."""

    def __init__(self, address: str) -> None:
        self.address, self.given, self.buttons = address, list[dict[str, Any]](), dict[str, str]()

    async def run(self, name: str, query: str = "", press: str = "") -> None:
        """Run the page once more, or press one of its buttons."""
        message = BackMsg()
        message.rerun_script.page_name, message.rerun_script.query_string = name, query
        if press:
            message.rerun_script.widget_states.widgets.add(id=self.buttons[press]).trigger_value = True
        await self.socket.send(message.SerializeToString())
        async with asyncio.timeout(60):
            while True:
                said = ForwardMsg.FromString(await self.socket.recv())
                element = said.delta.new_element
                if element.HasField("button"):
                    self.buttons[element.button.id.rsplit("-", 1)[1]] = element.button.id
                elif element.HasField("bidi_component") and element.bidi_component.json:
                    self.given.append(json.loads(element.bidi_component.json))
                if said.WhichOneof("type") == "script_finished":
                    return

    async def open(self) -> None:
        self.socket: ClientConnection = await connect(
            f"ws://{self.address}/_stcore/stream", origin=f"http://{self.address}", subprotocols=["streamlit"],
            max_size=None,
        )  # fmt: skip


async def ticket(address: str, code: str) -> str:
    """What a student's page gives its sockets."""
    student = Page(address)
    await student.open()
    await student.run("room", query=f"room={code}")
    given: str = next(given["stage"]["token"] for given in student.given if "stage" in given)
    return given


async def watch(address: str, token: str, end: float, paint: float, lags: list[float], errors: list[str]) -> int:
    """One student's screen; adds the milliseconds from each frame's stamp to its receipt. Returns how many came."""
    count, begin = 0, time.time()
    try:
        async with connect(
            f"ws://{address}/room/{token}?lang=en&theme=light",
            origin=f"http://{address}",
            max_size=None,
            compression=None,
        ) as socket:
            while time.time() < end:
                try:
                    message = await asyncio.wait_for(socket.recv(), 5)
                except TimeoutError:
                    errors.append("no frame for 5 s")
                    continue
                if isinstance(message, str):
                    continue
                size = int.from_bytes(message[:4], "little")
                head = json.loads(message[4 : 4 + size])
                if time.time() - begin > SETTLE:
                    lags.append(time.time() * 1000 - head["sent"])
                    count += 1
                await asyncio.sleep(paint)
                await socket.send(json.dumps({"do": "drawn", "frame": head["frame"]}))
    except (ConnectionClosed, OSError) as gone:
        errors.append(f"a screen was lost: {gone}")
    return count


async def main(asked: dict[str, Any]) -> None:
    address = asked["address"]
    lecturer, page = Tab(address, 0.05), Page(address)
    await page.open()
    await page.run("explore")
    await page.run("explore", press="open_room")
    code = next(given["code"] for given in page.given if "code" in given)
    own = next(given["token"] for given in page.given if "pictures" in given)
    lecturer.live = await connect(
        f"ws://{address}/live/{own}", origin=f"http://{address}", max_size=None, compression=None
    )
    await lecturer.say(do="theme", value="light")
    lecturer.tasks.append(asyncio.create_task(lecturer._read_pictures()))
    tickets = [await ticket(address, code) for _ in range(-(-asked["watch"] // EACH))]
    await lecturer.say(do="play")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began, before, begin = time.process_time(), lecturer.reached, time.time()
    lags, errors = list[float](), list[str]()
    screens = [
        watch(address, tickets[n // EACH], begin + asked["seconds"], asked["paint"], lags, errors)
        for n in range(asked["watch"])
    ]
    counts = await asyncio.gather(*screens)
    passed = time.time() - begin
    said = {
        "lags": lags, "counts": counts, "errors": errors + lecturer.errors, "cpu": time.process_time() - began,
        "steps": (lecturer.reached - before) / passed,
    }  # fmt: skip
    print(json.dumps(said), flush=True)
    await lecturer.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline())))
