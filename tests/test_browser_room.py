"""A room in real browsers: the lecturer's, and a student's phone."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .conftest import Server

pytestmark = pytest.mark.browser
SMALL = "hidden_size=8&seq_length=20&batch_size=4"


class Tab:
    def __init__(self, browser: Any, server: Server, path: str, **more: Any) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | more))
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{server.url}/{path}")

    def drawn(self) -> None:
        self.page.wait_for_function("window.__stage?.frames > 0 && document.querySelector('#flow .js-plotly-plot')")

    def until(self, condition: str, argument: Any = None) -> None:
        """Of JavaScript."""
        self.page.wait_for_function(condition, arg=argument)

    def text(self, selector: str) -> str:
        found: str = self.page.locator(selector).first.inner_text()
        return found

    def says(self, selector: str, text: str) -> None:
        self.until("([s, t]) => document.querySelector(s)?.textContent.includes(t)", [selector, text])

    def click(self, selector: str, nth: int = 0) -> None:
        self.page.locator(selector).nth(nth).click()

    @property
    def step(self) -> int:
        return int(re.sub(r"\D", "", self.text(".scrub output")) or 0)


Open = Callable[..., Tab]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def tab(browser: Any, server: Server) -> Iterator[Open]:
    tabs: list[Tab] = []

    def open_one(path: str, **more: Any) -> Tab:
        tabs.append(Tab(browser, server, path, **more))
        return tabs[-1]

    yield open_one
    for each in tabs:
        each.context.close()
        assert each.errors == []


def lecture(tab: Open) -> tuple[Tab, str]:
    """A lecturer with an open room, and its code."""
    lecturer = tab(f"explore?{SMALL}")
    lecturer.drawn()
    lecturer.click(".st-key-open_room button")
    code = lecturer.text(".st-key-room_join p.code")
    assert lecturer.page.locator(".st-key-room_join img").bounding_box()["height"] > 300, "from the back row"
    lecturer.page.keyboard.press("Escape")
    lecturer.page.wait_for_selector("#host .count")
    return lecturer, code


def ask(lecturer: Tab) -> None:
    lecturer.click(".st-key-room_menu [data-testid=stPopoverButton]")
    lecturer.click(".st-key-room_ask button")


def test_a_lecture_with_a_question(tab):
    lecturer, code = lecture(tab)
    student = tab(f"room?room={code}", **PHONE)
    student.drawn()
    lecturer.says("#host .count", "1 watching")
    assert student.page.locator("#stage .player").is_hidden()
    assert student.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut on a phone"

    box = lecturer.page.locator("#flow .plot").bounding_box()
    lecturer.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    student.until("() => document.querySelector('#flow.pointed .pointer b')?.textContent.startsWith('t = ')")
    assert student.page.locator("#task .pointer").count() == 1, "the same t in every picture along t"
    assert student.page.locator("#loss .pointer").count() == 0

    ask(lecturer)
    student.page.wait_for_selector("#room .card li button:enabled")
    assert student.page.locator("#stage").is_hidden()
    assert student.page.locator("#room .from_here").is_disabled()
    lecturer.until(
        "() => document.elementFromPoint(700, 400)?.closest('#host')"
    )  # the screen in the hall hides them too
    assert "%" not in student.text("#room .card ol"), "no votes before one's own"
    student.click("#room .card li button", 1)
    lecturer.says("#host .card ol", "1 (100 %)")
    student.says("#room .card li.mine", "your guess")
    student.page.reload()
    student.says("#room .card li.mine", "your guess")
    student.click("#room .card li button", 0)
    lecturer.says("#host .card li:first-child", "1 (100 %)")
    lecturer.click("#host footer button")
    student.says("#room .card li.right", "right")
    student.says("#room .card .foot", "Your guess was")
    lecturer.says("#host .card li.right", "right")
    student.until("() => document.querySelector('#stage').checkVisibility()")


def test_a_student_takes_the_run_and_leaves_the_lecturer_alone(tab):
    lecturer, code = lecture(tab)
    student = tab("room")
    student.page.locator(".st-key-join_code input").fill("no<b>")
    student.page.keyboard.press("Enter")
    student.says("[data-testid=stMain]", "There is no open room “no<b>”")
    student.page.locator(".st-key-join_code input").fill(code.lower())
    student.page.keyboard.press("Enter")
    student.drawn()
    lecturer.click("#stage [data-do=step]")
    student.until("() => document.querySelector('.scrub output').textContent === 'step 1'")
    student.click("#room .from_here")
    student.page.wait_for_selector("#stage[data-mode=explore]")
    student.until("() => document.querySelector('.scrub output').textContent === 'step 1'")
    student.click("#stage [data-do=step]")
    student.until("() => document.querySelector('.scrub output').textContent === 'step 2'")
    assert lecturer.step == 1
    lecturer.says("#host .count", "0 watching")

    student.click(".st-key-room_back button")
    student.page.wait_for_selector("#room header .code")
    student.drawn()
    student.context.set_offline(True)
    student.says("#stage .what", "Connection lost")
    student.context.set_offline(False)
    student.until("() => document.querySelector('#stage').dataset.state === 'ready'")
    lecturer.page.reload()
    student.says("#room .notice", "The lecturer is away")
    lecturer.click(".st-key-room_lost button")
    student.until("() => document.querySelector('#room .notice').hidden")
    lecturer.click(".st-key-room_menu [data-testid=stPopoverButton]")
    lecturer.click(".st-key-room_close button")
    student.says("#stage .what", "This room is closed")
    lecturer.page.wait_for_selector(".st-key-open_room button")
