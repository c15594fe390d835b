"""An experiment as code: the scripts are run, and their losses are the engine's."""

import contextlib
import io
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import engine
from app import code
from app.code.source import Source
from engine.streams import Purpose, stream
from tests import cases

torch.set_num_threads(1)  # these networks are too small to share: threads would spend their time waiting for each other
ROOT = Path(__file__).parent.parent
DATA = ROOT / "engine" / "tasks" / "data"
STEPS = 30
SLOW = {"rmsprop": 1e-3, "dynamic": 1e-3}  # their first steps are 10 lr long: chaos, in which roundings grow
GATED = [("rnn", True), ("lstm", True), ("gru", True), ("gru", False)]
CELLS = [
    {"cell": c, "reset_after": after, "num_layers": 2, "nonlinearity": phi}
    for (c, after), phi in product(GATED, ("tanh", "relu", "softsign"))
]
ACTIVATIONS = [{"nonlinearity": name} for name in engine.ACTIVATIONS]
INITS = [{"init": name, "input_init": name, "gain": 0.8, "cell": c} for name in engine.INITS for c in ("lstm", "gru")]
TASKS = [{"task": name} for name in engine.TASKS] + [{"task": t, "loss": "mse"} for t in ("parity", "parity_final")]
OPTIMIZERS = [
    {"optimizer": name, "lr": SLOW.get(name, 0.01), "weight_decay": decay, "schedule": schedule, "schedule_steps": 20}
    for name, decay, schedule in product(engine.OPTIMIZERS, (0.0, 0.1), ("constant", "linear"))
]
CLIPS = [{"clip": name, "clip_threshold": 0.05, "optimizer": "momentum", "lr": 1e-3} for name in engine.CLIPS]
SCHEDULES = [{"schedule": name, "schedule_steps": 20} for name in engine.SCHEDULES]
CUT = [{"tbptt": 4, "cell": c, "reset_after": a, "nonlinearity": phi} for c, a in GATED for phi in ("tanh", "elu")]
DATA_SETS = [
    {"train_size": 10}, {"train_size": 10, "batching": "full"}, {"train_size": 10, "batching": "single"},
    {"batching": "single"}, {"task": "parity", "train_size": 10}, {"task": "parity", "embedding_dim": 3},
    {"task": "parity", "embedding_dim": 3, "cell": "lstm", "num_layers": 3, "stop_loss": 0.69},
]  # fmt: skip
EVERY = [*CELLS, *ACTIVATIONS, *INITS, *TASKS, *OPTIMIZERS, *CLIPS, *SCHEDULES, *CUT, *DATA_SETS]
# Keras takes ten times as long: each of its own turns once, several together.
FEW = [
    *CELLS[::4],
    {**CELLS[4], "tbptt": 4, "schedule": "cosine"},
    {**CELLS[11], "tbptt": 4, "embedding_dim": 3, "task": "parity"},
    {"nonlinearity": "leaky_relu", "schedule": "step"},
    {"nonlinearity": "hardtanh", "schedule": "exponential"},
    *({**o, "schedule": s} for o, s in zip(OPTIMIZERS[1::4], ["warm_up", *["linear"] * 9], strict=True)),
    {"optimizer": "nesterov", "clip": "value", "train_size": 10},
    {"optimizer": "adadelta", "clip": "unit", "task": "parity"},
    {"optimizer": "adamw", "weight_decay": 0.1, "init": "chrono", "cell": "gru"},
    {"optimizer": "momentum", "clip": "none", "train_size": 10, "batching": "full"},
    *TASKS[-3:], DATA_SETS[-1],
]  # fmt: skip


def small(choice: dict[str, object]) -> engine.Experiment:
    return engine.Experiment(**{"hidden_size": 9, "batch_size": 4, "seq_length": 15, "lr": 0.01, **choice})


def run(text: str, folder: Path = DATA) -> np.ndarray:
    """The losses that a script finds, as it would by itself where its data lie."""
    names: dict[str, Any] = {"__name__": "script"}
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(text, "script", "exec"), names)
        finally:
            torch.set_default_dtype(torch.float32)
            if "keras" in names:
                names["keras"].config.set_floatx("float32")
    return np.array(names["losses"] if "losses" in names else names["history"].loss)


def title(choice: dict[str, object]) -> str:
    return "-".join(str(value) for value in choice.values())


@pytest.mark.parametrize("choice", EVERY, ids=title)
def test_pytorch_finds_the_same_losses(choice):
    e = small(choice)
    np.testing.assert_allclose(run(code.script("torch", e, STEPS)), engine.train(e, STEPS).loss, rtol=1e-8)


@pytest.mark.parametrize("name", ["text", "a000_stacked_rnn", "a002_scaled", "a003_lstm"])
def test_pytorch_finds_the_same_losses_as_a_preset(name):
    e = engine.PRESETS[name].experiment.replace(seq_length=20, dtype="float64")
    np.testing.assert_allclose(run(code.script("torch", e, STEPS)), engine.train(e, STEPS).loss, rtol=1e-8)


def test_a_hundred_steps_of_the_default_agree_to_eight_digits():
    e = engine.Experiment()
    np.testing.assert_allclose(run(code.script("torch", e, 100)), engine.train(e, 100).loss, rtol=1e-8)


@pytest.mark.parametrize("dtype", [{"dtype": "float32"}, {"dtype": "float32", "task": "parity", "train_size": 3}])
@pytest.mark.parametrize("name", ["torch", "keras"])
def test_float32_agrees_to_its_own_digits(monkeypatch, name, dtype):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    e = small(dtype)
    np.testing.assert_allclose(run(code.script(name, e, STEPS)), engine.train(e, STEPS).loss, rtol=2e-5)


@pytest.mark.parametrize("choice", FEW, ids=title)
def test_keras_finds_the_same_losses(monkeypatch, choice):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    e = small(choice)
    # Its clipping by norm leaves out PyTorch's 1e-6, and it reports losses in float32.
    cases.assert_close(run(code.script("keras", e, 20)), engine.train(e, 20).loss, 1e-5, "losses")


@pytest.mark.parametrize("choice", [{"dropout": 0.3}, {"dropout": 0.3, "variational_dropout": True}], ids=title)
@pytest.mark.parametrize("name", ["torch", "keras"])
def test_with_dropout_a_script_runs_and_says_that_its_losses_are_others(monkeypatch, name, choice):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    e = small({"num_layers": 2, **choice})
    text = code.script(name, e, 5)
    assert code.CODES[name].differs(e)
    assert code.CODES[name].differs(e)[0] in text
    losses, ours = run(text), engine.train(e, 5).loss
    assert np.isfinite(losses).all()
    assert not np.allclose(losses, ours, rtol=1e-8)


@pytest.mark.parametrize("choice", [{"omega": 1.0}, {"patience": 5}, {"clip": "param_norm"}], ids=title)
def test_what_a_library_has_not_is_said(choice):
    e = small(choice)
    assert code.CODES["keras"].differs(e)
    assert code.CODES["engine"].differs(e) == []
    assert code.CODES["torch"].differs(e) == (code.CODES["keras"].differs(e) if "clip" not in choice else [])


@given(
    st.fixed_dictionaries(
        {
            "cell": st.sampled_from(list(engine.CELLS)), "reset_after": st.booleans(),
            "nonlinearity": st.sampled_from(list(engine.ACTIVATIONS)), "num_layers": st.integers(1, 3),
            "init": st.sampled_from(list(engine.INITS)), "input_init": st.sampled_from(list(engine.INITS)),
            "task": st.sampled_from(list(engine.TASKS)), "optimizer": st.sampled_from(list(engine.OPTIMIZERS)),
            "clip": st.sampled_from(list(engine.CLIPS)), "schedule": st.sampled_from(list(engine.SCHEDULES)),
            "dropout": st.sampled_from([0.0, 0.5]), "variational_dropout": st.booleans(),
            "tbptt": st.sampled_from([None, 7]), "train_size": st.sampled_from([None, 4, 10]),
            "weight_decay": st.sampled_from([0.0, 0.01]), "dtype": st.sampled_from(["float64", "float32"]),
            "stop_loss": st.sampled_from([None, 0.1]),
        }
    )
)  # fmt: skip
def test_every_script_can_be_read_by_python(choice):
    e = small(choice)
    for name in code.CODES:
        text = code.script(name, e, 10)
        compile(text, name, "exec")
        assert text == code.script(name, e, 10)
        assert "\n\n\n\n" not in text


def test_the_scripts_are_clean(tmp_path):
    """No unused name or import, no line too long: what a good engineer would write by hand."""
    for n, choice in enumerate([*CELLS, *INITS, *TASKS, *OPTIMIZERS, *CLIPS, *SCHEDULES, *CUT, *DATA_SETS]):
        for name in code.CODES:
            (tmp_path / f"{name}_{n}.py").write_text(code.script(name, small(choice), 100))
    ruff = [sys.executable, "-m", "ruff"]
    rules = ["--isolated", "--line-length", "120"]
    for command in (["check", *rules, "--select", "E,F,W,I"], ["format", "--diff", *rules]):
        done = subprocess.run([*ruff, *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[:3000] + done.stderr[-500:]


def test_the_engine_script_says_only_what_differs():
    text = code.script("engine", engine.Experiment(cell="gru", lr=0.02), 100)
    assert 'engine.Experiment(cell="gru", lr=0.02)' in text


def test_it_stops_where_the_experiment_does():
    assert "steps=7)" in code.script("engine", engine.Experiment(stop_steps=7), 100)


@pytest.mark.parametrize("name", ["engine", "torch"])
def test_a_script_runs_by_itself_and_prints_the_curve(tmp_path, name):
    e = small({"task": "digits_rows", "stop_steps": 11})
    (tmp_path / "script.py").write_text(code.script(name, e, 100), encoding="utf-8")
    for file in code.files(e):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT) if name == "engine" else ""}
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loss = engine.train(e, 11).loss
    assert done.stdout.splitlines() == [f"step {k}: loss {loss[k]:.6g}" for k in (0, 10)]


@pytest.mark.parametrize("name", engine.TASKS)
def test_a_task_by_itself_draws_the_same(name):
    task, source = engine.TASKS[name], Source()
    called = source.add(task.draw)
    names: dict[str, object] = {}
    with contextlib.chdir(DATA):
        exec("\n".join([*source.imports, source.text]), names)
        drawn = names[called](stream(3, Purpose.DATA, 5), 20, 6)
    for mine, yours in zip(drawn, task.draw(stream(3, Purpose.DATA, 5), 20, 6), strict=True):
        np.testing.assert_array_equal(mine, yours)
    assert "engine" not in source.text
    assert all(file.parent == DATA for file in source.files)
