"""Small worlds in a real browser: pictures are painted in two and three dimensions, and played step by step."""

import pytest

from tests.test_browser import Visitor
from tests.visits import visits

pytestmark = pytest.mark.browser


class Explorer(Visitor):
    """A visitor of Small worlds."""

    def drawn(self) -> None:
        self.until(lambda: self.page.locator(".st-key-small .still .js-plotly-plot").count() == 4)

    def points(self, picture: int, trace: int, axis: str = "x") -> int:
        """How many points of a trace are drawn."""
        data = f"document.querySelectorAll('.still .js-plotly-plot')[{picture}].data[{trace}].{axis}"
        return self.page.evaluate(f"[...{data}].filter((v) => v === v).length")

    def at(self) -> str:
        return self.text(".replay output")


visit = visits(Explorer, "small")


def test_the_cliff_is_played_in_the_browser(visit):
    v = visit("?cliff_steps=20")
    assert v.page.locator("#still-surface canvas").count() >= 1  # three dimensions
    assert v.at() == "step 20 of 20"
    v.until(lambda: v.points(0, 1) == 13 * 12)  # on the surface, until it is thrown out of the window by step 13
    assert v.points(0, 3) == 20 * 12 + 1  # clipped, it stays
    v.page.get_by_label("Step back").click()
    assert v.at() == "step 19 of 20"
    v.page.locator(".replay input").fill("5")
    assert v.at() == "step 5 of 20"
    v.until(lambda: v.points(0, 3) == 5 * 12 + 1)
    assert v.points(0, 4) == 1  # the head
    assert v.points(1, 3) == 6
    requests: list[str] = []
    v.page.on("request", lambda r: requests.append(r.url))
    v.page.get_by_role("button", name="Play").click()
    v.until(lambda: v.at() == "step 20 of 20")
    v.page.get_by_role("button", name="Play").wait_for()  # it has stopped
    assert requests == []
    assert v.points(1, 3) == 21


def test_playing_begins_again_and_can_be_held(visit):
    v = visit("?part=one")
    v.page.get_by_role("button", name="Play").click()
    v.until(lambda: v.at() != "step 40 of 40")
    v.page.get_by_role("button", name="Pause").click()
    held = v.at()
    v.page.wait_for_timeout(500)
    assert v.at() == held


def test_trajectories_grow_together(visit):
    v = visit("?part=two")
    v.page.locator(".replay input").fill("3")
    assert v.points(0, 1) == 81 * 4
    assert v.points(0, 2) == 81


def test_a_slider_and_a_preset_redraw_and_are_in_the_address(visit):
    v = visit("?part=one&hidden_size=8")
    slider = v.page.locator(".st-key-one_w input[type=range]")
    slider.focus()
    slider.press("ArrowRight")
    v.until(lambda: "one_w=2.05" in v.page.url)
    v.until(lambda: "0.56" in v.text(".st-key-small p.answer"))
    v.page.locator(".st-key-start_one_swings button").click()
    v.until(lambda: "swings between" in v.text(".st-key-small p.answer"))
    assert "hidden_size=8" in v.page.url
    v.page.get_by_text("Two units").click()
    v.until(lambda: v.page.locator("#still-portrait .js-plotly-plot").count() == 1)
    v.page.get_by_role("link", name="Explore").first.click()
    v.page.wait_for_selector("#stage .js-plotly-plot")
    v.until(lambda: v.page.url.endswith("?hidden_size=8"))
    v.page.get_by_role("link", name="Small worlds").first.click()
    v.drawn()
    assert v.page.locator("#still-portrait").count() == 1  # as it was left
    v.until(lambda: "one_w=-2.0" in v.page.url)


def test_nonsense_in_the_address_is_told(visit):
    v = visit("?part=four&cliff_w=banana&two_phi=<b>x</b>")
    v.page.wait_for_selector(".st-key-notice")
    told = v.text(".st-key-notice")
    assert "cliff_w = “banana”" in told
    assert "<b>x</b>" in told
    v.until(lambda: v.page.url.endswith("/small"))


def test_it_follows_the_theme_and_fits_a_phone(visit):
    v = visit("?part=two", color_scheme="dark")
    assert v.page.locator(".still.dark").count() == 1
    v.page.set_viewport_size({"width": 390, "height": 844})
    v.until(lambda: v.page.evaluate("document.querySelector('.still figure').clientWidth") < 380)
    assert v.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_3d_it_says_so_and_the_rest_is_there(visit):
    v = visit()
    v.page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        " return kind.startsWith('webgl') ? null : get.call(this, kind, ...more) }"
    )
    v.page.reload()
    v.until(lambda: v.page.locator("#still-surface .words span").count() == 1)
    assert "No 3-D here" in v.text("#still-surface .words")
    v.until(lambda: v.page.locator(".st-key-small .still .js-plotly-plot").count() == 3)
