"""Networks and data for the proofs of the engine, and what "equal" means in them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import engine
from tests import naive

# Every form of a cell that is computed, by the name in engine.cells.KINDS: the fields that choose it.
CHOICES = [{"cell": cell, "reset_after": after} for cell in engine.CELLS for after in (False, True)]
KINDS = {engine.Experiment(**choice).kind: choice for choice in CHOICES}  # the later one, the default, stays


def state_dict(
    e: engine.Experiment, inputs: int, outputs: int, seed: int = 1, rho: float = 1.2
) -> dict[str, np.ndarray]:
    """Random weights with no zero in them, biases too: PyTorch's names and shapes, ρ(W_hh) about `rho`."""
    rng, units = np.random.default_rng(seed), e.hidden_size
    rows = naive.blocks(e.kind) * units

    def draw(deviation: float, *shape: int) -> np.ndarray:  # bounded, so that no unit of a tiny network is saturated
        return rng.uniform(-deviation * np.sqrt(3), deviation * np.sqrt(3), shape).astype(e.dtype)

    weights = {}
    for layer in range(e.num_layers):
        below = inputs if layer == 0 else units
        weights[f"weight_ih_l{layer}"] = draw(1 / np.sqrt(below), rows, below)
        weights[f"weight_hh_l{layer}"] = draw(rho / np.sqrt(units), rows, units)
        weights[f"bias_ih_l{layer}"] = draw(0.3, rows)
        weights[f"bias_hh_l{layer}"] = draw(0.3, rows)
    weights["head.weight"] = draw(1 / np.sqrt(units), outputs, units)
    weights["head.bias"] = draw(0.3, outputs)
    return weights


def data(e: engine.Experiment, steps: int, every_step: bool, seed: int = 2, outputs: int = 3) -> tuple[Any, Any]:
    """inputs (steps, B, 2) and targets of the kind that `e`'s loss takes, with `outputs` of them (or classes)."""
    rng = np.random.default_rng(seed)
    lead = (steps, e.batch_size) if every_step else (e.batch_size,)
    inputs = rng.normal(size=(steps, e.batch_size, 2)).astype(e.dtype)
    if e.loss_name == "cross_entropy":
        return inputs, rng.integers(0, outputs, lead)
    return inputs, rng.normal(size=(*lead, outputs)).astype(e.dtype)


def assert_close(actual: Any, expected: Any, relative: float, what: str, absolute: float = 0.0) -> None:
    """No component is off by more than `relative` of the tensor's largest (and `absolute`)."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    assert np.isfinite(actual).all(), f"{what}: not finite"
    off, scale = np.max(np.abs(actual - expected), initial=0), np.max(np.abs(expected), initial=0)
    assert off <= relative * scale + absolute, f"{what}: off by {off:.3g} of {scale:.3g}; allowed: {relative:g} of it"


def assert_same_pass(trace: engine.Trace, expected: Any, relative: float) -> None:
    """A Trace against the pass of a reference: loss, states, gates, gradients; norms of each timestep by themselves."""
    assert_close(trace.loss, expected.loss, relative, "loss")
    assert_close(trace.hidden, expected.hidden, relative, "hidden")
    if trace.cell is not None:
        assert_close(trace.cell, expected.cell, relative, "cell")
    assert_same_tensors(trace.gates, expected.gates, relative)
    assert_same_tensors(trace.grads, expected.grads, relative)
    # A vanished norm is as exact as any other: relative to itself, down to 1e-300.
    np.testing.assert_allclose(trace.grad_norms, expected.grad_norms, rtol=relative, atol=1e-300, err_msg="grad_norms")
    with np.errstate(divide="ignore"):
        log10 = np.log10(expected.grad_norms)
    np.testing.assert_allclose(trace.log10_grad_norms, log10, rtol=0, atol=relative, err_msg="log10_grad_norms")
    total = np.sqrt(sum(np.sum(np.float64(g) ** 2) for g in expected.grads.values()))
    assert_close(trace.grad_norm, total, relative, "grad_norm")


def assert_same_tensors(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], relative: float) -> None:
    assert list(actual) == list(expected)
    for name in expected:
        assert_close(actual[name], expected[name], relative, name)


def assert_identical(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> None:
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
