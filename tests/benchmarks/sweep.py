"""What running a sweep costs beside the points: two workers against one, the share of time outside the engine, a map,
and the scheduler's own time for a task, from which follows how many workers it can feed.

    PYTHONPATH=. .venv/bin/python tests/benchmarks/sweep.py [--only speedup,outside,map,tasks] [--json sweep.json]

Some minutes on a quiet machine of two cores. Sides of a ratio take turns, and medians are compared. Clusters are up,
and kernels compiled, before a clock starts, except in the map, which is timed as its user waits for it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import engine
from engine.sweeps import farm, run
from engine.sweeps.costs import split
from engine.sweeps.local import Local, local
from engine.sweeps.measures import measure
from engine.sweeps.plan import Plan, plan
from engine.sweeps.store import Store

POINT = 0.05  # seconds
ROUNDS = 3
THOUSAND = 1000


def timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def points_of(seconds: float, count: int) -> Plan:
    """A plan of so many points that take about so long each: a few training steps of a network of 64 units."""
    e = engine.Experiment(hidden_size=64, seq_length=100)
    measure(e, ["train_loss"], 2)
    steps = 8
    a_step = min(timed(lambda: measure(e, ["train_loss"], steps)) for _ in range(5)) / steps
    return plan(e, {"gain": np.linspace(0.5, 1.5, count)}, 1, "train_loss", max(1, round(seconds / a_step)))


def swept(p: Plan, own: Local) -> tuple[float, farm.Farm]:
    """Seconds of the work alone, and what is known of it; nothing is in the store before."""
    with Store() as store:
        at_work = farm.Farm(p, split(p, store)[1], store, own.client, own)
        return timed(at_work.work), at_work


def speedup() -> list[dict[str, Any]]:
    """Two workers against one, on points of 50 ms and of 5 ms."""
    rows = []
    print(f"\n{'points':>22}{'one worker':>12}{'two workers':>13}{'ratio':>8}   (1.8 is asked)")
    for seconds, count in ((POINT, 200), (POINT / 10, 1000)):
        p, times = points_of(seconds, count), {1: [], 2: []}
        for _ in range(ROUNDS):
            for workers, found in times.items():
                with local(workers) as own:
                    ready(own, workers)
                    swept(points_of(seconds, 4 * workers), own)
                    found.append(swept(p, own)[0])
        one, two = (statistics.median(found) for found in times.values())
        print(f"{count:>8} of {1e3 * seconds:5.0f} ms{one:>11.2f} s{two:>11.2f} s{one / two:>8.2f}")
        rows.append({"points": count, "seconds": seconds, "one": one, "two": two, "ratio": one / two})
    return rows


def outside() -> list[dict[str, Any]]:
    """The share of the workers' time that is not spent in points."""
    rows = []
    print(f"\n{'points':>22}{'a point':>10}{'wall':>9}{'outside the engine':>20}   (less than 5% is asked for 50 ms)")
    for workers in (1, 2):
        with local(workers) as own:
            ready(own, workers)
            swept(points_of(POINT, 4 * workers), own)
            for seconds, count in ((POINT, 200), (POINT / 10, 1000)):
                p, shares, walls, each = points_of(seconds, count), [], [], []
                for _ in range(ROUNDS):
                    wall, at_work = swept(p, own)
                    shares.append(1 - at_work.seconds / (wall * workers))
                    walls.append(wall)
                    each.append(at_work.seconds / at_work.computed)
                share, wall, a_point = map(statistics.median, (shares, walls, each))
                print(f"{count:>8} on {workers} workers{1e3 * a_point:>7.1f} ms{wall:>7.2f} s{share:>20.1%}")
                rows.append({"workers": workers, "points": count, "point": a_point, "wall": wall, "outside": share})
    return rows


MAP = """
import time; begin = time.perf_counter()
import engine, numpy as np
axes = {"gain": np.linspace(0.5, 1.5, 33), "lr": np.geomspace(1e-4, 1, 33)}
engine.sweep(engine.Experiment(hidden_size=64, seq_length=100), axes, 3, ["decades_per_step", "grad_norm", "chi"])
print(time.perf_counter() - begin)
"""


def map_of_probes() -> list[dict[str, Any]]:
    """33 × 33 points, 3 seeds, H=64, T=100, nothing trained: a fresh process, from its first line to the dataset."""
    run(plan(engine.Experiment(), {"gain": [1.0]}, 1, "grad_norm"))  # so that the kernels are compiled
    seconds = [float(subprocess.check_output([sys.executable, "-c", MAP], text=True)) for _ in range(2)]
    best = min(seconds)
    print(f"\nmap of 33 × 33 × 3 probes: {best:.1f} s, {1e3 * best / 3267:.1f} ms a point   (less than 60 s is asked)")
    return [{"points": 3267, "seconds": best}]


def nothing(k: int) -> None:
    """An empty task."""


def tasks() -> list[dict[str, Any]]:
    """Processor time of this process, where scheduler, client and store are, for a task and for a point.

    Processor time, since workers beside it take some of the clock's. A scheduler of its own has less to do than this.
    """
    tiny = engine.Experiment(hidden_size=1, seq_length=2, batch_size=1)
    p = plan(tiny, {"gain": np.linspace(0, 1, 1500)}, 1, "chi")
    with local(2) as own:
        ready(own, 2)
        client, count = own.client, 2000

        def empty() -> None:
            client.gather(client.map(nothing, range(count), pure=False))

        def processor(function: Callable[[], object]) -> float:
            function()
            found = []
            for _ in range(ROUNDS):
                begin = time.process_time()
                function()
                found.append(time.process_time() - begin)
            return statistics.median(found)

        an_empty = processor(empty) / count
        a_point = processor(lambda: swept(p, own)) / p.size
        usual = farm.GROUP, farm.SHORT, farm.TASK
        farm.GROUP, farm.SHORT, farm.TASK = 0.0, 0.0, 0.0
        a_task = processor(lambda: swept(p, own)) / p.size
        farm.GROUP, farm.SHORT, farm.TASK = usual
    rows = {
        "an empty task of dask, of many at a time": f"{1e3 * an_empty:.2f} ms of processor",
        "a group of one point, each message sent alone": f"{1e3 * a_task:.2f} ms",
        "a point in a large group": f"{1e3 * a_point:.2f} ms",
        "saturated at": f"{1 / a_task:.0f} groups a second, {1 / a_point:.0f} points a second",
        "workers that groups of 1 s saturate": f"{1 / a_task:.0f}",
        "workers that points of 50 ms, one a group, saturate": f"{POINT / a_task:.0f}",
        f"{THOUSAND} workers saturate it with groups below": f"{THOUSAND * a_task:.2f} s",
        f"{THOUSAND} workers saturate it with points below": f"{1e3 * THOUSAND * a_point:.0f} ms",
        f"{THOUSAND} workers leave half of it free with": f"groups of {2 * THOUSAND * a_task:.1f} s",
        f"groups that {THOUSAND} workers are given": f"{max(farm.GROUP, THOUSAND * farm.TASK):.1f} s",
    }
    print()
    for what, value in rows.items():
        print(f"{what:<53}{value}")
    return [{"empty_task": an_empty, "group": a_task, "point": a_point}]


def ready(own: Local, workers: int) -> None:
    """Until all workers are there."""
    while len(own.client.nthreads()) < workers:
        own.mend()
        time.sleep(0.05)


MEASURED = {"speedup": speedup, "outside": outside, "map": map_of_probes, "tasks": tasks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(MEASURED))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = {name: MEASURED[name]() for name in asked.only.split(",")}
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
