"""The page in a real browser against a real server: what a visitor does, and what the server has to let go of."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.sync.client import connect

import engine
from app.controls import CONTROLS
from app.frames import decode

from .conftest import Server
from .visits import visits

pytestmark = pytest.mark.browser


# Watch `n` animation frames: in how many is one of the six pictures missing or empty, and how often was it painted?
BLANK_FRAMES = """(n) => new Promise((done) => {
    const from = __stage.frames, empty = (plot) => !plot.querySelector('.hm image, .trace :is(path, text)')
    let blank = 0
    const look = () => {
        const plots = [...document.querySelectorAll('#stage .js-plotly-plot')]
        if (plots.length !== 6 || plots.some(empty)) blank++
        if (n-- > 0) requestAnimationFrame(look)
        else done([blank, __stage.frames - from])
    }
    look()
})"""


# Of one picture: the pixels of the numbers beside its axes, and of the values that Plotly has there.
TICKS = """(id) => {
    const plot = document.querySelector(`#${id} .graph`), { left, top } = plot.getBoundingClientRect()
    const { xaxis, yaxis, _size } = plot._fullLayout, x0 = left + _size.l, y0 = top + _size.t, sorted = (a) => a.sort((a, b) => a - b)
    const shown = (axis) => sorted(axis.tickvals.map((v) => axis.c2p(v)).filter((p) => p >= -1 && p <= axis._length + 1))
    const words = [...document.querySelectorAll(`#${id} .words > [aria-hidden=true]`)].map((e) => e.getBoundingClientRect())
    const below = words.filter((r) => r.top > y0 + _size.h).map((r) => (r.left + r.right) / 2 - x0)
    const beside = words.filter((r) => r.right < x0).map((r) => (r.top + r.bottom) / 2 - y0)
    return { words: words.length, below: sorted(below), beside: sorted(beside), x: shown(xaxis), y: shown(yaxis) }
}"""  # noqa: E501


class Visitor:
    """A tab, and what it shows."""

    def __init__(self, browser: Any, server: Server, query: str = "", sockets: bool = True, **context: Any) -> None:
        self.server = server
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.errors: list[str] = []
        self.sockets: list[Any] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("websocket", lambda socket: self.sockets.append(socket) if "/live/" in socket.url else None)
        if not sockets:
            self.page.route_web_socket(re.compile("/live/"), lambda socket: socket.close(code=1011))
        path = query if query[:1] not in ("", "?") else "explore" + query
        self.page.goto(f"{self.server.url}/{path}")
        self.drawn()

    def drawn(self) -> None:
        self.page.wait_for_function("window.__stage?.frames > 0")
        self.until(lambda: self.text(".what"))
        self.until(
            lambda: self.page.locator("#flow .js-plotly-plot").count(), 60
        )  # after a change of the engine it compiles

    def until(self, condition: Callable[[], Any], seconds: float = 15.0) -> Any:
        end = time.monotonic() + seconds
        while not (result := condition()):
            assert time.monotonic() < end, f"it did not happen in time; the page says: {self.said()}"
            self.page.wait_for_timeout(20)
        return result

    def said(self) -> str:
        """What the page shows, at once, for a message: where there is no stage, all of it."""
        return self.page.evaluate("(document.querySelector('#stage') ?? document.body).innerText.slice(0, 300)")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    @property
    def step(self) -> int:
        return int(re.sub(r"\D", "", self.text(".scrub output")) or 0)

    @property
    def numbers(self) -> dict[str, Any]:
        """The curves as drawn: gradient norms of picture 1, and the loss."""
        return {
            name: self.page.evaluate(
                "(id) => document.querySelector(`#${id} .js-plotly-plot`).data.map((t) => Array.from(t.y ?? []))", name
            )
            for name in ("flow", "loss")
        }

    @property
    def token(self) -> str:
        return self.sockets[-1].url.rsplit("/", 1)[1]

    def press(self, what: str) -> None:
        self.page.locator(f"#stage [data-do={what}]").first.click()

    def speed(self, value: str) -> None:
        self.page.locator("#stage .speed select").select_option(value)

    def slide(self, field: str, key: str, times: int = 1) -> None:
        self.page.locator(f".st-key-{field} input[type=range]").focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def close(self) -> None:
        self.context.close()


Visit = Callable[..., Visitor]


visit = visits(Visitor)


def reached(server: Server, token: str) -> dict[str, Any]:
    """The state of a run, asked for by another client."""
    host = server.url.removeprefix("http://")
    with connect(f"ws://{host}/live/{token}", origin=server.url) as socket:
        socket.send(json.dumps({"do": "theme", "value": "light"}))
        head, _ = decode(socket.recv(10))
        return head["run"]


def test_first_picture_is_there_before_any_training(visit):
    page = visit()
    assert page.step == 0
    assert page.text(".badge b") == "Vanishing"
    assert len(page.numbers["flow"][0]) == 100
    assert page.page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "it fits one screen"
    assert page.page.locator("#stage .js-plotly-plot").count() == 6


def test_play_moves_steps_and_loss_and_pause_stops_them(visit):
    page = visit()
    page.press("play")
    page.until(lambda: page.step > 5)
    page.press("play")
    page.until(lambda: page.text("#stage .play").strip() == "Play")
    page.page.wait_for_timeout(300)
    step, numbers = page.step, page.numbers
    assert len(numbers["loss"][0]) > 5
    page.page.wait_for_timeout(600)
    assert (page.step, page.numbers) == (step, numbers)
    page.press("step")
    page.until(lambda: page.step == step + 1)
    page.press("reset")
    page.until(lambda: page.step == 0)


def test_keys_play_step_and_reset(visit):
    page = visit()
    page.page.locator("#stage h2").first.click()
    page.page.keyboard.press("ArrowRight")
    page.until(lambda: page.step == 1)
    page.page.keyboard.press(" ")
    page.until(lambda: page.step > 4)
    page.page.keyboard.press(" ")
    page.page.keyboard.press("r")
    page.until(lambda: page.step == 0)


def test_the_scrubber_brings_a_step_back(visit):
    page = visit()
    at_start = page.numbers["flow"]
    page.press("play")
    page.until(lambda: page.step > 10)
    page.press("play")
    page.page.locator(".scrub input").evaluate(
        "(range) => { range.value = 0; range.dispatchEvent(new Event('input', { bubbles: true })) }"
    )
    page.until(lambda: page.step == 0)
    page.until(lambda: max(map(max, page.numbers["flow"])) == max(map(max, at_start)))


def test_a_control_changes_the_picture_and_the_link(visit):
    page = visit()
    before = page.numbers
    page.slide("gain", "ArrowRight", 4)
    page.until(lambda: "gain=1.1" in page.page.url)
    page.until(lambda: page.numbers["flow"] != before["flow"])
    assert page.step == 0
    page.page.get_by_text("LSTM", exact=True).click()
    page.until(lambda: "cell=lstm" in page.page.url)
    page.until(lambda: "gated" in page.text("#flow p") or page.numbers["flow"] != before["flow"])


def test_a_control_while_playing_starts_again_and_plays_on(visit):
    page = visit()
    page.press("play")
    page.until(lambda: page.step > 20)
    page.slide("gain", "ArrowLeft")
    page.until(lambda: page.step < 15)
    page.until(lambda: page.step > 20)


def test_the_learning_rate_changes_while_it_trains(visit):
    page = visit("?stop_steps=100000")
    page.speed("0")
    page.press("play")
    page.until(lambda: page.step > 100)
    page.slide("lr", "ArrowRight")
    page.until(lambda: "lr=0.003" in page.page.url)
    page.page.wait_for_timeout(500)
    step = page.step
    assert step > 100
    page.page.keyboard.press("Control+z")
    page.until(lambda: "lr" not in page.page.url)
    page.until(lambda: page.step > step)


def test_a_copied_link_and_a_reload_show_the_same_numbers(visit):
    page = visit("?cell=gru&gain=0.937&seed=5&task=temporal_order&lr=0.0123")
    numbers, verdict = page.numbers, page.text(".what")
    other = visit(page.page.url.removeprefix(page.server.url).lstrip("/"))
    assert (other.numbers, other.text(".what")) == (numbers, verdict)
    assert other.page.url == page.page.url
    page.page.reload()
    page.drawn()
    assert (page.numbers, page.text(".what")) == (numbers, verdict)


def test_back_and_forward(visit):
    page = visit()
    page.slide("gain", "ArrowRight")
    page.until(lambda: "gain=0.95" in page.page.url)
    page.page.wait_for_timeout(300)
    page.page.go_back()
    page.until(lambda: "gain" not in page.page.url)
    page.until(lambda: page.text(".st-key-gain [data-testid=stSliderThumbValue]") == "0.90")
    page.page.go_forward()
    page.until(lambda: page.text(".st-key-gain [data-testid=stSliderThumbValue]") == "0.95")


def test_new_seed_changes_the_link(visit):
    page = visit()
    page.press("seed")
    page.until(lambda: "seed=" in page.page.url)
    seed = re.search(r"seed=(\d+)", page.page.url).group(1)
    page.until(lambda: page.page.locator(".st-key-seed input").input_value() == seed)


def test_a_nonsense_link_says_what_was_wrong(visit):
    page = visit("?cell=%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D'hacked'%22%3E&gain=nan&foo=1")
    notice = page.page.locator(".st-key-notice")
    assert "Allowed: rnn, lstm, gru" in notice.inner_text()
    assert "a number from 0 to 10" in notice.inner_text()
    assert notice.locator("img").count() == 0
    assert page.page.title() != "hacked"
    notice.get_by_role("button").click()
    notice.wait_for(state="detached")
    assert page.page.url.rstrip("/?") == page.server.url + "/explore"


def choose_preset(page: Visitor, name: str) -> None:
    page.page.locator(".st-key-presets button").first.click()
    page.page.locator(f".st-key-preset_{name} button").first.click()


def boxes(page: Visitor) -> dict[str, Any]:
    """Where each control of the sidebar stands."""
    fields = [control.field for control in CONTROLS]
    return page.page.evaluate(
        """(fields) => Object.fromEntries(fields.map((field) => [field, document.querySelector(`.st-key-${field}`)])
        .filter(([, element]) => element).map(([field, element]) => {
            const { top, bottom, left, right } = element.getBoundingClientRect()
            return [field, [top, bottom, left, right].map(Math.round)]
        }))""",
        fields,
    )


def settled(page: Visitor) -> dict[str, Any]:
    """The same, once the parts of the page that Streamlit loads late are there."""
    places: dict[str, Any] = {}
    while places != (places := boxes(page)):
        page.page.wait_for_timeout(300)
    return places


def value(page: Visitor, field: str) -> str:
    return page.text(f".st-key-{field} [data-testid=stSliderThumbValue]")


def test_all_that_is_wanted_every_day_is_seen_without_scrolling(visit):
    page = visit()
    places = settled(page)
    assert set(places) == {control.field for control in CONTROLS if not control.more}
    assert all(0 <= top < bottom <= 800 and 0 <= left < right <= 292 for top, bottom, left, right in places.values())
    assert page.page.evaluate(
        "(({scrollHeight, clientHeight}) => scrollHeight <= clientHeight)"
        "(document.querySelector('[data-testid=stSidebarContent]'))"
    )


def test_no_control_moves_while_its_neighbours_are_played_with(visit):
    page = visit()
    places = settled(page)
    for name in ("LSTM", "GRU"):
        page.page.get_by_text(name, exact=True).click()
        page.until(lambda name=name: f"cell={name.lower()}" in page.page.url)
        assert boxes(page) == places
    page.slide("gain", "ArrowRight", 3)
    page.until(lambda: "gain=1.05" in page.page.url)
    assert boxes(page) == places
    choose_preset(page, "healthy")
    page.until(lambda: "preset=healthy" in page.page.url and "gain" not in page.page.url)
    page.page.wait_for_timeout(300)
    assert boxes(page) == places


def test_pointing_anywhere_at_a_label_says_what_the_control_and_the_choice_mean(visit):
    page = visit()
    label = page.page.locator(".st-key-clip [data-testid=stWidgetLabel]")
    box = label.bounding_box()
    said = page.page.locator("[data-testid=stTooltipContent]")
    for x in (5, box["width"] / 2, box["width"] - 5):
        label.hover(position={"x": x, "y": box["height"] / 2})
        said.wait_for()
        assert "the direction stays, the size is lost" in said.inner_text()
        assert "Pascanu, Mikolov & Bengio 2013" in said.inner_text()
        assert "\\" not in said.inner_text()
        page.page.mouse.move(700, 20)
        said.wait_for(state="detached")


def test_one_click_loads_a_preset_which_plays_on(visit):
    page = visit()
    page.press("play")
    page.until(lambda: page.step > 3)
    choose_preset(page, "healthy")
    page.until(lambda: page.page.url.endswith("?preset=healthy"))
    page.until(lambda: page.page.locator(".st-key-menu").count() == 0)
    assert page.text(".st-key-controls .meaning") == engine.PRESETS["healthy"].meaning
    page.until(lambda: page.step > 3)
    page.page.reload()
    page.drawn()
    assert page.text(".st-key-presets button") != "Default"
    assert value(page, "gain") == "1.00"


def test_a_changed_control_has_a_dot_until_it_is_put_back(visit):
    page = visit("?preset=healthy")
    label = "document.querySelector(`.st-key-${field} [data-testid=stWidgetLabel]`)"
    dot = f"(field) => getComputedStyle({label}, '::before').content"
    assert page.page.evaluate(dot, "gain") == "none"
    page.slide("gain", "ArrowRight")
    page.until(lambda: page.page.evaluate(dot, "gain") == '"•"')
    assert page.page.evaluate(dot, "lr") == "none"
    assert page.text(".st-key-changes p") == "Gain 1.00 → 1.05"
    page.page.locator(".st-key-put_back button").first.click()
    page.until(lambda: page.page.evaluate(dot, "gain") == "none")
    page.until(lambda: value(page, "gain") == "1.00")
    page.until(lambda: page.page.url.endswith("?preset=healthy"))


def test_undo_and_redo_by_keys(visit):
    page = visit()
    page.slide("gain", "ArrowRight")
    page.until(lambda: "gain=0.95" in page.page.url)
    page.page.get_by_text("GRU", exact=True).click()
    page.until(lambda: "cell=gru" in page.page.url)
    page.page.keyboard.press("Control+z")
    page.until(lambda: "cell" not in page.page.url)
    page.slide("gain", "ArrowLeft", 0)  # the keys belong to a slider
    page.page.keyboard.press("Control+z")
    page.until(lambda: "gain" not in page.page.url)
    page.until(lambda: value(page, "gain") == "0.90")
    page.page.keyboard.press("Control+Shift+z")
    page.until(lambda: "gain=0.95" in page.page.url)
    page.page.keyboard.press("Control+y")
    page.until(lambda: "cell=gru" in page.page.url)
    page.until(lambda: value(page, "gain") == "0.95")


def test_undo_keys_are_the_field_s_while_somebody_types(visit):
    page = visit()
    page.slide("gain", "ArrowRight")
    page.until(lambda: "gain=0.95" in page.page.url)
    page.page.locator(".st-key-seed input").click()
    page.page.keyboard.type("7")
    page.page.keyboard.press("Control+z")
    page.page.wait_for_timeout(500)
    assert "gain=0.95" in page.page.url
    assert value(page, "gain") == "0.95"


def test_undos_go_back_through_every_choice(visit):
    page = visit()
    for name in ("LSTM", "GRU", "RNN", "LSTM"):
        page.page.locator(".st-key-cell").get_by_text(name, exact=True).click()
        page.page.wait_for_timeout(300)
    for cell in ("", "cell=gru", "cell=lstm"):
        page.page.keyboard.press("Control+z")
        page.until(lambda cell=cell: cell in page.page.url if cell else "cell" not in page.page.url)
        page.page.wait_for_timeout(300)
    button = page.page.locator(".st-key-undo button").first
    page.until(lambda: not button.is_disabled())
    page.page.keyboard.press("Control+z")
    page.until(lambda: "cell" not in page.page.url)
    page.until(button.is_disabled)


def test_every_quick_press_of_undo_counts(visit):
    page = visit()
    for name in ("LSTM", "GRU", "RNN", "GRU"):
        page.page.locator(".st-key-cell").get_by_text(name, exact=True).click()
        page.until(
            lambda name=name: ("" if name == "RNN" else f"cell={name.lower()}") == page.page.url.partition("?")[2]
        )
    for _ in range(3):
        page.page.keyboard.press("Control+z")
    page.until(lambda: "cell=lstm" in page.page.url)
    for _ in range(2):
        page.page.keyboard.press("Control+y")
    page.until(lambda: "cell" not in page.page.url)
    page.page.wait_for_timeout(500)
    assert "cell" not in page.page.url


def test_a_click_right_after_a_move_takes_nothing_back(visit):
    """It brings the address of before the move, which must not pass for going back in the browser."""
    page = visit()
    for group in ("Task", "Start", "Training"):
        page.slide("gain", "ArrowRight")
        page.page.locator(f".st-key-more_{group} button").first.click()
    page.until(lambda: {"batching", "input_init", "tbptt"} <= set(boxes(page)))
    page.page.wait_for_timeout(500)
    assert value(page, "gain") == "1.05"
    assert "gain=1.05" in page.page.url


def test_undo_beside_the_browser_s_back(visit):
    page = visit()
    page.slide("gain", "ArrowRight")
    page.until(lambda: "gain=0.95" in page.page.url)
    page.page.wait_for_timeout(300)
    page.page.go_back()
    page.until(lambda: value(page, "gain") == "0.90")
    page.page.locator(".st-key-undo button").first.click()
    page.until(lambda: value(page, "gain") == "0.95")
    page.until(lambda: "gain=0.95" in page.page.url)
    page.page.locator(".st-key-undo button").first.click()
    page.until(lambda: value(page, "gain") == "0.90")
    page.until(lambda: "gain" not in page.page.url)
    page.page.locator(".st-key-redo button").first.click()
    page.until(lambda: "gain=0.95" in page.page.url)
    page.page.wait_for_timeout(300)
    page.page.go_back()
    page.until(lambda: value(page, "gain") == "0.90")


def test_new_seed_can_be_undone(visit):
    page = visit()
    page.press("seed")
    page.until(lambda: "seed=" in page.page.url)
    page.page.locator(".st-key-undo button").first.click()
    page.until(lambda: "seed=" not in page.page.url)
    page.until(lambda: page.page.locator(".st-key-seed input").input_value() == "0")


def test_what_is_hidden_keeps_its_value(visit):
    page = visit("?optimizer=momentum&momentum=0.5")
    assert value(page, "momentum") == "0.5", "it differs from the preset: its group is open"

    def choose_optimizer(name: str) -> None:
        page.page.locator(".st-key-optimizer input").click()
        page.page.get_by_role("option", name=name, exact=True).click()

    choose_optimizer("Adam")
    page.until(lambda: page.page.locator(".st-key-momentum").count() == 0)
    page.until(lambda: "momentum" not in page.page.url)
    choose_optimizer("momentum")
    page.until(lambda: "momentum=0.5" in page.page.url)
    page.until(lambda: value(page, "momentum") == "0.5")


def test_a_choice_of_none_has_a_word(visit):
    page = visit("?stop_steps=100")
    assert value(page, "stop_steps") == "100"
    page.slide("stop_steps", "End")
    page.until(lambda: value(page, "stop_steps") == "never")
    page.until(lambda: "stop_steps" not in page.page.url)
    page.slide("stop_steps", "ArrowLeft")
    page.until(lambda: "stop_steps=100000" in page.page.url)


def test_what_was_refused_is_put_back(visit):
    page = visit("?seq_length=500&hidden_size=128")
    page.slide("batch_size", "End")
    notice = page.page.locator(".st-key-notice")
    notice.wait_for()
    assert "more than the" in notice.inner_text()
    notice.get_by_role("button", name="Put back").click()
    notice.wait_for(state="detached")
    page.until(lambda: value(page, "batch_size") == "32")


def test_two_tabs_do_not_disturb_each_other(visit):
    one, two = visit("?seed=1"), visit("?seed=2")
    numbers = two.numbers
    one.press("play")
    one.until(lambda: one.step > 10)
    assert two.numbers == numbers
    assert two.step == 0
    two.press("play")
    two.until(lambda: two.step > 5)
    one.press("play")
    one.until(lambda: one.text("#stage .play").strip() == "Play")
    step = two.step
    two.until(lambda: two.step > step + 5)


@pytest.mark.parametrize("zoomed", [False, True])
def test_the_numbers_at_the_axes_stand_at_their_values(visit, zoomed):
    """They are words of the page, not of Plotly's: which knows where each value lies."""
    page = visit()
    if zoomed:
        there = "{'xaxis.range': [10, 30], 'yaxis.range': [-7, -2]}"
        page.page.evaluate(f"Plotly.relayout(document.querySelector('#flow .graph'), {there})")
        page.page.wait_for_selector("#flow .whole:not([hidden])")
    for picture in ("flow", "state", "map"):
        at = page.page.evaluate(TICKS, picture)
        assert at["words"] == len(at["x"]) + len(at["y"]) >= 4
        assert at["below"] == pytest.approx(at["x"], abs=1.5)
        assert at["beside"] == pytest.approx(at["y"], abs=1.5)


def test_zoom_survives_updates(visit):
    page = visit()
    page.page.evaluate(
        """() => Plotly.relayout(document.querySelector('#flow .js-plotly-plot'), {'xaxis.range': [40, 60]})"""
    )
    page.press("play")
    page.until(lambda: page.step > 10)
    kept = page.page.evaluate("document.querySelector('#flow .js-plotly-plot')._fullLayout.xaxis.range")
    assert [round(end) for end in kept] == [40, 60]


def test_no_picture_is_ever_blank_while_it_trains(visit):
    page = visit()
    page.speed("0")
    page.press("play")
    page.until(lambda: page.step > 0)
    blank, painted = page.page.evaluate(BLANK_FRAMES, 120)
    assert painted > 3
    assert blank == 0


def test_a_closed_tab_stops_its_training(visit, server):
    page = visit()
    page.press("play")
    page.until(lambda: page.step > 10)
    step, token = page.step, page.token
    page.close()
    time.sleep(7)
    after = reached(server, token)["reached"]
    assert after - step < 20 * 5, "3 s of grace, at 20 steps a second"


def test_a_lost_connection_is_said_and_comes_back(visit):
    page = visit()
    down, open_ones = [False], []

    def network(socket: Any) -> None:
        if down[0]:
            socket.close(code=1011)
        else:
            open_ones.append((socket, socket.connect_to_server()))

    page.page.route_web_socket(re.compile("/live/"), network)
    page.page.reload()
    page.drawn()
    page.press("play")
    page.until(lambda: page.step > 5)
    down[0] = True
    for sides in open_ones:
        for side in sides:
            side.close(code=1011)
    state = page.page.locator("#stage")
    page.until(lambda: state.get_attribute("data-state") == "offline")
    step = page.step
    page.page.wait_for_timeout(1500)
    assert page.step == step
    down[0] = False
    page.until(lambda: state.get_attribute("data-state") == "ready")
    page.until(lambda: page.step > step + 5)


def test_a_live_change_goes_on_and_is_marked_in_three_pictures(visit):
    page = visit("?seq_length=20")
    page.press("play")
    page.until(lambda: page.step > 20)
    page.slide("lr", "ArrowRight")
    page.until(lambda: all("lr 0.001 → 0.003" in page.text(f"#{name} .words") for name in ("loss", "clip", "map")))
    assert page.step > 20
    page.page.locator(".scrub input").evaluate(
        "(range) => { range.value = 3; for (const e of ['input', 'change']) range.dispatchEvent(new Event(e)) }"
    )
    page.until(lambda: page.step == 3)
    assert "lr 0.001 → 0.003" in page.text("#loss .words"), "scrubbing back keeps the mark"
    page.press("reset")
    page.until(lambda: page.step == 0 and "lr 0.001" not in page.text("#loss .words"))
    page.slide("gain", "ArrowRight")
    page.until(lambda: page.step == 0)


def test_a_stop_rule_ends_play_in_words_and_a_longer_one_goes_on(visit):
    page = visit("?seq_length=20&stop_steps=30&train_size=32")
    page.speed("0")
    page.press("play")
    page.until(
        lambda: page.text(".why").startswith("Stopped at step 30: that many were asked for. 960 examples, 30 epochs")
    )
    play = page.page.locator("#stage .play")
    assert play.is_disabled()
    assert "stop rule" in play.get_attribute("title")
    assert page.text(".cost").startswith("960 examples · 30 epochs · ")


@pytest.mark.parametrize(
    ("query", "chips"),
    [
        ("", ["ρ"]),
        ("?cell=lstm&init=keras&gain=1", ["i", "f", "g", "o", "all"]),
        ("?cell=gru&init=orthogonal", ["r", "z", "n", "all"]),
    ],
)
def test_the_recurrent_weights_have_a_chip_for_every_gate(visit, query, chips):
    page = visit(query)
    texts = page.page.locator("#stage .chip").all_inner_texts()
    assert [text.split()[0] for text in texts] == chips


@pytest.mark.parametrize("task", ["adding", "copy_memory", "sine", "text", "digits_rows", "parity", "random_vectors"])
def test_every_kind_of_task_is_drawn_and_fits_the_screen(visit, task):
    page = visit(f"?task={task}&seq_length=50")
    page.press("step")
    page.until(lambda: page.step == 1)
    assert page.page.locator("#task .trace, #task .hm").count() > 0
    assert len(page.text("#task p")) > 20
    assert page.page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_without_sockets_every_control_still_shows_its_picture(visit):
    page = visit(sockets=False)
    page.until(lambda: page.page.locator("#stage").get_attribute("data-state") == "still")
    before = page.numbers
    page.slide("gain", "ArrowRight", 4)
    page.until(lambda: page.numbers["flow"] != before["flow"])
    assert page.page.locator("#stage .play").is_disabled()


def test_diverged_offers_a_way_on(visit):
    page = visit("?nonlinearity=relu&gain=1.6&optimizer=sgd&clip=none&lr=0.0005")
    page.press("play")
    page.until(lambda: page.text(".badge b") == "Diverged")
    assert page.page.locator("#stage .play").is_disabled()
    page.page.get_by_role("button", name="Clip at 1").click()
    page.until(lambda: "clip=none" not in page.page.url)
    page.until(lambda: not page.page.locator("#stage .play").is_disabled())


def test_ctrl_c_ends_the_server_with_pages_open_and_training(browser):
    server = Server()
    try:
        pages = [Visitor(browser, server), Visitor(browser, server, "?cell=lstm")]
        for page in pages:
            page.speed("0")
            page.press("play")
            page.until(lambda page=page: page.step > 0)
        assert server.interrupt() < 2
        pages[0].until(lambda: pages[0].page.locator("#stage").get_attribute("data-state") == "offline")
        assert "Traceback" not in server.output()
        for page in pages:
            page.close()
    finally:
        server.stop()
