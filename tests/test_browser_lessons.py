"""A lesson in a real browser: from the guess to a check that turns to done while the network trains."""

import pytest

from app.lessons import LESSONS
from tests.test_browser import Visitor
from tests.visits import visits

pytestmark = pytest.mark.browser


class Student(Visitor):
    """A visitor of one lesson."""

    def drawn(self) -> None:
        self.page.wait_for_selector(".st-key-lesson_guess .question, .st-key-lesson_list button")

    def click(self, key: str) -> None:
        self.page.locator(f".st-key-{key} button").first.click()

    def guess(self, name: str, number: int = 0) -> None:
        self.click(f"guess_{name}_{number}")
        self.page.wait_for_selector(".st-key-lesson_to_try button")

    def stage(self) -> None:
        self.page.wait_for_selector("#stage .js-plotly-plot")
        self.until(lambda: self.text(".what"))


study = visits(Student, "lessons")


def test_a_lesson_from_the_list_to_its_pictures(study):
    v = study()
    assert v.page.locator(".st-key-lesson_list button").count() == len(LESSONS)
    v.click("lesson_vanish")
    v.until(lambda: v.page.url.endswith("/lessons?lesson=vanish"))
    assert v.page.locator("#stage").count() == 0, "nothing is shown before a guess"
    v.guess("vanish", 1)
    assert "(your guess)" in v.text(".st-key-answer_1")
    v.click("lesson_to_try")
    v.stage()
    assert v.page.locator("#stage figure").count() == 2
    assert v.page.locator("#flow").bounding_box()["y"] < v.page.locator("#loss").bounding_box()["y"]
    assert v.page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "one screen"
    v.slide("gain", "ArrowLeft", 8)
    v.until(lambda: "gain=0.5" in v.page.url and "half-life 1.3 steps" in v.text("#stage .why"))
    v.click("lesson_to_why")
    v.page.wait_for_selector(".st-key-lesson_text .katex-display")
    v.page.reload()
    v.drawn()
    v.until(lambda: "gain=0.5" in v.page.url and "lesson=vanish" in v.page.url)


def test_the_check_turns_to_done_while_it_trains(study):
    v = study("?lesson=lstm")
    v.guess("lstm")
    v.click("lesson_to_try")
    v.stage()
    v.slide("forget_bias", "ArrowRight", 2)
    v.until(lambda: "forget_bias" not in v.page.url)
    v.click("lesson_to_why")
    v.click("lesson_to_check")
    v.until(lambda: "Not yet." in v.text("p.reading"))
    slider = v.page.locator(".st-key-forget_bias").bounding_box()
    v.speed("0")
    v.press("play")
    v.until(lambda: v.text("p.reading").startswith("✓ Done."), 30)
    v.press("play")
    v.until(lambda: v.page.locator(".st-key-lesson_next button").is_enabled())
    assert v.page.locator(".st-key-forget_bias").bounding_box() == slider, "it jumped"
    v.click("lesson_back")
    v.page.wait_for_selector(".st-key-lesson_list button")
    assert "check_circle" in v.text(".st-key-lesson_lstm")
    v.page.go_back()
    v.page.wait_for_selector("p.reading")


def test_a_lesson_fits_a_phone(study):
    v = study("?lesson=activation")
    v.page.set_viewport_size({"width": 390, "height": 844})
    v.guess("activation", 2)
    v.click("lesson_to_try")
    v.stage()
    assert v.page.evaluate("document.documentElement.scrollWidth") <= 390
    text, stage = (v.page.locator(s).bounding_box() for s in (".st-key-lesson_text", "#stage"))
    assert text["y"] + text["height"] <= stage["y"] + 1
