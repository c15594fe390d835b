"""Fixtures that several test files share: runs that end with their test, a real server, a real browser."""

import functools
import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from app.registry import Registry

hypothesis.settings.register_profile("shared machine", deadline=None)  # a first call compiles, and others work beside
hypothesis.settings.load_profile("shared machine")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by a script's `&`: programs under test would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).parent.parent
CHROMIUM_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Scheduling(LoadScopeScheduling):
    """A worker takes a whole file, so that what its tests share is made once; one takes all that drive a browser.

    Two browsers beside each other, each with a server, wait for longer than people would. xdist's own groups, which
    would say that by a mark, do not reach pytest 9.2 (pytest-xdist 3.8 writes a name that is not read any more).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "browser" if "browser" in file else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of the browser first: they are one worker's for minutes, while the other goes through the rest."""
    items.sort(key=lambda item: "browser" not in item.path.name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False  # not the files with the most tests first: those are short
    return Scheduling(config, log)


def pytest_collection_finish() -> None:
    """Spare each run of a page what Streamlit would do anew for it: it took most of the time of tests of pages.

    It looks through all installed packages for components (0.3 s), collects garbage among all objects there are, and
    clears the session of a Keras that another test has imported, which collects once more (half a second).
    """
    if "streamlit.testing" in sys.modules:
        from streamlit.components.v2 import manifest_scanner
        from streamlit.runtime.scriptrunner import script_runner

        manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)
        script_runner._clean_problem_modules = lambda: None
    gc.collect()
    gc.freeze()


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry of its own, whose threads end with the test."""
    registry = Registry()
    yield registry
    registry.close()


class Server:
    """`streamlit run app/main.py` in a process of its own."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [sys.executable, "-m", "streamlit", "run", "app/main.py", "--server.port", str(port)]
        self.process = subprocess.Popen(
            [*command, "--server.address", "127.0.0.1"], cwd=ROOT, stdout=self.log, stderr=subprocess.STDOUT
        )
        end = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start:\n{self.output()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def output(self) -> str:
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def interrupt(self) -> float:
        """Ctrl-C; returns the seconds until the process was gone."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        return time.monotonic() - begin

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def chromium() -> str | None:
    """The browser of the tests: $CHROMIUM, or the system's."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    path = chromium()
    required = os.environ.get("CI") or os.environ.get("BROWSER_TESTS") == "required"
    if path is None and not required:
        pytest.skip("no Chromium here: install it, or set CHROMIUM to its path")
    assert path is not None, "the browser tests are required, and there is no Chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()
