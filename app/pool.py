"""A few threads that all runs share: fair by time, unhurried for training, at once for a control that moved."""

import heapq
import logging
import threading
import time
from itertools import count
from math import inf
from typing import Protocol
from weakref import WeakKeyDictionary

from app.limits import LIMITS
from app.turns import Turns

NOW = 0.0  # due before anything that has a time
AT_ONCE, IN_TURN, LONG = "at once", "in turn", "long"  # the lanes, each with threads of its own
LANES = (AT_ONCE, IN_TURN, LONG)
LONG_SLICE = 0.1  # seconds; a pass of a large network cannot be cut, and nobody's control is to wait for it
EVERY = 0.08  # seconds between two pictures of a run in training, at least
HELD, LET_GO = 0.25, 0.15  # seconds that answers to controls may hold training back, and that it then has at least
PICTURES = 0.3  # of one core that all pictures of runs in training may take together
log = logging.getLogger(__name__)


class Job(Protocol):
    @property
    def takes(self) -> float:
        """Seconds that the next slice will take, about."""

    def work(self) -> float | None:
        """Work for some 25 ms. Returns when to be called again (time.monotonic), or None: not until woken."""


class Pool:
    """`workers` daemon threads for each lane. Of the jobs that are due, one that was woken at once goes first, then
    whichever has had least of the threads' time: so all that want it get the same, however long their slices are.

    A job is never in two threads at once: one woken at work is queued again when it returns.
    """

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers * len(LANES)  # more of them would only wait for Python's lock
        self._later: list[tuple[float, int, Job]] = []  # by when they are due
        self._due: dict[Job, float] = {}  # the valid entry of each waiting job; older ones in the heap are void
        self._ready: dict[Job, None] = {}  # the waiting jobs whose time has come, in the order of arrival
        self._busy: dict[Job, float | None] = {}  # jobs at work -> when they were asked to come again meanwhile
        self._room = dict.fromkeys(LANES, workers)  # how many more may work in each lane
        self._had: WeakKeyDictionary[Job, float] = WeakKeyDictionary()  # seconds of the threads' time
        self._clock = 0.0  # what the one chosen last had had: nobody is given time back for having been away
        self.turns = Turns(LIMITS.training)
        self._changed = threading.Condition()
        self._alarm = inf  # when the one thread wakes up that waits for a time; the others wait for news
        self._order = count()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._answers: dict[str, float] = {}  # who is being answered -> how long that may take
        self._held_since = 0.0
        self._picture = {"pass": 0.0, "drawing": 0.0}  # seconds of work that a picture of training is, about

    def wake(self, job: Job, due: float = NOW) -> None:
        """Let the job work at `due` at the latest."""
        with self._changed:
            if self._closed:
                return
            if not self._threads:  # not at import: a test or a notebook that only imports has no threads
                self._threads = [
                    threading.Thread(target=self._serve, name=f"run-{i}", daemon=True) for i in range(self._workers)
                ]
                for thread in self._threads:
                    thread.start()
            if job in self._busy:
                asked = self._busy[job]
                self._busy[job] = due if asked is None else min(asked, due)
            else:
                self._push(job, due)

    def close(self, timeout: float = 1.0) -> None:
        """Start nothing more, and wait a moment for the slices at work."""
        with self._changed:
            self._closed = True
            self._later.clear()
            self._due.clear()
            self._ready.clear()
            self._changed.notify_all()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    # A control goes first. Python lets only one thread run, and each that has to get its lock back after every product
    # makes the others wait: so training pauses for the few hundredths of a second in which somebody is answered.

    def hold(self, who: str, seconds: float) -> None:
        """`who` is being answered, which takes about so long."""
        with self._changed:
            now = time.monotonic()
            self._answers = {other: until for other, until in self._answers.items() if until > now}
            self._answers[who] = max(now + seconds, self._answers.get(who, 0.0))

    def release(self, who: str) -> None:
        """The answer is on its way."""
        with self._changed:
            if self._answers.pop(who, None) is not None:
                self._changed.notify()

    def held(self, but: str = "") -> bool:
        """Is somebody (`but`: else than this one) waiting for an answer? Not for long: training has its part, too."""
        now = time.monotonic()
        if all(until <= now or who == but for who, until in tuple(self._answers.items())):
            self._held_since = now if not but else self._held_since
            return False
        if now - self._held_since > HELD + LET_GO:
            self._held_since = now
        return now - self._held_since <= HELD

    @property
    def waiting(self) -> int:
        """Jobs whose time has come, and that no thread has taken yet."""
        return len(self._ready)

    # Pictures of training take what is left: where many train, each is drawn less often.

    @property
    def every(self) -> float:
        """Seconds between two pictures of one run in training."""
        return max(EVERY, (len(self._due) + len(self._busy)) * sum(self._picture.values()) / PICTURES)

    def pictured(self, part: str, seconds: float) -> None:
        """The "pass" or the "drawing" of a picture of training was so much work."""
        self._picture[part] += 0.05 * (seconds - self._picture[part])

    # Inside: always with the lock held.

    def _push(self, job: Job, due: float) -> None:
        if job not in self._due or due < self._due[job]:
            self._due[job] = due
            heapq.heappush(self._later, (due, next(self._order), job))
            self._changed.notify()

    def _due_next(self) -> float:
        """Note whose time has come; returns when the next one's will."""
        now = time.monotonic()
        while self._later:
            due, _, job = self._later[0]
            if self._due.get(job) == due:
                if due > now:
                    return due
                self._ready[job] = None
                self._had[job] = max(self._had.get(job, 0.0), self._clock)
            heapq.heappop(self._later)
        return inf

    def _choose(self) -> tuple[Job, str] | None:
        """Who is next, and its lane; None where nobody may."""
        for job in sorted(self._ready, key=lambda job: (self._due[job] != NOW, self._had[job])):
            lane = LONG if job.takes > LONG_SLICE else AT_ONCE if self._due[job] == NOW else IN_TURN
            if self._room[lane] and not (lane == IN_TURN and self.held()):
                return job, lane
            if lane == IN_TURN:  # a long one with more time behind it is not to go ahead
                return None
        return None

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._closed:
                    due = self._due_next()
                    if self._ready and self.held():
                        due = min(due, time.monotonic() + 0.01)
                    if chosen := self._choose():
                        break
                    if due < self._alarm:
                        self._alarm = due
                        self._changed.wait(due - time.monotonic())
                        self._alarm = inf if self._alarm == due else self._alarm
                    else:
                        self._changed.wait()
                else:
                    return
                if self._alarm == inf:
                    self._changed.notify()  # another one waits for the next time
                job, lane = chosen
                del self._ready[job], self._due[job]
                self._busy[job] = None
                self._room[lane] -= 1
                if lane != AT_ONCE:
                    self._clock = max(self._clock, self._had[job])
            again, begin = None, time.thread_time()
            try:
                again = job.work()
            except Exception:  # a job reports its own errors; whatever slips through must not cost a thread
                log.exception("a job failed")
            with self._changed:
                self._had[job] += time.thread_time() - begin
                self._room[lane] += 1
                times = [due for due in (again, self._busy.pop(job)) if due is not None]
                if times and not self._closed:
                    self._push(job, min(times))
                self._changed.notify()  # there may be one that waited for room
            del job, chosen  # a thread that waits is not to keep a run that has been closed
