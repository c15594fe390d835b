"""Pictures and runs taken away in a real browser: what is saved is what was shown, a run goes on where it was."""

import re
from pathlib import Path

import numpy as np
import pytest

import engine
from tests.test_browser import Visitor
from tests.visits import visits

pytestmark = pytest.mark.browser
PNG = b"\x89PNG\r\n\x1a\n"


class Taker(Visitor):
    """A visitor who takes something away."""

    def take(self, figure: str, kind: str, folder: Path) -> Path:
        """By the keys alone."""
        button = self.page.locator(f"{figure} button.take")
        button.focus()
        self.page.keyboard.press("Enter")
        for _ in range(["png", "svg", "html", "csv"].index(kind)):
            self.page.keyboard.press("ArrowDown")
        with self.page.expect_download() as found:
            self.page.keyboard.press("Enter")
        path = folder / found.value.suggested_filename
        found.value.save_as(path)
        return path

    def train(self, steps: int) -> int:
        self.speed("20")  # at full speed it might train past what a picture shows whole
        self.press("play")
        self.page.wait_for_function(f"window.__stage.step >= {steps}")
        self.press("play")
        self.until(lambda: self.page.locator("#stage [data-do=play]").inner_text().strip() != "Pause")
        self.page.wait_for_timeout(300)
        return self.step


visit = visits(Taker, accept_downloads=True)


def rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """The comments, and the rows with their head."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    return comments, [line.split(",") for line in lines[len(comments) :]]


def test_a_picture_is_saved_whole(visit, tmp_path):
    v = visit("explore?hidden_size=8&batch_size=4&seq_length=20&cell=lstm")
    step = v.train(20)
    png = v.take("#flow", "png", tmp_path)
    assert png.name == f"gradient-flow_lstm_adding_T20_step{step}.png"
    data = png.read_bytes()
    assert data.startswith(PNG)
    assert int.from_bytes(data[16:20], "big") == 1800, "twice as many pixels as it is wide"
    svg = v.take("#loss", "svg", tmp_path).read_text(encoding="utf-8")
    for said in ("Does it learn?", "validation", "guessing", "step", f"step {step}", "LSTM", "cell=lstm", ">0.1<"):
        assert said in svg, said
    comments, (head, *points) = rows(v.take("#loss", "csv", tmp_path))
    assert head == ["curve", "step", "log10 loss"]
    e = engine.Experiment.model_validate_json(comments[2].removeprefix("# experiment: "))
    assert e.cell == "lstm"
    assert comments[3] == f"# step: {step}"
    loss = [float(y) for curve, _, y in points if curve == "training"]
    np.testing.assert_allclose(loss[:step], np.log10(engine.train(e, step).loss), atol=1e-6)
    v.page.locator("#loss .words button", has_text="training").focus()
    v.page.keyboard.press("Enter")  # hides the curve, in the copy too
    without = v.take("#loss", "svg", tmp_path).read_text(encoding="utf-8")
    assert without.count("js-line") == svg.count("js-line") - 1


def test_the_page_of_a_picture_needs_no_network(visit, browser, tmp_path):
    v = visit("explore?hidden_size=8&batch_size=4&seq_length=20", color_scheme="dark")
    path = v.take("#map", "html", tmp_path)
    context = browser.new_context(offline=True)
    alone, asked = context.new_page(), []
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(path.as_uri())
    alone.wait_for_selector(".hm image")
    assert asked == [path.as_uri()]
    assert "How does training change that flow?" in alone.text_content(".js-plotly-plot")
    assert alone.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 26)"
    context.close()


def test_pictures_of_the_other_pages_are_saved_too(visit, tmp_path):
    v = visit("explore?hidden_size=8&batch_size=4&seq_length=20")
    v.page.get_by_role("link", name="Small worlds").first.click()
    v.page.wait_for_selector("#still-plan .trace path")
    name = v.take("#still-plan", "csv", tmp_path)
    comments, (head, *points) = rows(name)
    assert name.name == "cliff-plan_small-world-cliff.csv"
    assert head == ["curve", "w", "b", "log10 ‖∇E‖"]
    assert len(points) > 101 * 106
    assert '"part":"cliff"' in comments[2].replace(" ", "")
    assert v.take("#still-norms", "png", tmp_path).read_bytes().startswith(PNG)


def test_the_menu_closes_and_gives_the_keys_back(visit):
    v = visit("explore?hidden_size=8&batch_size=4&seq_length=20")
    button, menu = v.page.locator("#flow button.take"), v.page.locator("#flow .takes")
    assert re.match("Take this picture away: How much gradient", button.get_attribute("aria-label"))
    button.click()
    assert menu.is_visible()
    v.page.keyboard.press("ArrowUp")
    assert v.page.evaluate("document.activeElement.dataset.take") == "csv"
    v.page.keyboard.press("Escape")
    assert not menu.is_visible()
    assert v.page.evaluate("document.activeElement.className") == "take"
    button.click()
    v.page.mouse.click(5, 5)
    v.until(lambda: not menu.is_visible())
    assert v.step == 0


def test_a_run_is_taken_up_where_it_was(visit, tmp_path):
    v = visit("explore?hidden_size=8&batch_size=4&seq_length=20&cell=gru&lr=0.003")
    step, there = v.train(30), v.numbers
    v.page.click(".st-key-take button")
    with v.page.expect_download() as found:
        v.page.click(".st-key-taking a[href$='run.npz?lang=en']")
    path = tmp_path / found.value.suggested_filename
    found.value.save_as(path)
    w = visit("explore?hidden_size=8&batch_size=4&seq_length=20")
    w.page.click(".st-key-take button")
    upload = "[data-testid=stFileUploaderDropzoneInput]"
    w.page.set_input_files(upload, {"name": "x.npz", "mimeType": "", "buffer": path.read_bytes()[:999]})
    assert "cannot be taken up" in w.page.wait_for_selector(".st-key-taking .refused").inner_text()
    w.page.set_input_files(upload, path)
    w.page.wait_for_function(f"window.__stage.step === {step}")
    w.until(lambda: w.numbers == there)
    w.until(lambda: "cell=gru" in w.page.url and "lr=0.003" in w.page.url)
    assert w.page.locator(".st-key-taking").count() == 0
