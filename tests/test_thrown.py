"""When has an update thrown the weights away? Proved on real runs: by lengths of the weights before and after."""

import numpy as np
import pytest

import engine
from app.figures.words import verdict
from app.thrown import Thrown
from app.training import Training

STEPS = 200
EXPLODING = engine.Experiment(hidden_size=64, gain=2.5, optimizer="sgd", lr=0.01, clip="none")
THROWING = {"a002_language_model", "unit_clip"}  # their claims say so; relu_diverges is lost one step later
DIVERGING = {"relu_diverges"}


def trained(e: engine.Experiment, steps: int, each: bool = False) -> Training:
    """`each`: with a picture of every step."""
    t = Training(e)
    while t.step < steps and not t.ended:
        t.advance(t.step + 1 if each else steps, lambda: False)
        if each:
            t.record()
    t.record(rests=True)
    return t


def length(weights: dict[str, np.ndarray]) -> float:
    return float(np.linalg.norm(np.concatenate([np.float64(w).ravel() for w in weights.values()])))


@pytest.mark.parametrize("name", sorted(THROWING))
def test_an_explosion_is_named_with_its_step_and_its_size(name: str) -> None:
    e = engine.PRESETS[name].experiment
    found = trained(e, 20).past.thrown
    assert isinstance(found, Thrown)
    trainer = engine.Trainer(e, validate_every=0)
    trainer.advance(found.step)
    before = trainer.state_dict
    trainer.advance(1)
    after = trainer.state_dict
    change = length({n: np.float64(after[n]) - before[n] for n in after})
    assert found.ratio == pytest.approx(change / length(before), rel=1e-5)
    assert found.ratio > 1
    assert found.norm == pytest.approx(trainer.history.grad_norm[found.step])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(engine.PRESETS) - THROWING - DIVERGING))
def test_no_ordinary_training_is_called_so(name: str) -> None:
    assert trained(engine.PRESETS[name].experiment, STEPS).past.thrown is None


@pytest.mark.parametrize("name", ["a000_stacked_rnn", "a001_gradient_descent", "a003_lstm", "healthy", "chaos"])
def test_ordinary_training_is_not_called_so(name: str) -> None:
    assert trained(engine.PRESETS[name].experiment, 40, each=True).past.thrown is None


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov"])
def test_a_step_between_two_pictures_is_found_too(optimizer: str, each: bool) -> None:
    e = engine.Experiment(hidden_size=16, seq_length=20, optimizer=optimizer, lr=1e-3, clip="none")
    t = trained(e, 6, each)
    t.change(e.replace(lr=1e4))  # now a step is far too long
    t.advance(t.step + 3, lambda: False)
    t.record(rests=True)
    assert t.past.thrown is not None
    assert t.past.thrown.step == 6


def test_an_update_of_a_length_of_its_own_is_known_where_it_was_kept() -> None:
    e = engine.Experiment(hidden_size=16, seq_length=20, optimizer="adam", lr=1.0)
    found = trained(e, 3, each=True).past.thrown
    assert found is not None
    assert found.step == 0
    assert trained(e.replace(lr=0.03), 3, each=True).past.thrown is None


def test_the_verdict_says_which_step_it_was_and_how_to_begin_again() -> None:
    t = trained(EXPLODING, 1)
    said = verdict(t.snapshot(None, 0))
    assert said["kind"] == "thrown"
    assert said["what"].startswith("Step 0 threw the weights away: ‖g‖ was 10<sup>")
    assert said["what"].endswith("</sup>, unclipped.")
    assert said["ways"] == ["begin", "begin_clipped"]
    assert verdict(t.snapshot(0, 0))["kind"] == "exploding"  # the step itself is what it was
    assert verdict(t.snapshot(0, 0))["why"].startswith("Each step back multiplies it")
    t.change(EXPLODING.replace(clip="norm"))
    t.advance(t.step + 2, lambda: False)
    t.record(rests=True)
    now = verdict(t.snapshot(None, 0))
    assert now["kind"] == "thrown"
    assert now["why"] == "Clipping holds from now on, but those weights are gone. Reset begins again with it."
    assert now["ways"] == ["begin"]
    warned = verdict(Training(EXPLODING).snapshot(None, 0))
    assert warned["why"] == "The next update will be 10<sup>6.4</sup> times as long as the weights themselves."
    assert warned["ways"] == ["clip"]
    assert verdict(Training(EXPLODING.replace(clip="norm")).snapshot(None, 0)).get("ways") is None
    clipped = trained(EXPLODING.replace(clip="norm"), 3)
    assert verdict(clipped.snapshot(None, 0))["kind"] == "exploding"


def test_where_clipping_itself_made_the_step_the_gradient_is_not_blamed() -> None:
    said = verdict(trained(engine.PRESETS["unit_clip"].experiment, 2).snapshot(None, 0))
    assert said["what"] == "Step 0 threw the weights away: its update was 1.7 times as long as they were."
    assert said["ways"] == ["begin"]
