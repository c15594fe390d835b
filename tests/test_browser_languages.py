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


def test_no_control_keeps_a_word_of_the_language_before(visitor):
    page = visitor.page
    visitor.until(lambda: visitor.text("#stage .badge b") == "消失")
    page.locator(".st-key-language_switch button", has_text="EN").click()
    visitor.until(lambda: visitor.text("#flow h2") == "How much gradient reaches step t?")
    words = [box.input_value() for box in page.locator(".st-key-controls [role=combobox]").all()]
    assert "normal, gain/√H" in words
    assert not [word for word in words if any("\u4e00" <= c <= "\u9fff" for c in word)]
    page.locator(".st-key-language_switch button", has_text="中文").click()
    visitor.until(lambda: visitor.text("#flow h2") == "有多少梯度传到第 t 步？")
    assert "正态，增益/√H" in [box.input_value() for box in page.locator(".st-key-controls [role=combobox]").all()]
    page.locator("#stage button", has_text="换种子").click()  # the experiment is still what the controls say
    visitor.until(lambda: "seed=" in page.url)
    said = {word.split("=")[0] for word in page.url.split("?")[1].split("&")}
    assert said == {"seq_length", "lang", "seed"}


def test_a_file_is_asked_for_in_the_readers_language(visitor):
    """Streamlit's own words for that are English in every language."""
    page = visitor.page
    page.locator(".st-key-take button").first.click()
    zone = page.locator("[data-testid=stFileUploaderDropzone]")
    zone.wait_for()
    after = "(e) => getComputedStyle(e, '::after').content"
    button = zone.locator("button [data-testid=stMarkdownContainer]")
    assert button.evaluate(after) == '"选择文件"'
    assert button.locator("p").is_hidden()
    limit = zone.locator("[data-testid=stFileUploaderDropzoneInstructions] span")
    assert "最多 32 MB" in limit.evaluate(after)
    assert limit.evaluate("(e) => getComputedStyle(e).fontSize") == "0px"


def test_another_language_leaves_the_slider_at_its_step(visitor):
    """What it offers are words: it fell back to step 0, below a sentence that said step 1."""
    page = visitor.page
    visitor.until(lambda: visitor.text("#stage .badge b") == "消失")
    page.locator("#stage [data-do=step]").click()
    visitor.until(lambda: "1" in visitor.text("#stage .scrub output"))
    page.locator("a[href*='/why']").first.click()
    value = page.locator(".st-key-why_film [data-testid=stSliderThumbValue]")
    value.wait_for()
    assert "1" in value.inner_text()
    page.locator(".st-key-language_switch button", has_text="EN").click()
    visitor.until(lambda: value.inner_text().startswith("step"))
    assert value.inner_text() == "step 1"
    assert "at step 1:" in visitor.text(".st-key-why p.state")


def test_streamlits_menu_is_in_the_readers_language(visitor):
    page = visitor.page
    visitor.until(lambda: visitor.text("#stage .badge b") == "消失")
    page.locator("[data-testid=stMainMenu] button, [data-testid=stMainMenuButton]").first.click()
    words = "'[data-testid^=stMainMenuItem-theme-], [data-testid=stMainMenuItemLabel]'"
    drawn = "[getComputedStyle(e).fontSize, getComputedStyle(e, '::after').content]"
    said = f"() => [...document.querySelectorAll({words})].map((e) => {drawn})"
    visitor.until(lambda: len(page.evaluate(said)) == 5)
    assert page.evaluate(said) == [["0px", f'"{word}"'] for word in ("系统", "浅色", "深色", "打印", "录制屏幕")]
