"""Every gradient, norm and state of the engine: against PyTorch's autograd, the naive twin and central differences."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import engine
from tests import cases, naive, torch_reference

EXACT = 1e-9
FLOAT32 = 1e-5  # about a hundred roundings of 1.2e-7
FLOAT32_DEEP = 1e-4  # the same through up to 4 layers and 20 steps, whose sensitive directions amplify them
KINDS, ACTIVATIONS, TASKS = list(cases.KINDS), list(engine.ACTIVATIONS), list(engine.TASKS)
KINKED = ["relu", "leaky_relu", "elu", "softsign", "hardtanh"]  # in value, slope or curvature


def small(**changes: object) -> engine.Experiment:
    return engine.Experiment(**({"hidden_size": 7, "batch_size": 3, "seq_length": 12} | changes))


def naive_pass(e, weights, inputs, targets, every_step):
    """The naive twin in float64, on the very same numbers."""
    double = {name: np.float64(value) for name, value in weights.items()}
    targets = np.float64(targets) if targets.dtype.kind == "f" else targets
    return naive.run(e.kind, e.nonlinearity, e.loss_name, double, np.float64(inputs), targets, every_step, e.tbptt)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("nonlinearity", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_autograd_agrees_for_every_cell_and_activation(kind, nonlinearity, layers):
    e = small(**cases.KINDS[kind], nonlinearity=nonlinearity, num_layers=layers)
    for every_step in (False, True):
        weights, (inputs, targets) = cases.state_dict(e, 2, 3), cases.data(e, 12, every_step)
        trace = engine.probe(e, weights, inputs, targets)
        cases.assert_same_pass(trace, torch_reference.run(e, weights, inputs, targets, every_step), EXACT)
        cases.assert_same_pass(trace, naive_pass(e, weights, inputs, targets, every_step), EXACT)


@pytest.mark.parametrize(
    ("task", "init"),
    [*((task, "normal") for task in TASKS), *(("adding", init) for init in engine.INITS if init != "normal")],
)
@pytest.mark.parametrize("kind", KINDS)
def test_autograd_agrees_on_every_task_and_initialiser(kind, task, init):
    trace = engine.probe(e := small(**cases.KINDS[kind], task=task, num_layers=2, init=init))
    assert len(trace.inputs) == e.steps
    cases.assert_same_pass(trace, torch_reference.run(e, trace.state_dict, trace.inputs, trace.targets), EXACT)


@pytest.mark.parametrize("steps", [1, 2, 9])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("hidden_size", [1, 3, 5, 7, 8, 17, 33])
@pytest.mark.parametrize("kind", KINDS)
def test_odd_sizes(kind, hidden_size, batch_size, steps):
    for loss, every_step in (("mse", False), ("cross_entropy", True)):
        task = "adding" if loss == "mse" else "temporal_order"
        e = small(**cases.KINDS[kind], hidden_size=hidden_size, batch_size=batch_size, num_layers=2, task=task)
        weights, (inputs, targets) = cases.state_dict(e, 2, 4), cases.data(e, steps, every_step, outputs=4)
        trace = engine.probe(e, weights, inputs, targets)
        cases.assert_same_pass(trace, naive_pass(e, weights, inputs, targets, every_step), EXACT)


@pytest.mark.parametrize("tbptt", [1, 3, 4, 11, 12, 50])
@pytest.mark.parametrize("kind", KINDS)
def test_truncated_backpropagation(kind, tbptt):
    e = small(**cases.KINDS[kind], num_layers=2, tbptt=tbptt)
    for every_step in (False, True):
        weights, (inputs, targets) = cases.state_dict(e, 2, 3), cases.data(e, 12, every_step)
        trace = engine.probe(e, weights, inputs, targets)
        cases.assert_same_pass(trace, torch_reference.run(e, weights, inputs, targets, every_step), EXACT)
        cases.assert_same_pass(trace, naive_pass(e, weights, inputs, targets, every_step), EXACT)


@pytest.mark.parametrize("nonlinearity", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_float64_to_its_own_accuracy(kind, nonlinearity):
    e = small(**cases.KINDS[kind], nonlinearity=nonlinearity, num_layers=2, hidden_size=9, dtype="float32")
    weights, (inputs, targets) = cases.state_dict(e, 2, 3), cases.data(e, 12, False)
    trace = engine.probe(e, weights, inputs, targets)
    assert trace.hidden.dtype == np.float32
    assert all(g.dtype == np.float32 for g in trace.grads.values())
    cases.assert_same_pass(trace, naive_pass(e, weights, inputs, targets, False), FLOAT32)


@pytest.mark.parametrize(
    ("cell", "nonlinearity"), [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]
)
def test_pytorchs_own_kernels_agree(cell, nonlinearity):
    """The loop of torch_reference could be wrong in the same way as the engine; nn.RNN, LSTM and GRU are not ours."""
    e = small(cell=cell, nonlinearity=nonlinearity, num_layers=3)
    weights, (inputs, targets) = cases.state_dict(e, 2, 3), cases.data(e, 12, True)
    trace, model = engine.probe(e, weights, inputs, targets), torch_reference.Model(e, weights)
    if nonlinearity == "relu":
        weights_only = model.recurrent.state_dict()
        model.recurrent = torch.nn.RNN(2, 7, 3, nonlinearity="relu", dtype=torch.float64)
        model.recurrent.load_state_dict(weights_only)
    hidden, _ = model.recurrent(torch.tensor(inputs))
    torch_reference.loss_of("mse", model.head(hidden), torch.tensor(targets)).backward()
    cases.assert_close(trace.hidden[-1, 1:], hidden.detach().numpy(), EXACT, "hidden")
    cases.assert_same_tensors(trace.grads, {n: p.grad.numpy() for n, p in model.named().items()}, EXACT)


@pytest.mark.parametrize("nonlinearity", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_central_differences_agree(kind, nonlinearity):
    """∂L/∂θ ≈ (8(L(θ+h) − L(θ−h)) − (L(θ+2h) − L(θ−2h)))/12h, of every weight; error h⁴, and rounding of L over h."""
    e = small(**cases.KINDS[kind], nonlinearity=nonlinearity, hidden_size=3, num_layers=2, batch_size=2)
    weights, (inputs, targets) = cases.state_dict(e, 2, 2), cases.data(e, 5, True, outputs=2)
    h = 1e-6 if nonlinearity in KINKED else 1e-3  # a kink within 2h would spoil it

    def loss(name: str, index: tuple[int, ...], by: float) -> float:
        moved = weights[name].copy()
        moved[index] += by
        return engine.probe(e, weights | {name: moved}, inputs, targets).loss

    trace = engine.probe(e, weights, inputs, targets)
    for name, value in weights.items():
        differences = np.zeros(value.shape)
        for index in np.ndindex(value.shape):
            near, far = (loss(name, index, k * h) - loss(name, index, -k * h) for k in (1, 2))
            differences[index] = (8 * near - far) / (12 * h)
        cases.assert_close(trace.grads[name], differences, 1e-7, name, absolute=1e-15 * trace.loss / h)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    nonlinearity=st.sampled_from(ACTIVATIONS),
    dtype=st.sampled_from(["float64", "float32"]),
    hidden_size=st.integers(1, 40),
    layers=st.integers(1, 4),
    batch_size=st.integers(1, 9),
    steps=st.integers(1, 20),
    size=st.integers(1, 6),
    outputs=st.integers(1, 5),
    every_step=st.booleans(),
    classes=st.booleans(),
    tbptt=st.none() | st.integers(1, 25),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(
    kind, nonlinearity, dtype, hidden_size, layers, batch_size, steps, size, outputs, every_step, classes, tbptt, seed
):
    # Across a kink one rounding changes a gradient by its whole size: there float32 has no accuracy to test.
    assume(dtype == "float64" or nonlinearity not in KINKED)
    e = engine.Experiment(
        **cases.KINDS[kind], nonlinearity=nonlinearity, hidden_size=hidden_size, num_layers=layers,
        batch_size=batch_size, tbptt=tbptt, dtype=dtype, task="temporal_order" if classes else "adding",
    )  # fmt: skip
    weights = cases.state_dict(e, size, outputs, seed, rho=0.5)  # a linear network of one unit must not run away
    _, targets = cases.data(e, steps, every_step, seed, outputs)
    inputs = np.random.default_rng(seed).uniform(-1, 1, (steps, batch_size, size)).astype(dtype)
    trace = engine.probe(e, weights, inputs, targets)
    expected = naive_pass(e, weights, inputs, targets, every_step)
    cases.assert_same_pass(trace, expected, EXACT if dtype == "float64" else FLOAT32_DEEP)
