"""What is compared: links and what is wrong with them, what to begin with, refusals; lock-step; seeds. No page."""

import time
from collections.abc import Callable

import numpy as np
import pytest

import engine
from app import link, settings, versus
from app.bands import Bands
from app.comparison import Comparison
from app.controls import BY_FIELD, written
from app.figures import palette
from app.figures.versus import DASHES, Versus
from app.figures.versus_seeds import chance, curves, quartiles
from app.history import Choice
from app.jobs import FORGOTTEN
from app.lockstep import Lockstep
from app.pool import Pool
from app.registry import Registry
from app.settings import DEFAULTS, FIELDS
from app.versus import Knob

SMALL = {"seq_length": 10, "hidden_size": 4, "batch_size": 2}
DIVERGES = {"nonlinearity": "relu", "gain": 1.6, "optimizer": "sgd", "clip": "none", "lr": 5e-4}


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def compared(knob: Knob, **values: object) -> versus.Compared:
    full = {**DEFAULTS, **values}
    return versus.of(link.experiment(full), full, knob, written)[0]


# The link


@pytest.mark.parametrize("field", FIELDS)
def test_a_link_gives_back_what_it_was_written_from(field):
    control = BY_FIELD[field]
    values = {**DEFAULTS, "cell": "lstm", "num_layers": 2}
    knob = versus.suggest(field, values[field], control.options)
    assert 1 <= len(knob.values) <= versus.MOST
    assert values[field] not in knob.values
    assert all(settings.accepts(field, value) for value in knob.values)
    assert versus.read(versus.write(knob)) == (knob, [])


@pytest.mark.parametrize(
    ("text", "field", "values", "said"),
    [
        ("clip:none", "clip", ("none",), ""),
        ("lr:1e-3,0.5", "lr", (0.001, 0.5), ""),
        ("hidden_size:8,abc,9999,16", "hidden_size", (8, 16), "9999"),
        ("gain:1,2,3,4,5,6", "gain", (1.0, 2.0, 3.0), "6 values"),
        ("gain:1,1,1.0", "gain", (1.0,), ""),
        ("train_size:none", "train_size", (None,), ""),
        ("clip:", "clip", (), ""),
        ("clop:none", None, (), "The nearest is clip"),
        ("<b>x</b>:1", None, (), "<b>x</b>"),
        ("gain", None, (), "versus=clip:none"),
        ("lr:nan,inf,1e400", "lr", (), "1e400"),
    ],
)
def test_a_link_is_read_as_far_as_it_makes_sense(text, field, values, said):
    knob, complaints = versus.read(text)
    assert (knob.field, knob.values) == (field, values) if knob else field is None
    assert said in " ".join(complaints)
    assert bool(said) == bool(complaints)


def test_a_link_as_long_as_a_book_is_cut():
    knob, complaints = versus.read("gain:" + "1," * 100_000)
    assert knob == Knob("gain", (1.0,))
    assert len(complaints) <= 2


# What to begin with


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        ({}, "vanishing", Knob("cell", ("lstm", "gru"))),
        ({}, "exploding", Knob("clip", ("none",))),
        ({"clip": "none"}, "diverged", Knob("clip", ("norm",))),
        ({"cell": "lstm"}, "healthy", Knob("forget_bias", (-2.0, 5.0))),
        ({"cell": "lstm", "forget_bias": 5.0}, "healthy", Knob("forget_bias", (-2.0,))),
        ({"cell": "gru"}, "healthy", Knob("cell", ("rnn",))),
    ],
)
def test_it_begins_with_something_telling(values, kind, wanted):
    found = versus.default({**DEFAULTS, **values}, kind)
    assert found == wanted
    assert len(compared(found, **values).experiments) == 1 + len(wanted.values)


def test_what_was_changed_last_is_compared_with_what_it_was():
    before = Choice("", dict(DEFAULTS))
    after = Choice("", {**DEFAULTS, "gain": 1.5})
    many = Choice("irnn", {**DEFAULTS, "gain": 1.5, "lr": 0.1, "seed": 3})
    assert versus.last_changed([after, before]) == Knob("gain", (0.9,))
    assert versus.last_changed([after]) is None
    assert versus.last_changed([many, after]) is None  # a preset changes many things
    assert versus.last_changed([many, after, before]) == Knob("gain", (0.9,))
    hidden = Choice("", {**DEFAULTS, "forget_bias": 3.0})  # counts only in the LSTM
    assert versus.last_changed([hidden, before]) is None


# The experiments


def test_experiments_differ_in_the_knob_alone():
    c = compared(Knob("forget_bias", (-2.0, 5.0)), cell="lstm")
    base, *others = c.experiments
    assert [e.forget_bias for e in c.experiments] == [1.0, -2.0, 5.0]
    assert all(e.replace(forget_bias=1.0) == base for e in others)


def test_one_that_is_refused_says_why_and_the_others_go_on():
    values = {**DEFAULTS, "task": "copying"} if "copying" in engine.TASKS else dict(DEFAULTS)
    base = link.experiment(values)
    c, said = versus.of(base, values, Knob("batching", ("full", "single")), written)  # full: the set is endless
    assert [e.batching for e in c.experiments] == ["mini", "single"]
    assert len(said) == 1
    assert "endless" in said[0]


def test_what_makes_the_same_experiment_is_left_out():
    values = {**DEFAULTS, "clip": "none"}
    c, said = versus.of(link.experiment(values), values, Knob("gain", (0.9, 1.2)), written)
    assert c.values == (0.9, 1.2)
    assert said == []
    c, said = versus.of(link.experiment(values), values, Knob("clip_threshold", (3.0,)), written)
    assert len(c.experiments) == 1
    assert "does not count" in said[0]


def test_together_they_may_cost_as_much_as_one_run():
    values = {**DEFAULTS, "hidden_size": 256, "seq_length": 200}
    c, said = versus.of(link.experiment(values), values, Knob("gain", (1.0, 1.5)), written)
    assert sum(map(versus.work, c.experiments)) <= versus.MOST_WORK
    assert len(c.experiments) < 3
    assert f"{versus.MOST_WORK:,}" in said[-1]


def test_it_says_what_else_counts_with_a_value():
    values = {**DEFAULTS, "omega": 2.0}
    c = compared(Knob("cell", ("lstm", "gru")), omega=2.0)
    said = versus.beside(values, c)
    assert "Forget bias counts with LSTM (1) only." in said
    assert "Pascanu's Ω does not count with LSTM, GRU." in said
    assert len(versus.beside(dict(DEFAULTS), compared(Knob("lr", (0.1,))))) == 0


@pytest.mark.parametrize(("field", "same"), [("lr", True), ("cell", True), ("seed", False), ("batch_size", False)])
def test_whether_the_data_are_the_same(field, same):
    knob = versus.suggest(field, DEFAULTS[field], BY_FIELD[field].options)
    c = compared(knob)
    first = [engine.data.batch(e, 3)[0] for e in c.experiments]
    assert versus.same_data(c) == same
    assert all(np.array_equal(first[0], other) for other in first[1:]) == same


# Lock-step


def lockstep(knob: Knob, **values: object) -> Lockstep:
    return Lockstep(compared(knob, **{**SMALL, **values}))


def test_all_are_always_at_the_same_step_and_learn_as_they_would_alone():
    steps = lockstep(Knob("cell", ("lstm", "gru")))
    for _ in range(40):
        steps.advance(30, lambda: False)
        assert len({side.step for side in steps._sides}) == 1
    steps.record(rests=True)
    v = steps.snapshot(None, 0)
    assert [run.reached for run in v.runs] == [30, 30, 30]
    for run in v.runs:
        alone = engine.Trainer(run.experiment)
        alone.advance(30)
        assert np.array_equal(run.loss[:30], alone.history.loss)
        assert np.array_equal(run.now, alone.trace().log10_grad_norms)
        assert run.validation[30] == alone.validation_loss()


def test_one_that_diverged_stays_while_the_others_go_on():
    c = compared(Knob("clip", ("norm",)), **DIVERGES)
    steps = Lockstep(c)
    while steps.step < 40:
        steps.advance(40, lambda: False)
    steps.record(rests=True)
    v = steps.snapshot(None, 0)
    assert v.runs[0].diverged is not None
    assert v.runs[0].reached < 40 == v.runs[1].reached
    assert not steps.ended
    assert v.step == 40
    assert steps.snapshot(0, 0).step == 0


def test_scrubbing_brings_all_back_to_one_step():
    steps = lockstep(Knob("hidden_size", (8, 16)))
    for at in range(1, 60):
        steps.advance(at, lambda: False)
        steps.record()
    for wanted in (0, 1, 17, 42, 59):
        shown = steps.at(wanted)
        v = steps.snapshot(wanted, 0)
        assert {run.step for run in v.runs} == {run.moment for run in v.runs} == {shown}
    assert steps.at(None) == 59


def test_the_kept_steps_are_the_same_for_wide_and_narrow(monkeypatch):
    monkeypatch.setattr("app.lockstep.BUDGET", 200_000)
    steps = lockstep(Knob("hidden_size", (32,)))
    for at in range(1, 200):
        steps.advance(at, lambda: False)
        steps.record()
    kept = [{moment.step for moment in past.kept.moments} for past in steps.seen.pasts]
    assert 10 < len(kept[0]) < 150
    assert kept[0] == kept[1]
    assert sum(len(past.kept.moments) * past.kept.newest.size for past in steps.seen.pasts) < 260_000
    assert all(len(past.weights.moments) <= 2 for past in steps.seen.pasts)


def test_another_order_and_live_settings_change_nothing_that_was_learned():
    steps = lockstep(Knob("clip", ("none",)))
    steps.advance(5, lambda: False)
    steps.record()
    turned = compared(Knob("clip", ("norm",)), **SMALL, clip="none")
    assert steps.takes(turned)
    steps.change(turned)
    assert [side.step for side in steps._sides] == [steps.step] * 2
    assert [run.experiment.clip for run in steps.snapshot(None, 0).runs] == ["none", "norm"]
    faster = compared(Knob("clip", ("norm",)), **SMALL, clip="none", lr=0.1)
    assert steps.takes(faster)
    steps.change(faster)
    assert all(run.experiment.lr == 0.1 for run in steps.snapshot(None, 0).runs)
    assert not steps.takes(compared(Knob("clip", ("norm", "value")), **SMALL, clip="none", lr=0.1))
    assert not steps.takes(compared(Knob("clip", ("norm",)), **SMALL, clip="none", lr=0.1, gain=2.0))


def test_a_value_that_joins_catches_up_and_the_others_are_not_trained_anew():
    steps = lockstep(Knob("gain", (0.5,)))
    for at in range(1, 31):
        steps.advance(at, lambda: False)
        steps.record()
    there = list(steps._sides)
    more = compared(Knob("gain", (0.5, 1.2)), **SMALL)
    assert steps.takes(more)
    steps.change(more)
    assert steps._sides[:2] == there
    assert [side.step for side in steps._sides] == [30, 30, 0]
    assert steps.behind
    steps.advance(31, lambda: True)  # something else is more urgent
    assert steps._sides[2].step == 0
    while steps.behind:
        steps.advance(30, lambda: False)
        steps.record()
        assert [side.step for side in there] == [30, 30]
    for at in range(31, 41):
        steps.advance(at, lambda: False)
        steps.record()
    assert [side.step for side in steps._sides] == [40] * 3
    assert steps.seen.steps == tuple(range(41))
    v = steps.snapshot(None, 0)
    for run in v.runs:
        alone = engine.Trainer(run.experiment)
        alone.advance(40)
        assert np.array_equal(run.loss[:40], alone.history.loss)
    fewer = compared(Knob("gain", (1.2,)), **SMALL)
    steps.change(fewer)
    assert [side.step for side in steps._sides] == [40, 40]
    assert not steps.takes(compared(Knob("gain", (1.2, 2.0)), **{**SMALL, "seed": 5}))


def test_the_kept_steps_stay_the_same_after_one_has_joined(monkeypatch):
    monkeypatch.setattr("app.lockstep.BUDGET", 200_000)
    steps = lockstep(Knob("gain", (0.5,)))
    for at in range(1, 120):
        steps.advance(at, lambda: False)
        steps.record()
    steps.change(compared(Knob("gain", (0.5, 1.2)), **SMALL))
    while steps.behind:
        steps.advance(119, lambda: False)
    for at in range(120, 300):
        steps.advance(at, lambda: False)
        steps.record()
    kept = [{moment.step for moment in past.kept.moments} for past in steps.seen.pasts]
    assert len(kept[0]) > 10
    assert kept[0] == kept[1] == kept[2]


def test_the_same_start_is_the_same_weights():
    assert lockstep(Knob("lr", (0.1,))).same_start
    assert not lockstep(Knob("gain", (0.5,))).same_start
    assert not lockstep(Knob("hidden_size", (8,))).same_start


# The comparison, as a stage has it


@pytest.fixture
def comparison(registry: Registry) -> Comparison:
    return registry.add(Comparison(registry.pool, registry.compiler))


def test_it_plays_steps_shows_and_resets_like_a_run(comparison, registry):
    assert registry.get(comparison.token) is comparison
    comparison.configure(compared(Knob("cell", ("lstm",)), **SMALL))
    assert comparison.settle(60)
    watcher = comparison.watch(lambda: None)
    comparison.speed(0)
    comparison.play()
    until(lambda: comparison.head()["run"]["reached"] >= 20)
    comparison.pause()
    until(lambda: comparison.rests)
    reached = comparison.head()["run"]["reached"]
    comparison.step(reached + 7)
    until(lambda: comparison.head()["run"]["reached"] == reached + 7)
    comparison.show(5)
    head, v = comparison.picture()
    assert isinstance(v, Versus)
    assert head["run"]["step"] == v.step
    assert abs(v.step - 5) <= 20
    comparison.reset()
    until(lambda: comparison.head()["run"]["reached"] == 0)
    watcher.close()


def test_a_value_that_joins_while_nothing_plays_catches_up_by_itself(comparison, registry):
    watcher = comparison.watch(lambda: None)
    comparison.configure(compared(Knob("gain", (0.5,)), **SMALL))
    assert comparison.settle(20)
    comparison.step(12)
    until(lambda: comparison.head()["run"]["reached"] == 12 and comparison.rests)
    comparison.configure(compared(Knob("gain", (0.5, 1.2)), **SMALL))
    until(lambda: [run.reached for run in comparison.picture()[1].runs] == [12, 12, 12])
    assert comparison.head()["run"]["reached"] == 12
    until(lambda: not comparison.head()["run"]["playing"])
    watcher.close()


def test_it_draws_every_picture_and_says_everything_in_both_themes(comparison):
    comparison.configure(compared(Knob("clip", ("norm",)), **DIVERGES))
    assert comparison.settle(60)
    watcher = comparison.watch(lambda: None)
    comparison.step(15)
    until(lambda: not comparison.head()["run"]["playing"])
    watcher.close()
    _, v = comparison.picture()
    for theme in ("light", "dark"):
        for draw in comparison.figures.values():
            figure = draw(v, palette(theme))
            assert figure["layout"]["meta"]["x"] or not figure["data"]
        words = comparison.words(v, theme)
        assert "diverged" in words["verdict"]["why"]
        assert words["table"]["rows"][0]["kind"] == "diverged"
        assert len({row["dash"] for row in words["table"]["rows"]}) == len(words["table"]["rows"])


def test_when_it_is_closed_nothing_works_on(comparison):
    c = compared(Knob("lr", (0.1,)), **SMALL)
    comparison.configure(c)
    assert comparison.settle(60)
    bands = comparison.over_seeds(c, 20, 1000)
    comparison.close()
    assert bands.done.is_set()
    assert comparison.bands == {}
    assert comparison.picture()[1] is None


# Over many seeds


def done(c: versus.Compared, seeds: int, steps: int) -> Bands:
    bands, pool = Bands(c, seeds, steps), Pool(1)
    bands.start(pool)
    assert bands.done.wait(60)
    pool.close()
    return bands


def test_every_seed_is_trained_as_it_would_be_alone():
    c = compared(Knob("lr", (0.1,)), **SMALL, seed=4)
    bands = done(c, 3, 25)
    assert bands.seeds == (4, 5, 6)
    assert bands.share == 1.0
    for seed, row in zip(bands.seeds, bands.found, strict=True):
        for e, one in zip(c.experiments, row, strict=True):
            alone = engine.Trainer(e.replace(seed=seed))
            alone.advance(25)
            assert one.at.tolist() == [0, 10, 20, 25]
            assert one.validation[-1] == alone.validation_loss()
            assert one.validation[1] == alone.history.validation_loss[10]
            assert np.array_equal(one.flow, alone.trace().log10_flow_norms[-1])


def test_one_that_diverges_or_stops_is_told():
    c = compared(Knob("clip", ("norm",)), **{**DIVERGES, "lr": 0.01, "gain": 2.0}, stop_steps=12)
    bands = done(c, 2, 30)
    for lost, cut in bands.found:
        assert lost.diverged is not None
        assert lost.last == np.inf
        assert np.isnan(lost.flow).all()
        assert cut.diverged is None
        assert cut.at[-1] == 12
        assert np.isfinite(cut.last)
    values = curves([row[0] for row in bands.found], np.array([0, 30], np.int32))
    assert np.isinf(values[:, 1]).all()
    kept = curves([row[1] for row in bands.found], np.array([0, 30], np.int32))
    assert kept[0, 1] == bands.found[0][1].validation[-1]


def test_one_that_nobody_waits_for_rests_and_one_that_is_cancelled_ends(monkeypatch):
    monkeypatch.setattr("app.jobs.GRACE", -1.0)
    bands = Bands(compared(Knob("lr", (0.1,)), **SMALL), 5, 1000)
    assert bands.work() == bands._wanted + FORGOTTEN + 1, "not before it may let go of what it holds"
    assert not bands.done.is_set()
    assert 0 < bands.share < 1
    bands.cancel()
    assert bands.work() is None
    assert bands.done.is_set()


def test_quartiles_are_those_of_numpy_and_count_a_lost_run_as_worst():
    values = np.random.default_rng(0).normal(size=(7, 4))
    assert np.allclose(quartiles(values), np.quantile(values, [0.25, 0.5, 0.75], axis=0))
    lost = np.array([[1.0], [2.0], [3.0], [np.inf], [np.inf]])
    assert quartiles(lost)[:, 0].tolist() == [2.0, 3.0, np.inf]
    assert quartiles(np.full((3, 1), -np.inf))[1, 0] == -np.inf
    none = np.array([[-np.inf], [-np.inf], [-3.0], [-1.0]])  # of half of the seeds an exact 0
    assert quartiles(none)[:, 0].tolist() == [-np.inf, -np.inf, -2.5]


@pytest.mark.parametrize(("wins", "losses", "odds"), [(5, 0, 2 / 32), (9, 1, 22 / 1024), (5, 5, 1.0), (0, 0, 1.0)])
def test_the_sign_test(wins, losses, odds):
    assert chance(wins, losses) == pytest.approx(odds)
    assert chance(losses, wins) == pytest.approx(odds)


# Colours


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_compared_runs_can_be_told_apart(theme):
    p = palette(theme)
    assert len(set(p.runs)) == len(set(DASHES)) == versus.MOST + 1
    assert not set(p.runs) & {p.gradient, p.loss, p.state, p.threshold}


def luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_names_of_compared_runs_can_be_read(theme):
    p = palette(theme)
    for paper in (p.paper, p.panel):
        for colour in p.runs:
            dark, light = sorted((luminance(colour), luminance(paper)))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (colour, paper)
