"""Rooms: a lecturer's run that others watch, what is pointed at, and what they guess. No Streamlit in here.

A room has three names. The code is short and public: who knows it may watch. `token` is the same right for the socket
/room/{token}. `host` is the lecturer's, and lets point. None of them reaches the run: what a room can do with it
is to look, to let it play up to the answer of a question, and to copy one of its moments (`Run.checkpoint`).
"""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import engine
from app.guesses import Answer, Question, measured
from app.limits import LIMITS
from app.registry import RUNS, Registry
from app.runs import Run
from app.snapshot import Snapshot
from app.words import _

LETTERS = "ACDEFHJKMNPQRTUVWXY34679"  # no two that look or sound alike: no B and 8, no S and 5, no O, 0, I, 1, L
LENGTH = 6  # 190 million codes, of which some twenty are in use
MOST_ROOMS, MOST_WATCHERS = LIMITS.rooms, LIMITS.watchers
MOST_VOTERS = 1000  # of one question: a browser that forgets who it is comes as another one
AWAY = 600.0  # seconds without the lecturer's page after which a room closes: a reload, a pause, a lost network


class Room:
    """All methods may be called from any thread; whatever changes, the listeners are called."""

    def __init__(self, code: str, run: Run) -> None:
        self.code, self.run = code, run
        self.token, self.host = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._lock = threading.RLock()
        self._listeners: set[Callable[[], None]] = set()
        self._hosts = 0  # open pages of the lecturer
        self._seen = time.monotonic()  # when the last of them was open
        self._known: Counter[str] = Counter()  # voters -> their open pages
        self._votes: dict[str, int] = {}
        self.version = 0  # counts everything that readers are told
        self.closed = False
        self.watching = 0
        self._most = 0  # pages that have ever watched at once: there are no more votes than that
        self.hidden = False
        self.points = True
        self.pointed: tuple[str, float | None] | None = None  # picture, and where on its horizontal axis
        self.question: Question | None = None
        self.number = 0  # counts the questions
        self.phase = "none"  # "open": who watches votes; "running": the run is to answer; "answered"
        self.answered: Answer | None = None

    def listen(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told` whenever something changes; returns what ends that."""
        with self._lock:
            self._listeners.add(told)
        return lambda: self._listeners.discard(told)

    def _tell(self) -> None:
        with self._lock:
            self.version += 1
            listeners = tuple(self._listeners)
        for told in listeners:
            told()

    # What the lecturer does

    def hide(self, hidden: bool) -> None:
        """Show no pictures and no verdict, neither here nor there."""
        self.hidden = hidden
        self._tell()

    def let_point(self, on: bool) -> None:
        self.points, self.pointed = on, self.pointed if on else None
        self._tell()

    def point(self, picture: str | None, at: float | None) -> None:
        """At a picture (None: at nothing), and there at `at` of its horizontal axis."""
        pointed = None if picture is None or not self.points else (picture, at)
        if pointed != self.pointed:
            self.pointed = pointed
            self._tell()

    def ask(self, question: Question) -> None:
        """Put a question; the one before it is gone."""
        with self._lock:
            self.question, self.phase, self.answered = question, "open", None
            self.number += 1
            self._votes.clear()
        self._tell()

    def answer(self) -> None:
        """No more votes; the pictures come back, and the run says what is right."""
        with self._lock:
            question = self.question
            if question is None or self.phase != "open":
                return
            self.phase, self.hidden = "running", False
            if question.kind == "own":
                self.phase, self.answered = "answered", Answer(None, "")
            elif question.answer is not None:
                self.phase, self.answered = "answered", question.answer
        if self.phase == "running":
            self.run.play()
        self._tell()

    def mark(self, right: int) -> None:
        """Of an own question, which the run cannot answer: this choice was right."""
        with self._lock:
            question = self.question
            own = question is not None and question.kind == "own" and self.phase == "answered"
            if not own or question is None or not 0 <= right < len(question.choices):
                return
            self.answered = Answer(right, "")
        self._tell()

    def take_back(self) -> None:
        """No question (any more)."""
        with self._lock:
            self.question, self.phase, self.answered, self.hidden = None, "none", None, False
            self._votes.clear()
        self._tell()

    def close(self) -> None:
        self.closed = True
        self._tell()

    # Who is there

    def enter(self, host: bool) -> bool:
        """A page of the lecturer's, or of a watcher: is there room for it?"""
        with self._lock:
            if self.closed or (not host and self.watching >= MOST_WATCHERS):
                return False
            if host:
                self._hosts += 1
            else:
                self.watching += 1
                self._most = max(self._most, self.watching)
        self._tell()
        return True

    def leave(self, host: bool) -> None:
        with self._lock:
            if host:
                self._hosts, self._seen = self._hosts - 1, time.monotonic()
            else:
                self.watching -= 1
        self._tell()

    @property
    def hosted(self) -> bool:
        return self._hosts > 0

    def deserted(self, now: float) -> bool:
        """Is the lecturer gone for good?"""
        return not self.hosted and now - self._seen > AWAY

    # Votes

    def voter(self, name: str) -> str:
        """Who votes: the name that this room gave to the same browser before, or a new one."""
        with self._lock:
            if name not in self._known and name not in self._votes:
                name = secrets.token_urlsafe(12)
            self._known[name] += 1
            return name

    def gone(self, name: str) -> None:
        """A page of this voter was closed. Who has voted stays known as long as the question."""
        with self._lock:
            self._known[name] -= 1
            if self._known[name] <= 0:
                del self._known[name]

    def vote(self, name: str, number: int, choice: int) -> bool:
        """One vote each, which may change as long as the question is open. False: too late, or no such choice."""
        with self._lock:
            question = self.question
            if question is None or self.phase != "open" or number != self.number or choice >= len(question.choices):
                return False
            if name not in self._votes and len(self._votes) >= min(MOST_VOTERS, self._most):
                gone = next((voter for voter in self._votes if voter not in self._known), None)
                if gone is None:
                    return False
                del self._votes[gone]  # or one page that comes again and again as another voter would decide
            self._votes[name] = choice
        self._tell()
        return True

    def voted(self, name: str) -> int | None:
        return self._votes.get(name)

    # What readers see

    def picture(self) -> tuple[dict[str, Any], Snapshot | None]:
        """Head and snapshot of the run; where they hold the awaited answer, it is given."""
        head, snapshot = self.run.picture()
        question = self.question
        if self.phase == "running" and question is not None and snapshot is not None:
            found = measured(question, snapshot)
            with self._lock:
                given = found is not None and self.question is question and self.phase == "running"
                if given:
                    self.phase, self.answered = "answered", found
            if given:
                self._tell()
        return head, snapshot

    def state(self, sees: bool) -> dict[str, Any]:
        """What all are told, in the reader's language; `sees`: the votes too. Texts are HTML."""
        with self._lock:
            q, answered, pointed = self.question, self.answered, self.pointed
            question: dict[str, Any] | None = None
            if q is not None:
                count = Counter(self._votes.values())
                question = {
                    "number": self.number,
                    "kind": q.kind,
                    "text": str(q.text),
                    "choices": [str(choice) for choice in q.choices],
                    "phase": self.phase,
                    "voted": len(self._votes),
                    "votes": [count[i] for i in range(len(q.choices))] if sees or self.phase != "open" else None,
                    "goal": q.goal,
                    "right": answered.right if answered else None,
                    "said": str(answered.said) if answered else "",
                }
            return {
                "code": self.code,
                "watching": self.watching,
                "host": self.hosted,
                "hidden": self.hidden,
                "point": None if pointed is None else {"picture": pointed[0], "at": pointed[1]},
                "question": question,
            }


class Rooms:
    """All rooms of this server."""

    def __init__(self, runs: Registry) -> None:
        self._runs = runs
        self._rooms: dict[str, Room] = {}
        self._lock = threading.Lock()

    def open(self, run: Run) -> Room:
        """The room of a run. ValueError with a sentence where there are too many."""
        with self._lock:
            found = next((room for room in self._rooms.values() if room.run is run), None)
            if found is not None:
                return found
            if len(self._rooms) >= MOST_ROOMS:
                text = _(
                    "This server has {most} open rooms already, and allows no more. Try again when one has closed."
                )
                raise ValueError(text.format(most=MOST_ROOMS))
            code = new_code()
            while code in self._rooms:
                code = new_code()
            room = self._rooms[code] = Room(code, run)
            return room

    def by_code(self, code: str) -> Room | None:
        with self._lock:
            return self._rooms.get(code)

    def by_token(self, token: str | None) -> tuple[Room, bool] | None:
        """The room of a token of either kind, and whether it is the lecturer's."""
        with self._lock:
            for room in self._rooms.values():
                if token in (room.token, room.host):
                    return room, token == room.host
        return None

    def hosted(self, host: str | None) -> Room | None:
        found = self.by_token(host)
        return found[0] if found is not None and found[1] else None

    def close(self, room: Room) -> None:
        with self._lock:
            self._rooms.pop(room.code, None)
        room.close()

    def sweep(self) -> None:
        """Close the rooms whose run was freed, or whose lecturer is gone; the others use their run."""
        now = time.monotonic()
        with self._lock:
            rooms = tuple(self._rooms.values())
        for room in rooms:
            if room.deserted(now) or self._runs.get(room.run.token) is not room.run:
                self.close(room)
            else:
                room.run.use()

    def clear(self) -> None:
        with self._lock:
            rooms = tuple(self._rooms.values())
        for room in rooms:
            self.close(room)


def new_code() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(LENGTH))


def read_code(text: str) -> str:
    """A code as somebody wrote it; "" where it cannot be one."""
    code = "".join(text.upper().split()).replace("-", "")
    return code if len(code) == LENGTH and set(code) <= set(LETTERS) else ""


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


ROOMS = Rooms(RUNS)
