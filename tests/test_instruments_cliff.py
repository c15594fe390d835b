"""The cliff of one unit: its law, its gradient by three other methods, and the paths on it."""

from math import exp, hypot

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import engine
from engine.instruments.cliff import wall

W_SPAN, B_SPAN = (3.5, 6.5), (-4.0, -1.5)
ws, bs = st.floats(-8, 8), st.floats(-6, 3)


def sigma(x: float) -> float:
    return 1 / (1 + exp(-x))


def naive(w: float, b: float) -> float:
    x = 0.5
    for _ in range(50):
        x = w * sigma(x) + b
    return (sigma(x) - 0.7) ** 2


def by_torch(w: float, b: float) -> tuple[float, float, float]:
    pair = torch.tensor([w, b], dtype=torch.float64, requires_grad=True)
    x = torch.tensor(0.5, dtype=torch.float64)
    for _ in range(50):
        x = pair[0] * torch.sigmoid(x) + pair[1]
    error = (torch.sigmoid(x) - 0.7) ** 2
    error.backward()
    return error.item(), *(float(g) for g in pair.grad)


@given(ws, bs)
def test_the_error_and_its_gradient_are_those_of_autograd(w, b):
    found = engine.cliff(w, b)
    error, grad_w, grad_b = by_torch(w, b)
    assert found.error[0, 0] == pytest.approx(naive(w, b), rel=1e-9, abs=1e-13)
    # Near the wall a rounding of x grows as a gradient does: relative to that growth it stays one.
    slack = 1e-9 * (1 + abs(grad_w) + abs(grad_b)) ** 2
    assert found.error[0, 0] == pytest.approx(error, rel=1e-9, abs=1e-13)
    assert found.grad_w[0, 0] == pytest.approx(grad_w, rel=1e-9, abs=slack)
    assert found.grad_b[0, 0] == pytest.approx(grad_b, rel=1e-9, abs=slack)


@given(ws, bs)
def test_the_gradient_is_that_of_central_differences(w, b):
    found, h = engine.cliff(w, b), 1e-6
    near = engine.cliff([w - h, w, w + h], [b - h, b, b + h])
    assume(near.log10_norms.max() < 0)  # the wall bends too much for a difference
    by_w = (naive(w + h, b) - naive(w - h, b)) / (2 * h)
    by_b = (naive(w, b + h) - naive(w, b - h)) / (2 * h)
    assert found.grad_w[0, 0] == pytest.approx(by_w, rel=1e-5, abs=1e-8)
    assert found.grad_b[0, 0] == pytest.approx(by_b, rel=1e-5, abs=1e-8)


def test_the_grid_is_its_points():
    w, b = np.linspace(*W_SPAN, 5), np.linspace(*B_SPAN, 4)
    found = engine.cliff(w, b)
    for i, j in np.ndindex(4, 5):
        one = engine.cliff(w[j], b[i])
        assert (found.error[i, j], found.grad_w[i, j]) == (one.error[0, 0], one.grad_w[0, 0])


# --- the wall (SCIENCE §3.5)


def test_the_wall_is_the_law():
    w = np.array([4.2553, 4.2554, 5.0, 7.0])
    np.testing.assert_allclose(wall(w)[1:], 0.5 - 0.622459 * w[1:], atol=5e-6)
    assert np.isnan(wall(4.25))
    assert np.isfinite(wall(1 / (sigma(0.5) * (1 - sigma(0.5))) + 1e-9))


def rest(w: float, b: float, low: float, high: float) -> float:
    """The fixed point of w σ(x) + b between two numbers, by bisection."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if w * sigma(middle) + b > middle else (low, middle)
    return middle


@pytest.mark.parametrize("w", [5.5, 6.0, 7.0])
def test_on_its_two_sides_the_state_goes_to_different_rests(w):
    b = float(wall(w))
    below, above = engine.cliff(w, [b - 1e-3, b + 1e-3]).error[:, 0]
    low, high = rest(w, b - 1e-3, -20, 0.4), rest(w, b + 1e-3, 0.6, 20)
    assert below == pytest.approx((sigma(low) - 0.7) ** 2, abs=1e-3)
    assert above == pytest.approx((sigma(high) - 0.7) ** 2, abs=1e-3)
    assert abs(below - above) > 0.2


@pytest.mark.parametrize("w", [4.3, 4.7, 5.2])
def test_on_the_wall_a_gradient_grows_by_its_slope_at_every_step(w):
    """x stays 0.5, so ∂E/∂b is a geometric sum of r = w σ'(0.5)."""
    s = sigma(0.5)
    r, delta = w * s * (1 - s), 2 * (s - 0.7) * s * (1 - s)
    found = engine.cliff(w, float(wall(w)))
    expected = delta * (r**50 - 1) / (r - 1)
    assert found.grad_b[0, 0] == pytest.approx(expected, rel=1e-8)
    assert found.grad_w[0, 0] == pytest.approx(s * expected, rel=1e-8)


# --- paths


@pytest.mark.parametrize("c", [None, 0.1, 1.0])
def test_a_path_is_that_of_torchs_optimizer(c):
    found = engine.descend(4.6, -1.8, lr=0.2, clip_threshold=c, steps=15)
    pair = torch.tensor([4.6, -1.8], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([pair], lr=0.2)
    for step in range(16):
        assert (found.w[step], found.b[step]) == pytest.approx(pair.detach().tolist(), rel=1e-8)
        optimizer.zero_grad()
        x = torch.tensor(0.5, dtype=torch.float64)
        for _ in range(50):
            x = pair[0] * torch.sigmoid(x) + pair[1]
        ((torch.sigmoid(x) - 0.7) ** 2).backward()
        norm = torch.nn.utils.clip_grad_norm_([pair], c if c is not None else 1e9)
        assert found.norms[step] == pytest.approx(float(norm), rel=1e-7)
        assert found.applied[step] == pytest.approx(float(pair.grad.norm()), rel=1e-6)
        optimizer.step()


def test_the_figure_of_the_article():
    """One step throws the weights off; clipped, none moves them further than lr · c, and they come down."""
    free, clipped = (engine.descend(5.5, -2.6, 0.5, c) for c in (None, 0.1))
    assert free.left(W_SPAN, B_SPAN) == 13
    assert free.norms[12] > 1000
    assert free.w[13] > 1000
    moves = np.hypot(np.diff(clipped.w), np.diff(clipped.b))
    assert moves.max() <= 0.5 * 0.1
    assert clipped.left(W_SPAN, B_SPAN) is None
    assert clipped.norms.max() > 100
    assert clipped.error[-1] < 0.01


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from([1e-3, 1.0, 1e30, 1e300]))
def test_a_path_that_is_lost_is_a_result(w, b, lr):
    found = engine.descend(w, b, lr, None, 8)
    assert found.w.shape == (9,)
    found.left(W_SPAN, B_SPAN)
    x, y, z = found.draped(W_SPAN, B_SPAN)
    assert not np.isinf([x, y, z]).any()


def test_left_says_the_first_step_outside():
    path = engine.descend(5.5, -2.6, 0.5)
    steps = [k for k in range(101) if not (3.5 <= path.w[k] <= 6.5 and -4 <= path.b[k] <= -1.5)]
    assert path.left(W_SPAN, B_SPAN) == steps[0]
    assert path.left((-1e9, 1e9), (-1e9, 1e9)) is None


@pytest.mark.parametrize("c", [None, 0.1])
def test_a_path_lies_on_the_surface(c):
    path = engine.descend(5.5, -2.6, 0.5, c, 40)
    w, b, error = path.draped(W_SPAN, B_SPAN, per=4)
    assert w.shape == (161,)
    inside = [k for k in range(41) if 3.5 <= path.w[k] <= 6.5 and -4 <= path.b[k] <= -1.5]
    for k in inside:
        np.testing.assert_allclose((w[4 * k], b[4 * k]), (path.w[k], path.b[k]), rtol=1e-12)
    there = np.isfinite(w)
    assert there[: 4 * len(inside)].all()
    for x, y, z in zip(w[there], b[there], error[there], strict=True):
        assert 3.5 <= x <= 6.5
        assert -4 <= y <= -1.5
        assert z == pytest.approx(engine.cliff(x, y).error[0, 0], abs=1e-12)
    for k in range(12):  # each between its two steps
        for j in range(4):
            share = hypot(w[4 * k + j] - path.w[k], b[4 * k + j] - path.b[k])
            assert share <= hypot(path.w[k + 1] - path.w[k], path.b[k + 1] - path.b[k]) + 1e-12
    if c is None:  # it leaves: the last step ends at the edge, and then there is nothing
        assert np.isnan(w[4 * len(inside) :]).all()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: engine.cliff(np.zeros((2, 2)), 0.0), "w, b"),
        (lambda: engine.descend(float("nan"), 0, 1), "w"),
        (lambda: engine.descend(0, float("inf"), 1), "b"),
        (lambda: engine.descend(0, 0, 0), "lr"),
        (lambda: engine.descend(0, 0, -1.0), "lr"),
        (lambda: engine.descend(0, 0, 1, 0.0), "clip_threshold"),
        (lambda: engine.descend(0, 0, 1, float("nan")), "clip_threshold"),
        (lambda: engine.descend(0, 0, 1, None, 0), "steps"),
        (lambda: engine.descend(0, 0, 1, None, 2.5), "steps"),
        (lambda: engine.descend("a", 0, 1), "w"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=rf"^{name}: .*allowed"):
        call()
