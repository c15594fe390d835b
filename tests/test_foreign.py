"""Somebody's own network: what torch and keras compute with it, the engine computes with what it has loaded."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import engine
from engine.foreign import read_arrays

T, B, I, H = 9, 4, 3, 6
RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(T, B, I)), RNG.normal(size=(B, 1))


class Net(nn.Module):
    """A recurrent layer, and a head on its last output."""

    def __init__(self, layer: nn.Module, outputs: int = 1, bias: bool = True, vocabulary: int = 0) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, I) if vocabulary else None
        self.layer = layer
        self.fc = nn.Linear(H, outputs, bias=bias)

    def forward(self, x):
        x = x if self.embed is None else self.embed(x)
        out, _ = self.layer(x)
        return self.fc(out[:, -1] if self.layer.batch_first else out[-1])


def close(a, b, tolerance=1e-10) -> None:
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


LAYERS = {
    "rnn": (nn.RNN, {}), "relu": (nn.RNN, {"nonlinearity": "relu"}), "lstm": (nn.LSTM, {}), "gru": (nn.GRU, {}),
    "stacked": (nn.LSTM, {"num_layers": 3}), "no bias": (nn.GRU, {"bias": False}),
    "batch first": (nn.LSTM, {"batch_first": True}),
}  # fmt: skip


def torchs(name: str) -> tuple[Net, float]:
    """A network, its loss, and its gradient in place."""
    layer, options = LAYERS[name]
    module = Net(layer(I, H, **options), bias=name != "no bias").double()
    x = torch.from_numpy(X).transpose(0, 1) if module.layer.batch_first else torch.from_numpy(X)
    loss = nn.functional.mse_loss(module(x), torch.from_numpy(Y))
    loss.backward()
    return module, float(loss.detach())


@pytest.mark.parametrize("name", LAYERS)
def test_a_torch_module_gives_the_same_loss_and_gradients(name):
    module, loss = torchs(name)
    found = engine.load_weights(module)
    trace = engine.probe(found.experiment, found.state_dict, X, Y)
    close(trace.loss, loss)
    for theirs, tensor in module.layer.named_parameters():
        close(trace.grads[theirs], tensor.grad.numpy())
    close(trace.grads["head.weight"], module.fc.weight.grad.numpy())
    assert ("batch_first" in " ".join(found.notes)) == (name == "batch first")


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_a_file_is_the_module_and_back(tmp_path, suffix):
    module, loss = torchs("stacked")
    file = tmp_path / f"model.{suffix}"
    if suffix == "safetensors":
        save_file(module.state_dict(), file)
    else:
        np.savez(file, **{name: value.numpy() for name, value in module.state_dict().items()})
    found = engine.load_weights(file, lr=0.05)
    assert (found.experiment.cell, found.experiment.num_layers, found.experiment.lr) == ("lstm", 3, 0.05)
    close(engine.probe(found.experiment, found.state_dict, X, Y).loss, loss)
    changed = {name: 1.1 * value for name, value in found.state_dict.items()}
    engine.save_weights(tmp_path / f"out.{suffix}", found.export(changed))
    again = engine.load_weights(tmp_path / f"out.{suffix}")
    module.load_state_dict({name: torch.from_numpy(v) for name, v in found.export(changed).items()})
    with torch.no_grad():
        after = nn.functional.mse_loss(module(torch.from_numpy(X)), torch.from_numpy(Y))
    close(engine.probe(again.experiment, again.state_dict, X, Y).loss, float(after))
    assert abs(float(after) - loss) > 1e-6


def test_an_embedding_and_classes():
    module = Net(nn.GRU(I, H), outputs=5, vocabulary=7).double()
    symbols, classes = RNG.integers(7, size=(T, B)), RNG.integers(5, size=B)
    loss = nn.functional.cross_entropy(module(torch.from_numpy(symbols)), torch.from_numpy(classes))
    found = engine.load_weights(module)
    trace = engine.probe(found.experiment, found.state_dict, np.eye(7)[symbols], classes)
    close(trace.loss, float(loss.detach()))
    assert found.experiment.embedding_dim == I


def test_several_modules_are_named_and_stacked_when_told():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.low, self.high, self.fc = nn.LSTM(I, H), nn.LSTM(H, H), nn.Linear(H, 1)

    module = Two().double()
    with pytest.raises(ValueError, match="'low', 'high'"):
        engine.load_weights(module)
    found = engine.load_weights(module, recurrent=("low", "high"))
    out, _ = module.high(module.low(torch.from_numpy(X))[0])
    loss = nn.functional.mse_loss(module.fc(out[-1]), torch.from_numpy(Y))
    close(engine.probe(found.experiment, found.state_dict, X, Y).loss, float(loss.detach()))


def test_a_cell_and_no_head():
    found = engine.load_weights(nn.GRUCell(I, H))
    assert (found.experiment.cell, found.state_dict["head.weight"].shape) == ("gru", (1, H))
    assert "drawn at random" in found.notes[-2], "before the note on the task that was found for it"


def zeros(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {name.replace("__", "."): np.zeros(shape) for name, shape in shapes.items()}


GOOD = zeros(weight_ih_l0=(4 * H, I), weight_hh_l0=(4 * H, H))


@pytest.mark.parametrize(
    ("source", "options", "names"),
    [
        (nn.LSTM(I, H, bidirectional=True), {}, "bidirectional"),
        (nn.LSTM(I, H, proj_size=2), {}, "projections"),
        (nn.Linear(I, H), {}, "no recurrent layer"),
        ({}, {}, "no recurrent layer"),
        (None, {}, "NoneType"),
        ({"weight_hh_l0": "text"}, {}, "weight_hh_l0"),
        (zeros(weight_hh_l0=(H, H)), {}, "weight_ih is missing"),
        (zeros(weight_hh_l0=(2 * H, H), weight_ih_l0=(2 * H, I)), {}, "allowed: \\(H, H\\)"),
        (zeros(weight_hh_l0=(0, 0), weight_ih_l0=(0, I)), {}, "weight_hh_l0"),
        (GOOD | zeros(bias_ih_l0=(7,)), {}, "bias_ih_l0"),
        (GOOD | zeros(weight_ih_l1=(4 * H, I), weight_hh_l1=(4 * H, H)), {}, "weight_ih_l1"),
        (GOOD | zeros(weight_ih_l1=(8, H), weight_hh_l1=(8, 2)), {}, "weight_hh_l1"),
        (GOOD | zeros(a__weight=(1, H), a__bias=(1,), b__weight=(2, H), b__bias=(2,)), {}, "head=a, b"),
        (GOOD, {"head": "fc"}, "head: 'fc'"),
        (GOOD, {"head": ["fc"]}, "head: \\['fc'\\]"),
        (GOOD, {"recurrent": 5}, "recurrent: 5"),
        (GOOD, {"recurrent": ("", "")}, "each once"),
        (GOOD, {"nonlinearity": ["tanh"]}, "nonlinearity"),
        (GOOD, {"cell": "lstm"}, "cell: the network itself says it"),
        (GOOD, {"hidden_size": H}, "hidden_size: the network itself says it"),
        (GOOD, {"speed": 1}, "speed: no field; allowed: init"),
        (GOOD | {"weight_hh_l0": np.zeros((4 * H, H), complex)}, {}, "weight_hh_l0: complex128"),
        (GOOD | {"weight_ih_l0": np.zeros((4 * H, I), bool)}, {}, "weight_ih_l0: bool"),
        (GOOD | {"weight_hh_l0": np.ma.zeros((4 * H, H))}, {}, "weight_hh_l0: a masked array"),
        (GOOD | {"fc.weight": np.ones((1, H), complex), "fc.bias": np.ones(1)}, {}, "fc.weight: complex128"),
        (GOOD | zeros(weight_ih_l7=(4 * H, H), weight_hh_l7=(4 * H, H)), {}, "layer 1 is missing"),
        (zeros(weight_ih_l2=(4 * H, I), weight_hh_l2=(4 * H, H)), {}, "layer 0 is missing"),
        (GOOD | zeros(weight_ih_l0=()), {}, "weight_ih_l0: shape"),
        (GOOD | zeros(weight_ih_l0=(4 * H, 0)), {}, "weight_ih_l0: shape"),
        (GOOD | zeros(head__weight=(1, 1, H), head__bias=(1,)), {}, "head.weight: shape"),
        (GOOD | zeros(fc__weight=(2, H), fc__bias=(3,)), {}, "fc.bias: shape"),
        (GOOD | zeros(fc__weight=(0, H), fc__bias=(0,)), {}, "fc.weight: shape"),
        (GOOD | zeros(embedding__weight=(7,)), {}, "embedding.weight: shape"),
        (GOOD | zeros(embedding__weight=(0, I)), {}, "embedding.weight: shape"),
        (GOOD, {"recurrent": "x"}, "recurrent: 'x'"),
        (GOOD, {"nonlinearity": "swish"}, "swish"),
        (GOOD, {"lr": -1}, "lr"),
        ("model.pt", {}, "safetensors.torch.save_file"),
        ("model", {}, "no suffix"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_named(source, options, names):
    with pytest.raises(ValueError, match=names):
        engine.load_weights(source, **options)


@pytest.mark.filterwarnings("error")
def test_tensors_of_any_type_are_weights_or_a_sentence():
    good = {name: value.numpy() for name, value in torchs("lstm")[0].state_dict().items()}
    name = "layer.weight_hh_l0"
    w = good[name]
    for odd, dtype in ((w.astype(">f8"), "float64"), (w.astype(np.longdouble), "float64"),
                       (w.round().astype(int), "float64"), (w[::-1].copy()[::-1], "float64"),
                       (w.astype(">f4"), "float32"), (torch.tensor(w).to(torch.float8_e4m3fn), "float32")):  # fmt: skip
        found = engine.load_weights(good | {name: odd})
        assert found.experiment.dtype == dtype
        expected = np.asarray(odd.float() if isinstance(odd, torch.Tensor) else odd, dtype)
        np.testing.assert_array_equal(found.state_dict["weight_hh_l0"], expected)
    large = engine.load_weights(good | {name: w.astype(np.longdouble) * np.longdouble("1e4000")})
    assert np.isinf(large.state_dict["weight_hh_l0"]).all()
    for odd in (torch.empty(w.shape, device="meta"), torch.tensor(w).to_sparse()):
        with pytest.raises(ValueError, match=r"layer.weight_hh_l0.*a tensor of .*; allowed: arrays or tensors of real"):
            engine.load_weights(good | {name: odd})


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
@pytest.mark.parametrize("raw", [b"", b"nonsense", b"\xff" * 100])
def test_a_damaged_file_is_refused(tmp_path, suffix, raw):
    (tmp_path / f"m.{suffix}").write_bytes(raw)
    with pytest.raises(ValueError, match=f"m.{suffix}"):
        engine.load_weights(tmp_path / f"m.{suffix}")


def test_a_pickle_in_an_npz_is_not_loaded(tmp_path):
    np.savez(tmp_path / "m.npz", weight_hh_l0=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        engine.load_weights(tmp_path / "m.npz")


def test_a_bias_that_they_do_not_have_is_not_lost_in_silence():
    module, _ = torchs("no bias")
    found = engine.load_weights(module)
    assert found.export(found.state_dict).keys() == module.state_dict().keys()
    with pytest.raises(ValueError, match="bias_ih_l0"):
        found.export(dict(found.state_dict) | {"bias_ih_l0": np.ones(3 * H)})


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
@pytest.mark.parametrize(
    "bad",
    [
        {"a": np.array([{}], dtype=object)}, {"a": np.array(["text"])}, {"a": np.ones(2, complex)},
        {"a": [[1], [1, 2]]}, {1: np.ones(2)}, {"a": np.ma.masked_array([1.0], [True])}, {"a": None}, [np.ones(2)],
    ],
    ids=["object", "str", "complex", "ragged", "name", "masked", "none", "list"],
)  # fmt: skip
def test_a_file_that_is_there_stays_where_the_new_one_is_refused(tmp_path, suffix, bad):
    file = tmp_path / f"m.{suffix}"
    engine.save_weights(file, {"first": np.ones(3)})
    before = file.read_bytes()
    with pytest.raises(ValueError, match="allowed: "):
        engine.save_weights(file, {"good": np.ones(2)} | bad if isinstance(bad, dict) else bad)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_is_named_as_it_was_given(tmp_path):
    file = tmp_path / "no folder" / "m.npz"
    with pytest.raises(FileNotFoundError) as refused:
        engine.save_weights(file, {"a": np.ones(2)})
    assert refused.value.filename == str(file)


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_every_name_can_be_saved(tmp_path, suffix):
    names = ("file", "allow_pickle", "self", "layer.weight", "weight")
    engine.save_weights(tmp_path / f"m.{suffix}", {name: np.full(2, n) for n, name in enumerate(names)})
    again = read_arrays(tmp_path / f"m.{suffix}")
    assert {name: value.tolist() for name, value in again.items()} == {name: [n, n] for n, name in enumerate(names)}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda state: {}, "state_dict: .* is missing"),
        (lambda state: None, "NoneType"),
        (lambda state: state | {"weight_hh_l0": np.zeros((2, 2))}, "weight_hh_l0: float64 of shape"),
        (lambda state: state | {"head.bias": np.array(["text"])}, "head.bias: <U4"),
    ],
)
def test_what_cannot_be_exported_is_named(change, names):
    found = engine.load_weights(torchs("lstm")[0])
    with pytest.raises(ValueError, match=names):
        found.export(change(dict(found.state_dict)))


def test_what_is_left_out_of_torch_is_told():
    class MyRNN(nn.RNN):
        """By another name."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.layer = nn.Embedding(7, I, padding_idx=0), MyRNN(I, H, nonlinearity="relu")
            self.between = nn.Sequential(nn.ReLU(), nn.Dropout(0.1), nn.LayerNorm(H), nn.Identity())
            self.fc = nn.Linear(H, 1)
            self.register_buffer("mask", torch.ones(3, dtype=torch.bool))  # not used: not refused

    found = engine.load_weights(Own())
    notes = " ".join(found.notes)
    for told in ("padding_idx 0", "between.0 (ReLU), between.1 (Dropout).", "between.2.weight"):
        assert told in notes
    assert found.experiment.nonlinearity == "relu"
    assert "Left out" not in " ".join(engine.load_weights(torchs("lstm")[0]).notes)


# --- Keras, in float32


@pytest.fixture(scope="module")
def keras():
    import keras

    keras.utils.set_random_seed(1)
    return keras


KERAS = {
    "rnn": ("SimpleRNN", {}), "relu": ("SimpleRNN", {"activation": "relu"}), "lstm": ("LSTM", {}),
    "gru": ("GRU", {}), "gru before": ("GRU", {"reset_after": False}), "no bias": ("LSTM", {"use_bias": False}),
    "gru relu": ("GRU", {"activation": "relu"}), "gru before elu": ("GRU", {"activation": "elu", "reset_after": False}),
    "sigmoid": ("SimpleRNN", {"activation": "sigmoid"}), "linear": ("SimpleRNN", {"activation": "linear"}),
    "softsign": ("SimpleRNN", {"activation": "softsign"}), "hard tanh": ("GRU", {"activation": "hard_tanh"}),
}  # fmt: skip


@pytest.mark.parametrize("name", KERAS)
def test_a_keras_model_gives_the_same_loss_and_takes_weights_back(keras, name):
    layer, options = KERAS[name]
    make = getattr(keras.layers, layer)
    model = keras.Sequential(
        [keras.Input((T, I)), make(H, return_sequences=True, **options), make(H, **options), keras.layers.Dense(1)]
    )
    for part in model.layers:  # biases are not 0 in a network that was trained
        part.set_weights([0.3 * RNG.standard_normal(w.shape) for w in part.get_weights()])
    found = engine.load_weights(model)
    assert (found.experiment.num_layers, found.experiment.dtype) == (2, "float32")

    def loss() -> float:
        return float(np.mean((np.asarray(model.predict(X.transpose(1, 0, 2), verbose=0)) - Y) ** 2))

    close(engine.probe(found.experiment, found.state_dict, X, Y).loss, loss(), 1e-5)
    changed = {name: np.float32(1.2) * value for name, value in found.state_dict.items()}
    for part, weights in found.export(changed).items():
        model.get_layer(part).set_weights(weights)
    close(engine.probe(found.experiment, changed, X, Y).loss, loss(), 1e-5)


def test_an_embedding_of_keras(keras):
    model = keras.Sequential(
        [keras.Input((T,)), keras.layers.Embedding(7, I), keras.layers.GRU(H), keras.layers.Dense(4, "softmax")]
    )
    symbols, classes = RNG.integers(7, size=(T, B)), RNG.integers(4, size=B)
    found = engine.load_weights(model)
    said = np.asarray(model.predict(symbols.T, verbose=0))
    trace = engine.probe(found.experiment, found.state_dict, np.eye(7)[symbols], classes)
    close(trace.loss, -np.log(said[np.arange(B), classes]).mean(), 1e-5)


def test_what_of_keras_does_not_fit_is_named(keras):
    layers = keras.layers
    for part, names in [
        (layers.Bidirectional(layers.LSTM(H)), "Bidirectional"),
        (layers.LSTM(H, go_backwards=True), "go_backwards"),
        (layers.GRU(H, recurrent_activation="hard_sigmoid"), "hard_sigmoid"),
        (layers.SimpleRNN(H, activation="selu"), "selu"),
        (layers.SimpleRNN(H, activation="leaky_relu"), "activation leaky_relu"),  # another slope than ours
        (layers.GRU(H, activation=layers.ReLU()), "ReLU"),
        (layers.LSTM(H, activation="relu", name="low"), "low: activation relu; allowed: tanh"),
        (layers.Flatten(), "no recurrent layer"),
    ]:
        with pytest.raises(ValueError, match=names):
            engine.load_weights(keras.Sequential([keras.Input((T, I)), part]))


def test_what_is_left_out_of_keras_is_told(keras):
    layers = keras.layers
    parts = [layers.Embedding(7, I, mask_zero=True), layers.Dropout(0.1), layers.GRU(H, dropout=0.2)]
    parts += [layers.Activation("relu"), layers.Dense(1)]
    notes = " ".join(engine.load_weights(keras.Sequential([keras.Input((T,)), *parts])).notes)
    for told in ("has mask_zero", "(Dropout)", "has dropout 0.2", "(Activation)"):
        assert told in notes
    assert "recurrent_dropout" not in notes
    assert "InputLayer" not in notes
    recurrent = layers.LSTM(H, recurrent_dropout=0.3)
    notes = engine.load_weights(keras.Sequential([keras.Input((T, I)), recurrent, layers.Dense(1)])).notes
    assert "recurrent_dropout 0.3" in " ".join(notes)
    assert "Left out" not in " ".join(notes)


@pytest.mark.parametrize(
    ("layer", "options", "told"),
    [
        ("SimpleRNN", {}, ["one bias"]),
        ("LSTM", {}, ["one bias"]),
        ("LSTM", {"use_bias": False}, ["no biases"]),
        ("GRU", {"reset_after": False}, ["one bias"]),
        ("GRU", {}, []),
    ],
)
def test_biases_that_keras_counts_otherwise_are_told(keras, layer, options, told):
    """Theirs is one where ours are b_ih and b_hh; their GRU with reset_after has both."""
    recurrent = getattr(keras.layers, layer)(H, **options)
    notes = engine.load_weights(keras.Sequential([keras.Input((T, I)), recurrent, keras.layers.Dense(1)])).notes
    assert [words for words in ("no biases", "one bias") if words in " ".join(notes)] == told
