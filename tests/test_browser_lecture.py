"""A lecture in a real browser: in by a key or a link, driven by keys, out by Esc, and nothing is lost."""

from urllib.parse import parse_qs, urlsplit

import pytest

from app.lecture import KEYED
from tests.test_browser import Visitor, visit

__all__ = ["visit"]  # the fixture
pytestmark = pytest.mark.browser


def query(v: Visitor) -> dict[str, str]:
    return {name: texts[0] for name, texts in parse_qs(urlsplit(v.page.url).query).items()}


def mode(v: Visitor) -> str:
    return v.page.evaluate("document.querySelector('#stage').dataset.mode")


def test_in_by_a_key_out_by_esc_and_the_run_goes_on(visit):
    v = visit("?gain=1.2")
    v.page.keyboard.press("ArrowRight")
    v.until(lambda: v.step == 1)
    v.page.keyboard.press("l")
    v.until(lambda: query(v) == {"gain": "1.2", "lecture": "1", "show": "flow,loss"})
    v.until(lambda: mode(v) == "lecture" and v.page.locator("#stage figure .main-svg").count() >= 2)
    assert v.page.locator("#stage figure").count() == 2
    assert not v.page.locator("[data-testid=stHeader]").is_visible()
    assert v.page.locator(".st-key-gain").count() == 0
    size = v.page.evaluate("parseFloat(getComputedStyle(document.querySelector('#flow p')).fontSize)")
    assert size >= 20
    assert v.page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "it fits the window"
    v.until(lambda: v.step == 1)
    v.page.keyboard.press("ArrowRight")
    v.until(lambda: v.step == 2)
    v.page.keyboard.press("Escape")
    v.until(lambda: query(v) == {"gain": "1.2"} and mode(v) == "explore")
    v.until(lambda: v.step == 2)
    v.until(lambda: v.text(".st-key-gain [data-testid=stSliderThumbValue]") == "1.20")


def test_a_link_opens_with_its_pictures_and_controls_and_its_code_leads_there(visit):
    v = visit("?lecture=1&show=map,flow&controls=gain,cell&cell=gru")
    assert v.page.evaluate("[...document.querySelectorAll('#stage figure')].map((f) => f.id)") == ["map", "flow"]
    v.until(lambda: v.page.locator(".st-key-lecture_controls :is(.st-key-gain, .st-key-cell)").count() == 2)
    v.slide("gain", "ArrowRight")
    v.until(lambda: query(v).get("gain") == "0.95")
    v.page.locator(".st-key-lecture_qr button").click()
    code = v.page.locator("[data-testid=stDialog] img.qr")
    code.wait_for()
    assert code.evaluate("(i) => i.complete && i.getBoundingClientRect().width") > 400
    link = v.text("[data-testid=stDialog] code").strip()
    assert link.startswith(v.server.url)
    v.page.keyboard.press("Escape")
    code.wait_for(state="detached")
    assert mode(v) == "lecture", "the dialog has closed, and nothing else"
    other = visit(link.removeprefix(v.server.url).lstrip("/"))
    assert query(other) == query(v)
    assert other.text(".what") == v.text(".what")


def test_what_is_prepared_is_in_the_address_at_once(visit):
    v = visit("?lecture=1")
    v.page.locator(".st-key-prepare button").first.click()
    v.page.locator(".st-key-prepare_pictures").get_by_text("states").click()
    v.until(lambda: query(v).get("show") == "flow,loss,state")
    v.until(lambda: v.page.locator("#stage figure").count() == 3)
    v.page.locator(".st-key-prepare_pictures").get_by_text("gradient by timestep").click()
    v.until(lambda: query(v).get("show") == "loss,state")


def test_digits_load_presets_and_typing_is_typing(visit):
    v = visit()
    v.page.keyboard.press("2")
    v.until(lambda: query(v) == {"preset": KEYED[1]})
    field = v.page.locator(".st-key-seed input")
    field.click()
    v.page.keyboard.press("Control+a")
    v.page.keyboard.type("35l?f")
    v.page.keyboard.press("Enter")
    v.until(lambda: query(v).get("seed") == "35" and query(v).get("preset") == KEYED[1])
    assert mode(v) == "explore"
    assert v.page.locator("dialog.keys[open], .alone").count() == 0


def test_one_picture_fills_the_window_and_the_player_goes_with_it(visit):
    v = visit("?seq_length=20")
    before = v.page.locator("#map").bounding_box()
    v.page.locator("#map .plot").hover()
    v.page.keyboard.press("f")
    v.until(lambda: v.page.locator("#map").bounding_box()["width"] > 1150)
    assert not v.page.locator("#flow").is_visible()
    v.page.keyboard.press("ArrowRight")
    v.until(lambda: v.step == 1)
    v.page.keyboard.press("Escape")
    v.until(lambda: v.page.locator("#map").bounding_box() == before)
    v.until(lambda: v.page.locator("#flow .main-svg").first.is_visible())
    v.page.locator("#loss h2").dblclick()
    v.until(lambda: v.page.locator("#loss").bounding_box()["width"] > 1150)
    v.page.locator("#loss .back").click()
    v.until(lambda: v.page.locator("#map").bounding_box() == before)


def test_the_list_of_keys_opens_closes_and_keeps_the_keys_to_itself(visit):
    v = visit()
    v.page.locator("#stage h2").first.click()
    v.page.keyboard.press("?")
    shown = v.page.locator("dialog.keys[open]")
    shown.wait_for()
    assert shown.locator("kbd").count() == 9 + 9
    v.page.keyboard.press("3")
    v.page.keyboard.press("Escape")
    shown.wait_for(state="detached" if not shown.count() else "hidden")
    assert query(v) == {}
    v.page.locator("#stage .help").click()
    shown.wait_for()
