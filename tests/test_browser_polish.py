"""Small things that visitors stumbled over, in a real browser."""

from itertools import pairwise
from typing import Any

import pytest

from .test_browser import Visit, visit

__all__ = ["visit"]  # the fixture
pytestmark = pytest.mark.browser


def test_who_makes_it_explode_is_told_and_can_stop_it_by_clipping(visit: Visit) -> None:
    page = visit("?hidden_size=64&gain=2.5&optimizer=sgd&lr=0.01&clip=none")
    assert page.text(".why").startswith("The next update will be")
    assert page.text(".verdict .on") == "Clip at 1"
    page.press("step")
    page.until(lambda: page.text(".badge b") == "Lost")
    assert page.text(".what").startswith("Step 0 threw the weights away: ‖g‖ was 10")
    page.press("begin_clipped")
    page.until(lambda: page.text(".badge b") == "Exploding" and page.step == 0)
    page.until(lambda: "clip=none" not in page.page.url)
    page.press("step")
    page.until(lambda: page.step == 1)
    assert page.text(".badge b") == "Exploding"  # the gradient still is, but the network lives
    assert page.page.locator(".verdict .on button").count() == 0


PRESS = """(n) => { for (let i = 0; i < n; i++) document.body.dispatchEvent(
    new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true, cancelable: true, repeat: %s })) }"""


def test_presses_while_a_step_is_under_way_count(visit: Visit) -> None:
    page: Any = visit("?hidden_size=16&seq_length=50")
    page.page.evaluate(PRESS % "false", 7)
    page.until(lambda: page.step == 7)
    page.page.evaluate(PRESS % "true", 7)  # a key that is held down asks for one at a time: nothing goes on after it
    page.until(lambda: page.step == 8)
    page.page.wait_for_timeout(300)
    assert page.step == 8
    page.page.keyboard.press("r")
    page.until(lambda: page.step == 0)
    page.page.keyboard.press("ArrowRight")
    page.until(lambda: page.step == 1)


APART = """async () => {
    const { apart } = await import(new URL('assets/stage/labels.js', document.baseURI).href)
    const line = { key: 'line', x: 0, w: 300, y: 28, h: 3, fixed: true }
    const labels = [{ key: 'a', x: 90, w: 60, y: 18, h: 17 }, { key: 'b', x: 90, w: 60, y: 12, h: 17 }]
    return apart([line, ...labels], 130).map(({ key, y, h }) => [key, y - h / 2, y + h / 2]) }"""


def test_two_labels_between_a_line_and_the_edge_do_not_cover_each_other(visit: Visit) -> None:
    """There is room for one of them: the other goes over the line."""
    page: Any = visit("?hidden_size=8&seq_length=20")
    placed = sorted(page.page.evaluate(APART), key=lambda box: box[1])
    assert all(low[2] <= high[1] + 1 for low, high in pairwise(placed)), placed
    assert placed[0][1] >= 0
