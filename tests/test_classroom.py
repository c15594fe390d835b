"""Many visitors on one server: fair threads, controls first, sockets that flood, hang or vanish."""

import asyncio
import json
import socket as sockets
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from websockets.exceptions import ConnectionClosed

import app.live
from app.drawing import Drawing
from app.frames import decode
from app.limits import Limits
from app.live import Bucket
from app.pool import HELD, LONG_SLICE, Pool
from tests.running import run_async
from tests.test_live import SMALL, Client, Place, place, until  # noqa: F401  (a fixture)


class Work:
    """A job that works for so long, and again until it is told to stop."""

    def __init__(self, seconds: float, takes: float | None = None, again: bool = True) -> None:
        self.seconds, self.takes, self.again = seconds, seconds if takes is None else takes, again
        self.count, self.had, self.began = 0, 0.0, 0.0

    def work(self) -> float | None:
        begin = time.thread_time()
        self.began = time.monotonic()
        while time.thread_time() - begin < self.seconds:
            sum(range(100))
        self.count, self.had = self.count + 1, self.had + time.thread_time() - begin
        return time.monotonic() if self.again else None


@pytest.fixture
def pool():
    pool = Pool()
    yield pool
    pool.close()


def test_equal_time_for_slices_of_unequal_length(pool):
    jobs = [Work(0.002), Work(0.002), Work(0.02), Work(0.05)]
    for job in jobs:
        pool.wake(job, time.monotonic())
    until(lambda: sum(job.had for job in jobs) > 1.5, 30)
    for job in jobs:
        job.again = False
    shares = [job.had for job in jobs]
    assert min(shares) > 0.6 * max(shares), shares


def test_who_was_away_is_given_nothing_back(pool):
    busy, late = Work(0.005), Work(0.005)
    others = [Work(0.005) for _ in range(3)]
    for job in (busy, *others):
        pool.wake(job, time.monotonic())
    until(lambda: busy.had > 0.3, 30)
    before = busy.had
    pool.wake(late, time.monotonic())
    until(lambda: late.had > 0.2, 30)
    for job in (busy, late, *others):
        job.again = False
    assert busy.had - before > 0.08, "it has not stood still meanwhile"


def test_long_slices_leave_threads_for_controls_and_for_short_ones(pool):
    long = [Work(0.4, takes=LONG_SLICE + 1) for _ in range(6)]
    for job in long:
        pool.wake(job)
    until(lambda: sum(job.began > 0 for job in long) == 2)
    control, short = Work(0.001, again=False), Work(0.001, again=False)
    pool.wake(control)
    pool.wake(short, time.monotonic())
    until(lambda: control.count and short.count)
    assert sum(job.count for job in long) <= 4, "neither waited for them"
    for job in long:
        job.again = False


def test_training_waits_for_an_answer_but_not_for_ever(pool):
    training = Work(0.001)
    pool.wake(training, time.monotonic())
    until(lambda: training.count > 3)
    pool.hold("a visitor", 60.0)
    control = Work(0.001, again=False)
    pool.wake(control)
    until(lambda: control.count)
    before = training.count
    until(lambda: training.count > before + 10)  # after HELD it goes on all the same
    pool.release("a visitor")
    before = training.count
    until(lambda: training.count > before + 10)
    training.again = False


def test_held_is_about_others(pool):
    pool.hold("me", 60.0)
    assert pool.held()
    assert not pool.held(but="me")
    pool.release("me")
    assert not pool.held()
    pool.hold("me", -1.0)
    assert not pool.held(), "an answer that never came holds nobody back"
    assert HELD < 1


def test_pictures_of_training_come_less_often_where_many_train(pool):
    for _ in range(200):
        pool.pictured("pass", 0.01)
        pool.pictured("drawing", 0.01)
    assert pool.every < 0.1
    waiting = [Work(0.0, again=False) for _ in range(20)]
    for job in waiting:
        pool.wake(job, time.monotonic() + 60)
    assert pool.every > 1.0


def test_answers_are_drawn_before_pictures_of_training():
    drawn: list[str] = []

    async def main() -> None:
        drawing = Drawing()
        go = threading.Event()

        def first() -> None:
            go.wait(10)

        def note(name: str) -> None:
            drawn.append(name)

        tasks = [asyncio.create_task(drawing.draw(False, first)), asyncio.create_task(drawing.draw(True, first))]
        await asyncio.sleep(0.05)
        tasks += [asyncio.create_task(drawing.draw(False, note, f"training {n}")) for n in range(3)]
        tasks += [asyncio.create_task(drawing.draw(True, note, f"answer {n}")) for n in range(3)]
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(drawing.draw(True, note, "a tab that was closed"))
        await asyncio.sleep(0)
        gone.cancel()
        go.set()
        await asyncio.gather(*tasks)
        await drawing.draw(False, note, "the last")

    run_async(main())
    assert sorted(drawn[:3]) == ["answer 0", "answer 1", "answer 2"]
    assert drawn[-1] == "the last"
    assert "a tab that was closed" not in drawn


def test_a_bucket_lets_so_many_through():
    async def seconds(messages: int) -> float:
        bucket, begin = Bucket(200), asyncio.get_running_loop().time()
        for _ in range(messages):
            await bucket.take()
        return asyncio.get_running_loop().time() - begin

    assert run_async(seconds(400)) < 0.5, "a burst is heard at once"
    assert run_async(seconds(500)) > 0.4


def test_a_flood_is_known_on_a_server_that_oversleeps(monkeypatch):
    clock = 0.0

    async def oversleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds + 0.1

    async def heard(every: float) -> int:
        """Of 2000 messages, one every so many seconds at most."""
        nonlocal clock
        bucket = Bucket(50)
        for n in range(2000):
            if not await bucket.take():
                return n
            clock += every
        return 2000

    monkeypatch.setattr(app.live, "time", SimpleNamespace(monotonic=lambda: clock))
    monkeypatch.setattr(app.live, "asyncio", SimpleNamespace(sleep=oversleep))
    assert run_async(heard(0.0)) < 1000
    assert run_async(heard(0.025)) == 2000


def test_a_flood_is_heard_slowly_then_closed_and_costs_others_nothing(place, registry, monkeypatch):  # noqa: F811
    heard = []
    monkeypatch.setattr(app.live, "LIMITS", Limits(commands=50))
    monkeypatch.setattr(place.run, "speed", heard.append)
    other = registry.open()
    other.configure(SMALL)
    with place.connect() as flood, place.connect(other.token) as quiet:
        client = Client(quiet)
        client.until(lambda head: head["verdict"])
        stop = threading.Event()

        def pour() -> None:
            with suppress(ConnectionClosed, OSError):
                while not stop.is_set():
                    flood.send('{"do": "speed", "value": 20}')

        thread = threading.Thread(target=pour)
        begin = time.monotonic()
        thread.start()
        for n in range(5):
            client.say(do="speed", value=(4, 20)[n % 2])
            client.until(lambda head, n=n: head["run"]["speed"] == (4, 20)[n % 2])
        thread.join(20)  # until it is closed
        stop.set()
        assert flood.close_code == app.live.RUBBISH
        assert len(heard) <= 50 * (time.monotonic() - begin) + 150
        client.say(do="speed", value=20)
        client.until(lambda head: head["run"]["speed"] == 20)
    until(lambda: place.watched == 0)


def test_one_window_too_many_is_told_so_and_closed(place, monkeypatch):  # noqa: F811
    monkeypatch.setattr(app.live, "LIMITS", Limits(sockets=2))
    with place.connect() as one, place.connect() as two, place.connect() as three:
        for socket in (one, two):
            Client(socket).until(lambda head: head["verdict"])
        head, _figures = decode(three.recv(20))
        assert head["status"] == "error"
        assert "2 windows" in head["message"]
        with pytest.raises(ConnectionClosed) as closed:
            three.recv(10)
        assert closed.value.rcvd.code == app.live.FULL
        assert place.watched == 2
    until(lambda: place.watched == 0)
    with place.connect() as again:
        Client(again).until(lambda head: head["verdict"])


def test_two_hundred_sockets_leave_nothing_behind(place, registry):  # noqa: F811
    with place.connect() as socket:
        Client(socket).until(lambda head: head["verdict"])
    until(lambda: place.watched == 0)
    threads = threading.active_count()
    for n in range(200):
        with place.connect(close_timeout=0) as socket:
            if n % 4:
                socket.send(json.dumps({"do": "theme", "value": "dark"}))
            if n % 4 == 1:
                socket.recv(20)  # and never "drawn"
            if n % 4 == 2:
                socket.socket.shutdown(sockets.SHUT_RDWR)  # no goodbye
    until(lambda: place.watched == 0, 20)
    until(lambda: threading.active_count() <= threads + 1, 20)
    assert registry.get(place.run.token) is place.run
    registry.sweep(0.0)
    assert registry.get(place.run.token) is None


def test_a_reader_that_takes_nothing_holds_one_frame_at_most(place):  # noqa: F811
    with place.connect(max_queue=1) as socket:
        client = Client(socket)
        client.say(do="speed", value=0)
        client.say(do="play")
        client.until(lambda head: head["run"]["step"] > 0)
        client.receive(draw=False)
        sent = place.run.version
        until(lambda: place.run.version > sent + 3)
        with pytest.raises(TimeoutError):
            socket.recv(0.3)
    until(lambda: place.watched == 0)
