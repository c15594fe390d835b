"""Compare in a real browser: from Explore by a button, in lock-step, and back; seeds in the background."""

import re

import pytest

from tests.test_browser import Visitor
from tests.visits import visits

pytestmark = pytest.mark.browser

SMALL = "hidden_size=8&batch_size=4&seq_length=20"


class Comparer(Visitor):
    """A visitor of Compare."""

    def curves(self, picture: str) -> list[list[float | None]]:
        return self.page.evaluate(
            "(id) => document.querySelector(`#${id} .js-plotly-plot`).data.map((t) => Array.from(t.y ?? []))", picture
        )

    @property
    def heading(self) -> str:
        return self.text("h2.versus")


visit = visits(Comparer)


def test_from_explore_what_was_changed_last_is_compared_and_both_train_in_lock_step(visit):
    v = visit(f"?{SMALL}")
    v.slide("gain", "ArrowRight", 3)
    v.until(lambda: "gain=1.05" in v.page.url)
    v.page.locator(".st-key-duplicate button").first.click()
    v.until(lambda: v.page.locator("h2.versus").count())
    v.until(lambda: v.heading == "Gain: 1.05 against 0.90")
    v.until(lambda: v.page.locator("#gap .js-plotly-plot").count())
    assert "versus=gain%3A0.9" in v.page.url
    assert v.page.locator("#stage .runs tbody tr").count() == 2
    v.speed("0")
    v.press("play")
    v.until(lambda: v.step > 60)
    v.press("play")
    v.until(lambda: "Play" in v.text("#stage .play"))
    loss = v.curves("loss")
    assert len(loss[0]) == len(loss[2])  # the training losses of both
    assert re.search(r"After [\d,]+ steps", v.text(".why"))
    v.page.locator(".scrub input").fill("10")
    v.until(lambda: v.step <= 20)
    v.page.locator(".st-key-versus_first button").first.click()  # 0.90 becomes the base
    v.until(lambda: v.heading == "Gain: 0.90 against 1.05")
    v.until(lambda: v.text("#stage .runs tbody tr:first-child th").strip() == "0.90")


def test_over_seeds_there_are_bands_and_a_count(visit):
    v = visit(f"compare?{SMALL}&versus=lr:0.1")
    v.page.locator(".st-key-versus_seeds button", has_text="5 seeds").click()
    v.until(lambda: v.page.locator(".st-key-compare .still .js-plotly-plot").count() == 4, 60)
    v.until(lambda: v.page.locator(".st-key-versus_wait").count() == 0, 60)
    assert "of 5 seeds" in v.text("table.runs")
    v.until(lambda: "Learning rate 0.1 ends with" in v.text(".st-key-compare p.answer + p.more"))
    v.page.locator(".st-key-versus_seeds button", has_text="one run").click()
    v.until(lambda: v.page.locator("#gap .js-plotly-plot").count())
