"""A class on one server: real sessions against a local server that it starts itself. Prints all figures.

PYTHONPATH=. .venv/bin/python tests/benchmarks/classroom.py
    --sessions 100 --train 20 --every 8 --seconds 60   of 100 tabs 20 train, the others change a control every 8 s
    --speed 20       steps a second that the trainers ask for; 0: as fast as it can
    --paint 50       milliseconds that a student's browser takes to paint a picture
    --watch 100      instead: a room, in which one plays and so many watch; lag: from a frame's stamp to receipt
    --json FILE      the same figures for a program

Loopback only, bounded in count and time. The students are processes of their own: what they take is said apart.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import Server  # noqa: E402

MOST_SESSIONS, MOST_SECONDS = 400, 1200
PROCESSES = 2  # of students
GONE = 150  # seconds after which the runs of closed tabs are freed


class Process:
    """What a process takes, from /proc."""

    def __init__(self, pid: int) -> None:
        self.folder = Path(f"/proc/{pid}")

    def cpu(self) -> float:
        """Seconds so far."""
        fields = (self.folder / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def status(self, name: str) -> int:
        """Memory in MB, or the count of threads."""
        line = next(line for line in (self.folder / "status").read_text().splitlines() if line.startswith(name + ":"))
        return int(line.split()[1]) // (1024 if line.endswith("kB") else 1)


def busy() -> float:
    """Seconds that the cores of this machine have worked, together."""
    ticks = list(map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]))
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # but idle and waiting for a disk


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def students(address: str, asked: argparse.Namespace) -> list[subprocess.Popen[str]]:
    """The processes, told what to do."""
    found = []
    for n in range(PROCESSES):

        def part(count: int, n: int = n) -> int:
            return count * (n + 1) // PROCESSES - count * n // PROCESSES

        task = {
            "address": address, "train": part(asked.train), "choose": part(asked.sessions - asked.train), "seed": n,
            "every": asked.every, "seconds": asked.seconds, "speed": asked.speed, "paint": asked.paint / 1000,
        }  # fmt: skip
        process = _start("students.py")
        _tell(process, json.dumps(task))
        found.append(process)
    return found


def _start(name: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "tests" / "benchmarks" / name)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def classroom(asked: argparse.Namespace) -> dict[str, Any]:
    server = Server()
    processes: list[subprocess.Popen[str]] = []
    try:
        time.sleep(5)  # what compiles in the background has compiled
        taken = Process(server.process.pid)
        start = taken.status("VmRSS")
        processes = students(server.url.removeprefix("http://"), asked)
        if any(_heard(process) != "ready" for process in processes):
            raise RuntimeError("the students did not arrive")
        arrived, cpu, all_cpu, begin = taken.status("VmRSS"), taken.cpu(), busy(), time.perf_counter()
        for process in processes:
            _tell(process, "go")
        said = [json.loads(_heard(process)) for process in processes]
        passed, cpu, all_cpu = time.perf_counter() - begin, taken.cpu() - cpu, busy() - all_cpu
        peak, threads = taken.status("VmHWM"), taken.status("Threads")
        for process in processes:
            _tell(process, "leave")
            process.wait(60)
        after = None
        if asked.wait:
            time.sleep(GONE)
            after = taken.status("VmRSS")
        return figures(asked, said) | {
            "seconds": passed, "server cores": cpu / passed, "students' cores": sum(s["cpu"] for s in said) / passed,
            "all cores": all_cpu / passed,
            "memory MB": {"start": start, "all arrived": arrived, "peak": peak, "after all left": after},
            "threads": threads,
        }  # fmt: skip
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
        server.stop()


def audience(asked: argparse.Namespace) -> dict[str, Any]:
    """One run, and many who watch it in a room."""
    server = Server()
    process = None
    try:
        time.sleep(5)
        taken, start = Process(server.process.pid), 0
        process = _start("watchers.py")
        task = {"address": server.url.removeprefix("http://"), "watch": asked.watch, "seconds": asked.seconds}
        _tell(process, json.dumps(task | {"paint": asked.paint / 1000}))
        if _heard(process) != "ready":
            raise RuntimeError("the room did not open")
        start, cpu, all_cpu, begin = taken.status("VmRSS"), taken.cpu(), busy(), time.perf_counter()
        _tell(process, "go")
        said = json.loads(_heard(process))
        passed, cpu, all_cpu = time.perf_counter() - begin, taken.cpu() - cpu, busy() - all_cpu
        lags, rates = said["lags"], [count / (passed - 3) for count in said["counts"]]
        return {
            "watchers": asked.watch, "seconds": passed, "frames/s of a watcher": _spread(rates),
            "frame lag, ms": {
                "count": len(lags), "median": percentile(lags, 0.5), "p95": percentile(lags, 0.95),
                "p99": percentile(lags, 0.99), "max": max(lags, default=float("nan")),
            },
            "steps/s of the run": said["steps"], "server cores": cpu / passed, "watchers' cores": said["cpu"] / passed,
            "all cores": all_cpu / passed, "memory MB": {"start": start, "peak": taken.status("VmHWM")},
            "errors": len(said["errors"]), "first errors": sorted(set(said["errors"]))[:5],
        }  # fmt: skip
    finally:
        if process is not None and process.poll() is None:
            process.kill()
        server.stop()


def figures(asked: argparse.Namespace, said: list[dict[str, Any]]) -> dict[str, Any]:
    """What all students saw together."""
    controls = [1000 * seconds for part in said for seconds in part["controls"]]
    steps = [each["steps"] for part in said for each in part["training"]]
    frames = [each["frames"] for part in said for each in part["training"]]
    opened = [seconds for part in said for seconds in part["opened"]]
    errors = [error for part in said for error in part["errors"]]
    return {
        "sessions": asked.sessions, "training": asked.train,
        "control to frame, ms": {
            "count": len(controls), "median": percentile(controls, 0.5), "p95": percentile(controls, 0.95),
            "p99": percentile(controls, 0.99), "max": max(controls, default=float("nan")),
        },
        "steps/s of a run": _spread(steps), "least / mean": min(steps) / mean(steps) if steps and mean(steps) else None,
        "frames/s of a trainer": _spread(frames),
        "first picture, s": {"median": median(opened) if opened else None, "max": max(opened, default=None)},
        "MB/s sent": sum(part["bytes"] for part in said) / 1e6 / asked.seconds,
        "errors": len(errors), "first errors": sorted(set(errors))[:5],
    }  # fmt: skip


def _spread(values: list[float]) -> dict[str, float | None]:
    return {"least": min(values), "mean": mean(values), "most": max(values)} if values else {}


def _say(name: str, value: Any) -> None:
    def plain(v: Any) -> str:
        return f"{v:.4g}" if isinstance(v, float) else str(v)

    text = ", ".join(f"{k} {plain(v)}" for k, v in value.items()) if isinstance(value, dict) else plain(value)
    print(f"{name:24} {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--train", type=int, default=20)
    parser.add_argument("--every", type=float, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--speed", type=int, default=20, choices=[0, 4, 20])
    parser.add_argument("--paint", type=float, default=50)
    parser.add_argument("--watch", type=int, default=0)
    parser.add_argument("--wait", action="store_true", help="until closed tabs are forgotten, for the memory after")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    asked.sessions, asked.seconds = min(asked.sessions, MOST_SESSIONS), min(asked.seconds, MOST_SECONDS)
    asked.train = min(asked.train, asked.sessions)
    asked.watch = min(asked.watch, MOST_SESSIONS)
    found = audience(asked) if asked.watch else classroom(asked)
    for name, value in found.items():
        _say(name, value)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
