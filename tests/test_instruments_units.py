"""One unit and two: laws, closed forms, and the same numbers found by plainer ways."""

from math import log, sqrt, tanh

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import engine
from engine.instruments.jacobians import NUMPY
from engine.instruments.one_unit import latch
from engine.instruments.two_units import LEAVES, WANDERS

# --- one unit


@pytest.mark.parametrize("w", [1.01, 1.5, 2.0, 5.0, 20.0])
def test_the_latch_holds_up_to_the_law(w):
    """SCIENCE §3.6: |u| < √(w(w−1)) − log(√w + √(w−1))."""
    law = sqrt(w * (w - 1)) - log(sqrt(w) + sqrt(w - 1))
    assert float(latch(w)) == pytest.approx(law, rel=1e-13)
    for u in (law * (1 - 1e-6), -law * (1 - 1e-6)):
        found = engine.one_unit(w, u)
        assert found.stable.tolist() == [True, False, True]
        assert found.latch > abs(u)
    for u in (law * (1 + 1e-6), -law * (1 + 1e-6)):
        assert engine.one_unit(w, u).stable.tolist() == [True]


def test_the_latch_of_two():
    assert float(latch(2.0)) == pytest.approx(0.53284, abs=5e-6)
    assert np.isnan(latch([0.5, 1.0, -3.0])).all()


@given(st.floats(-12, 12), st.floats(-8, 8))
def test_whatever_rests_is_found(a, w):
    """Any a* is a fixed point for u = a* − w tanh(a*), with slope w sech²(a*)."""
    u = a - w * tanh(a)
    found = engine.one_unit(w, u)
    i = np.abs(found.points - a).argmin()
    flat = abs(1 - w * (1 - tanh(a) ** 2))  # two points that meet: the digits of each are half
    assert abs(found.points[i] - a) < 1e-6 + 1e-13 / max(flat, 1e-7)
    assert found.slopes[i] == pytest.approx(w * (1 - tanh(a) ** 2), abs=1e-4)
    for point in found.points:
        assert w * tanh(point) + u == pytest.approx(point, abs=1e-9)


@given(st.floats(-6, 6), st.floats(-4, 4))
def test_there_are_as_many_as_a_scan_sees(w, u):
    edge = float(latch(w))
    assume(not abs(abs(u) - edge) < 1e-3)
    assume(not abs(w - 1) < 1e-3)
    a = np.linspace(-11, 11, 40_001)
    signs = np.sign(w * np.tanh(a) + u - a)
    crossings = int((np.diff(signs[signs != 0]) != 0).sum())
    found = engine.one_unit(w, u)
    assert len(found.points) == crossings == (3 if abs(u) < edge else 1)
    assert np.sign(1 - found.slopes).sum() == 1  # the degree of a ← w tanh(a) + u
    assert (np.diff(found.points) > 0).all()


@pytest.mark.parametrize("a", [0.01, 0.3, 1.0, 4.0])
def test_the_pitchfork(a):
    """u = 0: from w = 1 on, 0 and ±a with w = a/tanh(a)."""
    w = a / tanh(a)
    np.testing.assert_allclose(engine.one_unit(w, 0.0).points, [-a, 0, a], atol=1e-9)
    assert engine.one_unit(1.0, 0.0).points == pytest.approx([0.0], abs=1e-7)
    assert not engine.one_unit(1.0, 0.0).stable.any()
    assert engine.one_unit(0.999, 0.0).stable.tolist() == [True]


def test_branches_are_the_points_of_each_pair():
    w = np.linspace(-3, 4, 57)
    found = engine.one_unit_branches(w, 0.4)
    for i, each in enumerate(w):
        one = engine.one_unit(each, 0.4)
        there = np.isfinite(found.points[i])
        np.testing.assert_array_equal(found.points[i][there], one.points)
        np.testing.assert_array_equal(found.slopes[i][there], one.slopes)
    upper = found.points[w > -3, 2]
    assert np.isfinite(upper).all()  # the branch on the side of u goes on through w = 1
    assert np.abs(np.diff(upper)).max() < 0.5


@given(st.floats(-4, 4), st.floats(-3, 3), st.floats(-3, 3))
def test_the_path_and_its_gradient(w, u, start):
    found = engine.one_unit(w, u, start, 12)
    a = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    x = a
    for t in range(13):
        assert found.path[t] == pytest.approx(x.item(), rel=1e-9, abs=1e-9)
        (slope,) = torch.autograd.grad(x, a, retain_graph=True)
        if abs(slope.item()) > 1e-9:
            assert found.log10_gradient[t] == pytest.approx(np.log10(abs(slope.item())), abs=1e-6)
        x = w * torch.tanh(x) + u


def test_a_gradient_is_told_far_below_the_range_of_numbers():
    found = engine.one_unit(0.2, 0.0, 0.0, 2000)
    assert found.log10_gradient[-1] == pytest.approx(2000 * np.log10(0.2), rel=1e-12)  # 10^−1398


@pytest.mark.parametrize(("w", "u"), [(-1.5, 0.0), (-2.0, 0.3), (-8.0, 1.0)])
def test_below_minus_one_it_swings(w, u):
    found = engine.one_unit(w, u, 0.7, 400)
    low, high = found.cycle
    assert (w * tanh(low) + u, w * tanh(high) + u) == pytest.approx((high, low), abs=1e-9)
    assert sorted(found.path[-2:]) == pytest.approx([low, high], abs=1e-9)
    assert not found.stable.any()
    assert found.reached is None
    assert engine.one_unit(-0.9, u).cycle.size == 0


def test_what_the_path_has_come_to():
    found = engine.one_unit(2.0, 0.3, -0.4)
    assert found.reached == 0
    assert engine.one_unit(2.0, 0.3, -0.2).reached == 2
    # The border between them is the unstable point.
    assert found.points[1] == pytest.approx(-0.3212209, abs=1e-6)


# --- two units


def points_by_scanning(w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Fixed points of tanh(W h + b) in one dimension: the first equation gives h_2 for z_1, the second is bisected."""
    z = np.linspace(-1, 1, 400_000) * (np.abs(w[0]).sum() + abs(b[0]) + 1)

    def rest(z1: np.ndarray) -> np.ndarray:
        h1 = np.tanh(z1)
        h2 = (z1 - b[0] - w[0, 0] * h1) / w[0, 1]
        return np.tanh(w[1, 0] * h1 + w[1, 1] * h2 + b[1]) - h2

    r = rest(z)
    at = np.flatnonzero(np.sign(r[:-1]) != np.sign(r[1:]))
    low, high = z[at].copy(), z[at + 1].copy()
    for _ in range(80):
        middle = 0.5 * (low + high)
        same = np.sign(rest(middle)) == np.sign(rest(low))
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    h1 = np.tanh(low)
    return np.stack([h1, (low - b[0] - w[0, 0] * h1) / w[0, 1]], axis=1)


@pytest.mark.parametrize("seed", range(40))
def test_all_fixed_points_are_found(seed):
    rng = np.random.default_rng(seed)
    w, b = rng.normal(size=(2, 2)) * rng.choice([0.7, 1.5, 4.0]), rng.normal(size=2) * rng.choice([0.0, 0.5])
    found, expected = engine.two_units(w, b, size=2), points_by_scanning(w, b)
    expected = expected[np.lexsort((expected[:, 1], expected[:, 0]))]
    assert len(found.points) == len(expected)
    for point in expected:
        assert np.abs(found.points - point).max(axis=1).min() < 1e-7
    index = [np.sign(np.linalg.det(np.eye(2) - jacobian(found, p))) for p in found.points]
    assert sum(index) == 1  # Brouwer's degree of a map into a ball


def jacobian(found: engine.TwoUnits, h: np.ndarray) -> np.ndarray:
    """By central differences."""
    value, e = engine.ACTIVATIONS[found.nonlinearity].value, 1e-6 * np.eye(2)
    step = lambda at: value(NUMPY, found.weight @ at + found.bias)  # noqa: E731
    return np.stack([(step(h + e[j]) - step(h - e[j])) / 2e-6 for j in range(2)], axis=1)


@pytest.mark.parametrize("phi", list(engine.ACTIVATIONS))
@pytest.mark.parametrize("seed", range(5))
def test_they_rest_and_their_eigenvalues_are_numpys(phi, seed):
    rng = np.random.default_rng(seed)
    found = engine.two_units(rng.normal(size=(2, 2)) * 1.4, rng.normal(size=2) * 0.3, phi, size=2)
    row = engine.ACTIVATIONS[phi]
    for point, own, kind in zip(found.points, found.eigenvalues, found.kinds, strict=True):
        np.testing.assert_allclose(row.value(NUMPY, found.weight @ point + found.bias), point, atol=1e-8)
        expected = np.linalg.eigvals(jacobian(found, point))
        expected = expected[np.argsort(-np.abs(expected))]
        assert np.abs(own) == pytest.approx(np.abs(expected), abs=1e-5)
        assert sum(own) == pytest.approx(sum(expected), abs=1e-5)
        outside = int((np.abs(expected) > 1).sum())
        assert kind == ("stable", "saddle", "unstable")[outside]


@pytest.mark.parametrize(("w1", "w2"), [(0.5, 0.8), (2.0, 0.5), (2.0, 3.0), (-0.5, 1.5)])
def test_two_units_that_do_not_know_of_each_other(w1, w2):
    """Their fixed points are the pairs of those of one unit each: h = tanh(a)."""
    first, second = (np.tanh(engine.one_unit(w, 0.0).points) for w in (w1, w2))
    found = engine.two_units([[w1, 0], [0, w2]], size=2)
    pairs = np.array([[x, y] for x in first for y in second])
    assert found.points == pytest.approx(pairs, abs=1e-9)
    for point, kind in zip(found.points, found.kinds, strict=True):
        slopes = np.array([w1, w2]) * (1 - point**2)
        assert kind == ("stable", "saddle", "unstable")[int((np.abs(slopes) > 1).sum())]


@pytest.mark.parametrize(("gain", "kind"), [(0.9, "stable"), (1.0, "edge"), (1.2, "unstable")])
def test_a_rotation(gain, kind):
    turn = 0.7
    w = gain * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    found = engine.two_units(w)
    assert found.kinds == [kind]
    assert found.eigenvalues[0] == pytest.approx(gain * np.exp([1j * turn, -1j * turn])) or found.eigenvalues[
        0
    ] == pytest.approx(gain * np.exp([-1j * turn, 1j * turn]))
    assert (found.basins == (0 if kind == "stable" else WANDERS)).all()


def naive_end(w: np.ndarray, b: np.ndarray, h: list[float], points: np.ndarray) -> int:
    """Where a plain loop ends up."""
    (a, c), (d, e) = w.tolist()
    x, y = h
    for _ in range(6000):
        x, y = tanh(a * x + c * y + b[0]), tanh(d * x + e * y + b[1])
    near = np.abs(points - [x, y]).max(axis=1) if len(points) else np.array([9.0])
    return int(near.argmin()) if near.min() < 1e-8 else WANDERS


@pytest.mark.parametrize(
    ("w", "b"),
    [
        ([[1.0, 0.8], [0.8, 1.0]], [0.05, 0.0]),
        ([[2.0, 0.0], [0.0, 2.0]], [0.1, -0.2]),
        ([[1.3, -0.4], [0.5, 1.4]], [0.0, 0.1]),
        ([[1.1, -0.6], [0.6, 1.1]], [0.0, 0.0]),
        ([[-2.0, 0.3], [0.1, 1.5]], [0.0, 0.02]),
        ([[1.01, 0.0], [0.0, 0.5]], [0.0, 0.0]),
    ],
)
def test_a_basin_is_where_a_long_plain_loop_ends(w, b):
    w, b = np.array(w), np.array(b)
    found = engine.two_units(w, b, size=12)
    stable = [i for i, kind in enumerate(found.kinds) if kind == "stable"]
    for i, j in np.ndindex(12, 12):
        end = naive_end(w, b, [found.axis[j], found.axis[i]], found.points)
        assert found.basins[i, j] == (end if end in stable else WANDERS), (i, j)


@given(st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6))
def test_the_gradient_along_a_path_is_autograds(numbers):
    w, h = np.array(numbers[:4]).reshape(2, 2), np.array(numbers[4:])
    found = engine.two_units(w, [0.1, -0.2], start=h, steps=6, size=2)
    weight, bias = torch.tensor(w), torch.tensor([0.1, -0.2], dtype=torch.float64)

    def after(t: int, x: torch.Tensor) -> torch.Tensor:
        for _ in range(t):
            x = torch.tanh(weight @ x + bias)
        return x

    for t in (0, 1, 6):
        np.testing.assert_allclose(found.path[t], after(t, torch.tensor(h)), atol=1e-12)
        size = float(
            torch.linalg.matrix_norm(torch.autograd.functional.jacobian(lambda x, t=t: after(t, x), torch.tensor(h)), 2)
        )
        if size > 1e-12:
            assert found.path_gradient[t] == pytest.approx(np.log10(size), abs=1e-6)


def test_the_plane_is_its_starts():
    w = [[1.2, -0.3], [0.4, 0.9]]
    found = engine.two_units(w, size=4, steps=9)
    for i, j in np.ndindex(4, 4):
        one = engine.two_units(w, start=(found.axis[j], found.axis[i]), size=2, steps=9)
        assert found.log10_gradient[i, j] == pytest.approx(one.path_gradient[-1], abs=1e-10)
    assert found.flights.shape == (10, 81, 2)
    one = engine.two_units(w, start=found.flights[0, 17], size=2, steps=9)
    np.testing.assert_allclose(found.flights[:, 17], one.path, atol=1e-12)


def test_gradients_are_told_far_out_of_the_range_of_numbers():
    small = engine.two_units([[0.2, 0], [0, 0.1]], nonlinearity="identity", steps=2000, size=2)
    assert small.path_gradient[-1] == pytest.approx(2000 * np.log10(0.2), rel=1e-12)
    large = engine.two_units([[7.0, 0], [0, 0.1]], nonlinearity="identity", start=(0, 0), steps=2000, size=2)
    assert large.path_gradient[-1] == pytest.approx(2000 * np.log10(7.0), rel=1e-12)
    assert (engine.two_units(np.zeros((2, 2)), size=2).log10_gradient == -np.inf).all()


def test_what_has_no_bounds_leaves():
    found = engine.two_units([[1.5, 0], [0, 1.5]], nonlinearity="relu", size=10)
    x, y = np.meshgrid(found.axis, found.axis)
    assert ((found.basins == LEAVES) == ((x > 0) | (y > 0))).all()
    assert found.kinds == ["stable"]


@pytest.mark.parametrize("phi", ["identity", "relu", "hardtanh", "leaky_relu", "elu"])
def test_points_that_fill_a_line_are_not_counted(phi):
    found = engine.two_units(np.eye(2), nonlinearity=phi, size=5)
    assert found.filled
    assert "edge" not in found.kinds
    assert not engine.two_units(0.9 * np.eye(2), nonlinearity=phi, size=5).filled


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_weights_that_are_lost_are_a_result(lost):
    found = engine.two_units([[lost, 0], [0, 1]], [0, 0], size=3)
    assert found.points.shape == (0, 2)
    assert found.kinds == []
    assert np.isnan(found.path[1:, 0]).all() or np.isnan(found.path_gradient[-1]) or lost == np.inf
    assert (found.basins == WANDERS).all()


def test_the_largest_weights():
    for size in (1e6, 1e150, 1e300):
        found = engine.two_units([[size, 0], [0, size]], size=4)
        assert np.isfinite(found.points).all()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: engine.one_unit(float("nan"), 0), "w"),
        (lambda: engine.one_unit(1, float("inf")), "u"),
        (lambda: engine.one_unit(1, 0, "x"), "start"),
        (lambda: engine.one_unit(1, 0, 0, 0), "steps"),
        (lambda: engine.one_unit_branches(np.zeros((2, 2)), 0.0), "w, u"),
        (lambda: engine.two_units(np.zeros((3, 3))), "weight"),
        (lambda: engine.two_units("no"), "weight"),
        (lambda: engine.two_units(np.eye(2), [1, 2, 3]), "bias"),
        (lambda: engine.two_units(np.eye(2), start=1.0), "start"),
        (lambda: engine.two_units(np.eye(2), nonlinearity="cosine"), "nonlinearity"),
        (lambda: engine.two_units(np.eye(2), steps=True), "steps"),
        (lambda: engine.two_units(np.eye(2), size=1), "size"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=rf"^{name}: .*allowed"):
        call()


@pytest.mark.parametrize(
    ("weight", "bias", "nonlinearity", "steps", "exact"),
    [
        ([[20, 0], [0, 20]], (0, 0), "tanh", 50, -760.404),
        ([[10, 8], [8, 10]], (1, 1), "tanh", 50, -722.47),
        ([[40, 20], [20, 40]], (0, 0), "sigmoid", 20, -468.49),
    ],
)
def test_a_gradient_through_saturated_units_is_not_lost(weight, bias, nonlinearity, steps, exact):
    """1 − h² is 0 from z = 19 on, φ'(z) is not. Exact: the same product in 60 digits."""
    start = (0.5, -0.25) if bias == (0, 0) and nonlinearity == "tanh" else (0.5, 0.25)
    two = engine.two_units(weight, bias, nonlinearity, start=start, steps=steps)
    assert two.path_gradient[-1] == pytest.approx(exact, abs=0.006)


def test_states_come_to_a_far_point_and_leave_slowly():
    two = engine.two_units([[0.5, 0], [0, 0.995]], [1, 1], "identity")
    np.testing.assert_allclose(two.points, [[2, 200]])
    assert (two.basins == 0).all()
    assert (engine.two_units([[1.04, 0], [0, 1.04]], nonlinearity="identity", size=20).basins == -2).all()
