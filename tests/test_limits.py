"""The limits of a shared server: each can be set, refuses nonsense, and says a sentence when it is hit."""

import time
from dataclasses import fields

import numpy as np
import pytest

import app.limits
import app.memory
import app.registry
import app.runs
import engine
from app import limits, link, settings
from app.figures.asked import Asked
from app.limits import LIMITS, PREFIX, Limits
from app.looks import Look
from app.memory import bytes_of, let_go
from app.registry import Full, Registry
from app.turns import FORGOTTEN, TURN, Turns
from tests.test_runs import SMALL, until

ROWS = fields(Limits)


def test_without_a_word_of_the_environment_the_defaults_hold():
    assert limits.read({}) == limits.read({"PATH": "/bin", "EXPLORER": "1"}) == Limits()
    e = engine.Experiment()
    assert (e.seq_length, e.hidden_size, e.batch_size) <= (LIMITS.seq_length, LIMITS.hidden_size, LIMITS.batch_size)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_limit_can_be_set_within_its_range(row):
    low, high = row.metadata["low"], row.metadata["high"]
    for value in (low, high):
        assert getattr(limits.read({f"{PREFIX}{row.name.upper()}": f" {value} "}), row.name) == value
    for wrong in (str(low - 1), str(high + 1), "many", "", "1e3", "0x10", "-5", "9" * 13, "٣٠٠"):
        with pytest.raises(ValueError, match=f"{PREFIX}{row.name.upper()} is .*{low:,} to {high:,}"):
            limits.read({f"{PREFIX}{row.name.upper()}": wrong})


def test_a_limit_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"EXPLORER_MAX_UNITS is not a limit: .*EXPLORER_MAX_HIDDEN_SIZE"):
        limits.read({"EXPLORER_MAX_UNITS": "3"})


@pytest.mark.parametrize("name", ["seq_length", "hidden_size", "num_layers", "batch_size"])
def test_sizes_of_a_link_end_at_the_limits(name):
    most = getattr(LIMITS, name)
    assert settings.accepts(name, most)
    assert not settings.accepts(name, most + 1)
    said = link.read({name: [str(most + 1)]})
    assert said.values[name] == settings.DEFAULTS[name]
    assert f"to {most}" in said.complaints[0]
    assert str(most + 1) in said.complaints[0]


def test_work_and_data_are_bounded_with_a_sentence():
    with pytest.raises(ValueError, match=f"more than the {LIMITS.work:,}"):
        link.experiment({"seq_length": 2000, "hidden_size": 256, "batch_size": 256})
    with pytest.raises(ValueError, match=f"more than the {LIMITS.data:,}"):
        link.experiment({"seq_length": 2000, "train_size": 10_000})


def test_training_ends_at_the_last_step(registry, monkeypatch):
    monkeypatch.setattr(app.runs, "LAST_STEP", 30)
    monkeypatch.setattr("app.training.LAST_STEP", 30)
    run = registry.open()
    run.configure(SMALL)
    run.watch(lambda: None)
    run.speed(0)
    run.play()
    until(lambda: run.head()["run"]["reached"] == 30 and not run.head()["run"]["playing"])
    assert run.head()["message"] == "Training ends at step 30."


def test_a_full_server_says_so_and_makes_room_when_somebody_has_left(registry: Registry, monkeypatch):
    monkeypatch.setattr(app.registry, "LIMITS", Limits(runs=2))
    monkeypatch.setattr(app.registry, "SPARE", 0.1)
    first, second = registry.open(), registry.open()
    watchers = [run.watch(lambda: None) for run in (first, second)]
    with pytest.raises(Full, match="2 runs are open"):
        registry.open()
    assert registry.get(first.token) is first, "nothing is lost"
    watchers[0].close()
    time.sleep(0.2)
    third = registry.open()
    assert registry.get(first.token) is None
    assert registry.get(third.token) is third
    assert registry.get(second.token) is second


def test_turns_go_round():
    turns, now, had = Turns(2), 0.0, dict.fromkeys("abcde", 0)
    for _ in range(1000):
        now += TURN / 20
        here = [who for who in "abcde" if turns.may(who, now)]
        assert len(here) <= 2
        for who in here:
            had[who] += 1
    assert min(had.values()) > 0.8 * max(had.values())


def test_a_turn_that_nobody_uses_is_free():
    turns = Turns(1)
    assert turns.may("a", 0.0)
    assert not turns.may("b", 0.1)
    assert not turns.may("b", 0.1 + FORGOTTEN / 2)
    assert turns.may("b", 0.1 + FORGOTTEN + 0.1)
    assert not turns.may("a", 0.2 + FORGOTTEN)


def test_who_waits_for_a_turn_says_so_and_trains_later(registry, monkeypatch):
    monkeypatch.setattr("app.turns.TURN", 0.3)
    registry.pool.turns = Turns(1)
    runs = [registry.open() for _ in range(2)]
    for run in runs:
        run.configure(SMALL)
        run.watch(lambda: None)
        assert run.settle(60)
        run.play()
    until(lambda: any("waits for its turn" in run.head()["message"] for run in runs))
    until(lambda: all(run.head()["run"]["reached"] > 3 for run in runs))
    for run in runs:
        run.pause()
    until(lambda: runs[0].rests and runs[1].rests)


def test_bytes_are_counted_once_and_through_views():
    array = np.zeros(1000)
    assert bytes_of(array, array[10:], {"a": [array, (array,)]}) == 8000
    assert bytes_of(SMALL, "text", None, 3.5, len) == 0
    trace = engine.probe(SMALL)
    assert bytes_of(trace) >= trace.hidden.nbytes


def _answer(megabytes: float) -> Look:
    look = Look("gates", None)  # type: ignore[arg-type]  # its weights do not matter
    look.asked = Asked(SMALL, 0, 1, np.zeros(int(megabytes * 125_000)))
    look.done.set()
    return look


def test_without_memory_a_run_says_so_and_the_server_lives(registry, tmp_path, monkeypatch):
    for name in ("MACHINE", "CONTAINER"):
        monkeypatch.setattr(app.memory, name, tmp_path / name)
    assert not app.memory.short(), "nobody says"
    (tmp_path / "MACHINE").write_text("MemTotal: 24684084 kB\nMemFree: 1 kB\nMemAvailable: 21557192 kB\n")
    (tmp_path / "CONTAINER").mkdir()
    for name, text in (("max", "max"), ("current", "900000000"), ("stat", "anon 100\ninactive_file 20000000\n")):
        (tmp_path / "CONTAINER" / f"memory.{name}").write_text(text)
    assert not app.memory.short(), "a container without a limit"
    (tmp_path / "CONTAINER" / "memory.max").write_text("960000000")  # of which a tenth has to be left
    run = registry.open()
    run.configure(SMALL)
    assert run.settle(60)
    assert (run.head()["status"], "no memory left" in run.head()["message"]) == ("error", True)
    (tmp_path / "CONTAINER" / "memory.max").write_text("980000000")
    run.reset()
    assert run.settle(60)
    assert run.head()["status"] == "ready"
    (tmp_path / "MACHINE").write_text("MemTotal: 24684084 kB\nMemAvailable: 390000 kB\n")
    assert app.memory.short()


def test_the_oldest_answers_are_let_go_and_say_so():
    looks = {n: _answer(10) for n in range(5)}
    let_go(looks, most=50e6)
    assert not any(look.forgotten for look in looks.values())
    let_go(looks, most=25e6)
    assert [look.forgotten for look in looks.values()] == [True, True, True, False, False]
    assert [look.asked is None for look in looks.values()] == [True, True, True, False, False]
    let_go(looks, most=1e6)
    assert looks[4].asked is not None, "the newest is what one is looking at"


def test_the_estimate_orders_experiments_by_their_work():
    small, large = engine.Experiment(), engine.Experiment(cell="lstm", hidden_size=256, num_layers=4, batch_size=16)
    assert limits.seconds(small) < 0.01 < 0.3 < limits.seconds(large)
