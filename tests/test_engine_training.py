"""Training: the same curves as torch.optim, the same numbers whenever they should be, and a divergence that is told."""

import threading
import warnings

import numpy as np
import pytest
import torch

import engine
from tests import cases, naive, torch_reference

KINDS, OPTIMIZERS, CLIPS, TASKS = (list(t) for t in (cases.KINDS, engine.OPTIMIZERS, engine.CLIPS, engine.TASKS))
THRESHOLDS = {"none": 1.0, "norm": 0.05, "param_norm": 0.02, "value": 0.01, "unit": 0.05}


def small(**changes: object) -> engine.Experiment:
    defaults = {"hidden_size": 9, "num_layers": 2, "batch_size": 4, "seq_length": 15, "lr": 0.01}
    return engine.Experiment(**(defaults | changes))


def recorded(e: engine.Experiment, steps: int) -> tuple[engine.Trainer, dict[str, np.ndarray], list]:
    """A trainer that made `steps` updates, the weights it began with, and the batches it saw."""
    trainer, batches = engine.Trainer(e), []
    start = trainer.state_dict
    for _ in range(steps):
        trace = trainer.trace()
        batches.append((np.array(trace.inputs), np.array(trace.targets)))
        trainer.advance(1)
    return trainer, start, batches


def assert_trains_as_torch(e: engine.Experiment, steps: int, relative: float) -> engine.History:
    trainer, start, batches = recorded(e, steps)
    expected, history = torch_reference.train(e, start, batches), trainer.history
    np.testing.assert_allclose(history.loss, expected.loss, rtol=relative, err_msg="loss")
    np.testing.assert_allclose(history.grad_norm, expected.grad_norm, rtol=relative, err_msg="grad_norm")
    cases.assert_same_tensors(trainer.state_dict, expected.state_dict, relative)
    return history


# RMSprop's first steps are 10 lr long, those of its shorter memory 3: chaos, in which roundings grow.
LR = {"rmsprop": 1e-3, "dynamic": 1e-3}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_50_steps_as_torch(kind, optimizer):
    e = small(**cases.KINDS[kind], optimizer=optimizer, lr=LR.get(optimizer, 0.01), clip_threshold=0.05, momentum=0.8)
    history = assert_trains_as_torch(e, 50, 1e-9)
    assert (history.clipped < 0.999 * history.grad_norm).any(), "the threshold has to bite"


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("kind", KINDS)
def test_50_clipped_steps_as_torch(kind, clip):
    e = small(**cases.KINDS[kind], clip=clip, clip_threshold=THRESHOLDS[clip], optimizer="momentum", lr=1e-3)
    history = assert_trains_as_torch(e, 50, 1e-9)
    bites = np.abs(history.clipped / history.grad_norm - 1) > 1e-3
    assert bites.any() == (clip != "none"), "the threshold has to bite"


@pytest.mark.parametrize("schedule", engine.SCHEDULES)
def test_50_scheduled_steps_as_torch(schedule):
    e = small(schedule=schedule, schedule_steps=50 if schedule == "cosine" else 20, schedule_factor=0.2)
    history = assert_trains_as_torch(e, 50, 1e-9)
    assert (np.ptp(history.lr) > 0) == (schedule != "constant")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_sees_the_clipped_gradient(optimizer):
    e = small(optimizer=optimizer, lr=LR.get(optimizer, 0.01), weight_decay=0.1, clip_threshold=0.05)
    assert_trains_as_torch(e, 50, 1e-9)


def test_decoupled_decay_follows_the_schedule():
    e = small(optimizer="adamw", weight_decay=0.5, schedule="exponential", schedule_steps=20)
    assert_trains_as_torch(e, 50, 1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_as_torch(task):
    assert_trains_as_torch(small(cell="gru", task=task, tbptt=6), 30, 1e-9)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "nesterov"])
@pytest.mark.parametrize("clip", CLIPS)
def test_naive_twin_of_an_update(clip, optimizer):
    e = small(clip=clip, clip_threshold=THRESHOLDS[clip], optimizer=optimizer, weight_decay=0.01)
    trainer, state, weights = engine.Trainer(e), {}, None
    for k in range(1, 6):
        trace = trainer.trace()
        weights = weights or {name: np.array(w) for name, w in trace.state_dict.items()}
        cases.assert_same_tensors(trace.state_dict, weights, 1e-12)
        grads = naive.clip(clip, trace.grads, e.clip_threshold)
        for name, g in grads.items():
            kept = state.setdefault(name, {})
            weights[name] = naive.update(optimizer, weights[name], g, kept, e.lr, e.momentum, k, e.weight_decay)
        trainer.advance(1)
        assert trainer.history.clipped[-1] == pytest.approx(naive.global_norm(grads), rel=1e-12)
        assert trainer.history.grad_norm[-1] == pytest.approx(naive.global_norm(trace.grads), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_follows_torch_for_a_while(kind):
    assert_trains_as_torch(small(**cases.KINDS[kind], dtype="float32", lr=1e-3), 10, 1e-4)


def test_dropout_is_the_naive_twins():
    """Inverted dropout on what goes up a layer; the masks are the engine's own draw, the arithmetic is not."""
    from engine.data import dropout_masks

    e = small(num_layers=3, dropout=0.4)
    trainer = engine.Trainer(e)
    for step in range(3):
        trace, masks = trainer.trace(), dropout_masks(e, step, e.batch_size)
        assert set(np.unique(masks)) == {0.0, 1 / 0.6}
        expected = naive.run("rnn", "tanh", "mse", trace.state_dict, trace.inputs, trace.targets, False, masks=masks)
        cases.assert_same_pass(trace, expected, 1e-9)
        trainer.advance(1)


def test_dropout_keeps_its_share_and_is_off_in_probe():
    from engine.data import dropout_masks

    masks = dropout_masks(small(num_layers=2, dropout=0.3, seq_length=500, hidden_size=50), 0, 4)
    assert np.mean(masks == 0) == pytest.approx(0.3, abs=0.01)
    dropped, kept = small(dropout=0.3), small()
    np.testing.assert_array_equal(engine.probe(dropped).hidden, engine.probe(kept).hidden)
    assert np.any(engine.Trainer(dropped).trace().hidden != engine.Trainer(kept).trace().hidden)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_go_to_torch_and_back(kind, dtype, layers):
    e = small(**cases.KINDS[kind], num_layers=layers, dtype=dtype)
    mine = engine.Trainer(e).state_dict
    model = torch_reference.Model(e, mine)  # strict=True
    back = {name: p.detach().numpy() for name, p in model.named().items()}
    cases.assert_identical(mine, back)
    for p in model.parameters():
        torch.nn.init.normal_(p, generator=torch.Generator().manual_seed(0))
    cases.assert_identical(engine.probe(e, back).state_dict, back)
    assert np.any(back["weight_hh_l0"] != mine["weight_hh_l0"])


def test_pieces_make_the_same_run():
    e = small(cell="lstm", dropout=0.2)
    whole = engine.train(e, steps=23)
    trainer = engine.Trainer(e)
    for n in (1, 0, 5, 10, 7):
        trainer.advance(n)
        trainer.trace()
        _ = trainer.history
    assert trainer.step == 23
    assert_same_history(trainer.history, whole)


def assert_same_history(one: engine.History, other: engine.History) -> None:
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


def test_history_holds_still_and_counts():
    trainer = engine.Trainer(small())
    trainer.advance(30)
    early = trainer.history
    kept = {name: np.array(value) for name, value in vars(early).items() if isinstance(value, np.ndarray)}
    trainer.advance(400)
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(early, name), value, err_msg=name)
        assert not getattr(early, name).flags.writeable, name
    late = trainer.history
    assert all(len(getattr(late, n)) == 430 for n in ("loss", "validation_loss", "lr", "grad_norm", "clipped"))
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(late.validation_loss)), np.arange(0, 430, 10))
    assert late.lr == pytest.approx(0.01)
    assert late.grad_norms_at[0] == 0
    assert (np.diff(late.grad_norms_at) > 0).all()
    assert late.grad_norms.shape == late.log10_grad_norms.shape == (len(late.grad_norms_at), 2, 15)
    np.testing.assert_allclose(np.log10(late.grad_norms), late.log10_grad_norms, atol=1e-12)


def test_kept_rows_are_bounded_and_even():
    e = small(hidden_size=2, num_layers=1, batch_size=1, seq_length=2)
    history = engine.train(e, steps=3000)
    assert 100 <= len(history.grad_norms_at) <= 1024
    assert len(set(np.diff(history.grad_norms_at))) == 1
    assert history.grad_norms_at[-1] >= 3000 - 2 * np.diff(history.grad_norms_at)[0]


def test_rows_and_trace_are_of_the_same_pass():
    trainer = engine.Trainer(small())
    for k in range(4):
        trace = trainer.trace()
        trainer.advance(1)
        np.testing.assert_array_equal(trainer.history.log10_grad_norms[k], trace.log10_grad_norms)
        assert trainer.history.loss[k] == trace.loss
        assert trainer.history.grad_norm[k] == trace.grad_norm


@pytest.mark.parametrize("kind", KINDS)
def test_first_trace_is_the_probe(kind):
    e = small(**cases.KINDS[kind])
    one, other = engine.Trainer(e).trace(), engine.probe(e)
    np.testing.assert_array_equal(one.hidden, other.hidden)
    np.testing.assert_array_equal(one.log10_grad_norms, other.log10_grad_norms)
    cases.assert_identical(one.grads, other.grads)


@pytest.mark.parametrize(
    "changes",
    [
        {"cell": "gru"}, {"hidden_size": 30}, {"num_layers": 1}, {"init": "orthogonal"}, {"gain": 1.7},
        {"input_init": "identity"}, {"optimizer": "sgd"}, {"lr": 0.5}, {"clip": "none"}, {"nonlinearity": "relu"},
        {"dropout": 0.5}, {"forget_bias": 3.0}, {"tbptt": 3},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_data_do_not_depend_on_the_network(changes):
    _, _, mine = recorded(small(), 4)
    _, _, other = recorded(small(**changes), 4)
    for (x, y), (u, v) in zip(mine, other, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)
    assert not np.array_equal(mine[0][0], mine[1][0]), "every step has a batch of its own"


def test_seed_fixes_everything_and_changes_everything():
    same, again, other = (engine.Trainer(small(cell="lstm", seed=s)) for s in (3, 3, 4))
    cases.assert_identical(same.state_dict, again.state_dict)
    np.testing.assert_array_equal(same.trace().inputs, again.trace().inputs)
    assert np.any(same.trace().inputs != other.trace().inputs)
    assert all(np.any(same.state_dict[n] != w) for n, w in other.state_dict.items() if "weight" in n)


@pytest.mark.parametrize("init", list(engine.INITS))
@pytest.mark.parametrize("kind", KINDS)
def test_gain_scales_the_same_draw(kind, init):
    one, two = (engine.probe(small(**cases.KINDS[kind], init=init, gain=g)).state_dict for g in (1.0, 2.0))
    for name, w in one.items():
        np.testing.assert_array_equal(two[name], 2 * w if "weight_hh" in name else w, err_msg=name)


@pytest.mark.parametrize("changes", [{"cell": "lstm", "num_layers": 3}, {"lr": 0.5, "optimizer": "sgd"}, {"gain": 2.0}])
def test_a_change_elsewhere_keeps_the_draw_of_a_tensor(changes):
    """Layer 0 of one network is that of a deeper one, too: streams are per tensor."""
    one, other = engine.probe(small()).state_dict, engine.probe(small(**{"cell": "rnn"} | changes)).state_dict
    np.testing.assert_array_equal(one["head.weight"], other["head.weight"])


def test_two_threads_do_not_disturb_each_other():
    experiments = [small(cell="lstm", seed=1), small(cell="lstm", seed=2), small(cell="rnn", dtype="float32")]
    alone = [engine.train(e, steps=40) for e in experiments]
    found: dict[int, engine.History] = {}

    def work(k: int) -> None:
        found[k] = engine.train(experiments[k], steps=40)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(experiments))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, history in enumerate(alone):
        assert_same_history(found[k], history)


@pytest.mark.parametrize("task", TASKS)
def test_networks_learn(task):
    e = engine.Experiment(cell="lstm", task=task, seq_length=10, batch_size=32, lr=0.01)
    # Copy memory falls from ln 10 to its baseline and stays there for thousands of steps: its well-known plateau.
    share = 1.02 if task == "copy_memory" else 0.8
    assert engine.train(e, steps=400).loss[-20:].mean() < share * engine.TASKS[task].baseline(e)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_divergence_is_recorded_and_silent(optimizer, dtype):
    e = engine.Experiment(
        nonlinearity="relu", gain=6.0, optimizer=optimizer, lr=1e3, clip="none", seq_length=30, dtype=dtype
    )
    trainer = engine.Trainer(e)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while not trainer.diverged and trainer.step < 50:
            trainer.advance(1)
        at = trainer.history.diverged_at
        trainer.advance(5)
        trace = trainer.trace()
    history = trainer.history
    assert trainer.diverged
    assert at is not None
    assert history.diverged_at == at, "the first step stays"
    assert history.diverged_tensor
    assert len(history.loss) == trainer.step
    finite = np.isfinite(history.loss) & np.isfinite(history.grad_norm)
    assert finite[:at].all(), "finite before"
    assert not finite[at:].any(), "and never again after"
    assert not np.isfinite(trace.loss) or not np.isfinite(trace.grad_norm)
    assert trace.non_finite is not None
    assert engine.verdict(history.log10_grad_norms[-1, 0]).kind == "diverged"


def test_first_non_finite_tensor_is_named():
    """In the order of the pass: states, then outputs, the loss, and gradients."""
    e = small(num_layers=1, nonlinearity="relu")
    weights = {name: np.array(w) for name, w in engine.probe(e).state_dict.items()}
    assert engine.probe(e, weights).non_finite is None
    big = {name: np.full_like(w, 1e200) for name, w in weights.items()}
    found = engine.probe(e, big)
    assert found.non_finite is not None
    assert "hidden" in found.non_finite
