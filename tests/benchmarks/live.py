"""How fast is the page? Measured with a real server and Chromium, and printed: `python tests/benchmarks/live.py`.

--minutes N   length of the memory measurement (default 2; the issue's figure is for 10)
--only NAME   one measurement: first, control, repaint, slowdown, memory, cold
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Page, sync_playwright  # noqa: E402
from websockets.sync.client import ClientConnection, connect  # noqa: E402

import engine  # noqa: E402
from app.training import Training  # noqa: E402
from tests.conftest import CHROMIUM_FLAGS, Server, chromium  # noqa: E402
from tests.test_browser import BLANK_FRAMES  # noqa: E402

SIZE = {"viewport": {"width": 1280, "height": 800}}


def say(name: str, value: str, target: str) -> None:
    print(f"{name:52} {value:>34}   {target}", flush=True)


def first_picture(page: Page, url: str, timeout: float = 60_000) -> float:
    """Seconds from the start of the navigation to the first painted frame that shows a run."""
    page.goto(f"{url}/explore")
    found = page.wait_for_function(
        "() => window.__stage?.frames > 0 && __stage.status === 'ready' && performance.now()", timeout=timeout
    )
    return float(found.json_value()) / 1000


def play(page: Page, speed: str) -> None:
    page.locator("#stage .speed select").select_option(speed)
    page.locator("#stage .play").click()
    page.wait_for_function("__stage.step > 0")


# The stage says what it shows in the frame that paints it; the message comes after that frame's layout and paint.
PAINTED = """(want) => ({ promise: new Promise((done) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => done(performance.now() - __pressed)
    let painted = __stage.painted
    const set = (now) => {
        if (painted < want && now >= want) port2.postMessage(null)
        painted = now
    }
    Object.defineProperty(__stage, 'painted', { configurable: true, enumerable: true, get: () => painted, set })
}) })"""


def control_times(page: Page, n: int) -> list[float]:
    """Milliseconds from the key press on a slider to the painted picture of the new setting."""
    page.evaluate("addEventListener('keydown', (e) => { window.__pressed = e.timeStamp }, true)")
    page.locator(".st-key-gain input[type=range]").focus()
    times = []
    for i in range(n):
        painted = page.evaluate_handle(PAINTED, page.evaluate("__stage.painted") + 1)
        page.keyboard.press("ArrowRight" if i % 2 else "ArrowLeft")
        times.append(page.evaluate("painted => painted.promise", painted))
        page.wait_for_timeout(250)
    return sorted(times)


def first(browser: Any) -> None:
    server = Server()
    try:
        context = browser.new_context(**SIZE)
        first_picture(context.new_page(), server.url)  # the server's own first time
        context.close()
        new, known = [], []
        for _ in range(3):
            context = browser.new_context(**SIZE)
            new.append(first_picture(context.new_page(), server.url))
            known.append(first_picture(context.new_page(), server.url))
            context.close()
        say("first picture, new browser", f"{median(new):.2f} s", "3 s")
        say("first picture, browser that knows the page", f"{median(known):.2f} s", "2 s")
    finally:
        server.stop()


def control(browser: Any) -> None:
    server = Server()
    try:
        page = browser.new_context(**SIZE).new_page()
        first_picture(page, server.url)
        page.wait_for_timeout(3000)
        control_times(page, 5)
        for name, target in (("idle", "120 ms (median)"), ("training", "200 ms")):
            times = control_times(page, 30)
            value = f"median {median(times):.0f}, p95 {times[int(0.95 * len(times))]:.0f} ms"
            say(f"control to painted, {name}", value, target)
            if name == "idle":
                play(page, "0")
        e, passes = engine.Experiment(), []
        for i in range(20):
            begin = time.perf_counter()
            Training(e.replace(gain=0.9 + 0.01 * i))
            passes.append(1000 * (time.perf_counter() - begin))
        say("  of it the run's first pass, recorded", f"{median(passes):.1f} ms", "20 ms")
    finally:
        server.stop()


def repaint(browser: Any) -> None:
    server = Server()
    try:
        for speed in ("20", "0"):
            page = browser.new_context(**SIZE).new_page()
            first_picture(page, server.url)
            play(page, speed)
            page.wait_for_timeout(1000)
            begin = time.perf_counter()
            blank, painted = page.evaluate(BLANK_FRAMES, 300)
            rate = painted / (time.perf_counter() - begin)
            draw = page.evaluate("[...__stage.draws].sort((a, b) => a - b)[__stage.draws.length >> 1]")
            name = "as fast as it can" if speed == "0" else f"{speed} steps/s"
            say(f"repaints while training, {name}", f"{rate:.1f}/s, {blank} blank, {draw:.0f} ms each", "8/s, 0 blank")
            page.close()
    finally:
        server.stop()


class Receiver:
    """A client that only receives: it says "drawn" and looks at nothing but the step."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames = self.reached = 0

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def receive(self) -> None:
        frame = self.socket.recv(20)
        size = int.from_bytes(frame[:4], "little")
        head = json.loads(frame[4 : 4 + size])
        self.frames, self.reached = self.frames + 1, head["run"]["reached"]
        self.say(do="drawn", frame=head["frame"])


def slowdown(browser: Any) -> None:
    """Training in the server with a client that only receives, against the bare trainer in a process of its own."""
    server = Server()
    try:
        tokens: list[str] = []
        page = browser.new_context(**SIZE).new_page()
        page.on(
            "websocket", lambda socket: tokens.append(socket.url.rsplit("/", 1)[1]) if "/live/" in socket.url else None
        )
        first_picture(page, server.url)
        page.close()  # the run lives on for two minutes; this client takes its place
        time.sleep(8)  # the background compilation is over
        address = f"ws://{server.url.removeprefix('http://')}/live/{next(t for t in tokens if t != 'stream')}"
        served, bare, frames = [], [], 0.0
        for _ in range(5):
            with connect(address, origin=server.url) as socket:
                client = Receiver(socket)
                for message in ({"do": "theme", "value": "light"}, {"do": "reset"}, {"do": "speed", "value": 0}):
                    client.say(**message)
                client.receive()
                while client.reached > 0:
                    client.receive()
                client.say(do="play")
                while client.reached < 300:
                    client.receive()
                begin, before, first_frame = time.perf_counter(), client.reached, client.frames
                while time.perf_counter() - begin < 3:
                    client.receive()
                seconds = time.perf_counter() - begin
                served.append((client.reached - before) / seconds)
                frames = (client.frames - first_frame) / seconds
                client.say(do="pause")
            time.sleep(0.5)
            bare.append(_bare())
        value = f"{1 - median(served) / median(bare):.0%} ({median(served):.0f} of {median(bare):.0f} steps/s)"
        say(f"training slowed by pictures ({frames:.0f} frames/s)", value, "10%")
    finally:
        server.stop()


def _bare() -> float:
    """Steps a second of the trainer alone."""
    trainer = engine.Trainer(engine.Experiment())
    trainer.advance(300)
    begin = time.perf_counter()
    while time.perf_counter() - begin < 3:
        trainer.advance(10)
    return (trainer.step - 300) / (time.perf_counter() - begin)


def memory(browser: Any, minutes: float) -> None:
    server = Server()
    try:
        page = browser.new_context(**SIZE).new_page()
        first_picture(page, server.url)
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")

        def now() -> tuple[float, float, int]:
            devtools.send("HeapProfiler.collectGarbage")
            metrics = {m["name"]: m["value"] for m in devtools.send("Performance.getMetrics")["metrics"]}
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            rss = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))
            return rss, metrics["JSHeapUsedSize"] / 1e6, page.evaluate("__stage.step")

        page.wait_for_timeout(8000)
        play(page, "20")
        samples = [now()]
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            page.wait_for_timeout(min(15_000, 1000 * max(0.1, end - time.monotonic())))
            samples.append(now())
        middle = samples[len(samples) // 2]
        for i, name in ((0, "server's memory"), (1, "page's JavaScript heap")):
            value = " → ".join(f"{sample[i]:.0f}" for sample in (samples[0], middle, samples[-1])) + " MB"
            say(f"{name} over {minutes:g} min of play", value, "no growth")
        print(f"  (step {samples[-1][2]}; at the start, half-way, at the end)")
    finally:
        server.stop()


def cold(browser: Any) -> None:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        try:
            server = Server()
            try:
                page = browser.new_context(**SIZE).new_page()
                states: list[str] = []
                watch = threading.Event()
                page.goto(f"{server.url}/explore")
                begin = time.perf_counter()
                while not page.evaluate("window.__stage?.frames > 0 && __stage.status === 'ready'"):
                    state = page.evaluate("document.querySelector('#stage')?.dataset.state ?? 'page'")
                    if not states or states[-1] != state:
                        states.append(state)
                    watch.wait(0.05)
                    if time.perf_counter() - begin > 120:
                        break
                seconds = page.evaluate("performance.now()") / 1000
                say("first picture with nothing compiled", f"{seconds:.1f} s ({' → '.join(states)})", "12 s")
            finally:
                server.stop()
        finally:
            del os.environ["NUMBA_CACHE_DIR"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--only", choices=["first", "control", "repaint", "slowdown", "memory", "cold"])
    asked = parser.parse_args()
    subprocess.run(
        [sys.executable, "-m", "app.warm"], cwd=ROOT, check=True
    )  # or the server's own would be measured too
    with sync_playwright() as playwright:
        for measure in (first, control, repaint, slowdown, cold):
            if asked.only in (None, measure.__name__):
                browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_FLAGS))
                measure(browser)
                browser.close()
        if asked.only in (None, "memory"):
            browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_FLAGS))
            memory(browser, asked.minutes)
            browser.close()


if __name__ == "__main__":
    main()
