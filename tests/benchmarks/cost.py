"""What a training step costs, and why: arithmetic, growth, threads, recording, vanished gradients, memory, compiling.

    PYTHONPATH=. .venv/bin/python tests/benchmarks/cost.py [--only products,growth,…] [--json cost.json]

Both sides of every ratio take turns in one run, and medians are compared. The step is that of peers.py: one fixed batch
of the adding problem, Adam, clipping by norm.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # BLAS is one of the two sides, of one thread

import numba
import numpy as np

import engine
from engine.matmul import product
from engine.shard import aligned, padded
from tests.benchmarks.peers import BLOCKS, SIZES, experiment, peak

TYPES = ("float64", "float32")


def turns(sides: dict[str, Callable[[], object]], seconds: float = 1.0, each: float = 1e-2) -> dict[str, float]:
    """Seconds of one call of each side, medians; they take turns of `each` seconds or one call."""
    repeats = {}
    for name, side in sides.items():
        side()
        begin = time.perf_counter()
        side()
        repeats[name] = max(1, round(each / (time.perf_counter() - begin)))
    times: dict[str, list[float]] = {name: [] for name in sides}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, side in sides.items():
            begin = time.perf_counter()
            for _ in range(repeats[name]):
                side()
            times[name].append((time.perf_counter() - begin) / repeats[name])
    return {name: statistics.median(t) for name, t in times.items()}


def trainer(e: engine.Experiment, threads: int = 1) -> engine.Trainer:
    made = engine.Trainer(e, validate_every=0, threads=threads)
    made.advance(3)
    return made


# ------------------------------------------------------------------------------------- arithmetic
@numba.njit(nogil=True)
def _products(times, a, at_a, row_a, step_a, b, row_b, c, row_c, m, n, depth, add):
    for _ in range(times):
        product(a, at_a, row_a, step_a, b, 0, row_b, c, 0, row_c, m, n, depth, add)


def products() -> list[dict[str, Any]]:
    """The products of a step, hot, against numpy.dot with OpenBLAS on the same shapes; a step itself uses no BLAS."""
    rows = []
    for dtype in TYPES:
        most, kind = peak(dtype), np.dtype(dtype)
        print(f"\n{dtype}: peak {most:.1f} GFLOP/s\n{'product':34}{'ours':>8}{'BLAS':>8}{'ours/peak':>11}")
        for units in SIZES:
            batch = SIZES[units][0] // (2 if SIZES[units][0] >= 32 else 1)
            width, count = 4 * units, 128
            for name, m, n, k in (
                ("z = [h x 1] Wᵀ", batch, width, units + 3),
                ("dh = dz W_hh", batch, units, width),
                ("dW = dzᵀ h", width, units, count),
            ):
                turned = name.startswith("dW")
                a = aligned((k, padded(m, kind)) if turned else (m, padded(k, kind)), kind)
                b, c = aligned((k, padded(n, kind)), kind), aligned((m, padded(n, kind)), kind)
                a[:], b[:] = 0.01, 0.01
                strides = (1, a.shape[1]) if turned else (a.shape[1], 1)
                x, y, out = np.full((m, k), 0.01, kind), np.full((k, n), 0.01, kind), np.empty((m, n), kind)
                times = max(1, int(2e7 / (2 * m * n * k)))
                flat = a.reshape(-1), b.reshape(-1), c.reshape(-1)

                def ours(flat=flat, times=times, strides=strides, b=b, c=c, m=m, n=n, k=k, turned=turned) -> None:
                    packed = 0 if not turned else b.shape[1]
                    _products(times, flat[0], 0, *strides, flat[1], packed, flat[2], c.shape[1], m, n, k, int(turned))

                def blas(times=times, x=x, y=y, out=out) -> None:
                    for _ in range(times):
                        np.dot(x, y, out=out)

                found = turns({"ours": ours, "blas": blas}, 0.2, 1e-3)
                speed = {side: 2e-9 * m * n * k * times / s for side, s in found.items()}
                shape = f"({m}×{k})·({k}×{n})"
                print(f"{name:16}{shape:18}{speed['ours']:8.1f}{speed['blas']:8.1f}{speed['ours'] / most:11.2f}")
                rows.append({"dtype": dtype, "product": name, "m": m, "n": n, "k": k, "peak": most} | speed)
    return rows


# ------------------------------------------------------------------------------------- growth
def growth() -> dict[str, float]:
    """Log-log slopes of a step's time: 1 is linear; H tends to 2, products being H² and all else H."""
    base = engine.Experiment(batch_size=32, train_size=32, batching="full", seq_length=100, hidden_size=64)
    found = {}
    print(f"\n{'log-log slope of cost':24}" + "".join(f"{c:>8}" for c in BLOCKS))
    for name, values in (
        ("seq_length", (50, 100, 200, 400, 800)),
        ("batch_size", (32, 64, 128, 256)),
        ("hidden_size", (16, 32, 64, 128, 256)),
    ):
        for cell in BLOCKS:
            sides = {}
            for value in values:
                extra = {"train_size": value} if name == "batch_size" else {}
                one = trainer(base.replace(cell=cell, **{name: value}, **extra))
                sides[str(value)] = lambda one=one: one.advance(1)
            times = turns(sides, 2.0)
            slope = np.polyfit(np.log(values), np.log(list(times.values())), 1)[0]
            found[f"{cell} {name}"] = float(slope)
        print(f"{name:24}" + "".join(f"{found[f'{cell} {name}']:8.2f}" for cell in BLOCKS))
    return found


# ------------------------------------------------------------------------------------- threads
def threads() -> list[dict[str, Any]]:
    """Two threads in one step; and four trainers in four threads against the four one after another."""
    rows = []
    print(f"\n{'speed-up':28}{'2 threads, 1 trainer':>22}{'4 trainers, 4 threads':>24}")
    for dtype in TYPES:
        for units in (64, 128, 256):
            for cell in BLOCKS:
                e = experiment(cell, units, dtype)
                one, two, four = trainer(e), trainer(e, 2), [trainer(e) for _ in range(4)]

                def in_turn(four=four) -> None:
                    for t in four:
                        t.advance(2)

                with ThreadPoolExecutor(4) as pool:

                    def at_once(four=four, pool=pool) -> None:
                        list(pool.map(lambda t: t.advance(2), four))

                    found = turns({"one": lambda one=one: one.advance(1), "two": lambda two=two: two.advance(1)}, 2.0)
                    both = turns({"in turn": in_turn, "at once": at_once}, 2.0)
                row = {"cell": cell, "H": units, "dtype": dtype, "shards": found["one"] / found["two"]}
                row["trainers"] = both["in turn"] / both["at once"]
                print(f"{dtype} {cell:5}H={units:<13}{row['shards']:22.2f}{row['trainers']:24.2f}")
                rows.append(row)
    return rows


# ------------------------------------------------------------------------------------- recording, vanishing, memory
def recording() -> list[dict[str, Any]]:
    """Keeping every step's norms and curves, against keeping none. (The norms themselves are part of the step.)"""
    rows = []
    print(f"\n{'recording costs':28}{'of a step':>12}")
    for units in (16, 32, 64):
        for cell in BLOCKS:
            e = experiment(cell, units, "float64")
            with_all, without = trainer(e), trainer(e)
            without._rows.add = without._curves.add = lambda *_: None  # type: ignore[method-assign]
            keep = with_all._rows

            def step(one=with_all, keep=keep) -> None:
                one.advance(1)
                if len(keep._kept) > 500:  # or it would soon keep every second one only
                    keep._kept = keep._kept[-200:]

            found = turns({"with": step, "without": lambda one=without: one.advance(1)}, 1.5)
            share = found["with"] / found["without"] - 1
            rows.append({"cell": cell, "H": units, "share": share})
            print(f"{cell:5}H={units:<21}{share:12.1%}")
    return rows


def vanishing() -> list[dict[str, Any]]:
    """A run whose gradient vanishes far past the range of float32, against one whose gradient does not."""
    rows = []
    print(f"\n{'vanished / not vanished':28}{'time':>8}{'decades':>10}")
    for dtype in TYPES:
        for cell in BLOCKS:
            e = experiment(cell, 32, dtype).replace(init="orthogonal", lr=0.0)
            sides = {name: trainer(e.replace(gain=gain)) for name, gain in (("vanished", 0.05), ("not", 1.0))}
            found = turns({name: lambda one=one: one.advance(1) for name, one in sides.items()}, 1.5)
            log10 = sides["vanished"].trace().log10_grad_norms[0]
            row = {"cell": cell, "dtype": dtype, "ratio": found["vanished"] / found["not"]}
            row["decades"] = float(log10[-1] - log10[0])
            rows.append(row)
            print(f"{dtype} {cell:20}{row['ratio']:8.2f}{row['decades']:10.0f}")
    return rows


def memory() -> list[dict[str, Any]]:
    """MB of a trainer after 600 steps (all rows of norms that it will ever keep), and its growth over 200 more."""
    rows = []
    print(f"\n{'memory of a run':28}{'MB':>8}{'then per step, B':>18}")
    for units in (16, 64, 256):
        for cell in BLOCKS:
            e = experiment(cell, units, "float64")
            tracemalloc.start()
            one = engine.Trainer(e, validate_every=0)
            one.advance(600 if units < 256 else 5)
            first = tracemalloc.get_traced_memory()[0]
            more = 200 if units < 256 else 3
            one.advance(more)
            second = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            rows.append({"cell": cell, "H": units, "MB": first / 1e6, "bytes a step": (second - first) / more})
            print(f"{cell:5}H={units:<21}{first / 1e6:8.1f}{(second - first) / more:18.0f}")
    return rows


# ------------------------------------------------------------------------------------- compiling
COLD = """
import resource, sys
import engine
def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
begin = cpu()
for e in eval(sys.argv[1]):
    engine.warm_up(e)
print(cpu() - begin)
"""
ALL = """[engine.Experiment(dtype=d, **more) for d in ("float64", "float32") for more in (
    *(dict(cell=c, reset_after=r) for c in engine.CELLS for r in (True, False)), dict(task="parity"),
    *(dict(optimizer=o) for o in engine.OPTIMIZERS), *(dict(clip=k) for k in engine.CLIPS))]"""


def compiling() -> dict[str, float]:
    """CPU seconds of engine.warm_up in a fresh process with an empty cache, and once more from the cache."""
    found = {}
    print(f"\n{'compiling, CPU seconds':28}{'no cache':>10}{'from it':>10}")
    for name, what in (
        ("first picture", "[engine.Experiment()]"),
        *((f"{c}, float32", f"[engine.Experiment(cell={c!r}, dtype='float32')]") for c in BLOCKS),
        ("everything", ALL),
    ):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            command = [sys.executable, "-c", COLD, what]
            times = [
                float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
                for _ in range(2)
            ]
        found[name], found[f"{name}, cached"] = times
        print(f"{name:28}{times[0]:10.2f}{times[1]:10.2f}", flush=True)
    return found


PARTS: dict[str, Callable[[], Any]] = {
    f.__name__: f for f in (products, growth, threads, recording, vanishing, memory, compiling)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda s: s.split(","), default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    options = parser.parse_args()
    found = {name: PARTS[name]() for name in options.only}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
