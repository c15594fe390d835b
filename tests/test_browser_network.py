"""Somebody's own network in a real browser: dropped, shown on the pages, trained, taken away as it came."""

import io
import re

import numpy as np
import pytest

from engine.foreign import read_arrays
from engine.foreign.files import packed
from tests.test_browser import Visitor
from tests.visits import visits

pytestmark = pytest.mark.browser
H = 8


visit = visits(Visitor)


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    shapes = {"rnn.weight_ih_l0": (3 * H, 4), "rnn.weight_hh_l0": (3 * H, H), "fc.weight": (1, H), "fc.bias": (1,)}
    shapes |= {"rnn.bias_ih_l0": (3 * H,), "rnn.bias_hh_l0": (3 * H,)}
    return {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def test_a_network_is_dropped_trained_and_taken_away(visit):
    v, arrays = visit("explore?seq_length=20&batch_size=4", accept_downloads=True), weights()
    page = v.page
    page.locator(".st-key-network_open button").first.click()
    upload = page.locator("[data-testid=stDialog] input[type=file]")
    upload.set_input_files({"name": "x.npz", "mimeType": "", "buffer": b"\x80\x04" + bytes(99)})
    page.get_by_text("a pickle, which can hold code").wait_for()
    raw = packed(arrays, ".safetensors")
    upload.set_input_files({"name": "mine.safetensors", "mimeType": "", "buffer": raw})
    page.get_by_text("mine.safetensors: a GRU, by the names of PyTorch.").wait_for()
    page.locator("[data-testid=stDialog]").wait_for(state="detached")
    page.get_by_text(re.compile("with the weights of mine.safetensors")).first.wait_for()
    assert "cell=gru" in page.url
    page.get_by_role("button", name="Train it").click()
    page.wait_for_function("window.__stage.step >= 3")
    v.press("play")
    page.locator(".st-key-take button").first.click()
    with page.expect_download() as found:
        page.get_by_role("link", name="Its weights (safetensors)").click()
    out = read_arrays(io.BytesIO(found.value.path().read_bytes()))
    assert {name: (value.shape, value.dtype) for name, value in out.items()} == {
        name: (value.shape, value.dtype) for name, value in arrays.items()
    }
    assert not np.array_equal(out["rnn.weight_hh_l0"], arrays["rnn.weight_hh_l0"])
