"""The laws of the science (SCIENCE.md §3) that hold exactly, measured through the public engine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad, simpson
from scipy.optimize import brentq

import engine
from tests import cases

STEPS_OF_FACTOR_02 = 2000 * np.log10(0.2)  # −1397.94: far below the least double, 5e-324


def weights_of(e: engine.Experiment, **changes: np.ndarray) -> dict[str, np.ndarray]:
    """The initial weights of `e` with some replaced."""
    return dict(engine.probe(e).state_dict) | {name.replace("head_", "head."): w for name, w in changes.items()}


def linear(gain: float, steps: int, **changes: object) -> engine.Trace:
    """A linear network with W_hh = gQ, loss at the last step; inputs 0, so that the states stay finite at any g."""
    fixed = {"nonlinearity": "identity", "init": "orthogonal", "hidden_size": 16, "batch_size": 4}
    e = engine.Experiment(**(fixed | {"gain": gain} | changes))
    return engine.probe(e, inputs=np.zeros((steps, 4, 2)), targets=np.arange(1.0, 5.0)[:, None])


# --- 1. ‖δ_k‖/‖δ_T‖ = g^(T−k) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.2, 0.5, 0.9, 1.0, 1.1, 2.0, 5.0])
@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-10), ("float32", 5e-4)])
def test_linear_network_changes_by_its_gain_each_step(gain, dtype, error):
    steps = 2001
    log10 = linear(gain, steps, dtype=dtype).log10_grad_norms[0]
    expected = np.arange(steps - 1, -1, -1) * np.log10(gain)
    np.testing.assert_allclose(log10 - log10[-1], expected, atol=error, rtol=0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_two_thousand_steps_of_a_fifth_read_ten_to_the_minus_1398(dtype):
    trace = linear(0.2, 2001, dtype=dtype)
    change = trace.log10_grad_norms[0, 0] - trace.log10_grad_norms[0, -1]
    assert change == pytest.approx(STEPS_OF_FACTOR_02, abs=1e-3)
    assert round(change) == -1398
    # The linear norm is what a double can hold of it: 0 past the range, and the same number within.
    within = trace.log10_grad_norms[0] > -300
    assert trace.grad_norms[0, 0] == 0.0
    np.testing.assert_allclose(np.log10(trace.grad_norms[0, within]), trace.log10_grad_norms[0, within], atol=1e-12)
    assert trace.non_finite is None


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_explosion_past_the_range_is_as_exact(dtype):
    trace = linear(5.0, 2001, dtype=dtype)
    change = trace.log10_grad_norms[0, 0] - trace.log10_grad_norms[0, -1]
    assert change == pytest.approx(-STEPS_OF_FACTOR_02, abs=1e-3)
    assert trace.grad_norms[0, 0] == np.inf
    assert np.isfinite(trace.grad_norms[0, -10:]).all()
    assert engine.verdict(trace.log10_grad_norms[0]).kind == "exploding"


def test_three_linear_layers_carry_the_exponent_too():
    """A lower layer gets its gradient from above and from later: g^(T−k) times a polynomial in T−k."""
    log10 = linear(0.1, 1000, num_layers=3).log10_grad_norms
    slopes = (log10[:, 0] - log10[:, 500]) / 500
    np.testing.assert_allclose(slopes[2], np.log10(0.1), atol=1e-10)
    assert (np.abs(slopes[:2] - np.log10(0.1)) < 0.02).all()
    assert np.isfinite(log10).all()


def test_a_relu_that_dies_gives_exactly_no_gradient():
    e = engine.Experiment(nonlinearity="relu", seq_length=10)
    dead = weights_of(e, bias_ih_l0=np.full(32, -100.0))
    trace = engine.probe(e, dead)
    assert (trace.grad_norms[0, :-1] == 0).all()
    assert (trace.log10_grad_norms[0, :-1] == -np.inf).all()
    assert trace.grad_norms[0, -1] > 0


# --- 2. ‖J_t‖ ≤ σ_max(W_hh), of sigmoid σ_max/4 ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("gain", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("nonlinearity", "slope"), [("tanh", 1.0), ("relu", 1.0), ("sigmoid", 0.25)])
def test_no_step_back_gains_more_than_sigma_max(nonlinearity, slope, gain, seed):
    e = engine.Experiment(nonlinearity=nonlinearity, gain=gain, batch_size=1, seq_length=40, seed=seed)
    trace = engine.probe(e)
    sigma = np.linalg.svd(trace.state_dict["weight_hh_l0"], compute_uv=False)[0]
    norms = trace.log10_grad_norms[0]
    assert (norms[:-1] - norms[1:] <= np.log10(slope * sigma) + 1e-12).all()


def test_the_bound_is_reached():
    """δ along the greatest singular vector, in a linear network: the bound is not merely safe."""
    e = engine.Experiment(nonlinearity="identity", batch_size=1, seq_length=2, hidden_size=8, gain=1.5)
    w = engine.probe(e).state_dict["weight_hh_l0"]
    left, sigma, _ = np.linalg.svd(w)
    norms = engine.probe(e, weights_of(e, head_weight=left[:, :1].T)).log10_grad_norms[0]
    assert norms[0] - norms[1] == pytest.approx(np.log10(sigma[0]), abs=1e-12)


def test_spectra_are_numpys():
    w = np.random.default_rng(0).normal(size=(20, 20))
    assert engine.sigma_max(w) == pytest.approx(np.linalg.norm(w, 2), rel=1e-12)
    assert engine.spectral_radius(w) == pytest.approx(np.abs(np.linalg.eigvals(w)).max(), rel=1e-12)


# --- 3. zero weights: ∂c_T/∂c_0 = σ(b_f)^T, ∂h_T/∂h_0 = σ(b_z)^T ----------------------------------------------------


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("bias", [-2.0, 0.0, 1.0, 5.0])
def test_lstm_without_recurrent_weights_forgets_by_its_forget_gate(bias):
    """c is reached by the input of one timestep k only: then ∂L/∂W_ih of the candidate is ∝ ∂c_T/∂c_k."""
    steps, units = 60, 4
    e = engine.Experiment(cell="lstm", hidden_size=units, batch_size=1, seq_length=steps)
    zeros = {name: np.zeros_like(w) for name, w in engine.probe(e).state_dict.items()}
    forget = np.zeros(4 * units)
    forget[units : 2 * units] = bias
    weights = zeros | {"bias_ih_l0": forget, "head.weight": np.ones((1, units))}

    def sensitivity(k: int) -> float:
        inputs = np.zeros((steps, 1, 2))
        inputs[k] = 1.0
        trace = engine.probe(e, weights, inputs, np.ones((1, 1)))
        np.testing.assert_allclose(trace.gates["f"], sigmoid(bias), rtol=1e-14)
        return float(trace.grads["weight_ih_l0"][2 * units, 0])

    last = sensitivity(steps - 1)
    for k in (0, 1, 30, 58):
        assert sensitivity(k) / last == pytest.approx(sigmoid(bias) ** (steps - 1 - k), rel=1e-12)
    # Nothing reaches h_t, t < T: with W_hh = 0 the memory c is the only way through time.
    assert (engine.probe(e, weights).log10_grad_norms[0, :-1] == -np.inf).all()


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("bias", [-3.0, 0.0, 2.0, 6.0])
@pytest.mark.parametrize("steps", [50, 3000])
def test_gru_without_weights_forgets_by_its_update_gate(bias, steps, reset_after):
    e = engine.Experiment(cell="gru", reset_after=reset_after, hidden_size=4, batch_size=2, seq_length=steps)
    zeros = {name: np.zeros_like(w) for name, w in engine.probe(e).state_dict.items()}
    update = np.zeros(12)
    update[4:8] = bias
    log10 = engine.probe(e, zeros | {"bias_hh_l0": update, "head.weight": np.ones((1, 4))}).log10_grad_norms[0]
    expected = np.arange(steps - 1, -1, -1) * np.log10(sigmoid(bias))
    np.testing.assert_allclose(log10 - log10[-1], expected, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("gain", [0.1, 30.0])
def test_gru_with_an_open_reset_gate_turns_and_scales(gain, dtype):
    """r = 1, z = σ(0) = ½, n = gQh, Q a quarter turn: at h = 0 J = (I + gQ)/2 in both forms, √(1 + g²)/2 · rotation."""
    steps, units = 2001, 4
    quarter_turn = np.kron(np.eye(2), [[0.0, -1.0], [1.0, 0.0]])
    for reset_after in (True, False):
        e = engine.Experiment(
            cell="gru", reset_after=reset_after, nonlinearity="identity", hidden_size=units, batch_size=2, dtype=dtype
        )
        weights = {name: np.zeros_like(w) for name, w in engine.probe(e).state_dict.items()}
        weights["weight_hh_l0"][2 * units :] = gain * quarter_turn
        weights["bias_ih_l0"][:units] = 800.0
        weights["head.weight"] = np.ones((1, units))
        log10 = engine.probe(e, weights, np.zeros((steps, 2, 2)), np.ones((2, 1))).log10_grad_norms[0]
        expected = np.arange(steps - 1, -1, -1) * np.log10(np.hypot(1, gain) / 2)
        np.testing.assert_allclose(log10 - log10[-1], expected, atol=1e-10 if dtype == "float64" else 5e-4)


def test_forget_bias_is_the_effective_one():
    for init in (name for name, row in engine.INITS.items() if row.bias is None):
        e = engine.Experiment(cell="lstm", init=init, forget_bias=2.5, hidden_size=6, num_layers=2)
        weights = engine.probe(e).state_dict
        for layer in range(2):
            effective = (weights[f"bias_ih_l{layer}"] + weights[f"bias_hh_l{layer}"])[6:12]
            np.testing.assert_allclose(effective, 2.5, rtol=1e-14, err_msg=init)


# --- Initialisers: what each promises -------------------------------------------------------------------------------


def blocks(kind: str, init: str, units: int = 200) -> list[np.ndarray]:
    e = engine.Experiment(**cases.KINDS[kind], init=init, gain=1.0, hidden_size=units, seq_length=2, batch_size=1)
    w = engine.probe(e).state_dict["weight_hh_l0"]
    return [w[k : k + units] for k in range(0, len(w), units)]


@pytest.mark.parametrize("kind", cases.KINDS)
def test_initialisers_by_gate(kind):
    for w in blocks(kind, "orthogonal"):
        np.testing.assert_allclose(w @ w.T, np.eye(200), atol=1e-12)
    for w in blocks(kind, "identity"):
        np.testing.assert_array_equal(w, np.eye(200))
    for init, deviation, limit in (
        ("pytorch", np.sqrt(1 / 3 / 200), np.sqrt(1 / 200)),
        ("xavier_uniform", np.sqrt(2 / 400), np.sqrt(6 / 400)),
        ("xavier_normal", np.sqrt(2 / 400), np.inf),
        ("normal", np.sqrt(1 / 200), np.inf),
    ):
        for w in blocks(kind, init):
            assert w.std() == pytest.approx(deviation, rel=0.02), init
            assert abs(w.mean()) < 4 * deviation / 200, init
            assert np.abs(w).max() <= limit, init
            if np.isfinite(limit):
                assert np.abs(w).max() > 0.99 * limit, init
    first, *others = blocks(kind, "normal")
    assert all(np.any(first != other) for other in others), "each gate has a draw of its own"


def test_pytorchs_initialiser_vanishes_by_construction():
    assert engine.spectral_radius(blocks("rnn", "pytorch", 400)[0]) == pytest.approx(1 / np.sqrt(3), abs=0.03)


# --- 7 and 8. mean field --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variance", "critical"), [(0.0, 1.0), (0.01, 1.193), (0.1, 1.409), (1.0, 1.856)])
def test_critical_gain_with_input(variance, critical):
    assert engine.mean_field(gain=critical - 5e-4, input_variance=variance).chi < 1
    assert engine.mean_field(gain=critical + 5e-4 + 1e-9, input_variance=variance).chi > 1


@pytest.mark.parametrize(("gain", "chi"), [(1.5, 1.1393), (2.0, 1.3627), (3.0, 1.8599)])
def test_mean_field_without_input(gain, chi):
    found = engine.mean_field(gain=gain, input_variance=0.0)
    assert found.chi == pytest.approx(chi, abs=5e-5)
    assert found.lyapunov == pytest.approx(0.5 * np.log(chi), abs=1e-4)
    assert found.memory_length == pytest.approx(1 / np.log(chi), rel=1e-3)
    assert found.slope == pytest.approx(0.5 * np.log10(chi), abs=1e-4)


@pytest.mark.parametrize("variance", [0.0, 0.05, 2.0])
@pytest.mark.parametrize("gain", [0.5, 1.2, 2.0, 3.0, 5.0])
def test_mean_field_is_the_integral(gain, variance):
    """q = g² E tanh²(√q z) + s² and χ = g² E sech⁴(√q z) by adaptive quadrature and root finding."""

    def mean(f):
        density = np.sqrt(2 / np.pi)  # of |z|
        return quad(lambda z: density * np.exp(-z * z / 2) * f(z), 0, 12, points=[0.1, 0.5, 2], limit=200)[0]

    def residual(q):
        return gain**2 * mean(lambda z: np.tanh(np.sqrt(q) * z) ** 2) + variance - q

    q = 0.0 if gain <= 1 and variance == 0 else brentq(residual, 1e-3, gain**2 + variance + 1, xtol=1e-13)
    chi = gain**2 * mean(lambda z: np.cosh(np.sqrt(q) * z) ** -4.0)
    found = engine.mean_field(gain=gain, input_variance=variance)
    assert found.q == pytest.approx(q, abs=1e-6)
    assert found.chi == pytest.approx(chi, abs=1e-6)


@pytest.mark.parametrize(("nonlinearity", "gain"), [("tanh", 0.7), ("tanh", 1.3), ("identity", 0.8), ("relu", 1.2)])
def test_mean_field_is_what_a_wide_network_does(nonlinearity, gain):
    """The slope in decades per step back, measured where the theory applies: H = 400, away from both ends."""
    e = engine.Experiment(
        nonlinearity=nonlinearity, gain=gain, hidden_size=400, batch_size=16, seq_length=60, init="normal"
    )
    theory = engine.mean_field(e)
    assert theory.applies, theory.reason
    log10 = engine.probe(e).log10_grad_norms[0]
    measured = (log10[20] - log10[50]) / 30
    assert measured == pytest.approx(theory.slope, abs=0.012)


# --- The mean field against networks of 1024 units, by the engine and by plain NumPy --------------------------------

WIDE, LONG = 1024, 45


def wide(nonlinearity: str, init: str, gain: float, deviation: float) -> tuple[engine.Experiment, dict, np.ndarray]:
    """A network that hears points of a circle, and so at every step variance deviation² over the units."""
    e = engine.Experiment(
        nonlinearity=nonlinearity, init=init, gain=gain, hidden_size=WIDE, seq_length=LONG, batch_size=8
    )
    rng = np.random.default_rng(1)
    weights = weights_of(e, weight_ih_l0=deviation * rng.normal(size=(WIDE, 2)))
    weights |= {f"bias_{way}_l0": np.zeros(WIDE) for way in ("ih", "hh")}
    angle = rng.uniform(0, 2 * np.pi, (LONG, 8))
    return e, weights, np.stack([np.cos(angle), np.sin(angle)], axis=2)


def factor(log_norms: np.ndarray) -> float:
    """The factor of ‖δ‖² by one step back, away from both ends. log_norms: (T,) natural logarithms of ‖δ‖."""
    t = np.arange(15, 40)
    return float(np.exp(-2 * np.polyfit(t, log_norms[t], 1)[0]))


@pytest.mark.parametrize(
    ("nonlinearity", "init", "gain", "deviation"),
    [
        ("tanh", "normal", 0.8, 0.3), ("tanh", "normal", 1.3, 0.5), ("tanh", "normal", 2.0, 1.0),
        ("tanh", "orthogonal", 1.3, 0.5), ("relu", "normal", 1.2, 0.5), ("relu", "orthogonal", 1.2, 0.5),
        ("identity", "normal", 0.9, 0.5), ("identity", "normal", 1.2, 0.5),
    ],
)  # fmt: skip
def test_wide_networks_keep_to_the_mean_field(nonlinearity, init, gain, deviation):
    e, weights, inputs = wide(nonlinearity, init, gain, deviation)
    theory = engine.mean_field(gain=gain, input_variance=deviation**2, nonlinearity=nonlinearity)
    closed = {"relu": gain**2 / 2, "identity": gain**2}
    assert theory.chi == pytest.approx(closed.get(nonlinearity, theory.chi), rel=1e-12)
    engines = engine.probe(e, weights, inputs, np.ones((8, 1))).log10_grad_norms[0] * np.log(10)
    # The same by hand: h_t = φ(W h_{t-1} + V x_t), δ_{t-1} = (δ_t ∘ φ'(a_t)) W.
    act = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0), "identity": lambda a: a}[nonlinearity]
    slope = {"tanh": lambda a: 1 - np.tanh(a) ** 2, "relu": lambda a: a > 0, "identity": np.ones_like}[nonlinearity]
    w, v, h, before = weights["weight_hh_l0"], weights["weight_ih_l0"], np.zeros((8, WIDE)), []
    for x in inputs:
        before.append(h @ w.T + x @ v.T)
        h = act(before[-1])
    delta, norms = np.tile(weights["head.weight"], (8, 1)), np.zeros(LONG)
    for t in range(LONG - 1, -1, -1):
        norms[t] = np.linalg.norm(delta, axis=1).mean()
        delta = (delta * slope(before[t])) @ w
    # Neither is exact at 1024 units: the size of W^k v wanders about that of the theory by some 1/√H a step.
    assert factor(engines) == pytest.approx(theory.chi, rel=0.03)
    assert factor(np.log(norms)) == pytest.approx(theory.chi, rel=0.03)


@given(gain=st.floats(0.0, 30.0), variance=st.floats(0.0, 30.0))
def test_the_variance_of_the_mean_field_is_a_fixed_point(gain, variance):
    """q* = g² E tanh² + s² by Simpson's rule, and no greater one is: above it the variance shrinks."""
    found = engine.mean_field(gain=gain, input_variance=variance)
    z = np.linspace(-12, 12, 20_001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)

    def after(q: float) -> float:
        return gain**2 * float(simpson(density * np.tanh(np.sqrt(q) * z) ** 2, x=z)) + variance

    assert after(found.q) == pytest.approx(found.q, rel=1e-9, abs=1e-12)
    assert after(1.01 * found.q + 0.01) < 1.01 * found.q + 0.01
    assert 0 <= found.chi <= gain**2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"init": "identity"}, "identity"), ({"init": "smart_tanh"}, "smart_tanh"), ({"hidden_size": 8}, "units"),
        ({"num_layers": 2}, "layers"), ({"input_init": "zeros", "init": "normal"}, "without input"),
        ({"task": "digits_rows"}, "timesteps"), ({"seq_length": 20}, "timesteps"), ({"tbptt": 30}, "truncated"),
        ({"task": "digits_pixels", "input_init": "normal"}, "size changes"),
    ],
    ids=str,
)  # fmt: skip
def test_mean_field_says_where_it_does_not_apply(changes, reason):
    found = engine.mean_field(engine.Experiment(**changes))
    assert not found.applies
    assert reason in found.reason
    assert np.isfinite(found.chi), "what it would say all the same"


@pytest.mark.parametrize("changes", [{"cell": "lstm"}, {"cell": "gru"}, {"nonlinearity": "sigmoid"}], ids=str)
def test_there_is_no_mean_field_of_gates_and_other_activations(changes):
    found = engine.mean_field(engine.Experiment(**changes))
    assert not found.applies
    assert found.reason.startswith("not for")
    assert np.isnan([found.chi, found.slope, found.lyapunov, found.memory_length]).all()


@pytest.mark.parametrize(
    "changes", [{}, {"init": "orthogonal"}, {"init": "keras"}, {"task": "parity"}, {"tbptt": 100}], ids=str
)
def test_mean_field_applies(changes):
    found = engine.mean_field(engine.Experiment(**changes))
    assert (found.applies, found.reason) == (True, "")


@pytest.mark.parametrize("init", [name for name, row in engine.INITS.items() if row.spread is not None])
def test_spread_is_the_variance_of_the_weights(init):
    e = engine.Experiment(init=init, hidden_size=200, gain=1.0)
    w = engine.probe(e).state_dict["weight_hh_l0"]
    assert w.mean() == pytest.approx(0, abs=5 * w.std() / 200)
    assert 200 * w.var() == pytest.approx(engine.INITS[init].spread(200), rel=0.03)


@pytest.mark.parametrize("name", list(engine.INITS))
def test_mean_field_takes_every_initialiser(name):
    """Of the input side too: a theory, or a reason why there is none."""
    for e in (engine.Experiment(input_init=name), engine.Experiment(init=name)):
        found = engine.mean_field(e)
        assert np.isfinite(found.chi) if found.applies else found.reason
