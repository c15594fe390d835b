"""Own data in the app: a panel makes them a task, they belong to one session alone, and what a file says is text."""

import gc
import html
import io
import json
import re
import threading
import weakref

import numpy as np
import pytest

import engine
from app import code, export, link, networks, own, settings
from app.compiler import Compiler
from app.figures import FIGURES, palette
from app.handout import taken_up
from app.own_examples import EXAMPLES
from app.registry import RUNS
from app.views.own import Brought
from engine.data import batch
from engine.foreign import read_arrays
from engine.foreign.files import packed
from engine.own.reading import content
from engine.streams import Purpose, stream
from tests.test_app import control, drawn, messages, page, press, run_of, runs_end, shown  # noqa: F401  (a fixture)
from tests.test_code import run
from tests.test_runs import until

BAD = "<b>x</b> & `y`"
WAVE = np.sin(np.arange(200) / 7) * 5 + 20


def bring(at, name="waves.csv", data=None, **choices):
    """The file as if it had been dropped: AppTest has no uploader that can be given one."""
    data = data if data is not None else ("level\n" + "\n".join(f"{x:.4f}" for x in WAVE)).encode()
    press(at, "own_data")
    at.session_state["own_file"] = Brought(name, data)
    press_inside(at)
    for key, value in choices.items():
        at.session_state[f"own_choice_{key}"] = value
    if choices:
        press_inside(at)
    return at


def press_inside(at):
    """The panel once more: a dialog is drawn when its button is pressed."""
    at.button(key="own_data").click().run()
    assert not at.exception
    return at


def said(at) -> str:
    return " ".join(re.sub("<[^>]+>", " ", block.proto.body) for block in at.get("html"))


def use(at):
    at.button(key="own_use").click().run()
    assert not at.exception
    return at


def test_a_series_becomes_the_task_and_is_pictured_in_its_own_units():
    at = use(bring(page(hidden_size="8", seq_length="20")))
    e = shown(at)
    assert own.is_own(e.task)
    assert engine.TASKS[e.task].label == "waves.csv"
    assert "waves.csv (yours)" in control(at, "task").options
    _head, snapshot = run_of(at).picture()
    figure = FIGURES["task"](snapshot, palette("light"))
    low, high = sorted(figure["layout"]["yaxis"]["range"])
    assert low < 15
    assert 25 < high < 30
    assert "<b>level</b>: off by" in figure["layout"]["meta"]["answer"]
    loss = FIGURES["loss"](snapshot, palette("light"))
    assert "last value again" in loss["layout"]["meta"]["about"]
    assert "guessing the mean" in loss["layout"]["meta"]["about"]


def test_a_text_becomes_the_task_and_is_continued():
    at = use(bring(page(hidden_size="8", seq_length="20"), "words.txt", b"<b>&amp;</b> to and fro\n" * 60))
    run = run_of(at)
    run.watch(lambda: None)
    _head, snapshot = run.picture()
    figure = FIGURES["task"](snapshot, palette("light"))
    assert "It continues" in figure["layout"]["meta"]["answer"]
    texts = [t for trace in figure["data"] for t in np.atleast_1d(trace.get("text", []))]
    texts += [label["text"] for label in figure["layout"]["meta"]["labels"]]
    assert all(re.fullmatch(r"[^<>]*|<b>[^<>]*</b>", str(t)) for t in texts)
    engine.TASKS[shown(at).task]


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_the_examples_can_be_tried(name):
    at = page()
    press(at, "own_data")
    at.button(key=f"own_example_{name}").click().run()
    assert not at.exception
    press_inside(at)
    assert "Loss to compare with" in said(at)
    use(at)
    assert engine.TASKS[shown(at).task].label == name


def test_the_length_has_to_fit_the_data():
    at = use(bring(page(seq_length="200")))
    assert shown(at).seq_length == engine.TASKS[shown(at).task].max_length == 39
    offered = [int(n.replace(",", "")) for n in control(at, "seq_length").options]
    assert max(offered) == 39
    task = str(shown(at).task)
    press(at, "undo")
    assert shown(at).seq_length == 200
    control(at, "task").set_value(task).run()
    assert not at.exception
    assert any("room for 39 timesteps" in line for line in messages(at))
    assert shown(at).task == "adding"
    control(at, "seq_length").set_value(20).run()
    assert (shown(at).task, shown(at).seq_length) == (task, 20)


def test_nobody_else_reaches_them():
    owner = use(bring(page()))
    task = str(shown(owner).task)
    assert engine.TASKS[task].label == "waves.csv", "the engine has them"
    other = page(task=task, lr="0.01")
    assert shown(other).task == "adding"
    assert shown(other).lr == 0.01
    assert any("not here" in line and "same file" in line for line in messages(other))
    assert not any("waves" in option for option in control(other, "task").options)
    bring(other)
    use(other)
    assert str(shown(other).task) == task, "the same file is the same task"


def test_a_file_of_a_run_reaches_them_no_more_than_a_link():
    owner = use(bring(page(hidden_size="4", seq_length="10")))
    run = run_of(owner)
    file = io.BytesIO()
    run.checkpoint().save(file)
    file.seek(0)
    taken = taken_up(file, len(file.getvalue()))
    assert str(taken.experiment.task) == str(shown(owner).task)
    with pytest.raises(ValueError, match="not here"):
        link.experiment(taken.experiment.model_dump())


def test_undo_and_forget():
    at = use(bring(page()))
    task = str(shown(at).task)
    press(at, "undo")
    assert shown(at).task == "adding"
    press(at, "redo")
    assert shown(at).task == task
    press(at, "own_data")
    at.button(key=f"own_forget_{task}").click().run()
    assert not at.exception
    assert shown(at).task == "adding"
    press(at, "undo")
    assert any("not here" in line for line in messages(at))
    assert not at.exception


def test_few_are_kept_and_each_file_once():
    at = page()
    for n in range(4):
        bring(at, f"f{n}.csv")
        use(at)
    assert [task.task.label for task in at.session_state["own_tasks"].values()] == ["f1.csv", "f2.csv", "f3.csv"]
    bring(at, "f3.csv", horizon=3)
    use(at)
    assert [task.data.horizon for task in at.session_state["own_tasks"].values()] == [1, 1, 3]
    assert "own_file" not in at.session_state


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"a,b\n1,2\n,3\n4,5\n6,9\n2,2\n3,3\n1,1\n9,2\n1,4\n2,5\n", "1 of 10 values are missing"),
        (b"a,b\n1,2\n7,3\n4,5\nmuch,9\n2,2\n3,3\n", "Column “a” is not of numbers alone: line 5 has “much”. Choose"),
        (b"a\nx\ny\n", "has no column of numbers"),
        (f"a\n{BAD}\n".encode(), "has no column of numbers"),
        (b"a,b\n1,2\n3,4,5\n", "Line 3 of “bad.csv” has 3 fields"),
    ],
)
def test_what_is_wrong_is_said_in_the_panel(data, sentence):
    at = bring(page(), "bad.csv", data)
    assert sentence in html.unescape(said(at))
    assert "own_use" not in [button.key for button in at.button]


def test_the_names_of_columns_are_offered_as_they_stand():
    at = bring(page(), "prices.csv", b"adj_close,**b**\n" + b"\n".join(b"%d,%d" % (n % 7, n % 5) for n in range(60)))
    for choice in at.multiselect:  # which draws no Markdown: a backslash would be seen
        assert choice.options == ["adj_close", "**b**"]


def test_missing_values_can_be_filled_in():
    rows = "\n".join("" + (f"{n % 5}," if n == 7 else f"{n % 5},{n * n % 7}") for n in range(60))
    at = bring(page(), "gaps.csv", f"a,b\n{rows}".encode())
    assert "Choose “leave rows out” or “fill in” to go on." in said(at)
    assert "missing=" not in said(at)
    assert "own_use" not in [button.key for button in at.button]
    at = bring(page(), "gaps.csv", f"a,b\n{rows}".encode(), missing="interpolate")
    use(at)
    assert np.isfinite(batch(shown(at), 0)[0]).all()


def test_what_several_columns_are_held_to_is_said_to_be_a_mean():
    rows = "\n".join(f"{n % 5},{n * n % 7}" for n in range(60))
    assert "mean over 2 columns" in said(bring(page(), "two.csv", f"a,b\n{rows}".encode()))
    assert "mean over" not in said(bring(page(), "two.csv", f"a,b\n{rows}".encode(), target=["a"]))


def test_what_a_file_says_is_text_everywhere():
    rows = "\n".join(f"{n % 5},{n * n % 7}" for n in range(100))
    at = bring(page(hidden_size="4", seq_length="10"), content(b"x", label=BAD + ".csv").label,
               f'"<b>x</b> & ""y""",<a href=z>w</a>\n{rows}'.encode())  # fmt: skip
    panel = "".join(block.proto.body for block in at.get("html"))
    assert "<b>x" not in panel
    assert "<a href=z" not in panel
    use(at)
    _head, snapshot = run_of(at).picture()
    for name, figure in FIGURES.items():
        if name in ("task", "loss"):
            text = json.dumps(figure(snapshot, palette("light"))["layout"]["meta"])
            assert "<b>x" not in text
            assert "href=z" not in text.replace("&lt;a href=z", "")
    e = shown(at)
    source = export.source_of(e, 0)
    assert "<b>" not in source["said"]
    assert re.fullmatch(r"[\w.-]+", source["file"], re.ASCII)
    for language in code.CODES:
        compile(code.script(language, e, 5), "script.py", "exec")


@pytest.mark.parametrize("kind", ["series", "text"])
@pytest.mark.parametrize("train_size", [None, 12])
def test_scripts_draw_the_same_data_from_the_file_beside_them(kind, train_size, tmp_path, monkeypatch):
    if kind == "series":
        task = engine.series(np.stack([WAVE, WAVE**2], axis=1), target="1", horizon=2, label="wäves.csv")
    else:
        task = engine.text(b"to and fro, " * 40, label="fro.txt")
    e = engine.Experiment(task=task, seq_length=9, batch_size=4, hidden_size=3, train_size=train_size)
    name, data = code.beside(e)
    (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    for library in ("torch", "keras"):
        text = code.script(library, e, 5)
        assert name in text
        compile(text, "script.py", "exec")
    space = {"np": np}
    exec(code.own_data.drawing(e, task.data), space)
    if train_size is None:
        found = space["draw"](stream(0, Purpose.DATA, 3), seq_length=9, batch_size=4)
        for mine, its in zip(found, batch(e, 3), strict=True):
            np.testing.assert_array_equal(mine, its)
    engine_script = code.script("engine", e, 5)
    assert f"data = {task.data.recipe}\n" in engine_script
    assert "task=data" in engine_script


@pytest.mark.parametrize("library", code.CODES)
@pytest.mark.parametrize("kind", ["series", "text", "set", "network"])
def test_scripts_find_the_same_losses(kind, library, tmp_path, monkeypatch):
    """Run whole, beside the files that they ask for: own data, a set of them, and own data with an own network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    data = "to and fro, " * 40 if kind == "text" else "a,b\n" + "\n".join(f"{x:.17g},{x * x:.17g}" for x in WAVE)
    (tmp_path / "mine.csv").write_text(data)
    made = engine.text("mine.csv") if kind == "text" else engine.series("mine.csv", target="a", horizon=2)
    given, more = None, {"cell": "gru", "train_size": 12 if kind == "set" else None}
    if kind == "network":
        rng = np.random.default_rng(0)
        shapes = {"l.weight_ih_l0": (12, 2), "l.weight_hh_l0": (12, 3), "fc.weight": (1, 3), "fc.bias": (1,)}
        raw = packed({name: rng.normal(0, 0.4, shape) for name, shape in shapes.items()}, ".npz")
        (tmp_path / "mine.npz").write_bytes(raw)
        given, more = networks.network(read_arrays(io.BytesIO(raw)), "mine.npz", settings.DEFAULTS), {"cell": "lstm"}
        (tmp_path / code.START).write_bytes(packed(given.state_dict, ".npz"))
    e = engine.Experiment(task=made, seq_length=9, batch_size=4, hidden_size=3, lr=0.02, **more)
    name, content = code.beside(e)
    (tmp_path / name).write_bytes(content)
    losses = run(code.script(library, e, 15, given), tmp_path)
    expected = engine.Trainer(e, state_dict=None if given is None else given.state_dict)
    expected.advance(15)
    rtol = {"engine": 0, "torch": 1e-8, "keras": 2e-5}[library]
    np.testing.assert_allclose(losses, expected.history.loss, rtol=rtol)


def test_noise_needs_no_file():
    e = engine.Experiment(task=engine.noise(3, 2), hidden_size=3)
    for language in code.CODES:
        compile(code.script(language, e, 5), "script.py", "exec")
    assert code.beside(e) is None


def test_the_compiler_keeps_nothing_of_what_it_compiled_last():
    compiler, told = Compiler(), threading.Event()

    class Visitor:
        def told(self, error):
            told.set()

    visitor = Visitor()
    held = weakref.ref(visitor)
    compiler.want(engine.Experiment(), visitor.told)
    assert told.wait(60)
    del visitor
    until(lambda: held() is None)
    compiler.close()


def test_closed_sessions_leave_nothing():
    at = use(bring(page()))
    held = weakref.ref(shown(at).task)
    assert held() is not None
    del at
    RUNS.clear()
    gc.collect()
    until(lambda: gc.collect() is not None and held() is None, 5)
