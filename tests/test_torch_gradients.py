"""A module's gradients by torch: the engine's where the engine can be that network, a loop by hand where it cannot."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import engine
from tests.test_foreign import LAYERS, B, H, I, Net, T, X, Y, close, torchs


@pytest.mark.parametrize("name", LAYERS)
def test_it_is_the_engines_trace(name):
    module, _ = torchs(name)
    kept = {key: p.grad.clone() for key, p in module.named_parameters()}
    x = X.transpose(1, 0, 2) if module.layer.batch_first else X
    theirs = engine.torch_gradients(module, x, Y)
    found = engine.load_weights(module)
    ours = engine.probe(found.experiment, found.state_dict, X, Y)
    for field in ("loss", "hidden", "grad_norms", "log10_grad_norms", "grad_norm", "inputs"):
        if field == "grad_norm" and not module.layer.bias:
            continue  # ours has biases, which have a gradient too
        close(getattr(theirs, field), getattr(ours, field))
    if module.layer.bias:
        for key, value in ours.grads.items():
            close(theirs.grads[key.replace("head", "fc") if "head" in key else f"layer.{key}"], value)
    for key, value in ours.gates.items():
        close(theirs.gates[key], value)
    assert (theirs.cell is None) == (ours.cell is None)
    for key, p in module.named_parameters():  # as they were
        assert torch.equal(p.grad, kept[key])
    assert "forward" not in vars(module.layer)


class Own(nn.Module):
    """What the engine is not: both directions, a norm between, attention over time."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.norm = nn.GRU(I, H, bidirectional=True), nn.LayerNorm(2 * H)
        self.high, self.score, self.fc = nn.LSTM(2 * H, H), nn.Linear(H, 1), nn.Linear(H, 3)

    def forward(self, x):
        out, _ = self.high(self.norm(self.low(x)[0]))
        return self.fc((torch.softmax(self.score(out), 0) * out).sum(0))


@pytest.fixture(autouse=True)
def same_weights():
    torch.manual_seed(0)


def test_another_network_agrees_with_central_differences():
    module, classes = Own().double(), torch.tensor([0, 2, 1, 1])
    t = engine.torch_gradients(module, X, classes)
    with torch.no_grad():
        plain = module(torch.from_numpy(X))
    close(t.loss, float(nn.functional.cross_entropy(plain, classes)))
    close(t.outputs[0], plain.numpy())
    assert t.hidden.shape == (3, T + 1, B, H)
    name, p = "high.weight_hh_l0", module.high.weight_hh_l0
    with torch.no_grad():
        for at in [(0, 0), (5, 3), (4 * H - 1, H - 1)]:
            values = []
            for shift in (1e-6, -2e-6):
                p[at] += shift
                values.append(float(nn.functional.cross_entropy(module(torch.from_numpy(X)), classes)))
            p[at] += 1e-6
            close(t.grads[name][at], (values[0] - values[1]) / 2e-6, 1e-7)


def test_the_norm_of_a_step_is_that_of_everything_that_arrives_there():
    """∂L/∂h_t by central differences of a state that is pushed at step t, through a loop over the cell."""
    module, at, push = Net(nn.GRU(I, H)).double(), 4, 1e-6
    cell = nn.GRUCell(I, H).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in module.layer.state_dict().items()})
    x, y = torch.from_numpy(X), torch.from_numpy(Y)

    def loss(b: int, unit: int, by: float) -> float:
        h = torch.zeros(B, H, dtype=torch.float64)
        for t in range(T):
            h = cell(x[t], h)
            if t + 1 == at:
                h = h.clone()
                h[b, unit] += by
        return float(nn.functional.mse_loss(module.fc(h), y))

    with torch.no_grad():
        g = np.array([[(loss(b, u, push) - loss(b, u, -push)) / (2 * push) for u in range(H)] for b in range(B)])
    close(engine.torch_gradients(module, X, Y).grad_norms[0, at - 1], np.linalg.norm(g, axis=1).mean(), 1e-7)


def test_a_loop_over_a_cell_is_seen_too():
    loop, fused = Loop(nn.LSTMCell(I, H)).double(), Net(nn.LSTM(I, H)).double()
    fused.layer.load_state_dict({f"{k}_l0": v for k, v in loop.cell.state_dict().items()})
    fused.fc.load_state_dict(loop.fc.state_dict())
    one, two = (engine.torch_gradients(module, X, Y) for module in (loop, fused))
    for field in ("loss", "hidden", "cell", "grad_norms"):
        close(getattr(one, field), getattr(two, field))


class Loop(nn.Module):
    """By hand over a cell."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell, self.fc = cell, nn.Linear(H, 1)

    def forward(self, x):
        state = None
        for x_t in x:
            state = self.cell(x_t, state)
        return self.fc(state[0] if isinstance(state, tuple) else state)


@pytest.mark.parametrize(
    "module",
    [Net(nn.RNN(I, H)), Net(nn.LSTM(I, H, num_layers=2)), Loop(nn.GRUCell(I, H)), Loop(nn.LSTMCell(I, H))],
    ids=["rnn", "lstm", "gru cell", "lstm cell"],
)
def test_frozen_layers_have_the_same_gradient_along_h(module):
    module = module.double()
    free = engine.torch_gradients(module, X, Y)
    (module.layer if isinstance(module, Net) else module.cell).requires_grad_(False)
    frozen = engine.torch_gradients(module, X, Y)
    close(frozen.grad_norms, free.grad_norms)
    close(frozen.loss, free.loss)
    assert free.grad_norms.min() > 0


class MyRNN(nn.RNN):
    """By another name."""


class MyCell(nn.LSTMCell):
    """By another name."""


class Doubling(nn.GRU):
    """It does more than its class."""

    def forward(self, x, h=None):
        out, h = super().forward(x, h)
        return 2 * out, h


@pytest.mark.parametrize(
    ("own", "plain"),
    [(Net(MyRNN(I, H)), Net(nn.RNN(I, H))), (Loop(MyCell(I, H)), Loop(nn.LSTMCell(I, H)))],
    ids=["layer", "cell"],
)
def test_a_subclass_is_what_it_inherits_from(own, plain):
    plain.load_state_dict(own.state_dict())
    one, two = (engine.torch_gradients(module.double(), X, Y) for module in (own, plain))
    assert one.kind == two.kind
    close(one.grad_norms, two.grad_norms)


def test_what_was_given_is_as_it_was():
    module = Net(nn.GRU(I, H)).double()
    own = module.layer.forward = module.layer.forward
    x = torch.from_numpy(X).clone().requires_grad_()
    engine.torch_gradients(module, x, Y)
    assert vars(module.layer)["forward"] is own
    assert x.grad is None
    parts = nn.ModuleList([nn.GRU(I, H), nn.LSTM(I, 8, proj_size=H)])
    with pytest.raises(ValueError, match="proj_size"):
        engine.torch_gradients(parts, X, Y)
    assert "forward" not in vars(parts[0])


def test_a_gradient_that_is_not_a_number_is_told():
    module, _ = torchs("relu")
    with torch.no_grad():
        module.layer.weight_hh_l0.fill_(1e200)
    assert engine.torch_gradients(module, X, Y).non_finite == "loss"


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (nn.Linear(I, 1), "no nn.RNN"),
        (None, "NoneType"),
        (Net(nn.LSTM(I, 8, proj_size=H)), "proj_size=6"),
        (nn.Sequential(nn.Linear(I, 1)), "no nn.RNN"),
        (Net(Doubling(I, H)), "Doubling, with a forward of its own"),
    ],
)
def test_what_cannot_be_is_named(module, names):
    with pytest.raises(ValueError, match=names):
        engine.torch_gradients(module, X.astype(np.float32), Y.astype(np.float32))


class Tagger(nn.Module):
    """What a practitioner has: tokens, an embedding, dropout, two directions, a norm, an answer at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.drop = nn.Embedding(20, I), nn.Dropout(0.3)
        self.rnn = nn.LSTM(I, H, 2, batch_first=True, dropout=0.5, bidirectional=True)
        self.norm, self.out = nn.LayerNorm(2 * H), nn.Linear(2 * H, 5)

    def forward(self, x):
        return self.out(self.norm(self.rnn(self.drop(self.embed(x)))[0])), "more"


class Normed(nn.Module):
    """BatchNorm, whose buffers a pass in training changes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.gru, self.fc = nn.BatchNorm1d(I), nn.GRU(I, H, batch_first=True), nn.Linear(H, 1)

    def forward(self, x):
        return self.fc(self.gru(self.norm(x.transpose(1, 2)).transpose(1, 2))[0][:, -1])[:, 0]


class Decoder(nn.Module):
    """An encoder, and a decoder that is called for one step at a time, on from where it was."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.fc = nn.LSTM(I, H), nn.LSTM(1, H), nn.Linear(H, 1)

    def forward(self, x):
        _, state = self.encoder(x)
        said, out = x.new_zeros(1, x.shape[1], 1), []
        for _ in range(5):
            step, state = self.decoder(said, state)
            said = self.fc(step)
            out.append(said)
        return torch.cat(out)


class Sizes(nn.Module):
    """Layers of two sizes, and an output by name."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.fc = nn.LSTM(I, 2 * H), nn.LSTM(2 * H, H), nn.Linear(H, 1)

    def forward(self, x):
        return {"prediction": self.fc(self.high(self.low(x)[0])[0][-1])}


class Twice(nn.Module):
    """The same layer on two sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.fc = nn.GRU(I, H), nn.Linear(H, 1)

    def forward(self, x):
        return self.fc(self.gru(x)[0][-1] - self.gru(x.flip(0))[0][-1])


TOKENS = np.arange(B * T).reshape(B, T) % 20


def by_name(out, y):
    return nn.functional.l1_loss(out["prediction"], y)


@pytest.mark.parametrize(
    ("module", "x", "y", "more", "shapes"),
    [
        (Tagger(), TOKENS, TOKENS % 5, {}, [(4, T + 1, B, H), (T, B, 1), (T, B, 5), (T, B)]),
        (Normed(), X.swapaxes(0, 1), Y[:, 0], {}, [(1, T + 1, B, H), (T, B, I), (1, B, 1), (B,)]),
        (Decoder(), X, np.zeros((5, B, 1)), {"recurrent": "decoder"},
         [(1, 6, B, H), (T, B, I), (5, B, 1), (5, B, 1)]),
        (Sizes(), X, Y, {"recurrent": ["high"], "loss": by_name}, [(1, T + 1, B, H), (T, B, I), (0, 0, 0), (B, 1)]),
        (Net(nn.GRU(I, H)).bfloat16(), X, Y, {}, [(1, T + 1, B, H), (T, B, I), (1, B, 1), (B, 1)]),
        (torch.compile(Net(nn.GRU(I, H))), X, Y, {}, [(1, T + 1, B, H), (T, B, I), (1, B, 1), (B, 1)]),
    ],
    ids=["tagger", "batch norm", "decoder", "sizes", "bfloat16", "compiled"],
)  # fmt: skip
def test_what_a_practitioner_has_is_seen_and_left_as_it_was(module, x, y, more, shapes):
    """In training: its mode, gradients, buffers and torch's random state, with numbers of NumPy for float32."""
    module.train()
    before, random = {k: v.clone() for k, v in module.state_dict().items()}, torch.get_rng_state()
    t = engine.torch_gradients(module, x, y, **more)
    assert [a.shape for a in (t.hidden, t.inputs, t.outputs, t.targets)] == shapes
    assert t.grad_norms.max() > 0
    assert t.non_finite is None
    for found in (engine.gates(t), engine.jacobian_spectrum(t), engine.clipping(t), engine.verdict(t.grad_norms[0])):
        assert found is not None
    assert module.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in module.parameters())
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("name", LAYERS)
def test_instruments_read_it_as_they_read_the_engines(name):
    module, _ = torchs(name)
    x = X.transpose(1, 0, 2) if module.layer.batch_first else X
    theirs, found = engine.torch_gradients(module, x, Y), engine.load_weights(module)
    ours = engine.probe(found.experiment, found.state_dict, X, Y)
    for a, b in zip(*(engine.radii(t.kind, t.state_dict) for t in (theirs, ours)), strict=True):
        close(a.sigma, b.sigma)
    close(*(engine.jacobian_spectrum(t).singular_values for t in (theirs, ours)))
    close(*(engine.gates(t).time_constants for t in (theirs, ours)))
    if module.layer.bias:
        close(*(engine.clipping(t, 0.1).rows["norm"].kept[-1] for t in (theirs, ours)))
    assert {"fc.weight", "layer.weight_hh_l0"} <= set(module.state_dict())
    for own, w in module.state_dict().items():
        assert own in theirs.state_dict
        close(theirs.state_dict[own], w.numpy())
    with pytest.raises(KeyError):
        theirs.state_dict["nothing"]


@pytest.mark.parametrize("first", [False, True], ids=["time first", "batch first"])
def test_the_last_loss_alone_is_the_engines_too(first):
    """Where the answer is read at every step; a loss of one's own is not known by its steps."""

    class Each(Net):
        def forward(self, x):
            return self.fc(self.layer(x)[0])

    module, y = Each(nn.LSTM(I, H, batch_first=first)).double(), np.random.default_rng(1).normal(size=(T, B, 1))
    found = engine.load_weights(module)
    ours = engine.probe(found.experiment, found.state_dict, X, y)
    given = [a.swapaxes(0, 1) for a in (X, y)] if first else [X, y]
    theirs = engine.torch_gradients(module, *given)
    for field in ("loss", "log10_grad_norms", "log10_flow_norms", "outputs", "targets", "inputs"):
        close(getattr(theirs, field), getattr(ours, field))
    assert not np.allclose(ours.log10_flow_norms, ours.log10_grad_norms)
    assert np.isnan(engine.torch_gradients(module, *given, nn.functional.l1_loss).log10_flow_norms).all()


def test_a_cell_in_a_loop_has_gates_and_the_layers_jacobians():
    loop, fused = Loop(nn.LSTMCell(I, H)).double(), Net(nn.LSTM(I, H)).double()
    fused.layer.load_state_dict({f"{k}_l0": v for k, v in loop.cell.state_dict().items()})
    fused.fc.load_state_dict(loop.fc.state_dict())
    one, two = (engine.torch_gradients(module, X, Y) for module in (loop, fused))
    for name, gate in two.gates.items():
        close(one.gates[name], gate)
    close(*(engine.jacobian_spectrum(t).log10_product for t in (one, two)))


def test_steps_of_a_decoder_are_the_loop_of_its_cell():
    """‖∂L/∂h_t‖ over calls of one step each: those of the same decoder written by hand over a cell."""
    module = Decoder().double()
    y = np.ones((5, B, 1))
    found = engine.torch_gradients(module, X, y, recurrent="decoder")

    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.fc, self.cell = module.encoder, module.fc, nn.LSTMCell(1, H).double()
            self.cell.load_state_dict({k.removesuffix("_l0"): v for k, v in module.decoder.state_dict().items()})

        def forward(self, x):
            state = tuple(s[0] for s in self.encoder(x)[1])
            said, out = x.new_zeros(x.shape[1], 1), []
            for _ in range(5):
                state = self.cell(said, state)
                said = self.fc(state[0])
                out.append(said)
            return torch.stack(out)

    by_hand = engine.torch_gradients(Again(), X, y, recurrent="cell")
    close(found.grad_norms, by_hand.grad_norms)
    close(found.loss, by_hand.loss)
    assert len(np.unique(found.grad_norms)) == 5


@pytest.mark.parametrize(
    ("module", "y", "more", "names"),
    [
        (Decoder(), np.zeros((5, B, 1)), {}, "T=5 B=4 H=6, T=9 B=4 H=6.*'encoder', 'decoder'"),
        (Sizes(), Y, {"recurrent": "high"}, "output: dict"),
        (Sizes(), Y, {"recurrent": "top"}, "'top'; allowed: low, high"),
        (Twice(), Y, {}, "run more than once, each time from the beginning"),
        (Net(nn.GRU(I, H)), np.zeros((B, 3)), {}, r"output: shape \(4, 1\), for y \(4, 3\)"),
        (Net(nn.GRU(I, H)), [0, 1, 0, 1], {}, "one output for classes"),
        (Net(nn.GRU(I, H)), Y, {"loss": nn.MSELoss(reduction="none")}, r"loss: \(4, 1\); allowed: one number"),
        (Net(nn.GRU(I, H)), Y, {"loss": lambda out, y: out.detach().sum()}, "loss: it has no gradient"),
    ],
)
def test_what_does_not_fit_is_said(module, y, more, names):
    with pytest.raises(ValueError, match=names):
        engine.torch_gradients(module, X, y, **more)


class Idle(Net):
    """Its other layer is not run."""

    def __init__(self) -> None:
        super().__init__(nn.GRU(I, H))
        self.idle = nn.GRU(I, H)


X32 = X.astype(np.float32)
ODD = {
    "objects": (X.astype(object), Y, {}, "x: ndarray of object"),
    "complex": (1j * X, Y, {}, "x: ndarray of complex128"),
    "times": (X, np.zeros((B, 1), "M8[s]"), {}, "y: ndarray of datetime64"), "text": (X, "x", {}, "y: str of <U1"),
    "masked": (np.ma.masked_less(X, 0), Y, {}, "x: masked elements"), "dict": ({"x": X}, Y, {}, "x: dict of object"),
    "sparse": (torch.tensor(X).to_sparse(), Y, {}, "x: a tensor of torch.float64, torch.sparse_coo"),
    "complex tensor": (X, torch.tensor(1j * Y), {}, "y: a tensor of torch.complex128"),
    "whole numbers": ((9 * X).astype(int), Y, {}, r"x: torch.int64 of shape \(9, 4, 3\) comes to layer; allowed"),
    "truths": (X > 0, Y, {}, "x: torch.bool"), "too narrow": (X32[..., :2], Y, {}, r"allowed: floating .*\(T, B, 3\)"),
    "no step": (X32[:0], Y, {}, "each at least 1"), "no sequence": (X32[:, :0], Y[:0], {}, "each at least 1"),
    "loss": (X32, Y, {"loss": "mse"}, "loss: 'mse'; allowed: a function"),
    "complex loss": (X32, Y, {"loss": lambda out, y: out.sum() + 0j}, "loss: torch.complex64"),
    "recurrent": (X32, Y, {"recurrent": 3}, "recurrent: 3; allowed"),
    "none": (X32, Y, {"recurrent": None}, "recurrent: None; allowed"),
    "idle": (X32, Y, {"recurrent": "idle"}, "none of its recurrent layers was run"),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ODD)
def test_odd_arguments_are_refused_in_a_sentence(name):
    x, y, more, said = ODD[name]
    with pytest.raises(ValueError, match=said):
        engine.torch_gradients(Idle(), x, y, **more)


def test_modules_without_numbers_or_with_other_sizes_are_refused_in_a_sentence():
    with torch.inference_mode():
        fixed = Net(nn.GRU(I, H))
    for module, said in (
        (fixed, "layer.weight_ih_l0 is made in torch.inference_mode"),
        (Net(nn.GRU(I, H)).to("meta"), "weight_ih_l0 is on the device meta"),
        (nn.Sequential(nn.Linear(2, I), nn.GRU(I, H)), "cannot be run on x of shape .* shapes cannot be multiplied"),
        (Loop(nn.GRUCell(2, H)), "cannot be run on x of shape"),
    ):
        with pytest.raises(ValueError, match=said):
            engine.torch_gradients(module, X32, Y)
    for classes in ([0, 3, 1, 1], [0, -1, 1, 1]):
        with pytest.raises(ValueError, match=r"y: classes from .*; allowed: 0 to 2, as the output has 3"):
            engine.torch_gradients(Net(nn.GRU(I, H), outputs=3), X32, classes)


@pytest.mark.filterwarnings("error")
def test_arrays_of_any_layout_are_the_numbers_that_they_hold():
    module = Net(nn.GRU(I, H), outputs=3).double()
    classes = np.array([0, 2, -100, 1])  # one is left out
    expected = engine.torch_gradients(module, X, classes)
    held = np.broadcast_to(X, (1, *X.shape))[0]  # read-only
    for x in (X.astype(">f8"), X[::-1].copy()[::-1], X.astype(np.longdouble), held, X.tolist(), list(X)):
        close(engine.torch_gradients(module, x, classes.astype(">i2")).grad_norms, expected.grad_norms)
    labels = np.array([0, 2, 1, 1])
    expected = engine.torch_gradients(module, X, labels)
    for y in (labels.astype(np.uint16), labels.astype(np.uint64), torch.tensor(labels).to(torch.uint16)):
        close(engine.torch_gradients(module, X, y).loss, expected.loss)


def test_targets_without_the_last_axis_are_not_broadcast():
    """(B, 1) against (B,) would be B × B differences: torch only warns."""
    module = Net(nn.GRU(I, H)).double()
    close(engine.torch_gradients(module, X, Y[:, 0]).loss, engine.torch_gradients(module, X, Y).loss)


def test_several_kinds_are_no_cell_of_an_instrument():
    t = engine.torch_gradients(Own(), X, [0, 2, 1, 1])
    assert t.kind == "gru, lstm"
    with pytest.raises(ValueError, match="of several cells, gru, lstm"):
        engine.gates(t)
    assert engine.gates(engine.torch_gradients(Own(), X, [0, 2, 1, 1], recurrent="high")).keep == "f"


def test_the_engine_imports_neither_torch_nor_keras():
    code = "import sys, engine; assert not {'torch', 'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
