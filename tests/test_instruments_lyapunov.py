"""The Lyapunov spectrum: known answers, the sum rule against determinants, singular values of products, mean field."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.data import batches
from engine.instruments import lyapunov
from engine.instruments.jacobians import JACOBIANS, STEPS, weights_of
from tests import cases, naive

KINDS = list(cases.KINDS)


def small(kind: str, **changes: object) -> engine.Experiment:
    return engine.Experiment(**cases.KINDS[kind], **({"hidden_size": 6, "seq_length": 10} | changes))


@pytest.mark.parametrize("inputs", ["task", "none"])
@pytest.mark.parametrize("gain", [0.2, 1.0, 1.3])
def test_an_orthogonal_linear_network_has_one_exponent_without_error(gain, inputs):
    e = engine.Experiment(nonlinearity="identity", init="orthogonal", gain=gain, hidden_size=8)
    found = engine.lyapunov(e, steps=60, inputs=inputs)
    np.testing.assert_allclose(found.exponents, np.log(gain), atol=1e-12)
    np.testing.assert_allclose(found.standard_errors, 0, atol=1e-12)


def test_a_linear_network_has_the_logarithms_of_its_eigenvalues():
    """The directions settle, so that all but the first steps have log |eigenvalue|, descending."""
    eigenvalues = np.array([1.4, -0.9, 0.5, 0.1])
    mix = np.random.default_rng(0).normal(size=(4, 4))
    e = engine.Experiment(nonlinearity="identity", hidden_size=4)
    weights = dict(engine.probe(e).state_dict) | {"weight_hh_l0": mix @ np.diag(eigenvalues) @ np.linalg.inv(mix)}
    found = engine.lyapunov(e, steps=200, inputs="none", state_dict=weights)
    np.testing.assert_allclose(found.exponents, np.log(np.abs(eigenvalues)), atol=1e-9)


@pytest.mark.parametrize("bias", [-2.0, 0.0, 3.0])
@pytest.mark.parametrize("kind", ["lstm", "gru", "gru_before"])
def test_without_weights_a_gate_is_the_exponent(kind, bias):
    """log σ(b) for every unit; the LSTM's h keeps nothing: −inf."""
    e = small(kind)
    weights = {name: np.zeros_like(w) for name, w in engine.probe(e).state_dict.items()}
    weights["bias_ih_l0"][6:12] = bias
    found = engine.lyapunov(e, steps=50, state_dict=weights)
    np.testing.assert_allclose(found.exponents[:6], -np.log1p(np.exp(-bias)), atol=1e-12)
    if kind == "lstm":
        assert (found.exponents[6:] < -20).all()


@settings(max_examples=30)
@given(
    kind=st.sampled_from(KINDS), nonlinearity=st.sampled_from(["tanh", "sigmoid", "elu", "softsign"]),
    units=st.integers(1, 6), layers=st.integers(1, 2), dtype=st.sampled_from(["float64", "float32"]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_their_sum_is_the_mean_of_log_det(kind, nonlinearity, units, layers, dtype, seed):
    """Σ λ = mean log |det J_t|, along states that the naive twin has computed."""
    e = small(kind, nonlinearity=nonlinearity, hidden_size=units, num_layers=layers, dtype=dtype, seq_length=25)
    weights = cases.state_dict(e, 2, 1, seed)
    found = engine.lyapunov(e, steps=20, state_dict=weights, sequences=2)
    double = {name: np.float64(w) for name, w in weights.items()}
    inputs = next(batches(e.replace(batch_size=2)))[0]
    twin = naive.run(e.kind, nonlinearity, "mse", double, np.float64(inputs), np.zeros((2, 1)), False)
    logs = []
    for layer, w in enumerate(weights_of(e.kind, nonlinearity, double)):
        below = np.float64(inputs) if layer == 0 else twin.hidden[layer - 1, 1:]
        for t in range(5, 25):  # a quarter of 20 steps comes before
            c = twin.cell[layer, t] if e.cell == "lstm" else None
            j = JACOBIANS[e.kind](w, STEPS[e.kind](w, below[t], twin.hidden[layer, t], c))
            logs.append(np.linalg.slogdet(j)[1].mean())
    assert found.exponents.sum() == pytest.approx(np.sum(logs) / 20, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_is_that_of_the_product(kind):
    """λ_1 against log σ_1 of a product over 400 steps: they differ by a bounded number over 400."""
    e = engine.Experiment(**cases.KINDS[kind], hidden_size=8, seq_length=400, batch_size=1, gain=1.2)
    product = engine.jacobian_spectrum(engine.probe(e), most=2).log10_product[0, 0, 0] * np.log(10) / 400
    found = engine.lyapunov(e, steps=320, sequences=1)
    assert found.exponents[0] == pytest.approx(product, abs=0.05)


def test_mean_field_of_a_chaotic_network():
    """Wide, without input, gain 2: λ = ½ log χ = 0.1547 (Molgedey, Schuchhardt & Schuster 1992); width 300 is near."""
    e = engine.Experiment(gain=2.0, hidden_size=300, init="normal")
    found = engine.lyapunov(e, steps=150, count=1, inputs="none", sequences=4)
    assert found.exponents[0] == pytest.approx(engine.mean_field(gain=2.0, input_variance=0.0).lyapunov, abs=0.03)
    assert found.exponents[0] > 5 * found.standard_errors[0]


def test_the_standard_error_is_one():
    """The spread of twelve estimates, along other inputs of the same network, is what each says of itself."""
    e = engine.Experiment(gain=2.0, hidden_size=32)
    weights = engine.probe(e).state_dict
    runs = [engine.lyapunov(e.replace(seed=s), 400, 1, state_dict=weights, sequences=2) for s in range(12)]
    spread = np.std([run.exponents[0] for run in runs], ddof=1)
    said = np.mean([run.standard_errors[0] for run in runs])
    assert 0.4 < spread / said < 2.5


def test_layers_stand_side_by_side():
    e = small("gru", num_layers=2)
    found = engine.lyapunov(e, steps=40)
    assert found.exponents.shape == (12,)
    assert (np.diff(found.exponents) <= 0).all()
    assert sorted(found.layers) == [0] * 6 + [1] * 6
    assert found.local.shape == (40, 2)
    lower = engine.lyapunov(small("gru"), steps=40)
    np.testing.assert_allclose(found.exponents[found.layers == 0], lower.exponents, atol=1e-12)


def test_of_each_trajectory_all_layers_come_before_the_mean():
    """Three trajectories: in the second another layer is ahead, by a steady amount."""
    of = np.array([[[-0.1, -0.3], [-0.5, -0.6], [-0.1, -0.9]], [[-0.2, -0.4], [-0.3, -0.7], [-0.8, -1.0]]])
    found = lyapunov._summary(np.tile(of, (20, 1, 1, 1)), 4, "task")
    each = np.array([[-0.1, -0.2, -0.3, -0.4], [-0.3, -0.5, -0.6, -0.7], [-0.1, -0.8, -0.9, -1.0]])
    np.testing.assert_allclose(found.exponents, each.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.standard_errors, each.std(axis=0, ddof=1) / np.sqrt(3), rtol=1e-12)
    assert found.layers.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(found.largest, found.exponents[0], rtol=1e-12)
    assert found.local.shape == (20, 2)


@pytest.mark.parametrize("task", list(engine.TASKS))
def test_along_every_task(task):
    e = small("rnn", task=task, embedding_dim=3 if engine.TASKS[task].symbols else None, seq_length=20)
    assert np.isfinite(engine.lyapunov(e, steps=40, count=2).exponents).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_run_has_no_exponents(kind):
    e = small(kind)
    weights = dict(engine.probe(e).state_dict)
    weights["weight_hh_l0"] = np.full_like(weights["weight_hh_l0"], np.nan)
    assert np.isnan(engine.lyapunov(e, steps=20, state_dict=weights).exponents).all()


@pytest.mark.parametrize(
    "wrong", [{"steps": 5}, {"count": 0}, {"count": 7}, {"inputs": "noise"}, {"sequences": 0}, {"steps": True}]
)
def test_wrong_values_are_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}: .*; allowed: "):
        engine.lyapunov(small("rnn"), **wrong)
