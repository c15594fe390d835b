"""What clipping changes: against torch.nn.utils, the naive twin, and the geometry that it has to have."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import engine
from engine.instruments.blocks import flat
from engine.instruments.clip import in_pieces
from tests import cases, naive, torch_reference

SIZES = {"hidden_size": 5, "batch_size": 3, "seq_length": 9}


@cache
def passed(kind: str = "rnn", dtype: str = "float64", layers: int = 1) -> engine.Trace:
    e = engine.Experiment(**cases.KINDS[kind], **SIZES, dtype=dtype, num_layers=layers)
    return engine.probe(e, cases.state_dict(e, 2, 1))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def by_torch(name: str, t: engine.Trace, threshold: float) -> np.ndarray:
    parameters = [nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in t.grads.values()]
    for p, g in zip(parameters, t.grads.values(), strict=True):
        p.grad = torch.tensor(g.astype(np.float64))
    torch_reference.CLIPS[name](parameters, threshold)
    return np.concatenate([p.grad.numpy().ravel() for p in parameters])


@pytest.mark.parametrize("threshold", [1e-3, 0.05, 0.5, 100.0])
@pytest.mark.parametrize("kind", list(cases.KINDS))
def test_as_torch_clips_and_as_the_naive_twin_does(kind, threshold):
    t = passed(kind, layers=2)
    g, found = flat(t.grads), engine.clipping(t, threshold)
    assert list(found.rows) == list(engine.CLIPS)
    assert found.norm == pytest.approx(np.linalg.norm(g))
    for name, row in found.rows.items():
        for used in (by_torch(name, t, threshold), flat(naive.clip(name, t.grads, threshold))):
            assert row.norm == pytest.approx(np.linalg.norm(used), rel=1e-9)
            assert row.cosine == pytest.approx(cosine(g, used), rel=1e-9)
            assert row.ratio == pytest.approx(np.linalg.norm(used) / np.linalg.norm(g), rel=1e-9)
            for k, block in enumerate(found.blocks):
                expected = np.linalg.norm(block.of(used)) / np.linalg.norm(block.of(g))
                assert row.kept[k] == pytest.approx(expected, rel=1e-9)
        used = flat(naive.clip(name, t.grads, threshold))
        assert row.changed == np.mean(np.abs(used - g) > 1e-9 * np.abs(g))  # the twin's g·c/c has another last digit


@pytest.mark.parametrize("name", list(engine.CLIPS))
def test_the_curves_are_many_clippings(name):
    t = passed()
    row = engine.clipping(t, 0.2).rows[name]
    for n in range(0, len(row.thresholds), 10):
        other = engine.clipping(t, float(row.thresholds[n])).rows[name]
        assert row.norms[n] == pytest.approx(other.norm, rel=1e-12)
        assert row.cosines[n] == pytest.approx(other.cosine, rel=1e-12)


# --- closed forms


def of_gradient(*components: float) -> engine.Trace:
    """A pass whose gradient is 0 but for these components of W_hh."""
    t = passed()
    grads = {name: np.zeros_like(g) for name, g in t.grads.items()}
    grads["weight_hh_l0"].ravel()[: len(components)] = components
    return replace(t, grads=grads)


def test_three_four_five():
    found = engine.clipping(of_gradient(3.0, 4.0), 3.5)
    by_norm, by_value, by_unit = (found.rows[name] for name in ("norm", "value", "unit"))
    assert found.norm == 5
    assert (by_norm.cosine, by_norm.across) == (pytest.approx(1), 0)
    assert by_norm.norm == pytest.approx(3.5 * 5 / (5 + 1e-6))
    assert by_value.norm == pytest.approx(np.hypot(3, 3.5))
    assert by_value.cosine == pytest.approx((9 + 14) / 5 / np.hypot(3, 3.5))
    assert by_unit.norm == pytest.approx(np.hypot(3 / 3.5, 1))
    assert (by_value.along, by_value.across) == (pytest.approx(23 / 25), pytest.approx((4 * 3 - 3 * 3.5) / 25))
    components = flat(of_gradient(3.0, 4.0).grads).size
    assert by_value.changed == pytest.approx(1 / components)
    # The box |g_i| ≤ 3.5, cut by the plane of the first two axes, is a square.
    u, v = np.array([[0.6, 0.8], [0.8, -0.6]])
    square = by_value.edge @ np.stack([u, v])
    np.testing.assert_allclose(np.abs(square).max(axis=1), 3.5)
    np.testing.assert_allclose(square.min(axis=0), -3.5)
    np.testing.assert_allclose(np.hypot(*by_norm.edge.T), 3.5)


@settings(max_examples=40)
@given(st.lists(st.floats(-100, 100), min_size=3, max_size=12), st.floats(-4, 2))
def test_laws(components, log_threshold):
    c = 10**log_threshold
    t = of_gradient(*components)
    found = engine.clipping(t, c)
    g = flat(t.grads)
    if not g.any():
        assert np.isnan(found.rows["norm"].cosine)
        return
    assume(np.abs(g).max() > 1e-300)  # subnormal numbers have no digits to compare
    rows = found.rows
    # Unit clipping with ε is clipping by value at ε, divided by ε.
    assert rows["unit"].norm == pytest.approx(rows["value"].norm / c, rel=1e-9)
    assert rows["unit"].cosine == pytest.approx(rows["value"].cosine, rel=1e-9)
    # No component changes its sign: the angle is below 90 degrees. ‖g′‖ ≤ ‖g‖, and within the bound.
    for name in ("norm", "param_norm", "value"):
        assert rows[name].cosine > 0
        assert rows[name].ratio <= 1 + 1e-12
        assert (np.diff(rows[name].norms) >= -1e-12 * rows[name].norms[1:]).all()  # a larger threshold leaves more
    assert rows["norm"].norm <= c * (1 + 1e-12)
    assert rows["norm"].cosine == pytest.approx(1)
    assert rows["norm"].across == 0
    assert rows["none"].ratio == 1
    assert rows["none"].changed == 0
    # Whatever turns it has its end on the edge or inside: (along, across) lies within what the edge holds.
    for name, row in rows.items():
        assert np.hypot(row.along, row.across) == pytest.approx(row.ratio, rel=1e-6)
        if name != "none":
            tip, edge = np.array([row.along, row.across]) * found.norm, row.edge
            nearest = edge[np.argmax(edge @ tip / np.hypot(*edge.T))]  # the edge's point in (about) that direction
            assert np.hypot(*tip) <= np.hypot(*nearest) * 1.08 + 1e-12  # 2° apart


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["norm", "value"])
def test_the_threshold_of_training(name, dtype):
    """What the trainer records of the clipped norm is what the instrument says."""
    e = engine.Experiment(**SIZES, clip=name, clip_threshold=0.03, dtype=dtype)
    trainer = engine.Trainer(e, validate_every=0)
    for _ in range(4):
        row = engine.clipping(trainer.trace(), 0.03).rows[name]
        trainer.advance(1)
        assert row.norm == trainer.history.clipped[-1]


# --- manners


@pytest.mark.parametrize("threshold", [0, -1.0, np.nan, np.inf, "much", None, [1.0]])
def test_a_threshold_that_is_none_is_named(threshold):
    with pytest.raises(ValueError, match=r"threshold: .*; allowed: a number above 0"):
        engine.clipping(passed(), threshold)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", list(cases.KINDS))
def test_a_lost_run_is_shown_as_such(kind, bad):
    t = passed(kind, layers=2)
    grads = dict(t.grads)
    grads["weight_hh_l1"] = np.full_like(grads["weight_hh_l1"], bad)
    found = engine.clipping(replace(t, grads=grads, grad_norm=bad), 1.0)
    for row in found.rows.values():
        assert np.isnan(row.cosine)
        assert np.isnan(row.changed)


def test_a_gradient_of_nothing():
    t = of_gradient()
    for row in engine.clipping(t, 1.0).rows.values():
        assert row.norm == 0
        assert np.isnan(row.cosine)
        assert np.isnan(row.kept).all()


def test_the_gradient_and_numpys_error_state_are_left_alone():
    t = passed()
    before = flat(t.grads)
    with np.errstate(all="raise"):
        expected = np.geterr()
        for _ in in_pieces(t, 0.1):
            assert np.geterr() == expected
    np.testing.assert_array_equal(flat(t.grads), before)
