"""Jacobians of one step, spectra of them and of their products: autograd, NumPy on short products, known answers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.instruments.jacobian_spectrum import henrici
from engine.instruments.jacobians import STEPS, Path, weights_of
from engine.instruments.products import Product
from tests import cases, torch_reference

KINDS = list(cases.KINDS)


def small(kind: str, **changes: object) -> engine.Experiment:
    return engine.Experiment(
        **cases.KINDS[kind], **({"hidden_size": 5, "batch_size": 3, "num_layers": 2, "seq_length": 6} | changes)
    )


def probed(kind: str, **changes: object) -> tuple[engine.Experiment, engine.Trace]:
    e = small(kind, **changes)
    return e, engine.probe(e, cases.state_dict(e, 2, 3), *cases.data(e, 6, False))


def by_autograd(e, t: engine.Trace, layer: int, step: int, sequence: int) -> tuple[np.ndarray, np.ndarray]:
    """∂s'/∂s and ∂s'/∂x of one step by PyTorch."""
    double = {name: torch.tensor(np.float64(value)) for name, value in t.state_dict.items()}
    w_ih, w_hh, b_ih, b_hh = (double[f"{n}_l{layer}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    states = [t.hidden] if t.cell is None else [t.hidden, t.cell]
    s = torch.tensor(np.concatenate([np.float64(x[layer, step, sequence]) for x in states]))
    x = torch.tensor(np.float64(t.hidden[layer - 1, step + 1, sequence] if layer else t.inputs[step, sequence]))

    def once(s: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        h, c = s[: e.hidden_size][None], s[e.hidden_size :][None]
        h, c, _ = torch_reference.CELLS[e.kind][1](
            torch.nn.functional.linear(x[None], w_ih, b_ih),
            lambda v: torch.nn.functional.linear(v, w_hh, b_hh), h, c, torch_reference.ACTIVATIONS[e.nonlinearity],
        )  # fmt: skip
        return torch.cat([h[0], c[0]])

    a, v = torch.autograd.functional.jacobian(once, (s, x))
    return a.numpy(), v.numpy()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("nonlinearity", list(engine.ACTIVATIONS))
@pytest.mark.parametrize("kind", KINDS)
def test_autograd_agrees(kind, nonlinearity, dtype):
    e, t = probed(kind, nonlinearity=nonlinearity, dtype=dtype)
    path, tolerance = Path(t), 1e-10 if dtype == "float64" else 1e-4
    for layer in range(2):
        for step in (0, 5):
            a, v = path.jacobian(layer, step, slice(None)), path.from_below(layer, step, slice(None))
            for sequence in (0, 2):
                expected = by_autograd(e, t, layer, step, sequence)
                cases.assert_close(a[sequence], expected[0], tolerance, "∂s'/∂s")
                cases.assert_close(v[sequence], expected[1], tolerance, "∂s'/∂x")


@pytest.mark.parametrize("nonlinearity", list(engine.ACTIVATIONS))
@pytest.mark.parametrize("kind", KINDS)
def test_own_step_is_the_engines(kind, nonlinearity):
    e, t = probed(kind, nonlinearity=nonlinearity)
    for layer, w in enumerate(weights_of(e.kind, nonlinearity, t.state_dict)):
        below = t.inputs if layer == 0 else t.hidden[layer - 1, 1:]
        for step in range(6):
            c = None if t.cell is None else t.cell[layer, step]
            made = STEPS[e.kind](w, below[step], t.hidden[layer, step], c)
            cases.assert_close(made.new_h, t.hidden[layer, step + 1], 1e-12, "h'")
            for name, gate in made.gates.items():
                cases.assert_close(gate, t.gates[name][layer, step], 1e-12, name)
            if t.cell is not None:
                cases.assert_close(made.new_c, t.cell[layer, step + 1], 1e-12, "c'")


# --- products


@settings(max_examples=80)
@given(size=st.integers(1, 7), count=st.integers(1, 6), rank=st.integers(0, 7), seed=st.integers(0, 999))
def test_short_products_are_numpys(size, count, rank, seed):
    rng = np.random.default_rng(seed)
    product, raw = Product(size), np.eye(size)
    for _ in range(count):
        j = (
            rng.normal(size=(size, size))
            * (rng.permutation(size) < max(rank, 1))[:, None]
            * 10.0 ** rng.integers(-3, 4)
        )
        product.times(j)
        raw = j @ raw
    expected = np.linalg.svd(raw, compute_uv=False)
    found = np.exp2(product.log2_singular_values())
    assert (np.diff(found) <= 1e-12 * found[0]).all()
    # The raw product has digits to 1e-16 of its largest singular value, times what each factor loses.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-11 * expected[0])


@pytest.mark.parametrize("factors", [[1.3] * 4, [2.0, 1.0, 0.5, 0.25], [1.0, 0.999, 0.998, 0.1], [1e3, 1.0, 1e-3, 0.2]])
@pytest.mark.parametrize("count", [10, 2000])
def test_long_products_of_known_singular_values(factors, count):
    """J_i = Q_i D Q_{i−1}ᵀ: the product is Q_n D^n Q_0ᵀ, far past the range of float64: 1e3^2000 beside 1e-3^2000."""
    rng, before, product = np.random.default_rng(0), np.eye(4), Product(4)
    for _ in range(count):
        after = np.linalg.qr(rng.normal(size=(4, 4)))[0]
        product.times(after @ np.diag(factors) @ before.T)
        before = after
    expected = np.sort(count * np.log2(factors))[::-1]
    # A factor is known to 1e-16 of its largest singular value, so the least of them to that over its share.
    spread = max(factors) / min(factors)
    np.testing.assert_allclose(product.log2_singular_values(), expected, rtol=0, atol=1e-14 * count * spread + 1e-9)


def test_exact_zeros_and_what_is_not_a_number():
    product = Product(3)
    for _ in range(500):
        product.times(np.diag([2.0, 0.0, 0.5]) @ np.ones((3, 3)))
    found = product.log2_singular_values()
    assert found[0] > 500
    assert (found[1:] == -np.inf).all()
    product.times(np.full((3, 3), np.nan))
    product.times(np.eye(3))
    assert np.isnan(product.log2_singular_values()).all()


# --- spectra


@pytest.mark.parametrize("kind", KINDS)
def test_spectra_along_a_pass(kind):
    _, t = probed(kind)
    spectrum, path = engine.jacobian_spectrum(t, sequence=1), Path(t)
    for layer in range(2):
        raw = np.eye(path.size)
        for k in reversed(range(6)):
            j = path.jacobian(layer, k, slice(None))[1]
            raw = raw @ j
            cases.assert_close(spectrum.singular_values[layer, k], np.linalg.svd(j, compute_uv=False), 1e-12, "J_t")
            expected = np.linalg.svd(raw, compute_uv=False)
            np.testing.assert_allclose(10 ** spectrum.log10_product[layer, k], expected, rtol=1e-6, atol=1e-13)
    some = engine.jacobian_spectrum(t, 1, most=3)
    assert list(some.at) == [1, 4, 6] or list(some.at) == [1, 3, 6]
    np.testing.assert_allclose(some.log10_product, spectrum.log10_product[:, some.at - 1], rtol=0, atol=1e-12)


def test_a_linear_orthogonal_network_has_one_singular_value():
    e = engine.Experiment(nonlinearity="identity", init="orthogonal", gain=0.2, hidden_size=8, seq_length=500)
    spectrum = engine.jacobian_spectrum(engine.probe(e))
    np.testing.assert_allclose(spectrum.singular_values, 0.2, rtol=1e-12)
    lags = np.arange(500, 0, -1)
    np.testing.assert_allclose(spectrum.log10_product[0], (lags * np.log10(0.2))[:, None] * np.ones(8), atol=1e-9)
    (w,) = spectrum.weights
    assert (w.rho, w.sigma, w.henrici) == pytest.approx((0.2, 0.2, 0.0), abs=1e-7)
    np.testing.assert_allclose(w.log10_powers, np.arange(51) * np.log10(0.2), atol=1e-9)


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru_before"])
def test_without_weights_a_state_is_kept_by_its_gate(kind):
    """∂c_T/∂c_0 = σ(b_f)^T in the LSTM, ∂h_T/∂h_0 = σ(b_z)^T in the GRU."""
    e = small(kind, num_layers=1, seq_length=40)
    weights = {name: np.zeros_like(w) for name, w in engine.probe(e).state_dict.items()}
    weights["bias_hh_l0"][5:10] = 1.5
    spectrum = engine.jacobian_spectrum(engine.probe(e, weights))
    kept = np.log10(1 / (1 + np.exp(-1.5)))
    expected = np.arange(40, 0, -1) * kept
    # LSTM: of (h, c) only c is kept, and h = o tanh c shows half of it once more: √(1 + ¼).
    shown = 0.5 * np.log10(1.25) if kind == "lstm" else 0.0
    np.testing.assert_allclose(spectrum.log10_product[0, :, 0], expected + shown, atol=1e-12)
    if kind == "lstm":
        assert (spectrum.log10_product[0, :, 5:] == -np.inf).all()
    assert np.isnan(spectrum.bound).all()


def test_silent_units_are_exact_zeros():
    """A relu that is silent takes a direction away: as many singular values are 0, and none is a rounding of it."""
    e = engine.Experiment(nonlinearity="relu", gain=1.6, seq_length=30)
    t = engine.probe(e)
    values = engine.jacobian_spectrum(t).singular_values[0]
    np.testing.assert_array_equal((values > 0).sum(axis=1), (t.hidden[0, 1:, 0] > 0).sum(axis=1))


@pytest.mark.parametrize(("nonlinearity", "slope"), [("tanh", 1.0), ("relu", 1.0), ("sigmoid", 0.25), ("elu", 1.0)])
@pytest.mark.parametrize("gain", [0.3, 1.0, 3.0])
def test_no_step_exceeds_the_bound(nonlinearity, slope, gain):
    e = engine.Experiment(nonlinearity=nonlinearity, gain=gain, seq_length=40, num_layers=2)
    t = engine.probe(e)
    spectrum = engine.jacobian_spectrum(t)
    sigma = [engine.sigma_max(t.state_dict[f"weight_hh_l{layer}"]) for layer in range(2)]
    np.testing.assert_allclose(spectrum.bound, slope * np.array(sigma), rtol=1e-12)
    assert (spectrum.singular_values <= spectrum.bound[:, None, None] * (1 + 1e-12)).all()
    lags = np.arange(40, 0, -1)
    most = lags * np.log10(spectrum.bound[:, None])
    assert (spectrum.log10_product[..., 0] <= most + 1e-9).all()


def test_henrici():
    assert henrici(np.diag([1.0, 2.0, -3.0])) == pytest.approx(0, abs=1e-7)
    assert henrici(np.array([[0.0, 5.0], [0.0, 0.0]])) == 1
    assert henrici(np.array([[1.0, 1.0], [0.0, 1.0]])) == pytest.approx(np.sqrt(1 / 3))
    assert henrici(np.zeros((3, 3))) == 0
    assert henrici(1e200 * np.array([[1.0, 1.0], [0.0, 1.0]])) == pytest.approx(np.sqrt(1 / 3))
    assert np.isnan(henrici(np.full((2, 2), np.inf)))


def test_powers_of_a_matrix_that_grows_before_it_decays():
    """W = [[½, 5], [0, ½]]: ρ = ½, but ‖W^k‖ is 5 at first."""
    w = np.array([[0.5, 5.0], [0.0, 0.5]])
    (found,) = engine.recurrent_weights("rnn", {"weight_hh_l0": w}, powers=2000)
    raw = [np.log10(np.linalg.norm(np.linalg.matrix_power(w, k), 2)) for k in range(40)]
    np.testing.assert_allclose(found.log10_powers[:40], raw, atol=1e-12)
    assert found.log10_powers.max() > 0.7
    k = np.arange(1, 2001)  # W^k = ½^k [[1, 10 k], [0, 1]]
    np.testing.assert_allclose(found.log10_powers[1000:], (np.log10(10 * k) - k * np.log10(2))[999:], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_run_is_shown_as_such(kind):
    e, t = probed(kind)
    weights = dict(t.state_dict) | {"weight_hh_l1": np.full_like(t.state_dict["weight_hh_l1"], np.nan)}
    spectrum = engine.jacobian_spectrum(engine.probe(e, weights, t.inputs, t.targets))
    assert np.isfinite(spectrum.singular_values[0]).all()
    assert np.isnan(spectrum.singular_values[1]).all()
    assert np.isnan(spectrum.log10_product[1]).all()
    assert np.isnan(spectrum.weights[-1].log10_powers[1:]).all()


def test_a_sequence_that_is_not_there():
    with pytest.raises(ValueError, match="sequence: 3; allowed: 0 to 2"):
        engine.jacobian_spectrum(probed("rnn")[1], 3)
