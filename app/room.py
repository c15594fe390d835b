"""One room: a lecturer's run that others watch, what is pointed at, and what they guess. No Streamlit in here.

A room has three kinds of names. The code is short and public: who knows it may watch. A ticket is the same right for
the socket /room/{token}, one for each visitor. `host` is the lecturer's, and lets point. None of them reaches the run:
what a room can do with it is to look, to let it play up to the answer of a question, and to copy one of its moments
(`Run.checkpoint`).
"""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from app.guesses import Answer, Question, measured
from app.limits import LIMITS
from app.runs import Run
from app.snapshot import Snapshot

MOST_WATCHERS = LIMITS.watchers
EACH = 3  # open pages of one visitor: a reload opens the next before the last is closed
MOST_TICKETS = 5 * MOST_WATCHERS  # then the oldest that nobody uses is void
MOST_VOTERS = 1000  # of one question: a browser that forgets who it is comes as another one
EMPTY = 30.0  # seconds without anybody after which a room makes way for another, where there are too many
AWAY = 600.0  # seconds without the lecturer's page after which a room closes: a reload, a pause, a lost network


class Room:
    """All methods may be called from any thread; whatever changes, the listeners are called."""

    def __init__(self, code: str, run: Run, network: str = "") -> None:
        self.code, self.run = code, run
        self.network = network  # that it was opened from; "": nobody knows
        self.host = secrets.token_urlsafe(24)
        self._tickets: dict[str, int] = {}  # -> their open pages
        self._lock = threading.RLock()
        self._listeners: set[Callable[[], None]] = set()
        self._hosts = 0  # open pages of the lecturer
        self._left = self._seen = time.monotonic()  # when the last of them, and of all pages, was open
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
        if question.kind != "own" and question.answer is None:
            self.run.play()
        self.picture()  # it may say so at once
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

    def ticket(self) -> str:
        """The right of one visitor to watch, with a few pages at once: so one ticket cannot take all places."""
        with self._lock:
            if len(self._tickets) >= MOST_TICKETS:
                del self._tickets[next(ticket for ticket, pages in self._tickets.items() if not pages)]
            ticket = secrets.token_urlsafe(24)
            self._tickets[ticket] = 0
            return ticket

    def admits(self, token: str | None) -> bool | None:
        """Does a token let its page in: as the lecturer's (True), as a watcher's (False), not at all (None)?"""
        return True if token == self.host else False if token in self._tickets else None

    def enter(self, ticket: str | None) -> bool:
        """A page of a watcher's, or (None) of the lecturer's: is there room for it?"""
        with self._lock:
            if self.closed:
                return False
            if ticket is None:
                self._hosts += 1
            else:
                pages = self._tickets.get(ticket, EACH)
                if pages >= EACH or self.watching >= MOST_WATCHERS:
                    return False
                self._tickets[ticket] = pages + 1
                self.watching += 1
                self._most = max(self._most, self.watching)
        self._tell()
        return True

    def leave(self, ticket: str | None) -> None:
        with self._lock:
            self._seen = time.monotonic()
            if ticket is None:
                self._hosts, self._left = self._hosts - 1, self._seen
            else:
                self._tickets[ticket] -= 1
                self.watching -= 1
        self._tell()

    @property
    def hosted(self) -> bool:
        return self._hosts > 0

    def deserted(self, now: float) -> bool:
        """Is the lecturer gone for good?"""
        return not self.hosted and now - self._left > AWAY

    def empty(self, now: float) -> bool:
        """Has nobody been here for a while?"""
        return not self.hosted and not self.watching and now - self._seen > EMPTY

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
