"""Training from given weights, and the whole circle: out of torch or Keras, trained here, back there with the loss."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from torch import nn

import engine
from tests import cases

T, B, I, O, H = 12, 4, 3, 2, 6


def small(**changes: object) -> engine.Experiment:
    defaults = {"hidden_size": H, "num_layers": 2, "batch_size": B, "seq_length": T, "lr": 0.01}
    return engine.Experiment(**(defaults | changes))


def weights(e: engine.Experiment) -> dict[str, np.ndarray]:
    task = engine.TASKS[e.task]
    return cases.state_dict(e, task.input_size, task.output_size)


@pytest.mark.parametrize("kind", cases.KINDS)
def test_given_weights_train_as_if_the_trainer_had_drawn_them(kind):
    e = small(**cases.KINDS[kind], optimizer="momentum")
    usual = engine.Trainer(e)
    given = engine.Trainer(e.replace(init="identity"), state_dict=usual.state_dict)
    for trainer in (usual, given):
        trainer.advance(15)
    np.testing.assert_array_equal(usual.history.loss, given.history.loss)
    cases.assert_identical(usual.state_dict, given.state_dict)
    assert not np.array_equal(usual.history.loss, engine.train(e.replace(seed=1), 15).loss)


def test_the_weights_are_copied_and_the_run_begins_with_them():
    e = small()
    mine = weights(e)
    trainer = engine.Trainer(e, state_dict=mine)
    assert trainer.step == 0
    cases.assert_identical(trainer.state_dict, mine)
    assert trainer.trace().loss == engine.probe(e, mine).loss
    before = {name: value.copy() for name, value in mine.items()}
    trainer.advance(3)
    cases.assert_identical(mine, before)
    again = engine.Trainer.resume(trainer.checkpoint())
    for one in (trainer, again):
        one.advance(5)
    np.testing.assert_array_equal(trainer.history.loss, again.history.loss)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda w: {}, "state_dict: missing"),
        (lambda w: w | {"extra": np.zeros(3)}, r"not known \['extra'\]"),
        (lambda w: w | {"weight_hh_l1": np.zeros((H, H + 1))}, r"state_dict\['weight_hh_l1'\]: shape \(6, 7\)"),
        (lambda w: w | {"head.bias": np.array(["a"])}, r"state_dict\['head.bias'\]: shape \(1,\), <U1"),
        (lambda w: [1, 2], "state_dict: list; allowed: names -> arrays"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, names):
    e = small()
    with pytest.raises(ValueError, match=names):
        engine.Trainer(e, state_dict=change(weights(e)))


def test_weights_that_are_not_finite_are_a_result():
    e = small()
    trainer = engine.Trainer(e, state_dict=weights(e) | {"weight_hh_l1": np.full((H, H), np.nan)})
    trainer.advance(2)
    assert trainer.diverged
    assert trainer.history.diverged_at == 0


class Net(nn.Module):
    """A recurrent layer, and a head on its last output."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.fc = layer, nn.Linear(H, O)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer(x)[0][-1])


LAYERS = {
    "rnn": lambda: nn.RNN(I, H), "relu": lambda: nn.RNN(I, H, nonlinearity="relu"), "lstm": lambda: nn.LSTM(I, H),
    "gru": lambda: nn.GRU(I, H), "stacked rnn": lambda: nn.RNN(I, H, 2), "stacked lstm": lambda: nn.LSTM(I, H, 3),
    "stacked gru": lambda: nn.GRU(I, H, 2), "no bias": lambda: nn.LSTM(I, H, bias=False),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "no bias"])
def test_50_steps_from_a_torch_modules_weights_are_torchs_own(name):
    torch.manual_seed(3)
    module = Net(LAYERS[name]()).double()
    found = engine.load_weights(module, task=engine.noise(I, O), seq_length=T, batch_size=B, clip="none", lr=1e-3)
    trainer = engine.Trainer(found.experiment, state_dict=found.state_dict)
    optimizer, losses = torch.optim.Adam(module.parameters(), lr=1e-3), []
    for _ in range(50):
        trace = trainer.trace()
        loss = nn.functional.mse_loss(module(torch.tensor(trace.inputs)), torch.tensor(trace.targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        trainer.advance()
    np.testing.assert_allclose(trainer.history.loss, losses, rtol=1e-10)
    cases.assert_same_tensors(
        found.export(trainer.state_dict), {name: t.numpy() for name, t in module.state_dict().items()}, 1e-8
    )
