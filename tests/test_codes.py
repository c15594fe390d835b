"""A script cannot find a room by trying codes, nor take all its places; a class behind one address can."""

import asyncio
import importlib
import resource
from types import SimpleNamespace
from typing import Any

import pytest

import app.codes
import app.doors
import app.room
import app.rooms
from app.codes import LENGTH, LETTERS, Tries, new_code
from app.doors import FILES, PLACES, Doors, Places, network, open_files
from app.limits import LIMITS
from app.room import EACH
from app.rooms import HEALED, WRONG, Rooms, TooMany
from app.views.room import HEALED as PAGE_HEALED
from app.views.room import WRONG as PAGE_WRONG
from tests.running import run_async

LECTURE = 2 * 3600  # seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that the test sets."""
    time = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(app.codes, "time", SimpleNamespace(monotonic=lambda: time.now))
    return time


def test_all_codes_that_are_heard_in_a_lecture_find_a_room_with_no_chance_worth_the_word():
    heard = LIMITS.rooms * (WRONG + HEALED * LECTURE)  # of one network, however many pages it opens
    assert heard / len(LETTERS) ** LENGTH < 1e-5
    assert PAGE_WRONG + PAGE_HEALED * LECTURE < 1000


def test_who_tried_too_many_wrong_ones_is_not_heard_even_with_a_right_one(registry, clock):
    rooms = Rooms(registry)
    room, mine = rooms.open(registry.open()), Tries(5, 0.1)
    for _ in range(5):
        assert rooms.seek(new_code(), mine, "") is None
    with pytest.raises(TooMany):
        rooms.seek(room.code, mine, "")
    assert rooms.seek(room.code, Tries(5, 0.1), "") is room, "another one is"
    clock.now += 9
    with pytest.raises(TooMany):
        rooms.seek(room.code, mine, "")
    clock.now += 2
    assert rooms.seek(room.code, mine, "") is room
    for _ in range(20):
        assert rooms.seek(room.code, mine, "") is room, "right ones do not count"


def test_a_script_with_many_pages_ends_at_its_network_and_a_class_does_not(registry, clock):
    rooms = Rooms(registry)
    room = rooms.open(registry.open())
    for _ in range(100):  # students behind one address, who mistype twice
        mine = Tries(PAGE_WRONG, PAGE_HEALED)
        for _ in range(2):
            rooms.seek(new_code(), mine, "10.0.0.1")
        assert rooms.seek(room.code, mine, "10.0.0.1") is room
    for _ in range(WRONG):
        rooms.seek(new_code(), Tries(PAGE_WRONG, PAGE_HEALED), "10.0.0.2")
    with pytest.raises(TooMany):
        rooms.seek(room.code, Tries(PAGE_WRONG, PAGE_HEALED), "10.0.0.2")
    assert rooms.seek(room.code, Tries(PAGE_WRONG, PAGE_HEALED), "10.0.0.1") is room


def test_what_is_remembered_of_tries_is_bounded(clock, monkeypatch):
    monkeypatch.setattr(app.codes, "KNOWN", 10)
    tries = Tries(1, 0.0)
    for n in range(50):
        tries.wrong(str(n))
    assert len(tries._wrong) == 10
    assert not tries.hears("49")
    assert tries.hears("0")


def test_one_ticket_is_few_places_and_a_place_is_free_at_once(registry):
    room = Rooms(registry).open(registry.open())
    mine = room.ticket()
    assert [room.enter(mine) for _ in range(EACH + 2)] == [True] * EACH + [False] * 2
    assert room.enter(room.ticket())
    room.leave(mine)
    assert room.enter(mine)
    assert not room.enter("no ticket")
    assert room.admits("no ticket") is None
    assert room.admits("‮") is None


def test_tickets_that_nobody_uses_are_void_when_there_are_too_many(registry, monkeypatch):
    monkeypatch.setattr(app.room, "MOST_TICKETS", 5)
    room = Rooms(registry).open(registry.open())
    used = room.ticket()
    assert room.enter(used)
    later = [room.ticket() for _ in range(20)]
    assert len(room._tickets) == 5
    assert room.admits(used) is False
    assert room.admits(later[0]) is None
    assert room.admits(later[-1]) is False


def test_one_network_opens_half_of_the_rooms_and_empty_ones_make_way(registry, monkeypatch):
    monkeypatch.setattr(app.rooms, "MOST_ROOMS", 4)
    rooms = Rooms(registry)
    theirs = [rooms.open(registry.open(), "10.0.0.2") for _ in range(2)]
    with pytest.raises(ValueError, match="2 rooms are open from your network"):
        rooms.open(registry.open(), "10.0.0.2")
    others = [rooms.open(registry.open(), "") for _ in range(2)]
    with pytest.raises(ValueError, match="4 open rooms"):
        rooms.open(registry.open(), "10.0.0.3")
    for room in (theirs[0], others[0]):
        room.enter(None)
    ticket = others[1].ticket()
    others[1].enter(ticket)
    monkeypatch.setattr(app.room, "EMPTY", -1.0)
    rooms.open(registry.open(), "10.0.0.3")
    assert [room.closed for room in (*theirs, *others)] == [False, True, False, False], "one where somebody is, stays"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9%eth0", "2001:db8:1:2::/64"), ("127.0.0.1", ""), ("::1", ""), (None, ""), ("", ""),
        ("unix:", ""), ("<b>", ""),
    ],
)  # fmt: skip
def test_whose_an_address_is(address, expected):
    assert network(address) == expected


async def _knock(doors: Doors, client: tuple[str, int] | None, path: str = "/live/x", kind: str = "websocket") -> str:
    """What the server says first."""
    said: list[str] = []

    async def send(message: Any) -> None:
        said.append(message["type"])

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    await doors({"type": kind, "path": path, "client": client}, receive, send)
    return said[0]


def test_sockets_are_bounded_for_all_and_for_one_network(monkeypatch):
    monkeypatch.setattr(app.doors, "PLACES", PLACES | {"live": Places(4, 2)})
    inside: list[str] = []

    async def visitors() -> None:
        leave = asyncio.Event()

        async def app_(scope: Any, receive: Any, send: Any) -> None:
            inside.append(scope["path"])
            await send({"type": "websocket.accept"})
            await leave.wait()

        doors, tasks = Doors(app_), []

        async def come(host: str | None, path: str = "/live/x", kind: str = "websocket") -> bool:
            before = len(inside)
            tasks.append(asyncio.create_task(_knock(doors, (host, 1) if host else None, path, kind)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return len(inside) > before

        assert [await come("192.0.2.1") for _ in range(4)] == [True, True, False, False]
        assert await come("192.0.2.1", "/room/x"), "another kind"
        assert await come("192.0.2.1", "/live/x", "http"), "an HTTP request is none"
        assert [await come(None), await come("127.0.0.1"), await come("192.0.2.2")] == [True, True, False]
        leave.set()
        said = await asyncio.gather(*tasks)
        assert said.count("websocket.close") == 3
        assert doors.open == {}

    run_async(visitors())


def test_a_start_with_few_files_takes_as_many_as_it_may():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(900, most), hard))
        open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_page_is_heard_in_bytes_and_not_too_often(monkeypatch):
    """Streamlit fails with a KeyError at a text, and each message of a page holds up all others."""
    heard, rates = list[Any](), list[float]()

    class Three:
        """A bucket out of which three are taken (tests/test_classroom.py has a real one)."""

        def __init__(self, rate: float) -> None:
            rates.append(rate)

        async def take(self) -> bool:
            return len(heard) < 3

    monkeypatch.setattr(app.doors, "Bucket", Three)

    async def receive() -> Any:
        return {"type": "websocket.receive", "text": "x"}

    async def page(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            heard.append(message["bytes"])

    run_async(Doors(page)({"type": "websocket", "path": "/_stcore/stream"}, receive, receive))
    assert (heard, rates) == ([b"x"] * 3, [app.doors.MESSAGES])
    name = "streamlit.web.server.starlette.starlette_websocket"
    assert importlib.import_module(name)._LOGGER.name == name, "its lines are made shorter by this name"
