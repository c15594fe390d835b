"""The page without a browser: every control, every state, every kind of link (Streamlit's AppTest)."""

from typing import Any

import pytest
import streamlit.config
from streamlit.testing.v1 import AppTest

import engine
from app import link
from app.controls import CONTROLS
from app.registry import RUNS
from app.runs import Run

EXPLORER = str(pytest.importorskip("app").__path__[0]) + "/explorer.py"


def page(**query: Any) -> AppTest:
    at = AppTest.from_file(EXPLORER, default_timeout=30)
    at.query_params.update(query)
    at.run()
    assert not at.exception
    return at


def run_of(at: AppTest) -> Run:
    run = RUNS.get(at.session_state["token"])
    assert run is not None
    assert run.settle(60)
    return run


def shown(at: AppTest) -> engine.Experiment:
    _, snapshot = run_of(at).picture()
    assert snapshot is not None
    return snapshot.experiment


def messages(at: AppTest) -> list[str]:
    return [text.value for text in at.text]


def control(at: AppTest, field: str) -> Any:
    return next(element for element in at.sidebar if getattr(element, "key", None) == field)


def test_defaults():
    at = page()
    assert shown(at) == engine.Experiment()
    assert messages(at) == []
    assert dict(at.query_params) == {}
    assert [element.key for element in at.sidebar if getattr(element, "key", None) in link.FIELDS] == [
        control.field for control in CONTROLS
    ]


@pytest.mark.parametrize("cell", engine.CELLS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_cell_and_precision(cell, dtype):
    at = page(cell=cell, dtype=dtype)
    assert shown(at) == engine.Experiment(cell=cell, dtype=dtype)
    assert control(at, "forget_bias").disabled == (cell != "lstm")


@pytest.mark.parametrize(
    ("field", "name"), [(field, name) for field, names in link.NAMES.items() for name in names]
)  # fmt: skip
def test_every_name_of_the_tables_makes_a_picture(field, name):
    at = page(**{field: name, "seq_length": "20", "hidden_size": "4", "batch_size": "2"})
    assert getattr(shown(at), field) == name
    assert messages(at) == []
    assert control(at, "clip_threshold").disabled == (field == "clip" and name == "none")


def test_controls_change_the_run_and_the_link():
    at = page()
    token = at.session_state["token"]
    control(at, "cell").set_value("gru")
    control(at, "seq_length").set_value(50)
    control(at, "seed").set_value(7)
    at.run()
    assert shown(at) == engine.Experiment(cell="gru", seq_length=50, seed=7)
    assert dict(at.query_params) == {"cell": "gru", "seq_length": "50", "seed": "7"}
    assert at.session_state["token"] == token
    control(at, "seq_length").set_value(100).run()
    assert dict(at.query_params) == {"cell": "gru", "seed": "7"}


def test_a_link_shows_the_same_to_somebody_else():
    mine = page(cell="lstm", gain="0.937", lr="0.00123", seed="99", hidden_size="33")
    e = engine.Experiment(cell="lstm", gain=0.937, lr=0.00123, seed=99, hidden_size=33)
    assert shown(mine) == e
    assert control(mine, "gain").value == 0.937
    theirs = page(**dict(mine.query_params))
    assert shown(theirs) == e
    assert run_of(theirs).token != run_of(mine).token


def test_what_a_link_brought_stays_on_offer():
    at = page(gain="0.937")
    control(at, "gain").set_value(1.5).run()
    assert "0.94" in control(at, "gain").options


NONSENSE = [
    ("cell", "elman"), ("cell", ""), ("cell", "<script>alert(1)</script>"), ("gain", "nan"), ("gain", "inf"),
    ("gain", "-1"), ("gain", "1e99"), ("gain", "0x10"), ("gain", "1_0"), ("seq_length", "0"), ("seq_length", "1e2"),
    ("seq_length", "100000"), ("hidden_size", "32.5"), ("hidden_size", "９"), ("seed", "-1"), ("seed", "9" * 5000),
    ("lr", "."), ("clip_threshold", "0"), ("num_layers", "true"), ("dtype", "float16"), ("lr", "\x00"),
    ("clip", "None"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "text"), NONSENSE)
def test_nonsense_is_said_and_falls_back_alone(field, text):
    other = "cell" if field != "cell" else "clip"
    at = page(**{field: text, other: link.NAMES[other][1]})
    expected = engine.Experiment(**{other: link.NAMES[other][1]})
    assert shown(at) == expected
    assert dict(at.query_params) == link.write(expected)
    (message,) = messages(at)
    assert field in message
    assert link.allowed(field) in message
    assert text.isprintable() is False or text[:40] in message
    assert not [element for element in at.markdown if text in element.value and text]


def test_unknown_and_repeated_parameters():
    at = page(hidden="3", lr=["0.1", "0.2"])
    assert shown(at) == engine.Experiment()
    assert ["hidden" in messages(at)[0], "lr" in messages(at)[1]] == [True, True]
    assert dict(at.query_params) == {}


def test_a_flood_of_parameters_is_a_few_sentences():
    at = page(**{f"x{i}": "y" * 1000 for i in range(200)})
    assert len(messages(at)) == link.MOST_COMPLAINTS
    assert max(map(len, messages(at))) < 400


def test_the_message_can_be_dismissed():
    at = page(gain="99")
    assert messages(at)
    at.button[0].click().run()
    assert messages(at) == []
    control(at, "seed").set_value(3).run()
    assert messages(at) == []


def test_too_big_together_keeps_the_last_good_experiment():
    at = page(seq_length="500")
    good = shown(at)
    for field in ("hidden_size", "batch_size"):
        control(at, field).set_value(256)
    at.run()
    assert shown(at) == good
    assert dict(at.query_params) == {"seq_length": "500"}
    assert "500" in messages(at)[0]
    assert f"{link.MOST_WORK:,}" in messages(at)[0]
    control(at, "batch_size").set_value(8).run()
    assert messages(at) == []
    assert shown(at) == good.replace(hidden_size=256, batch_size=8)


@pytest.mark.parametrize(
    "query",
    [{"seq_length": "2000", "hidden_size": "256", "batch_size": "256"}, {"task": "temporal_order", "seq_length": "2"}],
)
def test_a_link_whose_values_do_not_fit_together(query):
    at = page(**query)
    assert len(messages(at)) == 1
    assert shown(at).seq_length == 100
    assert shown(at).task == query.get("task", "adding")


def test_the_limits_are_within_the_engine_s():
    for field, (low, high) in link.RANGES.items():
        for value in (low, high):
            assert getattr(engine.Experiment(**{field: value}), field) == value


def test_controls_offer_only_what_a_link_may_say():
    for row in CONTROLS:
        assert all(link.accepts(row.field, option) for option in row.options), row.field
        assert getattr(link.DEFAULT, row.field) in row.options or not row.options


def test_a_freed_run_comes_back():
    at = page(gain="0.5")
    first = run_of(at)
    del RUNS._runs[first.token]
    at.run()
    assert run_of(at) is not first
    assert shown(at).gain == 0.5


def test_options_of_streamlit_that_this_app_depends_on():
    """postScriptGC is hidden: if it goes, every rerun costs a full collection again."""
    template = streamlit.config._config_options_template
    assert "runner.postScriptGC" in template
    assert template["runner.postScriptGC"].default_val is True
    assert "server.fileWatcherType" in template
