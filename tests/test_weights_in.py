"""Training from given weights, and the whole circle: out of torch or Keras, trained here, back there with the loss."""

import io
import json
import os
import pickle
import struct
import zipfile

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

import engine
from engine.foreign import Ambiguous, Misfit, read_arrays
from engine.foreign.files import FROM_KERAS, packed
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


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_the_circle_through_a_file_of_torch(tmp_path, name, suffix):
    torch.manual_seed(5)
    module, file = Net(LAYERS[name]()).double(), tmp_path / f"model.{suffix}"
    engine.save_weights(file, {key: value.numpy() for key, value in module.state_dict().items()})
    found = engine.load_weights(file, nonlinearity="relu" if name == "relu" else "tanh", seq_length=T, batch_size=B)
    trainer = engine.Trainer(found.experiment, state_dict=found.state_dict)
    trainer.advance(20)
    if name == "no bias":  # which training has given some
        with pytest.raises(ValueError, match="bias_ih_l0: not 0"):
            found.export(trainer.state_dict)
        return
    out = tmp_path / f"out.{suffix}"
    engine.save_weights(out, found.export(trainer.state_dict))
    arrays = load_file(out) if suffix == "safetensors" else {k: torch.tensor(v) for k, v in np.load(out).items()}
    module.load_state_dict(arrays, strict=True)
    trace = trainer.trace()
    outputs, classes = module(torch.tensor(trace.inputs)), torch.tensor(trace.targets)
    loss = nn.functional.cross_entropy(outputs, classes)
    np.testing.assert_allclose(trace.loss, loss.item(), rtol=1e-10)


KERAS = {
    "rnn": ("SimpleRNN", {}), "lstm": ("LSTM", {}), "gru": ("GRU", {}), "gru before": ("GRU", {"reset_after": False}),
}  # fmt: skip


@pytest.fixture(scope="module")
def keras():
    import keras

    keras.utils.set_random_seed(1)
    return keras


def saved_by_keras(model, file) -> None:
    """The line that the page tells its readers."""
    exec(FROM_KERAS.replace("'model.npz'", "file"), {"numpy": np, "model": model, "file": file})


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("name", KERAS)
def test_the_circle_through_a_file_of_keras(keras, tmp_path, name, embedded):
    layer, options = KERAS[name]
    make, layers = getattr(keras.layers, layer), keras.layers
    first = [keras.Input((T,)), layers.Embedding(7, I)] if embedded else [keras.Input((T, I))]
    low, high = make(H, return_sequences=True, name="low", **options), make(H, name="high", **options)
    model = keras.Sequential([*first, low, high, layers.Dense(O, name="answer")])
    saved_by_keras(model, tmp_path / "model.npz")
    with pytest.raises(Ambiguous, match="several recurrent layers") as several:
        engine.load_weights(tmp_path / "model.npz")
    assert [option.rpartition("/")[2] for option in several.value.options] == ["low", "high"]
    found = engine.load_weights(
        tmp_path / "model.npz", recurrent=several.value.options, seq_length=T, batch_size=B, loss="mse"
    )
    assert (found.source, found.experiment.kind) == ("Keras", "gru_before" if "before" in name else name)
    assert (found.experiment.embedding_dim == I) == embedded
    trainer = engine.Trainer(found.experiment, state_dict=found.state_dict)
    trainer.advance(20)
    engine.save_weights(tmp_path / "out.npz", found.export(trainer.state_dict))
    with np.load(tmp_path / "out.npz") as out:
        assert set(out.files) == {w.path for w in model.weights}
        for w in model.weights:
            w.assign(out[w.path])
    trace = trainer.trace()
    x = trace.inputs.argmax(axis=2).T if embedded else trace.inputs.transpose(1, 0, 2)
    loss = np.mean((np.asarray(model.predict(x, verbose=0)) - trace.targets) ** 2)
    np.testing.assert_allclose(trace.loss, loss, rtol=1e-5)


def zeros(**tensors: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {f"m/{name.replace('__', '/')}": np.zeros(shape, np.float32) for name, shape in tensors.items()}


BOTH_WAYS = {
    f"m/b/{way}_lstm/lstm_cell/{tensor}": np.zeros((rows, 4 * H))
    for way in ("forward", "backward")
    for tensor, rows in (("kernel", I), ("recurrent_kernel", H))
}
OF_KERAS = zeros(lstm__lstm_cell__kernel=(I, 4 * H), lstm__lstm_cell__recurrent_kernel=(H, 4 * H))


@pytest.mark.parametrize(
    ("arrays", "options", "said"),
    [
        ({"m/lstm/lstm_cell/recurrent_kernel": np.zeros((H, 4 * H))}, {}, "kernel is missing"),
        (OF_KERAS | zeros(lstm__lstm_cell__recurrent_kernel=(H, 2 * H)), {}, r"allowed: \(H, H\)"),
        (OF_KERAS | zeros(lstm__lstm_cell__kernel=(I, 3)), {}, r"kernel: shape \(3, 3\)"),
        (OF_KERAS | zeros(lstm__lstm_cell__bias=(3,)), {}, "bias: shape"),
        (OF_KERAS | zeros(dense__kernel=(H, 2), dense__bias=(3,)), {}, "dense/bias: shape"),
        (OF_KERAS | zeros(a__kernel=(H, 2), b__kernel=(H, 1)), {}, "several linear layers"),
        (OF_KERAS, {"head": "fc"}, "head: 'fc'"),
        (OF_KERAS, {"recurrent": "gru"}, "recurrent: 'gru'"),
        (BOTH_WAYS, {"recurrent": "m/b/backward_lstm"}, "bidirectional"),
    ],
)  # fmt: skip
def test_what_of_keras_does_not_fit_is_named(arrays, options, said):
    with pytest.raises(ValueError, match=said):
        engine.load_weights(arrays, **options)


def test_of_several_modules_those_that_fit_are_offered():
    tensors = {
        f"{name}.{tensor}_l0{end}": np.zeros((4 * H, width))
        for name, ends in (("both", ("", "_reverse")), ("low", ("",)), ("high", ("",)))
        for end in ends
        for tensor, width in (("weight_ih", I), ("weight_hh", H))
    }
    with pytest.raises(Ambiguous) as several:
        engine.load_weights(tensors)
    assert several.value.options == ("low", "high")
    with pytest.raises(ValueError, match=r"both\.weight_ih_l0_reverse: a bidirectional"):
        engine.load_weights(tensors, recurrent="both")
    assert engine.load_weights(tensors, recurrent="low").experiment.cell == "lstm"


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_the_type_of_a_file_is_kept_where_numpy_has_it(tmp_path, dtype):
    kind, file = getattr(torch, dtype), tmp_path / "m.safetensors"
    module = Net(nn.LSTM(I, H)).to(kind)
    save_file(module.state_dict(), file)
    found = engine.load_weights(file)
    assert found.experiment.dtype == ("float64" if dtype == "float64" else "float32")
    for name in ("weight_hh_l0", "bias_ih_l0"):
        expected = module.state_dict()[f"layer.{name}"].double().numpy()
        np.testing.assert_array_equal(found.state_dict[name], expected)
    out = found.export(found.state_dict)
    assert {str(value.dtype) for value in out.values()} == {"float32" if dtype == "bfloat16" else dtype}


def test_a_network_gets_a_task_of_its_inputs_and_outputs():
    def task(inputs: int, outputs: int, **fields: str) -> str:
        arrays = {"weight_ih_l0": np.zeros((H, inputs)), "weight_hh_l0": np.zeros((H, H)),
                  "fc.weight": np.zeros((outputs, H)), "fc.bias": np.zeros(outputs)}  # fmt: skip
        return engine.load_weights(arrays, **fields).experiment.task

    assert task(2, 1) == "adding"
    assert task(8, 10) == "digits_rows"
    assert task(5, 1) == "own:noise-5-1-mse"
    assert task(5, 3) == "own:noise-5-3-cross_entropy"
    assert task(5, 3, loss="mse") == "own:noise-5-3-mse"
    mine = engine.sequences(np.zeros((20, 4, 5)), np.zeros(20))
    assert task(5, 1, task=mine) is mine


LONG = "x" * 100_000
TOO_MUCH = {
    "layers": (
        {f"{name}_l{layer}": np.ones((1, 1)) for layer in range(70) for name in ("weight_ih", "weight_hh")}, {},
        "num_layers: 70; allowed: ",
    ),
    "a task that is none": ({"weight_ih_l0": np.ones((1, 1)), "weight_hh_l0": np.ones((1, 1))},
                            {"task": "nope"}, "task: 'nope'"),
    "a layer of thousands of digits": ({f"weight_hh_l{'1' * 5000}": np.ones((1, 1))}, {}, "no recurrent layer"),
    "a long name": ({f"{LONG}.weight_hh_l0_reverse": np.ones((1, 1))}, {}, "xxx…: a bidirectional layer"),
    "long names": ({f"{LONG}{k}": np.ones((1, 1)) for k in range(9)}, {}, "among: xxx"),
    "what is asked for": ({"weight_hh_l0": np.ones((1, 1))}, {"recurrent": LONG}, "recurrent: 'xxx"),
    "a nonlinearity": ({}, {"nonlinearity": LONG}, "nonlinearity: 'xxx"),
    "no array": ({LONG: 1}, {}, "state_dict"),
}  # fmt: skip


@pytest.mark.parametrize("case", TOO_MUCH)
def test_what_is_too_much_or_too_long_is_said_in_a_short_sentence(case):
    arrays, options, said = TOO_MUCH[case]
    with pytest.raises(ValueError, match=said) as refused:
        engine.load_weights(arrays, **options)
    assert len(str(refused.value)) < 2000
    assert "pydantic" not in str(refused.value)


# Files that are none


def renamed(raw: bytes, folder, suffix: str = "npz"):
    file = folder / f"model.{suffix}"
    file.write_bytes(raw)
    return file


def zipped(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, raw in entries.items():
            packed.writestr(name.replace("__", "."), raw)
    return file.getvalue()


def npy(array: np.ndarray, **says: object) -> bytes:
    """An array whose header says something else."""
    file = io.BytesIO()
    head = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape} | says
    np.lib.format.write_array_header_1_0(file, head)
    return file.getvalue() + array.tobytes()


def npy_of(head: bytes) -> bytes:
    """An array whose header is these bytes."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


def header(said: object, body: bytes = b"", length: int | None = None) -> bytes:
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


def tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def torch_pickle() -> bytes:
    file = io.BytesIO()
    torch.save(nn.LSTM(I, H).state_dict(), file)
    return file.getvalue()


NOT_FILES = {
    "nothing": (b"", "an empty file"),
    "a pickle": (pickle.dumps({"weight_hh_l0": 1}), "a pickle.*save_file"),
    "of torch.save": (torch_pickle(), "a pickle.*save_file"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "of Keras.*savez"),
    "a model of Keras": (zipped(config__json=b"{}", model__weights__h5=b""), "of Keras"),
    "objects": (zipped(a__npy=npy(np.zeros(1), descr="|O")), "a pickle holds"),
    "a lie about its shape": (zipped(a__npy=npy(np.zeros(3), shape=(1 << 40, 1 << 20))), "its header says shape"),
    "a negative shape": (zipped(a__npy=npy(np.zeros(4), shape=(-2, -2))), "without pickle"),
    "a huge header": (header(b"{}", length=1 << 60), "header of"),
    "a header past the end": (header(b"{}", length=1 << 20), "header of"),
    "no JSON": (header(b"{" * 500), "without pickle"),
    "deep JSON": (header(b'{"a":' * 5000), "without pickle"),
    "offsets past the end": (header({"a": tensor([1 << 30], 0, 1 << 32)}), "without pickle"),
    "a shape that overflows": (header({"a": tensor([1 << 33, 1 << 33], 0, 4)}, bytes(4)), "without pickle"),
    "parts that overlap": (header({"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, bytes(4)), "without pickle"),
    "another length": (header({"a": tensor([2], 0, 4)}, bytes(4)), "without pickle"),
    "a type of its own": (header({"a": tensor([1], 0, 1, "F8_E4M3")}, b"a"), "has the type F8_E4M3"),
    "code in a header": (zipped(a__npy=npy_of(b"__import__('os').system('true')")), "a.npy: no array of NumPy"),
    "a header of gigabytes": (
        zipped(a__npy=b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + bytes(1 << 20)), "no array of NumPy",
    ),
    "many arrays": (zipped(**{f"a{n}__npy": b"" for n in range(10_001)}), "10,001 arrays"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
@pytest.mark.parametrize("name", NOT_FILES)
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path, name, suffix):
    raw, said = NOT_FILES[name]
    with pytest.raises(ValueError, match=said):
        engine.load_weights(renamed(raw, tmp_path, suffix))
    with pytest.raises(ValueError, match=said):
        read_arrays(io.BytesIO(raw))


def test_a_bomb_is_not_unpacked():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.npy", bytes(3 << 20))
    with pytest.raises(ValueError, match="3,145,728 bytes; allowed: 1,048,576"):
        read_arrays(io.BytesIO(file.getvalue()), 1 << 20)
    with pytest.raises(ValueError, match="allowed: 10"):
        read_arrays(io.BytesIO(bytes(11)), 10)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a.npy", "a"])
def test_a_name_that_is_there_twice_is_refused(second):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as twice:
        for name in ("a.npy", second):
            twice.writestr(name, npy(np.zeros(3)))
    with pytest.raises(ValueError, match="a twice; allowed: each name once"):
        read_arrays(io.BytesIO(file.getvalue()))


def test_what_is_no_array_is_not_unpacked(monkeypatch):
    file, read = io.BytesIO(), []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as large:
        large.writestr("a.npy", bytes(3 << 20))
    whole = zipfile.ZipExtFile.read

    def counted(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        read.append(len(found := whole(self, n)))
        return found

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    with pytest.raises(ValueError, match="no array of NumPy"):
        read_arrays(io.BytesIO(file.getvalue()))
    assert sum(read) < 1 << 16


def good(suffix: str) -> bytes:
    shapes = {"weight_ih_l0": (H, I), "weight_hh_l0": (H, H), "fc.weight": (1, H), "fc.bias": (1,)}
    return packed({name: np.ones(shape, np.float32) for name, shape in shapes.items()}, f".{suffix}")


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda raw: b"PK\x03\x04" + raw)))
def test_any_bytes_are_arrays_or_a_sentence(raw):
    try:
        assert isinstance(read_arrays(io.BytesIO(raw)), dict)
    except ValueError as refused:
        assert len(str(refused)) > 10  # noqa: PT017 - either is right


@settings(max_examples=300)
@given(st.sampled_from(["safetensors", "npz"]), st.data())
def test_a_damaged_file_is_arrays_or_a_sentence(suffix, data):
    raw = bytearray(good(suffix))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    try:
        engine.load_weights(read_arrays(io.BytesIO(bytes(raw))))
    except ValueError as refused:
        assert len(str(refused)) > 10  # noqa: PT017 - either is right


def test_what_is_said_can_be_said_in_another_language():
    with pytest.raises(Misfit) as refused:
        engine.load_weights({"gru.weight_hh_l0_reverse": np.zeros((3 * H, H))})
    assert refused.value.message.format(**refused.value.values) == str(refused.value)
    note = engine.load_weights(nn.GRUCell(I, H)).notes[0]
    assert note.message.format(**note.values) == note
