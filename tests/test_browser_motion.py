"""Slow motion in a real browser: stepped without the server, addressed, and marks that all pictures share."""

from typing import Any

import pytest

from tests.test_browser import Visitor
from tests.visits import visits

pytestmark = pytest.mark.browser
PLOTS = ".motion .js-plotly-plot"
# Of a trace of the unrolled network: how many of its points are drawn.
SEEN = """([picture, trace]) => {
    const { data } = document.querySelector(`#motion-${picture} .js-plotly-plot`)
    const of = typeof trace === 'number' ? data[trace] : data.find((t) => t[trace[0]] === trace[1])
    return of.z ? [...of.z[0]].filter((v) => v === v).length : [...of.y].filter((v) => v === v).length
}"""

TERMS = "[...document.querySelectorAll('.motion .terms > span')].map((s) => [...s.children].map((c) => c.textContent))"


class Watcher(Visitor):
    """A visitor of Slow motion."""

    def drawn(self) -> None:
        self.until(lambda: self.page.locator(PLOTS).count() >= 2, 60)  # a changed engine is compiled first
        self.until(lambda: self.text(".motion .says"))

    def seen(self, trace: Any, picture: str = "unrolled") -> int:
        return self.page.evaluate(SEEN, [picture, trace])

    @property
    def position(self) -> str:
        return self.page.locator(".motion").get_attribute("data-position")

    def term(self, symbol: str) -> str:
        """The number below a symbol of the equation."""
        terms = self.page.evaluate(TERMS)
        return next(term[1] for term in terms if term[0] == symbol)


visit = visits(Watcher, "motion")


def test_an_update_is_stepped_and_played_without_the_server(visit):
    v = visit("?seq_length=6&hidden_size=4")
    assert (v.position, v.seen(["type", "heatmap"])) == ("forward-1", 1)  # it begins where the update does
    v.page.locator(".phases [data-phase=update]").click()
    v.page.keyboard.press("ArrowRight")
    v.page.keyboard.press("ArrowRight")
    assert v.position == "result"
    requests: list[str] = []
    v.page.on("request", lambda r: requests.append(r.url) if "favicon" not in r.url else None)  # the browser's own
    v.page.locator(".phases [data-phase=forward]").click()
    assert (v.position, v.seen(["type", "heatmap"])) == ("forward-1", 1)
    v.page.keyboard.press("Escape")
    v.page.evaluate("document.activeElement.blur()")
    v.page.keyboard.press("ArrowRight")
    assert (v.position, v.seen(["type", "heatmap"])) == ("forward-2", 2)
    assert float(v.term("zt").replace("−", "-")) == pytest.approx(
        float(v.term("Wih xt + bih").replace("−", "-")) + float(v.term("Whh ht−1 + bhh").replace("−", "-")), abs=2e-3
    )
    assert v.seen(["fill", "toself"]) == 0  # no gradient yet
    v.page.locator(".phases [data-phase=backward]").click()
    v.page.keyboard.press("ArrowRight")
    assert v.position == "backward-5"
    assert v.seen(["fill", "toself"]) == 5  # one edge
    assert v.seen(2, "gradient") == 1  # the mark on the curve beside it
    v.page.keyboard.press("ArrowLeft")
    assert v.position == "backward-6"
    v.page.locator(".phases [data-phase=clip]").click()
    v.page.locator(".motion .replay .play").click()
    v.until(lambda: v.position == "result")
    assert v.seen(["fill", "toself"]) == 5 * 5
    assert requests == []


def test_every_position_has_an_address(visit):
    v = visit("?seq_length=30#backward-28")
    v.until(lambda: v.position == "backward-28")
    assert "t = 28" in v.text(".motion .says")
    v.page.locator(".phases [data-phase=clip]").click()
    assert v.page.url.endswith("?seq_length=30#clip")
    v.page.locator(".motion .replay input").fill("3")
    assert v.page.url.endswith("#forward-4")
    v.page.reload()
    v.drawn()
    v.until(lambda: v.position == "forward-4")
    v.page.goto(f"{v.server.url}/motion?seq_length=30#nonsense")  # the same page: a word of the address that is none
    v.page.wait_for_timeout(200)
    assert v.position == "forward-4"


def test_a_unit_and_a_timestep_are_chosen_where_it_stands(visit):
    v = visit("?seq_length=60&num_layers=2#backward-59")
    v.until(lambda: v.position == "backward-59")
    unit = v.page.locator(".st-key-motion_unit input")
    unit.fill("7")
    unit.press("Enter")
    v.until(lambda: "unit 7 of layer 1" in v.text(".motion .about"))
    assert v.position == "backward-59"
    v.page.locator(".st-key-why_layer_2").get_by_text("layer 2").click()
    v.until(lambda: "unit 7 of layer 2" in v.text(".motion .about"))
    slider = v.page.locator(".st-key-motion_around input[type=range]")
    before = v.text("#motion-unrolled p")
    slider.focus()
    slider.press("Home")
    slider.press("PageUp")
    v.until(lambda: v.text("#motion-unrolled p") != before)


def test_a_timestep_that_is_pointed_at_is_marked_in_all_pictures(visit):
    v = visit("?seq_length=40#backward-1")
    v.until(lambda: v.position == "backward-1")
    v.page.locator("#motion-gradient .plot").hover(position={"x": 200, "y": 60})
    marks = v.page.locator(".motion .cross:not([hidden])")
    v.until(lambda: marks.count() >= 1)
    box = v.page.locator("#motion-unrolled .plot").bounding_box()
    v.page.mouse.move(box["x"] + 90, box["y"] + 120)
    v.until(lambda: v.page.locator("#motion-gradient .cross:not([hidden])").count() == 1)
    assert v.text("#motion-gradient .cross .said").startswith("t = ")
    v.page.mouse.move(5, 5)
    v.until(lambda: marks.count() == 0)


def test_on_explore_the_two_axes_are_marked_apart(browser, server):
    v = Visitor(browser, server, "?seq_length=20")
    v.press("step")
    v.until(lambda: v.step == 1)
    box = v.page.locator("#flow .plot").bounding_box()
    v.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    v.until(lambda: v.page.locator("#task .cross:not([hidden]), #state .cross:not([hidden])").count() == 2)
    assert v.page.locator("#loss .cross:not([hidden])").count() == 0
    told = v.text("#state .cross .said")
    heard = v.page.evaluate("[...document.querySelector('#task .js-plotly-plot').data[0].y]")
    value = heard[int(told.removeprefix("t = ")) - 1]
    assert value == pytest.approx(float(v.text("#task .cross .said b")), abs=5e-3)
    v.press("step")
    v.until(lambda: v.step == 2)
    v.page.locator("#flow .graph").focus()
    v.page.keyboard.press("Tab")
    v.page.keyboard.press("Shift+Tab")
    v.page.keyboard.press("ArrowLeft")
    v.until(lambda: v.page.locator("#flow .cross:not([hidden]) .said:not([hidden])").count() == 1)
    assert v.step == 2  # the arrows are the picture's while it has the focus
    v.page.keyboard.press("Escape")
    v.until(lambda: v.page.locator(".cross:not([hidden])").count() == 0)
    v.context.close()
    assert v.errors == []


def test_it_follows_the_theme_and_fits_a_phone(visit):
    v = visit("?cell=lstm#backward-99", color_scheme="dark")
    assert v.page.locator(".motion.dark").count() == 1
    v.page.set_viewport_size({"width": 390, "height": 844})
    v.until(lambda: v.page.evaluate("document.querySelector('.motion').clientWidth") < 380)
    v.page.locator(".phases [data-phase=backward]").click()
    assert v.page.evaluate("document.documentElement.scrollWidth") <= 390
    over = "document.querySelector('.motion .over')"
    assert v.page.evaluate(
        f"{over}.scrollWidth > {over}.clientWidth && {over}.scrollLeft > 0"
    )  # what is computed is in view
