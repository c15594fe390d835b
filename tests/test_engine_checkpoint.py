"""A run that goes on from a checkpoint is the run itself, bit by bit; and a damaged file is refused in a sentence."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import engine
from engine import Experiment
from engine.checkpoint import CURVES

SMALL = Experiment(seq_length=8, hidden_size=5, batch_size=4)
CASES = {
    "default": SMALL,
    "lstm": SMALL.replace(cell="lstm", num_layers=2, dropout=0.3),
    "gru": SMALL.replace(cell="gru", reset_after=False, dtype="float32"),
    "a set, epoch by epoch": SMALL.replace(train_size=10, batching="mini", batch_size=4),
    "schedule": SMALL.replace(schedule="cosine", schedule_steps=9, clip="norm", clip_threshold=0.1),
    "patience": SMALL.replace(patience=10, lr=1e-5),
    "text": engine.PRESETS["text"].experiment.replace(hidden_size=4, batch_size=2, seq_length=6),
    "truncated": SMALL.replace(tbptt=3, omega=0.1),
    "lost": SMALL.replace(nonlinearity="relu", gain=20, clip="none", optimizer="sgd", lr=5.0),
} | {name: SMALL.replace(optimizer=name) for name in engine.OPTIMIZERS}


def equal(a: engine.Trainer, b: engine.Trainer) -> None:
    assert (a.step, a.examples, a.stopped, a.diverged, a.lr) == (b.step, b.examples, b.stopped, b.diverged, b.lr)
    one, two = a.history, b.history
    for name in (*CURVES, "grad_norms", "log10_grad_norms", "grad_norms_at"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    assert (one.diverged_at, one.diverged_tensor, one.changes) == (two.diverged_at, two.diverged_tensor, two.changes)
    for name, value in a.state_dict.items():
        np.testing.assert_array_equal(value, b.state_dict[name], err_msg=name)
    np.testing.assert_array_equal(a.optimizer_state, b.optimizer_state)


def stored(t: engine.Trainer) -> io.BytesIO:
    file = io.BytesIO()
    t.checkpoint().save(file)
    file.seek(0)
    return file


@pytest.mark.parametrize("steps", [0, 1, 13])
@pytest.mark.parametrize("name", CASES)
def test_it_goes_on_bit_by_bit_from_a_file_too(name, steps):
    first = engine.Trainer(CASES[name])
    first.advance(steps)
    second = engine.Trainer.resume(engine.load_checkpoint(stored(first)))
    equal(first, second)
    for trainer in (first, second):
        trainer.advance(9)
    equal(first, second)


def test_what_was_changed_in_training_still_counts():
    first = engine.Trainer(SMALL.replace(schedule="step", schedule_steps=5))
    first.advance(7)
    first.change(first.experiment.replace(lr=0.5, schedule="cosine", schedule_steps=30))
    first.advance(4)
    second = engine.Trainer.resume(first.checkpoint())
    for trainer in (first, second):
        trainer.advance(6)
    equal(first, second)


def test_a_thinned_history_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.record.MOST_ENTRIES", 16)
    monkeypatch.setattr("engine.record.MOST_ROWS", 16)
    first = engine.Trainer(SMALL)
    first.advance(37)
    second = engine.Trainer.resume(engine.load_checkpoint(stored(first)))
    for trainer in (first, second):
        trainer.advance(50)
    equal(first, second)


def rewritten(change) -> io.BytesIO:
    """A good file with one part changed: name -> array or None."""
    t = engine.Trainer(SMALL)
    t.advance(3)
    arrays = dict(np.load(stored(t)))
    arrays |= change(arrays)
    file = io.BytesIO()
    np.savez_compressed(file, **{name: value for name, value in arrays.items() if value is not None})
    file.seek(0)
    return file


def said(**more):
    return lambda arrays: {"said": np.array(json.dumps(json.loads(str(arrays["said"])) | more))}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda a: {"weights/head.bias": None}, "head.bias"),
        (lambda a: {"weights/head.bias": np.zeros(7)}, "head.bias"),
        (lambda a: {"weights/more": np.zeros(1)}, "more"),
        (lambda a: {"optimizer": np.zeros((9, 9))}, "optimizer_state"),
        (lambda a: {"history/loss": np.zeros(4)}, "history.loss"),
        (lambda a: {"history/at": np.array([0, 1, 5])}, "history.at"),
        (lambda a: {"history/grad_norms_at": np.array([0.5])}, "grad_norms_at"),
        (lambda a: {"history/log10_grad_norms": np.zeros((3, 1, 2))}, "log10_grad_norms"),
        (lambda a: {"optimizer": None}, "optimizer"),
        (said(format=99), "99"),
        (said(experiment={"cell": "<b>"}), "cell"),
        (said(step=-1), "step"),
        (said(step="3"), "step"),
        (said(best=[1]), "best"),
        (said(seconds="x"), "seconds"),
        (said(changes=[[0, "nonsense", 1, 2]]), "nonsense"),
        (said(changes=[[0, ["lr"], 1, 2]]), "history.changes"),
        (said(changes=[[9, "lr", 0.1, 0.2]]), "history.changes"),
        (said(changes=[[0, "lr", 0.1, -1]]), "lr"),
        (said(changes=[[0, "lr", "<b>", 0.1]]), "lr"),
        (said(changes=[[0, "lr", "0.1", 0.1]]), "history.changes"),
        (said(changes=[[0, "lr", 0.1, 0.2]] * 5001), "5,001"),
        (said(diverged=[9, "weights"]), "diverged"),
        (said(diverged=[1, 2]), "diverged"),
        (said(diverged=[10**400, "weights"]), "diverged"),
        (said(diverged=[1]), "diverged"),
        (lambda a: {"history/at": np.array([0, 0, 0])}, "history.at"),
        (lambda a: {"history/grad_norms_at": np.array([0, 0, 0])}, "grad_norms_at"),
        (lambda a: {"history/at": np.array([0, -1, -2])}, "history.at"),
        (said(seconds=-1.0), "seconds"),
        (said(seconds=float("nan")), "seconds"),
        (said(seconds=10**400), "seconds"),
        (said(last_loss=10**400), "last_loss"),
        (said(best=[10**400, 0]), "best"),
        (said(best=[0.5, 4]), "best"),
        (said(best=[0.5, -1]), "best"),
        (said(examples=10**400), "examples"),
        (said(examples=13), "examples"),
        (said(measured=4), "measured"),
        (said(schedule_since=4), "schedule_since"),
        (said(validate_every=10**400), "validate_every"),
        (lambda a: {"said": np.array(" " * (2 << 20))}, "said"),
        (lambda a: {f"weights/{k}": np.zeros(0) for k in range(300)}, "arrays"),
        (lambda a: {"said": np.array("{")}, "checkpoint"),
        (lambda a: {"optimizer": np.array([{"a": 1}], dtype=object)}, "pickle"),
    ],
)
def test_a_damaged_file_is_refused_in_a_sentence(change, names):
    with pytest.raises(ValueError, match=names):
        engine.load_checkpoint(rewritten(change))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(share):
    t = engine.Trainer(SMALL)
    raw = stored(t).getvalue()
    with pytest.raises(ValueError, match="checkpoint"):
        engine.load_checkpoint(io.BytesIO(raw[: int(share * len(raw))]))


def test_what_is_too_large_unpacked_is_not_read():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("said.npy", bytes(10_000_000))
    with pytest.raises(ValueError, match="10,000,000 bytes"):
        engine.load_checkpoint(file, most_bytes=1_000_000)


@pytest.mark.parametrize("as_path", [True, False])
def test_a_long_directory_is_not_read(as_path, tmp_path, monkeypatch):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for k in range(301):
            packed.writestr(f"{k}.npy", b"")
    (tmp_path / "long.npz").write_bytes(file.getvalue())
    monkeypatch.setattr("zipfile.ZipFile.infolist", lambda _: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="an archive of 301 arrays"):
        engine.load_checkpoint(tmp_path / "long.npz" if as_path else file)


def test_what_is_no_checkpoint_is_refused():
    with pytest.raises(ValueError, match="checkpoint"):
        engine.Trainer.resume({"step": 3})
    with pytest.raises(OSError, match="nowhere"):
        engine.load_checkpoint("/nowhere/at/all")


@pytest.mark.parametrize("part", ["state_dict", "optimizer_state", "history"])
def test_a_checkpoint_without_a_part_is_refused(part):
    with pytest.raises(ValueError, match=part):
        replace(engine.Trainer(SMALL).checkpoint(), **{part: None})


def test_it_is_written_to_the_very_path(tmp_path):
    engine.Trainer(SMALL).checkpoint().save(tmp_path / "run.backup")
    assert [path.name for path in tmp_path.iterdir()] == ["run.backup"]
    assert engine.load_checkpoint(str(tmp_path / "run.backup")).step == 0
