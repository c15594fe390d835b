"""A file that is dropped in a real browser: it becomes the task, is drawn in its units, and is gone with the tab."""

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.conftest import Server

pytestmark = pytest.mark.browser
ROWS = "\n".join(f"2024-01-{n % 28 + 1:02d};{20 + 5 * np.sin(n / 7):.3f}".replace(".", ",") for n in range(300))


def test_a_table_is_dropped_trained_on_and_gone_with_the_session(server: Server, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        page.goto(f"{server.url}/explore?seq_length=20&hidden_size=8")
        page.locator(".st-key-own_data button").first.click(timeout=60_000)
        page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(
            {"name": "<i>tide</i>.csv", "mimeType": "text/csv", "buffer": f"day;<b>level</b>\n{ROWS}".encode()}
        )
        told = page.locator(".st-key-own_told")
        rows = "240 rows for training, in windows of T rows from random places; then 60 for validation."
        expect(told).to_contain_text(rows, timeout=20_000)
        expect(told).to_contain_text("Numbers have a decimal comma")
        page.locator(".st-key-own_use button").first.click()
        expect(page.locator("[role=dialog]")).to_have_count(0, timeout=20_000)
        task = page.locator("#task")
        expect(task).to_contain_text("<b>level</b>: off by", timeout=20_000)
        expect(page.get_by_role("combobox", name="Task")).to_have_value("_i_tide_/i_.csv (yours)")
        assert "task=own%3Aseries-" in page.url
        page.reload()
        expect(page.locator(".st-key-sentences")).to_contain_text("Bring the same file again", timeout=60_000)
        assert not wrong
    finally:
        page.close()
