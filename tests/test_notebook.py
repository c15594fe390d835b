"""The page's pictures outside of the page, and the notebook that is made of them."""

import base64
from dataclasses import replace

import nbformat
import numpy as np
import psutil
import pytest
import torch
from torch import nn

import engine
from app.figures import FIGURES, figure
from app.figures.why import closer_figure
from app.looks import INSTRUMENTS, Asked, Weights
from app.notebook import AGAIN, BY_ITSELF, OF_PASS, OF_TRAINING, experiment_of, history, show
from app.training import Training
from engine.instruments.pieces import finish
from tests.notebooks import NOTEBOOKS, PLOTLY, PNG, ROOT, executed, outputs
from tests.test_foreign import H, Net

T, B = 20, 5
SHORT = "T, STEPS, SEEDS = 60, 400, (0,)"


def same(a, b) -> None:
    """Two figures show the same numbers."""
    assert len(a.data) == len(b.data)
    for one, two in zip(a.data, b.data, strict=True):
        for axis in ("x", "y", "z"):
            left, right = getattr(one, axis, None), getattr(two, axis, None)
            assert (left is None) == (right is None)
            if left is not None:
                np.testing.assert_array_equal(left, right)


@pytest.fixture(scope="module")
def own() -> tuple[engine.Trace, engine.Trace]:
    """A module of two layers at two moments, on numbers that are read at the end."""
    torch.manual_seed(0)
    module = Net(nn.LSTM(3, H, 2, batch_first=True))
    x, y = torch.randn(B, T, 3), torch.randn(B, 1)
    before = engine.torch_gradients(module, x, y)
    with torch.no_grad():
        for p in module.parameters():
            p *= 1.5
    return before, engine.torch_gradients(module, x, y)


@pytest.fixture(scope="module")
def trained(own) -> engine.History:
    n, (before, after) = 7, own
    norms = np.linspace(3, 0.5, n)
    return history(np.linspace(2, 1, n), {0: 2.0, 6: 1.1}, norms, np.minimum(norms, 1), {0: before, 6: after})


@pytest.mark.parametrize("task", ["adding", "sine", "random_permutation"])
@pytest.mark.parametrize("name", FIGURES)
def test_a_trainer_shows_what_the_page_shows(name, task):
    e = engine.Experiment(task=task, seq_length=12, hidden_size=6, num_layers=2, batch_size=4)
    run = Training(e, lean=True)
    trainer = engine.Trainer(e, validate_every=10)
    s = run.snapshot(None, 1)
    found = show(trainer, name, layer=2)
    if name != "loss":  # there the page measures the held-back loss once more
        expected = figure(name, replace(s, shown=replace(s.shown, free=s.shown.free[:0])))
        same(found, expected)
    assert s.theory == pytest.approx(engine.mean_field(e).slope, nan_ok=True)
    assert found.layout.meta["question"] in found.layout.title.text


@pytest.mark.parametrize("name", OF_PASS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_module_of_ones_own_has_the_pictures_of_a_pass(own, name, theme):
    found = show(own[1], name, start=own[0], step=6, layer=2, theme=theme)
    meta = found.layout.meta
    assert found.layout.title.text.startswith(f"<b>{meta['question']}</b><br>")
    assert meta["answer"] in found.layout.title.text
    assert found.layout.yaxis.title.text
    if name == "flow":
        drawn = [np.asarray(trace.y) for trace in found.data]
        for t in own:
            assert any(len(y) == T and np.allclose(y, t.log10_grad_norms[1], atol=1e-5) for y in drawn)
        pace = engine.verdict(own[1].log10_grad_norms[1])
        assert f"half-life {pace.half_life:.2g} steps" in meta["answer"]


@pytest.mark.parametrize("name", OF_TRAINING)
def test_a_loop_of_ones_own_has_the_pictures_of_training(trained, own, name):
    found = show(trained, name, experiment_of(own[0], clip="norm") if name == "clip" else own[0])
    if name == "loss":
        spread = float(np.asarray(own[0].targets).var())
        assert any(np.isclose(shape.y0, np.log10(spread)) for shape in found.layout.shapes)
        assert found.data[0].y[0] == pytest.approx(np.log10(2))
    if name == "clip":
        assert found.layout.meta["answer"].startswith("<b>5 of 7</b> steps clipped")
    if name == "map":
        np.testing.assert_allclose(found.data[0].z[:, 0], own[0].log10_grad_norms[0], rtol=1e-6)


@pytest.mark.parametrize("panel", BY_ITSELF)
def test_closer_looks_at_a_module_are_the_engines(own, panel):
    t, e = own[1], experiment_of(own[1])
    asked = Asked(e, 0, B, finish(INSTRUMENTS[panel](e, t, Weights(0, e, t.state_dict))), layer=1)
    for name in {"gates": ("constants", "gate_f"), "spectrum": ("singular", "powers")}.get(panel, ("plane", "parts")):
        same(show(t, f"{panel}_{name}", layer=2), closer_figure(panel, name, asked))


def test_what_computes_again_takes_the_engines_network():
    module = Net(nn.GRU(3, H)).double()
    x, y = np.random.default_rng(0).normal(size=(T, B, 3)), np.zeros((B, 1))
    loaded = engine.load_weights(module)
    t = engine.probe(loaded.experiment, loaded.state_dict, x, y)
    for name in ("credit_by_step", "floats_sizes", "update_scatter"):
        assert len(show(t, name, loaded.experiment).data)
    for panel in AGAIN:
        with pytest.raises(ValueError, match=f"{panel}: it computes with the network once more"):
            show(engine.torch_gradients(module, x, y), f"{panel}_x")


def test_the_length_of_the_pass_counts_where_the_experiment_has_another():
    e = engine.Experiment(cell="lstm", seq_length=50)
    t = engine.probe(e, None, np.zeros((120, 4, 2)), np.zeros((4, 1)))
    assert np.allclose(show(t, "gates_constants", e).data[1].y, np.log10(120))


def test_a_theory_is_drawn_for_the_weights_that_it_is_about():
    e = engine.Experiment(seq_length=30)
    t = engine.probe(e)
    drawn = show(t, "flow", e).layout.meta["labels"]
    assert "theory" in {said["key"] for said in drawn}
    other = engine.probe(e, {name: 1.01 * w for name, w in t.state_dict.items()})
    assert "theory" not in {said["key"] for said in show(other, "flow", e).layout.meta["labels"]}


def test_data_that_are_no_task_leave_the_pictures_that_need_none(own):
    strange = replace(own[1], targets=np.zeros((B, 2, 2, 2)), outputs=np.zeros((0, 0, 0)))
    assert len(show(strange, "flow").data)
    assert len(show(strange, "state").data)
    with pytest.raises(ValueError, match="task: data that are not one for each"):
        show(strange, "task")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda t, h: show(t, "nothing"), "'nothing'; allowed: flow, "),
        (lambda t, h: show(t, "gates_nothing"), "gates_nothing; allowed: gates_constants"),
        (lambda t, h: show(t, "loss"), "loss: a Trace; allowed: a History or a Trainer"),
        (lambda t, h: show(h, "state", t), "state: a History; allowed: a Trace or a Trainer"),
        (lambda t, h: show(h, "loss"), "of: None"),
        (lambda t, h: show(h, "loss", "adding"), "of: str"),
        (lambda t, h: show(3, "loss"), "what: int"),
        (lambda t, h: show(t, "flow", layer=3), "layer: 3; allowed: 1 to 2"),
        (lambda t, h: show(t, "flow", theme="blue"), "theme: 'blue'"),
        (lambda t, h: show(h, "loss", replace(t, loss=2 * t.loss)), "guessing costs is not known.*baseline=…"),
        (lambda t, h: show(history([1.0]), "clip", t), "clip: the history has no norms"),
        (lambda t, h: show(history([1.0]), "map", t), "map: the history has no passes"),
        (lambda t, h: history([]), "loss: nothing"),
        (lambda t, h: history([1.0], {3: 1.0}), "step 3; allowed: 0 to 0"),
        (lambda t, h: history([1.0, 2.0], grad_norm=[1.0]), r"shape \(1,\)"),
    ],
)
def test_what_a_picture_lacks_is_said(own, trained, ask, said):
    with pytest.raises(ValueError, match=said):
        ask(own[0], trained)


def test_a_loss_that_is_not_a_number_is_where_it_ends(own):
    h = history([1.0, 0.5, np.nan], {0: 1.0}, traces={0: own[0]})
    assert (h.diverged_at, h.diverged_tensor) == (2, "loss")
    assert "no numbers after step 1" in show(h, "loss", own[0]).to_json()


OFFLINE = """
import socket

connect = socket.socket.connect
def local(self, address):
    assert isinstance(address, str) or address[0] in ("127.0.0.1", "::1", "localhost"), address
    return connect(self, address)
socket.socket.connect = local
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_says_true_things_in_a_short_run(path, tmp_path, monkeypatch):
    """Every claim is an assert in it. From the root, without a network, and its kernel ends."""
    (tmp_path / "sitecustomize.py").write_text(OFFLINE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = psutil.Process().children(recursive=True)
    notebook = executed(path, ROOT, size=SHORT)
    assert psutil.Process().children(recursive=True) == before
    assert sum(PLOTLY in output.get("data", {}) for output in outputs(notebook)) >= 5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_says_true_things(path):
    """As long as it is, from the folder in which it lies."""
    executed(path, path.parent, timeout=400)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_kept_as_it_ran(path):
    """With what it gave, and pictures for pages that run no JavaScript; small. tests/notebooks.py writes it."""
    assert path.stat().st_size < 1_000_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for output in outputs(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        assert "text/html" not in output.get("data", {})
        if PLOTLY in output.get("data", {}):
            assert base64.b64decode(output["data"][PNG]).startswith(b"\x89PNG")
    assert str(ROOT) not in path.read_text()
    assert sum("assert " in cell.source for cell in code) >= 7
