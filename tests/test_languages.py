"""Every word in the reader's language: nothing untranslated, nothing that no catalogue has, nothing fixed at import."""

import ast
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import engine
from app import figures, link, messages, small, words
from app.comparison import PICTURES, Comparison
from app.controls import GROUPS
from app.figures import motion_beside, versus_bands, versus_seeds, versus_words
from app.figures.asked import Asked
from app.figures.run import cost, radii
from app.figures.small import SMALL
from app.figures.spoken import spoken
from app.figures.why import WHY
from app.figures.words import player_words, verdict
from app.kept import Weights
from app.lessons import LESSONS
from app.looks import INSTRUMENTS
from app.probing import probe, sequences
from app.registry import RUNS
from app.rooms import ROOMS
from app.settings import FIELDS, NAMES
from app.training import Training
from app.views import room_words
from app.views.presets import MENU
from app.views.why import OF_THE_RUN
from app.words import LANGUAGES, LOCALE, speak
from engine.instruments.pieces import finish
from tests import test_compare_page as compare_cases

ROOT = Path(__file__).parent.parent
EXPLORER = str(ROOT / "app" / "explorer.py")
TRANSLATED = [name for name in LANGUAGES if name != "en"]
TAG = re.compile(r"</?[a-z][^>]*>|%\{+[^}]*\}+|&\w+;")
PLACE = re.compile(r"\{[A-Za-z_]*\}")
LATIN = re.compile(r"[A-Za-z]{2,}")
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
TENSOR = r"\b(?:hidden|cell|weight|bias|embedding)[._]\w+"  # as state_dict names them


# The catalogues.


@pytest.fixture(scope="module", params=TRANSLATED)
def catalogue(request: pytest.FixtureRequest) -> Any:
    with (LOCALE / f"{request.param}.po").open("rb") as stream:
        return read_po(stream, locale=request.param)


def test_every_message_is_in_the_catalogue_and_no_other(catalogue):
    asked, there = set(messages.messages()), {(m.context or "", m.id) for m in catalogue if m.id}
    assert asked - there == set(), "new messages: make words, then translate them"
    assert there - asked == set(), "no longer said: make words"
    assert not catalogue.obsolete


def test_every_message_is_translated_with_its_values_and_its_markup(catalogue):
    for message in catalogue:
        if not message.id:
            continue
        assert message.string, f"not translated: {message.id!r}"
        assert not message.fuzzy, message.id
        for kind in (TAG, PLACE):
            assert sorted(kind.findall(message.string)) == sorted(kind.findall(message.id)), message.id
        assert ("<" in message.string) == ("<" in message.id), message.id


def test_chinese_is_written_as_it_is(catalogue):
    """Full-width marks between Chinese words, and room between them and Latin ones."""
    han = r"[\u4e00-\u9fff]"
    for message in catalogue:
        said = re.sub(r"</?[a-z][^>]*>", "", str(message.string)) if message.id else ""
        assert not re.search(rf"{han}[,;:?!]|{han}\.(\s|$)", said), said
        assert not re.search(rf"{han}[A-Za-z0-9{{]|[A-Za-z0-9]{han}", said.replace("{", "\0")), said


# The sources.


def calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "N_"):
            yield node


SOURCES = sorted((ROOT / "app").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_translated_can_be_found(path):
    """A sentence as it stands, or a name that is a row's or a table's: no f-string, no sum, no call."""
    for call in calls(path):
        said = call.args[0]
        assert not isinstance(said, ast.JoinedStr | ast.BinOp | ast.Call), f"{path}:{call.lineno}"
        if isinstance(said, ast.Constant):
            assert isinstance(said.value, str), f"{path}:{call.lineno}"
            assert said.value, f"{path}:{call.lineno}"


class AtImport(ast.NodeVisitor):
    """Calls of _() that are made when a module is imported: there is no reader then."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]:
            if part is not None:
                self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for part in node.args.defaults:
            self.visit(part)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "_":
            self.found.append(node.lineno)
        self.generic_visit(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_word_is_fixed_at_import(path):
    if path.name == "explorer.py":  # it is run anew for each reader
        return
    visitor = AtImport()
    visitor.visit(ast.parse(path.read_text()))
    assert visitor.found == [], f"{path}: lines {visitor.found}"


# What is seen. In a language of brackets every message stands in ⟦⟧, its values outside of them: what has letters and
# no brackets was never translated.


class Brackets(dict[Any, str]):
    """A catalogue that has everything, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def get(self, key: Any, default: Any = None) -> Any:
        if isinstance(key, tuple):
            return None
        self.asked.add(key)
        parts = re.split(r"(\{[A-Za-z_]*\}|</?[a-z][^>]*>)", key)
        return "".join(part if n % 2 or not part.strip() else f"⟦{part}⟧" for n, part in enumerate(parts))


@pytest.fixture
def brackets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Brackets]:
    catalogue = Brackets()
    monkeypatch.setattr(words, "_catalogue", lambda name: catalogue)
    speak("en")
    yield catalogue
    missing = {m for m in catalogue.asked if m not in known() and LATIN.search(FORMULA.sub("", m)) and not sign(m)}
    assert not missing, "said, and in no catalogue"


@cache
def known() -> set[str]:
    return {message for _context, message in messages.messages()}


SYMBOLS = {name for task in engine.TASKS.values() for name in (*task.symbols, *task.classes)}


def sign(name: str) -> bool:
    """Symbols and classes of a task that are signs: A, 7, AB."""
    return name in SYMBOLS and not (len(name) > 1 and name.islower())


# Formulas, units, names of programs, numbers: the same in every language.
ALLOWED = {
    "lr", "log", "NaN", "max", "min", "cos", "ln", "dc", "dz", "tanh", "softmax", "clip", "float", "EN",
}  # fmt: skip


def untranslated(text: str) -> list[str]:
    """The words in a visible text that no catalogue could change."""
    text = re.sub(r"⟦[^⟧]*⟧", " ", FORMULA.sub(" ", text))
    text = re.sub(
        r"<(style|script|sub|sup)>.*?</\1>|</?[a-z][^>]*>|\{\w+\}|" + TENSOR + r"|%\{[^}]*\}|&\w+;|:material/\w+:|\\",
        " ",
        text,
        flags=re.DOTALL,
    )
    return [word for word in LATIN.findall(text) if word not in ALLOWED and not sign(word)]


def texts(part: Any, key: str = "") -> Iterator[str]:
    """All that a reader sees of a figure."""
    seen = {
        "text",
        "title",
        "question",
        "answer",
        "about",
        "alt",
        "hovertemplate",
        "hovertext",
        "ticktext",
        "x",
        "name",
    }
    if isinstance(part, Mapping):
        for name, value in part.items():
            if name != "ticks":  # the kinds of the axes
                yield from texts(value, name)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from texts(value, key)
    elif isinstance(part, str) and key in seen:
        yield part


def hold(said: Mapping[str, Any]) -> None:
    for name, part in said.items():
        part = spoken(part) if isinstance(part, dict) and "layout" in part else part
        for text in texts(part, "text"):
            assert not untranslated(text), f"{name}: {text}"


EXPERIMENTS = {
    "default": {},
    "stacked": {"cell": "lstm", "num_layers": 2, "task": "temporal_order", "clip": "value", "train_size": 8},
    "gates": {"cell": "gru", "task": "text", "clip": "unit", "schedule": "cosine", "stop_steps": 4},
    "grid": {"task": "markov", "clip": "param_norm", "nonlinearity": "relu", "stop_loss": 1000.0},
    "series": {"task": "sine", "tbptt": 3, "init": "orthogonal", "batching": "full", "train_size": 8, "clip": "none"},
    "vectors": {"task": "random_vectors", "nonlinearity": "sigmoid", "patience": 1, "train_size": 8},
    "parity": {"task": "parity", "nonlinearity": "hardtanh", "optimizer": "sgd", "lr": 10.0},
    "lost": {
        "nonlinearity": "identity",
        "gain": 100.0,
        "clip": "none",
        "optimizer": "sgd",
        "lr": 10.0,
        "seq_length": 200,
    },
}


def trained(name: str, steps: int = 6) -> Training:
    training = Training(engine.Experiment(**{"hidden_size": 4, "seq_length": 12, "batch_size": 4} | EXPERIMENTS[name]))
    for step in range(1, steps + 1):
        if not training.ended:
            training.advance(step, lambda: False)
            training.record()
    return training


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_pictures_of_a_run(brackets, name):
    training = trained(name)
    last = training.experiment
    if last.optimizer == "adam" and last.clip != "none":  # a change on the way is told in the pictures
        training.change(last.replace(lr=0.5, clip="none"))
        training.advance(9, lambda: False)
        training.record()
    for step in (0, training.step):
        s = training.snapshot(step, 0)
        hold({name: draw(s, figures.palette("light")) for name, draw in figures.FIGURES.items()})
        said = verdict(s)
        hold({"verdict": {key: said[key] for key in said if key != "kind"}, "cost": cost(s)})
        about = radii(s)
        hold({"rule": about["rule"], "chips": [chip["title"] for chip in about["chips"]]})


@pytest.mark.parametrize("name", ["default", "stacked", "gates", "lost"])
def test_closer_looks(brackets, name):
    training = trained(name, 8)
    s = training.snapshot(None, 0)
    w, path = s.weights, training.past.weights.moments
    assert w is not None
    for question, row in WHY.items():
        options: dict[str, Any] = {"path": path} if question in OF_THE_RUN else {}
        found = finish(INSTRUMENTS[question](w.experiment, probe(w), w, **options))
        asked = Asked(w.experiment, w.step, sequences(w.experiment), found)
        hold({picture: draw(asked, figures.palette("light")) for picture, draw in row.pictures(asked).items()})
        hold({question: [row.sentence(asked), words._(row.question)]})


def test_words_of_the_player(brackets):
    hold(player_words())


@pytest.mark.parametrize("part", SMALL)
def test_small_worlds(brackets, part):
    for start in small.PRESETS[part]:
        values = small.DEFAULTS | {"part": part} | small.preset_values(part, start)
        found = small.look(values)
        hold({name: draw(found, figures.palette("light")) for name, draw in SMALL[part].pictures.items()})
        hold({"sentence": SMALL[part].sentence(found)})


@pytest.mark.parametrize("case", compare_cases.CASES)
def test_comparisons(brackets, case):
    knob, steps, fields = compare_cases.CASES[case]
    v = compare_cases.shown(knob, steps, **fields)
    hold({name: Comparison.figures[name](v, figures.palette("light")) for name in PICTURES})
    said = versus_words.verdict(v)
    hold({"verdict": [said[key] for key in said if key != "kind"], "table": rows(versus_words.table(v, "light"))})


def rows(table: Mapping[str, Any]) -> list[str]:
    """All texts of a table of runs."""
    seen = [[row.get(key, "") for key in ("name", "badge", "why", "note")] + row["cells"] for row in table["rows"]]
    return [table["caption"], *table["heads"], *(text for row in seen for text in row)]


def test_many_seeds(brackets):
    lost, won, same = (compare_cases.finished(*last) for last in ((float("nan"), 12), (0.1,), (0.4,)))
    for pairs in ([(won, same)] * 8, [(same, won), (lost, won)], [(lost, lost)]):
        s = replace(
            compare_cases.seeds(*pairs), names=("1", "2"), full_names=("1", "2"), baseline_label="guessing the mean"
        )
        hold({name: draw(s, figures.palette("light")) for name, draw in versus_bands.PICTURES.items()})
        hold({"sentences": versus_seeds.sentences(s), "table": rows(versus_seeds.table(s, "light"))})


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [("default", row) for row in engine.OPTIMIZERS]
    + [(row, "sgd") for row in ("stacked", "gates", "series", "vectors")],
)
def test_slow_motion(brackets, name, optimizer):
    cell = {"clip": "norm", "clip_threshold": 1e-3} if optimizer == "sgd" else {"weight_decay": 0.1}
    e = trained(name, 0).experiment.replace(optimizer=optimizer, **cell)
    w = Weights(0, e, dict(engine.probe(e).state_dict))
    asked = Asked(e, 0, sequences(e), finish(INSTRUMENTS["motion"](e, probe(w), w)))
    hold({picture: draw(asked, figures.palette("light")) for picture, draw in motion_beside.PICTURES.items()})
    hold(
        {
            "phases": [phase["name"] for phase in motion_beside.phases(asked)],
            "told": [strings([part["says"], part["lines"]]) for part in motion_beside.told(asked, 0)],
        }
    )


def strings(part: Any) -> list[str]:
    """All texts in lists and tables."""
    if isinstance(part, str):
        return [part]
    values = part.values() if isinstance(part, Mapping) else part if isinstance(part, list | tuple) else ()
    return [text for value in values for text in strings(value)]


# The pages, as they are drawn.


@pytest.fixture
def pages_end() -> Iterator[None]:
    yield
    speak("en")
    ROOMS.clear()
    for made in RUNS.clear():
        made.close()


PAGES = re.findall(r'url_path="(\w+)"', Path(EXPLORER).read_text())


def drawn(page: str, **query: str) -> AppTest:
    at = AppTest.from_file(EXPLORER, default_timeout=60)
    at._page_hash = calc_hash(page)  # AppTest.switch_page knows files only
    at.query_params.update({"hidden_size": "4", "seq_length": "12", "batch_size": "4"} | query)
    for name in WHY:
        at.session_state[f"why_{name}"] = True
    at.session_state["opened"] = set(GROUPS)
    at.session_state[MENU] = True
    at.run()
    if page == "why":
        for _wait in range(3):
            at.run()
    assert not at.exception
    return at


def seen(at: AppTest) -> Iterator[str]:
    """Every text of the page: labels, options, helps, HTML."""
    for element in [*at.main, *at.sidebar]:
        proto = getattr(element, "proto", None)
        for field, value in proto.ListFields() if hasattr(proto, "ListFields") else ():
            if field.name in ("label", "help", "body", "placeholder", "text"):
                yield html.unescape(str(value))
            elif field.name == "options":
                yield from (html.unescape(str(getattr(option, "content", option))) for option in value)


@pytest.mark.parametrize("page", PAGES)
def test_pages_say_nothing_untranslated(brackets, pages_end, page):
    at = drawn(page)
    if page == "small":
        for part in SMALL:
            at.session_state["part"] = part
            at.run()
            hold({page: list(seen(at))})
    assert len([text for text in seen(at) if "⟦" in text]) > 10
    hold({page: list(seen(at))})


@pytest.mark.parametrize("name", LESSONS)
def test_lessons(brackets, pages_end, name):
    at = drawn("lessons", lesson=name)
    hold({"guess": list(seen(at))})
    assert any(f"⟦{LESSONS[name].guess.question}⟧" in text for text in seen(at))
    at.button(key=f"guess_{name}_0").click().run()
    for part in ("guess", "try", "why", "check"):
        at.segmented_control(key=f"lesson_screen_{name}").set_value(part).run()
        assert not at.exception
        hold({part: list(seen(at))})


def test_a_room_and_a_lecture(brackets, pages_end):
    at = drawn("explore")
    at.button(key="open_room").click().run()
    assert not at.exception
    hold({"host": list(seen(at))})
    room = ROOMS.hosted(at.session_state["hosting"])
    assert room is not None
    student = drawn("room", room=room.code)
    hold({"student": list(seen(student)), "words": strings([room_words.student_words(), room_words.host_words()])})
    hold({"lecture": list(seen(drawn("explore", lecture="1")))})


# The switch, and what it keeps.


def test_switching_keeps_everything(pages_end):
    at = AppTest.from_file(EXPLORER, default_timeout=60)
    at.query_params.update({"preset": "irnn", "hidden_size": "8", "seq_length": "20"})
    at.run()
    at.session_state["cell"] = "lstm"
    at.run()
    before, past, token = (
        at.session_state["experiment"],
        list(at.session_state["history"].past),
        at.session_state["token"],
    )
    assert at.button(key="undo").label == "Undo"
    at.segmented_control(key="language_chosen").set_value("zh").run()
    assert not at.exception
    speak("zh")  # AppTest asks for the texts of a list in this thread
    assert at.button(key="undo").label == "撤销"
    assert at.query_params["lang"] == "zh"
    assert at.query_params["cell"] == "lstm"
    assert at.session_state["experiment"] == before
    assert at.session_state["history"].past == past
    assert at.session_state["token"] == token
    at.button(key="undo").click().run()
    assert at.session_state["experiment"].cell == "rnn"
    at.segmented_control(key="language_chosen").set_value("en").run()
    assert at.button(key="undo").label == "Undo"
    assert at.query_params["lang"] == "en"


@pytest.mark.parametrize(
    ("text", "expected"), [("zh", "撤销"), ("en", "Undo"), ("xx", "Undo"), ("<b>", "Undo"), ("", "Undo")]
)
def test_the_address_says_the_language(pages_end, text, expected):
    assert drawn("explore", lang=text).button(key="undo").label == expected


@pytest.mark.parametrize(
    ("page", "query"),
    [("explore", {"gain": "x"}), ("explore", {"lecture": "1", "show": "nonsense"}), ("small", {"w": "x"})],
)
def test_what_was_complained_of_is_said_in_the_language_that_is_read_now(pages_end, page, query):
    at = drawn(page, lang="en", **query)
    (before,) = at.session_state["complaints"]
    assert before.startswith("The link says")
    at.session_state["extra"] = at.session_state["extra"] | {"lang": "zh"}
    at.session_state["commanded"] = True  # what the switch does
    at.run()
    (after,) = at.session_state["complaints"]
    assert after in [text.value for text in at.text]
    assert after == drawn(page, lang="zh", **query).session_state["complaints"][0] != before


def test_refusals_are_sentences_of_ours(brackets):
    written = {
        "none",
        "true",
        "false",
        "1e",
        *FIELDS,
        *engine.PRESETS,
        *(name for names in NAMES.values() for name in names),
    }
    queries = [
        {"task": ["temporal_order"], "seq_length": ["2"]}, {"batching": ["full"]}, {"preset": ["irn"]},
        {"hidden_size": ["256"], "seq_length": ["2000"]}, {"hidden_sise": ["3"]}, {"lr": ["-1"]}, {"lr": ["1", "2"]},
        {"train_size": ["10000"], "seq_length": ["2000"], "task": ["markov"]}, {"momentum": ["1"]}, {"clip": ["x"]},
        {"stop_loss": ["x"]}, {"seed": ["x"]}, {"clip_threshold": ["0"]},
    ]  # fmt: skip
    for query in queries:
        said = link.read(query).complaints
        assert said, query
        for text in said:  # what the link says, and what it may say, is as it has to be written
            assert "⟦" in text
            words = set(re.findall(r"[A-Za-z_0-9]+", re.sub(r"⟦[^⟧]*⟧|“[^”]*”", " ", text)))
            assert not {word for word in words if re.search("[a-z]", word)} - written, text
    with pytest.raises(ValueError, match="⟦"):
        link.experiment({"lr": -1.0})
