"""Data of one's own as tasks: their names hold them, copies take them along, and nothing else knows them."""

import gc
import json
import pickle
import subprocess
import sys
import weakref
from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.data import batch, validation_batches
from tests.conftest import ROOT

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((40, 7, 3)), RNG.standard_normal((40, 2))


def small(task: str, **changes: object) -> engine.Experiment:
    return engine.Experiment(task=task, hidden_size=5, batch_size=4, **changes)


def test_an_experiment_keeps_its_data_and_nothing_else_does():
    e = small(engine.sequences(X, Y))
    name, data = str(e.task), weakref.ref(e.task.data)
    assert engine.sequences(X.copy(), Y) is e.task, "equal data are the same task"
    same = engine.Experiment(**json.loads(e.model_dump_json()))
    assert same == e
    assert hash(same) == hash(e)
    assert name not in list(engine.TASKS)
    engine.mean_field(e)
    engine.train(e, 2)
    del e, same
    gc.collect()
    assert data() is None
    with pytest.raises(ValueError, match=r"(?s)task\s.*not here: load them first"):
        engine.Experiment(task=name)


def test_a_copy_in_another_process_takes_the_data_along(tmp_path):
    e = small(engine.sequences(X, Y), train_size=8)
    (tmp_path / "e").write_bytes(pickle.dumps([e, e.replace(seed=1)]))
    size = (tmp_path / "e").stat().st_size
    assert size < 1.5 * (X.nbytes + Y.nbytes), "of two experiments the data go along once"
    code = "import pickle, sys, engine; a, b = pickle.load(open(sys.argv[1], 'rb')); print(engine.train(b, 3).loss)"
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "e"], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == str(engine.train(e.replace(seed=1), 3).loss), run.stderr


def rows(inputs: np.ndarray) -> list[int]:
    """Which sequence of X each of (T, B, I) is."""
    return [int(np.flatnonzero((inputs[:, b] == X).all(axis=(1, 2)))[0]) for b in range(inputs.shape[1])]


def test_training_sees_its_part_alone_and_each_sequence_once_an_epoch():
    e = small(engine.sequences(X, Y, validation=0.25), train_size=30)
    seen = [rows(batch(e, k)[0]) for k in range(8)]
    assert sorted(n for each in seen for n in each) == list(range(30))
    np.testing.assert_array_equal(batch(e, 0)[1], Y[seen[0]])
    held = [n for x, _ in validation_batches(e) for n in rows(x)]
    assert sorted(held) == list(range(30, 40)), "each once"


@pytest.mark.parametrize(("count", "most"), [(97, 40), (500, None), (5000, None)])
def test_the_validation_loss_is_that_of_all_sequences_held_back(monkeypatch, count, most):
    """Also where they come in parts of two sizes; a draw of some would be luck where targets have heavy tails."""
    x, y = RNG.standard_normal((count + 10, 6, 1)), np.exp(2 * RNG.standard_normal(count + 10))
    task = engine.sequences(x, y, count / (count + 10))
    if most is not None:
        monkeypatch.setattr("engine.data.CHUNK_NUMBERS", most * 6 * 5)
    found = [engine.Trainer(small(task, seed=seed, seq_length=6)) for seed in range(3)]
    for trainer in found:
        w = trainer.state_dict
        h = np.zeros((count, 5))
        for t in range(6):
            a = x[10:, t] @ w["weight_ih_l0"].T + h @ w["weight_hh_l0"].T + w["bias_ih_l0"] + w["bias_hh_l0"]
            h = np.tanh(a)
        answer = h @ w["head.weight"].T + w["head.bias"]
        assert trainer.validation_loss() == pytest.approx(((answer[:, 0] - y[10:]) ** 2).mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("targets", "fields"),
    [
        (RNG.standard_normal(40), (1, False, "mse")),
        (RNG.standard_normal((40, 7, 2)), (2, True, "mse")),
        (RNG.integers(0, 3, 40), (3, False, "cross_entropy")),
        (RNG.integers(0, 3, (40, 7)), (3, True, "cross_entropy")),
    ],
)
def test_targets_of_every_form_train_and_are_held_to_the_constant_answer(targets, fields):
    e = small(engine.sequences(X, targets), seq_length=99)
    row = engine.TASKS[e.task]
    assert (row.output_size, row.every_step, row.loss) == fields
    assert e.steps == 7
    history = engine.train(e, 3)
    assert np.isfinite(history.loss).all()
    seen, held = targets[:32], targets[32:]
    if row.loss == "mse":
        expected = ((held - seen.reshape(-1, row.output_size).mean(axis=0)).reshape(-1) ** 2).mean()
        if targets.ndim == 1:
            expected = ((held - seen.mean()) ** 2).mean()
    else:
        counts = [1 + int((seen == k).sum()) for k in range(3)]
        expected = np.mean([-log(counts[k] / sum(counts)) for k in held.ravel()])
        one_hot = np.eye(3)[held.ravel()] - np.array(counts) / sum(counts)
        assert row.trivial_loss["mse"](7) == pytest.approx((one_hot**2).mean())
    assert row.baseline(e) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ((X[0, 0], Y), r"inputs: shape \(3,\)"),
        ((X, Y[:5]), r"targets: shape \(5, 2\).*\(40, O\)"),
        ((X, Y > 0), "targets: .*bool"),
        ((X, -np.ones(40, int)), "targets: classes from -1"),
        ((np.where(X[3, 2, 1] == X, np.nan, X), Y), r"inputs\[3, 2, 1\]: nan"),
        ((X, Y, 1.0), "validation: 1.0"),
        ((X, Y, "much"), "validation: 'much'"),
        ((X[:1], Y[:1], 0.6), "validation: 0.6"),
        ((np.empty((0, 7, 3)), Y), "inputs: shape"),
        (([[1, 2], [3]], Y), "inputs: not an array"),
        ((X, np.full(40, 1e200)), r"targets\[0\]: 1e\+200; allowed: finite numbers up to 1e\+100"),
        ((X.astype(np.longdouble) * np.longdouble("1e4000"), Y), "inputs.*up to 1e.100"),
        ((X.astype(np.float32), np.full(40, np.inf, np.float32)), r"targets\[0\]: inf"),
        ((X, Y, np.array([0.1, 0.2])), "validation: array"),
        ((X.astype(object), Y), "inputs: .*object"),
        ((X, np.arange(40).astype("M8[s]")), "targets: .*datetime64"),
        ((X, np.array(1)), r"targets: shape \(\)"),
        ((X, np.full(40, 2**63, np.uint64)), "targets: classes from 9223372036854775808"),
    ],
)
def test_arrays_that_are_no_sequences_are_refused_by_name(arrays, said):
    with pytest.raises(ValueError, match=said):
        engine.sequences(*arrays)


@given(st.integers(1, 9), st.integers(2, 9), st.sampled_from(["mse", "cross_entropy"]), st.booleans())
def test_noise_fits_a_network_of_any_size(inputs, outputs, loss, symbols):
    e = small(engine.noise(inputs, outputs, loss, symbols), seq_length=6)
    if symbols:
        x = batch(e, 0)[0]
        assert (x.sum(axis=2) == 1).all()
        e = e.replace(embedding_dim=3)
    trace = engine.probe(e)
    assert trace.inputs.shape == (6, 4, inputs)
    assert trace.outputs.shape[-1] == outputs
    assert np.isfinite(trace.loss)


def test_noise_has_the_variance_of_its_baseline():
    for loss, rng in product(("mse", "cross_entropy"), [np.random.default_rng(0)]):
        row = engine.noise(2, 4, loss).task
        targets = row.draw(rng, 2, 40_000)[1]
        if loss == "mse":
            assert (targets**2).mean() == pytest.approx(row.trivial_loss["mse"](2), abs=0.02)
        else:
            share = np.bincount(targets, minlength=4) / len(targets)
            assert -np.log(share).mean() == pytest.approx(row.trivial_loss["cross_entropy"](2), abs=0.01)


def test_the_name_of_noise_says_all_about_it():
    name = str(engine.noise(3, 2, "cross_entropy", symbols=True))
    code = f"import engine; print(engine.train(engine.Experiment(task={name!r}, hidden_size=4), 2).loss)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == str(engine.train(engine.Experiment(task=name, hidden_size=4), 2).loss), run.stderr
    for wrong in ("own:noise-0-1-mse", "own:noise-03-1-mse", "own:noise-9999-1-mse", "own:noise-3-1-mae", "own:noise"):
        with pytest.raises(ValueError, match="load them first"):
            engine.Experiment(task=wrong)


@pytest.mark.parametrize("sizes", [(0, 1), (1, 5000), (True, 1), (1.5, 1), (1, 1, "mae"), (1, 1, "mse", 1)])
def test_noise_of_no_size_is_refused(sizes):
    with pytest.raises(ValueError, match="allowed"):
        engine.noise(*sizes)
