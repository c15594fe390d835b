"""`python -m engine sweep`: what it will cost, a bar while it runs, and files."""

import argparse
import os
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from engine.experiment import CHOICES, Experiment
from engine.sweeps import values
from engine.sweeps.costs import cost, duration, split
from engine.sweeps.dataset import write_csv
from engine.sweeps.local import cores
from engine.sweeps.measures import MEASURES
from engine.sweeps.plan import DEFAULT_MEASURES, Plan, plan
from engine.sweeps.running import connected, run
from engine.sweeps.store import Store

if TYPE_CHECKING:
    import xarray

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 128  # the last one plus the signal's number
OFTEN, RARELY = 0.2, 30.0  # seconds between two states of the bar, and between two lines where there is no terminal

EXAMPLES = """\
examples:
  Where does the gradient survive? 33 gains, three lengths, three seeds, nothing trained:
    python -m engine sweep --set cell=rnn hidden_size=64 --axis gain=0.5:1.5:33 --axis seq_length=10,20,50 \\
        --seeds 3 --measure decades_per_step chi --out map.nc --csv map.csv
  Which learning rates train? 13 from 1e-4 to 1, in equal factors; can be killed, and goes on where it was:
    python -m engine sweep --set task=sine seq_length=50 --axis lr=1e-4:1:log13 --axis clip=none,norm \\
        --steps 500 --measure val_loss diverged --store sweep.sqlite --csv rates.csv

an axis is one of:
  NAME=A,B,C             these values; none and true are understood where a field allows them
  NAME=FIRST:LAST:N      N values in equal steps
  NAME=FIRST:LAST:logN   N values in equal factors

"""
CODES = """\
exit codes:
  0 done; 1 workers, scheduler or files failed; 2 an argument is wrong; 130 or 143 interrupted (Ctrl-C, SIGTERM)
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    asked = _parser().parse_args(arguments)
    previous = signal.signal(signal.SIGTERM, _terminate)  # a batch system's way to say that the time is over
    try:
        return _sweep(asked)
    except ValueError as wrong:
        return _said(wrong, WRONG)
    except (RuntimeError, OSError) as failed:
        return _said(failed, FAILED)
    except KeyboardInterrupt as interrupt:
        known = f"what is found is in {asked.store}: the same command goes on from there"
        kept = known if asked.store else "nothing is kept: with --store FILE, the same command goes on another time"
        return _said(f"interrupted; {kept}", INTERRUPTED + (interrupt.args or (signal.SIGINT,))[0])
    finally:
        signal.signal(signal.SIGTERM, previous)


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("python -m engine", description="Gradients in recurrent networks, from a shell.")
    command = top.add_subparsers(required=True, metavar="sweep").add_parser(
        "sweep", help="measure every combination of some fields' values",
        description="Measure every combination of some fields' values, on all cores of this machine or on a cluster.",
        epilog=EXAMPLES + _measures() + _fields() + CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    several: dict[str, Any] = {"nargs": "+", "action": "extend"}
    add = command.add_argument
    add("--set", **several, default=[], metavar="NAME=VALUE", help="fields that all points share; else the defaults")
    add("--axis", **several, required=True, metavar="NAME=VALUES", help="one to three fields that are varied")
    add("--seeds", default="5", metavar="N", help="how many seeds a point has, or which: 0,7,42 (default: 5)")
    add("--folds", type=int, metavar="K", help="k-fold cross-validation in place of seeds; needs --set train_size=…")
    add("--measure", **several, default=[], metavar="NAME", help=f"see below (default: {DEFAULT_MEASURES[0]})")
    add("--steps", type=int, default=0, metavar="N", help="of training; 0: the fresh network (default)")
    add("--store", metavar="FILE", help="an SQLite file that keeps every point: what it knows is not computed again")
    add("--out", metavar="FILE", help="the result as NetCDF, for xarray")
    add("--csv", metavar="FILE", help="the result as a table, one row a point and seed; its units stand above it")
    add("--workers", type=int, metavar="N", help=f"processes on this machine (default: one a core, here {cores()})")
    add("--scheduler", metavar="ADDRESS", help="tcp://host:port of a dask scheduler, whose workers have this engine")
    add("--yes", action="store_true", help="do not ask after the cost is told; without a terminal nobody is asked")
    return top


def _measures() -> str:
    rows = [f"{name}: {row.meaning}{' Needs --steps.' if row.trains else ''}" for name, row in MEASURES.items()]
    return "measures:\n" + "\n".join(_wrapped(row) for row in rows) + "\n\n"


def _fields() -> str:
    rows = []
    for name, field in Experiment.model_fields.items():
        names = f" One of {', '.join(CHOICES[name])}." if name in CHOICES else ""
        rows.append(_wrapped(f"{name}={str(field.default).lower()}: {field.description}{names}"))
    return "fields, with their defaults:\n" + "\n".join(rows) + "\n\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 110, initial_indent="  ", subsequent_indent="      ", break_long_words=False)


def _sweep(asked: argparse.Namespace) -> int:
    base = values.experiment(asked.set)
    measures = asked.measure or DEFAULT_MEASURES
    seeds = values.whole_numbers(asked.seeds)
    asked_for = plan(base, values.axes(asked.axis), seeds, measures, asked.steps, folds=asked.folds)
    files = {path: write for path, write in ((asked.out, _write_netcdf), (asked.csv, write_csv)) if path}
    if not files and not asked.store:
        raise ValueError("nothing would be kept; allowed: at least one of --out, --csv and --store")
    _check_different([asked.store, asked.out, asked.csv])
    for path in files:
        _writable(Path(path))
    begin = time.monotonic()
    with ExitStack() as stack:
        store = stack.enter_context(Store(asked.store or ":memory:"))
        found = _run(asked, asked_for, store, stack)
    if found is None:
        return DONE
    for path, write in files.items():
        _replace(Path(path), lambda part, write=write: write(found, part))  # type: ignore[misc]
    print(_summary(asked_for, found, list(files), time.monotonic() - begin))
    return DONE if bool(found.done.any()) else FAILED


def _run(asked: argparse.Namespace, what: Plan, store: Store, stack: ExitStack) -> "xarray.Dataset | None":
    """Tell the cost, ask, and run; None: not wanted."""
    scheduler, workers = None, asked.workers
    if asked.scheduler and split(what, store)[1]:
        scheduler, _ = stack.enter_context(connected(asked.scheduler, 1))
        workers = sum(scheduler.nthreads().values()) or None
    expected = cost(what, store, workers)
    print(expected, flush=True)
    if expected.left and not asked.yes and sys.stdin.isatty() and sys.stderr.isatty():
        print("Go on? [Y/n] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("", "y", "yes"):
            return None
    bar = _Bar()
    stack.callback(bar.end)
    return run(what, store, scheduler, bar, workers=asked.workers)


class _Bar:
    """Progress: one line of a terminal that is written again and again, or a line now and then."""

    def __init__(self) -> None:
        self._terminal, self._open = sys.stderr.isatty(), False
        self._last = time.monotonic() - (OFTEN if self._terminal else RARELY)

    def __call__(self, done: int, of: int, seconds: float) -> None:
        now = time.monotonic()
        if now - self._last < (OFTEN if self._terminal else RARELY) and done < of:
            return
        self._last = now
        left = "" if isnan(seconds) or done == of else f", {duration(seconds)} left"
        text = f"{done} of {of} points{left}"
        if not self._terminal:
            print(text, file=sys.stderr, flush=True)
            return
        columns = shutil.get_terminal_size().columns - 1
        room = max(0, min(40, columns - len(text) - 4))
        full = round(room * done / max(1, of))
        line = f"[{'#' * full}{'.' * (room - full)}] {text}" if room > 5 else text
        print("\r" + line[:columns].ljust(columns), end="", file=sys.stderr, flush=True)
        self._open = True

    def end(self) -> None:
        """Leave the line that is written again and again."""
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False


def _summary(what: Plan, found: "xarray.Dataset", files: list[str], seconds: float) -> str:
    """What was found, in a few lines."""
    lines = [f"{int(found.done.sum())} of {what.size} points in {duration(seconds)}"]
    for name in what.measures:
        every = found[name].values[found.done.values > 0]
        values = every[np.isfinite(every)]
        unit = f" {MEASURES[name].unit}" if MEASURES[name].unit else ""
        ends = [f"{end:.3g}" for end in (values.min(), values.max())] if values.size else ["no finite value"]
        reach = " to ".join(dict.fromkeys(ends)) + (unit if values.size else "")
        left = {
            "infinite": np.isposinf(every),
            "minus infinite": np.isneginf(every),
            "without a value": np.isnan(every),
        }
        rest = [f"{int(these.sum())} {word}" for word, these in left.items() if these.any()]
        lines.append(f"  {name}: {', '.join([reach, *rest])}" + (f" (of {every.size})" if rest else ""))
    errors = found.error.values.ravel()
    if said := [text for text in errors.tolist() if text]:
        lines.append(f"{len(said)} points have no values; the first: {said[0]}")
    return "\n".join([*lines, *(f"written: {path}" for path in files)])


def _writable(path: Path) -> None:
    """Raises ValueError where the result could not be written: better now than after the sweep."""
    folder = path.resolve().parent
    wrong = f"{str(path)!r} cannot be written; allowed: a file in a folder that is there and writable"
    if (path.exists() and not path.is_file()) or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(wrong)  # a device or a pipe would be replaced by a file, for everybody
    try:
        _part(path).open("ab").close()  # some folders only seem to be writable
        _part(path).unlink()
    except OSError:
        raise ValueError(wrong) from None


def _part(path: Path) -> Path:
    """What is written before it takes the path's place."""
    return path.with_name(f"{path.name}.part")


def _check_different(paths: Sequence[str | None]) -> None:
    """Raises ValueError where one file of the result would take another's place."""
    taken: set[Path] = set()
    for path in [Path(path) for path in paths if path]:
        names = {path.resolve(), _part(path).resolve()}
        if names & taken:
            raise ValueError(f"{str(path)!r} is taken by another result; allowed: different files")
        taken |= names


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write all of it, or leave what was there."""
    part = _part(path)
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_netcdf(found: "xarray.Dataset", path: Path) -> None:
    found.to_netcdf(path, engine="h5netcdf")


def _terminate(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt(number)


def _said(what: object, code: int) -> int:
    print(f"python -m engine sweep: {' '.join(str(what).split())}", file=sys.stderr, flush=True)
    return code
