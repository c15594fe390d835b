"""Pascanu's Ω: its value and immediate gradient against naive loops, central differences and autograd, and its laws."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.network import Network
from engine.omega import omega
from engine.parameters import Parameters, load, shapes
from tests import cases, naive, torch_reference


def run(
    e: engine.Experiment, weights: dict[str, np.ndarray], inputs: np.ndarray, targets: np.ndarray, every_step: bool,
    masks: np.ndarray | None = None,
) -> tuple[float, list[np.ndarray]]:  # fmt: skip
    """Ω and its gradients from the engine, after a pass."""
    units, outputs = e.hidden_size, len(weights["head.bias"])
    parameters = Parameters("rnn", shapes("rnn", inputs.shape[2], units, e.num_layers, outputs), np.dtype(e.dtype))
    load(parameters, weights)
    network = Network("rnn", e.nonlinearity, parameters, len(inputs), inputs.shape[1], every_step)
    network.forward(inputs, masks)
    _, d_outputs = network.loss(e.loss_name, targets)
    network.backward(d_outputs, e.tbptt or 0)
    return omega(network, d_outputs, e.tbptt or 0)


def of_matrix(w: np.ndarray, u: np.ndarray, delta: np.ndarray) -> float:
    """The expression itself, with u and δ (T, B, H) frozen: Σₜ mean over b of (‖Wᵀu‖/‖δ‖ − 1)²."""
    terms = [
        (np.linalg.norm(w.T @ u[t, b]) / np.linalg.norm(delta[t, b]) - 1) ** 2
        for t in range(len(u))
        for b in range(u.shape[1])
        if np.linalg.norm(delta[t, b]) > 0 and np.linalg.norm(w.T @ u[t, b]) > 0
    ]
    return sum(terms) / u.shape[1]


def frozen(e, weights, inputs, targets, every_step, masks=None) -> tuple[np.ndarray, np.ndarray]:
    """u = φ'(z) δ and δ of the naive pass, (L, T, B, H) each, φ' from the pre-activations."""
    found = naive.run("rnn", e.nonlinearity, e.loss_name, weights, inputs, targets, every_step, e.tbptt, masks=masks)
    u, below = np.zeros_like(found.deltas), inputs
    for layer in range(e.num_layers):
        w = naive.Weights.of(weights, layer)
        z = below @ w.weight_ih.T + w.bias_ih + found.hidden[layer, :-1] @ w.weight_hh.T + w.bias_hh
        u[layer] = found.deltas[layer] * naive.ACTIVATIONS[e.nonlinearity][1](z)
        below = found.hidden[layer, 1:]
        if masks is not None and layer < e.num_layers - 1:
            below = below * masks[layer]
    return u, found.deltas


def in_torch(w: np.ndarray, u: np.ndarray, delta: np.ndarray) -> tuple[float, np.ndarray]:
    """Ω of one layer and its gradient by autograd."""
    matrix = torch.tensor(w, requires_grad=True)
    v, d = torch.tensor(u) @ matrix, torch.tensor(delta)
    counts = (d.norm(dim=2) > 0) & (v.detach().norm(dim=2) > 0)
    value = ((v[counts].norm(dim=1) / d[counts].norm(dim=1) - 1) ** 2).sum() / u.shape[1]
    value.backward()
    return value.item(), matrix.grad.numpy()


def example(**changes: object) -> tuple:
    e = engine.Experiment(**({"hidden_size": 5, "batch_size": 3, "num_layers": 2} | changes))
    return e, cases.state_dict(e, 2, 3), *cases.data(e, 7, True), True


@pytest.mark.parametrize("nonlinearity", engine.ACTIVATIONS)
def test_central_differences_of_the_frozen_expression(nonlinearity):
    case = example(nonlinearity=nonlinearity)
    (value, gradients), (u, delta), h = run(*case), frozen(*case), 1e-4
    matrices = [case[1][f"weight_hh_l{layer}"] for layer in range(2)]
    assert value == pytest.approx(sum(map(of_matrix, matrices, u, delta)), rel=1e-10)
    for layer, w in enumerate(matrices):
        differences = np.zeros_like(w)
        for index in np.ndindex(w.shape):
            step = np.zeros_like(w)
            step[index] = h
            near, far = (
                of_matrix(w + k * step, u[layer], delta[layer]) - of_matrix(w - k * step, u[layer], delta[layer])
                for k in (1, 2)
            )
            differences[index] = (8 * near - far) / (12 * h)
        cases.assert_close(gradients[layer], differences, 1e-7, f"layer {layer}")


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
def test_autograd_on_its_own_states_and_gradients(nonlinearity):
    """Nothing but the weights is shared: h, z and δ are PyTorch's, detached."""
    e, weights, inputs, targets, _ = case = example(nonlinearity=nonlinearity, num_layers=1)
    found = torch_reference.Model(e, weights).unrolled(torch.tensor(inputs), nonlinearity)
    head = torch.tensor(weights["head.weight"]), torch.tensor(weights["head.bias"])
    outputs = torch.nn.functional.linear(torch.stack(found.hidden[0][1:]), *head)
    torch_reference.loss_of("mse", outputs, torch.tensor(targets)).backward()
    w = torch.tensor(weights["weight_hh_l0"], requires_grad=True)
    value = torch.zeros(())
    for t, x in enumerate(torch.tensor(inputs)):
        old, delta = found.hidden[0][t].detach(), found.hidden[0][t + 1].grad
        bias = torch.tensor(weights["bias_ih_l0"] + weights["bias_hh_l0"])
        z = (x @ torch.tensor(weights["weight_ih_l0"]).T + old @ w.detach().T + bias).requires_grad_()
        (u,) = torch.autograd.grad(torch_reference.ACTIVATIONS[nonlinearity](z), z, delta)
        value = value + ((((u @ w).norm(dim=1) / delta.norm(dim=1)) - 1) ** 2).mean()
    value.backward()
    mine, (gradient,) = run(*case)
    assert mine == pytest.approx(value.item(), rel=1e-10)
    cases.assert_close(gradient, w.grad.numpy(), 1e-9, "gradient")


@settings(max_examples=60, deadline=None)
@given(
    nonlinearity=st.sampled_from(list(engine.ACTIVATIONS)),
    hidden_size=st.integers(1, 20),
    layers=st.integers(1, 3),
    batch_size=st.integers(1, 6),
    steps=st.integers(1, 15),
    every_step=st.booleans(),
    classes=st.booleans(),
    dropped=st.booleans(),
    tbptt=st.none() | st.integers(1, 17),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(nonlinearity, hidden_size, layers, batch_size, steps, every_step, classes, dropped, tbptt, seed):
    e = engine.Experiment(
        nonlinearity=nonlinearity, hidden_size=hidden_size, num_layers=layers, batch_size=batch_size, tbptt=tbptt,
        task="temporal_order" if classes else "adding",
    )  # fmt: skip
    # The slope of a saturated softmax has no digits, and so no direction: outputs stay small.
    weights = cases.state_dict(e, 2, 3, seed, rho=0.5)
    inputs, targets = cases.data(e, steps, every_step, seed)
    masks = None
    if dropped:
        rng = np.random.default_rng(seed)
        masks = 2.0 * rng.integers(0, 2, (layers - 1, steps, batch_size, hidden_size))
    value, gradients = run(e, weights, inputs, targets, every_step, masks)
    u, delta = frozen(e, weights, inputs, targets, every_step, masks)
    expected = [in_torch(weights[f"weight_hh_l{k}"], u[k], delta[k]) for k in range(layers)]
    assert value == pytest.approx(sum(one for one, _ in expected), rel=1e-9, abs=1e-20)
    for layer, (_, gradient) in enumerate(expected):
        cases.assert_close(gradients[layer], gradient, 1e-8, f"layer {layer}", absolute=1e-12)


def test_float32_is_float64_to_its_own_accuracy():
    e, weights, inputs, targets, every_step = example(dtype="float32")
    value, gradients = run(e, weights, inputs, targets, every_step)
    double = {name: np.float64(w) for name, w in weights.items()}
    exact = run(e.replace(dtype="float64"), double, np.float64(inputs), np.float64(targets), every_step)
    assert value == pytest.approx(exact[0], rel=1e-5)
    for one, other in zip(gradients, exact[1], strict=True):
        assert one.dtype == np.float64
        cases.assert_close(one, other, 1e-5, "gradient")


def linear(gain: float, steps: int, layers: int = 1, every_step: bool = False) -> tuple:
    e = engine.Experiment(
        nonlinearity="identity", init="orthogonal", gain=gain, hidden_size=6, batch_size=2, num_layers=layers
    )
    targets = np.ones((steps, 2, 1)) if every_step else np.ones((2, 1))
    return e, dict(engine.probe(e).state_dict), np.zeros((steps, 2, 2)), targets, every_step


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("every_step", [False, True])
def test_nothing_is_asked_of_an_orthogonal_linear_network(every_step, layers):
    value, gradients = run(*linear(1.0, 50, layers, every_step))
    assert value < 1e-25
    assert max(np.abs(g).max() for g in gradients) < 1e-12


@pytest.mark.parametrize("gain", [0.3, 0.9, 1.5])
def test_a_linear_network_of_a_gain(gain):
    """‖v‖ = g ‖δ‖ at all T steps: Ω = T (g − 1)²; and v is linear in W, so that ⟨∂⁺Ω/∂W, W⟩ = 2 T (g − 1) g."""
    case = linear(gain, 40)
    value, (gradient,) = run(*case)
    assert value == pytest.approx(40 * (gain - 1) ** 2, rel=1e-10)
    assert np.sum(gradient * case[1]["weight_hh_l0"]) == pytest.approx(2 * 40 * (gain - 1) * gain, rel=1e-10)


def test_what_is_no_normal_number_counts_nothing():
    """A gain of 0.1: each term is 0.81, as long as v = 0.1 δ is a normal number. Both sequences are the same one."""
    case = linear(0.1, 600)
    value, (gradient,) = run(*case)
    norms = engine.probe(*case[:4]).log10_grad_norms[0]
    counted = np.sum(norms - 1 > np.log10(np.finfo(float).tiny))
    assert 300 < counted < 310
    assert value == pytest.approx(0.81 * counted, rel=1e-6)
    assert np.sum(gradient * case[1]["weight_hh_l0"]) == pytest.approx(-2 * 0.9 * 0.1 * counted, rel=1e-6)


def test_a_dead_network_and_one_past_every_range_are_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        e, weights, inputs, targets, every_step = example(nonlinearity="relu")
        dead = weights | {f"bias_ih_l{k}": np.full(5, -100.0) for k in range(2)}
        value, gradients = run(e, dead, inputs, targets, every_step)
        assert value == 0
        assert all((g == 0).all() for g in gradients)
        value, gradients = run(*linear(100.0, 400))
        assert 0 < value < np.inf
        assert all(np.isfinite(g).all() for g in gradients)
        for broken in (np.inf, np.nan):
            value, gradients = run(e, weights | {"head.weight": np.full((3, 5), broken)}, inputs, targets, every_step)
            assert value == 0
            assert all((g == 0).all() for g in gradients)


def test_training_with_it_keeps_gradients_from_vanishing():
    e = engine.Experiment(init="normal", gain=0.5, seq_length=20, hidden_size=16, batch_size=8, lr=0.01)
    slopes = {}
    for weight in (0.0, 1.0):
        trainer = engine.Trainer(e.replace(omega=weight))
        trainer.advance(150)
        norms = trainer.trace().log10_grad_norms[0]
        slopes[weight] = (norms[-1] - norms[0]) / 19
    assert slopes[0.0] > 0.1
    assert abs(slopes[1.0]) < 0.5 * slopes[0.0]
