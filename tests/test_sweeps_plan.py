"""A plan: what is refused and how, every point once, from coarse to fine, and the same in another process."""

import gc
import pickle
import subprocess
import sys
from itertools import count, product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.sweeps import Point
from engine.sweeps.axes import levels
from engine.sweeps.folds import Fold, fold
from tests.conftest import ROOT

BASE = engine.Experiment(hidden_size=4, seq_length=12, batch_size=3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"axes": {}}, "axes: .* one to three fields"),
        ({"axes": {"gain": [1], "lr": [1], "momentum": [0], "dropout": [0]}}, "axes: .* one to three fields"),
        ({"axes": {"gian": [1]}}, r"axes: 'gian' .* allowed: cell, hidden_size"),
        ({"axes": {"seed": [1, 2]}}, r"axes: 'seed' .*seeds="),
        ({"axes": {"gain": []}}, r"axes\[gain\]: no values"),
        ({"axes": {"gain": 1.0}}, r"axes\[gain\]: 1.0; allowed: a list"),
        ({"axes": {"cell": "rnn"}}, r"axes\[cell\]: 'rnn'; allowed: a list"),
        ({"axes": {"gain": [1, 2, 1.0]}}, r"axes\[gain\]: 1.0 twice"),
        ({"axes": {"gain": [1, -1]}}, r"axes\[gain\]: -1; allowed: greater than or equal to 0"),
        ({"axes": {"gain": [1, np.nan]}}, r"axes\[gain\]: nan; allowed: a finite number"),
        ({"axes": {"hidden_size": [4, 4.5]}}, r"axes\[hidden_size\]: 4.5; allowed"),
        ({"axes": {"cell": ["rnn", "cnn"]}}, r"axes\[cell\]: 'cnn'; allowed: one of: rnn, lstm, gru"),
        ({"axes": {"task": ["own:gone"]}}, r"axes\[task\]: 'own:gone': these data"),
        ({"axes": {"gain": [None]}}, r"axes\[gain\]: None"),
        ({"axes": {"gain": ["0.5", "1"]}}, r"axes\[gain\]: '0.5'; allowed: numbers$"),
        ({"axes": {"tbptt": ["none", 5]}}, r"axes\[tbptt\]: 'none'; allowed: numbers, None$"),
        ({"axes": {"reset_after": ["yes"]}}, r"axes\[reset_after\]: 'yes'; allowed: True or False$"),
        ({"axes": {"gain": [10**400]}}, r"axes\[gain\]"),
        ({"axes": {"gain": [[1, 2]]}}, r"axes\[gain\]: \[1, 2\]"),
        ({"axes": {"hidden_size": count(1)}}, r"axes\[hidden_size\]: 4097; allowed: less than"),
        ({"axes": {"stop_steps": count(1)}}, r"axes\[stop_steps\]: more than 10000 values"),
        ({"seeds": 0}, "seeds: 0; allowed"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": [-1]}, "seeds: -1"),
        ({"seeds": True}, "seeds: True"),
        ({"seeds": 1_000_001}, "seeds: 1000001; allowed: how many, 1 to 1000000, or a list"),
        ({"seeds": "12"}, "seeds: '12'"),
        ({"seeds": count()}, "2 × 1000000 are 2000000 points"),
        ({"measures": ["gradient"]}, "measures: .* allowed: decades_per_step"),
        ({"measures": []}, "measures"),
        ({"measures": ["val_loss"]}, "measures: val_loss is of training, and steps=0"),
        ({"steps": -1}, "steps: -1"),
        ({"steps": 1.5}, "steps: 1.5"),
        ({"folds": 1}, "folds: 1"),
        ({"folds": 5}, "train_size=None; allowed: at least 5 sequences, one"),
        ({"most_points": 9}, r"2 × 5 are 10 points; allowed: up to 9"),
        ({"axes": {"task": ["adding"], "loss": ["cross_entropy"]}}, "no combination .* loss=cross_entropy"),
        (
            {"base": BASE.replace(task="digits_rows"), "axes": {"seq_length": [5, 6]}},
            "digits_rows has 8 timesteps; all",
        ),
        ({"axes": {"task": ["digits_pixels"], "seq_length": [5, 6]}}, "'seq_length' changes nothing"),
        ({"base": "rnn"}, "experiment: str; allowed: an engine.Experiment"),
    ],
)
def test_what_is_no_plan_is_refused_by_name(changes, said):
    arguments = {"base": BASE, "axes": {"gain": [0.5, 1]}} | changes
    with pytest.raises(ValueError, match=said):
        engine.plan(**arguments)


def test_a_combination_that_cannot_be_is_a_point_with_a_reason():
    p = engine.plan(BASE, {"task": ["adding", "copy_memory"], "loss": [None, "cross_entropy"]}, seeds=2)
    wrong = [point for point in p.points if point.experiment is None]
    assert [(point.index, point.seed_index) for point in wrong] == [((0, 1), 0), ((0, 1), 1)]
    assert wrong[0].error.startswith("loss=cross_entropy: task adding has real-valued targets")
    with pytest.raises(ValueError, match="it has no experiment"):
        p.key(wrong[0])


def test_values_are_as_the_experiment_has_them():
    p = engine.plan(BASE, {"seq_length": np.linspace(10, 30, 3), "gain": [1, np.float32(2)], "tbptt": [None, 5]})
    assert dict(p.axes) == {"seq_length": (10, 20, 30), "gain": (1.0, 2.0), "tbptt": (None, 5)}
    assert [type(value) for value in (*p.axes["seq_length"], *p.axes["gain"])] == [int] * 3 + [float] * 2
    assert p.seeds == (0, 1, 2, 3, 4)
    assert engine.plan(BASE.replace(seed=7), {"gain": [1]}, seeds=np.int64(2)).seeds == (7, 8)


@pytest.mark.parametrize(
    ("values", "expected"),
    [(1, [0]), (2, [0, 0]), (5, [0, 1, 0, 1, 0]), (9, [0, 2, 1, 2, 0, 2, 1, 2, 0]), (6, [0, 1, 0, 2, 1, 0])],
)
def test_levels_halve_the_distance(values, expected):
    found = levels(tuple(range(values)))
    assert len(found) == values
    assert found[0] == found[-1] == 0
    assert found == expected
    assert levels(("a",) * values) == [0] * values


def test_a_map_of_33_by_33_is_one_of_3_by_3_first():
    p = engine.plan(BASE, {"gain": np.linspace(0.5, 1.5, 33), "lr": np.geomspace(1e-4, 1, 33)}, seeds=2)
    first = p.points[: 33 * 33]
    assert {point.seed_index for point in first} == {0}
    for level, side in enumerate((3, 5, 9, 17, 33)):
        shown = {point.index for point in first[: side * side]}
        each = sorted({i for i, _ in shown})
        assert shown == {(i, j) for i in each for j in each}, "what is there is a whole, coarser map"
        assert each == list(range(0, 33, 32 // (side - 1)))
        assert [point.level for point in first[: side * side]][-1] == level


AXES = {
    "gain": st.lists(st.floats(0, 100), min_size=1, max_size=7, unique=True),
    "seq_length": st.lists(st.integers(2, 200), min_size=1, max_size=5, unique=True),
    "tbptt": st.lists(st.none() | st.integers(1, 50), min_size=1, max_size=3, unique=True),
    "cell": st.lists(st.sampled_from(list(engine.CELLS)), min_size=1, max_size=3, unique=True),
    "reset_after": st.lists(st.booleans(), min_size=1, max_size=2, unique=True),
    "task": st.lists(st.sampled_from(list(engine.TASKS)), min_size=1, max_size=4, unique=True),
}


def is_valid(values: dict[str, Any]) -> bool:
    try:
        return bool(BASE.replace(**values))
    except ValueError:
        return False


@settings(max_examples=40)
@given(st.data())
def test_every_point_is_there_once_and_is_its_axes_values(data):
    names = data.draw(st.lists(st.sampled_from(list(AXES)), min_size=1, max_size=3, unique=True))
    axes = {name: data.draw(AXES[name]) for name in names}
    seeds = data.draw(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3, unique=True))
    combinations = [dict(zip(names, values, strict=True)) for values in product(*axes.values())]
    if not any(map(is_valid, combinations)):
        with pytest.raises(ValueError, match="no combination"):
            engine.plan(BASE, axes, seeds=seeds)
        return
    p = engine.plan(BASE, axes, seeds=seeds)
    assert len(p.points) == p.size == prod(p.shape) == prod(map(len, axes.values())) * len(seeds)
    assert len({(point.index, point.seed_index) for point in p.points}) == p.size
    keys = set()
    for point in p.points:
        if point.experiment is None:
            assert point.error
            continue
        values = {name: axes[name][k] for name, k in zip(names, point.index, strict=True)}
        assert point.experiment == BASE.replace(**values, seed=seeds[point.seed_index])
        keys.add(p.key(point))
    assert len(keys) == sum(point.experiment is not None for point in p.points)
    again = pickle.loads(pickle.dumps(p))
    assert again == p
    assert hash(again) == hash(p)
    assert again.points == p.points


def test_a_key_says_experiment_and_steps_and_no_more():
    p = engine.plan(BASE, {"gain": [0.5, 1]}, seeds=1)
    wider = engine.plan(BASE, {"gain": [1, 2], "lr": [1e-3, 1]}, seeds=[3, 0], measures=["chi", "grad_norm"])
    keys = {wider.key(point) for point in wider.points}
    assert p.key(p.points[1]) in keys
    assert p.key(p.points[0]) not in keys
    longer = engine.plan(BASE, {"gain": [0.5, 1]}, seeds=1, steps=5)
    assert longer.key(longer.points[0]) != p.key(p.points[0])


def test_a_key_is_the_same_in_another_process():
    code = "import pickle, sys; p = pickle.load(sys.stdin.buffer); print(*(p.key(point) for point in p.points))"
    p = engine.plan(BASE.replace(train_size=10), {"gain": [0.5, 1]}, folds=3)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=pickle.dumps(p), capture_output=True, check=True)
    assert run.stdout.decode().split() == [p.key(point) for point in p.points]


def test_ones_own_data_can_be_an_axis():
    x = np.random.default_rng(0).standard_normal((2, 20, 5, 1))
    tasks = [engine.sequences(each, each[:, 0]) for each in x]
    p = engine.plan(BASE, {"task": [*tasks, "sine"]}, seeds=1)
    names = [str(task) for task in tasks]
    del tasks
    gc.collect()
    again = pickle.loads(pickle.dumps(p))
    assert [point.experiment.task for point in again.points] == [*names, "sine"]
    found = [engine.measure(point.experiment, p.measures) for point in again.points]
    assert found[0] != found[1]


# --- Folds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["adding", "copy_memory", "temporal_order", "digits_rows"])
def test_folds_part_the_training_set_that_the_base_would_draw(task):
    e = BASE.replace(task=task, train_size=23)
    whole = next(engine.data.batches(e.replace(batching="full")))[0]
    held = []
    for k in range(5):
        part = fold(e, 5, k)
        row, rng = engine.TASKS[part.task], np.random.default_rng(0)
        assert (row.label, row.baseline(part)) == (engine.TASKS[task].label, engine.TASKS[task].baseline(e))
        assert part.steps == e.steps
        trained, (validated,) = row.draw(rng, 0, part.train_size)[0], part.task.data.validation()
        held += [sequence.tobytes() for sequence in validated[0].swapaxes(0, 1)]
        seen = {sequence.tobytes() for sequence in trained.swapaxes(0, 1)}
        assert part.train_size + validated[0].shape[1] == 23
        of_set = [sequence.tobytes() for sequence in whole.swapaxes(0, 1)]
        rest = [s for j, s in enumerate(of_set) if j not in part.task.data.held]
        assert seen == set(rest)
    assert sorted(held) == sorted(sequence.tobytes() for sequence in whole.swapaxes(0, 1))


@pytest.mark.parametrize("task", ["parity", "own"])
def test_equal_sequences_are_in_one_part_so_that_none_is_judged_by_what_was_trained_on(task):
    x = np.random.default_rng(0).standard_normal((10, 4, 1))
    own = engine.sequences(x, x[:, -1], validation=0)  # train_size is more than there are: they come again
    e = BASE.replace(task=own if task == "own" else task, seq_length=4, train_size=37)
    every = set()
    for k in range(5):
        part = fold(e, 5, k)
        held = part.task.data.validation()[0][0].swapaxes(0, 1)
        trained = engine.TASKS[part.task].draw(np.random.default_rng(0), 0, part.train_size)[0].swapaxes(0, 1)
        assert len(held) + len(trained) == 37
        mine = {sequence.tobytes() for sequence in held}
        assert not mine & {sequence.tobytes() for sequence in trained}
        assert not mine & every
        every |= mine
        assert len(mine) in ((2,) if task == "own" else (2, 3, 4))


def test_a_fold_of_ones_own_sequences_is_compared_with_the_constant_of_its_own_parts():
    x = np.random.default_rng(0).standard_normal((30, 4, 1))
    y = np.exp(x[:, 0, 0])
    e = BASE.replace(task=engine.sequences(x, y, validation=0.5), train_size=15)
    p = engine.plan(e, {"gain": [0.5, 1]}, measures="beats_baseline", steps=1, folds=3)
    for k in range(3):
        part = fold(e, 3, k)
        held = part.task.data.validation()[0][1]
        _, seen = engine.TASKS[part.task].draw(np.random.default_rng(0), 0, part.train_size)
        expected = ((held - seen.mean()) ** 2).mean()
        assert engine.TASKS[part.task].baseline(part) == pytest.approx(expected, rel=1e-12)
    found = engine.sweeps.dataset(p, {})
    assert found.beats_baseline.attrs["long_name"] == "Folds that beat the baseline"


def test_fewer_different_sequences_than_folds_are_refused():
    with pytest.raises(ValueError, match="train_size=90: 4 different sequences; allowed: at least 5"):
        engine.plan(BASE.replace(task="parity", seq_length=2, train_size=90), {"gain": [0.5, 1]}, folds=5)


@pytest.mark.parametrize("task", ["text", "own text", "own series"])
def test_windows_that_overlap_are_not_parted_into_folds(task):
    own = {"own text": lambda: engine.text(b"abcd" * 99), "own series": lambda: engine.series(np.sin(np.arange(99.0)))}
    e = BASE.replace(task=own[task]() if task in own else task, train_size=20)
    with pytest.raises(ValueError, match=r"folds: 4; .* windows that overlap, and parts of them would share values"):
        engine.plan(e, {"gain": [0.5, 1]}, folds=4)


def test_a_fold_is_small_and_takes_ones_own_data_along():
    x = np.random.default_rng(0).standard_normal((40, 6, 2))
    own = engine.sequences(x, x[:, -1], validation=0)
    e = fold(BASE.replace(task=own, train_size=40), 4, 1)
    assert len(pickle.dumps(fold(BASE.replace(train_size=100_000), 4, 1))) < 3000
    again = pickle.loads(pickle.dumps(e))
    assert again == e
    assert isinstance(again.task.data, Fold)
    assert engine.measure(again, "val_loss", 3) == engine.measure(e, "val_loss", 3)


def test_a_plan_of_folds_has_a_point_for_each_and_no_seeds():
    p = engine.plan(BASE.replace(train_size=10, seed=3), {"train_size": [None, 4, 10]}, folds=5)
    assert p.shape == (3, 5)
    assert [point.experiment is None for point in p.points if point.index == (1,)] == [True] * 5, "4 are too few"
    good = [point for point in p.points if point.index == (2,)]
    assert {point.experiment.seed for point in good} == {3}
    assert {point.experiment.train_size for point in good} == {8}
    assert isinstance(good[0], Point)
    assert len({p.key(point) for point in good}) == 5
