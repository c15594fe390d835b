"""Random visitors, good and bad, against a server of its own: afterwards it is idle, small, and has logged no error.

PYTHONPATH=. .venv/bin/python tests/benchmarks/soak.py --minutes 5 --at-once 12
Loopback only, bounded in count and time. Each visitor does one of VISITS, then goes, properly or not.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from websockets.asyncio.client import connect  # noqa: E402

from app.room import EACH  # noqa: E402
from tests.benchmarks.classroom import GONE, Process  # noqa: E402
from tests.benchmarks.students import GAINS, Tab  # noqa: E402
from tests.benchmarks.watchers import Page  # noqa: E402
from tests.conftest import Server  # noqa: E402

MOST_MINUTES, MOST_AT_ONCE = 30, 40
Visit = Callable[[str, random.Random], Awaitable[None]]


async def _at_work(address: str, chance: random.Random) -> Tab:
    """A tab that has changed something, and trains."""
    tab = Tab(address, 0.02)
    await tab.open()
    for _ in range(chance.randrange(3)):
        await tab.move(chance.choice(GAINS))
    await tab.say(do="speed", value=chance.choice((0, 4, 20)))
    await tab.say(do="play")
    await asyncio.sleep(chance.uniform(0, 6))
    return tab


async def works(address: str, chance: random.Random) -> None:
    """As people do."""
    await (await _at_work(address, chance)).close()


async def is_cut(address: str, chance: random.Random) -> None:
    """The browser is killed: its sockets are reset, with no word."""
    tab = await _at_work(address, chance)
    for task in tab.tasks:
        task.cancel()
    for each in (tab.live, tab.page):
        assert each
        raw = each.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        each.transport.abort()


async def talks_nonsense(address: str, chance: random.Random) -> None:
    """Wrong, huge and binary messages, on every socket."""
    tab = await _at_work(address, chance)
    words = ["", "[" * 200, '{"do": "show", "step": -1}', "x" * 300, '{"do": "step", "to": 1e308}', "\x00", "9" * 5000]
    assert tab.live
    assert tab.page
    for _ in range(8):
        await tab.live.send(chance.choice([*words, chance.randbytes(100), bytes(5_000_000)]))
    for _ in range(3):
        await tab.page.send(chance.choice([chance.randbytes(1000), b"", bytes(2_000_000)]))
    await asyncio.sleep(0.5)
    await tab.close()


async def reads_nothing(address: str, chance: random.Random) -> None:
    """A socket that takes nothing, while its run trains."""
    tab = await _at_work(address, chance)
    async with connect(f"ws://{address}/live/{tab.token}", origin=f"http://{address}", max_queue=1) as slow:
        slow.transport.pause_reading()
        await asyncio.sleep(chance.uniform(2, 15))
        slow.transport.abort()
    await tab.close()


async def is_half_open(address: str, chance: random.Random) -> None:
    """Connections that say a part of a request, or nothing."""
    host, port = address.split(":")
    begun = [
        b"", b"GET / HT", b"GET /live/x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n", b"\x16\x03\x01" * 50,
        b"PUT /_stcore/upload_file/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\nabc", b"A" * 200_000,
    ]  # fmt: skip
    opened = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
    for _reader, writer in opened:
        writer.write(chance.choice(begun))
    await asyncio.sleep(chance.uniform(1, 10))
    for _reader, writer in opened:
        writer.transport.abort()


async def holds_a_room(address: str, chance: random.Random) -> None:
    """Opens a room, has it watched and taken from, and goes without closing it."""
    lecturer, student = Page(address), Page(address)
    await lecturer.open()
    await lecturer.run("explore", "hidden_size=8&seq_length=20")
    await lecturer.run("explore", "hidden_size=8&seq_length=20", "open_room")
    code = next(given["code"] for given in reversed(lecturer.given) if "join" in given)
    await student.open()
    await student.run("room", f"room={code}")
    token = next(given["stage"]["token"] for given in reversed(student.given) if "stage" in given)
    sockets = [connect(f"ws://{address}/room/{token}", origin=f"http://{address}") for _ in range(EACH)]
    opened = [await each for each in sockets]
    for each in opened:
        await each.send(chance.choice(['{"do": "drawn", "frame": 1}', "rubbish", '{"do": "vote"}']))
    await asyncio.sleep(chance.uniform(1, 8))
    for each in opened:
        each.transport.abort()
    for page in (lecturer, student):
        page.socket.transport.abort()


VISITS: tuple[Visit, ...] = (works, works, is_cut, is_cut, talks_nonsense, reads_nothing, is_half_open, holds_a_room)


async def visit(address: str, n: int, end: float, done: Counter[str]) -> None:
    """One visitor after the other, until the time is over."""
    chance = random.Random(n)
    while time.monotonic() < end:
        what = chance.choice(VISITS)
        try:
            async with asyncio.timeout(90):
                await what(address, chance)
            done[what.__name__] += 1
        except Exception as problem:  # a server that closes on nonsense is right to do so
            done[f"{what.__name__}: {type(problem).__name__}"] += 1


async def visits(address: str, seconds: float, at_once: int) -> Counter[str]:
    done: Counter[str] = Counter()
    end = time.monotonic() + seconds
    await asyncio.gather(*(visit(address, n, end, done) for n in range(at_once)))
    return done


def soak(seconds: float, at_once: int) -> dict[str, Any]:
    server = Server()
    try:
        time.sleep(5)
        taken = Process(server.process.pid)
        begin = taken.status("VmRSS")
        done = asyncio.run(visits(server.url.removeprefix("http://"), seconds, at_once))
        peak, files = taken.status("VmHWM"), len(os.listdir(taken.folder / "fd"))
        time.sleep(GONE + 20)
        cpu = taken.cpu()
        time.sleep(10)
        log = server.output()
        return {
            "visits": dict(done), "memory MB": {"start": begin, "peak": peak, "after": taken.status("VmRSS")},
            "open files": {"at work": files, "after": len(os.listdir(taken.folder / "fd"))},
            "cores when idle": (taken.cpu() - cpu) / 10,
            "tracebacks": log.count("Traceback"), "end of the log": log[-1500:],
        }  # fmt: skip
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--at-once", type=int, default=12)
    asked = parser.parse_args()
    found = soak(60 * min(asked.minutes, MOST_MINUTES), min(asked.at_once, MOST_AT_ONCE))
    for name, value in found.items():
        print(f"{name:16} {value if isinstance(value, str) else json.dumps(value)}", flush=True)


if __name__ == "__main__":
    main()
