"""Three closer looks: floating point, the optimizer, clipping. What they are given of a run, and what they say."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import app.probing
import engine
from app.figures import clipping, floating, moves, palette
from app.figures.asked import Asked
from app.figures.why import WHY
from app.kept import Weights
from app.looks import INSTRUMENTS, Look, probe
from app.pool import Pool
from app.training import Training
from engine.data import batch
from engine.instruments.blocks import flat
from engine.instruments.pieces import finish
from tests.test_why import SMALL, asked, weights

LIGHT = palette("light")


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(1)
    yield pool
    pool.close()


def trained(steps: int, **fields: Any) -> Training:
    training = Training(engine.Experiment(**(SMALL | fields)))
    for step in range(1, steps + 1):
        training.advance(step, lambda: False)
        training.record()
    return training


def shown(training: Training, step: int | None = None) -> Weights:
    found = training.snapshot(step, 0).weights
    assert found is not None
    return found


def of(training: Training, name: str, step: int | None = None) -> Asked:
    w = shown(training, step)
    return Asked(
        w.experiment, w.step, w.experiment.sequences, finish(INSTRUMENTS[name](w.experiment, probe(w, whole=True), w))
    )


# --- what is kept of a run for them


@pytest.mark.parametrize("optimizer", list(engine.OPTIMIZERS))
def test_any_kept_step_can_be_updated_again(optimizer, pool):
    """From the weights, the optimizer's memory and the batch of step 3 come the weights of step 4, bit by bit."""
    training = trained(
        5, optimizer=optimizer, dropout=0.3, num_layers=2, cell="gru", schedule="exponential", train_size=7
    )
    for step in (0, 3):
        look = Look("update", shown(training, step)).start(pool)
        assert look.done.wait(30)
        after = flat(shown(training, step + 1).state_dict)
        np.testing.assert_array_equal(look.asked.found[0].change, after - look.asked.found[0].weights)


def test_the_optimizers_memory_counts_in_the_budget():
    first, last = shown(trained(2, optimizer="adam"), 0), shown(trained(2, optimizer="adam"))
    n = sum(w.nbytes for w in last.state_dict.values())
    assert (first.size, last.size) == (n, 3 * n)
    assert first.optimizer_state is None


def test_a_setting_that_changed_on_the_way_counts():
    training = trained(3, optimizer="adam", lr=0.01)
    training.change(training.experiment.replace(lr=0.1, clip="value", clip_threshold=0.5))
    training.advance(4, lambda: False)
    training.record()
    assert (shown(training, 2).lr, shown(training, 3).lr) == (0.01, 0.1)
    after = flat(shown(training, 4).state_dict)
    found = of(training, "update", 3).found[0]
    np.testing.assert_array_equal(found.change, after - found.weights)
    assert clipping.kind(of(training, "clipping", 3)) == "value"


def test_the_gradient_of_an_update_is_that_of_the_whole_batch(monkeypatch, pool):
    monkeypatch.setattr(app.probing, "NUMBERS", 1)
    w = weights(batch_size=8)
    assert app.probing.sequences(w.experiment) == 1
    look = Look("update", w).start(pool)
    assert look.done.wait(30)
    t = engine.probe(w.experiment, w.state_dict, *batch(w.experiment, 0))
    np.testing.assert_array_equal(look.asked.found[0].gradient, engine.update(w.experiment, t).gradient)


def test_the_curves_end_at_the_step_shown():
    c = 0.9 * engine.probe(engine.Experiment(**SMALL)).grad_norm
    training = trained(6, clip="norm", clip_threshold=c, optimizer="sgd", lr=0.1)
    lr, effective, cut = clipping.past(of(training, "clipping", 4))
    history = training.past.curves
    assert len(lr) == 5
    np.testing.assert_allclose(effective, 0.1 * np.minimum(1, c / (history.grad_norm[:5] + 1e-6)))
    np.testing.assert_array_equal(cut, history.grad_norm[:5] > c)
    assert 0 < cut.sum() < 5


# --- what they say


def test_floating_point_in_words():
    """0.3^t: 2^−149 is 86 steps from a gradient of 1."""
    w = weights(nonlinearity="identity", init="orthogonal", gain=0.3, seq_length=150)
    a = asked("floats", w)
    silent = a.found.silent("float32")
    assert 50 < silent < 70
    assert f"In float32 δ<sub>t</sub> is exactly 0 at t = {silent} and before" in floating.sentence(a)
    assert f"truly it is 10<sup>−{-a.found.log10_norms[0, 0]:.1f}" in floating.sentence(a).replace(".0<", "<")
    assert "classes_float64" not in floating.pictures(a)
    healthy = asked("floats", weights(nonlinearity="identity", init="orthogonal", gain=1.0))
    assert "both hold all components" in floating.sentence(healthy)
    broken = asked("floats", weights(nonlinearity="identity", gain=50.0, init="orthogonal", seq_length=300))
    assert "In float32 the first that is not finite is hidden_l0 at t = " in floating.sentence(broken)


def test_shares_are_drawn_on_top_of_each_other():
    a = asked("floats", weights(nonlinearity="identity", init="orthogonal", gain=0.3, seq_length=150))
    normal, subnormal, zero = floating.classes("float32", a, LIGHT)["data"]
    shares = 100 * a.found.float32.shares[0]
    np.testing.assert_allclose(normal["y"], shares[:, 0], rtol=1e-6)
    np.testing.assert_allclose(subnormal["y"], shares[:, 0] + shares[:, 1], rtol=1e-6)
    np.testing.assert_allclose(zero["y"], 100)
    assert len(floating.classes("float64", a, LIGHT)["data"]) == 1


def test_the_step_up_to_which_nothing_counts():
    a = asked("floats", weights(nonlinearity="identity", init="orthogonal", gain=0.3, seq_length=150))
    t = floating.deaf(a.found.float32, 0)
    assert (a.found.float32.counted[0, 1:t] < 0.01).all()
    assert a.found.float32.counted[0, t] >= 0.01
    # A factor of 0.3 a step, and 24 digits of 2: some 14 steps, a little more where h differs from step to step.
    assert 150 - 24 < t < 150 - 10


def test_points_lie_on_the_optimizers_law():
    """At Adam's first step all of them, in plain SGD always."""
    for optimizer in ("adam", "sgd"):
        a = asked("update", weights(optimizer=optimizer, cell="lstm"))
        law = moves.steady(a)
        for trace in moves.scatter(a, LIGHT)["data"][:4]:
            np.testing.assert_allclose(10.0 ** trace["y"], law(10.0 ** np.float64(trace["x"])), rtol=2e-4)
    assert moves.steady(asked("update", weights(optimizer="adagrad"))) is None


def test_the_optimizer_in_words():
    sgd = asked("update", weights(optimizer="sgd", clip="none"))
    g, d = moves.tenths(sgd.found[0])
    assert g == pytest.approx(d)
    assert "What has little gradient moves as little." in moves.sentence(sgd)
    adam = asked("update", weights(optimizer="adam", clip="none"))
    assert moves.tenths(adam.found[0])[1] == pytest.approx(1, abs=0.01)
    assert "moves 1 times as far. The steps hide how small" in moves.sentence(adam)
    tiny = asked("update", weights(optimizer="adam", clip="value", clip_threshold=1e-10))
    assert "100 % of the gradients are below ε = 1e−8" in moves.sentence(tiny).replace("99 %", "100 %")


def test_a_row_for_each_block_of_the_layer():
    a = asked("update", weights(cell="lstm", num_layers=2)).of_layer(1)
    part = moves.blocks(a, LIGHT)
    assert part["layout"]["yaxis"]["ticktext"] == [
        "W<sub>ih</sub>", *(f"W<sub>hh</sub> {g}" for g in "ifgo"), "b", "W<sub>out</sub>", "b<sub>out</sub>",
    ]  # fmt: skip
    blocks, norms = a.found[0].blocks, a.found[0].gradient_norms
    own = [norms[k] for k, block in enumerate(blocks) if block.layer in (1, None)]
    np.testing.assert_allclose(10.0 ** part["data"][0]["x"], own, rtol=1e-5)


def test_clipping_in_words():
    norm = asked("clipping", weights(clip="norm", clip_threshold=0.01, optimizer="sgd"))
    assert "Clipping by norm at 0.01 shortens this gradient to" in clipping.sentence(norm)
    assert "its direction stays." in clipping.sentence(norm)
    value = asked("clipping", weights(clip="value", clip_threshold=0.01, optimizer="adam"))
    angle = np.degrees(np.arccos(value.found[0].rows["value"].cosine))
    assert f"and turns it by {angle:.0f}°. Adam divides by the size of past" in clipping.sentence(value)
    idle = asked("clipping", weights(clip="norm", clip_threshold=1e6))
    assert "leaves this gradient as it is" in clipping.sentence(idle)
    off = asked("clipping", weights(clip="none"))
    assert clipping.sentence(off).startswith("Clipping is off. By norm at 1 it would shorten this gradient to 0.")
    lost = asked("clipping", weights(lost=0))
    assert "not a number" in clipping.sentence(lost)


def test_arrows_have_their_length_and_angle():
    a = asked("clipping", weights(clip="value", clip_threshold=0.1, optimizer="sgd"))
    c, part = clipping.own(a), clipping.plane(a, LIGHT)
    tip = np.array([part["data"][-1]["x"][1], part["data"][-1]["y"][1]])
    assert np.hypot(*tip) == pytest.approx(c.norm, rel=1e-5)
    assert np.cos(np.arctan2(tip[1], tip[0])) == pytest.approx(c.cosine, rel=1e-5)
    assert part["layout"]["meta"]["equal"]  # so that the angle on the screen is the angle


def test_pictures_of_training_need_a_run():
    assert "rates" not in clipping.pictures(asked("clipping", weights()))
    a = of(trained(3), "clipping")
    part = WHY["clipping"].pictures(a)["rates"](a, LIGHT)
    assert len(part["data"][1]["x"]) == 4


def test_a_large_gradient_is_clipped_in_short_pieces():
    w = weights(cell="lstm", hidden_size=128)
    assert sum(1 for _ in INSTRUMENTS["clipping"](w.experiment, probe(w, whole=True), w)) > 300


def test_the_blocks_over_training_are_those_of_each_kept_step():
    training = trained(6, optimizer="adam", cell="lstm", num_layers=2)
    u, steps, parts = of(training, "update", 4).found
    assert list(steps) == [0, 1, 2, 3, 4]
    for step in steps:
        then = of(training, "update", step).found[0]
        np.testing.assert_array_equal(parts[step], [then.gradient_norms, then.change_norms, then.weight_norms])
    a = of(training, "update", 4).of_layer(1)
    part = moves.over_training("step", a, LIGHT)
    own = [k for k, block in enumerate(u.blocks) if block.layer in (1, None)]
    last = sorted(10.0 ** trace["y"][-1] for trace in part["data"])
    np.testing.assert_allclose(last, sorted((parts[4, 1] / parts[4, 2])[own]), rtol=1e-5)
    assert list(moves.pictures(a))[-2:] == ["gradient_over", "step_over"]
    assert len(moves.pictures(asked("update", weights()))) == 3


def test_a_look_that_is_done_holds_no_run(pool):
    """A session keeps some looks: what the run has recorded since must not be kept alive by them."""
    w = shown(trained(3))
    assert w.moments is not None
    for name in INSTRUMENTS:
        look = Look(name, w).start(pool)
        assert look.done.wait(30)
        assert look.asked is not None
        assert (look.weights.curves, look.weights.moments) == (None, None)
        assert look.weights.state_dict is w.state_dict
