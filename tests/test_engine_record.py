"""What is remembered of a training run: every step at first, then an even selection of them, and never too much."""

import math

import numpy as np
import pytest

import engine
from app import training
from engine import record

CURVES = ("loss", "validation_loss", "lr", "grad_norm", "clipped", "examples")


def small(**changes: object) -> engine.Experiment:
    return engine.Experiment(**({"hidden_size": 2, "num_layers": 1, "batch_size": 1, "seq_length": 2} | changes))


@pytest.mark.parametrize("steps", [0, 1, 63, 64, 65, 128, 129, 200, 1000])
@pytest.mark.parametrize("most", [64, 65])
def test_beyond_the_bound_steps_are_left_out_evenly(monkeypatch, most, steps):
    """Each entry that is kept is the one that a whole history has at that step."""
    whole = engine.train(small(), steps)
    np.testing.assert_array_equal(whole.at, np.arange(steps))
    monkeypatch.setattr(record, "MOST_ENTRIES", most)
    thinned = engine.train(small(), steps)
    stride = 2 ** max(0, math.ceil(math.log2(max(steps, 1) / most)))
    np.testing.assert_array_equal(thinned.at, np.arange(0, steps, stride), "from step 0 to the end")
    for name in CURVES:
        np.testing.assert_array_equal(getattr(thinned, name), getattr(whole, name)[thinned.at], err_msg=name)
        assert not getattr(thinned, name).flags.writeable, name
    assert not thinned.at.flags.writeable


def test_an_earlier_history_does_not_change(monkeypatch):
    monkeypatch.setattr(record, "MOST_ENTRIES", 64)
    trainer = engine.Trainer(small())
    trainer.advance(60)
    early = trainer.history
    kept = {name: np.array(getattr(early, name)) for name in ("at", *CURVES)}
    trainer.advance(300)
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(early, name), value, err_msg=name)


@pytest.mark.parametrize("most", [8, 64])
def test_a_stop_rule_sees_the_last_step_whether_it_is_kept_or_not(monkeypatch, most):
    e = small(train_size=1, lr=1e-3)  # one sequence: its loss falls at every step
    loss = engine.train(e, 45).loss
    assert (np.diff(loss) < 0).all()
    monkeypatch.setattr(record, "MOST_ENTRIES", most)
    trainer = engine.Trainer(e.replace(stop_loss=float(loss[43])))  # of 8 entries none is of an odd step
    trainer.advance(45)
    assert (trainer.stopped, trainer.step) == ("loss", 44)


def test_memory_is_what_the_docstring_says():
    curves = record.Curves(len(CURVES))
    for k in range(3 * record.MOST_ENTRIES):
        curves.add(k, (0.0,) * len(CURVES))
    at, loss, *_ = curves.arrays()
    assert 13e6 > curves._values.nbytes >= 2 * sum(row.nbytes for row in (at, loss))
    assert at[-1] == 3 * record.MOST_ENTRIES - 4
    for shape in ((1, 2), (3, 1000), (4, 10**6)):
        rows, row = record.Rows(shape), 16 * shape[0] * shape[1]
        assert rows._most * row <= max(record.ROW_BYTES, 16 * row)


def test_the_page_trains_no_further_than_curves_are_whole():
    """It draws them by step: loss[k] is of step k."""
    assert training.LAST_STEP < record.MOST_ENTRIES
