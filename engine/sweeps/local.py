"""A cluster on this machine for as long as a sweep takes: a scheduler here, and one process a core that works. Nobody
else is heard by them, see guarded.py."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
QUIET = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False", "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]"}
STARTS = 60.0  # seconds that a worker may take to come up
TRIES = 3  # starts in a row of a worker that does nothing before it ends


def cores() -> int:
    """As many processors as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def local(workers: int) -> Iterator["Local"]:
    """A cluster of so many workers, on the loopback alone, without a dashboard; nothing is left of it afterwards."""
    import dask
    from distributed import Client, Scheduler, SpecCluster

    from engine.sweeps.guarded import SCHEME, word

    # A group whose worker died comes back at once: what it had found is known, and only the rest is done again.
    options = {
        "protocol": SCHEME,
        "host": "127.0.0.1",
        "port": 0,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
    }
    scheduler = {"cls": Scheduler, "options": options | {"allowed_failures": 0}}
    with (
        TemporaryDirectory(prefix="sweep-", ignore_cleanup_errors=True) as folder,
        dask.config.set({"distributed.scheduler.http.routes": [], "temporary-directory": folder}),
        SpecCluster(scheduler=scheduler, workers={}, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        made = Local(workers, client, Path(folder), word())
        try:
            made.start()
            yield made
        finally:
            made.close()


class Local:
    """The processes of a local cluster: started, replaced when they die, ended."""

    def __init__(self, workers: int, client: Any, folder: Path, word: bytes) -> None:
        self.client, self._folder, self._word = client, folder, word
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * workers
        self._in_vain = 0  # starts since something was found last

    def start(self) -> None:
        """Start all, and wait for the first. Raises RuntimeError where none comes up."""
        end = time.monotonic() + STARTS
        while self.mend() or not self.client.nthreads():
            if time.monotonic() > end:
                raise RuntimeError(f"workers: none came up in {STARTS:.0f} seconds; {self._last_words()}")
            time.sleep(0.02)

    def well(self) -> None:
        """Something was found: the next worker that dies is a new trouble."""
        self._in_vain = 0

    def mend(self) -> bool:
        """Start a process wherever there is none, or none any more; was there one to start?

        Raises RuntimeError where they die again and again.
        """
        missing = [k for k, process in enumerate(self._processes) if process is None or process.poll() is not None]
        for k in missing:
            if self._in_vain >= TRIES * len(self._processes) + len(self._processes):
                raise RuntimeError(f"workers: they die as soon as they start; {self._last_words()}")
            self._in_vain += 1
            self._end(self._processes[k])
            self._processes[k] = self._begin(k)
        return bool(missing)

    def close(self) -> None:
        """End all processes at once: what they found is known already."""
        for process in self._processes:
            self._end(process)

    def _begin(self, k: int) -> "subprocess.Popen[bytes]":
        root = str(Path(__file__).parent.parent.parent)
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-P", "-W", "ignore", "-m", "engine.sweeps.worker"]
        command += [self.client.scheduler.address, str(self._folder)]
        with self._log(k).open("wb") as log:
            process = subprocess.Popen(
                command, env=os.environ | ONE_THREAD | QUIET | {"PYTHONPATH": path}, stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,  # Ctrl-C is for the parent
            )  # fmt: skip
        with suppress(OSError):  # it may have died already
            assert process.stdin
            process.stdin.write(self._word.hex().encode() + b"\n")
            process.stdin.flush()
        return process

    def _end(self, process: "subprocess.Popen[bytes] | None") -> None:
        if process is None:
            return
        process.kill()
        process.wait()
        pipe: IO[bytes] | None = process.stdin
        if pipe is not None:
            with suppress(OSError):
                pipe.close()

    def _log(self, k: int) -> Path:
        return self._folder / f"worker-{k}.log"

    def _last_words(self) -> str:
        said = [self._log(k).read_text(errors="replace").strip() for k in range(len(self._processes))]
        last = [text.splitlines()[-1][:200] for text in said if text]
        return f"the last one said: {last[-1]}" if last else "they said nothing"
