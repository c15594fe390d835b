"""One update in slow motion: its numbers against PyTorch's autograd, the engine's own pass, and training itself."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import engine
from engine.data import batch, dropout_masks
from engine.instruments.unrolled import Scaled
from tests import cases, torch_reference

SIZES = {"hidden_size": 5, "batch_size": 3, "seq_length": 10, "num_layers": 2}


def number(x: Scaled) -> np.ndarray:
    return np.ldexp(x.values, x.exponents[:, None])


def looked_at(sequence: int = 1, **fields: Any) -> tuple[engine.Experiment, engine.Trace, engine.Unrolled]:
    e = engine.Experiment(**(SIZES | fields))
    weights = cases.state_dict(e, engine.TASKS[e.task].input_size, engine.TASKS[e.task].output_size)
    t = engine.probe(e, weights)
    return e, t, engine.unrolled(e, t, sequence=sequence)


@pytest.mark.parametrize("task", ["adding", "sine", "temporal_order", "markov", "copy_memory"])
@pytest.mark.parametrize("tbptt", [None, 4])
@pytest.mark.parametrize("kind", list(cases.KINDS))
def test_every_gradient_is_autograds(kind, tbptt, task):
    """δ_t by retain_grad, and what came back through time by leaving out what entered."""
    e, t, found = looked_at(task=task, tbptt=tbptt, **cases.KINDS[kind])
    model = torch_reference.Model(e, t.state_dict)
    run = model.unrolled(torch.tensor(np.array(t.inputs)), e.nonlinearity, e.tbptt)
    every_step = engine.TASKS[e.task].every_step
    read = torch.stack(run.hidden[-1][1:]) if every_step else run.hidden[-1][-1]
    outputs = model.head(read)
    torch_reference.loss_of(e.loss_name, outputs, torch.tensor(np.array(t.targets))).backward()
    for layer, steps in enumerate(found.layers):
        deltas = [h.grad.numpy()[1] if h.grad is not None else np.zeros(5) for h in run.hidden[layer][1:]]
        cases.assert_close(number(steps.delta), np.array(deltas), 1e-10, f"δ of layer {layer}")
        both = number(steps.through) + number(steps.entering)
        cases.assert_close(both, np.array(deltas), 1e-10, f"the two parts of δ, layer {layer}")
        np.testing.assert_array_equal(number(steps.through)[-1], np.zeros(5))  # nothing comes from after the end
        if tbptt:
            np.testing.assert_array_equal(number(steps.through)[3], np.zeros(5))  # … nor over a cut
    if not every_step:  # between the last step and the first nothing enters the top layer
        np.testing.assert_array_equal(number(found.layers[-1].entering)[:-1], 0.0)


def test_the_way_of_an_lstms_cell_is_autograds():
    """∂L/∂c_t, everything that arrives there: by a loop over torch's cell that keeps the gradient of c."""
    e, t, found = looked_at(cell="lstm", num_layers=1)
    cell = torch.nn.LSTMCell(t.inputs.shape[-1], e.hidden_size, dtype=torch.float64)
    head = torch.nn.Linear(e.hidden_size, 1, dtype=torch.float64)
    with torch.no_grad():
        for name, p in cell.named_parameters():
            p.copy_(torch.tensor(np.array(t.state_dict[f"{name}_l0"])))
        for name, p in head.named_parameters():
            p.copy_(torch.tensor(np.array(t.state_dict[f"head.{name}"])))
    state, kept = None, []
    for x in torch.tensor(np.array(t.inputs)):
        state = cell(x, state)
        state[1].retain_grad()
        kept.append(state[1])
    torch.nn.functional.mse_loss(head(state[0]), torch.tensor(np.array(t.targets))).backward()
    assert found.layers[0].memory is not None
    theirs = np.array([c.grad.numpy()[1] for c in kept])
    cases.assert_close(number(found.layers[0].memory), theirs, 1e-10, "∂L/∂c")


@pytest.mark.parametrize("kind", list(cases.KINDS))
def test_norms_are_those_of_the_engines_pass(kind):
    _, t, found = looked_at(seq_length=40, **cases.KINDS[kind])
    np.testing.assert_allclose(found.log10_norms, t.log10_grad_norms, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", list(cases.KINDS))
def test_forward_numbers_make_the_states(kind, dtype):
    """z from its parts, then the cell's own equations by hand."""
    e, t, found = looked_at(dtype=dtype, **cases.KINDS[kind])
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    for layer, s in enumerate(found.layers):
        np.testing.assert_array_equal(s.h, np.float64(t.hidden[layer, 1:, 1]))
        z, units = s.of_x + s.of_h, e.hidden_size
        block = [z[:, k * units : (k + 1) * units] for k in range(z.shape[1] // units)]
        if kind == "rnn":
            expected = np.tanh(z)
        elif kind == "lstm":
            i, f, g, o = sigmoid(block[0]), sigmoid(block[1]), np.tanh(block[2]), sigmoid(block[3])
            np.testing.assert_allclose(s.c, f * s.c_before + i * g, rtol=0, atol=tolerance)
            expected = o * np.tanh(s.c)
        else:
            r, u = sigmoid(block[0]), sigmoid(block[1])
            n = np.tanh(block[2]) if kind == "gru_before" else np.tanh(s.of_x[:, -units:] + r * s.of_h[:, -units:])
            expected = (1 - u) * n + u * s.before
        np.testing.assert_allclose(s.h, expected, rtol=0, atol=tolerance)
        np.testing.assert_array_equal(s.before[0], 0.0)


def test_dropout_is_in_it():
    """The very pass of training: its masks on the way up, and on the way down."""
    e = engine.Experiment(**(SIZES | {"dropout": 0.5, "seq_length": 12}))
    masks = dropout_masks(e, 3, e.batch_size)
    t = engine.probe(e, None, *batch(e, 3), masks)
    found = engine.unrolled(e, t, masks=masks)
    np.testing.assert_allclose(found.log10_norms, t.log10_grad_norms, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(found.layers[1].x == 0, masks[0, :, 0] == 0)
    one = e.replace(variational_dropout=True)
    masks = dropout_masks(one, 3, e.batch_size)
    t = engine.probe(one, None, *batch(one, 3), masks)
    found = engine.unrolled(one, t, masks=masks)
    np.testing.assert_allclose(found.log10_norms, t.log10_grad_norms, rtol=0, atol=1e-11)


def test_past_the_range_of_float64():
    """A gradient of 10^−700 is a number here, and its two parts still add up to it."""
    e = engine.Experiment(hidden_size=4, seq_length=1200, batch_size=2, gain=0.25, init="orthogonal")
    t = engine.probe(e)
    found = engine.unrolled(e, t, at=[1, 2, 1199, 1200])
    assert found.log10_norms[0, 0] < -600
    np.testing.assert_allclose(found.log10_norms, t.log10_grad_norms, rtol=0, atol=1e-9)
    delta = found.layers[0].delta
    assert np.abs(delta.values[0]).max() > 1e-70
    assert delta.exponents[0] < -1500
    through = found.layers[0].through
    np.testing.assert_array_equal(delta.values[0], through.values[0])
    assert delta.exponents[0] == through.exponents[0]


@pytest.mark.parametrize("kind", list(cases.KINDS))
def test_what_multiplies_on_the_shortest_way(kind):
    _, t, found = looked_at(**cases.KINDS[kind])
    gate = {"lstm": "f", "gru": "z", "gru_before": "z"}.get(kind)
    factor = 1 - t.hidden[:, 1:] ** 2 if gate is None else t.gates[gate]
    np.testing.assert_allclose(found.kept, factor.mean(axis=(2, 3)), rtol=1e-12)
    np.testing.assert_allclose(found.sizes, np.sqrt((t.hidden[:, 1:] ** 2).mean(axis=(2, 3))), rtol=1e-12)


def test_an_embedded_symbol_enters_as_its_row():
    e = engine.Experiment(**(SIZES | {"task": "markov", "embedding_dim": 4}))
    t = engine.probe(e)
    found = engine.unrolled(e, t, sequence=2)
    rows = t.state_dict["embedding.weight"][t.inputs[:, 2].argmax(axis=1)]
    np.testing.assert_array_equal(found.layers[0].x, rows)


def test_lost_weights_give_no_numbers_and_no_error():
    e = engine.Experiment(**SIZES)
    t = engine.probe(e)
    state = dict(t.state_dict) | {"weight_hh_l0": np.full_like(t.state_dict["weight_hh_l0"], np.nan)}
    lost = replace(t, state_dict=state, hidden=np.full_like(t.hidden, np.nan))
    found = engine.unrolled(e, lost)
    assert not np.isfinite(found.log10_norms[0, :-1]).any()


@pytest.mark.parametrize("at", [[0], [11], [3, 3], [2, 1], [], [1.5], [[1]]])
def test_timesteps_that_there_are_not(at):
    e = engine.Experiment(**SIZES)
    with pytest.raises(ValueError, match="at: "):
        engine.unrolled(e, engine.probe(e), at=at)
    with pytest.raises(ValueError, match="sequence: 3"):
        engine.unrolled(e, engine.probe(e), sequence=3)
