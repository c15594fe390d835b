"""Activations to the last digits: values within 2 ulp wherever a double or a float can be, slopes within 2 ulp of 1."""

import numpy as np
import pytest

import engine

LONG = np.longdouble
REFERENCE = {  # (φ, φ') in extended precision, without cancellation
    "tanh": (np.tanh, lambda x: 1 / np.cosh(np.clip(x, -5000, 5000)) ** 2),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * LONG(1)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (2 + np.exp(x) + np.exp(-x))),
    "identity": (lambda x: x, np.ones_like),
    "leaky_relu": (lambda x: np.where(x > 0, x, x / 100), lambda x: np.where(x > 0, LONG(1), LONG(1) / 100)),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), lambda x: np.exp(np.minimum(x, 0))),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    "hardtanh": (lambda x: np.clip(x, -1, 1), lambda x: (np.abs(x) < 1) * LONG(1)),
}


def points(dtype: str) -> np.ndarray:
    """4096 numbers: from the least normal one to 1e4, both signs, and dense around 1."""
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    decades = np.geomspace(info.tiny, 1e4, 1000)
    middle = rng.uniform(-20, 20, 4096 - 2 * len(decades) - 5)
    special = [0.0, 1.0 + info.eps, -1.0 - info.eps, 88.0, -745.0]
    return np.concatenate([decades, -decades, middle, special]).astype(dtype)


def values_and_slopes(nonlinearity: str, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, φ(x), φ'(x) of one unit each: one timestep, input 1, W_ih = x, head 1, so that ∂L/∂bias = φ'(x)·∂L/∂h."""
    x = points(dtype)
    e = engine.Experiment(hidden_size=len(x), nonlinearity=nonlinearity, dtype=dtype, batch_size=1, seq_length=2)
    zeros = np.zeros(len(x), dtype)
    weights = {
        "weight_ih_l0": x[:, None], "weight_hh_l0": np.zeros((len(x), len(x)), dtype), "bias_ih_l0": zeros,
        "bias_hh_l0": zeros, "head.weight": np.zeros((2, len(x)), dtype), "head.bias": np.array([1, 0], dtype),
    }  # fmt: skip
    weights["head.weight"][0] = 1
    inputs, targets = np.ones((1, 1, 1), dtype), np.zeros((1, 2), dtype)
    # out₀ = Σφ + 1 is not known beforehand, but ∂L/∂head.bias is ∂L/∂out₀, by which the slope is divided.
    trace = engine.probe(e, weights, inputs, targets)
    return x, trace.hidden[0, 1, 0], trace.grads["bias_ih_l0"].astype(LONG) / LONG(trace.grads["head.bias"][0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("nonlinearity", list(engine.ACTIVATIONS))
def test_values_and_slopes(nonlinearity, dtype):
    x, value, slope = values_and_slopes(nonlinearity, dtype)
    assert np.isfinite(value).all()
    with np.errstate(over="ignore"):
        exact_value, exact_slope = (f(x.astype(LONG)) for f in REFERENCE[nonlinearity])
    ulp = np.spacing(np.maximum(np.abs(exact_value), np.finfo(dtype).tiny).astype(dtype)).astype(LONG)
    off = np.abs(value.astype(LONG) - exact_value) / ulp
    below = np.abs(exact_value) < np.finfo(dtype).tiny  # subnormal numbers may be flushed to 0: they are slow
    assert (np.abs(value[below]) <= np.finfo(dtype).tiny).all()
    off[below] = 0
    worst = int(np.argmax(off))
    assert off[worst] <= 2, f"φ({x[worst]!r}) = {value[worst]!r} is {float(off[worst]):.3g} ulp off"
    off = np.abs(slope - exact_slope) / LONG(np.finfo(dtype).eps)
    worst = int(np.argmax(off))
    assert off[worst] <= 2, f"φ'({x[worst]!r}) = {slope[worst]!r} is {float(off[worst]):.3g} eps off"


@pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid", "softsign", "elu"])
def test_order_is_kept(nonlinearity):
    """A greater x never gives a smaller φ(x), beyond one rounding."""
    x, value, _ = values_and_slopes(nonlinearity, "float64")
    ordered = value[np.argsort(x)]
    assert (np.diff(ordered) >= -2 * np.spacing(np.abs(ordered[1:]))).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("nonlinearity", list(engine.ACTIVATIONS))
def test_nan_and_infinity_come_out_as_they_must(nonlinearity, dtype):
    """In the weights, as of a run that has diverged: NaN stays NaN, ±infinity gives the limit."""
    x = np.array([np.nan, np.inf, -np.inf, 1.0], dtype)
    e = engine.Experiment(hidden_size=4, nonlinearity=nonlinearity, dtype=dtype, batch_size=1, seq_length=2)
    weights = {name: np.zeros_like(w) for name, w in engine.probe(e).state_dict.items()} | {"bias_ih_l0": x}
    hidden = engine.probe(e, weights, np.ones((1, 1, 2)), np.zeros((1, 1))).hidden[0, 1, 0]
    limits = {
        "tanh": (1, -1), "relu": (np.inf, 0), "sigmoid": (1, 0), "identity": (np.inf, -np.inf),
        "leaky_relu": (np.inf, -np.inf), "elu": (np.inf, -1), "hardtanh": (1, -1),
    }  # fmt: skip
    assert np.isnan(hidden[0])
    if nonlinearity != "softsign":  # ∞/(1 + ∞) is NaN in PyTorch, too
        assert tuple(hidden[1:3]) == limits[nonlinearity]
    assert np.isfinite(hidden[3])
