"""What an update makes of a gradient: against training itself, the naive twin, torch.optim, and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.data import dropout_masks
from engine.instruments.blocks import blocks, flat
from tests import cases, naive, torch_reference

KINDS = list(cases.KINDS)
SIZES = {"hidden_size": 5, "batch_size": 3, "seq_length": 9}


def after(steps: int, **fields: object) -> engine.Trainer:
    trainer = engine.Trainer(engine.Experiment(**(SIZES | fields)), validate_every=0)
    trainer.advance(steps)
    return trainer


def look(trainer: engine.Trainer) -> engine.Update:
    return engine.update(trainer.experiment, trainer.trace(), trainer.optimizer_state, trainer.step, trainer.lr)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("clip", ["none", "norm", "value"])
@pytest.mark.parametrize("optimizer", list(engine.OPTIMIZERS))
def test_it_is_the_update_that_training_makes(optimizer, clip, dtype):
    fields = {"optimizer": optimizer, "clip": clip, "clip_threshold": 0.01, "weight_decay": 0.1, "schedule": "step"}
    trainer = after(4, dtype=dtype, schedule_steps=3, cell="lstm", num_layers=2, dropout=0.2, **fields)
    before, u = flat(trainer.state_dict), look(trainer)
    trainer.advance(1)
    np.testing.assert_array_equal(u.weights, before)
    np.testing.assert_array_equal(u.change, flat(trainer.state_dict) - before)
    np.testing.assert_array_equal(u.state, trainer.optimizer_state)
    assert np.linalg.norm(np.float64(u.change)) > 0
    assert u.lr == trainer.history.lr[4]


@pytest.mark.parametrize("optimizer", list(engine.OPTIMIZERS))
def test_five_updates_as_torch_makes_them(optimizer):
    """The same gradients into torch.optim: the same steps."""
    trainer = after(0, optimizer=optimizer, clip="none", weight_decay=0.03, cell="gru")
    e = trainer.experiment
    theta = torch.nn.Parameter(torch.tensor(flat(trainer.state_dict)))
    theirs = torch_reference.OPTIMIZERS[optimizer]([theta], e.momentum, lr=e.lr, weight_decay=e.weight_decay)
    for _ in range(5):
        u, before = look(trainer), theta.detach().numpy().copy()
        theta.grad = torch.tensor(flat(trainer.trace().grads))
        theirs.step()
        change = theta.detach().numpy() - before
        np.testing.assert_allclose(u.change, change, rtol=1e-9, atol=1e-15)  # Δθ is a difference: θ's last digit
        trainer.advance(1)


@pytest.mark.parametrize("optimizer", list(engine.OPTIMIZERS))
def test_five_updates_as_the_naive_twin_makes_them(optimizer):
    trainer, kept = after(0, optimizer=optimizer, clip="unit", clip_threshold=1e-3), {}
    e = trainer.experiment
    for k in range(5):
        u, theta = look(trainer), flat(trainer.state_dict)
        g = flat(naive.clip("unit", trainer.trace().grads, 1e-3))
        expected = naive.update(optimizer, theta, g, kept, e.lr, e.momentum, k + 1)
        np.testing.assert_allclose(u.change, expected - theta, rtol=1e-9, atol=1e-15)
        trainer.advance(1)


# --- closed forms


def of_gradient(g: np.ndarray, **fields: object) -> engine.Update:
    """The first update of a network whose W_hh has this gradient (5, 5)."""
    e = engine.Experiment(**(SIZES | {"clip": "none"} | fields))
    t = engine.probe(e)
    zero = {name: np.zeros_like(value) for name, value in t.grads.items()}
    weights = {name: np.zeros_like(value) for name, value in t.grads.items()}  # so that Δθ keeps all its digits
    return engine.update(e, replace(t, grads=zero | {"weight_hh_l0": g.astype(e.dtype)}, state_dict=weights))


@settings(max_examples=60)
@given(st.floats(-30, 5), st.floats(-30, 5))
def test_adams_first_step_is_the_learning_rate_until_epsilon(low, high):
    """Δθ = −lr g/(|g| + ε): flat above ε, plain gradient descent with lr/ε below it."""
    g = np.logspace(low, high, 25).reshape(5, 5) * np.where(np.arange(25) % 2, 1, -1).reshape(5, 5)
    u = of_gradient(g, optimizer="adam", lr=0.01)
    (own,) = [block for block in u.blocks if block.name == "W_hh"]
    np.testing.assert_allclose(own.of(u.change), (-0.01 * g / (abs(g) + 1e-8)).ravel(), rtol=1e-6)
    assert u.epsilon == 1e-8


def test_the_other_first_steps():
    g = np.logspace(-6, 0, 25).reshape(5, 5)
    expected = {
        "sgd": -0.01 * g,
        "momentum": -0.01 * g,
        "nesterov": -0.01 * 1.9 * g,
        "adagrad": -0.01 * g / (g + 1e-10),
        "rmsprop": -0.01 * g / (0.1 * g + 1e-8),
        "dynamic": -0.01 * g / (np.sqrt(0.1) * g + 1e-8),
        "adadelta": -0.01 * g * np.sqrt(1e-6) / np.sqrt(0.1 * g**2 + 1e-6),
        "adam": -0.01 * g / (g + 1e-8),
        "adamw": -0.01 * g / (g + 1e-8),
        "adam_uncorrected": -0.01 * 0.1 * g / (np.sqrt(0.001) * g + 1e-8),
    }
    assert set(expected) == set(engine.OPTIMIZERS)
    for optimizer, change in expected.items():
        u = of_gradient(g, optimizer=optimizer, lr=0.01, momentum=0.9)
        (own,) = [block for block in u.blocks if block.name == "W_hh"]
        np.testing.assert_allclose(own.of(u.change), change.ravel(), rtol=1e-6, err_msg=optimizer)


@pytest.mark.parametrize("optimizer", list(engine.OPTIMIZERS))
def test_epsilon_is_where_steps_begin_to_shrink(optimizer):
    """A gradient that stays 100 ε makes a step that is nearly lr long (any size would), one of ε/100 a small one."""
    epsilon = engine.OPTIMIZERS[optimizer].epsilon
    if epsilon is None:
        assert optimizer in ("sgd", "momentum", "nesterov")
        return
    row, g = engine.OPTIMIZERS[optimizer], np.array([1e4, 100.0, 0.01]) * epsilon
    theta, state = np.zeros(3), row.init(np.zeros(3))
    for k in range(1, 60):
        before = theta.copy()
        row.update(theta, g, state, 0.01, 0.9, k)
    large, near, small = abs(theta - before)
    if optimizer == "adadelta":  # its steps depend on those before: only the last of the three is smaller by itself
        assert small < 0.05 * large
        return
    assert near > 0.9 * large
    assert small < 0.2 * large


# --- blocks


@pytest.mark.parametrize("kind", KINDS)
def test_the_blocks_are_the_state_dict_cut_up(kind):
    e = engine.Experiment(**cases.KINDS[kind], **(SIZES | {"num_layers": 2, "task": "text", "embedding_dim": 4}))
    t = engine.probe(e)
    found, g = blocks(e.kind, t.grads), flat(t.grads)
    names = engine.CELLS[e.cell].gates or ("",)
    for block in found:
        if block.name == "W_hh":
            rows = np.split(t.grads[f"weight_hh_l{block.layer}"], len(names))[names.index(block.gate)]
        elif block.name == "W_ih":
            rows = t.grads[f"weight_ih_l{block.layer}"]
        elif block.name == "b":
            rows = np.stack([t.grads[f"bias_ih_l{block.layer}"], t.grads[f"bias_hh_l{block.layer}"]])
        else:
            rows = t.grads[{"W_out": "head.weight", "b_out": "head.bias", "E": "embedding.weight"}[block.name]]
        np.testing.assert_array_equal(block.of(g), rows.ravel())
    covered = np.concatenate([np.arange(len(g))[part] for block in found for part in block.parts])
    np.testing.assert_array_equal(np.sort(covered), np.arange(len(g)))
    u = engine.update(e, t)
    for k, block in enumerate(u.blocks):
        for norms, x in ((u.gradient_norms, u.gradient), (u.change_norms, u.change), (u.weight_norms, u.weights)):
            assert norms[k] == pytest.approx(np.linalg.norm(block.of(x)), rel=1e-12)


# --- manners


def test_bad_arguments_are_named():
    e = engine.Experiment(**SIZES, optimizer="adam")
    t = engine.probe(e)
    with pytest.raises(ValueError, match=r"optimizer_state: shape \(3,\), float64; allowed: \(2, \d+\), real numbers"):
        engine.update(e, t, np.zeros(3))
    with pytest.raises(ValueError, match="lr: 'fast'; allowed: a number, 0 or more"):
        engine.update(e, t, lr="fast")
    with pytest.raises(ValueError, match="step: -1; allowed: whole numbers, 0 or more"):
        engine.update(e, t, step=-1)


def test_nothing_is_changed_by_looking():
    trainer = after(3, optimizer="adam")
    t = trainer.trace()
    state, grads = trainer.optimizer_state, flat(t.grads)
    engine.update(trainer.experiment, t, state, 3)
    np.testing.assert_array_equal(flat(t.grads), grads)
    np.testing.assert_array_equal(state, trainer.optimizer_state)
    assert not state.flags.writeable


@pytest.mark.parametrize("optimizer", list(engine.OPTIMIZERS))
def test_a_lost_run_is_shown_as_such(optimizer):
    e = engine.Experiment(**SIZES, optimizer=optimizer)
    weights = dict(engine.probe(e).state_dict)
    weights["weight_hh_l0"] = np.full_like(weights["weight_hh_l0"], np.nan)
    u = engine.update(e, engine.probe(e, weights))
    assert np.isnan(u.change_norms[[b.name == "W_hh" for b in u.blocks].index(True)])


def test_a_change_of_schedule_counts_from_there():
    trainer = after(5, schedule="exponential", schedule_factor=0.5, schedule_steps=10)
    trainer.change(trainer.experiment.replace(schedule_factor=0.1))
    assert trainer.lr == trainer.experiment.lr
    trainer.advance(10)
    assert trainer.lr == pytest.approx(0.1 * trainer.experiment.lr)


def test_the_dropout_of_a_training_step():
    trainer = after(2, dropout=0.4, num_layers=3, cell="lstm")
    e, t = trainer.experiment, trainer.trace()
    again = engine.probe(e, t.state_dict, t.inputs, t.targets, dropout_masks(e, 2, 3))
    cases.assert_identical(again.grads, t.grads)
    assert not np.array_equal(
        engine.probe(e, t.state_dict, t.inputs, t.targets).grads["head.weight"], t.grads["head.weight"]
    )
    with pytest.raises(ValueError, match=r"masks: shape \(2,\), float64; allowed: \(2, 9, 3, 5\) or \(2, 1, 3, 5\)"):
        engine.probe(e, masks=np.ones(2))
