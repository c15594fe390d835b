"""Maps in a real browser: a map is painted, the keys and the pointer lead to a cell's run, and back."""

from pathlib import Path

import pytest

from tests.test_browser import Visitor
from tests.visits import visits

pytestmark = pytest.mark.browser
LINK = "maps?hidden_size=4&batch_size=2&seq_length=8&across=gain:0.5:1.5:3&up=seq_length:8:16:3&samples=1&train=0"


class Mapper(Visitor):
    """A visitor on the Maps page."""

    def drawn(self) -> None:
        self.until(lambda: self.page.locator("#map-picture .hm image").count(), 60)

    def finished(self) -> None:
        self.until(lambda: "9 networks." in self.text(".st-key-maps_state"), 60)

    def at(self, page: str) -> bool:
        return f"/{page}?" in self.page.url


visit = visits(Mapper, LINK)


def test_keys_and_pointer_open_a_run_and_the_way_back_finds_the_map(visit):
    v = visit()
    v.finished()
    said = v.text("#map-picture p")
    words = [word.strip() for word in v.page.locator("#map-picture .words > span").all_inner_texts()]
    assert {"vanishes", "explodes"} <= set(words), "the colour bar's ends are not named"
    v.page.focus("#map-picture .cells")
    v.page.keyboard.press("ArrowRight")
    v.page.keyboard.press("ArrowUp")
    v.until(lambda: v.text(".heard").startswith("Gain 1.00, Length T 12"))
    v.page.keyboard.press("Enter")
    v.until(lambda: v.at("explore"))
    assert "gain=1.0" in v.page.url
    assert "seq_length=12" in v.page.url
    v.page.wait_for_selector("#stage .js-plotly-plot")
    v.page.go_back()
    v.drawn()
    v.finished()
    assert v.text("#map-picture p") == said
    assert "seq_length=12" not in v.page.url
    box = v.page.locator("#map-picture .plot").bounding_box()
    v.page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.3 * box["height"])
    v.until(lambda: v.at("explore"))
    assert "gain=1.5" in v.page.url


def test_a_curve_has_no_colour_bar(visit):
    v = visit()
    v.finished()
    assert v.page.locator("#map-picture .bar").count() == 1
    v.page.locator(".st-key-maps_up input").click()
    v.page.get_by_role("option", name="nothing: a curve").click()
    v.until(lambda: v.page.locator("#map-picture .scatterlayer .lines path").count())
    assert v.page.locator("#map-picture .bar").count() == 0


def test_it_fits_a_phone_and_follows_the_theme(visit):
    v = visit(color_scheme="dark")
    v.finished()
    assert v.page.locator(".still.map.dark").count() == 1
    v.page.set_viewport_size({"width": 390, "height": 844})
    v.until(lambda: v.page.evaluate("document.querySelector('#map-picture').clientWidth") < 380)
    assert v.page.evaluate("document.documentElement.scrollWidth") <= 390
    v.page.locator("#map-picture").hover()
    v.page.click("#map-picture button.take")
    with v.page.expect_download() as download:
        v.page.click("#map-picture [data-take=csv]")
    table = Path(download.value.path()).read_text()
    assert "Gain (factor),Length T (timesteps)" in table
    assert len([line for line in table.split("\n") if line.startswith("Gradient's slope")]) == 9
