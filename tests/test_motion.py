"""Slow motion: what is said of an update is what training does; every position, picture and sort of network."""

import json
import re
import time
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import engine
from app.figures import palette
from app.figures.asked import Asked
from app.figures.motion import Motion, places, positions, stretches
from app.figures.motion_beside import PICTURES, lost, no_numbers, phases, told
from app.figures.motion_lines import exact, scientific, wide
from app.figures.motion_rules import RULES, One
from app.frames import Encoder
from app.kept import Weights
from app.looks import WHOLE
from app.motion import ALL, columns, in_pieces
from app.probing import probe
from engine.data import batch
from engine.instruments.pieces import finish
from tests import cases, torch_reference
from tests.test_app import runs_end as runs_end  # a fixture

SMALL = {"hidden_size": 5, "batch_size": 3, "seq_length": 12}
KINDS = list(cases.KINDS)


def asked(steps: int = 0, around: int | None = None, **fields: Any) -> tuple[Asked, engine.Trainer]:
    """The update that a trainer is about to make after `steps` steps."""
    trainer = engine.Trainer(engine.Experiment(**(SMALL | fields)), validate_every=0)
    trainer.advance(steps)
    e = trainer.experiment
    w = Weights(trainer.step, e, trainer.state_dict, trainer.optimizer_state if steps else None, trainer.lr)
    found = finish(in_pieces(e, probe(w, whole=True), w, around))
    return Asked(e, w.step, e.sequences, found), trainer


def plain(text: str) -> str:
    return re.sub(r"<[^>]*>", "", text)


# --- the numbers


@pytest.mark.parametrize(("optimizer", "clip"), zip(engine.OPTIMIZERS, 2 * list(engine.CLIPS), strict=True))
def test_the_update_is_that_of_training(optimizer, clip):
    fields = {"optimizer": optimizer, "clip": clip, "clip_threshold": 0.02, "weight_decay": 0.1, "lr": 0.01}
    a, trainer = asked(3, cell="gru", num_layers=2, dropout=0.3, **fields)
    m: Motion = a.found
    before, trace = trainer.state_dict, trainer.trace()
    trainer.advance(1)
    history, after = trainer.history, trainer.state_dict
    assert m.loss == history.loss[3]
    assert m.grad_norm == history.grad_norm[3]
    assert m.clipped_norm == pytest.approx(history.clipped[3], rel=1e-12)
    change = np.concatenate([(after[name] - before[name]).ravel() for name in after])
    assert m.change_norm == pytest.approx(float(np.linalg.norm(change)), rel=1e-12)
    for layer in range(2):
        own = slice(10, 15)  # the rows of n
        moved, g = (x[f"weight_hh_l{layer}"][own] for x in (after, trace.grads))
        rows, source = np.arange(5), m.named.source[layer]
        np.testing.assert_array_equal(source, np.abs(g).argmax(axis=1))
        np.testing.assert_array_equal(m.named.raw[layer], g[rows, source])
        old = before[f"weight_hh_l{layer}"][own][rows, source]
        np.testing.assert_array_equal(m.named.weight[layer], old)
        np.testing.assert_array_equal(m.named.change[layer], moved[rows, source] - old)


@pytest.mark.parametrize("optimizer", list(engine.OPTIMIZERS))
def test_the_equation_of_each_optimizer_gives_the_step(optimizer):
    """Δθ from the numbers that stand in the equation, at the first update and at a later one."""
    assert set(RULES) == set(engine.OPTIMIZERS)
    for steps in (0, 4):
        a, _trainer = asked(steps, optimizer=optimizer, weight_decay=0.2, lr=0.01)
        for unit in range(5):
            one = One(a, unit)
            lines, change = RULES[optimizer](one)
            assert change == pytest.approx(one.change, rel=1e-9, abs=1e-15)  # Δθ is a difference: θ's last digit
            assert any(term == ["Δθ", exact(one.change)] for said in lines for term in said["terms"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_afterwards_is_torchs(kind):
    a, trainer = asked(2, num_layers=2, task="sine", **cases.KINDS[kind])
    e, data = trainer.experiment, batch(trainer.experiment, 2)
    m: Motion = a.found
    assert m.loss == pytest.approx(torch_reference.run(e, trainer.state_dict, *data).loss, rel=1e-12)
    trainer.advance(1)
    assert m.loss_after == pytest.approx(torch_reference.run(e, trainer.state_dict, *data).loss, rel=1e-9)


def test_a_small_step_keeps_what_the_gradient_promised():
    a, _trainer = asked(optimizer="sgd", lr=1e-6, clip="none", task="sine")
    m: Motion = a.found
    assert m.promised is not None
    assert m.loss_after - m.loss == pytest.approx(m.promised, rel=1e-3)
    assert m.promised == pytest.approx(-1e-6 * m.grad_norm**2, rel=1e-6)
    assert asked(omega=0.5)[0].found.promised is None  # then g is of more than the loss


@pytest.mark.parametrize(
    ("task", "loss"), [("sine", None), ("markov", None), ("markov", "mse"), ("digits_rows", "mse")]
)
def test_the_losses_of_the_timesteps_are_torchs(task, loss):
    a, trainer = asked(task=task, loss=loss)
    m, t = a.found, trainer.trace()
    read = torch.tensor(np.array(t.outputs)), torch.tensor(np.array(t.targets))
    every_step = engine.TASKS[task].every_step
    for k, column in enumerate(m.read):
        step = int(m.unrolled.at[column]) - 1 if every_step else 0
        y, right = read[0][step], read[1][step] if every_step else read[1]
        if loss == "mse" and right.dtype == torch.int64:
            right = torch.nn.functional.one_hot(right, y.shape[1]).double()
        name = "mse" if right.dtype == torch.float64 else "cross_entropy"
        assert m.batch_losses[k] == pytest.approx(torch_reference.loss_of(name, y, right).item(), rel=1e-12)
        assert m.own_losses[k] == pytest.approx(torch_reference.loss_of(name, y[:1], right[:1]).item(), rel=1e-12)


def test_it_asks_for_the_very_gradient_of_training():
    assert "motion" in WHOLE


# --- which timesteps


def test_all_timesteps_where_they_are_few_else_the_ends_and_some():
    assert columns(1) == [1]
    assert columns(ALL) == list(range(1, ALL + 1))
    assert columns(100) == [*range(1, 8), *range(94, 101)]
    for steps in range(1, 60):
        for around in range(1, steps + 1):
            chosen = columns(steps, around)
            assert chosen == sorted(set(chosen))
            assert len(chosen) == min(steps, ALL)
            assert {1, around, steps} <= set(chosen)
    assert {48, 49, 50, 51, 52} <= set(columns(100, 50))
    assert columns(100, 1000) == columns(100)  # a slider of before


def test_gaps_take_a_place_and_are_told():
    a, _trainer = asked(seq_length=100, around=50)
    assert stretches(a.found) == "1…5, 48…52 and 97…100"
    at = list(a.found.unrolled.at)
    x = places(a.found)
    assert x[at.index(48)] - x[at.index(5)] == 2
    assert x[at.index(49)] - x[at.index(48)] == 1


# --- positions and what is said at them


def test_the_positions_of_an_update():
    a, _trainer = asked()
    names = [p["name"] for p in told(a, 0)]
    forward, back = [f"forward-{t}" for t in range(1, 13)], [f"backward-{t}" for t in range(12, 0, -1)]
    assert names == [*forward, "loss-12", *back, "clip", "update", "result"]
    assert len(names) == len(set(names)) == len(positions(a.found))
    a, _trainer = asked(task="sine")
    assert [p["name"] for p in told(a, 0)].count("loss-3") == 1


CASES: dict[str, dict[str, Any]] = {
    "rnn": {},
    "lstm": {"cell": "lstm", "num_layers": 2, "task": "sine"},
    "gru": {"cell": "gru", "task": "copy_memory", "optimizer": "adadelta", "clip": "value"},
    "gru before": {"cell": "gru", "reset_after": False, "task": "digits_rows", "loss": "mse", "clip": "unit"},
    "one step": {"seq_length": 1, "task": "random_series", "clip": "none"},
    "one unit": {"hidden_size": 1, "optimizer": "nesterov", "clip": "param_norm"},
    "truncated": {"task": "markov", "tbptt": 4, "optimizer": "adamw", "weight_decay": 0.1},
    "dropped": {"num_layers": 3, "dropout": 0.5, "nonlinearity": "relu", "dtype": "float32"},
    "embedded": {"task": "text", "embedding_dim": 3, "optimizer": "sgd", "weight_decay": 0.1},
    "long and wide": {"seq_length": 600, "hidden_size": 130, "batch_size": 2, "gain": 0.1},
    "exploding": {"gain": 8.0, "nonlinearity": "identity", "seq_length": 120},
    "vectors": {"task": "random_vectors", "omega": 0.1, "optimizer": "momentum"},
}


@pytest.mark.parametrize("case", list(CASES))
def test_every_picture_and_every_position(case):
    """They are made, in both themes, travel as frames, and what is revealed there is revealed some time."""
    a, _trainer = asked(1, **CASES[case])
    last = len(positions(a.found)) - 1
    for layer in range(a.experiment.num_layers):
        own = a.of_layer(layer)
        for theme in ("light", "dark"):
            figures = {name: draw(own, palette(theme)) for name, draw in PICTURES.items()}
            Encoder().encode({}, figures)
        for figure in figures.values():
            for entry in figure["layout"]["meta"].get("reveal", ()):
                trace = figure["data"][entry["trace"]]
                born = entry.get("columns") or entry["since"]
                assert len(born) == (trace["z"].shape[1] if "columns" in entry else len(trace["y"]))
                assert 0 <= min(born) <= max(born) <= last
                assert all(k > b for k, b in zip(entry.get("until", []), born, strict=False))
        said = told(own, a.experiment.hidden_size - 1)
        assert len(said) == last + 1
        for position in said:
            assert position["beside"] in PICTURES
            assert position["lines"]
            assert all(len(term) == 2 and term[0] for one in position["lines"] for term in one["terms"])
            text = plain(str(position))
            assert "nan" not in text.lower().replace("tanh", "")
            assert "{" not in plain(position["says"])
    assert [p["phase"] for p in phases(a)] == ["forward", "loss", "backward", "clip", "update"]
    assert not lost(a)


def test_truncation_and_exact_zeros_are_told():
    a, _trainer = asked(task="parity_final", tbptt=4)
    says = {p["name"]: plain(p["says"]) for p in told(a, 0)}
    assert "truncated. No gradient passes from 9 back to here" in says["backward-8"]
    assert "an exact 0" in says["backward-7"]
    river = next(t for t in PICTURES["unrolled"](a, palette("light"))["data"] if t.get("fill") == "toself")
    assert np.nanmin(river["x"]) > 7  # no edge to the left of the cut


def test_lost_numbers_are_a_sentence():
    e = engine.Experiment(**SMALL)
    state = dict(engine.probe(e).state_dict)
    state["weight_hh_l0"] = np.full_like(state["weight_hh_l0"], np.nan)
    w = Weights(3, e, state)
    a = Asked(e, 3, 3, finish(in_pieces(e, probe(w, whole=True), w)))
    assert lost(a)
    assert "NaN" in no_numbers(a)


def test_what_stands_below_each_other_is_the_equation():
    """The terms of z, of δ and of c add up, as far as three digits say it."""
    a, _trainer = asked(cell="lstm", task="sine")
    number = {"−": "-", "·10": "e"}

    def value(text: str) -> float:
        text = plain(text)
        for old, new in number.items():
            text = text.replace(old, new)
        return float(text)

    for position in told(a, 2):
        if position["phase"] == "forward":
            c, _is, f, _dot, before, _plus, i, _times, g = (t[1] for t in position["lines"][1]["terms"])
            assert value(c) == pytest.approx(value(f) * value(before) + value(i) * value(g), abs=2e-3)
        if position["phase"] == "backward" and position["name"] != "backward-12":
            whole, _is, through, _plus, entering = (t[1] for t in position["lines"][0]["terms"])
            parts = value(through), value(entering)
            assert value(whole) == pytest.approx(sum(parts), abs=6e-3 * max(map(abs, parts)))


def test_numbers_keep_their_digits():
    assert exact(0.00099999) == "0.001"
    assert exact(123456.0) == "1.23·10<sup>5</sup>"
    assert exact(float("nan")) == "NaN"
    assert exact(float("-inf")) == "−∞"
    assert wide(-1.5, -3000) == scientific(-1.5, -3000 * np.log10(2)) == "−1.22·10<sup>−903</sup>"
    assert wide(0.0, 17) == "0"
    assert wide(0.75, 1) == "1.5"


# --- the page


def slow() -> None:
    """As explorer.py does it."""
    from app import session
    from app.views import motion

    session.turn_to("motion")
    session.read_link()
    session.read_beside()
    session.take()
    session.run()
    session.write_link()
    session.delivered()
    motion.page()


def page(**query: str) -> AppTest:
    at = AppTest.from_function(slow, default_timeout=30)
    at.query_params.update({"seq_length": "40", "hidden_size": "8", **query})
    at.run()
    assert not at.exception
    for _ in range(60):  # the run's first pass, or the look, may still be at work; a changed engine is compiled first
        if component(at) is not None:
            break
        time.sleep(0.5)
        at.run()
    assert not at.exception
    return at


def component(at: AppTest) -> Any:
    found = [e.proto for e in at.main if getattr(getattr(e, "proto", None), "component_name", "") == "motion"]
    return json.loads(found[0].json) if found else None


def test_the_page_places_the_update():
    data = component(page())
    assert data["ids"] == list(PICTURES)
    assert len(data["told"]) == 2 * ALL + 4
    assert data["told"][0]["lines"][0]["about"] == "unit 1"


def test_unit_and_timestep_are_chosen():
    at = page()
    at.number_input(key="motion_unit").set_value(3)
    at.slider(key="motion_around").set_value(20)
    at.run()
    data = component(at)
    assert data["told"][0]["lines"][0]["about"] == "unit 3"
    assert "forward-20" in [p["name"] for p in data["told"]]


def test_one_unit_and_one_timestep_have_nothing_to_choose():
    at = page(hidden_size="1", seq_length="1", task="random_series")
    assert not at.number_input
    assert not at.slider
