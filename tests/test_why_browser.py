"""The Why page in a real browser: pictures are painted, the theme is followed, and Explore is as it was on return."""

import pytest

from tests.test_browser import Visitor
from tests.visits import visits

pytestmark = pytest.mark.browser


class Asker(Visitor):
    """A visitor who wants to know why."""

    def ask(self, *names: str) -> None:
        self.page.get_by_role("link", name="Why").first.click()
        self.page.wait_for_selector(".st-key-why [data-testid=stExpander]")
        for name in names:
            self.page.locator(f".st-key-why_{name} summary").click()
            self.page.wait_for_selector(f".st-key-why_{name} p.answer")

    def painted(self, name: str) -> int:
        """Pictures of a panel that show something."""
        return self.page.locator(f".st-key-why_{name} .still figure:has(.hm image, .trace path)").count()


visit = visits(Asker)


def test_on_a_phone_the_sidebar_goes_when_another_page_comes(visit):
    v = visit("?hidden_size=8&batch_size=4&seq_length=20")
    v.page.set_viewport_size({"width": 390, "height": 844})
    v.page.reload()
    v.drawn()
    sidebar = v.page.locator("[data-testid=stSidebar]")
    v.page.click("[data-testid=stExpandSidebarButton]")
    v.until(lambda: sidebar.get_attribute("data-collapsed") == "false")
    v.page.get_by_role("link", name="Why").first.dispatch_event("click")  # which it covers: as a key or a link would
    v.page.wait_for_selector(".st-key-why [data-testid=stExpander]")
    v.until(lambda: sidebar.get_attribute("data-collapsed") == "true")


def test_the_last_picture_leaves_no_place_empty(visit):
    for width, in_a_row in ((1280, 2), (1920, 3)):
        v = visit("?hidden_size=8&batch_size=4&seq_length=20")
        v.page.set_viewport_size({"width": width, "height": 900})
        v.ask("spectrum")
        v.until(lambda v=v: v.painted("spectrum") == 3)
        boxes = [figure.bounding_box() for figure in v.page.locator(".st-key-why_spectrum .still figure").all()]
        assert sum(box["y"] == boxes[0]["y"] for box in boxes) == in_a_row
        ends = [box["x"] + box["width"] for box in boxes]
        assert ends[-1] == pytest.approx(max(ends), abs=1)


def test_every_question_is_answered_for_the_network_that_was_trained(visit):
    v = visit("?cell=lstm&hidden_size=8&batch_size=4&seq_length=20")
    v.page.select_option(".speed select", "0")
    v.page.click("[data-do=play]")
    v.page.wait_for_function("window.__stage.step >= 30")
    v.page.click("[data-do=play]")
    v.ask("credit", "spectrum", "exponents", "gates")
    for name, pictures in (("credit", 3), ("spectrum", 3), ("exponents", 2), ("gates", 6)):
        v.until(lambda name=name, n=pictures: v.painted(name) == n)
    said = v.text(".st-key-why p.state")
    step = int("".join(c for c in said if c.isdigit()))
    assert step >= 30
    assert "/why?" in v.page.url
    assert "cell=lstm" in v.page.url
    v.page.get_by_role("link", name="Explore").first.click()
    v.page.wait_for_selector("#stage .js-plotly-plot")
    v.until(lambda: v.page.evaluate("window.__stage.step") == step)  # nothing began again
    v.page.get_by_role("link", name="Why").first.click()
    v.until(lambda: v.painted("spectrum") == 3)  # the panels are open as they were left


def test_the_lenses(visit):
    v = visit("?cell=lstm&hidden_size=8&batch_size=4&seq_length=20&clip=value&clip_threshold=0.01")
    v.page.select_option(".speed select", "0")
    v.page.click("[data-do=play]")
    v.page.wait_for_function("window.__stage.step >= 10")
    v.page.click("[data-do=play]")
    v.ask("floats", "update", "clipping")
    for name, pictures in (("floats", 3), ("update", 5), ("clipping", 5)):
        v.until(lambda name=name, n=pictures: v.painted(name) == n)
    layout = "document.querySelector('#still-plane .graph')._fullLayout"
    unit = "(a) => a._length / (a.range[1] - a.range[0])"
    wide, high = v.page.evaluate(f"[{layout}.xaxis, {layout}.yaxis].map({unit})")
    assert abs(wide - high) < 0.02 * high  # an angle on the screen is the angle
    ticks = v.page.locator("#still-scatter .words > [aria-hidden=true]").all_text_contents()
    assert sum(text.startswith("10") for text in ticks) > 3  # decades, not their logarithms


def test_the_pictures_follow_the_theme_and_fit_a_phone(visit):
    v = visit("?hidden_size=8&batch_size=4&seq_length=20", color_scheme="dark")
    v.ask("credit")
    v.until(lambda: v.painted("credit") == 3)
    assert v.page.locator(".still.dark").count() == 1
    ink = "getComputedStyle(document.querySelector('.still h2')).color"
    v.until(lambda: v.page.evaluate(ink) == "rgb(232, 234, 237)")
    v.page.set_viewport_size({"width": 390, "height": 844})
    v.until(lambda: v.page.evaluate("document.querySelector('.still figure').clientWidth") < 360)
    assert v.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_direct_link_to_the_question(visit):
    v = visit()
    v.page.goto(f"{v.server.url}/why?gain=1.5&hidden_size=8&batch_size=4&seq_length=20")
    v.page.wait_for_selector(".st-key-why [data-testid=stExpander]")
    assert "gain=1.5" in v.page.url


def test_a_step_is_held_while_it_trains_and_scrubbed_as_in_explore(visit):
    v = visit("?hidden_size=8&batch_size=4&seq_length=20")
    v.page.select_option(".speed select", "0")
    v.page.click("[data-do=play]")
    v.page.wait_for_function("window.__stage.step >= 50")
    v.ask("credit")

    def at() -> int:
        return int("".join(c for c in v.text(".st-key-why p.state") if c.isdigit()))

    def newest() -> int:
        return int("".join(c for c in v.text(".st-key-why_newest") if c.isdigit()))

    first = at()
    assert first >= 50
    v.until(lambda: v.page.locator(".st-key-why_newest").count())
    seen = newest()
    v.until(lambda: newest() > seen)  # training goes on while the page is open
    v.page.locator(".st-key-why_credit summary").click()
    v.page.locator(".st-key-why_gates summary").click()
    v.page.wait_for_selector(".st-key-why_gates p.answer")
    assert at() == first
    v.page.click(".st-key-why_newest button")
    v.until(lambda: at() > first)
    v.page.click(".st-key-why_play button")
    v.until(lambda: "Train" in v.text(".st-key-why_play"))
    slider = v.page.locator(".st-key-why_film input[type=range]")
    slider.focus()
    v.page.keyboard.press("Home")
    v.until(lambda: at() == 0)
    for _ in range(3):
        slider.focus()
        v.page.keyboard.press("ArrowRight")
    v.until(lambda: at() > 0)
    v.page.wait_for_timeout(700)  # what was pressed last has come through
    step = at()
    v.page.get_by_role("link", name="Explore").first.click()
    v.page.wait_for_selector("#stage .js-plotly-plot")
    v.until(lambda: v.page.evaluate("window.__stage.step") == step)


def test_played_here_it_goes_on_and_the_film_grows(visit):
    v = visit("?hidden_size=8&batch_size=4&seq_length=20")
    v.ask("over_training")
    v.page.click(".st-key-why_play button")
    v.until(lambda: "was" in v.text(".st-key-why_over_training p.answer"))  # λ₁ was … at step 0 and is …
    before = v.text(".st-key-why_over_training p.answer")
    v.until(lambda: v.text(".st-key-why_over_training p.answer") != before)


def test_the_landscape_and_the_film_of_a_run(visit):
    v = visit("?hidden_size=8&batch_size=4&seq_length=20")
    v.page.select_option(".speed select", "0")
    v.page.click("[data-do=play]")
    v.page.wait_for_function("window.__stage.step >= 50")
    v.page.click("[data-do=play]")
    v.ask("over_training", "landscape")
    v.until(lambda: v.painted("over_training") == 3)
    v.until(lambda: v.painted("landscape") == 2)
    said = v.text(".st-key-why_landscape p.answer")
    v.page.click(".st-key-why_other button")
    v.until(lambda: v.text(".st-key-why_landscape p.answer") != said)
    v.page.get_by_text("the run's own plane").click()
    v.until(lambda: "plane holds the run" in v.text("#still-surface p"))
