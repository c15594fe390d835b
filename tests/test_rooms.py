"""Rooms without a browser: who may watch, what they are told, how they vote, and what all that costs a run."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from starlette.routing import WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

import app.audience
import app.broadcast
import app.live
import app.room
import engine
from app import codes, guesses, rooms
from app.registry import Registry
from app.room import Room
from app.rooms import Rooms
from app.runs import Run

from .sockets import Listener, SocketServer, until
from .test_runs import DIVERGES

SMALL = engine.Experiment(seq_length=12, hidden_size=4, batch_size=2)


class Screen(Listener):
    """What a student's browser holds."""

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__(socket)
        self.room: dict[str, Any] = {}
        self.you: dict[str, Any] = {}
        self.over = ""

    def receive(self, draw: bool = True, timeout: float = 10.0) -> None:
        message = self.socket.recv(timeout)
        if isinstance(message, str):
            told = json.loads(message)
            assert len(told) == 1
            for name, value in told.items():
                setattr(self, name, value)
            return
        self.take(message, draw)

    def until(self, condition: Callable[["Screen"], object]) -> None:
        end = time.monotonic() + 20
        while not condition(self):
            assert time.monotonic() < end, f"it did not happen in time: {self.room} {self.head.get('run')}"
            self.receive()

    def forever(self, timeout: float = 10.0) -> None:
        """Take what comes, draw nothing: until the connection is closed, or nothing came for so long."""
        while True:
            self.receive(draw=False, timeout=timeout)

    @property
    def question(self) -> dict[str, Any]:
        return self.room.get("question") or {}


class Place(SocketServer):
    """With a run and its room."""

    def __init__(self, registry: Registry, all_rooms: Rooms) -> None:
        super().__init__(
            WebSocketRoute("/room/{token}", app.audience.room), WebSocketRoute("/live/{token}", app.live.live)
        )
        self.rooms, self.run = all_rooms, registry.open()
        self.run.configure(SMALL)
        assert self.run.settle(60)
        self.room: Room = all_rooms.open(self.run)

    def connect(self, token: str | None = None, route: str = "room", query: str = "", **more: Any) -> ClientConnection:
        return self.open(f"{route}/{token or self.room.ticket()}{query}", **{"max_size": 2**24} | more)


@pytest.fixture
def place(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    all_rooms = Rooms(registry)
    monkeypatch.setattr(app.audience, "ROOMS", all_rooms)
    monkeypatch.setattr(app.live, "RUNS", registry)
    place = Place(registry, all_rooms)
    yield place
    all_rooms.clear()
    place.stop()
    assert not app.audience._broadcasts


def trained(run: Run, steps: int) -> None:
    """So many steps further, whether or not anybody watches."""
    somebody, goal = run.watch(lambda: None), run.head()["run"]["reached"] + steps
    run.step(goal)
    until(lambda: run.rests and run.head()["run"]["reached"] == goal, 60)
    somebody.close()


# What a watcher sees


def test_a_watcher_sees_the_run_and_what_is_new(place):
    with place.connect() as socket:
        screen = Screen(socket)
        screen.until(lambda s: s.head.get("verdict") and s.room)
        whole = screen.size
        assert list(screen.figures) == list(place.run.figures)
        assert screen.room["watching"] == 1
        assert screen.room["settings"].startswith("RNN")
        assert abs(screen.head["sent"] - time.time() * 1000) < 60_000
        place.run.speed(20)
        place.run.play()
        screen.until(lambda s: s.head["run"]["step"] > 2)
        assert screen.size < whole / 2, "a difference"
        _, snapshot = place.run.picture()
        assert snapshot is not None
    until(lambda: len(place.run._watching) == 0)


def test_a_frame_is_drawn_once_for_all_who_see_the_same(place, monkeypatch):
    drawn: list[str] = []
    draw = app.broadcast.Channel.draw
    monkeypatch.setattr(
        app.broadcast.Channel, "draw", lambda self, *rest: (drawn.append(self.theme), draw(self, *rest))[1]
    )
    themes = ["light"] * 8 + ["dark"] * 2
    with ExitStack() as stack:
        screens = [Screen(stack.enter_context(place.connect(query=f"?theme={theme}"))) for theme in themes]
        for screen in screens:
            screen.until(lambda s: s.head and s.room["watching"] == 10)
        drawn.clear()
        begin = screens[0].head["frame"]
        trained(place.run, 3)
        for screen in screens:
            screen.until(lambda s: s.head["run"]["reached"] == 3)
    newest = max(screen.head["frame"] for screen in screens[:8])
    assert drawn.count("light") <= newest - begin + 1
    assert len(drawn) <= 2 * (newest - begin + 1)
    papers = {screen.figures["flow"]["layout"]["font"]["color"] for screen in screens}
    assert len(papers) == 2


def test_late_and_slow_watchers_end_with_the_same_pictures(place):
    with place.connect() as one, place.connect() as two:
        quick, slow = Screen(one), Screen(two)
        slow.until(lambda s: s.room)
        while not slow.head:
            slow.receive(draw=False)
        for goal in (3, 6, 9):
            trained(place.run, 3)
            quick.until(lambda s, goal=goal: s.head.get("run", {}).get("reached") == goal)
        assert slow.head["run"]["reached"] == 0
        slow.say(do="drawn", frame=slow.head["frame"])
        slow.until(lambda s: s.head["run"]["reached"] == 9)
        with place.connect() as three:
            late = Screen(three)
            late.until(lambda s: s.head)
            for screen in (slow, late):
                for name, figure in quick.figures.items():
                    assert figure["layout"] == screen.figures[name]["layout"]
                    for mine, theirs in zip(figure["data"], screen.figures[name]["data"], strict=True):
                        np.testing.assert_array_equal(np.asarray(mine.get("y")), np.asarray(theirs.get("y")))


def test_nothing_is_sent_before_the_last_frame_was_drawn(place):
    with place.connect() as socket:
        screen = Screen(socket)
        while not screen.head:
            screen.receive(draw=False)
        frame = screen.head["frame"]
        trained(place.run, 4)
        with pytest.raises(TimeoutError):
            screen.forever(0.6)  # texts may come
        assert screen.head["frame"] == frame


def test_watchers_keep_the_run_going_and_let_it_go(place):
    with place.connect() as socket:
        screen = Screen(socket)
        place.run.speed(20)
        place.run.play()
        screen.until(lambda s: s.head.get("run", {}).get("step", 0) > 3)
        assert not place.run._watching.unseen(time.monotonic())
        assert not place.run.unused(time.monotonic() + 1000)
    until(lambda: len(place.run._watching) == 0)
    assert place.run.unused(time.monotonic() + 1000)


# Who may do what


def test_no_token_of_a_room_commands_the_run(place):
    for token in (place.room.ticket(), place.room.host):
        with place.connect(token, route="live") as socket, pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
        assert closed.value.rcvd.code == app.live.UNKNOWN
    commands = [
        {"do": "play"}, {"do": "pause"}, {"do": "reset"}, {"do": "step", "to": 5}, {"do": "speed", "value": 0},
        {"do": "show", "step": 0}, {"do": "view", "layer": 0}, {"do": "point", "picture": "flow", "at": 1},
    ]  # fmt: skip
    before = place.run.head()
    for command in commands:
        with place.connect() as socket:
            screen = Screen(socket)
            screen.until(lambda s: s.head)
            for _ in range(app.live.PATIENCE):
                screen.say(**command)
            with pytest.raises(ConnectionClosed) as closed:
                screen.forever()
        assert closed.value.rcvd.code == 1008
    assert place.run.head() == before
    assert place.room.pointed is None


@pytest.mark.parametrize("origin", [None, "http://elsewhere.example", "null"])
def test_other_origins_are_refused(place, origin):
    with pytest.raises(InvalidStatus):
        place.connect(origin=origin)
    assert place.room.watching == 0


def test_unknown_closed_and_full_rooms_say_so(place, monkeypatch):
    def over(token: str | None = None) -> str:
        with place.connect(token) as socket:
            screen = Screen(socket)
            with pytest.raises(ConnectionClosed) as closed:
                screen.forever()
        assert closed.value.rcvd.code == app.live.UNKNOWN
        return screen.over

    assert over("nonsense") == "closed"
    monkeypatch.setattr(app.room, "MOST_WATCHERS", 1)
    with place.connect() as socket:
        screen = Screen(socket)
        screen.until(lambda s: s.head)
        assert over() == "full"
        assert place.room.watching == 1
        place.rooms.close(place.room)
        with pytest.raises(ConnectionClosed):
            screen.forever()
        assert screen.over == "closed"
    assert over() == "closed"


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{", '{"do": "vote"}', '{"do": "vote", "number": 1, "choice": -1}', '{"do": "drawn"}',
        '{"do": "vote", "number": 1, "choice": true}', '{"do": "vote", "number": 1, "choice": 0, "as": "x"}',
        '{"do": "theme", "value": "<b>"}', '{"do": "drawn", "frame": 1.5}', '{"do": ["vote"]}', "[" * 200,
    ],
)  # fmt: skip
def test_rubbish_closes_the_connection(place, text):
    with place.connect() as socket:
        for _ in range(app.live.PATIENCE):
            socket.send(text)
        with pytest.raises(ConnectionClosed) as closed:
            Screen(socket).forever()
    assert closed.value.rcvd.code == 1008


def test_a_flood_of_good_messages_is_rubbish_too(place):
    with place.connect() as socket:
        for n in range(100):
            socket.send(json.dumps({"do": "theme", "value": ("dark", "light")[n % 2]}))
        with pytest.raises(ConnectionClosed) as closed:
            Screen(socket).forever()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_in_a_full_room_a_page_that_draws_nothing_gives_way(place, monkeypatch):
    monkeypatch.setattr(app.room, "MOST_WATCHERS", 2)
    with place.connect() as one, place.connect() as two:
        awake, asleep = Screen(one), Screen(two)
        awake.until(lambda s: s.head)
        while not asleep.head:
            asleep.receive(draw=False)
        with place.connect() as three, pytest.raises(ConnectionClosed):
            Screen(three).forever()  # nobody has slept for long
        monkeypatch.setattr(app.broadcast, "ASLEEP", 0.0)
        with place.connect() as three:
            late = Screen(three)
            late.until(lambda s: s.head)
            with pytest.raises(ConnectionClosed):
                asleep.forever()
            assert asleep.over == "full"
            trained(place.run, 2)
            awake.until(lambda s: s.head["run"]["reached"] == 2)
        assert place.room.watching <= 2


def test_many_choices_of_pictures_make_few_channels(place):
    wishes = [f"?pictures={name}&theme={theme}" for name in place.run.figures for theme in app.live.THEMES]
    with ExitStack() as stack:
        screens = [Screen(stack.enter_context(place.connect(query=wish))) for wish in wishes]
        for screen in screens:
            screen.until(lambda s: s.head)
        (broadcast,) = app.audience._broadcasts.values()
        assert len(broadcast.channels) <= app.broadcast.MOST_CHANNELS + 2
        assert {len(screen.figures) for screen in screens} == {1, len(place.run.figures)}


# Pointing, hiding, guessing


def test_what_the_lecturer_points_at_is_told(place):
    with place.connect() as socket, place.connect(place.room.host, query="?pictures=") as theirs:
        screen, host = Screen(socket), Screen(theirs)
        screen.until(lambda s: s.room.get("host"))
        host.say(do="point", picture="flow", at=7)
        screen.until(lambda s: s.room["point"] == {"picture": "flow", "at": 7})
        host.say(do="point", picture=None, at=None)
        screen.until(lambda s: s.room and s.room["point"] is None)
        place.room.let_point(False)
        host.say(do="point", picture="flow", at=7)
        host.say(do="point", picture="<img>", at=7)
        host.until(lambda s: s.room and s.room["point"] is None)
        assert place.room.pointed is None
    until(lambda: not place.room.hosted)


def test_hidden_pictures_are_not_sent_and_come_back_whole(place):
    with place.connect() as socket:
        screen = Screen(socket)
        screen.until(lambda s: s.head.get("verdict"))
        place.room.hide(True)
        screen.until(lambda s: s.head["hidden"])
        trained(place.run, 5)
        screen.until(lambda s: s.head["run"]["reached"] == 5)
        held = screen.figures["loss"]["data"]
        assert all(len(np.atleast_1d(trace.get("x", []))) <= 2 for trace in held), "what was drawn before, and no more"
        assert screen.head["verdict"]["kind"] == "waiting"
        with place.connect() as other:
            late = Screen(other)
            late.until(lambda s: s.head)
            assert late.figures == {}
            place.room.hide(False)
            for each in (screen, late):
                each.until(lambda s: not s.head["hidden"])
                assert list(each.figures) == list(place.run.figures)
                assert len(each.figures["loss"]["data"][0]["x"]) == 6


def test_votes_are_seen_by_those_who_voted_and_counted_once(place):
    place.room.ask(guesses.own("Which?", ["this", "that", "<b>neither</b>"]))
    with place.connect() as socket, place.connect() as second, place.connect(place.room.host) as theirs:
        screen, other, host = Screen(socket), Screen(second), Screen(theirs)
        for each in (screen, other):
            each.until(lambda s: s.question and s.you)
            assert each.question["votes"] is None
            assert each.question["choices"][2] == "&lt;b&gt;neither&lt;/b&gt;"
        number = screen.question["number"]
        screen.say(do="vote", number=number, choice=1)
        screen.until(lambda s: s.question.get("votes") == [0, 1, 0] and s.you["choice"] == 1)
        other.until(lambda s: s.question.get("voted") == 1)
        assert other.question["votes"] is None
        screen.say(do="vote", number=number, choice=2)
        host.until(lambda s: s.question.get("votes") == [0, 0, 1])
        screen.say(do="vote", number=number + 1, choice=0)  # of another question
        screen.say(do="vote", number=number, choice=3)  # no such choice
        me = screen.you["id"]
        with place.connect(query=f"?you={me}") as again:  # a reload
            same = Screen(again)
            same.until(lambda s: s.you and s.question)
            assert same.you == {"id": me, "number": number, "choice": 2}
            same.say(do="vote", number=number, choice=0)
            host.until(lambda s: s.question.get("votes") == [1, 0, 0])
        place.room.mark(1)
        assert place.room.answered is None, "not before the vote is over"
        place.room.answer()
        place.room.mark(3)  # no such choice
        place.room.mark(1)
        for each in (screen, other, host):
            each.until(lambda s: s.question.get("right") == 1)
            assert each.question["phase"] == "answered"
            assert each.question["votes"] == [1, 0, 0]
        screen.say(do="vote", number=number, choice=1)
        with pytest.raises(AssertionError):  # too late
            until(lambda: place.room._votes != {me: 0}, 0.5)
        place.room.take_back()
        other.until(lambda s: not s.question)


def test_a_name_that_was_not_given_here_is_not_taken(place):
    assert place.room.voter("somebody") != "somebody"
    mine = place.room.voter("")
    assert place.room.voter(mine) == mine
    place.room.gone(mine)
    place.room.gone(mine)
    assert place.room.voter(mine) != mine, "who has not voted is forgotten with the last page"


def test_the_run_answers_whether_it_learns(place):
    _, snapshot = place.run.picture()
    assert snapshot is not None
    question = guesses.put("learns", snapshot)
    assert question is not None
    place.room.ask(question)
    place.run.speed(0)
    place.run.pause()
    with place.connect(place.room.host) as theirs, place.connect() as mine:
        host, screen = Screen(theirs), Screen(mine)
        screen.until(lambda s: s.question)
        place.room.answer()
        screen.until(lambda s: s.question.get("phase") == "answered")
        host.until(lambda s: s.question.get("phase") == "answered")
    assert place.run.head()["run"]["reached"] > 0
    _, after = place.run.picture()
    assert after is not None
    loss = after.loss[1:201]
    means = [loss[i : i + 20].mean() for i in range(len(loss) - 19)]
    right = 0 if min(means) < 0.8 * after.baseline else 1
    assert screen.question["right"] == host.question["right"] == right
    assert screen.question["said"]


def test_a_run_that_diverges_leaves_its_room_and_can_begin_anew(place):
    with place.connect() as socket:
        screen = Screen(socket)
        screen.until(lambda s: s.head)
        place.run.configure(DIVERGES)
        place.run.speed(0)
        place.run.play()
        screen.until(lambda s: s.head["run"]["diverged"] is not None)
        place.run.configure(SMALL)
        place.run.reset()
        screen.until(lambda s: s.head["run"]["diverged"] is None and s.head.get("verdict"))
        assert place.room.watching == 1


def test_rooms_are_few_and_one_for_each_run(registry, monkeypatch):
    monkeypatch.setattr(rooms, "MOST_ROOMS", 2)
    all_rooms = Rooms(registry)
    first, second, third = registry.open(), registry.open(), registry.open()
    room = all_rooms.open(first)
    assert all_rooms.open(first) is room
    all_rooms.open(second)
    with pytest.raises(ValueError, match="2 open rooms"):
        all_rooms.open(third)
    assert all_rooms.by_code(room.code) is room
    assert all_rooms.hosted(room.ticket()) is None
    assert all_rooms.hosted(room.host) is room
    registry._runs.pop(first.token)
    all_rooms.sweep()
    assert room.closed
    assert all_rooms.by_code(room.code) is None
    all_rooms.open(third)


def test_a_room_without_its_lecturer_closes(registry, monkeypatch):
    all_rooms = Rooms(registry)
    room = all_rooms.open(registry.open())
    room.enter(None)
    monkeypatch.setattr(app.room, "AWAY", -1.0)
    all_rooms.sweep()
    assert not room.closed
    room.leave(None)
    all_rooms.sweep()
    assert room.closed


def test_codes_are_read_as_people_write_them():
    for _ in range(50):
        code = codes.new_code()
        assert codes.read_code(f" {code[:3].lower()}-{code[3:]} ") == code
        assert codes.read_code(codes.spaced(code)) == code
    for nonsense in ("", "A", "AAAAAAA", "AAAAAAAAA", "OOOOOOOO", "<b>abcde", "1234567O"):
        assert codes.read_code(nonsense) == ""


def test_one_page_that_comes_as_many_voters_neither_decides_nor_shuts_others_out(place):
    room = place.room
    room.ask(guesses.own("Which?", ["this", "that"]))
    mine, ticket = [], room.ticket()
    for _ in range(3):
        assert room.enter(ticket)
        mine.append(room.voter(""))
    assert room.vote(mine[0], room.number, 0)
    room.leave(ticket)
    for _ in range(50):
        assert room.enter(ticket)
        other = room.voter("")
        assert room.vote(other, room.number, 1)
        room.gone(other)
        room.leave(ticket)
    assert len(room._votes) == 3
    assert room.vote(mine[1], room.number, 0)
    assert room.vote(mine[2], room.number, 0)
    assert [room.voted(name) for name in mine] == [0, 0, 0]


def test_a_room_without_its_lecturer_keeps_its_run_for_a_while(registry, monkeypatch):
    all_rooms, run = Rooms(registry), registry.open()
    all_rooms.open(run)
    used = run._watching._used
    all_rooms.sweep()
    assert run._watching._used > used
    monkeypatch.setattr(app.room, "AWAY", -1.0)
    used = run._watching._used
    all_rooms.sweep()
    assert run._watching._used == used, "a room that is closed uses nothing"


@pytest.mark.parametrize(
    ("picture", "at"),
    [('["flow"]', "1"), ("{}", "1"), ('"flow"', "1" + "0" * 400), ('"flow"', "NaN"), ('"flow"', "1e999")],
)
def test_pointing_at_nonsense_is_rubbish(place, picture, at):
    guest = app.audience.Guest.__new__(app.audience.Guest)
    guest.room, guest.host = place.room, True
    assert guest.obey('{"do": "point", "picture": "flow", "at": 1}')
    assert not guest.obey(f'{{"do": "point", "picture": {picture}, "at": {at}}}')
    assert place.room.pointed == ("flow", 1)
