"""What is measured of a run: the numbers of the instruments and of the trainer themselves, and the closed forms."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from math import isnan, log, log10

import numpy as np
import pytest

import engine
from engine.data import batches, validation_batches
from engine.sweeps import MEASURES, measure_in_pieces
from engine.sweeps.folds import fold
from engine.sweeps.measures import BEATEN, VALIDATE_EVERY
from tests import torch_reference

BASE = engine.Experiment(hidden_size=6, seq_length=15, batch_size=5)
FRESH = [name for name, row in MEASURES.items() if not row.trains]


@pytest.mark.parametrize("name", list(MEASURES))
def test_rows_speak_to_a_reader(name):
    row = MEASURES[name]
    assert row.label
    assert row.meaning.endswith(".")
    assert isinstance(row.unit, str)


@pytest.mark.parametrize("gain", [0.8, 1.1])
def test_closed_forms_of_a_linear_orthogonal_network(gain):
    e = BASE.replace(init="orthogonal", nonlinearity="identity", gain=gain, hidden_size=16, seq_length=40)
    found = engine.measure(e, FRESH)
    assert found["decades_per_step"] == pytest.approx(log10(gain), rel=1e-9)
    assert found["half_life"] == pytest.approx(log(2) / abs(log(gain)), rel=1e-9)
    assert found["lyapunov"] == pytest.approx(log(gain), rel=1e-9)
    assert found["chi"] == pytest.approx(gain**2, rel=1e-12)
    assert found["diverged"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cell": "lstm", "num_layers": 2, "dropout": 0.5},
        {"cell": "gru", "task": "copy_memory"},
        {"task": "text", "embedding_dim": 4, "tbptt": 5},
        {"omega": 0.5, "dtype": "float32"},
        {"train_size": 12, "batching": "single"},
    ],
)
@pytest.mark.parametrize("steps", [0, 7])
def test_a_measure_is_what_a_trainer_and_the_instruments_say(changes, steps):
    e = BASE.replace(**changes)
    trainer = engine.Trainer(e)
    trainer.advance(steps)
    t, v = trainer.trace(), engine.verdict(trainer.trace().log10_flow_norms[0])
    expected = {
        "decades_per_step": v.decades_per_step,
        "half_life": v.half_life,
        "lyapunov": engine.lyapunov(e, 200, 1, state_dict=trainer.state_dict).exponents[0],
        "chi": engine.mean_field(e).chi,
        "grad_norm": t.grad_norm,
        "diverged": float(t.non_finite is not None),
    }
    if steps:
        expected |= {
            "train_loss": t.loss,
            "val_loss": trainer.validation_loss(),
            "clipped_share": np.mean(trainer.history.grad_norm > e.clip_threshold),
            "beats_baseline": float(trainer.validation_loss() <= 0.8 * engine.TASKS[e.task].baseline(e)),
        }
    assert engine.measure(e, expected, steps) == pytest.approx(expected, rel=1e-12, abs=0, nan_ok=True)
    for name in expected:
        alone = engine.measure(e, name, steps)
        assert alone == pytest.approx({name: expected[name]}, rel=1e-12, abs=0, nan_ok=True), "whatever else is asked"


def test_steps_to_the_baseline_is_the_first_validation_below_it():
    e = BASE.replace(task="delayed_recall", seq_length=8, lr=0.03)
    trainer = engine.Trainer(e, validate_every=VALIDATE_EVERY)
    trainer.advance(200)
    h, line = trainer.history, 0.8 * engine.TASKS[e.task].baseline(e)
    first = next(k for k, loss in zip(h.at, h.validation_loss, strict=True) if loss <= line)
    assert 0 < first < 200
    assert engine.measure(e, ["steps_to_baseline", "beats_baseline"], 200) == {
        "steps_to_baseline": float(first), "beats_baseline": 1.0,
    }  # fmt: skip
    assert isnan(engine.measure(e.replace(lr=0.0), "steps_to_baseline", 12)["steps_to_baseline"])


def test_networks_that_learn_nothing_do_not_beat_the_baseline_by_chance():
    """The best constant answer, on 256 sequences: half of the seeds are below the line, none is far below."""
    losses = []
    for seed in range(40):
        ((_, targets),) = validation_batches(engine.Experiment(hidden_size=1, seq_length=50, seed=seed))
        losses.append(np.mean((targets - 1) ** 2) / (1 / 6))
    assert 0.3 < np.mean(np.array(losses) < 1) < 0.7
    assert min(losses) > BEATEN


@pytest.mark.parametrize("clip", list(engine.CLIPS))
def test_the_share_of_clipped_steps_is_counted(clip):
    e = BASE.replace(clip=clip, clip_threshold=0.05)
    trainer = engine.Trainer(e)
    cut = []
    for _ in range(12):
        before = trainer.trace()
        trainer.advance()
        norm, used = before.grad_norm, trainer.history.clipped[-1]
        cut.append(used < norm * (1 - 1e-6))
    found = engine.measure(e, "clipped_share", 12)["clipped_share"]
    if clip == "unit":
        assert isnan(found)
    else:
        assert found == pytest.approx(np.mean(cut), abs=1e-12)


def test_a_stop_rule_of_the_experiment_ends_it():
    e = BASE.replace(stop_steps=4)
    assert engine.measure(e, "train_loss", 50) == engine.measure(BASE, "train_loss", 4)


@pytest.mark.parametrize("changes", [{"gain": 90.0, "nonlinearity": "relu", "seq_length": 400}, {"lr": 1e6}])
def test_a_run_that_diverges_says_so_and_its_numbers_are_none(changes):
    e = BASE.replace(clip="none", optimizer="sgd", nonlinearity="identity", **changes) if "lr" in changes else (
        BASE.replace(clip="none", **changes)
    )  # fmt: skip
    found = engine.measure(e, ["diverged", "val_loss", "beats_baseline", "decades_per_step", "steps_to_baseline"], 30)
    assert found["diverged"] == 1
    assert not np.isfinite(found["val_loss"])
    assert found["beats_baseline"] == 0
    assert isnan(found["steps_to_baseline"])


@pytest.mark.parametrize(
    "changes", [{"init": "zeros"}, {"gain": 0.0}, {"tbptt": 1}, {"nonlinearity": "relu", "input_init": "zeros"}]
)
def test_a_gradient_that_is_killed_on_its_way_is_not_one_that_arrives(changes):
    e = BASE.replace(**changes)
    assert engine.verdict(engine.probe(e).log10_flow_norms[0]).zero_before, "else this tests nothing"
    found = engine.measure(e, ["decades_per_step", "half_life", "diverged"])
    assert found == {"decades_per_step": -np.inf, "half_life": 0.0, "diverged": 0.0}


@pytest.mark.parametrize(("nonlinearity", "chi"), [("tanh", 2.56), ("identity", 2.56), ("relu", 0.0)])
def test_where_nothing_enters_chi_is_that_of_a_state_of_0(nonlinearity, chi):
    e = BASE.replace(input_init="zeros", init="orthogonal", nonlinearity=nonlinearity, gain=1.6)
    found = engine.measure(e, ["chi", "decades_per_step"])
    assert found["chi"] == pytest.approx(chi, rel=1e-12)
    with np.errstate(divide="ignore"):
        assert found["decades_per_step"] == pytest.approx(np.log10(chi) / 2, rel=1e-9), "what the network does"


def test_a_network_without_gradient_has_no_slope_but_has_not_diverged():
    found = engine.measure(BASE.replace(init="zeros", task="sine"), ["decades_per_step", "diverged", "half_life"])
    assert found["diverged"] == 0


EXPERIMENTS = [
    BASE.replace(gain=gain, cell=cell, seed=seed) for gain in (0.7, 1.4) for cell in ("rnn", "gru") for seed in (0, 1)
]
ASKED = ("decades_per_step", "lyapunov", "chi", "val_loss", "clipped_share")


@pytest.fixture(scope="module")
def plain() -> list[dict[str, float]]:
    return [engine.measure(e, ASKED, 5) for e in EXPERIMENTS]


def same(found: dict[str, float], expected: dict[str, float]) -> bool:
    return list(found) == list(expected) and all(
        np.array_equal(found[name], value, equal_nan=True) for name, value in expected.items()
    )


def test_the_numbers_are_the_same_in_any_order(plain):
    backwards = [engine.measure(e, ASKED, 5) for e in reversed(EXPERIMENTS)]
    assert all(map(same, reversed(backwards), plain))


def test_the_numbers_are_the_same_after_pickling_and_in_threads(plain):
    again = pickle.loads(pickle.dumps(EXPERIMENTS))
    with ThreadPoolExecutor(4) as pool:
        assert all(map(same, pool.map(lambda e: engine.measure(e, ASKED, 5), again), plain))


def test_pieces_that_take_turns_disturb_nothing(plain):
    runs = [measure_in_pieces(e, ASKED, 5) for e in EXPERIMENTS]
    found: list[dict[str, float] | None] = [None] * len(runs)
    before = [0.0] * len(runs)
    while None in found:
        for k, run in enumerate(runs):
            if found[k] is None:
                try:
                    share = next(run)
                except StopIteration as done:
                    found[k] = done.value
                else:
                    assert before[k] <= share <= 1, "the share that is done grows"
                    before[k] = share
    assert all(map(same, found, plain))


@pytest.mark.parametrize(
    ("names", "steps", "said"),
    [
        ("loss", 0, "measures: 'loss'"),
        ([], 0, "measures"),
        ("val_loss", 0, "val_loss is of training"),
        (3, 0, "measures"),
    ],
)
def test_what_is_no_measure_is_refused(names, steps, said):
    with pytest.raises(ValueError, match=said):
        engine.measure(BASE, names, steps)


def test_the_validation_loss_of_a_fold_is_the_mean_over_all_of_its_part():
    e = fold(BASE.replace(task="adding", train_size=31), 3, 1)
    trainer = engine.Trainer(e, validate_every=0)
    trainer.advance(9)
    ((x, y),) = e.task.data.validation()
    assert x.shape[1] == 10
    truth = naive_loss(e, trainer.state_dict, x, y)
    assert engine.measure(e, "val_loss", 9)["val_loss"] == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_the_choice_of_article_001s_size_by_cross_validation_is_torchs(optimizer):
    """Its network (tanh, softmax, cross-entropy at every step) and its three optimizers, on parts cut by hand; on a
    chain, as windows of its text overlap."""
    e = engine.PRESETS["a001_adam"].experiment.replace(
        task="markov", hidden_size=6, seq_length=10, train_size=22, batch_size=4, optimizer=optimizer, lr=0.02
    )
    x, y = next(batches(e.replace(batching="full")))
    parts = np.array_split(np.arange(22), 3)
    steps = 10  # two epochs of 5, of 15 or 14 sequences by fours: the last batch of an epoch is smaller
    p = engine.plan(e, {"hidden_size": [3, 6]}, measures=["val_loss"], steps=steps, folds=3)
    for point in p.points:
        part = point.experiment
        fed = list(islice(batches(part), steps))
        rest = np.delete(x, parts[point.seed_index], axis=1)
        for epoch in (fed[: part.steps_per_epoch], fed[part.steps_per_epoch : 2 * part.steps_per_epoch]):
            seen = np.concatenate([inputs for inputs, _ in epoch], axis=1)
            assert sorted(sequences_of(seen)) == sorted(sequences_of(rest)), "each of the other parts, once an epoch"
        weights = torch_reference.train(part, engine.probe(part).state_dict, fed).state_dict
        held = parts[point.seed_index]
        expected = engine.probe(part, weights, x[:, held], y[:, held]).loss
        assert engine.measure(part, p.measures, steps)["val_loss"] == pytest.approx(expected, rel=1e-9)


def sequences_of(x: np.ndarray) -> list[bytes]:
    return [x[:, b].tobytes() for b in range(x.shape[1])]


def naive_loss(e: engine.Experiment, weights, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean([engine.probe(e, weights, x[:, [b]], y[[b]]).loss for b in range(x.shape[1])]))
