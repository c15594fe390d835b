"""The store of sweeps: what was put is there, whoever is killed, and a file that is none is not touched."""

import math
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.sweeps.store import Store
from tests.conftest import ROOT

WRITER = """
import runpy, sys
Store = runpy.run_path("engine/sweeps/store.py")["Store"]  # alone: six processes would load the engine
store = Store(sys.argv[1])
for k in range(int(sys.argv[2]), 10**9):
    store.put(f"k{k}", {"a": k, "b": -k})
    print(k, flush=True)
"""


def writer(path: Path, start: int = 0) -> subprocess.Popen:
    """A process that puts points until it is killed, and says each that it has put."""
    command = [sys.executable, "-c", WRITER, str(path), str(start)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a sweep.sqlite"


def test_what_was_put_is_found_again_to_the_last_digit(path):
    values = {"a": 0.1 + 0.2, "b": -1e-320, "c": math.inf, "d": math.nan, "e": 7}
    with Store(path) as store:
        store.put("k", values)
        assert store.known(["k"], ["a"]) == {"k": {"a": values["a"]}}
    assert [file.name for file in path.parent.iterdir()] == [path.name], "one file"
    with Store(path) as store:
        found = store.known(["other", "k"], [*values, "z"])["k"]
    assert math.isnan(found.pop("d"))
    assert found == {name: value for name, value in values.items() if name != "d"}


def test_measures_of_a_point_add_up_and_a_later_value_replaces(path):
    with Store(path) as store:
        store.put("k", {"a": 1, "b": 2})
        store.put("k", {"b": 3, "c": 4})
        store.put("l", {"a": 5})
        assert store.known(["k", "l"], "abc") == {"k": {"a": 1, "b": 3, "c": 4}, "l": {"a": 5}}
        assert store.known(["k"], []) == store.known([], "abc") == store.known(["m"], "abc") == {}


def test_an_error_is_kept_until_the_measure_has_a_value():
    with Store() as store:
        store.put("k", {"a": math.nan, "b": math.nan}, error="ValueError: no 'quotes' \"here\"")
        store.put("l", {"a": 1})
        assert store.errors(["k", "l", "m"], "ab") == {"k": "ValueError: no 'quotes' \"here\""}
        store.put("k", {"a": 1})
        assert store.errors(["k"], "a") == {}
        assert store.errors(["k"], "ab") != {}, "b has none yet"
        store.put("k", {"b": 1})
        assert store.errors(["k", "l"], "ab") == {}


def test_a_hundred_thousand_keys_in_one_question():
    with Store() as store:
        store.put("k99999", {"a": 1})
        assert store.known([f"k{i}" for i in range(100_000)], ["a"]) == {"k99999": {"a": 1}}


def test_threads_share_a_store(path):
    with Store(path) as store, ThreadPoolExecutor(8) as threads:

        def work(i: int) -> int:
            store.put(f"k{i}", {"a": i})
            return len(store.known([f"k{i}"], ["a"]))

        assert sum(threads.map(work, range(200))) == 200
        assert len(store.known([f"k{i}" for i in range(200)], ["a"])) == 200


def test_processes_share_a_file_and_none_loses_what_it_put_when_they_are_killed(path):
    """Three that begin at the same moment on a file that is not there; killed in the middle of writing, twice."""
    for again in range(2):
        starts = [100_000_000 * (1 + 3 * again + i) for i in range(3)]
        writers = [writer(path, start) for start in starts]
        said = []
        try:
            for process in writers:
                assert process.stdout is not None
                said.append([int(process.stdout.readline()) for _ in range(50)])
        finally:
            for process in writers:
                process.send_signal(signal.SIGKILL)
            for process, before in zip(writers, said, strict=False):
                assert process.stdout is not None
                lines = process.stdout.read().splitlines()
                before += [int(line) for line in lines[:-1]]  # the last may be cut
                process.stdout.close()
                process.wait()
        with Store(path) as store:
            for points, start in zip(said, starts, strict=True):
                assert points[0] == start, "nothing was known before"
                found = store.known([f"k{k}" for k in points], ["a", "b"])
                assert found == {f"k{k}": {"a": k, "b": -k} for k in points}
    check = sqlite3.connect(path)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert check.execute("SELECT count(*) FROM found WHERE measure = 'a'").fetchone() == (
        check.execute("SELECT count(*) FROM found WHERE measure = 'b'").fetchone()
    ), "no point by halves"
    check.close()


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE found (key, measure, value)")
    other.close()


def later_schema(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 2")
    later.close()


REFUSED = {
    "no database": (lambda path: path.write_text("key,value\n" * 1000), "is no store of sweeps"),
    "a database of something else": (other_database, "is a database of something else"),
    "a later schema": (later_schema, "has schema 2, of another version"),
    "a folder": (Path.mkdir, "cannot be opened"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_file_that_is_no_store_is_refused_in_a_sentence_and_not_touched(path, case):
    make, said = REFUSED[case]
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ValueError, match=said) as caught:
        Store(path)
    assert path.name in str(caught.value)
    assert "allowed" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("bad", ["", b"bytes"])
def test_a_path_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match=r"store: .*allowed: a path"):
        Store(bad)


def test_a_folder_that_is_not_there_and_an_empty_file(path):
    with pytest.raises(ValueError, match="cannot be opened"):
        Store(path / "deeper" / "s.sqlite")
    path.touch()
    with Store(path) as store:
        store.put("k", {"a": 1})
    with Store(path) as store:
        assert store.known(["k"], ["a"]) == {"k": {"a": 1}}


def test_a_file_that_was_damaged_is_said(path):
    with Store(path) as store:
        for k in range(1000):
            store.put(f"k{k}", {"a": k})
    content = bytearray(path.read_bytes())
    content[8192:] = b"x" * (len(content) - 8192)
    path.write_bytes(content)
    with Store(path) as store, pytest.raises(ValueError, match=r"cannot be read \("):
        store.known([f"k{k}" for k in range(1000)], ["a"])
