"""Settings and links without a page: what may be said, what it means, and that the tables alone decide both."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from app import link, settings
from app.controls import BY_FIELD, CONTROLS
from app.settings import DEFAULTS, FIELDS, NAMES, OPTIONAL, RANGES

ROOT = Path(__file__).parent.parent


def values_of(field: str) -> st.SearchStrategy:
    """Everything that the field may be."""
    if field in NAMES:
        some: st.SearchStrategy = st.sampled_from(NAMES[field])
    elif field in RANGES:
        low, high, whole = RANGES[field].low, RANGES[field].high, RANGES[field].whole
        some = st.integers(int(low), int(high)) if whole else st.floats(low, high)
    else:
        some = st.booleans()
    some = st.none() | some if field in OPTIONAL else some
    return some.filter(lambda value: settings.accepts(field, value))


def read(query: dict[str, str]) -> link.Link:
    return link.read({name: [text] for name, text in query.items()})


@pytest.mark.parametrize("field", FIELDS)
@given(data=st.data())
def test_the_text_of_a_value_gives_it_back(field, data):
    value = data.draw(values_of(field))
    assert settings.read(field, settings.write(value)) == value


@pytest.mark.parametrize("field", FIELDS)
def test_whatever_is_accepted_the_engine_takes(field):
    ends = [RANGES[field].low, RANGES[field].high] if field in RANGES else NAMES.get(field, (True, False))
    accepted = [value for value in ends if settings.accepts(field, value)] + [None] * (field in OPTIONAL)
    assert accepted
    for value in accepted:
        others = {"train_size": 10} if field == "batching" else {"task": "copy_memory"}
        assert getattr(engine.Experiment(**{**others, field: value}), field) == value


@pytest.mark.parametrize("field", RANGES)
def test_ends_of_a_range(field):
    span = RANGES[field]
    step = 1 if span.whole else 1e-9 * max(1.0, abs(span.high))
    assert span.low - step not in span
    assert span.high + step not in span
    assert (span.low in span) is not span.open_low
    assert (span.high in span) is not span.open_high
    assert float("nan") not in span
    assert True not in span


@pytest.mark.parametrize("preset", ["", *engine.PRESETS])
@given(data=st.data())
def test_a_link_gives_the_same_experiment_back(preset, data):
    fields = data.draw(st.lists(st.sampled_from(FIELDS), max_size=5, unique=True))
    values = link.base(preset) | {field: data.draw(values_of(field)) for field in fields}
    try:
        e = link.experiment(values)
    except ValueError:
        return
    query = link.write(e, preset)
    found = read(query)
    assert found.complaints == ()
    assert found.preset == preset
    assert link.experiment(found.values) == e
    assert link.write(link.experiment(found.values), preset) == query


@pytest.mark.parametrize("preset", engine.PRESETS)
def test_a_preset_has_only_what_counts_and_this_server_allows(preset):
    e = engine.PRESETS[preset].experiment
    assert link.experiment(e.model_dump()) == e, "a field that does not apply must have its default"
    assert link.write(e, preset) == {"preset": preset}
    assert all(settings.accepts(field, getattr(e, field)) for field in FIELDS)


def test_old_links_mean_the_default_plus_these():
    found = read({"cell": "lstm", "gain": "2", "hidden_size": "64"})
    assert link.experiment(found.values) == engine.Experiment(cell="lstm", gain=2.0, hidden_size=64)
    assert (found.preset, found.complaints) == ("", ())


def test_a_preset_and_what_differs_from_it():
    found = read({"preset": "healthy", "lr": "0.03", "gain": "nonsense"})
    assert found.preset == "healthy"
    assert link.experiment(found.values) == engine.PRESETS["healthy"].experiment.replace(lr=0.03)
    (said,) = found.complaints
    assert "Shown instead: 1.0." in said


@pytest.mark.parametrize("text", ["nosuch", "<b>", "healthy ", "x" * 3000])
def test_an_unknown_preset_is_said(text):
    found = read({"preset": text, "lr": "0.03"})
    assert link.experiment(found.values) == engine.Experiment(lr=0.03)
    assert "does not exist" in found.complaints[0]
    assert len(found.complaints[0]) < 200


def test_a_name_close_to_a_setting_is_offered():
    assert "The nearest is hidden_size." in read({"hidden_sizes": "3"}).complaints[0]
    assert "nearest" not in read({"qqqq": "3"}).complaints[0]


@pytest.mark.parametrize("wrong", [1, 7, link.MOST_COMPLAINTS, link.MOST_COMPLAINTS + 1, 400])
def test_every_mistake_is_said_or_counted(wrong):
    said = read({f"x{i}": "1" for i in range(wrong)}).complaints
    for i in range(min(wrong, link.MOST_COMPLAINTS)):
        assert f"“x{i}”" in said[i]
    if wrong > link.MOST_COMPLAINTS:
        assert said[link.MOST_COMPLAINTS :] == (f"And {wrong - link.MOST_COMPLAINTS} more of the kind.",)


DORMANT = [
    ("forget_bias", 3.0, {}), ("reset_after", False, {}), ("embedding_dim", 5, {"task": "adding"}),
    ("momentum", 0.5, {"optimizer": "adam"}), ("clip_threshold", 7.0, {"clip": "none"}),
    ("omega", 1.0, {"cell": "gru"}),
    ("dropout", 0.5, {"num_layers": 1}), ("variational_dropout", True, {"num_layers": 2, "dropout": 0.0}),
    ("batch_size", 7, {"batching": "single"}), ("loss", "mse", {"task": "adding"}), ("schedule_steps", 20, {}),
    ("schedule_factor", 0.5, {"schedule": "warm_up"}), ("seq_length", 50, {"task": "digits_rows"}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "others"), DORMANT)
def test_what_does_not_apply_does_not_count(field, value, others):
    if any(other in NAMES and name not in NAMES[other] for other, name in others.items()):
        pytest.skip(f"no {others} in this engine")
    values = DEFAULTS | others | {field: value}
    e = link.experiment(values)
    assert getattr(e, field) == DEFAULTS[field]
    assert field not in link.write(e)
    assert field not in settings.differing(values, DEFAULTS)


def test_every_need_has_a_case_above_or_none_at_all():
    assert set(settings.NEEDS) == {field for field, *_ in DORMANT}


@pytest.mark.parametrize(
    ("field", "others"),
    [("forget_bias", {"cell": "lstm"}), ("reset_after", {"cell": "gru"}), ("embedding_dim", {"task": "copy_memory"}),
     ("momentum", {"optimizer": "momentum"}), ("dropout", {"num_layers": 2}), ("loss", {"task": "temporal_order"}),
     ("variational_dropout", {"num_layers": 3, "dropout": 0.1}), ("omega", {"cell": "rnn"}),
     ("schedule_steps", {"schedule": "warm_up"}), ("schedule_steps", {"schedule": "cosine"}),
     ("schedule_factor", {"schedule": "linear"}), ("schedule_factor", {"schedule": "step"})],
)  # fmt: skip
def test_what_applies_counts(field, others):
    assert settings.applies(field, DEFAULTS | others)


BIG = [
    {"seq_length": 2000, "hidden_size": 256, "batch_size": 256},
    {"seq_length": 2000, "hidden_size": 256, "num_layers": 4, "batch_size": 1},
    {"batching": "full", "train_size": 10_000, "hidden_size": 64},
    {"train_size": 100_000, "seq_length": 2000, "hidden_size": 1, "batch_size": 1},
    {"embedding_dim": 256, "seq_length": 500, "hidden_size": 1, "task": "copy_memory"},
    {"train_size": 5_000, "seq_length": 2000, "hidden_size": 1, "batch_size": 1, "task": "copy_memory"},
]


@pytest.mark.parametrize("values", BIG)
def test_what_is_too_much_is_refused_with_its_numbers(values):
    with pytest.raises(ValueError, match=r"more than the [\d,]+ that this server allows") as refused:
        link.experiment(DEFAULTS | values)
    assert "Choose a smaller" in str(refused.value)


def test_a_full_batch_of_a_small_set_is_welcome():
    e = link.experiment(DEFAULTS | {"batching": "full", "train_size": 200})
    assert e.sequences == 200


def test_one_control_for_every_field():
    assert sorted(BY_FIELD) == sorted(FIELDS)
    assert len(CONTROLS) == len(FIELDS)


def test_controls_offer_only_what_a_link_may_say():
    for row in CONTROLS:
        assert all(settings.accepts(row.field, option) for option in row.options), row.field
        assert getattr(settings.DEFAULT, row.field) in row.options or not row.options or row.field in OPTIONAL, (
            row.field
        )
        labels = [row.label(option) for option in row.options]
        assert len(set(labels)) == len(labels), f"{row.field}: a browser tells options by their words"


TABLES = [
    ("activations", "ACTIVATIONS", "nonlinearity", "tanh"), ("initializers", "INITS", "init", "normal"),
    ("initializers", "INITS", "input_init", "pytorch"), ("optimizers", "OPTIMIZERS", "optimizer", "adam"),
    ("schedules", "SCHEDULES", "schedule", "constant"), ("clipping", "CLIPS", "clip", "norm"),
    ("batching", "BATCHINGS", "batching", "mini"), ("tasks", "TASKS", "task", "adding"),
    ("losses", "LOSSES", "loss", "mse"),
]  # fmt: skip
ADD_ROWS = """
import dataclasses, importlib, json, sys, traceback, types
tables = json.loads(sys.argv[1])
whole = types.ModuleType("engine")            # so that a table can be loaded, and take a row, before anything reads it
whole.__path__ = ["engine"]
sys.modules["engine"] = whole
for module, name, field, like in tables:
    table = getattr(importlib.import_module(f"engine.{module}"), name)
    of = field.replace("_", " ")
    said = {"label": f"Brand new {of}", "meaning": f"It means this {of}.", "source": "Me 2026"}
    table[f"new_{field}"] = dataclasses.replace(table[like], **said)
del sys.modules["engine"]

from streamlit.testing.v1 import AppTest
from app import link, settings
from app.registry import RUNS

def judge(field):
    name, of = f"new_{field}", field.replace("_", " ")
    assert name in settings.NAMES[field]
    assert name in settings.allowed(field)
    page = AppTest.from_file("app/explorer.py", default_timeout=60)
    page.query_params.update({"task": {"loss": "temporal_order"}.get(field, "adding")} | {field: name})
    page.session_state.opened = {"Network", "Start", "Task", "Training"}
    page.run()
    assert not page.exception and not page.text, (page.exception, [text.value for text in page.text])
    assert getattr(page.session_state.experiment, field) == name
    control = next(element for element in page.sidebar if getattr(element, "key", None) == field)
    assert control.value == name and f"Brand new {of}" in control.options, control
    assert f"It means this {of}. (Me 2026)" in control.help, control.help

said = {}
for *_, field, like in tables:
    try:
        judge(field)
    except Exception:
        said[field] = traceback.format_exc()
RUNS.close()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said_of_new_rows():
    """What was wrong, by field, in a process whose tables have one row more for each field that reads them."""
    command = [sys.executable, "-c", ADD_ROWS, json.dumps(TABLES)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


@pytest.mark.parametrize("field", [field for _, _, field, _ in TABLES])
def test_a_new_row_is_in_the_link_the_menu_and_the_help(field, said_of_new_rows):
    assert field not in said_of_new_rows, said_of_new_rows[field]
