"""The gradient flow matrix: against autograd, the naive twin on shortened sequences, and known answers."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.instruments import gradient_flow
from tests import cases, naive, torch_reference

KINDS = list(cases.KINDS)


def small(kind: str, **changes: object) -> engine.Experiment:
    return engine.Experiment(
        **cases.KINDS[kind], **({"hidden_size": 5, "batch_size": 3, "num_layers": 2, "seq_length": 9} | changes)
    )


def log10_mean_norms(deltas: np.ndarray) -> np.ndarray:
    """(L, k, B, H) -> (L, k)."""
    with np.errstate(divide="ignore"):
        return np.log10(np.sqrt((deltas**2).sum(axis=-1)).mean(axis=-1))


def by_autograd(e, weights, inputs, targets) -> np.ndarray:
    """(L, T, T): one backward pass of PyTorch for each loss."""
    model, steps = torch_reference.Model(e, weights), len(inputs)
    hidden = model.unrolled(torch.tensor(inputs), e.nonlinearity).hidden
    matrix = np.full((e.num_layers, steps, steps), -np.inf)
    for t in range(steps):
        outputs = model.head(hidden[-1][t + 1])
        loss = torch_reference.loss_of(e.loss_name, outputs, torch.tensor(targets[t])) / steps
        states = [layer[k + 1] for layer in hidden for k in range(t + 1)]
        found = torch.autograd.grad(loss, states, retain_graph=True)
        deltas = torch.stack(found).reshape(e.num_layers, t + 1, *found[0].shape).numpy()
        matrix[:, t, : t + 1] = log10_mean_norms(deltas)
    return matrix


@pytest.mark.parametrize("task", ["adding", "temporal_order"])
@pytest.mark.parametrize("nonlinearity", list(engine.ACTIVATIONS))
@pytest.mark.parametrize("kind", KINDS)
def test_autograd_agrees(kind, nonlinearity, task):
    e = small(kind, nonlinearity=nonlinearity, task=task, seq_length=10)
    weights, (inputs, targets) = cases.state_dict(e, 2, 3), cases.data(e, 7, True)
    flow = engine.gradient_flow(e, weights, inputs, targets)
    np.testing.assert_array_equal(flow.at, np.arange(1, 8))
    np.testing.assert_allclose(flow.log10_norms, by_autograd(e, weights, inputs, targets), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_naive_twin_on_shortened_sequences_agrees(kind):
    """L_t sees the first t steps only: it is the loss at the end of a shorter sequence."""
    e, steps = small(kind), 9
    weights, (inputs, targets) = cases.state_dict(e, 2, 3), cases.data(e, steps, True)
    flow = engine.gradient_flow(e, weights, inputs, targets)
    for t in range(1, steps + 1):
        part = naive.run(e.kind, e.nonlinearity, "mse", weights, inputs[:t], targets[t - 1], False)
        np.testing.assert_allclose(
            flow.log10_norms[:, t - 1, :t], log10_mean_norms(part.deltas / steps), rtol=0, atol=1e-9
        )
        assert (flow.log10_norms[:, t - 1, t:] == -np.inf).all()


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS), nonlinearity=st.sampled_from(list(engine.ACTIVATIONS)), units=st.integers(1, 9),
    batch=st.integers(1, 5), layers=st.integers(1, 3), steps=st.integers(1, 12), every_step=st.booleans(),
    tbptt=st.none() | st.integers(1, 14), dtype=st.sampled_from(["float64", "float32"]), seed=st.integers(0, 99),
)  # fmt: skip
def test_the_sum_over_the_losses_is_the_whole_gradient(
    kind, nonlinearity, units, batch, layers, steps, every_step, tbptt, dtype, seed
):
    e = small(
        kind,
        nonlinearity=nonlinearity,
        hidden_size=units,
        batch_size=batch,
        num_layers=layers,
        tbptt=tbptt,
        dtype=dtype,
    )
    weights, (inputs, targets) = cases.state_dict(e, 2, 3, seed), cases.data(e, steps, every_step, seed)
    probed = engine.probe(e, weights, inputs, targets)
    flow = engine.gradient_flow(e, weights, inputs, targets)
    assert len(flow.at) == (steps if every_step else 1)
    # The terms of a sum may cancel: it has no more digits than the largest of them.
    digits = 1e-9 if dtype == "float64" else 1e-4
    scale = np.maximum(flow.norms.max(axis=1), probed.grad_norms)
    np.testing.assert_array_less(np.abs(10**flow.log10_total - probed.grad_norms), digits * scale + 1e-300)


@pytest.mark.parametrize("task", ["sine", "text", "markov", "adding"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_sum_on_the_tasks_own_batch(kind, task):
    e = small(kind, task=task, seq_length=20, hidden_size=8)
    np.testing.assert_allclose(engine.gradient_flow(e).log10_total, engine.probe(e).log10_grad_norms, rtol=0, atol=1e-9)


@pytest.mark.parametrize("gain", [0.2, 1.0, 5.0])
def test_linear_network_changes_by_its_gain_with_every_lag(gain):
    """‖∂L_t/∂h_k‖ = g^(t−k) ‖∂L_t/∂h_t‖, far past the range of float64: 0.2^600 = 10^−419."""
    steps = 600
    e = engine.Experiment(nonlinearity="identity", init="orthogonal", hidden_size=4, batch_size=2, gain=gain)
    inputs, targets = np.zeros((steps, 2, 2)), np.ones((steps, 2, 1))
    log10 = engine.gradient_flow(e, None, inputs, targets).log10_norms[0]
    t, k = np.tril_indices(steps)
    np.testing.assert_allclose(log10[t, k] - log10[t, t], (t - k) * np.log10(gain), rtol=0, atol=1e-9)


def test_layers_keep_their_own_exponents():
    """A top layer that forgets at once (0.01^k) over one that keeps everything: neither loses the other's numbers."""
    steps, units = 400, 3
    e = engine.Experiment(nonlinearity="identity", hidden_size=units, num_layers=2, batch_size=1)
    weights = cases.state_dict(e, 2, 1)
    weights |= {"weight_hh_l0": np.eye(units), "weight_hh_l1": 0.01 * np.eye(units)}
    flow = engine.gradient_flow(e, weights, np.zeros((steps, 1, 2)), np.ones((1, 1)))
    assert flow.log10_norms[1, 0, 0] - flow.log10_norms[1, 0, -1] == pytest.approx(-2 * (steps - 1), abs=1e-9)
    assert flow.log10_norms[0, 0, 0] == pytest.approx(flow.log10_norms[0, 0, 200], abs=1e-9)


def test_shares_of_a_gradient_that_falls_by_half():
    """W = ½Q: lag n has the share ½^n / Σ ½^j, and more than n steps back lies what is left."""
    steps = 30
    e = engine.Experiment(nonlinearity="identity", init="orthogonal", gain=0.5, hidden_size=4, batch_size=2)
    flow = engine.gradient_flow(e, None, np.zeros((steps, 2, 2)), np.ones((2, 1)))
    shares = 0.5 ** np.arange(steps)
    shares /= shares.sum()
    np.testing.assert_allclose(flow.by_lag(), shares, rtol=1e-9)
    np.testing.assert_allclose(flow.beyond(), 1 - np.cumsum(shares), atol=1e-12)


def test_as_if_the_loss_were_read_everywhere():
    """The last row is what the task itself has; a row before it is the same task, ended earlier."""
    e = small("lstm")
    t = engine.probe(e)
    own, every = engine.gradient_flow(e), engine.gradient_flow(e, everywhere=True)
    assert own.log10_norms.shape == (2, 1, 9)
    np.testing.assert_allclose(every.log10_norms[:, -1], own.log10_norms[:, 0], rtol=0, atol=1e-9)
    ended = engine.probe(e, None, t.inputs[:5], t.targets).log10_grad_norms
    np.testing.assert_allclose(every.log10_norms[:, 4, :5], ended, rtol=0, atol=1e-9)


def test_some_of_the_losses():
    e = small("gru", task="sine", seq_length=40)
    whole, some = engine.gradient_flow(e), engine.gradient_flow(e, most=5)
    assert list(some.at) == [1, 11, 21, 30, 40]
    np.testing.assert_allclose(some.log10_norms, whole.log10_norms[:, some.at - 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_in_parts_of_the_batch(kind, monkeypatch):
    e = small(kind, task="sine", batch_size=7)
    whole = engine.gradient_flow(e)
    monkeypatch.setattr(gradient_flow, "AT_ONCE", 1)
    parts = engine.gradient_flow(e)
    np.testing.assert_allclose(parts.log10_norms, whole.log10_norms, rtol=0, atol=1e-12)
    np.testing.assert_allclose(parts.log10_total, whole.log10_total, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_number_stays_so(kind):
    e = small(kind, task="sine")
    weights = dict(engine.probe(e).state_dict)
    weights["weight_hh_l1"] = np.full_like(weights["weight_hh_l1"], np.nan)
    flow = engine.gradient_flow(e, weights)
    assert np.isnan(flow.log10_norms[1, -1, 0])
    assert np.isnan(flow.beyond()).all()


def test_a_gradient_that_is_exactly_zero():
    e = small("rnn", nonlinearity="relu", task="sine")
    weights = dict(engine.probe(e).state_dict) | {"bias_ih_l1": np.full(5, -1e3)}
    flow = engine.gradient_flow(e, weights)
    assert (flow.log10_norms[0] == -np.inf).all()
    assert np.isfinite(np.diagonal(flow.log10_norms[1])).all()


def test_two_hundred_timesteps_of_the_default_size_take_less_than_a_second():
    e = engine.Experiment(task="sine", seq_length=200)
    trace, seconds = engine.probe(e), []
    for _ in range(3):
        begin = time.perf_counter()
        gradient_flow.finish(gradient_flow.in_pieces(e, trace))
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 1
