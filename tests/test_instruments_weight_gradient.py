"""The weights' gradient by timestep: against PyTorch with a matrix for every step, sums, and known answers."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import engine
from tests import cases, torch_reference

KINDS = list(cases.KINDS)
NAMES = ("weight_hh", "weight_ih")


def small(kind: str, **changes: object) -> engine.Experiment:
    return engine.Experiment(
        **cases.KINDS[kind], **({"hidden_size": 5, "batch_size": 3, "num_layers": 2, "seq_length": 9} | changes)
    )


def terms_by_autograd(e, weights, inputs, targets, every_step) -> dict[str, list[list[np.ndarray]]]:
    """{"weight_hh": L lists of T (kH, H), …}: ∂L/∂W of a copy of W for each timestep."""
    step, phi = torch_reference.CELLS[e.kind][1], torch_reference.ACTIVATIONS[e.nonlinearity]
    w = {name: torch.tensor(value) for name, value in weights.items()}
    below, own = list(torch.tensor(inputs)), {name: [] for name in NAMES}
    for layer in range(e.num_layers):
        h = c = torch.zeros(inputs.shape[1], e.hidden_size, dtype=below[0].dtype)
        states, copies = [], {name: [] for name in NAMES}
        for t, x in enumerate(below):
            ih, hh = (w[f"{name}_l{layer}"].clone().requires_grad_() for name in ("weight_ih", "weight_hh"))
            if e.tbptt and t and t % e.tbptt == 0:
                h, c = h.detach(), c.detach()
            zx = F.linear(x, ih, w[f"bias_ih_l{layer}"])
            h, c, _ = step(zx, partial(F.linear, weight=hh, bias=w[f"bias_hh_l{layer}"]), h, c, phi)
            states.append(h)
            copies["weight_ih"].append(ih)
            copies["weight_hh"].append(hh)
        below = states
        for name in NAMES:
            own[name].append(copies[name])
    read = torch.stack(below) if every_step else below[-1]
    outputs = F.linear(read, w["head.weight"], w["head.bias"])
    torch_reference.loss_of(e.loss_name, outputs, torch.tensor(targets)).backward()
    return {
        name: [[np.zeros(p.shape) if p.grad is None else p.grad.numpy() for p in steps] for steps in own[name]]
        for name in NAMES
    }


@pytest.mark.parametrize("every_step", [True, False])
@pytest.mark.parametrize("tbptt", [None, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_autograd_with_a_matrix_for_each_step_agrees(kind, tbptt, every_step):
    e = small(kind, tbptt=tbptt)
    weights, (inputs, targets) = cases.state_dict(e, 2, 3), cases.data(e, 7, every_step)
    found = engine.weight_gradient_by_step(e, engine.probe(e, weights, inputs, targets))
    expected = terms_by_autograd(e, weights, inputs, targets, every_step)
    for name in NAMES:
        for layer in range(2):
            terms = np.array(expected[name][layer])
            total = terms.sum(axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                norms = np.linalg.norm(terms, axis=(1, 2))
                cosines = (terms * total).sum(axis=(1, 2)) / norms / np.linalg.norm(total)
                log10 = np.log10(norms)
            np.testing.assert_allclose(found.log10_norms[name][layer], log10, rtol=0, atol=1e-9)
            np.testing.assert_allclose(found.cosines[name][layer], cosines, rtol=0, atol=1e-9)
            cases.assert_close(found.total[f"{name}_l{layer}"], total, 1e-10, name)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS), nonlinearity=st.sampled_from(list(engine.ACTIVATIONS)), units=st.integers(1, 9),
    batch=st.integers(1, 5), layers=st.integers(1, 3), steps=st.integers(1, 12),
    task=st.sampled_from(["adding", "sine", "text", "temporal_order", "parity"]), tbptt=st.none() | st.integers(1, 14),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_terms_add_up_to_the_gradient(kind, nonlinearity, units, batch, layers, steps, task, tbptt, seed):
    e = small(
        kind, nonlinearity=nonlinearity, hidden_size=units, batch_size=batch, num_layers=layers, task=task,
        seq_length=max(steps, 10), tbptt=tbptt, seed=seed, forget_bias=1.0 if kind == "lstm" else 0.0,
    )  # fmt: skip
    t = engine.probe(e)
    found = engine.weight_gradient_by_step(e, t)
    assert len(found.total) == 2 * layers
    for name, total in found.total.items():
        cases.assert_close(total, t.grads[name], 1e-10, name, absolute=1e-300)
    for name in NAMES:  # the triangle: the sum is at most as long as all terms together, and their shadows make it
        lengths = 10 ** found.log10_norms[name]
        shadows = np.where(lengths > 0, lengths * np.nan_to_num(found.cosines[name]), 0.0).sum(axis=1)
        whole = [np.linalg.norm(found.total[f"{name}_l{layer}"]) for layer in range(layers)]
        np.testing.assert_allclose(shadows, whole, rtol=1e-8, atol=1e-200)


def test_an_embedding_is_what_the_lowest_layer_hears():
    e = small("gru", task="text", embedding_dim=4, seq_length=12)
    t = engine.probe(e)
    found = engine.weight_gradient_by_step(e, t)
    for name in found.total:
        cases.assert_close(found.total[name], t.grads[name], 1e-10, name)


def test_float32_is_looked_at_in_float64():
    e = small("lstm", dtype="float32", task="sine")
    t = engine.probe(e)
    found = engine.weight_gradient_by_step(e, t)
    for name in found.total:
        cases.assert_close(found.total[name], t.grads[name], 1e-5, name)


def test_norms_are_exact_far_past_the_range_of_float64():
    """Linear, W_hh = g Q with Q orthogonal, one sequence, the loss at the end: ‖C_t‖ = g^(T−t) ‖δ_T‖ ‖h_{t−1}‖."""
    e = engine.Experiment(
        nonlinearity="identity", init="orthogonal", gain=0.2, hidden_size=8, seq_length=2000, batch_size=1
    )
    t = engine.probe(e)
    found = engine.weight_gradient_by_step(e, t)
    back = np.log10(0.2) * (2000 - np.arange(1, 2001)) + t.log10_grad_norms[0, -1]
    heard = np.log10(np.linalg.norm(t.inputs[:, 0], axis=1))
    assert found.log10_norms["weight_ih"][0, 0] < -1390
    np.testing.assert_allclose(found.log10_norms["weight_ih"][0], back + heard, rtol=0, atol=1e-6)
    h = np.log10(np.linalg.norm(t.hidden[0, 1:-1, 0], axis=1))
    np.testing.assert_allclose(found.log10_norms["weight_hh"][0, 1:], back[1:] + h, rtol=0, atol=1e-6)
    assert found.log10_norms["weight_hh"][0, 0] == -np.inf  # h_0 = 0
    assert np.isnan(found.cosines["weight_hh"][0, 0])


def test_an_exploding_gradient_keeps_its_digits():
    e = engine.Experiment(
        nonlinearity="identity", init="orthogonal", gain=8.0, hidden_size=4, seq_length=300, batch_size=2
    )
    t = engine.probe(e)
    found = engine.weight_gradient_by_step(e, t)
    assert np.isfinite(found.log10_norms["weight_ih"]).all()
    assert found.log10_norms["weight_ih"].max() > 308
    assert np.nanmax(np.abs(found.cosines["weight_hh"])) <= 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_number_stays_so(kind):
    e = small(kind)
    state = {name: value.copy() for name, value in engine.probe(e).state_dict.items()}
    state["weight_hh_l1"][:] = np.nan
    found = engine.weight_gradient_by_step(e, engine.probe(e, state))
    for name in NAMES:
        assert np.isnan(found.log10_norms[name]).any()
        assert np.isnan(found.total[f"{name}_l0"]).all()
