"""Finite training sets, embedded symbols, changes in training, stop rules, and what truncation costs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import engine
from engine.data import batches, dropout_masks
from tests import cases, naive, torch_reference


def small(**changes: object) -> engine.Experiment:
    defaults = {"hidden_size": 7, "batch_size": 4, "seq_length": 12, "lr": 0.01}
    return engine.Experiment(**(defaults | changes))


def taken(e: engine.Experiment, steps: int, begin: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    found = batches(e, begin)
    return [next(found) for _ in range(steps)]


# Sets and batches


@given(size=st.integers(1, 40), batch=st.integers(1, 12), batching=st.sampled_from(list(engine.BATCHINGS)))
@settings(max_examples=40, deadline=None)
def test_an_epoch_sees_every_sequence_once(size, batch, batching):
    e = small(train_size=size, batch_size=batch, batching=batching)
    each = {"full": size, "mini": min(batch, size), "single": 1}[batching]
    assert e.sequences == each
    assert e.steps_per_epoch == -(-size // each)
    epochs = []
    for epoch in range(2):
        found = taken(e, e.steps_per_epoch, epoch * e.steps_per_epoch)
        assert [len(y) for _, y in found[:-1]] == [each] * (len(found) - 1)
        assert all(x.flags.c_contiguous and x.shape[1] == len(y) for x, y in found)
        epochs.append(np.sort(np.concatenate([y[:, 0] for _, y in found])))
        assert len(epochs[-1]) == size
    np.testing.assert_array_equal(*epochs)


def test_how_much_a_step_sees_does_not_change_the_set():
    sets = []
    for batching in engine.BATCHINGS:
        e = small(train_size=10, batching=batching)
        sets.append(np.sort(np.concatenate([y[:, 0] for _, y in taken(e, e.steps_per_epoch)])))
    np.testing.assert_array_equal(sets[0], sets[1])
    np.testing.assert_array_equal(sets[0], sets[2])


def test_a_new_order_every_epoch():
    e = small(train_size=30, batching="mini")
    first, second = (np.concatenate([y[:, 0] for _, y in taken(e, 8, 8 * k)]) for k in range(2))
    assert (first != second).any()


def test_endless_data_never_repeat_and_can_begin_anywhere():
    e = small()
    found = taken(e, 40)
    assert len({x.tobytes() for x, _ in found}) == 40
    for k in (0, 1, 7, 39):
        np.testing.assert_array_equal(next(batches(e, k))[0], found[k][0])


def test_a_full_batch_needs_a_set():
    with pytest.raises(ValueError, match=r"batching=full: .*train_size.*allowed without: mini, single"):
        small(batching="full")


@pytest.mark.parametrize("batching", list(engine.BATCHINGS))
@pytest.mark.parametrize("cell", list(engine.CELLS))
def test_finite_sets_train_as_torch(cell, batching):
    """Ten sequences in batches of four: the last batch of an epoch has two."""
    e = small(cell=cell, train_size=10, batching=batching, task="sine")
    steps = 25
    start = engine.Trainer(e).state_dict
    history, expected = engine.train(e, steps), torch_reference.train(e, start, taken(e, steps))
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-9)
    seen = np.cumsum([y.shape[1] for _, y in taken(e, steps)])
    np.testing.assert_array_equal(history.examples, seen)


def test_the_loss_of_a_full_batch_falls_at_every_step():
    loss = engine.train(small(train_size=20, batching="full", optimizer="sgd", lr=0.05), 200).loss
    assert (np.diff(loss) < 0).all()


def test_overfitting_shows_in_validation():
    """Twenty random series can be learned by heart; what is learned is worth nothing on others."""
    e = small(cell="lstm", hidden_size=32, train_size=5, batching="full", lr=0.01, task="sine", seq_length=15)
    history = engine.train(e, 600)
    assert history.loss[-1] < 0.1 * history.validation_loss[590]


# Embedding


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", list(engine.CELLS))
def test_embedding_is_torchs(cell, layers):
    e = small(cell=cell, num_layers=layers, task="copy_memory", embedding_dim=3, tbptt=9)
    trace = engine.probe(e)
    expected = torch_reference.run(e, trace.state_dict, trace.inputs, trace.targets)
    cases.assert_same_pass(trace, expected, 1e-10)
    assert trace.grads["embedding.weight"].shape == (10, 3)
    assert np.abs(trace.grads["embedding.weight"]).max() > 0


def test_embedding_trains_as_torch():
    e = small(cell="gru", task="temporal_order", embedding_dim=5, seq_length=20)
    found, start = taken(e, 50), engine.Trainer(e).state_dict
    np.testing.assert_allclose(engine.train(e, 50).loss, torch_reference.train(e, start, found).loss, rtol=1e-9)


def test_embedding_of_unit_vectors_is_one_hot():
    plain, embedded = small(task="temporal_order"), small(task="temporal_order", embedding_dim=6)
    weights = dict(engine.probe(plain).state_dict)
    one, other = engine.probe(plain), engine.probe(embedded, weights | {"embedding.weight": np.eye(6)})
    np.testing.assert_array_equal(one.hidden, other.hidden)
    np.testing.assert_array_equal(one.log10_grad_norms, other.log10_grad_norms)


def test_embedding_of_far_away_gradients():
    """Past the range of float64 on the way, and back into it: what the table gets is what the float type has."""
    e = small(
        task="temporal_order", embedding_dim=4, nonlinearity="identity", init="orthogonal", gain=1e-4, seq_length=90
    )
    trace = engine.probe(e)
    assert trace.log10_grad_norms[0, 0] < -330
    assert np.isfinite(trace.grads["embedding.weight"]).all()


def test_embedding_needs_symbols():
    with pytest.raises(ValueError, match="embedding_dim=4: task adding has real-valued inputs; allowed: None"):
        small(embedding_dim=4)


# Dropout with one mask


def test_variational_dropout_is_one_mask_for_all_timesteps():
    e = small(num_layers=3, dropout=0.4, variational_dropout=True)
    trainer = engine.Trainer(e)
    for step in range(2):
        trace, mask = trainer.trace(), dropout_masks(e, step, 4)
        assert mask.shape == (2, 1, 4, 7)
        masks = np.repeat(mask, 12, axis=1)
        expected = naive.run("rnn", "tanh", "mse", trace.state_dict, trace.inputs, trace.targets, False, masks=masks)
        cases.assert_same_pass(trace, expected, 1e-9)
        trainer.advance(1)


# Changes in training


def test_a_change_counts_from_the_next_update_on():
    e = small(optimizer="sgd", clip="none", lr=0.05)
    trainer = engine.Trainer(e)
    trainer.advance(5)
    before = engine.train(e, 5)
    trainer.change(e.replace(lr=0.2, clip="value", clip_threshold=0.01))
    weights, grads = trainer.state_dict, trainer.trace().grads
    trainer.advance(1)
    history = trainer.history
    np.testing.assert_array_equal(history.loss[:5], before.loss)
    assert list(history.lr) == [0.05] * 5 + [0.2]
    for name, after in trainer.state_dict.items():
        np.testing.assert_allclose(
            after, weights[name] - 0.2 * np.clip(grads[name], -0.01, 0.01), rtol=1e-12, atol=1e-15
        )
    assert history.changes == (
        (5, "lr", 0.05, 0.2), (5, "clip", "none", "value"), (5, "clip_threshold", 1.0, 0.01),
    )  # fmt: skip


def test_a_schedule_begins_where_it_is_chosen():
    e = small(lr=0.1)
    trainer = engine.Trainer(e)
    trainer.advance(3)
    trainer.change(e.replace(schedule="step", schedule_steps=2, schedule_factor=0.5))
    trainer.advance(5)
    np.testing.assert_allclose(trainer.history.lr, [0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025])


@pytest.mark.parametrize("changes", [{"cell": "gru"}, {"lr": 0.5, "hidden_size": 8}, {"seed": 1}, {"task": "sine"}])
def test_what_cannot_change_is_refused(changes):
    trainer = engine.Trainer(small())
    name = next(n for n in changes if n not in engine.LIVE)
    with pytest.raises(ValueError, match=f"{name}: cannot change in training; allowed: lr, "):
        trainer.change(small(**changes))
    assert trainer.experiment == small()
    assert trainer.history.changes == ()


def test_every_live_field_can_change():
    values = {
        "lr": 0.5, "momentum": 0.1, "schedule": "constant", "schedule_steps": 9, "schedule_factor": 0.3,
        "clip": "value", "clip_threshold": 0.2, "weight_decay": 0.1, "omega": 0.5, "stop_steps": 100,
        "stop_loss": 0.0, "patience": 90,
    }  # fmt: skip
    assert set(values) == set(engine.LIVE)
    trainer = engine.Trainer(small())
    for name, value in values.items():
        trainer.advance(1)
        trainer.change(trainer.experiment.replace(**{name: value}))
    assert trainer.experiment == small(**values)
    trainer.advance(1)
    assert trainer.step == len(values) + 1


# Stop rules


def test_stops_after_so_many_steps():
    trainer = engine.Trainer(small(stop_steps=5))
    trainer.advance(3)
    assert trainer.stopped is None
    trainer.advance(10)
    assert (trainer.step, trainer.stopped) == (5, "steps")
    assert len(engine.train(small(stop_steps=5), 50).loss) == 5


def test_stops_when_the_loss_is_low_enough():
    e = small(cell="gru", lr=0.03, stop_loss=0.1)
    trainer = engine.Trainer(e)
    trainer.advance(1000)
    loss = trainer.history.loss
    assert trainer.stopped == "loss"
    assert loss[-1] <= 0.1
    assert (loss[:-1] > 0.1).all()


def test_stops_without_progress_on_validation():
    trainer = engine.Trainer(small(lr=0.0, patience=30))
    trainer.advance(1000)
    assert (trainer.step, trainer.stopped) == (31, "patience")
    trainer.change(trainer.experiment.replace(patience=None))
    trainer.advance(10)
    assert trainer.step == 41


# Truncation


@pytest.mark.parametrize("task", ["adding", "sine"])
def test_truncation_against_the_full_gradient(task):
    e = small(cell="lstm", task=task, tbptt=3)
    trainer = engine.Trainer(e)
    trainer.advance(4)
    trace = trainer.trace()
    full = engine.probe(e.replace(tbptt=None), trace.state_dict, trace.inputs, trace.targets)
    one, other = (np.concatenate([g.ravel() for g in t.grads.values()]) for t in (trace, full))
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert trace.truncation == pytest.approx((cosine, np.linalg.norm(one) / np.linalg.norm(other)), rel=1e-12)
    assert full.truncation is None
    again = engine.Trainer(e)
    again.advance(9)
    trainer.advance(5)
    np.testing.assert_array_equal(trainer.history.loss, again.history.loss, "looking at it changes nothing")


def test_truncation_at_the_whole_length_is_none():
    assert engine.probe(small(tbptt=12)).truncation == pytest.approx((1, 1), rel=1e-12)


# Running free


def free_running_in_torch(e: engine.Experiment, weights: dict, x: np.ndarray, steps: int) -> np.ndarray:
    model = torch_reference.Model(e, weights)
    heard = torch.tensor(np.array(x))
    for _ in range(steps):
        y = model.head(model.unrolled(heard, e.nonlinearity).hidden[-1][-1])
        if engine.TASKS[e.task].symbols:
            y = F.one_hot(y.argmax(1), x.shape[2]).to(heard.dtype)
        heard = torch.cat([heard, y[None]])
    return heard[len(x) :].detach().numpy()


GENERATING = [name for name, row in engine.TASKS.items() if row.generates]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", list(engine.CELLS))
@pytest.mark.parametrize("task", GENERATING)
def test_generate_hears_only_itself(task, cell, layers):
    e = small(task=task, cell=cell, num_layers=layers)
    trainer = engine.Trainer(e)
    trainer.advance(5)
    x = trainer.trace().inputs[:6]
    said = trainer.generate(x, 8, temperature=0.0)
    np.testing.assert_allclose(said, free_running_in_torch(e, trainer.state_dict, x, 8), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("task", [name for name in GENERATING if engine.TASKS[name].symbols])
def test_sampled_symbols_follow_their_probabilities(task):
    e = small(task=task, embedding_dim=3)
    t = engine.probe(e)
    one = np.repeat(t.inputs[:3, :1], 40_000, axis=1)
    counts = engine.generate(e, t.state_dict, one, 1, seed=1)[0].mean(axis=0)
    logits = torch_reference.Model(e, t.state_dict)
    p = F.softmax(logits.head(logits.unrolled(torch.tensor(one[:, :1]), "tanh").hidden[-1][-1])[0], 0).detach().numpy()
    assert np.abs(counts - p).max() < 5 * np.sqrt(0.25 / 40_000)
    again = engine.generate(e, t.state_dict, one[:, :9], 4, seed=1)
    np.testing.assert_array_equal(again, engine.generate(e, t.state_dict, one[:, :9], 4, seed=1))
    assert (again.sum(axis=2) == 1).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"steps": -1}, "steps: -1; allowed: whole numbers, 0 or more"),
        ({"steps": 2.5}, "steps: 2.5; allowed"),
        ({"temperature": -1.0}, "temperature: -1.0; allowed: a number, 0 or more"),
        ({"temperature": "a"}, "temperature: 'a'; allowed"),
        ({"seed": None}, "seed: None; allowed: whole numbers, 0 or more"),
        ({"temperature": float("nan")}, "temperature: nan; allowed"),
        ({"inputs": np.zeros((3, 1, 2))}, "inputs: shape .*allowed: .T, B, 1"),
        ({"inputs": [[["a"]]]}, "inputs: "),
    ],
)
def test_generate_names_what_is_wrong(call, message):
    e = small(task="sine")
    with pytest.raises(ValueError, match=message):
        engine.generate(e, engine.probe(e).state_dict, **({"inputs": np.zeros((3, 1, 1)), "steps": 2} | call))


def test_symbols_have_to_be_symbols():
    e = small(task="markov")
    t = engine.probe(e)
    for wrong in (np.zeros((3, 1, 10)), np.ones((3, 1, 10)), -t.inputs[:3]):
        with pytest.raises(ValueError, match=r"inputs\[0, 0\]: .*allowed: one 1 and else 0"):
            engine.generate(e, t.state_dict, wrong, 2)
        with pytest.raises(ValueError, match=r"inputs\[0, 0\]: "):
            engine.probe(e.replace(embedding_dim=3), inputs=wrong, targets=np.zeros(wrong.shape[:2], int))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_coldest_temperatures_say_the_likeliest(dtype):
    e = small(task="markov", dtype=dtype)
    t = engine.probe(e)
    greedy = engine.generate(e, t.state_dict, t.inputs[:4], 6, temperature=0)
    for temperature in (1e-3, 1e-39, 5e-324):
        said = engine.generate(e, t.state_dict, t.inputs[:4], 6, temperature=temperature)
        np.testing.assert_array_equal(said[0], greedy[0])
    lost = {name: np.full_like(w, np.nan) for name, w in t.state_dict.items()}
    assert np.isnan(engine.generate(e, lost, t.inputs[:4], 2)).all(), "no symbol is made of NaN"


@pytest.mark.parametrize("wrong", [None, {}, "x", engine.Experiment])
def test_what_is_no_experiment_is_refused(wrong):
    calls = (engine.Trainer, engine.probe, engine.train, engine.Trainer(small()).change)
    for call in calls:
        with pytest.raises(ValueError, match=r"experiment: .*allowed: an engine\.Experiment"):
            call(wrong)


def test_not_every_task_can_continue():
    e = small()
    with pytest.raises(ValueError, match=r"task=adding: its outputs are no inputs; allowed: .*sine"):
        engine.generate(e, engine.probe(e).state_dict, np.zeros((3, 1, 2)), 2)


# ρ and σ


@pytest.mark.parametrize("cell", list(engine.CELLS))
def test_radii_are_numpys(cell):
    e = small(cell=cell, num_layers=2)
    weights, gates = engine.probe(e).state_dict, engine.CELLS[cell].gates
    found = engine.radii(e.kind, weights)
    assert [(r.layer, r.gate) for r in found] == [(layer, g) for layer in (0, 1) for g in (*gates, "")]
    for r in found:
        whole = weights[f"weight_hh_l{r.layer}"]
        k = gates.index(r.gate) if r.gate else 0
        block = whole[7 * k : 7 * k + 7] if r.gate else whole
        assert r.sigma == pytest.approx(np.linalg.svd(block, compute_uv=False)[0], rel=1e-12)
        if block.shape[0] == block.shape[1]:
            assert r.rho == pytest.approx(np.abs(np.linalg.eigvals(block)).max(), rel=1e-12)
        else:
            assert np.isnan(r.rho)


def test_patience_waits_for_a_measurement():
    """Shorter than the time between two validations it still gives the second a chance."""
    trainer = engine.Trainer(small(lr=0.0, patience=3))
    trainer.advance(1000)
    assert (trainer.step, trainer.stopped) == (11, "patience")
    unmeasured = engine.Trainer(small(lr=0.0, patience=3), validate_every=0)
    unmeasured.advance(50)
    assert unmeasured.step == 50
