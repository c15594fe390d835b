"""The gallery: its films, what its cards claim and where they lead; and the address without a page."""

import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import app.gallery
import engine
from app import landing, link, session, settings, small
from app.compiler import Compiler
from app.figures import thumb
from app.figures.palette import PALETTES
from app.films import Films
from app.gallery import CARDS, CHAOS, CURES, FILMS, FORGET, HIDDEN, PRESETS
from app.lessons import LESSONS
from app.looks import INSTRUMENTS
from app.main import Landing
from app.main import films as films_route
from app.pool import Pool
from app.registry import RUNS
from app.views.gallery import KINDS, open_card
from tests.running import run_async

EXPLORER = Path(str(pytest.importorskip("app").__path__[0])) / "explorer.py"
CHEAP = [name for name, card in CARDS.items() if card.cost <= 0.5]


@cache
def film(name: str) -> thumb.Film:
    making = CARDS[name].film()
    while True:
        try:
            next(making)
        except StopIteration as made:
            return made.value


def check_film(found: thumb.Film) -> None:
    """It is small, plain JSON, and all of it lies in or near its box."""
    assert len(json.dumps(found, allow_nan=False)) < 60_000
    counts = {len(part["frames"]) for part in (*found["lines"], *found["dots"]) if len(part["frames"]) > 1}
    assert len(counts) <= 1, "its parts move together"
    assert not found["at"] or not counts or counts == {len(found["at"])}
    for part in found["lines"]:
        assert part["tone"] in thumb.TONES
        for frame in part["frames"]:
            assert len(frame) == len(part["x"])
            assert all(y is None or -thumb.SIDE <= y <= 2 * thumb.SIDE for y in frame)
    assert found["lines"] or found["image"] or found["text"]
    moving = [*found["lines"], *found["dots"], *([found["image"]] if found["image"] else [])]
    changes = any(len({json.dumps(frame) for frame in part["frames"]}) > 1 or part.get("grows") for part in moving)
    assert changes or len(set(found["text"] or [])) > 1, "it moves"


@pytest.mark.parametrize("name", CHEAP)
def test_a_film_is_light_and_moves(name):
    check_film(film(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CARDS) - set(CHEAP)))
def test_a_costly_film_is_light_and_moves(name):
    check_film(film(name))


def test_the_curve_is_the_engines():
    found = film("vanish")
    curve = engine.probe(engine.Experiment()).log10_flow_norms[-1]
    line = next(part for part in found["lines"] if part["tone"] == "gradient")
    drawn = np.array(line["frames"][0], float)
    kept = np.linspace(0, len(curve) - 1, thumb.POINTS).round().astype(int)
    scale = np.polyfit(curve[kept], drawn, 1)
    assert np.abs(np.polyval(scale, curve[kept]) - drawn).max() < 1
    assert line["x"][0] == 0
    assert line["x"][-1] == thumb.SIDE
    assert found["at"][0] == 0
    assert found["at"][-1] == 200


def test_gaps_and_infinities_are_null_or_cut():
    assert thumb.scaled(np.array([np.nan, np.inf, -np.inf, 0.5, 99.0]), 0, 1) == [None, None, None, 500, 2000]
    packed = thumb.image([np.array([[np.nan, 0.5], [np.inf, -np.inf]])], (0, 1), "signed")
    assert packed["rows"] == packed["columns"] == 2


@pytest.mark.parametrize("theme", PALETTES)
def test_every_tone_and_map_has_a_colour(theme):
    found = thumb.colours(PALETTES[theme])
    assert set(found) == {*thumb.TONES, *thumb.MAPS}
    assert all(isinstance(found[tone], str) for tone in thumb.TONES)
    assert all(len(found[name]) >= 5 for name in thumb.MAPS)


# --- what the cards claim


def decades(e: engine.Experiment, steps: int = 0) -> float:
    trainer = engine.Trainer(e)
    trainer.advance(steps)
    curve = trainer.trace().log10_flow_norms[-1]
    return float(curve[0] - curve[-1])


def test_the_claims_are_the_engines():
    assert round(-decades(engine.Experiment(), 200)) == 16
    assert round(decades(PRESETS["n01_exploding"].experiment)) == 19
    assert abs(decades(PRESETS["orthogonal_long"].experiment)) < 0.2
    assert round(-decades(PRESETS["gaussian_long"].experiment)) == 23
    assert round(-decades(PRESETS["healthy"].experiment)) == 13
    assert abs(decades(PRESETS["healthy"].experiment, 300)) < 2
    assert round(-decades(HIDDEN)) == 8
    assert decades(CHAOS.replace(gain=0.5)) < -20
    assert decades(CHAOS.replace(gain=2.0)) > 5
    memories = [decades(FORGET.replace(forget_bias=bias)) for bias in (-1.0, 0.0, 1.0, 5.0)]
    assert memories == sorted(memories)
    still, learned = engine.train(HIDDEN, 200), engine.train(CURES, 200)
    baseline = engine.TASKS[HIDDEN.task].baseline(HIDDEN)
    assert still.validation_loss[190] > 0.95 * baseline
    assert learned.validation_loss[190] < 0.1 * baseline
    two = small.look(small.DEFAULTS | small.preset_values("two", "four") | {"part": "two"})
    assert (two.radii < 1).sum() == 4
    walk = small.look(small.DEFAULTS)
    assert walk.free.left(app.footage.W_SPAN, app.footage.B_SPAN) is not None
    assert walk.clipped.left(app.footage.W_SPAN, app.footage.B_SPAN) is None


# --- where they lead


@pytest.mark.parametrize("name", CARDS)
def test_a_link_says_what_the_card_shows(name):
    card = CARDS[name]
    parts = urlsplit(card.href)
    query = parse_qs(parts.query)
    assert parts.path == card.page
    assert f'url_path="{card.page}"' in EXPLORER.read_text()
    assert card.page in KINDS
    assert card.panel in ("", *INSTRUMENTS)
    further = {key: texts for key, texts in query.items() if key in card.extra}
    assert further == {key: [text] for key, text in card.extra.items()}
    beside = {key: texts for key, texts in query.items() if key in small.FIELDS}
    values, complaints = small.read(beside)
    assert complaints == []
    assert values == small.DEFAULTS | dict(card.beside)
    read = link.read({key: texts for key, texts in query.items() if key not in further and key not in beside})
    assert read.complaints == ()
    if card.page not in ("small", "lessons"):
        assert link.experiment(read.values) == card.experiment
    assert card.extra.get("lesson", "vanish") in LESSONS


def page(path: str = "", **query: Any) -> AppTest:
    at = AppTest.from_file(str(EXPLORER), default_timeout=60)
    at._page_hash = calc_hash(path)
    at.query_params.update(query)
    at.run()
    assert not at.exception
    return at


@pytest.fixture(autouse=True)
def runs_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No server sweeps here, and nobody watches the films."""
    monkeypatch.setattr(FILMS, "begin", lambda pool, compiler: None)
    yield
    for run in RUNS.clear():
        run.close()


def test_a_visitor_arrives_in_the_gallery_and_has_no_run_yet():
    at = page()
    assert at.session_state["page"] == "gallery"
    assert "token" not in at.session_state
    assert not [element for element in at.sidebar if getattr(element, "key", None) in settings.FIELDS]


@pytest.mark.parametrize("name", CARDS)
def test_a_click_opens_what_the_card_shows(name):
    card = CARDS[name]
    at = clicked(page(), name)
    assert at.session_state["page"] == card.page
    if card.page in ("explore", "why", "compare"):
        assert at.session_state["experiment"] == card.experiment
        assert at.session_state["history"].past or name == "vanish", "it can be undone"
    elif card.page == "small":
        assert at.session_state["beside"] == small.DEFAULTS | dict(card.beside)
    else:
        assert at.session_state["lessons"].open == card.extra["lesson"]
        assert at.session_state["experiment"] == LESSONS[card.extra["lesson"]].experiment
    told = {key: [value] if isinstance(value, str) else value for key, value in at.query_params.items()}
    assert told == parse_qs(urlsplit(card.href).query) or card.page == "lessons"
    if card.panel:
        assert at.session_state["why_said"][f"why_{card.panel}"] is True


def test_in_another_tab_a_card_speaks_the_language_that_was_chosen():
    for card in CARDS.values():
        assert "lang" not in parse_qs(urlsplit(card.address()).query)
        told = parse_qs(urlsplit(card.address("zh")).query)
        assert told == parse_qs(urlsplit(card.href).query) | {"lang": ["zh"]}


def clicked(at: AppTest, name: str) -> AppTest:
    """What the browser's click does: a callback before the script runs."""
    first: list[bool] = []
    read = session.read_language

    def click_then_read() -> None:
        if not first:
            first.append(True)
            open_card(CARDS[name])
        read()

    with mock.patch.object(session, "read_language", click_then_read):
        at.run()
    assert not at.exception
    return at


# --- addresses without a page


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("", ""), ("lang", ""), ("embed lang", ""), ("hidden_size gain", "explore"), ("preset", "explore"),
        ("nonsense", "explore"), ("lang seed", "explore"), ("cliff_w part", "small"), ("part gain", "explore"),
        ("lesson", "lessons"), ("gain lesson", "lessons"), ("lecture show gain", "explore"), ("room", "room"),
        ("preset versus", "compare"),
    ],
)  # fmt: skip
def test_the_page_that_an_address_means(words, meant):
    assert landing.page_of(words.split()) == meant


def test_an_old_link_leads_to_explore_in_the_script_too():
    at = page(hidden_size="64", gain="2.5", foo="1")
    assert at.session_state["page"] == "explore"
    assert at.session_state["experiment"] == engine.Experiment(hidden_size=64, gain=2.5)
    assert dict(at.query_params) == {"hidden_size": "64", "gain": "2.5"}
    assert ["foo" in text.value for text in at.text] == [True]


def scope_of(query: str, path: str = "/") -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": query.encode()}


def asked(query: str, path: str = "/") -> tuple[int, str]:
    """Status and Location that the server answers to /?query, or another path; behind it a page that says nothing."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    run_async(Landing(PlainTextResponse("gallery"))(scope_of(query, path), receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]).get(b"location", b"").decode()


def test_the_server_sends_old_links_on():
    query = "hidden_size=64&gain=2.5&preset=%3Cb%3E"
    assert asked(query) == (307, f"explore?{query}")
    assert asked("lesson=vanish") == (307, "lessons?lesson=vanish")
    assert asked("") == asked("lang=zh") == (200, "")
    assert asked("lang=zh", "/gallery") == (307, "./?lang=zh"), "Streamlit says of /gallery that it does not exist"
    assert asked("", "/gallery") == (307, "./")
    assert asked("gain=1", "/gallery") == (307, "explore?gain=1")
    assert asked("gain=1&x=%0d%0aSet-Cookie:%20a=b")[1].count("\n") == 0


@pytest.mark.parametrize("known", ["0", "x", "-1", "9" * 50, "%D9%A3", ""])
def test_the_films_are_served_whatever_is_asked(known):
    answer = films_route(Request(scope_of(f"known={known}")))
    assert set(json.loads(answer.body)) == {"films", "made", "left"}


# --- making the films


def test_films_are_made_once_in_the_pool_and_told_as_they_come():
    made: list[str] = []

    def one(name: str, fails: bool = False) -> Any:
        made.append(name)
        yield
        if fails:
            raise RuntimeError("on purpose")
        return thumb.film(text=[name])

    pool, compiler = Pool(workers=2), Compiler()
    films = Films({"a": ((), lambda: one("a")), "b": ((), lambda: one("b", True)), "c": ((), lambda: one("c"))})
    assert json.loads(films.json()) == {"films": {}, "made": 0, "left": 3}
    films.begin(pool, compiler)
    films.begin(pool, compiler)
    end = time.monotonic() + 20
    while not films.done and time.monotonic() < end:
        time.sleep(0.01)
    said = json.loads(films.json())
    assert made == ["a", "b", "c"]
    assert list(said["films"]) == ["a", "c"], "one that fails costs no other"
    assert (said["made"], said["left"]) == (3, 0)
    assert list(json.loads(films.json(known=1))["films"]) == ["c"]
    pool.close()
    compiler.close()


@pytest.mark.parametrize("name", CHEAP)
def test_a_film_says_what_goes_right_and_what_goes_up(name):
    found = film(name)
    assert set(found["axes"]) >= {"x", "y"}
    assert ("colour" in found["axes"]) == (found["image"] is not None and name != "two")  # there colours are places
    for axis, low, high in found["axes"].values():
        assert axis in thumb.AXES
        assert low != high
    assert all(tone in thumb.TONES and key in thumb.KEYS for tone, _dash, key in found["keys"])


def test_the_ends_of_an_axis_are_those_of_the_curve():
    curve = engine.probe(engine.Experiment()).log10_flow_norms[-1]
    line = next(part for part in film("vanish")["lines"] if part["tone"] == "gradient")
    name, low, high = film("vanish")["axes"]["y"]
    assert (name, high) == ("gradient", "1")
    bottom = int(low.removeprefix("10<sup>−").removesuffix("</sup>"))
    assert line["frames"][0][-1] / thumb.SIDE * bottom - bottom == pytest.approx(curve[-1], abs=bottom / thumb.SIDE)
