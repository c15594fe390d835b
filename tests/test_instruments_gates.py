"""What is said of gates: counted again, one number at a time."""

import numpy as np
import pytest

import engine
from engine.instruments.gates import BINS
from tests import cases

KINDS = list(cases.KINDS)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("kind", KINDS)
def test_counted_one_by_one(kind, nonlinearity, dtype):
    sizes = {"hidden_size": 4, "batch_size": 3, "seq_length": 5, "num_layers": 2}
    e = engine.Experiment(**cases.KINDS[kind], nonlinearity=nonlinearity, dtype=dtype, **sizes)
    t = engine.probe(e, cases.state_dict(e, 2, 1, rho=6.0))
    found = engine.gates(t)
    assert list(found.gates) == list(t.gates)
    for name, values in t.gates.items():
        gate, low, high = found.gates[name], 0.1, 0.9
        if name in "gn":
            low = -0.9
        for layer in range(2):
            for step in range(5):
                counts = np.zeros(BINS)
                for value in np.float64(values[layer, step]).ravel():
                    inside = [k for k in range(BINS) if gate.edges[k] <= value < gate.edges[k + 1]]
                    counts[inside[0] if inside else BINS - 1] += 1
                np.testing.assert_array_equal(gate.density[layer, step], counts / 12)
                assert gate.mean[layer, step] == pytest.approx(np.float64(values[layer, step]).mean())
            for unit in range(4):
                own = np.float64(values[layer, :, :, unit]).ravel()
                assert gate.left[layer, unit] == pytest.approx(sum(v < low for v in own) / 15)
                assert gate.right[layer, unit] == pytest.approx(sum(v > high for v in own) / 15)
                assert gate.unit_mean[layer, unit] == pytest.approx(own.mean())
    if found.keep is None:
        assert kind == "rnn"
        assert found.time_constants.shape == (2, 0)


@pytest.mark.parametrize("bias", [-1.0, 0.0, 2.0, 5.0])
def test_time_constants_of_the_forget_bias(bias):
    """Without weights f = σ(b): τ = 1/log(1 + e^−b), and c falls by 1/e in τ steps."""
    e = engine.Experiment(cell="lstm", hidden_size=4)
    weights = {name: np.zeros_like(w) for name, w in engine.probe(e).state_dict.items()}
    weights["bias_ih_l0"][4:8] = bias
    found = engine.gates(engine.probe(e, weights))
    np.testing.assert_allclose(found.bias_alone, found.gates["f"].unit_mean, rtol=1e-12)
    # τ says how far f is from 1: 150 steps have two digits fewer than f.
    np.testing.assert_allclose(found.time_constants, 1 / np.log1p(np.exp(-bias)), rtol=1e-10)
    forget = found.gates["f"]
    assert (forget.right == (1.0 if bias > np.log(9) else 0.0)).all()
    assert (forget.left == (1.0 if bias < -np.log(9) else 0.0)).all()


def test_a_chrono_start_spreads_the_time_constants():
    """log U(1, T−1) forget biases (Tallec & Ollivier 2018): memories up to the length of the sequence."""
    e = engine.Experiment(cell="lstm", init="chrono", seq_length=200, hidden_size=64)
    found = engine.gates(engine.probe(e)).time_constants[0]
    assert 60 < np.median(found) < 140
    assert 150 < found.max() < 260


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru_before"])
def test_a_lost_run_is_shown_as_such(kind):
    e = engine.Experiment(**cases.KINDS[kind], hidden_size=4, num_layers=2, seq_length=5)
    weights = dict(engine.probe(e).state_dict)
    weights["weight_hh_l1"] = np.full_like(weights["weight_hh_l1"], np.nan)
    found = engine.gates(engine.probe(e, weights))
    for gate in found.gates.values():
        assert np.isfinite(gate.density[0]).all()
        assert np.isnan(gate.density[1]).all()
        assert np.isnan(gate.left[1]).all()
    assert np.isnan(found.time_constants[1]).all()


@pytest.mark.parametrize("look", ["clipping", "gates", "jacobian_spectrum"])
def test_what_is_no_trace_is_refused(look):
    with pytest.raises(ValueError, match="trace: None; allowed: what"):
        getattr(engine, look)(None)


@pytest.mark.parametrize("look", ["update", "weight_gradient_by_step"])
def test_a_trace_of_another_network_is_refused(look):
    lstm = engine.probe(engine.Experiment(cell="lstm"))
    with pytest.raises(ValueError, match="trace: lstm, 1 × 32 units; allowed: the experiment's rnn, 1 × 32 units"):
        getattr(engine, look)(engine.Experiment(), lstm)
    with pytest.raises(ValueError, match="experiment: None"):
        getattr(engine, look)(None, lstm)
