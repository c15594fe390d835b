"""The page without a browser: every control, every state, every kind of link (Streamlit's AppTest)."""

import html
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import streamlit.config
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import engine
from app import link, settings
from app.controls import BY_FIELD, CONTROLS
from app.registry import RUNS
from app.runs import Run

EXPLORER = str(pytest.importorskip("app").__path__[0]) + "/explorer.py"


@pytest.fixture(autouse=True)
def runs_end() -> Iterator[None]:
    """No server sweeps here: a test that ends frees its runs."""
    yield
    for run in RUNS.clear():
        run.close()


def page(path: str = "explore", opened: Iterable[str] = (), timeout: float = 30, **query: Any) -> AppTest:
    """A page as a link opens it; `opened`: groups of controls whose rest is shown."""
    at = AppTest.from_file(EXPLORER, default_timeout=timeout)
    at._page_hash = calc_hash(path)
    at.session_state["opened"] = set(opened)
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


def drawn(at: AppTest) -> list[str]:
    """The settings whose controls are on the page."""
    return [element.key for element in at.sidebar if getattr(element, "key", None) in settings.FIELDS]


def press(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception
    return at


def whole(**query: Any) -> AppTest:
    """Explore with the rest of every group."""
    return page(opened={row.group for row in CONTROLS if row.more}, **query)


def changed(at: AppTest) -> str:
    """What the page says of the changes against the preset."""
    return next(element.proto.body for element in at.sidebar if "<p title=" in getattr(element.proto, "body", ""))


def test_defaults():
    at = page()
    assert shown(at) == engine.Experiment()
    assert messages(at) == []
    assert dict(at.query_params) == {}
    assert drawn(at) == [control.field for control in CONTROLS if not control.more]
    assert "Nothing is changed." in changed(at)


def test_the_rest_of_a_group_is_a_click_away():
    at = page()
    for group in sorted({row.group for row in CONTROLS if row.more}):
        press(at, f"more_{group}")
    assert drawn(at) == [
        control.field for control in CONTROLS if settings.applies(control.field, settings.DEFAULTS) or not control.hides
    ]
    for group in {row.group for row in CONTROLS if row.more}:
        press(at, f"more_{group}")
    assert drawn(at) == [control.field for control in CONTROLS if not control.more]
    assert shown(at) == engine.Experiment()


@pytest.mark.parametrize("cell", engine.CELLS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_cell_and_precision(cell, dtype):
    at = whole(cell=cell, dtype=dtype)
    assert shown(at) == engine.Experiment(cell=cell, dtype=dtype)
    assert control(at, "forget_bias").disabled == (cell != "lstm")
    assert ("reset_after" in drawn(at)) == (cell == "gru")
    assert control(at, "omega").disabled == (cell != "rnn")


@pytest.mark.parametrize(
    ("field", "name"), [(field, name) for field, names in settings.NAMES.items() for name in names]
)  # fmt: skip
def test_every_name_of_the_tables_makes_a_picture(field, name):
    others = {"batching": {"train_size": "10"}, "loss": {"task": "temporal_order"}}.get(field, {})
    at = whole(**{field: name, "seq_length": "20", "hidden_size": "4", "batch_size": "2"}, **others)
    assert getattr(shown(at), field) == name
    assert messages(at) == []
    assert control(at, "clip_threshold").disabled == (field == "clip" and name == "none")
    assert control(at, field).value == name
    row = BY_FIELD[field].table
    assert row is None or row[name].label in control(at, field).help.replace("\\", "")


def test_every_control_has_help():
    for at in (whole(cell="gru", num_layers="2", dropout="0.5", optimizer="momentum"), whole()):
        for field in drawn(at):
            said = control(at, field).help
            assert len(said) > 10, field
            assert ("while it trains" in said) == (field in engine.LIVE), field


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


def test_every_control_of_the_rest_changes_the_experiment():
    at = whole(num_layers="2", dropout="0.5", task="copy_memory", optimizer="momentum", cell="gru")
    wanted = {
        "reset_after": False, "embedding_dim": 5, "input_init": "orthogonal", "batching": "full", "train_size": 20,
        "loss": "mse", "momentum": 0.5, "tbptt": 10, "weight_decay": 0.001, "variational_dropout": True,
        "stop_steps": 100, "stop_loss": 0.01, "patience": 50,
    }  # fmt: skip
    for field, value in wanted.items():
        control(at, field).set_value(value)
    at.run()
    e = shown(at)
    assert {field: getattr(e, field) for field in wanted} == wanted
    assert settings.effective(e.model_dump()) == e.model_dump()


def test_a_control_that_does_not_apply_keeps_its_value_and_does_not_count():
    at = whole(optimizer="momentum", momentum="0.5", cell="lstm", forget_bias="3")
    control(at, "optimizer").set_value("adam")
    control(at, "cell").set_value("gru")
    at.run()
    assert "momentum" not in drawn(at)
    assert shown(at) == engine.Experiment(cell="gru")
    assert dict(at.query_params) == {"cell": "gru"}
    at.run()
    control(at, "optimizer").set_value("momentum")
    control(at, "cell").set_value("lstm")
    at.run()
    assert shown(at) == engine.Experiment(optimizer="momentum", momentum=0.5, cell="lstm", forget_bias=3.0)
    assert control(at, "momentum").value == 0.5


def test_what_a_closed_group_holds_still_counts():
    at = page(weight_decay="0.01")
    assert "weight_decay" in drawn(at), "it differs from the preset: its group is open"
    assert "1 changed" in at.button(key="more_Regularisation").label
    press(at, "more_Regularisation")
    assert "weight_decay" not in drawn(at)
    control(at, "seed").set_value(3).run()
    assert shown(at) == engine.Experiment(weight_decay=0.01, seed=3)
    assert "weight_decay" not in drawn(at), "who closed it keeps it closed"
    assert "1 changed" in at.button(key="more_Regularisation").label


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
    assert "0.937" in control(at, "gain").options


@pytest.mark.parametrize("name", ["", *engine.PRESETS])
def test_one_click_loads_a_preset(name):
    at = page(preset="healthy" if name == "" else "", seed="5", weight_decay="0.001")
    token = at.session_state["token"]
    at.session_state["presets"] = True
    at.run()
    press(at, f"preset_{name}")
    assert at.session_state["experiment"] == (engine.PRESETS[name].experiment if name else engine.Experiment())
    assert dict(at.query_params) == ({"preset": name} if name else {})
    assert at.session_state["token"] == token
    assert at.session_state["presets"] is False
    assert "Nothing is changed." in changed(at)
    meaning = engine.PRESETS[name].meaning if name else "Press Play"
    assert [element for element in at.sidebar if meaning in html.unescape(getattr(element.proto, "body", ""))]


def test_a_preset_is_not_mixed_with_one_that_was_interrupted():
    """Of a preset whose run of the script was interrupted nothing has reached the browser, nor may it come later."""
    at = page()
    at.session_state["presets"] = True
    at.run()
    at.session_state["undelivered"] = dict(engine.PRESETS["a003_lstm"].experiment)
    press(at, "preset_a002_language_model")
    assert at.session_state["experiment"] == engine.PRESETS["a002_language_model"].experiment


def test_all_presets_are_in_the_menu_by_group():
    at = page()
    assert not [button for button in at.button if str(button.key).startswith("preset_")]
    at.session_state["presets"] = True
    at.run()
    rows = [button for button in at.button if str(button.key).startswith("preset_")]
    assert rows[0].key == "preset_"
    assert {row.key for row in rows} == {f"preset_{name}" for name in ("", *engine.PRESETS)}
    feet = [html.unescape(element.proto.body) for element in at.sidebar if "foot" in getattr(element.proto, "body", "")]
    assert len(feet) == len(rows)
    assert all(row.meaning in foot for row, foot in zip(engine.PRESETS.values(), feet[1:], strict=True))


def test_what_was_changed_is_said_and_put_back():
    at = page(preset="healthy")
    control(at, "lr").set_value(0.03).run()
    assert "Learning rate 0.01 → 0.03</p>" in changed(at)
    control(at, "gain").set_value(1.5).run()
    assert "2 changed: Gain, Learning rate" in changed(at)
    assert "Gain 1.00 → 1.50" in at.button(key="put_back").help
    assert dict(at.query_params) == {"preset": "healthy", "lr": "0.03", "gain": "1.5"}
    press(at, "put_back")
    assert shown(at) == engine.PRESETS["healthy"].experiment
    assert dict(at.query_params) == {"preset": "healthy"}
    assert at.button(key="put_back").disabled


def test_undo_and_redo_take_every_choice_back():
    at = page()
    assert at.button(key="undo").disabled
    assert at.button(key="redo").disabled
    stations = [dict(at.query_params)]

    def arrived() -> None:
        assert not at.exception
        stations.append(dict(at.query_params))

    control(at, "cell").set_value("gru").run()
    arrived()
    control(at, "gain").set_value(1.5).run()
    arrived()
    at.session_state["presets"] = True
    at.run()
    press(at, "preset_healthy")
    arrived()
    control(at, "lr").set_value(0.1).run()
    arrived()
    press(at, "put_back")
    arrived()
    for query in stations[-2::-1]:
        press(at, "undo")
        assert dict(at.query_params) == query
    assert at.button(key="undo").disabled
    assert shown(at) == engine.Experiment()
    for query in stations[1:]:
        press(at, "redo")
        assert dict(at.query_params) == query
    assert at.button(key="redo").disabled


def test_undo_reaches_fifty_choices_back():
    at = page()
    for seed in range(1, 61):
        control(at, "seed").set_value(seed).run()
        at.session_state["history"]._moved = None  # as if time had passed
    for _ in range(50):
        press(at, "undo")
    assert at.session_state["experiment"].seed == 10


def test_undo_brings_back_what_a_closed_group_holds():
    at = whole()
    control(at, "weight_decay").set_value(0.01).run()
    press(at, "more_Regularisation")
    press(at, "undo")
    assert shown(at) == engine.Experiment()
    press(at, "redo")
    assert shown(at) == engine.Experiment(weight_decay=0.01)
    assert control(at, "weight_decay").value == 0.01


def test_the_stage_s_wishes_are_choices_too():
    at = page()
    at.session_state["seed"] = 5  # as session.change does
    at.run()
    assert shown(at).seed == 5
    press(at, "undo")
    assert shown(at).seed == 0


NONSENSE = [
    ("cell", "elman"), ("cell", ""), ("cell", "<script>alert(1)</script>"), ("gain", "nan"), ("gain", "inf"),
    ("gain", "-1"), ("gain", "1e99"), ("gain", "0x10"), ("gain", "1_0"), ("seq_length", "0"), ("seq_length", "1e2"),
    ("seq_length", "100000"), ("hidden_size", "32.5"), ("hidden_size", "９"), ("seed", "-1"), ("seed", "9" * 5000),
    ("lr", "."), ("clip_threshold", "0"), ("num_layers", "true"), ("dtype", "float16"), ("lr", "\x00"),
    ("clip", "None"), ("reset_after", "True"), ("reset_after", "1"), ("tbptt", "full"), ("tbptt", "0"), ("tbptt", ""),
    ("embedding_dim", "None"), ("stop_loss", "-1"), ("dropout", "1"), ("momentum", "1"), ("schedule_factor", "0"),
    ("train_size", "1e9"), ("seed", "none"), ("loss", "None"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "text"), NONSENSE)
def test_nonsense_is_said_and_falls_back_alone(field, text):
    other = "cell" if field != "cell" else "clip"
    at = page(**{field: text, other: settings.NAMES[other][1]})
    expected = engine.Experiment(**{other: settings.NAMES[other][1]})
    assert shown(at) == expected
    assert dict(at.query_params) == link.write(expected)
    (message,) = messages(at)
    assert field in message
    assert settings.allowed(field) in message
    assert text.isprintable() is False or text[:40] in message
    assert not [element for element in at.markdown if text in element.value and text]


def test_unknown_and_repeated_parameters():
    at = page(hidden="3", lr=["0.1", "0.2"])
    assert shown(at) == engine.Experiment()
    assert ["hidden" in messages(at)[0], "lr" in messages(at)[1]] == [True, True]
    assert dict(at.query_params) == {}


def test_a_flood_of_parameters_fills_no_page():
    at = page(**{f"x{i}": "y" * 1000 for i in range(200)})
    assert len(messages(at)) == link.MOST_COMPLAINTS + 1
    assert messages(at)[-1] == f"And {200 - link.MOST_COMPLAINTS} more of the kind."
    assert max(map(len, messages(at))) < 400


def test_the_message_can_be_dismissed():
    at = page(gain="99")
    assert messages(at)
    press(at, "dismiss")
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


def test_a_refused_combination_can_be_put_back():
    at = page(seq_length="500", preset="healthy")
    good = shown(at)
    for field in ("hidden_size", "batch_size"):
        control(at, field).set_value(256)
    at.run()
    assert messages(at)
    press(at, "put_back_refused")
    assert messages(at) == []
    assert control(at, "hidden_size").value == good.hidden_size
    assert shown(at) == good
    press(at, "undo")
    assert messages(at), "a refused choice is a choice as well"
    press(at, "undo")
    assert messages(at) == []
    assert dict(at.query_params) == {"preset": "healthy", "seq_length": "500"}


def test_a_full_batch_without_a_set_is_refused_until_there_is_one():
    at = whole()
    control(at, "batching").set_value("full").run()
    assert "Training set" in messages(at)[0]
    control(at, "train_size").set_value(50).run()
    assert messages(at) == []
    assert shown(at).sequences == 50


@pytest.mark.parametrize(
    "query",
    [
        {"seq_length": "2000", "hidden_size": "256", "batch_size": "256"},
        {"task": "temporal_order", "seq_length": "2"},
        {"batching": "full"},
    ],
)
def test_a_link_whose_values_do_not_fit_together(query):
    at = page(**query)
    assert len(messages(at)) == 1
    assert shown(at).seq_length == 100
    assert shown(at).task == query.get("task", "adding")


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


def test_further_words_of_the_address_stay_with_their_page_and_the_language_with_all():
    at = page(lang="zh", lecture="1", show="flow", lesson="vanish", gain="1.5")  # a lesson is another page's
    assert at.session_state["language"] == "zh"
    assert dict(at.query_params) == {"lang": "zh", "lecture": "1", "show": "flow", "gain": "1.5"}
    at.session_state["gain"] = 2.0
    at.run()
    assert dict(at.query_params) == {"lang": "zh", "lecture": "1", "show": "flow", "gain": "2.0"}
    at.query_params["show"] = "loss"  # going back
    at.run()
    assert at.session_state["extra"]["show"] == "loss"


@pytest.mark.parametrize("said", ["<b>", "fr", "en" * 1000])
def test_a_language_that_is_none_of_ours_is_the_browsers(said):
    at = page(lang=said)
    assert at.session_state["language"] == "en"
