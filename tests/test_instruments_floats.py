"""The floating point lens: against autograd in each type, the naive twin, and powers of two, which are exact."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.instruments.floats import CLASSES, DTYPES, _counted, _seen, in_pieces
from tests import cases, naive, torch_reference

KINDS = list(cases.KINDS)


def small(kind: str, **changes: object) -> engine.Experiment:
    sizes = {"hidden_size": 5, "batch_size": 3, "num_layers": 2, "seq_length": 9, "task": "sine"}
    return engine.Experiment(**cases.KINDS[kind], **(sizes | changes))


@cache
def one_unit(factor: float, steps: int) -> engine.FloatingPoint:
    """h' = factor · h from 0, a loss at the end with ∂L/∂h_T = 1: then δ_t = factor^(T−t), a power of two exactly."""
    e = engine.Experiment(nonlinearity="identity", hidden_size=1, batch_size=1, seq_length=steps)
    w = {name: np.zeros_like(value) for name, value in engine.probe(e).state_dict.items()}
    w["weight_hh_l0"][:] = factor
    w["head.weight"][:], w["head.bias"][:] = 1, 0.5
    return engine.floats(e, w, np.zeros((steps, 1, 2)), np.zeros((1, 1)))


# --- closed forms


@pytest.mark.parametrize(("dtype", "least", "tiny"), [("float32", 126, 149), ("float64", 1022, 1074)])
def test_a_half_each_step_ends_where_the_type_ends(dtype, least, tiny):
    found = one_unit(0.5, 1200)
    seen, back = getattr(found, dtype), np.arange(1200)[::-1]
    np.testing.assert_allclose(found.log10_norms[0], -back * np.log10(2.0), atol=1e-9)
    alive = back <= tiny
    np.testing.assert_array_equal(seen.exponents[0, alive], -np.stack([back[alive]] * 3, axis=1))
    assert np.isnan(seen.exponents[0, ~alive]).all()
    for name, expected in (("normal", back <= least), ("subnormal", (back > least) & alive), ("zero", ~alive)):
        np.testing.assert_array_equal(seen.shares[0, :, CLASSES.index(name)], expected)
    assert found.silent(dtype) == 1200 - (tiny + 1)
    assert seen.non_finite is None


def test_a_doubling_each_step_ends_in_infinity():
    found = one_unit(2.0, 1100)
    np.testing.assert_array_equal(found.float32.shares[0, :, CLASSES.index("infinite")], np.arange(1100)[::-1] >= 128)
    np.testing.assert_array_equal(found.float64.shares[0, :, CLASSES.index("infinite")], np.arange(1100)[::-1] >= 1024)
    assert found.float32.non_finite == f"gradient of hidden_l0 at t = {1100 - 128}"
    assert found.float64.non_finite == f"gradient of hidden_l0 at t = {1100 - 1024}"
    np.testing.assert_allclose(found.log10_norms[0, 0], 1099 * np.log10(2.0), rtol=1e-12)


def test_forward_overflow_has_a_name_and_a_step():
    """h_t = 2^(t−1) from one input of 1: past float32 at t = 129, while float64 holds 2^129."""
    e = engine.Experiment(nonlinearity="identity", hidden_size=1, batch_size=1, seq_length=140)
    w = {name: np.zeros_like(value) for name, value in engine.probe(e).state_dict.items()}
    w["weight_hh_l0"][:], w["weight_ih_l0"][:], w["head.weight"][:] = 2, 1, 1
    inputs = np.zeros((140, 1, 2))
    inputs[0, 0, 0] = 1
    found = engine.floats(e, w, inputs, np.zeros((1, 1)))
    assert found.float32.non_finite == "hidden_l0 at t = 129"
    assert found.float64.non_finite is None
    assert np.isinf(found.float32.loss)
    assert found.float64.loss == 2.0**278


def test_a_part_below_half_a_unit_of_the_last_digit_changes_nothing():
    total = np.array([1.0, 1.0, 1.0, 0.0], np.float32)
    part = np.array([2.0**-24, 2.0**-26, 0.0, 2.0**-149], np.float32)
    assert _counted(total, part) == 0.5  # below 1 a unit of the last digit is 2^−24
    assert _counted(total.astype(np.float64), part.astype(np.float64)) == 0.75
    assert np.isnan(_counted(np.array([1.0, np.nan]), np.zeros(2)))


# --- against the naive twin, the engine, and autograd in the same type


@pytest.mark.parametrize("tbptt", [None, 4])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "elu"])
@pytest.mark.parametrize("kind", KINDS)
def test_in_float64_it_is_the_same_pass(kind, nonlinearity, tbptt):
    e = small(kind, nonlinearity=nonlinearity, tbptt=tbptt)
    weights = cases.state_dict(e, 2, 3)
    inputs, targets = cases.data(e, 9, every_step=True)
    found, t = engine.floats(e, weights, inputs, targets), engine.probe(e, weights, inputs, targets)
    twin = naive.run(e.kind, nonlinearity, e.loss_name, weights, inputs, targets, True, tbptt)
    cases.assert_same_tensors(found.float64.grads, twin.grads, 1e-12)
    np.testing.assert_allclose(found.float64.log10_norms, np.log10(twin.grad_norms), atol=1e-11)
    np.testing.assert_allclose(found.float64.log10_norms, t.log10_grad_norms, atol=1e-11)
    cases.assert_same_tensors(found.float32.grads, twin.grads, 1e-5)  # 2^−24 a product, some hundred of them
    assert found.float64.loss == pytest.approx(twin.loss, rel=1e-12)


def test_embedded_symbols():
    e = engine.Experiment(task="text", embedding_dim=3, hidden_size=5, batch_size=3, seq_length=9)
    t = engine.probe(e)
    cases.assert_same_tensors(engine.floats(e).float64.grads, t.grads, 1e-12)


def autograd(e: engine.Experiment, t: engine.Trace, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """δ_t (L, T, B, H), and ∂L/∂W_hh of the top layer by timestep (T, k·H, H), in this type."""
    e = e.replace(dtype=dtype)
    weights = {name: value.astype(dtype) for name, value in t.state_dict.items()}
    model = torch_reference.Model(e, weights)
    used: list[torch.Tensor] = []
    step, last = model.step, {"n": 0}

    def own_copy(zx, zh, h, c, phi):  # every step of the top layer has its own W_hh
        last["n"] += 1
        if last["n"] > (e.num_layers - 1) * e.steps:
            w = zh.keywords["weight"].clone()
            w.retain_grad()
            used.append(w)
            zh = type(zh)(zh.func, **(zh.keywords | {"weight": w}))
        return step(zx, zh, h, c, phi)

    model.step = own_copy
    found = model.unrolled(torch.tensor(t.inputs.astype(dtype)), e.nonlinearity, e.tbptt)
    targets = torch.tensor(t.targets.astype(dtype) if t.targets.dtype.kind == "f" else np.array(t.targets))
    every_step = engine.TASKS[e.task].every_step
    read = torch.stack(found.hidden[-1][1:]) if every_step else found.hidden[-1][-1]
    torch_reference.loss_of(e.loss_name, model.head(read), targets).backward()
    deltas = np.array([[h.grad.numpy() for h in layer[1:]] for layer in found.hidden])
    return deltas, np.stack([w.grad.numpy() for w in used])


VANISHING = [(kind, dtype) for kind in KINDS for dtype in DTYPES]


@pytest.mark.parametrize(("kind", "dtype"), VANISHING)
def test_it_dies_where_autograd_dies(kind, dtype):
    """Weights that shrink a gradient by some decades a step: subnormal, then zero, at the same steps as in PyTorch."""
    e = small(kind, seq_length=60 if dtype == "float32" else 340, task="adding", gain=1.0, forget_bias=-4.0)
    weights = {name: w * (0.05 if "hh" in name or "ih" in name else 1) for name, w in cases.state_dict(e, 2, 1).items()}
    for name in weights:
        if name.startswith("bias_ih") and kind != "rnn":
            weights[name][:] = -6.0 if kind == "lstm" else -5.0  # gates are closed: little is kept
    t = engine.probe(e, weights)
    found = getattr(engine.floats(e, weights), dtype)
    deltas, _ = autograd(e, t, dtype)
    tiny = np.finfo(dtype).tiny
    for layer in range(e.num_layers):
        zero, subnormal = (deltas == 0)[layer].mean((1, 2)), ((abs(deltas) < tiny) & (deltas != 0))[layer].mean((1, 2))
        assert (zero == 1).any()
        assert (zero == 0).any()
        for theirs, name in ((zero, "zero"), (subnormal, "subnormal")):
            ours = found.shares[layer, :, CLASSES.index(name)]
            # The last digit of a subnormal number depends on the order of a sum: a component may be one step off.
            assert (ours <= np.maximum.reduce([theirs, np.roll(theirs, 1), np.roll(theirs, -1)]) + 0.21).all()
            assert (theirs <= np.maximum.reduce([ours, np.roll(ours, 1), np.roll(ours, -1)]) + 0.21).all()
        last_ours = np.flatnonzero(found.shares[layer, :, CLASSES.index("zero")] == 1)[-1]
        assert abs(last_ours - np.flatnonzero(zero == 1)[-1]) <= 1
        normal = found.shares[layer, :, 0] == 1
        norms = np.sqrt((deltas[layer].astype(np.longdouble) ** 2).sum(-1)).mean(-1)
        np.testing.assert_allclose(
            found.log10_norms[layer, normal], np.log10(norms[normal]).astype(float), atol=1e-4, rtol=1e-5
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_that_count(kind):
    e = small(kind, seq_length=40, task="adding", dtype="float32", num_layers=2)
    weights = {n: (0.3 * w if "_hh_" in n else w).astype(np.float32) for n, w in cases.state_dict(e, 2, 1).items()}
    if kind.startswith("gru"):
        weights["bias_ih_l1"][5:10] = -4.0  # z: the state is not kept
    t, found = engine.probe(e, weights), engine.floats(e, weights)
    for dtype in DTYPES:
        parts = autograd(e, t, dtype)[1]
        total = parts[::-1].sum(axis=0, dtype=dtype)
        expected = (total - parts != total).mean(axis=(1, 2))
        counted = getattr(found, dtype).counted[-1]
        assert np.isnan(counted[0])
        np.testing.assert_allclose(counted[1:], expected[1:], atol=0.1)  # a tie of the last digit falls either way
    counted = found.float32.counted[-1]
    assert counted[1:].min() < 0.1
    assert counted[-1] > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_exploding_in_float32(kind):
    e = small(kind, seq_length=300, task="adding", nonlinearity="identity" if kind == "rnn" else "tanh")
    weights = cases.state_dict(e, 2, 1, rho=4.0 if kind == "rnn" else 60.0)
    found, t = engine.floats(e, weights), engine.probe(e, weights)
    with np.errstate(over="ignore", invalid="ignore"):
        theirs = autograd(e, t, "float32")[0]
    ours = found.float32.shares[..., CLASSES.index("infinite") :].sum(-1)
    if kind == "rnn":
        assert (ours == 1).any()
        assert str(found.float32.non_finite).startswith("hidden_l")
    lost = ~np.isfinite(theirs)
    assert (np.abs((ours == 1).sum(1) - lost.all((2, 3)).sum(1)) <= 2).all()


# --- counting, one by one

NUMBERS = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, 1e-45, -1e-40, np.inf, -np.inf, np.nan, 1.0]))


@settings(max_examples=150)
@given(st.lists(NUMBERS, min_size=6, max_size=6), st.sampled_from(DTYPES))
def test_every_component_has_one_class(numbers, dtype):
    with np.errstate(over="ignore"):
        delta = np.array(numbers, dtype).reshape(2, 3)
    exponents, shares, log10 = _seen(delta)
    names = []
    for x in delta.ravel():
        names.append(
            "nan" if x != x else "infinite" if abs(x) == np.inf else "zero" if x == 0
            else "subnormal" if abs(x) < np.finfo(dtype).tiny else "normal"
        )  # fmt: skip
    assert [round(6 * share) for share in shares] == [names.count(name) for name in CLASSES]
    sizes = sorted(abs(float(x)) for x, name in zip(delta.ravel(), names, strict=True) if name.endswith("normal"))
    if sizes:
        assert 2.0 ** exponents[0] <= sizes[0] < 2.0 ** (exponents[0] + 1)
        assert 2.0 ** exponents[2] <= sizes[-1]
    norm = np.mean(np.sqrt(np.sum(delta.astype(np.longdouble) ** 2, axis=1)))
    np.testing.assert_allclose(log10, float(np.log10(norm)) if norm else -np.inf, rtol=1e-12, atol=1e-12)


# --- lost runs, and manners


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_run_is_shown_as_such(kind, dtype):
    e = small(kind, dtype=dtype)
    weights = dict(engine.probe(e).state_dict)
    weights["weight_hh_l1"] = np.full_like(weights["weight_hh_l1"], np.nan)
    found = engine.floats(e, weights)
    for name in DTYPES:
        seen = getattr(found, name)
        assert seen.non_finite == "weight_hh_l1"
        # What comes down from a layer of NaN is NaN.
        assert (seen.shares[0, :, CLASSES.index("nan")] == 1).all()
        assert np.isnan(seen.counted).all()
        assert np.isnan(seen.log10_norms[0]).all()


def test_weights_past_float32_are_named():
    e = small("rnn", num_layers=1)
    weights = dict(engine.probe(e).state_dict)
    weights["weight_ih_l0"] = np.full_like(weights["weight_ih_l0"], 1e60)
    found = engine.floats(e, weights)
    assert found.float32.non_finite == "weight_ih_l0"
    assert found.float64.non_finite is None


def test_numpys_error_state_is_the_callers():
    e = small("lstm", seq_length=4)
    with np.errstate(all="raise"):
        expected = np.geterr()
        for _ in in_pieces(e, engine.probe(e)):
            assert np.geterr() == expected


def test_zeros_are_counted():
    """A dead layer of ReLU: no weight of it has a gradient, but the head's bias has."""
    e = small("rnn", nonlinearity="relu", num_layers=1)
    weights = dict(engine.probe(e).state_dict)
    weights["bias_ih_l0"] = np.full_like(weights["bias_ih_l0"], -100.0)
    zeros = engine.floats(e, weights).float32.zeros
    assert zeros["weight_hh_l0"] == zeros["head.weight"] == 1.0
    assert zeros["head.bias"] == 0.0
