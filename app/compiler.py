"""Compiles what runs wait for, beside the training of everybody else, and the rest ahead of need."""

import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import engine

Done = Callable[[Exception | None], None]
ROOT = Path(__file__).parent.parent
log = logging.getLogger(__name__)


class Compiler:
    """One daemon thread for what somebody waits for, and a process for what nobody waits for yet.

    A compilation is Python that holds the interpreter's lock for seconds: in this process it makes every training and
    every control wait, so only what is needed at once is compiled here.
    """

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[tuple[engine.Experiment, Done] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def want(self, e: engine.Experiment, done: Done) -> None:
        """Compile what `e` needs, unless it is compiled by then, and call `done` with None or the error."""
        self._wanted.put((e, done))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="compiler", daemon=True)
                self._thread.start()

    def warm_up(self, e: engine.Experiment) -> None:
        """Make `e` ready here, then start the process that compiles all the rest into the disk cache."""
        self.want(e, lambda error: self._start())

    def close(self) -> None:
        """Begin nothing more."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()
        self._wanted.put(None)

    def _start(self) -> None:
        with self._lock:
            if not self._closed:  # in a session of its own: Ctrl-C in the terminal is for the server, which ends it
                command = [sys.executable, "-m", "app.warm"]
                self._process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)

    def _serve(self) -> None:
        while self._compile_next():
            pass

    def _compile_next(self) -> bool:
        """Compile what is wanted next; False: nothing more. In a function of its own: the names of a loop that waits
        would keep the last run, and its data, until somebody wants another."""
        if (wanted := self._wanted.get()) is None or self._closed:
            return False
        e, done = wanted
        error: Exception | None = None
        try:
            engine.warm_up(e)
        except Exception as caught:  # whoever waits is told; the thread serves the others
            log.exception("compiling failed")
            error = caught
        done(error)
        return True
