"""Runs without a page: commands at once, one thread at a time, bounded memory, no training unseen."""

import threading
import time
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

import app.kept
import app.watching
import engine
from app import link
from app.kept import Kept, Moment
from app.pool import Pool
from app.registry import Registry
from app.runs import Run
from app.settings import NAMES
from app.shown import Shown
from app.snapshot import Snapshot
from app.training import Training
from app.warm import everything
from engine.data import batch, validation_batches

SMALL = engine.Experiment(seq_length=10, hidden_size=4, batch_size=2)
DIVERGES = engine.Experiment(nonlinearity="relu", gain=1.6, optimizer="sgd", clip="none", lr=5e-4)


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def step(run: Run) -> int:
    return run.head()["run"]["reached"]


def snapshot(run: Run) -> Snapshot:
    _, made = run.picture()
    assert made is not None
    return made


def training(run: Run, seconds: float = 0.3) -> bool:
    before = run._training.step
    time.sleep(seconds)
    return run._training.step > before


@pytest.fixture
def run(registry: Registry) -> Run:
    run = registry.open()
    run.configure(SMALL)
    assert run.settle(60)
    return run


def test_first_picture_is_the_probe_of_the_experiment(run):
    shown, expected = snapshot(run), engine.probe(SMALL)
    np.testing.assert_array_equal(shown.now, expected.log10_grad_norms)
    np.testing.assert_array_equal(shown.start, expected.log10_grad_norms)
    np.testing.assert_allclose(shown.hidden, expected.hidden[:, 1:, 0], rtol=1e-6)
    assert (shown.step, shown.reached, len(shown.loss)) == (0, 0, 1)
    assert shown.loss[0] == expected.loss
    assert shown.radii == engine.radii("rnn", expected.state_dict)


@pytest.mark.parametrize("clip", ["none", "norm", "value"])
def test_curves_are_the_history_and_the_pass_to_come(registry, clip):
    run, e = registry.open(), SMALL.replace(clip=clip, clip_threshold=0.05)
    run.configure(e)
    run.step(25)
    watcher = run.watch(lambda: None)
    until(lambda: step(run) == 25)
    shown, expected = snapshot(run), engine.train(e, 26)
    np.testing.assert_array_equal(shown.loss, expected.loss)
    np.testing.assert_array_equal(shown.grad_norm, expected.grad_norm)
    np.testing.assert_allclose(shown.clipped, expected.clipped, rtol=1e-12)
    np.testing.assert_array_equal(shown.rows[-1], expected.log10_grad_norms[-1])
    assert shown.rows_at[0] == 0
    assert shown.rows_at[-1] == 25
    watcher.close()


def test_newest_experiment_wins(registry):
    run = registry.open()
    for gain in np.linspace(0.5, 1.5, 200):
        run.configure(SMALL.replace(gain=float(gain)))
    assert run.settle(60)
    head = run.head()["run"]
    assert snapshot(run).experiment.gain == 1.5
    assert head["setting"] == 200
    assert run.version < 150, "moves in a burst are passed over, not queued up"


def test_configuring_the_same_again_changes_nothing(run):
    before = run.version, run.setting
    run.configure(SMALL.replace())
    time.sleep(0.1)
    assert (run.version, run.setting) == before


def test_a_change_while_playing_starts_again_and_plays(run):
    run.watch(lambda: None)
    run.speed(0)
    run.play()
    until(lambda: step(run) > 50)
    run.configure(SMALL.replace(gain=0.5))
    until(lambda: run.setting == 2)
    assert run.head()["run"]["playing"]
    assert snapshot(run).start is not None
    until(lambda: step(run) > 50)
    assert snapshot(run).experiment.gain == 0.5


@pytest.fixture
def playing(run: Run) -> Run:
    """As fast as it can, and watched."""
    run.watch(lambda: None)
    run.speed(0)
    run.play()
    until(lambda: step(run) > 20)
    return run


def test_a_live_change_goes_on_and_is_remembered(playing):
    run, changed = playing, SMALL.replace(lr=0.01, clip_threshold=0.05)
    run.configure(changed)
    until(lambda: run.setting == 2)
    shown = snapshot(run)
    at = shown.changes[0].step
    assert shown.changes == (
        engine.Change(at, "lr", SMALL.lr, 0.01), engine.Change(at, "clip_threshold", SMALL.clip_threshold, 0.05),
    )  # fmt: skip
    assert at > 20
    assert run.head()["run"]["playing"]
    until(lambda: step(run) > at + 20)
    run.pause()
    until(lambda: not training(run, 0.1))
    shown, again = snapshot(run), engine.Trainer(SMALL)
    again.advance(at)
    again.change(changed)
    again.advance(shown.reached - at + 1)
    np.testing.assert_array_equal(shown.loss, again.history.loss)
    np.testing.assert_array_equal(shown.lr, again.history.lr)
    np.testing.assert_allclose(shown.clipped, again.history.clipped, rtol=1e-12)
    assert shown.experiment == changed
    run.show(5)
    assert snapshot(run).changes == shown.changes, "scrubbing back keeps the marks"


def test_many_live_changes_never_begin_again_and_the_last_one_counts(playing):
    rates = np.geomspace(1e-4, 1e-2, 60)
    for lr in rates:
        playing.configure(SMALL.replace(lr=float(lr)))
    assert playing.settle(10)
    shown = snapshot(playing)
    assert shown.experiment.lr == rates[-1]
    assert shown.reached > 20
    assert shown.changes[-1].after == rates[-1]
    assert playing.setting == 61


@pytest.mark.parametrize("change", [{"gain": 0.5}, {"lr": 0.01, "gain": 0.5}, {"seed": 3}])
def test_other_changes_begin_again(playing, change):
    playing.configure(SMALL.replace(**change))
    until(lambda: playing.setting == 2)
    assert snapshot(playing).changes == ()
    playing.configure(SMALL.replace(**change | {"lr": 0.02}))  # may come while the other begins
    assert playing.settle(10)
    assert snapshot(playing).experiment == SMALL.replace(**change | {"lr": 0.02})


def test_before_training_a_live_field_begins_again_without_a_mark(run):
    run.configure(SMALL.replace(lr=0.01))
    assert run.settle(10)
    assert snapshot(run).changes == ()
    np.testing.assert_array_equal(snapshot(run).lr, [0.01])


def test_reset_begins_with_the_settings_of_now(playing):
    playing.configure(SMALL.replace(lr=0.01))
    until(lambda: playing.setting == 2)
    playing.reset()
    until(lambda: step(playing) == 0)
    shown = snapshot(playing)
    assert (shown.changes, shown.experiment.lr, shown.lr[0]) == ((), 0.01, 0.01)


def test_a_change_that_has_to_be_compiled_first_goes_on_too(playing, monkeypatch):
    compiled = threading.Event()
    monkeypatch.setattr(engine, "is_compiled", lambda e: e.clip != "unit" or compiled.is_set())
    monkeypatch.setattr(engine, "warm_up", lambda e: time.sleep(0.2) or compiled.set())
    before = step(playing)
    playing.configure(SMALL.replace(clip="unit"))
    until(lambda: playing.head()["status"] == "compiling")
    assert playing.settle(20)
    assert playing.head()["status"] == "ready"
    assert snapshot(playing).changes[0].field == "clip"
    assert step(playing) >= before


RULES = {
    "steps": SMALL.replace(stop_steps=30),
    "loss": SMALL.replace(stop_loss=0.5),
    "patience": SMALL.replace(patience=20, lr=0.0),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_stop_rule_ends_a_run_and_says_so(registry, rule):
    run = registry.open()
    run.configure(RULES[rule])
    run.watch(lambda: None)
    run.speed(0)
    run.play()
    until(lambda: run.head()["run"]["stopped"])
    expected = engine.Trainer(RULES[rule])
    expected.advance(10_000)
    head, shown = run.head()["run"], snapshot(run)
    assert head["stopped"] == shown.stopped == expected.stopped == rule
    assert head["reached"] == expected.step
    assert shown.examples == expected.examples
    assert shown.seconds > 0
    until(lambda: not run.head()["run"]["playing"])
    run.play()
    run.step(head["reached"] + 1)
    time.sleep(0.1)
    assert step(run) == head["reached"], "a rule is not passed by pressing Play again"
    run.show(0)
    assert snapshot(run).stopped is None, "an earlier step was not the end"


def test_a_rule_that_is_lifted_lets_the_run_go_on(registry):
    run = registry.open()
    run.configure(RULES["steps"])
    run.watch(lambda: None)
    run.speed(0)
    run.play()
    until(lambda: run.head()["run"]["stopped"])
    run.configure(RULES["steps"].replace(stop_steps=60))
    until(lambda: run.head()["run"]["stopped"] is None)
    assert step(run) == 30
    run.play()
    until(lambda: step(run) == 60)
    run.configure(RULES["steps"].replace(stop_steps=60, lr=0.5))  # a run that is over is over: this is another one
    until(lambda: run.setting == 3)
    assert (step(run), snapshot(run).changes) == (0, ())


def test_cost_belongs_to_the_step_shown(registry):
    run = registry.open()
    run.configure(SMALL.replace(train_size=5))  # 2 + 2 + 1 sequences in an epoch
    run.watch(lambda: None)
    for to in range(1, 5):
        run.step(to)
        until(lambda to=to: step(run) == to)
    for shown_step, examples in enumerate((0, 2, 4, 5, 7)):
        run.show(shown_step)
        assert snapshot(run).examples == examples
    run.show(2)
    early = snapshot(run).seconds
    run.show(None)
    assert 0 < early < snapshot(run).seconds


def test_pause_really_stops(run):
    run.watch(lambda: None)
    run.speed(0)
    run.play()
    until(lambda: step(run) > 0)
    run.pause()
    time.sleep(0.1)
    assert not training(run)


def test_steps_and_commands_are_idempotent(run):
    run.watch(lambda: None)
    for to in (1, 1, 2, 2, 3, 3):
        run.step(to)
        until(lambda to=to: step(run) == to)
    time.sleep(0.1)
    assert step(run) == 3
    run.step(2)  # already reached: shown again
    time.sleep(0.1)
    head = run.head()["run"]
    assert (head["reached"], head["step"], head["following"]) == (3, 2, False)
    run.reset()
    run.reset()
    until(lambda: step(run) == 0)
    np.testing.assert_array_equal(snapshot(run).now, engine.probe(SMALL).log10_grad_norms)


def test_speed_is_kept(run):
    run.watch(lambda: None)
    run.speed(20)
    run.play()
    time.sleep(1.0)
    run.pause()
    assert 10 <= step(run) <= 21


def test_nobody_watching_stops_training_and_coming_back_goes_on(run, monkeypatch):
    monkeypatch.setattr(app.watching, "GRACE", 0.2)
    watcher = run.watch(lambda: None)
    run.speed(0)
    run.play()
    until(lambda: step(run) > 0)
    watcher.close()
    time.sleep(0.4)
    assert not training(run)
    run.watch(lambda: None)
    assert training(run)


def test_seen_waits_for_the_picture_of_the_newest_experiment(run):
    begin = time.monotonic()
    assert not run.seen(10), "nobody watches"
    assert time.monotonic() - begin < 1
    watcher = run.watch(lambda: None)
    assert not run.seen(0.05)
    watcher.sent(run.setting)
    assert not run.seen(0.05), "on its way"
    threading.Timer(0.1, watcher.drawn).start()
    assert run.seen(10)
    assert run.seen(0)
    run.configure(SMALL.replace(gain=0.5))
    watcher.sent(0)
    watcher.drawn()
    assert not run.seen(0.05), "an older picture"
    threading.Timer(0.1, watcher.close).start()
    assert not run.seen(10)
    assert time.monotonic() - begin < 5


def test_a_watcher_who_draws_nothing_does_not_count(run, monkeypatch):
    monkeypatch.setattr(app.watching, "GRACE", 0.1)
    monkeypatch.setattr(app.watching, "ASLEEP", 0.2)
    watcher = run.watch(lambda: None)
    run.speed(0)
    run.play()
    watcher.sent(0)
    time.sleep(0.5)
    assert not training(run)
    watcher.drawn()
    assert training(run)


def test_divergence_stops_and_the_last_finite_step_can_be_seen(registry):
    run = registry.open()
    run.configure(DIVERGES)
    run.watch(lambda: None)
    run.settle(60)
    run.speed(0)
    run.play()
    until(lambda: run.head()["run"]["diverged"])
    head, expected = run.head()["run"], engine.train(DIVERGES, 100)
    assert head["diverged"] == {"step": expected.diverged_at, "tensor": expected.diverged_tensor}
    assert (head["playing"], head["last_finite"]) == (False, expected.diverged_at - 1)
    shown = snapshot(run)
    assert shown.step == shown.reached == expected.diverged_at
    assert np.isfinite(shown.hidden).all()
    run.play()
    assert not run.head()["run"]["playing"]
    run.show(head["last_finite"])
    assert snapshot(run).step == expected.diverged_at - 1


def test_the_last_finite_step_is_brought_back_with_all_changes():
    """It is computed again where it was not kept: with the settings of each time."""
    calm = DIVERGES.replace(lr=0.0)
    training, expected = Training(calm), engine.Trainer(calm)
    while training.step < 15:
        training.advance(15, lambda: False)
    training.change(DIVERGES)
    while not training.ended:
        training.advance(10_000, lambda: False)
    training.record()
    expected.advance(15)
    expected.change(DIVERGES)
    diverged = training.past.curves.diverged
    expected.advance(diverged[0] - 1 - 15)
    newest = training.past.kept.newest
    assert newest.step == expected.step >= 15
    np.testing.assert_array_equal(newest.log10_norms, expected.trace().log10_grad_norms)
    assert [change.step for change in training.past.curves.changes] == [15]


def test_an_error_becomes_a_sentence_and_the_threads_live_on(run, registry, monkeypatch):
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    run.watch(lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(engine.Trainer, "advance", fails)
        run.play()
        until(lambda: run.head()["status"] == "error")
    assert run.head()["message"].endswith(".")
    run.reset()
    until(lambda: run.head()["status"] == "ready")
    others = [registry.open() for _ in range(3)]
    for other in others:
        other.configure(SMALL)
    assert all(other.settle(10) for other in others)


def test_two_runs_are_independent(registry):
    one, two = registry.open(), registry.open()
    for run in (one, two):
        run.configure(SMALL)
        run.watch(lambda: None)
        run.settle(60)
        run.speed(0)
        run.play()
    until(lambda: min(step(one), step(two)) > 200)
    two.pause()
    n = min(step(one), step(two))
    np.testing.assert_array_equal(snapshot(one).loss[:n], snapshot(two).loss[:n])
    np.testing.assert_array_equal(snapshot(one).loss[:n], engine.train(SMALL, n).loss)


def test_compiling_is_said_and_then_the_picture_comes(registry, monkeypatch):
    compiled = threading.Event()
    monkeypatch.setattr(engine, "is_compiled", lambda e: compiled.is_set())
    monkeypatch.setattr(engine, "warm_up", lambda e: time.sleep(0.3) or compiled.set())
    run = registry.open()
    run.configure(SMALL)
    until(lambda: run.head()["status"] == "compiling")
    assert "RNN" in run.head()["message"]
    assert run.settle(20)
    assert run.head()["status"] == "ready"


def test_a_compilation_that_nobody_waits_for_any_more_disturbs_no_run(registry, monkeypatch):
    go, compiled = threading.Event(), threading.Event()
    monkeypatch.setattr(engine, "is_compiled", lambda e: e.cell == "rnn" or compiled.is_set())
    monkeypatch.setattr(engine, "warm_up", lambda e: go.wait(20) and compiled.set())
    run = registry.open()
    run.configure(SMALL.replace(cell="lstm"))
    until(lambda: run.head()["status"] == "compiling")
    run.configure(SMALL)
    assert run.settle(20)
    run.step(7)
    until(lambda: run.head()["run"]["reached"] == 7)
    go.set()
    until(compiled.is_set)
    time.sleep(0.2)
    assert run.head()["run"]["reached"] == 7
    assert snapshot(run).experiment == SMALL


def test_at_rest_the_radii_are_of_the_step_shown(registry, monkeypatch):
    monkeypatch.setattr(app.kept, "RADII_SHARE", 1e-9)  # as if they took very long
    run = registry.open()
    run.configure(SMALL)
    run.watch(lambda: None)
    run.speed(0)
    run.play()
    until(lambda: run.head()["run"]["reached"] > 20)
    run.pause()
    until(lambda: snapshot(run).radii_at == snapshot(run).reached)


def test_all_that_controls_offer_is_compiled_ahead():
    """What a run waits for is told by kind, type, optimizer and clip; no kernel knows its task."""
    ahead, cells = everything(), [("rnn", True), ("lstm", True), ("gru", True), ("gru", False)]
    offered = product(cells, NAMES["dtype"], NAMES["optimizer"], NAMES["clip"])
    assert {((e.cell, e.reset_after), e.dtype, e.optimizer, e.clip) for e in ahead} == set(offered)
    embedded = {((e.cell, e.reset_after), e.dtype) for e in ahead if e.embedding_dim}
    assert embedded == set(product(cells, NAMES["dtype"]))


def test_unused_runs_are_freed(registry, monkeypatch):
    used, unused = registry.open(), registry.open()
    used.watch(lambda: None)
    monkeypatch.setattr(app.watching, "UNUSED", -1.0)
    registry.sweep()
    assert registry.get(used.token) is used
    assert registry.get(unused.token) is None


def _moment(step: int, size: int = 1000) -> Moment:
    norms, hidden = np.zeros((1, 1)), np.zeros((1, 1, size), np.float32)
    none = np.zeros((0, 1), np.float32)
    shown = Shown(none, none, none, none, none[:, 0], none[:, 0], none, 0, (0.0, 1.0))
    return Moment(
        step, norms, flow=norms, hidden=hidden, marks=(), validation=0.2, radii=(), radii_at=step, truncation=None,
        shown=shown, parts=norms, examples=step, seconds=0.0, norms_span=(0.0, 0.0),
    )  # fmt: skip


def test_kept_steps_stay_within_their_budget_and_are_spread_evenly():
    budget = 200 * _moment(0).size
    kept = Kept((_moment(0),), budget)
    for step in range(1, 5000):
        kept = kept.add(_moment(step))
        assert len(kept.moments) * _moment(0).size <= budget
        assert (kept.first.step, kept.newest.step) == (0, step)
    steps = np.array([moment.step for moment in kept.moments])
    assert len(steps) > 90
    assert np.diff(steps)[:-1].max() <= 2 * np.diff(steps)[:-1].min() + 1
    assert kept.nearest(2500).step == steps[np.abs(steps - 2500).argmin()]


def test_one_huge_moment_is_kept_all_the_same():
    kept = Kept((_moment(0),), 10)
    for step in range(1, 5):
        kept = kept.add(_moment(step))
    assert [moment.step for moment in kept.moments] == [0, 4]


class _Job:
    """Counts how often it worked, and whether it ever did so twice at once."""

    takes = 0.0

    def __init__(self, again: bool) -> None:
        self.again, self.count, self.inside, self.overlapped = again, 0, 0, False

    def work(self) -> float | None:
        self.inside += 1
        self.overlapped |= self.inside > 1
        time.sleep(0.002)
        self.count, self.inside = self.count + 1, self.inside - 1
        return time.monotonic() if self.again else None


def test_the_pool_is_fair_and_never_runs_a_job_twice_at_once():
    pool, jobs = Pool(2), [_Job(again=True) for _ in range(6)]
    for _ in range(50):
        for job in jobs:
            pool.wake(job)
    time.sleep(0.6)
    hurried = _Job(again=False)
    begin = time.monotonic()
    pool.wake(hurried)
    until(lambda: hurried.count == 1)
    assert time.monotonic() - begin < 0.1
    pool.close()
    counts = [job.count for job in jobs]
    assert not any(job.overlapped for job in jobs)
    assert min(counts) > 0.5 * max(counts)


def test_a_failing_job_costs_no_thread():
    class Fails:
        takes = 0.0

        def work(self) -> float | None:
            raise ValueError("on purpose")

    pool, job = Pool(1), _Job(again=False)
    pool.wake(Fails())
    pool.wake(job)
    until(lambda: job.count == 1)
    pool.close()


def test_the_marks_belong_to_the_sequence_that_is_shown() -> None:
    training = Training(engine.Experiment(hidden_size=4, batch_size=2))
    marks = []
    for _ in range(3):
        inputs, _targets = batch(training.experiment, training.step)
        shown = training.snapshot(None, 0)
        assert shown.marks == engine.TASKS["adding"].marks(inputs, 0)
        marks.append(shown.marks)
        training.advance(training.step + 1, lambda: False)
        training.record()
    assert len(set(marks)) == 3


def test_the_validation_loss_is_that_of_the_step_shown() -> None:
    training = Training(engine.Experiment(hidden_size=4, batch_size=2))
    trainer = engine.Trainer(training.experiment)
    for step in range(3):
        assert training.snapshot(step, 0).validation[step] == trainer.validation_loss()
        training.advance(step + 1, lambda: False)
        training.record()
        trainer.advance(1)
    assert np.isfinite(training.snapshot(1, 0).validation[1])


def test_a_page_of_one_long_sequence_is_no_heavier_than_what_the_server_allows() -> None:
    """Validation has a size of its own, which counts as well."""
    wide = {"cell": "lstm", "num_layers": 4, "hidden_size": 256, "seq_length": 2000, "batch_size": 1}
    with pytest.raises(ValueError, match="more than the"):
        link.experiment(wide)
    sizes = [(i.size, len(i)) for i, _ in validation_batches(engine.Experiment(hidden_size=256, seq_length=1000))]
    assert sum(size // (2 * steps) for size, steps in sizes) == 16
