"""The socket of the live pictures against a real server: who may open it, what it takes, and that it lets go."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from starlette.routing import WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

import app.live
import engine
from app.figures import FIGURES
from app.registry import Registry
from app.runs import Run

from .sockets import Listener, SocketServer, until

SMALL = engine.Experiment(seq_length=10, hidden_size=4, batch_size=2)


class Client(Listener):
    def __init__(self, socket: ClientConnection) -> None:
        super().__init__(socket)
        self.say(do="theme", value="light")

    def receive(self, draw: bool = True, timeout: float = 20.0) -> dict[str, Any]:
        frame = self.socket.recv(timeout)
        assert isinstance(frame, bytes)
        self.take(frame, draw)
        return self.head

    def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        end = time.monotonic() + 20
        while not condition(self.receive()):
            assert time.monotonic() < end, f"it did not happen in time: {self.head}"
        return self.head


class Place(SocketServer):
    """With one run."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(WebSocketRoute("/live/{token}", app.live.live))
        self.run: Run = registry.open()
        self.run.configure(SMALL)

    def connect(self, token: str | None = None, query: str = "", **more: Any) -> ClientConnection:
        return self.open(f"live/{token or self.run.token}{query}", **more)

    @property
    def watched(self) -> int:
        return len(self.run._watching)


@pytest.fixture
def place(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(app.live, "RUNS", registry)
    place = Place(registry)
    yield place
    place.stop()


@pytest.mark.parametrize("origin", [None, "http://elsewhere.example", "null", "file://", "http://127.0.0.1"])
def test_other_origins_are_refused(place, origin):
    with pytest.raises(InvalidStatus):
        place.connect(origin=origin)
    assert place.watched == 0


@pytest.mark.parametrize("token", ["nonsense", "%00", "a" * 4000])
def test_unknown_runs_are_refused(place, token):
    with place.connect(token) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(10)
    assert closed.value.rcvd.code == 4404


def test_first_frame_is_whole_and_the_next_small(place):
    with place.connect() as socket:
        client = Client(socket)
        head = client.until(lambda head: head["verdict"])
        first = client.size
        assert list(client.figures) == list(FIGURES)
        assert (head["status"], head["run"]["step"], head["run"]["setting"]) == ("ready", 0, 1)
        client.say(do="speed", value=4)
        head = client.until(lambda head: head["run"]["speed"] == 4)
        assert client.size < first / 5


@pytest.mark.parametrize(
    ("query", "drawn"), [("?pictures=loss,flow", ["flow", "loss"]), ("?pictures=", []), ("?pictures=<b>,map", ["map"])]
)
def test_only_the_pictures_asked_for_are_drawn(place, query, drawn):
    with place.connect(query=query) as socket:
        client = Client(socket)
        client.until(lambda head: head["verdict"])
        assert list(client.figures) == drawn


def test_play_show_view_and_reset_over_the_socket(place):
    place.run.configure(SMALL.replace(num_layers=2))
    with place.connect() as socket:
        client = Client(socket)
        client.say(do="speed", value=0)
        client.say(do="play")
        client.until(lambda head: head["run"]["step"] > 50)
        client.say(do="pause")
        client.until(lambda head: not head["run"]["playing"])
        client.say(do="show", step=0)
        client.until(lambda head: head["run"]["step"] == 0 and not head["run"]["following"])
        client.say(do="view", layer=1)
        client.until(lambda head: head["run"]["layer"] == 1)
        client.say(do="show", step=None)
        reached = client.until(lambda head: head["run"]["following"])["run"]["reached"]
        client.say(do="step", to=reached + 1)
        client.until(lambda head: head["run"]["reached"] == reached + 1)
        client.say(do="reset")
        client.until(lambda head: head["run"]["reached"] == 0)
        client.say(do="theme", value="dark")
        client.receive()


@pytest.mark.parametrize(
    "text",
    [
        "", "play", "[]", "null", "{", '{"do": null}', '{"do": "exit"}', '{"do": "play", "now": 1}', '{"do": "step"}',
        '{"do": "step", "to": "1"}', '{"do": "step", "to": true}', '{"do": "step", "to": -1}',
        '{"do": "step", "to": 1e3}', '{"do": "step", "to": 1000000000000}',
        '{"do": "speed", "value": 7}', '{"do": "speed", "value": null}',
        '{"do": "show", "step": NaN}', '{"do": "view", "layer": []}', '{"do": "theme", "value": "<b>"}',
        '{"do": "theme", "value": {}}', '{"do": "drawn", "frame": 1.5}', '{"do": ["play"]}', "[" * 200,
    ],
)  # fmt: skip
def test_rubbish_is_not_understood(text):
    assert app.live.understand(text) is None


def test_a_connection_that_sends_rubbish_is_closed(place):
    with place.connect() as socket:
        client = Client(socket)
        client.until(lambda head: head["verdict"])
        before = place.run.head()
        for _ in range(app.live.PATIENCE):
            socket.send('{"do": "explode"}')
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
    assert closed.value.rcvd.code == 1008
    assert place.run.head() == before


@pytest.mark.parametrize("message", ["x" * 10_000, b"\x00" * 10_000])
def test_large_and_binary_messages_do_no_harm(place, message):
    with place.connect() as socket:
        with suppress(ConnectionClosed):
            for _ in range(app.live.PATIENCE):
                socket.send(message)
        until(lambda: socket.close_code)
    until(lambda: place.watched == 0)


def test_a_slow_client_gets_the_newest_only(place):
    with place.connect() as socket:
        client = Client(socket)
        client.say(do="speed", value=0)
        client.say(do="play")
        client.until(lambda head: head["run"]["step"] > 0)
        client.receive(draw=False)
        with pytest.raises(TimeoutError):  # nothing more is sent before the last one is drawn
            socket.recv(0.5)
        client.say(do="drawn", frame=0)  # not this one
        with pytest.raises(TimeoutError):
            socket.recv(0.2)
        reached = place.run.head()["run"]["reached"]
        client.say(do="drawn", frame=client.head["frame"])
        assert client.receive()["run"]["step"] >= reached


def test_a_control_that_moved_does_not_wait_for_a_picture_of_before(place):
    with place.connect() as socket:
        client = Client(socket)
        client.say(do="speed", value=0)
        client.say(do="play")
        client.until(lambda head: head["run"]["step"] > 0)
        before = client.receive(draw=False)
        place.run.configure(SMALL.replace(gain=0.5))
        ahead = client.receive(draw=False)
        assert ahead["run"]["setting"] == before["run"]["setting"] + 1
        place.run.configure(SMALL.replace(gain=0.6))
        with pytest.raises(TimeoutError):  # two that are not drawn are enough
            socket.recv(0.5)
        client.say(do="drawn", frame=before["frame"])  # the newest counts
        with pytest.raises(TimeoutError):
            socket.recv(0.2)
        client.say(do="drawn", frame=ahead["frame"])
        assert client.until(lambda head: head["run"]["setting"] == ahead["run"]["setting"] + 1)


def test_closing_in_mid_frame_lets_go_of_everything(place):
    place.run.speed(0)
    for _ in range(5):
        with place.connect(close_timeout=0) as socket:
            client = Client(socket)
            client.say(do="play")
            client.receive(draw=False)
            socket.socket.shutdown(2)  # no goodbye
            until(lambda: place.watched == 0)
    with place.connect() as socket:
        client = Client(socket)
        client.until(lambda head: head["run"]["playing"])
        client.say(do="pause")
    until(lambda: place.watched == 0)


def test_the_server_ends_while_pages_are_open_and_training(registry, monkeypatch):
    monkeypatch.setattr(app.live, "RUNS", registry)
    place = Place(registry)
    with place.connect() as one, place.connect() as two:
        clients = Client(one), Client(two)
        clients[0].say(do="speed", value=0)
        clients[0].say(do="play")
        clients[0].until(lambda head: head["run"]["step"] > 0)
        clients[1].receive(draw=False)
        begin = time.monotonic()
        place.stop()
        assert time.monotonic() - begin < 2


def test_two_pages_see_their_own_runs(place, registry):
    other = registry.open()
    other.configure(SMALL.replace(gain=0.5))
    with place.connect() as one, place.connect(other.token) as two:
        mine, theirs = Client(one), Client(two)
        mine.say(do="speed", value=0)
        mine.say(do="play")
        mine.until(lambda head: head["run"]["step"] > 20)
        theirs.until(lambda head: head["verdict"])
        assert theirs.head["run"]["reached"] == 0
        assert not theirs.head["run"]["playing"]


def test_a_picture_that_fails_says_so_and_the_next_one_comes(place, monkeypatch):
    with place.connect() as socket:
        client = Client(socket)
        client.until(lambda head: head["verdict"])
        with monkeypatch.context() as patch:
            patch.setattr(place.run, "words", lambda snapshot, theme: 1 / 0)
            client.say(do="speed", value=4)
            assert client.until(lambda head: head["status"] == "error")["message"]
        client.say(do="speed", value=20)
        client.until(lambda head: head["status"] == "ready")
        assert list(client.figures) == list(FIGURES)
