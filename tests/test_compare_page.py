"""The Compare page without a browser: what it compares, refuses, swaps, and shows over many seeds; and its pictures."""

import dataclasses
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import engine
from app import link, versus
from app.comparison import PICTURES, Comparison
from app.controls import written
from app.figures import palette
from app.figures.versus import Versus
from app.figures.versus_bands import PICTURES as OVER_SEEDS
from app.figures.versus_seeds import Finished, Seeds, sentences, table
from app.figures.versus_words import verdict
from app.frames import Encoder, decode
from app.limits import LIMITS
from app.lockstep import Lockstep
from app.registry import RUNS
from app.settings import DEFAULTS
from app.versus import Knob
from tests.test_app import runs_end as runs_end  # a fixture

SMALL = {"seq_length": "10", "hidden_size": "4", "batch_size": "2"}


def beside() -> None:
    """What explorer.py does for this page."""
    from app import controls, session
    from app.views import compare

    session.read_language()
    session.turn_to("compare")
    session.read_link()
    session.read_beside()
    session.take()
    session.run()
    session.write_link()
    controls.draw()
    session.delivered()
    compare.page()


def page(**query: Any) -> AppTest:
    at = AppTest.from_function(beside, default_timeout=60)
    at.query_params.update(SMALL | query)
    at.run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    return " ".join(e.proto.body for e in at.main if hasattr(getattr(e, "proto", None), "body"))


def control(at: AppTest, key: str) -> Any:
    return next(e for e in [*at.main, *at.sidebar] if getattr(e, "key", None) == key)


def address(at: AppTest) -> str:
    value = at.query_params["versus"]
    return value[0] if isinstance(value, list) else value


def run_of(at: AppTest) -> Comparison:
    run = RUNS.get(at.session_state["comparison"])
    assert isinstance(run, Comparison)
    assert run.settle(60)
    return run


def values(at: AppTest) -> tuple[Any, ...]:
    return run_of(at)._training.seen.compared.values


def test_it_opens_with_something_telling_and_says_it_in_the_address():
    at = page()
    assert "Cell: RNN against LSTM, GRU" in said(at)
    assert "Same seed, same data" in said(at)
    assert address(at) == "cell:lstm,gru"
    assert values(at) == ("rnn", "lstm", "gru")


def test_a_link_says_what_is_compared_and_nonsense_is_told():
    at = page(versus="gain:2,<b>,99")
    assert values(at) == (0.9, 2.0)
    assert address(at) == "gain:2.0"
    assert any("“<b>”" in text.value for text in at.text)
    assert any("“99”" in text.value for text in at.text)


def test_moving_the_sidebar_to_a_compared_value_swaps_and_undo_swaps_back():
    at = page(versus="clip:none")
    assert values(at) == ("norm", "none")
    control(at, "clip").set_value("none").run()
    assert values(at) == ("none", "norm")
    assert address(at) == "clip:norm"
    control(at, "undo").click().run()
    assert values(at) == ("norm", "none")


def test_another_base_and_another_knob_and_other_values():
    at = page(versus="clip:none,value")
    control(at, "versus_first").set_value("value").run()
    assert at.session_state["experiment"].clip == "value"
    assert values(at) == ("value", "none", "norm")
    control(at, "versus_field").set_value("lr").run()
    assert values(at) == (0.001, 1e-4, 0.01)
    control(at, "versus_values").set_value([0.1]).run()
    assert values(at) == (0.001, 0.1)
    control(at, "versus_values").set_value([]).run()
    assert values(at) == (0.001,)
    assert "nothing to compare it with" in said(at)
    assert not at.exception


def test_every_control_can_be_the_knob():
    at = page(cell="lstm", num_layers="2")
    for field in control(at, "versus_field").options:
        name = next(f for f in engine.Experiment.model_fields if versus.title(f) == field)
        control(at, "versus_field").set_value(name).run()
        assert not at.exception
        assert len(run_of(at)._training.seen.compared.values) >= 2 or "left out" in said(at), field


def test_a_refused_value_is_told_and_the_others_go_on():
    at = page(versus="batching:full,single")
    assert values(at) == ("mini", "single")
    assert "left out" in said(at)
    assert "endless" in said(at)


def test_a_knob_that_ceases_to_count_waits_until_it_does_again():
    at = page(cell="lstm", versus="forget_bias:-2")
    assert values(at) == (1.0, -2.0)
    control(at, "cell").set_value("rnn").run()
    assert values(at) == (1.0,)
    assert "does not count" in said(at)
    knob = control(at, "versus_field")
    assert knob.value is None
    assert "Forget bias" not in knob.options, "which does nothing here"
    assert "versus_values" not in [choice.key for choice in at.multiselect]
    control(at, "undo").click().run()
    assert values(at) == (1.0, -2.0)
    control(at, "redo").click().run()
    control(at, "versus_field").set_value("gain").run()
    assert len(values(at)) > 1


def test_over_seeds_it_says_how_many_beat_guessing():
    at = page(versus="lr:0.1", seq_length="5")
    control(at, "versus_seeds").set_value(5).run()
    control(at, "versus_steps").set_value(100).run()
    bands = next(iter(run_of(at).bands.values()))
    for _ in range(600):
        bands.want()
        if bands.done.wait(0.1):
            break
    at.run()
    assert not at.exception
    assert "of 5 seeds" in said(at)
    assert "Learning rate 0.1 ends with" in said(at)
    control(at, "versus_seeds").set_value(1).run()
    assert not at.exception


def test_the_address_says_over_how_many_seeds_and_nonsense_is_told():
    at = page(versus="seed:1", seeds="10")
    assert control(at, "versus_seeds").value == 10
    assert at.query_params["seeds"] in ("10", ["10"])
    control(at, "versus_seeds").set_value(5).run()
    assert control(at, "versus_seeds").value == 5
    assert at.query_params["seeds"] in ("5", ["5"])
    control(at, "versus_seeds").set_value(1).run()
    assert control(at, "versus_seeds").value == 1
    assert "seeds" not in at.query_params
    at = page(versus="seed:1", seeds="<b>7")
    assert control(at, "versus_seeds").value == 1
    assert "seeds" not in at.query_params
    assert any("seeds = “<b>7”" in text.value and "5, 10, 20" in text.value for text in at.text)


def test_the_seed_itself_is_no_knob_for_seeds():
    at = page(versus="seed:1")
    control(at, "versus_seeds").set_value(5).run()
    assert "The knob is the seed itself" in said(at)
    assert run_of(at).bands == {}


def test_too_much_work_over_seeds_is_refused(monkeypatch):
    monkeypatch.setattr("app.views.compare_seeds.MOST", 1000)
    at = page(versus="lr:0.1")
    control(at, "versus_seeds").set_value(20).run()
    assert "more than the 1,000" in said(at)
    assert run_of(at).bands == {}


# The pictures


def shown(knob: Knob, steps: int = 0, **fields: Any) -> Versus:
    full = {**DEFAULTS, "seq_length": 12, "hidden_size": 5, "batch_size": 3, **fields}
    training = Lockstep(versus.of(link.experiment(full), full, knob, written)[0])
    while training.step < steps and not training.ended:
        training.advance(steps, lambda: False)
    training.record(rests=True)
    return training.snapshot(None, 0)


LOST = {"nonlinearity": "identity", "gain": 3.0, "optimizer": "sgd", "clip": "none", "lr": 10.0}
CASES = {
    "start": (Knob("cell", ("lstm", "gru")), 0, {}),
    "trained": (Knob("gain", (0.1, 1.0, 2.0)), 25, {}),
    "lengths": (Knob("seq_length", (5, 30)), 12, {}),
    "losses": (Knob("task", tuple(engine.TASKS)[1:4]), 12, {"seq_length": 10}),
    "layers": (Knob("num_layers", (2, 3)), 12, {}),
    "lost": (Knob("clip", ("norm",)), 12, LOST),
    "cut": (Knob("tbptt", (3,)), 12, {}),
    "alone": (Knob("cell", ()), 5, {}),
    "one step": (Knob("hidden_size", (1,)), 5, {"seq_length": 2}),
}  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("case", CASES)
def test_every_picture_can_be_drawn_and_sent(case, theme):
    knob, steps, fields = CASES[case]
    v = shown(knob, steps, **fields)
    names = [*PICTURES, *(f"map{i}" for i in range(len(v.runs)))]
    figures = {name: Comparison.figures[name](v, palette(theme)) for name in names}
    _, received = decode(Encoder().encode({"verdict": verdict(v)}, figures))
    assert set(received) == set(names)
    for figure in figures.values():
        meta = figure["layout"]["meta"]
        assert meta["question"]
        assert meta["answer"]
        for said_of in meta["labels"]:
            assert all(0 <= i < len(figure["data"]) for i in said_of["traces"])
        low, high = figure["layout"]["yaxis"]["range"]
        assert low < high
        for trace in figure["data"]:
            y = np.asarray(trace.get("y", [low]), float)
            assert np.all(np.isnan(y) | ((y >= low - 1e-6) & (y <= high + 1e-6)))


def test_the_difference_is_the_ratio_of_the_curves():
    v = shown(Knob("gain", (0.1,)), 10)
    p = palette("light")
    flow, gap = (Comparison.figures[name](v, p)["data"] for name in ("flow", "gap"))
    assert np.allclose(gap[0]["y"], flow[1]["y"] - flow[0]["y"], atol=1e-5)
    ratio = Comparison.figures["loss_gap"](v, p)["data"][0]
    a, b = (run.validation[ratio["x"]] for run in v.runs)
    assert np.allclose(10 ** ratio["y"].astype(float), b / a, rtol=1e-5)


def test_lengths_that_differ_are_laid_on_each_other_at_the_loss():
    v = shown(Knob("seq_length", (5,)))
    gap = Comparison.figures["gap"](v, palette("light"))["data"][0]
    assert gap["x"].tolist() == [-4, -3, -2, -1, 0]
    assert np.allclose(gap["y"], v.flow(1) - v.flow(0)[-5:], atol=1e-5)


def test_the_first_sentence_is_the_difference():
    v = shown(Knob("gain", (0.1,)), 10)
    words = verdict(v)
    assert words["what"].startswith("At t = 1, <b>Gain 0.90</b> has ")
    assert "times the gradient of <b>Gain 0.10</b>" in words["what"]
    assert "After 10 steps" in words["why"]
    lost = verdict(shown(*CASES["lost"][:2], **CASES["lost"][2]))
    assert "Only Clip norm has not diverged." in lost["what"]
    assert "Clip off diverged at step" in lost["why"]


def finished(last: float, diverged: int | None = None) -> Finished:
    at = np.array([0, 10, 20], np.int32)
    return Finished(at, np.array([1.0, 0.5, last]), np.full(6, np.nan if diverged else -2.0), diverged)


def seeds(*rows: tuple[Finished, ...]) -> Seeds:
    names = ("a", "b")
    return Seeds(names, ("Knob a", "Knob b"), 20, 5, tuple(range(len(rows))), rows, (0.5, 0.5), "guessing")


def test_seeds_are_counted_in_pairs_and_a_lost_run_is_the_worse():
    s = seeds((finished(0.2), finished(0.1)), (finished(0.3), finished(0.45)), (finished(np.nan, 12), finished(0.1)))
    assert (s.beats(0), s.beats(1)) == (2, 2)
    assert s.wins(1) == (2, 1)
    assert s.lost(0) == 1
    assert sentences(s) == [
        "<b>Knob a, b</b>: 2 of 3 seeds beat guessing.",
        "Knob b ends with less loss than Knob a in 2 of 3 seeds: that may be chance (100 %).",
        "Gradient from t = T to 1, median: <b>a</b>: × 1, <b>b</b>: × 1.",
    ]
    rows = table(s, "light")["rows"]
    assert rows[0]["cells"][0] == "2 of 3 seeds"
    assert rows[0]["cells"][-1] == "1 of 3"
    assert rows[1]["cells"][3] == "2 of 3"


def test_five_pairs_that_agree_are_not_put_down_to_chance():
    agree = (finished(0.5), finished(0.1))
    said = sentences(seeds(*[agree] * 5))
    assert said[:4] == [
        "<b>Knob a</b>: 0 of 5 seeds beat guessing.",
        "<b>Knob b</b>: 5 of 5 seeds beat guessing.",
        "Knob b ends with less loss than Knob a in 5 of 5 seeds: so few can never be surer than 6.2 %.",
        "Take 10 seeds to be surer.",
    ]
    on_the_way = sentences(seeds(*[agree] * 4))
    assert not any("Take" in sentence for sentence in on_the_way)
    ten = sentences(dataclasses.replace(seeds(*[agree] * 10), planned=10))
    assert "in 10 of 10 seeds (by chance alone: 0.2 %)" in " ".join(ten)
    assert not any("Take" in sentence for sentence in ten)


def test_losses_that_look_the_same_are_ties():
    tie, win = (finished(0.1), finished(0.10005)), (finished(0.1), finished(0.09))
    lost = (finished(np.nan, 12), finished(np.nan, 12))
    s = seeds(tie, tie, win, lost)
    assert s.wins(1) == (1, 0)
    assert s.ties(1) == 2
    assert "Knob b and Knob a end with the same loss in 2 of 4 seeds." in sentences(s)
    alike = sentences(seeds(tie, tie))
    assert not any("less loss" in sentence or "chance" in sentence for sentence in alike)
    assert "<b>b</b>: 1 of 4" in OVER_SEEDS["seeds_pairs"](s, palette("light"))["layout"]["meta"]["answer"]


def test_the_gradients_over_seeds_are_those_of_the_runs_that_are_there():
    def of(*flow: float, diverged: int | None = None) -> Finished:
        return dataclasses.replace(finished(0.1, diverged), flow=np.array(flow))

    gone = of(np.nan, np.nan, diverged=3)
    s = seeds((of(-25, -1, 0), of(-5, -2, 0)), (of(-27, -1, -1), gone), (of(-20, -1, 0), of(-4, -1, 1)))
    assert s.change(0) == -25
    assert s.change(1) == -5
    assert sentences(s)[-1] == (
        "Gradient from t = T to 1, median: <b>a</b>: × 10<sup>−25</sup>, <b>b</b>: × 10<sup>−5</sup>."
    )
    none = sentences(seeds((of(-np.inf, 0), gone)))
    assert none[-1] == "Gradient from t = T to 1, median: <b>a</b> none at t = 1."
    assert not any("Gradient" in sentence for sentence in sentences(seeds((gone, gone))))


def test_the_line_of_guessing_gives_way_to_the_names_of_the_runs():
    s = seeds((finished(0.49), finished(0.5)), (finished(0.5), finished(0.49)))
    for name in ("seeds_loss", "seeds_pairs"):
        labels = OVER_SEEDS[name](s, palette("light"))["layout"]["meta"]["labels"]
        assert all(label["place"] != "at" or label.get("loose") for label in labels)


@pytest.mark.parametrize("name", OVER_SEEDS)
@pytest.mark.parametrize(
    "rows",
    [
        [(finished(0.2), finished(0.1))],
        [(finished(0.2), finished(0.1)), (finished(np.nan, 15), finished(np.nan, 5))],
        [(finished(np.nan, 15), finished(np.nan, 5))],
    ],
)
def test_pictures_over_seeds_can_be_drawn_whatever_was_lost(name, rows):
    figure = OVER_SEEDS[name](seeds(*rows), palette("dark"))
    decode(Encoder().encode({}, {name: figure}))
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < high
    for trace in figure["data"]:
        y = np.asarray(trace["y"], float)
        assert np.all(np.isnan(y) | ((y >= low - 1e-6) & (y <= high + 1e-6)))


def test_a_full_server_says_so(monkeypatch):
    monkeypatch.setattr("app.registry.LIMITS", replace(LIMITS, runs=1))
    at = page(lr="x")  # which is complained of beside
    assert any("1 runs are open on this server" in text.value for text in at.text)
    assert at.button(key="try_again")


def test_visitors_see_no_paths_of_the_server():
    config = tomllib.loads((Path(__file__).parents[1] / ".streamlit/config.toml").read_text())
    assert config["client"]["showErrorDetails"] in ("type", "none")
