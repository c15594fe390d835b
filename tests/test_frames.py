"""A frame and its decoding are twins: whatever sequence of figures goes in comes out, whatever changed between."""

import json
from base64 import b64encode
from pathlib import Path
from struct import unpack_from
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from app.frames import DTYPES, Encoder, decode

leaf = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=4))
words = st.sampled_from(["x", "y", "z", "line", "marker", "text"])
tree = st.recursive(leaf, lambda t: st.lists(t, max_size=3) | st.dictionaries(words, t, max_size=3), max_leaves=8)
shapes = st.one_of(st.tuples(st.integers(0, 6)), st.tuples(st.integers(0, 5), st.integers(0, 5)))
array = st.sampled_from(DTYPES).flatmap(lambda d: hnp.arrays(d, shapes, elements=st.sampled_from([0, 1, 2, 3])))
gappy = hnp.arrays("float32", shapes, elements=st.sampled_from([0.0, -0.0, 1.5, np.nan, np.inf, -np.inf]))
repeated = hnp.arrays("int32", st.integers(1, 4), elements=st.integers(0, 2)).flatmap(
    lambda row: st.integers(1, 4).map(lambda n: np.broadcast_to(row, (n, len(row))))
)
value = st.one_of(array, gappy, repeated, tree)
trace = st.dictionaries(words, st.one_of(value, st.dictionaries(words, value, max_size=2)), max_size=4)
layout = st.dictionaries(words, tree, max_size=3)
figure = st.fixed_dictionaries({"data": st.lists(trace, max_size=3), "layout": layout})


def plain(node: Any) -> Any:
    """What JSON makes of a node; arrays stay."""
    if isinstance(node, dict):
        return {k: plain(v) for k, v in node.items()}
    if isinstance(node, list):
        return [plain(v) for v in node]
    return None if isinstance(node, float) and not np.isfinite(node) else node


def agree(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(agree(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(agree, a, b))
    return type(a) is type(b) and a == b


@settings(deadline=None, max_examples=300)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), figure, max_size=3), min_size=1, max_size=5))
def test_round_trip(states: list[dict[str, Any]]) -> None:
    encoder, seen, expected = Encoder(), {}, {}
    for n, figures in enumerate(states):
        expected |= figures
        head, seen = decode(encoder.encode({"frame": n}, figures), seen)
        assert head == {"frame": n}
        assert agree(seen, plain(expected))


def test_an_unchanged_figure_is_not_sent() -> None:
    figures = {"a": {"data": [{"y": np.array([1, np.nan], np.float32)}], "layout": {"title": "t"}}}
    encoder = Encoder()
    encoder.encode({}, figures)
    frame = encoder.encode({"frame": 2}, figures)
    assert json.loads(frame[4 : 4 + unpack_from("<I", frame)[0]]) == {"frame": 2, "figures": {}, "arrays": []}


@pytest.mark.parametrize("shape", [(50,), (30, 50)])
def test_a_curve_that_grows_and_a_map_that_fills_send_only_their_news(shape: tuple[int, ...]) -> None:
    encoder = Encoder()
    z = np.zeros(shape, np.float32)
    first = encoder.encode({}, {"a": {"data": [{"z": z}], "layout": {}}})
    longer = np.concatenate([z, np.ones((*shape[:-1], 1), np.float32)], axis=-1)
    second = encoder.encode({}, {"a": {"data": [{"z": longer}], "layout": {}}})
    assert len(second) - len(first) < -z.nbytes / 2 + 100
    assert agree(decode(second, decode(first)[1])[1]["a"]["data"][0]["z"], longer)


def test_the_caller_may_reuse_an_array() -> None:
    encoder, y = Encoder(), np.zeros(3, np.float32)
    encoder.encode({}, {"a": {"data": [{"y": y}], "layout": {}}})
    y[1] = 7
    assert b'"at":[1]' in encoder.encode({}, {"a": {"data": [{"y": y}], "layout": {}}})


def test_a_dtype_that_the_browser_has_no_array_for_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a\.0\.y: 1-D int64"):
        Encoder().encode({}, {"a": {"data": [{"y": np.arange(3)}], "layout": {}}})


START = """async (source) => {
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
  window.held = new (await import(url)).Frames()
}"""
APPLY = """(text) => {
  held.apply(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer)
  return JSON.stringify(held.figures, (key, value) => ArrayBuffer.isView(value) ? Array.from(value) : value)
}"""


@pytest.mark.browser
def test_the_browser_decodes_the_same(browser: Any) -> None:
    """assets/stage/frames.js against `decode`, over growing, filling, shrinking and repeated arrays."""
    rng, encoder, seen, page = np.random.default_rng(0), Encoder(), {}, browser.new_page()
    page.evaluate(START, (Path(__file__).parent.parent / "assets/stage/frames.js").read_text())
    y, z, n = np.zeros(0, np.float32), np.full((3, 4), np.nan, np.float32), 2
    for step in range(12):
        y = np.append(y, np.float32(step)) if step != 7 else y[:2]
        n = n + 1 if step % 4 == 0 else n
        z = z.copy() if step != 9 else np.zeros((2, 7), np.float32)
        z[:, step % z.shape[1]] = rng.integers(0, 3, len(z))
        kept = np.broadcast_to(np.arange(n, dtype=np.int32) * step, (3, n))
        trace = {"y": y, "z": z, "customdata": kept, "line": {"width": step // 3, "x": y.astype(np.int8)}}
        figures = {"a": {"data": [trace] * (2 if step > 5 else 1), "layout": {"title": f"step {step}", "nan": np.nan}}}
        frame = encoder.encode({}, figures)
        seen = decode(frame, seen)[1]
        expected = json.dumps(seen, default=np.ndarray.tolist).replace("NaN", "null")
        assert json.loads(page.evaluate(APPLY, b64encode(frame).decode())) == json.loads(expected)
    page.close()
