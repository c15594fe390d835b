"""The gallery in a real browser: films are drawn and move, a card is one click from its thing, old links arrive."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.gallery import CARDS
from tests.test_browser import Visitor

pytestmark = pytest.mark.browser
DRAWN = "document.querySelectorAll('.film .field svg path[d], .film canvas, .film .said').length"
CURVES = "[data-card=cliff] .film .field svg path[d]"  # not the samples of lines beside their names


class Arriving(Visitor):
    """A visitor of the page at /."""

    def __init__(self, *args: Any, **context: Any) -> None:
        super().__init__(*args, ".", **context)

    def drawn(self) -> None:
        self.until(lambda: self.page.locator(".gallery a").count() == len(CARDS))


@pytest.fixture
def arrive(browser: Any, server: Any) -> Iterator[Any]:
    opened: list[Arriving] = []

    def new(**context: Any) -> Arriving:
        opened.append(Arriving(browser, server, **context))
        return opened[-1]

    yield new
    for visitor in opened:
        visitor.context.close()
        assert visitor.errors == []


def test_cards_are_links_with_names_and_films_come_and_move(arrive):
    v = arrive()
    names = [" ".join(text.split()) for text in v.page.locator(".gallery a").all_inner_texts()]
    assert all(card.title in name and card.claim in name for card, name in zip(CARDS.values(), names, strict=True))
    v.until(lambda: v.page.evaluate(DRAWN) > 3, 60)
    v.until(lambda: v.page.locator(CURVES).count() == 3, 60)
    path = f"document.querySelector('{CURVES}').getAttribute('d')"
    v.page.locator("[data-card=cliff]").hover()
    seen = {v.page.evaluate(path)}
    v.until(lambda: seen.add(v.page.evaluate(path)) or len(seen) > 3)


def test_a_card_is_one_click_and_back_is_the_gallery(arrive):
    v = arrive()
    card = v.page.locator("[data-card=edge]")
    assert card.get_attribute("href") == f"{v.server.url}/{CARDS['edge'].href}"
    card.focus()
    v.page.keyboard.press("Enter")
    v.page.wait_for_selector("#stage .js-plotly-plot")
    v.until(lambda: v.page.url == f"{v.server.url}/{CARDS['edge'].href}")
    v.until(lambda: v.text(".st-key-gain [data-testid=stSliderThumbValue]") == "1.00")
    v.page.go_back()
    v.drawn()
    v.page.go_back()
    v.until(lambda: v.page.url == f"{v.server.url}/")
    v.drawn()
    v.page.locator("[data-card=two]").click()
    v.until(lambda: v.page.locator("#still-portrait .js-plotly-plot").count() == 1)


def test_an_old_link_arrives_at_explore(arrive):
    v = arrive()
    v.page.goto(f"{v.server.url}/?hidden_size=16&gain=1.5")
    v.page.wait_for_selector("#stage .js-plotly-plot")
    v.until(lambda: v.page.url == f"{v.server.url}/explore?hidden_size=16&gain=1.5")
    v.page.go_back()
    v.drawn()


def test_without_motion_the_last_frame_stands_and_a_phone_has_one_column(arrive):
    v = arrive(reduced_motion="reduce", color_scheme="dark")
    v.page.set_viewport_size({"width": 390, "height": 844})
    v.until(lambda: v.page.locator(CURVES).count() == 3, 60)
    path = f"document.querySelector('{CURVES}').getAttribute('d')"
    still = v.page.evaluate(path)
    v.page.locator("[data-card=cliff]").hover()
    v.page.wait_for_timeout(600)
    assert v.page.evaluate(path) == still
    assert v.page.evaluate("document.documentElement.scrollWidth") <= 390
    lefts = v.page.evaluate("[...document.querySelectorAll('.gallery a')].map((a) => a.getBoundingClientRect().left)")
    assert len(set(lefts)) == 1
