"""Compiled code: once per kind of work, found again by the next process, never stale, and never in the way."""

import os
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import engine
from engine._jit import KERNELS, jit
from tests import cases

ROOT = Path(__file__).parent.parent
REPORT = """
import engine, numba, sys
from engine._jit import KERNELS, cache_folder
e = engine.Experiment(nonlinearity="leaky_relu", hidden_size=5, seq_length=10, batch_size=2)
before = engine.is_compiled(e)
history = engine.train(e, steps=3)
trace = engine.probe(e)
if "warm" in sys.argv: engine.warm_up(e)
misses = sum(sum(k.stats.cache_misses.values()) for k in KERNELS)
hits = sum(sum(k.stats.cache_hits.values()) for k in KERNELS)
print(misses, hits, before, engine.is_compiled(e), float(trace.hidden.min()), float(history.loss[-1]), cache_folder())
"""


class Report:
    """What a fresh process, with the engine at `source` and its cache at `cache`, says of itself."""

    def __init__(self, source: Path, *arguments: str, **environment: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
        command = [sys.executable, "-W", "error", "-c", REPORT, *arguments]
        run = subprocess.run(
            command, cwd=source, env=clean | environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert run.returncode == 0, run.stderr
        misses, hits, before, after, hidden, loss, folder = run.stdout.split()
        self.misses, self.hits, self.folder = int(misses), int(hits), Path(folder)
        self.before, self.after = before == "True", after == "True"
        self.numbers = float(hidden), float(loss)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """The first process of all, and the folder that it was given, empty."""
    cache = tmp_path_factory.mktemp("compiled")
    return Report(ROOT, "warm", NUMBA_CACHE_DIR=str(cache)), cache


@pytest.fixture
def full(compiled: tuple[Report, Path], tmp_path: Path) -> str:
    """A folder with what the first process has compiled, to be changed."""
    return str(shutil.copytree(compiled[1], tmp_path / "full"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the engine's sources."""
    shutil.copytree(ROOT / "engine", tmp_path / "copy" / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def signatures() -> int:
    return sum(len(kernel.overloads) for kernel in KERNELS)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", cases.KINDS)
def test_nothing_is_compiled_twice(kind, dtype):
    """After one run, neither sizes, layouts, layers, activations nor tasks compile anything."""
    e = engine.Experiment(**cases.KINDS[kind], dtype=dtype, hidden_size=4, num_layers=2, seq_length=12, batch_size=3)
    engine.warm_up(e)
    engine.warm_up(e.replace(task="temporal_order"))
    known = signatures()
    for changes in (
        {"hidden_size": 1}, {"hidden_size": 33, "batch_size": 1}, {"num_layers": 1}, {"num_layers": 4}, {"tbptt": 5},
        {"seq_length": 2}, {"weight_decay": 0.1}, {"dropout": 0.5}, {"task": "sine"}, {"task": "copy_memory"},
        *({"nonlinearity": name} for name in engine.ACTIVATIONS),
    ):  # fmt: skip
        trainer = engine.Trainer(e.replace(**changes))
        trainer.advance(2)
        trainer.trace()
        assert signatures() == known, changes
    trace = engine.probe(e)
    for form in (np.asfortranarray, np.array, lambda x: x[::-1], lambda x: x.astype(np.float16)):
        engine.probe(e, {n: form(w) for n, w in trace.state_dict.items()}, form(trace.inputs), form(trace.targets))
        assert signatures() == known


def test_is_compiled_tells_the_truth_in_this_process():
    for e in (engine.Experiment(cell=c, optimizer=o, clip="value") for c in engine.CELLS for o in engine.OPTIMIZERS):
        engine.warm_up(e)
        assert engine.is_compiled(e)
        known = signatures()
        engine.train(e.replace(hidden_size=3, seq_length=8, batch_size=2), steps=2)
        assert signatures() == known, "warm_up compiles all that training needs"


def test_warm_up_tells_its_progress():
    calls: list[tuple[int, int]] = []
    engine.warm_up(engine.Experiment(), lambda done, total: calls.append((done, total)))
    assert calls
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert all(0 <= done <= total for done, total in calls)


def test_the_next_process_compiles_nothing(compiled):
    first, cache = compiled
    second = Report(ROOT, NUMBA_CACHE_DIR=str(cache))
    assert first.misses > 0
    assert (second.misses, second.hits > 0) == (0, True)
    assert (first.before, first.after, second.before) == (False, True, True)
    assert first.numbers == second.numbers
    assert first.folder == second.folder
    assert first.folder.is_relative_to(cache)


def test_two_processes_may_compile_at_once(tmp_path):
    """Into one empty folder: a server that starts with two workers."""
    place = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    with ThreadPoolExecutor() as pool:
        reports = [pool.submit(Report, ROOT, "warm", **place) for _ in range(2)]
        first, second = (report.result() for report in reports)
    assert not first.before
    assert not second.before
    third = Report(ROOT, **place)
    assert (third.misses, third.before) == (0, True)
    assert first.numbers == second.numbers == third.numbers


def test_an_edited_source_is_never_answered_from_the_cache(copy, full):
    """The slope of leaky_relu is in another file than the loops that were compiled with it."""
    place = {"NUMBA_CACHE_DIR": full}
    source = copy / "engine" / "activations.py"
    text = source.read_text()
    before = Report(copy, **place)
    assert "0.01" in text
    source.write_text(text.replace("0.01", "0.75"))
    edited = Report(copy, **place)
    source.write_text(text)
    again = Report(copy, **place)
    assert edited.numbers != before.numbers
    assert edited.numbers[0] < before.numbers[0], "negative states are larger with the larger slope"
    assert again.numbers == before.numbers
    assert (before.misses, again.misses) == (0, 0), "the first cache is still good"
    assert edited.misses > 0


def test_nowhere_to_write_is_no_reason_to_fail(copy, compiled, tmp_path):
    """A file stands where each folder would have to be: only the temporary folder is left."""
    wall, scratch = tmp_path / "wall", tmp_path / "scratch"
    wall.write_text("")
    scratch.mkdir()
    (copy / "engine" / "__pycache__").write_text("")
    nowhere = {"NUMBA_CACHE_DIR": str(wall), "XDG_CACHE_HOME": str(wall), "HOME": str(wall), "TMPDIR": str(scratch)}
    found = Report(copy, **nowhere)
    assert found.folder.is_relative_to(scratch)
    assert found.numbers == compiled[0].numbers


def test_a_damaged_cache_file_is_written_anew(full):
    first = Report(ROOT, NUMBA_CACHE_DIR=full)
    assert first.misses == 0
    next(first.folder.glob("*product*.nbi")).unlink()
    without_a_callee = Report(ROOT, NUMBA_CACHE_DIR=full)
    assert without_a_callee.numbers == first.numbers, "to the last digit: callers are compiled with the new one"
    assert without_a_callee.misses > 1
    for index in first.folder.glob("*.nbi"):
        index.write_bytes(b"not an index")
    for code in list(first.folder.glob("*.nbc"))[::2]:
        code.write_bytes(code.read_bytes()[:100])
    damaged = Report(ROOT, NUMBA_CACHE_DIR=full)
    assert damaged.numbers == first.numbers
    assert damaged.misses > 0
    mended = Report(ROOT, NUMBA_CACHE_DIR=full)
    assert (mended.misses, mended.numbers) == (0, first.numbers)


def test_a_full_disk_costs_the_cache_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("engine._jit.cache_folder", lambda: str(tmp_path))
    monkeypatch.setattr("engine._jit.KERNELS", [])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # not a byte more in any file: Python ignores the signal
    try:
        assert jit(_one_more)(2.0) == 3.0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [file for file in tmp_path.iterdir() if file.stat().st_size]


def _one_more(x: float) -> float:
    return x + 1.0
