"""Somebody's own network in the app: dropped, shown, trained, taken away, put back; and what is said of others."""

import io
import json
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
from streamlit.util import calc_hash

import engine
from app import code, handout, link, networks, settings, versus
from app.comparison import Comparison
from app.registry import RUNS
from engine.foreign import Ambiguous, read_arrays
from engine.foreign.files import packed
from tests.test_app import control, messages, page, press, run_of, runs_end, shown  # noqa: F401  (a fixture)
from tests.test_code import run as run_script
from tests.test_own_app import bring
from tests.test_runs import until
from tests.test_take import Answer

RNG = np.random.default_rng(7)
H = 6


def torchs(inputs: int = 3, outputs: int = 1, blocks: int = 4, units: int = H, layers: int = 1, **more: Any) -> dict:
    """A state dict such as a module of PyTorch has."""
    arrays: dict[str, Any] = {}
    for layer in range(layers):
        width = units if layer else inputs
        for name, shape in (("weight_ih", (blocks * units, width)), ("weight_hh", (blocks * units, units)),
                            ("bias_ih", (blocks * units,)), ("bias_hh", (blocks * units,))):  # fmt: skip
            arrays[f"net.{name}_l{layer}"] = RNG.normal(0, 0.3, shape)
    return arrays | {"fc.weight": RNG.normal(0, 0.3, (outputs, units)), "fc.bias": np.ones(outputs)} | more


def file(arrays: dict[str, Any], suffix: str = ".safetensors") -> bytes:
    return packed(arrays, suffix)


def drop(at: Any, raw: bytes, name: str = "model.safetensors") -> Any:
    """Through the dialog of the page."""
    press(at, "network_open")
    at.file_uploader[0].upload(name, raw).run()
    assert not at.exception
    return at


def words(at: Any) -> str:
    return " ".join([*(h.proto.body for h in at.get("html")), *messages(at)])


def start(at: Any) -> dict[str, np.ndarray]:
    return dict(run_of(at).checkpoint(0).state_dict)


def assert_begins_with(at: Any, arrays: dict[str, Any]) -> None:
    here = start(at)
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"):
        np.testing.assert_array_equal(here[name], arrays[f"net.{name}"])


def test_a_dropped_network_is_shown_trained_reset_and_taken_away():
    arrays = torchs(layers=2)
    at = drop(page(lr=0.01), file(arrays))
    e = shown(at)
    assert (e.cell, e.num_layers, e.hidden_size, e.lr, e.task) == ("lstm", 2, H, 0.01, "own:noise-3-1-mse")
    assert_begins_with(at, arrays)
    assert "model.safetensors: an LSTM, by the names of PyTorch. Layers: 2, units: 6, inputs: 3, outputs: 1." in words(
        at
    )
    assert "it is shown on noise until it gets your data" in words(at)
    assert at.button(key="network_open").label == "model.safetensors"
    assert control(at, "gain").disabled
    run = run_of(at)
    run.watch(lambda: None)
    _, snapshot = run.picture()
    assert snapshot.theory is None, "no theory of drawn weights"
    assert run.words(snapshot, "light")["verdict"]["what"].endswith(", with the weights of model.safetensors.")
    run.step(5)
    until(lambda: run.head()["run"]["step"] == 5 and run.rests, 20)
    expected = engine.Trainer(e, state_dict=start(at))
    expected.advance(5)
    np.testing.assert_array_equal(run.checkpoint().history.loss, expected.history.loss)
    for suffix in (".safetensors", ".npz"):
        out = read_arrays(io.BytesIO(Answer(f"weights{suffix}", run.token).content))
        assert out.keys() == arrays.keys()
        np.testing.assert_array_equal(out["net.weight_hh_l1"], expected.state_dict["weight_hh_l1"])
    run.reset()
    until(lambda: run.settle(1) and run.head()["run"]["reached"] == 0, 20)
    assert_begins_with(at, arrays)


def test_as_long_as_the_task_is_noise_the_notice_leads_to_ones_own_data():
    at = drop(page(), file(torchs(3, 1)))
    assert engine.TASKS[shown(at).task].label == "noise"
    at.button(key="network_data").click().run()
    assert not at.exception
    assert "own_example_" in " ".join(str(button.key) for button in at.button)
    at = drop(page(task="multiplication", seq_length=20), file(torchs(2, 1)))
    assert shown(at).task == "multiplication"
    assert "network_data" not in [button.key for button in at.button]
    assert "network_train" in [button.key for button in at.button]


def test_data_that_do_not_fit_it_are_said_to_before_they_are_used():
    arrays = torchs(2, 1)
    at = bring(drop(page(), file(arrays)), data=b"a,b\n" + b"\n".join(b"%d,%d" % (n % 7, n % 5) for n in range(99)))
    assert "model.safetensors (inputs: 2, outputs: 1) does not fit these data (inputs: 2, outputs: 2)" in words(at)
    assert "2 that it hears, 1 that it has to predict" in words(at)
    at.multiselect(key="own_choice_target").set_value(["a"])
    press(at, "own_data")
    assert "does not fit" not in words(at)
    press(at, "own_use")
    assert_begins_with(at, arrays)


@pytest.mark.parametrize(
    ("inputs", "outputs", "embedding", "data", "way"),
    [
        (3, 1, None, engine.noise(2, 1), "choose as many columns: 3 that it hears, 1 that"),
        (3, 1, None, engine.noise(3, 1), ""),
        (5, 5, 4, engine.noise(5, 5), "bring a text"),
        (5, 5, 4, engine.noise(5, 5, "cross_entropy", symbols=True), ""),
        (5, 5, 4, engine.noise(6, 6, "cross_entropy", symbols=True), "set “Different characters” to 5"),
        (5, 2, None, engine.noise(6, 6, "cross_entropy", symbols=True), "bring a table"),
    ],
)
def test_what_keeps_its_weights_is_said(inputs, outputs, embedding, data, way):
    arrays = torchs(embedding or inputs, outputs)
    if embedding:
        arrays["emb.weight"] = RNG.normal(size=(inputs, embedding))
    said = " ".join(networks.misfit(networks.network(arrays, "m.npz", settings.DEFAULTS), data.task))
    assert (way in said) if way else said == ""


def test_a_control_that_keeps_the_shape_keeps_the_weights_and_another_gives_way_and_comes_back():
    arrays = torchs()
    at = drop(page(), file(arrays))
    for field, value in (("lr", 0.1), ("clip", "none"), ("seq_length", 50), ("optimizer", "sgd"), ("seed", 3)):
        control(at, field).set_value(value).run()
        assert shown(at).model_dump()[field] == value
        assert_begins_with(at, arrays)
    control(at, "hidden_size").set_value(32).run()
    assert shown(at).hidden_size == 32
    assert start(at)["weight_hh_l0"].shape == (4 * 32, 32)
    assert "The weights of model.safetensors do not fit these controls: fresh ones are in their place." in messages(at)
    assert at.button(key="network_open").label == "Your network"
    press(at, "undo")
    assert shown(at).hidden_size == H
    assert_begins_with(at, arrays)
    assert "fresh ones" not in words(at)
    control(at, "cell").set_value("rnn").run()
    press(at, "network_back")
    assert shown(at).cell == "lstm"
    assert_begins_with(at, arrays)


def test_fresh_weights_take_their_place_and_undo_brings_them_back():
    arrays = torchs()
    at = drop(page(), file(arrays))
    e = shown(at)
    press(at, "given_fresh")
    assert shown(at) == e
    np.testing.assert_array_equal(start(at)["weight_hh_l0"], engine.Trainer(e).state_dict["weight_hh_l0"])
    press(at, "undo")
    assert_begins_with(at, arrays)
    press(at, "redo")
    assert not np.array_equal(start(at)["weight_hh_l0"], arrays["net.weight_hh_l0"])


def test_a_preset_has_weights_of_its_own():
    at = drop(page(), file(torchs(2, 1)))
    at.session_state["preset"] = ""
    press(at, "put_back")
    assert shown(at) == engine.Experiment()
    np.testing.assert_array_equal(
        start(at)["weight_hh_l0"], engine.Trainer(engine.Experiment()).state_dict["weight_hh_l0"]
    )


def test_the_task_stays_where_it_fits():
    at = drop(page(task="multiplication", seq_length=20), file(torchs(2, 1)))
    assert (shown(at).task, shown(at).seq_length) == ("multiplication", 20)
    assert "Its task is" not in words(at)


def test_several_candidates_are_a_choice():
    low, high = torchs(3, 2), torchs(H, 2)
    arrays = {f"low.{n.removeprefix('net.')}": v for n, v in low.items() if n.startswith("net.")}
    arrays |= {f"high.{n.removeprefix('net.')}": v for n, v in high.items() if n.startswith("net.")}
    arrays |= {f"{head}.{part}": low[f"fc.{part}"] for head in ("mean", "spread") for part in ("weight", "bias")}
    at = drop(page(), file(arrays))
    press(at, "network_open")
    labels = [button.label for button in at.button if "network_choice" in (button.key or "")]
    assert labels == ["high", "low", "high → low, one above the other"]
    assert shown(at) == engine.Experiment(), "nothing has changed"
    press(at, "network_choice_1")
    press(at, "network_open")
    assert [button.label for button in at.button if "network_choice" in (button.key or "")] == ["mean", "spread"]
    press(at, "network_choice_1").run()
    np.testing.assert_array_equal(start(at)["weight_hh_l0"], arrays["low.weight_hh_l0"])
    assert "Left out, as no part of such a network here: high, mean.weight." in words(at)


REFUSED = {
    "both ways": (file(torchs() | {"net.weight_ih_l0_reverse": np.zeros((4, 3))}), "a bidirectional layer"),
    "projections": (file(torchs() | {"net.weight_hr_l0": np.zeros((4, 3))}), "an LSTM with projections"),
    "another cell": (file(torchs(blocks=2)), "allowed: (H, H), (3H, H) or (4H, H)"),
    "no layer": (file({"fc.weight": np.ones((1, 3))}), "no recurrent layer"),
    "too wide": (file({k: v.astype(np.float16) for k, v in torchs(1, 1, 1, 1000).items()}), "Hidden size is 1,000"),
    "too deep": (file(torchs(layers=5)), "Layers is 5 in this file"),
    "too deep for the engine": (file(torchs(1, 1, 1, 1, layers=70)), "num_layers = “70”. Allowed: "),
    "a pickle": (b"\x80\x04" + bytes(50), "safetensors.torch.save_file(model.state_dict()"),
    "HDF5": (b"\x89HDF" + bytes(50), "of Keras"),
    "nothing": (b"", "an empty file"),
    "rubbish": (b"<script>alert(1)</script>" * 9, "neither a .safetensors nor an .npz"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_a_sentence_and_nothing_is_lost(name):
    raw, said = REFUSED[name]
    with pytest.raises(ValueError, match=r".") as refused:
        networks.network(networks.read(io.BytesIO(raw), len(raw)), "m.npz", settings.DEFAULTS)
    assert said in networks.why(refused.value)


def test_a_refusal_on_the_page():
    at = drop(page(lr=0.1), REFUSED["both ways"][0], "<b>my net</b>.safetensors")
    press(at, "network_open")
    assert shown(at) == engine.Experiment(lr=0.1)
    assert "This file was not taken, and nothing has changed. net.weight_ih_l0_reverse: a bidirectional" in words(at)
    drop(at, file(torchs()), "<b>my net</b>.safetensors")
    assert "<b>my net" not in " ".join(h.proto.body for h in at.get("html"))
    assert "&lt;b&gt;my net&lt;/b&gt;.safetensors" in words(at)


def test_a_large_file_is_not_even_read():
    with pytest.raises(ValueError, match="33 MB; allowed are 32"):
        networks.read(io.BytesIO(), (32 << 20) + 1)


def test_a_wide_input_gets_shorter_sequences():
    n = networks.network(torchs(4000, 3, 1), "m.npz", settings.DEFAULTS)
    e = link.experiment(n.values)
    assert (e.seq_length, e.batch_size) == (20, 8)
    assert engine.probe(e, n.state_dict).grad_norms.shape == (1, 20)


def test_one_too_wide_for_any_task_is_refused_and_fresh_weights_never_stand_in_its_place():
    with pytest.raises(ValueError, match=r"No task here is so wide \(inputs: 5000, outputs: 3\)"):
        networks.network(torchs(5000, 3, 1), "m.npz", settings.DEFAULTS)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_weights_that_are_lost_or_0_are_shown_and_told(value):
    arrays = {name: np.full_like(array, value) for name, array in torchs().items()}
    at = drop(page(), file(arrays))
    run = run_of(at)
    assert (run.head()["run"]["diverged"] is None) == (value == 0.0)
    assert ("All of its weights are 0" if value == 0.0 else "Not all of its numbers are finite") in words(at)


def test_an_embedding_and_classes():
    n = networks.network(torchs(4, 5, 3, **{"emb.weight": RNG.normal(size=(9, 4))}), "m.npz", settings.DEFAULTS)
    e = link.experiment(n.values)
    assert (e.task, e.embedding_dim) == ("own:noise-9-5-cross_entropy-symbols", 4)
    assert n.fits(e)


def test_only_a_few_networks_are_kept_and_undo_past_them_is_fresh():
    at = page()
    for _ in range(networks.MOST_KEPT + 1):
        drop(at, file(torchs()))
    assert len(at.session_state["networks"]) == networks.MOST_KEPT
    for _ in range(networks.MOST_KEPT):
        press(at, "undo")
    assert at.button(key="network_open").label == "Your network"


def compared(at: Any) -> list[np.ndarray]:
    """The weights that each side of Compare begins with."""
    run = RUNS.get(at.session_state["comparison"])
    assert run is not None
    assert run.settle(60)
    return [past.weights.first.state_dict["weight_hh_l0"] for past in run._training.seen.pasts]


def test_compare_begins_with_the_weights_where_they_fit():
    arrays = torchs()
    at = drop(page(), file(arrays))
    at.session_state["going"] = "compare"
    at.run()
    clip = compared(at)
    assert len(clip) == 2
    for begun in clip:
        np.testing.assert_array_equal(begun, arrays["net.weight_hh_l0"])
    assert "All begin with the weights of model.safetensors." in words(at)
    at.session_state["extra"] = {**at.session_state["extra"], "seeds": "5"}
    at._page_hash = calc_hash("compare")
    at.run()
    assert "All begin with the weights of model.safetensors: from seed to seed only the data differ." in words(at)


@pytest.mark.parametrize("knob", ["gain:0.5", "cell:gru"])
def test_compare_draws_weights_where_they_do_not_fit(knob):
    n = networks.network(torchs(), "m.npz", settings.DEFAULTS)
    base = link.experiment(n.values)
    found = versus.of(base, n.values, versus.read(knob)[0], lambda field, value: str(value))[0]
    run = RUNS.add(Comparison(RUNS.pool, RUNS.compiler))
    run.configure(found, n)
    assert run.settle(60)
    begun = [past.weights.first.state_dict["weight_hh_l0"] for past in run._training.seen.pasts]
    assert np.array_equal(begun[0], n.state_dict["weight_hh_l0"]) == (knob == "cell:gru")
    assert len(begun) == 2


def test_over_many_seeds_the_weights_are_those_of_the_file_and_the_data_differ():
    n = networks.network(torchs(), "m.npz", settings.DEFAULTS)
    base = link.experiment({**n.values, "seq_length": 10, "batch_size": 4})
    found = versus.of(base, base.model_dump(), versus.read("cell:gru")[0], lambda field, value: str(value))[0]
    run = RUNS.add(Comparison(RUNS.pool, RUNS.compiler))
    run.configure(found, n)
    bands = run.over_seeds(found, 2, 3)
    assert bands.done.wait(60)
    for seed, row in zip(bands.seeds, bands.found, strict=True):
        for e, one, weights in zip(found.experiments, row, (n.state_dict, None), strict=True):
            alone = engine.Trainer(e.replace(seed=seed), state_dict=weights)
            alone.advance(3)
            assert one.validation[-1] == alone.validation_loss()
    assert bands.found[0][0].validation[0] != bands.found[1][0].validation[0]
    run.configure(found, None)
    assert run.over_seeds(found, 2, 3) is not bands, "fresh weights are another question"


def test_a_network_without_biases_goes_out_by_our_names_once_it_has_some(monkeypatch):
    arrays = {name: value for name, value in torchs().items() if not name.startswith("net.bias")}
    at = drop(page(), file(arrays))
    run = run_of(at)
    assert read_arrays(io.BytesIO(Answer("weights.npz", run.token).content)).keys() == arrays.keys()
    run.watch(lambda: None)
    run.step(3)
    until(lambda: run.head()["run"]["step"] == 3 and run.rests, 20)
    out = read_arrays(io.BytesIO(Answer("weights.npz", run.token).content))
    assert out.keys() == run.checkpoint().state_dict.keys()
    assert "bias_ih_l0: not 0" in handout.outgrown(run.checkpoint(), run.network)


@pytest.mark.parametrize("name", code.CODES)
@pytest.mark.parametrize("symbols", [False, True])
def test_a_script_begins_with_the_file(tmp_path, name, symbols):
    more = {"emb.weight": RNG.normal(size=(9, 4))} if symbols else {}
    arrays = torchs(4, 2, 3, layers=2, **more)
    raw = file(arrays | {"other.weight": np.ones((2, H)), "other.bias": np.ones(2)})
    n = networks.network(read_arrays(io.BytesIO(raw)), "my model.safetensors", settings.DEFAULTS, head="fc")
    e = link.experiment(n.values).replace(seq_length=9, batch_size=4)
    (tmp_path / "my model.safetensors").write_bytes(raw)
    (tmp_path / code.START).write_bytes(packed(n.state_dict, ".npz"))
    found = run_script(code.script(name, e, 20, n), tmp_path)
    expected = engine.Trainer(e, state_dict=n.state_dict)
    expected.advance(20)
    np.testing.assert_allclose(found, expected.history.loss, rtol=2e-5 if name == "keras" else 1e-8)


def test_the_files_of_a_script_and_the_run_taken_up():
    arrays = torchs()
    at = drop(page(), file(arrays))
    run = run_of(at)
    until(lambda: not handout.outgrown(run.checkpoint(), run.network), 20)  # it has begun anew, with this network
    press(at, "take")
    said = words(at)
    assert f'take/{run.token}/{code.START}?lang=en" download="{code.START}"' in said
    assert "names and the layout of model.safetensors" in said
    assert 'engine.load_weights("model.safetensors")' in at.code[0].value
    begun = read_arrays(io.BytesIO(Answer(code.START, run.token).content))
    np.testing.assert_array_equal(begun["weight_hh_l0"], arrays["net.weight_hh_l0"])
    run.watch(lambda: None)
    run.step(4)
    until(lambda: run.head()["run"]["step"] == 4 and run.rests, 20)
    raw = Answer("run.npz", run.token).content
    c = handout.taken_up(io.BytesIO(raw), len(raw))
    other = RUNS.open()
    other.start_from(c)
    assert other.settle(60)
    other.watch(lambda: None)
    other.step(6)
    until(lambda: other.head()["run"]["step"] == 6 and other.rests, 20)
    other.configure(c.experiment.replace(lr=0.1))
    other.reset()
    assert other.settle(60)
    assert "Reset goes back to step 4." in other.head()["message"]
    again = other.checkpoint()
    assert (again.step, again.experiment.lr, run.checkpoint().step) == (4, 0.1, 4)
    for name, w in run.checkpoint().state_dict.items():
        np.testing.assert_array_equal(again.state_dict[name], w)


def test_ambiguity_is_told_by_its_own_error():
    heads = {
        f"{name}.{part}": np.zeros((1, H) if part == "weight" else 1) for name in "ab" for part in ("weight", "bias")
    }
    with pytest.raises(Ambiguous) as several:
        networks.network({k: v for k, v in torchs().items() if k.startswith("net")} | heads, "m.npz", settings.DEFAULTS)
    assert (several.value.parameter, several.value.options) == ("head", ("a", "b"))
    assert json.dumps(several.value.options)
