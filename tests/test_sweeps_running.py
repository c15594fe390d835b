"""Sweeps on real clusters: the same numbers wherever they run, and whoever is killed loses his points in work alone."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import isnan
from typing import Any

import numpy as np
import psutil
import pytest

import engine
from engine.sweeps import costs
from engine.sweeps.dataset import dataset
from engine.sweeps.local import Local, local
from engine.sweeps.measures import measure
from engine.sweeps.plan import Plan, plan
from engine.sweeps.running import run, sweep
from engine.sweeps.store import Store
from tests.conftest import ROOT
from tests.tricky import BATCH, KILLS, RAISES, diary, tricky

SMALL = engine.Experiment(hidden_size=4, seq_length=6, batch_size=BATCH, lr=0.1)
NOWHERE = "tcp://127.0.0.1:1"
SCRIPT = """
import engine
from engine.sweeps.running import sweep
from pathlib import Path
from tests.tricky import tricky
e = engine.Experiment(hidden_size=4, batch_size=5, task=tricky(Path({folder!r}), {seconds}))
print("begun", flush=True)
sweep(e, {{"seq_length": range(20, 60)}}, 1, "grad_norm", store={store!r}, workers=2)
"""


class Counting(Store):
    """A store that says how often each point was put."""

    def __init__(self, path: Any = ":memory:") -> None:
        super().__init__(path)
        self.puts: Counter[str] = Counter()

    def put(self, key: str, *rest: Any, **others: Any) -> None:
        self.puts[key] += 1
        super().put(key, *rest, **others)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Local]:
    """Two workers, for all tests that kill none of them."""
    with local(2) as made:
        yield made


@pytest.fixture
def address(cluster: Local) -> str:
    return cluster.client.scheduler.address


def directly(p: Plan) -> Any:
    """The dataset without a cluster, computed from the last point to the first."""
    possible = [point for point in reversed(p.points) if point.experiment is not None]
    return dataset(p, {p.key(point): measure(point.experiment, p.measures, p.steps) for point in possible})


def gone(process: int) -> bool:
    """Has it ended, within a moment?"""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


PLANS = {
    "a look": plan(SMALL, {"gain": np.linspace(0, 2, 7), "cell": ["rnn", "gru"]}, 2, ["decades_per_step", "chi"]),
    "training": plan(SMALL, {"lr": [1e-3, 1e3, 1e5]}, [7, 3], ["val_loss", "grad_norm", "diverged"], steps=12),
    "folds": plan(SMALL.replace(train_size=10), {"hidden_size": [2, 3]}, 1, "val_loss", steps=5, folds=3),
    "no such network": plan(
        SMALL.replace(cell="lstm"), {"omega": [0.0, 0.5], "seq_length": [2, 3]}, 1, "decades_per_step"
    ),
}


@pytest.mark.parametrize("name", list(PLANS))
def test_numbers_do_not_depend_on_where_they_are_computed_nor_in_which_order(name, address):
    p, said = PLANS[name], []
    found = run(p, scheduler=address, progress=lambda *state: said.append(state))
    assert found.identical(directly(p))
    done, of, left = zip(*said, strict=True)
    assert sorted(done) == list(done)
    assert set(of) == {sum(point.experiment is not None for point in p.points)}
    assert isnan(left[0]), "nothing is known before the first point"
    assert all(isnan(seconds) or seconds >= 0 for seconds in left)


def test_a_client_may_be_given_and_is_left_open(cluster):
    found = sweep(SMALL, {"gain": [0.5, 1]}, 2, ["grad_norm"], scheduler=cluster.client)
    assert found.grad_norm.shape == (2, 2)
    assert cluster.client.status == "running"
    assert cluster.client.submit(int, 3).result() == 3
    end = time.monotonic() + 10  # its loop forgets a future some time after the last who held it
    while cluster.client.futures and time.monotonic() < end:
        time.sleep(0.01)
    assert not cluster.client.futures, "nothing of the sweep is left in the cluster"


def test_what_the_store_knows_is_not_computed_again(address, tmp_path):
    """Nor is a cluster asked for where nothing is left; a wider map and another measure cost only what is new."""
    e, store = SMALL.replace(task=tricky(tmp_path)), Counting(tmp_path / "s.sqlite")
    with store:
        first = sweep(e, {"seq_length": [2, 4]}, 2, "grad_norm", store=store, scheduler=address)
        before = len(diary(tmp_path))
        said: list[Any] = []
        again = sweep(
            e, {"seq_length": [2, 4]}, 2, "grad_norm", store=tmp_path / "s.sqlite", scheduler=NOWHERE,
            progress=lambda *state: said.append(state),
        )  # fmt: skip
        assert again.identical(first)
        assert said == [(4, 4, 0.0)]
        assert len(diary(tmp_path)) == before
        sweep(e, {"seq_length": [2, 3, 4]}, 3, "grad_norm", store=store, scheduler=address)
        assert len(store.puts) == 9
        assert set(store.puts.values()) == {1}
        more = sweep(e, {"seq_length": [2, 4]}, 2, ["grad_norm", "train_loss"], 2, store, address)
        assert not np.isnan(more.train_loss).any()


def test_sweeps_at_the_same_time_share_a_store(address, tmp_path):
    path = tmp_path / "s.sqlite"
    p, q = (plan(SMALL, {"gain": np.linspace(0, k, 9)}, 2, "grad_norm") for k in (1, 2))
    with ThreadPoolExecutor(3) as threads:
        one, other, third = threads.map(lambda plan: run(plan, path, address), [p, q, p])
    assert one.identical(third)
    assert one.identical(directly(p))
    assert other.identical(directly(q))


def test_a_point_that_raises_loses_itself_alone_and_says_why(address, tmp_path):
    p = plan(SMALL.replace(task=tricky(tmp_path)), {"seq_length": [RAISES - 1, RAISES, RAISES + 1]}, 1, "grad_norm")
    store = Counting()
    with store:
        found = run(p, store, address)
        assert list(np.isnan(found.grad_norm.values[:, 0])) == [False, True, False]
        assert list(found.error.values[:, 0]) == ["", "ValueError: thirteen is refused", ""]
        assert list(found.done.values[:, 0]) == [1, 0, 1]
        assert run(p, store, NOWHERE).identical(found), "it is known, too"
    assert set(store.puts.values()) == {1}


def test_cancelling_gives_what_is_found_and_the_rest_is_computed_later(address, tmp_path):
    p = plan(SMALL.replace(task=tricky(tmp_path, 0.2)), {"seq_length": range(2, 12)}, 1, "grad_norm")
    state: list[int] = []
    with Counting() as store:
        part = run(p, store, address, lambda done, *_: state.append(done), lambda: state[-1] >= 2)
        count = int(part.done.sum())
        assert 2 <= count < 10
        assert count == len(store.puts)
        begun = len(diary(tmp_path))
        time.sleep(0.5)
        assert len(diary(tmp_path)) == begun, "the workers have stopped, too"
        whole = run(p, store, address)
        assert int(whole.done.sum()) == 10
        assert set(store.puts.values()) == {1}


def test_killed_workers_lose_their_points_in_work_alone_and_a_point_that_kills_is_named(tmp_path):
    """One is killed from outside; and one point kills every worker that begins with it."""
    lengths = range(2, 32)
    p = plan(SMALL.replace(task=tricky(tmp_path, 0.1)), {"seq_length": lengths}, 1, "grad_norm")
    killed: list[int] = []

    def progress(done: int, of: int, left: float) -> None:
        alive = [process for length, process in diary(tmp_path) if length != KILLS and psutil.pid_exists(process)]
        if done >= 4 and not killed and alive:
            killed.append(alive[-1])
            os.kill(alive[-1], signal.SIGKILL)

    with Counting() as store:
        found = run(p, store, workers=2, progress=progress)
        assert killed
        errors = dict(zip(found.seq_length.values.tolist(), found.error.values[:, 0].tolist(), strict=True))
        assert errors.pop(KILLS) == "3 workers died of it"
        assert errors.pop(RAISES) == "ValueError: thirteen is refused"
        assert set(errors.values()) == {""}
        assert set(found.seq_length.values[np.isnan(found.grad_norm.values[:, 0])]) == {KILLS, RAISES}
        assert len(store.puts) == len(lengths) - 1, "what the machine did is not kept"
        assert set(store.puts.values()) == {1}
    begun = Counter(length for length, _ in diary(tmp_path))
    assert begun.pop(KILLS) == 3
    again = sum(count - 1 for count in begun.values())
    assert again <= 5, f"{again} points done again by five deaths: {begun}"
    assert all(gone(process) for _, process in diary(tmp_path))


def test_a_sweep_that_is_killed_goes_on_where_it_was_and_leaves_nothing_behind(tmp_path, address):
    """From a script without a main guard, which is read from a pipe and tolerates no warning."""
    path = tmp_path / "s.sqlite"
    script = SCRIPT.format(folder=str(tmp_path), seconds=0.15, store=str(path))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-"], cwd=ROOT, text=True, env=os.environ | {"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        process.stdin.write(script)
        process.stdin.close()
        p = plan(SMALL.replace(lr=1e-3, task=tricky(tmp_path, 0.15)), {"seq_length": range(20, 60)}, 1, "grad_norm")
        keys = [p.key(point) for point in p.points]
        end = time.monotonic() + 60
        while len(diary(tmp_path)) < 10 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        assert process.stderr is not None
        said, trouble = process.stdout.read(), process.stderr.read()
        process.stdout.close()
        process.stderr.close()
    assert (said, trouble) == ("begun\n", "")
    begun = diary(tmp_path)
    assert all(gone(worker) for _, worker in begun)
    assert not list(temporary.iterdir())
    with Counting(path) as store:
        known = store.known(keys, ["grad_norm"])
        assert len(begun) - 4 <= len(known) < 40, "two in work, and two on their way to the store"
        found = run(p, store, address)
        assert int(found.done.sum()) == 40
        assert len(store.puts) == 40 - len(known)
        assert not set(store.puts) & set(known)


def test_a_local_cluster_leaves_nothing_and_listens_on_the_loopback_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    here = psutil.Process()
    before = {child.pid for child in here.children(recursive=True)}
    listening = {c.laddr for c in here.net_connections() if c.status == psutil.CONN_LISTEN}
    with local(1) as made:
        assert made.client.submit(os.getpid).result() != os.getpid()
        mine = [child for child in here.children(recursive=True) if child.pid not in before]
        assert len(mine) == 1
        places = [c.laddr.ip for process in (here, *mine) for c in process.net_connections() if c.status == "LISTEN"]
        assert len(places) > len(listening)
        assert set(places) == {"127.0.0.1"}
        for address in (made.client.scheduler.address, *made.client.nthreads()):
            with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=10) as stranger:
                stranger.sendall(b"another word" * 10)
                assert said(stranger) == b"", "who does not know the word is told nothing, and not heard"
    assert {child.pid for child in here.children(recursive=True)} == before
    assert not list(tmp_path.iterdir())
    assert {c.laddr for c in here.net_connections() if c.status == psutil.CONN_LISTEN} == listening


def said(other: socket.socket) -> bytes:
    """The first byte; none where it ends."""
    try:
        return other.recv(1)
    except ConnectionResetError:
        return b""


def test_workers_that_cannot_start_are_an_error_with_their_last_words(monkeypatch):
    monkeypatch.setattr("engine.sweeps.local.TRIES", 0)
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION", "True")
    with pytest.raises(RuntimeError, match=r"^workers: .*the last one said: .*"):
        sweep(SMALL, {"gain": [1]}, 1, "grad_norm", workers=1)


BAD = {
    "nobody there": ({"scheduler": NOWHERE}, "scheduler: 'tcp://127.0.0.1:1': nobody answers there"),
    "no address": ({"scheduler": "nonsense://"}, "scheduler: 'nonsense://': "),
    "no scheduler": ({"scheduler": 7}, "scheduler: 7; allowed: an address"),
    "no workers": ({"workers": 0}, "workers: 0; allowed"),
    "no store": ({"store": ""}, "store: ''; allowed"),
    "no measure": ({"measures": "beauty"}, "measures: 'beauty'; allowed"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_what_cannot_be_is_refused_in_a_sentence(case, monkeypatch):
    monkeypatch.setattr("engine.sweeps.running.CONNECTS", 0.5)
    arguments, said = BAD[case]
    with pytest.raises(ValueError, match="allowed") as caught:
        sweep(SMALL, {"gain": [1]}, **{"seeds": 1, "measures": "grad_norm"} | arguments)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_the_cost_is_told_before_and_what_is_known_is_free():
    p = plan(SMALL.replace(cell="lstm"), {"omega": [0.0, 0.5], "seq_length": [2, 300]}, 2, "val_loss", steps=100)
    with Store() as store:
        found = costs.cost(p, store, workers=2)
        assert (found.points, found.known, found.impossible, found.left) == (8, 0, 4, 4)
        assert 0 < found.cheapest < found.dearest
        assert 4 * found.cheapest <= found.work <= 4 * found.dearest
        for point in p.points:
            if point.experiment is not None and point.experiment.seq_length == 300:
                store.put(p.key(point), dict.fromkeys(p.measures, 1.0))
        less = costs.cost(p, store, workers=2)
        assert (less.known, less.left) == (2, 2)
        assert less.work < found.work
        assert "2 known already" in str(less)
        with pytest.raises(ValueError, match=r"^workers: -1; allowed: whole numbers, 1 or more"):
            costs.cost(p, store, workers=-1)
        for point in p.points:
            if point.experiment is not None:
                store.put(p.key(point), dict.fromkeys(p.measures, 1.0))
        assert str(costs.cost(p, store)) == "8 points, 4 known already, 4 that cannot be: nothing left to compute"


def test_the_pace_is_found_from_points_of_different_work():
    pace = costs.Pace()
    assert isnan(pace.seconds(1.0))
    pace.add(5.0, 2.0)
    assert pace.seconds(9.0) == pytest.approx(2.0), "one point says nothing of the rest"
    for x in (1.0, 10.0, 100.0) * 200:
        pace.add(x, 0.5 + 0.25 * x)
    assert pace.seconds(40.0) == pytest.approx(10.5, rel=0.01)
    falling = costs.Pace()
    for x in (1.0, 10.0):
        falling.add(x, 1 / x)
    assert falling.seconds(1e6) > 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.00123, "1.23 ms"),
        (0.25, "0.25 s"),
        (42.4, "42 s"),
        (200, "3 min 20 s"),
        (3000, "50 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_said_as_coarsely_as_they_are_read(seconds, said):
    assert costs.duration(seconds) == said
