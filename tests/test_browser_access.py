"""Every page with a keyboard, with ears, on a phone: names, contrast as painted, what is cut, the order of Tab."""

import re

import pytest

from tests.audit import CONTRAST, CUT, NAMES
from tests.test_browser import Visitor, visit

__all__ = ["visit"]  # the fixture
pytestmark = pytest.mark.browser
DRAWN = "#stage .graph .main-svg"
READY = {  # a page, and what is there when it is
    "": "a .claim",
    "explore": DRAWN,
    "explore?lecture=1&controls=gain,cell,clip,lr": DRAWN,
    "why": ".st-key-why [data-testid=stExpander]",
    "compare": DRAWN,
    "small": ".still .main-svg",
    "lessons": ".st-key-lessons button",
    "room": ".st-key-join input",
}


def at(v: Visitor, place: str) -> None:
    v.page.goto(f"{v.server.url}/{place}")
    v.page.wait_for_selector(READY[place], timeout=30_000)
    v.page.wait_for_selector("h1.pagename", state="attached")
    v.page.wait_for_timeout(500)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_names_what_can_be_used_and_can_be_read(visit, scheme):
    v = visit(color_scheme=scheme)
    for place in READY:
        at(v, place)
        found = v.page.evaluate(NAMES)
        assert found["controls"] > 5, place
        assert (found["lang"], found["headings"]) == ("en", 1), place
        assert [found[kind] for kind in ("nameless", "wordless", "doubled", "described")] == [[]] * 4, place
        assert v.page.evaluate(CONTRAST) == [], place


def test_on_a_phone_nothing_is_cut_and_pages_and_presets_are_at_hand(visit):
    v = visit("?hidden_size=8&seq_length=20", has_touch=True)
    v.page.set_viewport_size({"width": 390, "height": 844})
    for place in READY:
        at(v, place)
        assert v.page.evaluate(CUT) == [], place
        assert v.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
    at(v, "explore")
    v.page.locator("[data-testid=stExpandSidebarButton]").click()
    v.page.locator("[data-testid=stSidebarCollapseButton] button").click()  # nothing lies over it
    v.page.locator("[data-testid=stExpandSidebarButton]").wait_for()
    v.page.locator(".st-key-presets_at_hand button").first.click()
    v.page.locator(".st-key-preset_at_hand_healthy button").first.click()
    v.until(lambda: v.page.url.endswith("?preset=healthy"))
    v.until(lambda: v.page.locator(".st-key-menu_at_hand").count() == 0)
    v.page.locator(".st-key-pages a", has_text=re.compile("^Why")).click()
    v.page.wait_for_selector(READY["why"])


FOCUS = """() => { const e = document.activeElement, s = getComputedStyle(e); return {
    name: (e.getAttribute('aria-label') ?? e.textContent).trim(), tag: e.tagName, stage: Boolean(e.closest('#stage')),
    ring: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1 } }"""


def test_by_keyboard_alone(visit):
    """The first stop leads to the pictures; from there every part of the player and every curve can be reached."""
    v = visit("?num_layers=2&seq_length=20")
    v.page.evaluate("document.activeElement.blur()")
    v.page.keyboard.press("Tab")
    assert v.page.evaluate("document.activeElement.className") == "skip"
    v.page.keyboard.press("Enter")
    assert v.page.evaluate("document.activeElement.id") == "stage"
    stops = []
    for _ in range(24):
        v.page.keyboard.press("Tab")
        stops.append(v.page.evaluate(FOCUS))
    stops = [stop for stop in stops if stop["stage"]]
    names = [stop["name"] for stop in stops]
    for name in ("Play", "Step", "Reset", "New seed", "Layer 1", "Layer 2", "Keys"):
        assert name in names
    assert any(stop["tag"] == "SELECT" for stop in stops)
    assert any("Hide or show validation" in name for name in names)
    assert all(stop["ring"] for stop in stops), [stop["name"] for stop in stops if not stop["ring"]]
    v.page.locator("#stage .play").focus()
    v.page.keyboard.press("Tab")
    v.page.keyboard.press("Enter")  # Step
    v.until(lambda: v.step == 1)
    hide = v.page.get_by_role("button", name=re.compile("Hide or show validation"))
    hide.focus()
    v.page.keyboard.press("Enter")
    v.until(lambda: hide.get_attribute("aria-pressed") == "false")


def test_menus_and_dialogs_by_keyboard_alone(visit):
    """Tab goes into an open menu and back, and what closes leaves the focus where it was opened."""
    v = visit("?hidden_size=8&seq_length=20")
    opener, here = v.page.locator(".st-key-presets button").first, "document.activeElement"
    opener.focus()
    v.page.keyboard.press("Enter")
    v.page.wait_for_selector("[data-testid=stPopoverBody] button")
    v.page.keyboard.press("Tab")
    assert v.page.evaluate(f"Boolean({here}.closest('[data-testid=stPopoverBody]'))")
    v.page.keyboard.press("Shift+Tab")
    assert v.page.evaluate(f"{here}.getAttribute('aria-expanded')") == "true"
    v.page.keyboard.press("Escape")
    v.until(lambda: v.page.evaluate(f"{here}.getAttribute('aria-expanded')") == "false")
    v.page.locator(".st-key-open_room button").locator("visible=true").first.focus()
    v.page.keyboard.press("Enter")
    v.page.wait_for_selector("[data-testid=stDialog] img.qr")
    v.page.keyboard.press("Escape")
    v.until(lambda: v.page.evaluate(f"Boolean({here}.closest('.st-key-room_menu'))"))


def test_ears_hear_the_verdict_that_eyes_see(visit):
    v = visit("?seq_length=20&hidden_size=8")
    said, badge = v.page.locator("#stage .spoken"), v.page.locator("#stage .badge b")
    assert said.get_attribute("aria-live") == "polite"
    assert v.page.locator("#flow .graph").get_attribute("role") == "img"
    v.until(lambda: said.text_content().startswith(badge.inner_text() + "."), 3)
    before = v.page.locator("#flow .graph").get_attribute("aria-label")
    assert before.startswith("How much gradient reaches step t?")
    assert "at t = 1," in before
    v.press("step")
    v.until(lambda: v.step == 1)
    v.until(lambda: v.page.locator("#flow .graph").get_attribute("aria-label") != before)
    v.page.keyboard.press("3")  # weights from N(0, 1): it explodes
    v.until(lambda: badge.inner_text() == "Exploding")
    v.until(lambda: said.text_content().startswith("Exploding. From t = 100"), 3)


def test_nothing_moves_by_itself_for_those_who_asked_for_that(visit):
    v = visit(reduced_motion="reduce")
    moving = "document.getAnimations().filter((a) => a.effect?.target?.closest?.('#stage')).length"
    assert v.page.evaluate(moving) == 0
    assert v.page.evaluate("getComputedStyle(document.querySelector('#stage .badge')).transitionDuration") == "0s"
