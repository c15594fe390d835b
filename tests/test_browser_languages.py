"""Two languages in a real browser: the one it asks for, the switch, and what is kept when it is used."""

import pytest

from .test_browser import Visitor

pytestmark = pytest.mark.browser


@pytest.fixture
def visitor(browser, server):
    visitor = Visitor(browser, server, "explore?seq_length=50", locale="zh-CN")
    yield visitor
    visitor.context.close()


def test_the_browsers_language_and_the_switch(visitor):
    page = visitor.page
    visitor.until(lambda: visitor.text("#stage .badge b") == "消失")
    assert visitor.text("#flow h2") == "有多少梯度传到第 t 步？"
    assert visitor.text("#stage button.play span") == "播放"
    assert "lang=" not in page.url
    page.locator("#stage button.play").click()
    visitor.until(lambda: page.evaluate("__stage.run?.step ?? 0") > 5 or "第" in visitor.text("#stage .scrub output"))
    page.locator(".st-key-language_switch button", has_text="EN").click()
    visitor.until(lambda: visitor.text("#flow h2") == "How much gradient reaches step t?")
    assert "lang=en" in page.url
    assert "seq_length=50" in page.url
    assert visitor.text("#stage button.play span") in ("Play", "Pause")
    visitor.until(lambda: visitor.text("#stage .scrub output") not in ("", "step 0"))  # the run went on
    page.go_back()
    visitor.until(lambda: visitor.text("#flow h2") == "有多少梯度传到第 t 步？")
    assert not visitor.errors
