"""Who looks at a run: its open pictures, whether somebody is there, and what has been seen. No Streamlit in here."""

import threading
import time
from collections.abc import Callable

GRACE = 3.0  # seconds that training goes on while nobody watches
ASLEEP = 30.0  # seconds without "drawn" after which a watcher no longer counts: a hidden tab, a dead network
UNUSED = 120.0  # seconds after which a run without watchers is freed; Streamlit keeps a lost session as long


class Watcher:
    """One open picture of a run. `wake` is called from any thread when there is something new."""

    def __init__(self, watching: "Watching", wake: Callable[[], None]) -> None:
        self._watching, self._wake = watching, wake
        self._sent: float | None = None  # when the picture left that is not drawn yet,
        self._setting = 0  # and the setting it shows

    def __call__(self) -> None:
        self._wake()

    def sent(self, setting: int) -> None:
        """A picture of this setting is on its way."""
        self._sent, self._setting = self._sent or time.monotonic(), setting

    def drawn(self) -> None:
        """It was painted: somebody is there."""
        slept, self._sent = not self.awake, None
        self._watching.painted(self._setting)
        if slept:
            self._watching.resume()

    @property
    def awake(self) -> bool:
        sent = self._sent
        return sent is None or time.monotonic() - sent < ASLEEP

    def close(self) -> None:
        self._watching.leave(self)


class Watching:
    """All open pictures of one run. `resumed` is called when somebody comes, or comes back."""

    def __init__(self, resumed: Callable[[], None]) -> None:
        self._resumed = resumed
        self._changed = threading.Condition()  # of who watches, or of what has been painted
        self._watchers: set[Watcher] = set()
        self._used = self._watched = time.monotonic()
        self._painted = 0  # the newest setting that somebody has seen

    def __len__(self) -> int:
        return len(self._watchers)

    def watch(self, wake: Callable[[], None]) -> Watcher:
        watcher = Watcher(self, wake)
        with self._changed:
            self._watchers.add(watcher)
        self.resume()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        with self._changed:
            self._watchers.discard(watcher)
            self._used = self._watched = time.monotonic()
            self._changed.notify_all()

    def resume(self) -> None:
        """Go on with a training that stopped because nobody watched."""
        with self._changed:
            self._used = self._watched = time.monotonic()
        self._resumed()

    def tell(self) -> None:
        """There is something new to see."""
        with self._changed:
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher()

    def use(self) -> None:
        """The run was given something to do: it is not to be freed."""
        with self._changed:
            self._used = time.monotonic()

    def unused(self, now: float, after: float | None = None) -> bool:
        """Has nobody watched it, or given it something to do, for so many seconds (None: UNUSED)?"""
        with self._changed:
            return not self._watchers and now - self._used > (UNUSED if after is None else after)

    def unseen(self, now: float) -> bool:
        """Has nobody watched for so long that training stops?"""
        with self._changed:
            if self._somebody:
                self._watched = now
            return now - self._watched > GRACE

    def painted(self, setting: int) -> None:
        with self._changed:
            self._painted = max(self._painted, setting)
            self._changed.notify_all()

    def saw(self, setting: int, timeout: float) -> bool:
        """Wait until somebody has seen the picture of a setting, or nobody watches; returns whether it was seen."""
        with self._changed:
            self._changed.wait_for(lambda: self._painted >= setting or not self._somebody, timeout)
            return self._painted >= setting

    @property
    def _somebody(self) -> bool:
        return any(watcher.awake for watcher in self._watchers)
