"""A real browser and a real server: what a visitor writes does nothing there, and a stranger's upload ends in time."""

import asyncio
import http.client
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

from app.limits import LIMITS
from app.uploads import PATH

from .conftest import Server
from .running import run_async
from .test_browser_room import ask, lecture, tab  # noqa: F401  (a fixture)
from .test_injection import MARK, PAYLOADS, WORDS

SEEN = ("explore", "compare", "small", "room")  # tests/test_injection.py looks at all of them, without a browser
pytestmark = pytest.mark.browser
FORMED = "b, i, em, strong, sup, code:not([class]), a, img, h1, .katex, .stMarkdownColoredText, [class*=material]"
# What came of it: a script that ran, an element that a payload has made, its text in another form than it was written.
DONE = """([mark, formed], said = (e) => e.outerHTML) => [
  window.hurt && 'a script ran',
  ...[...document.querySelectorAll(`img[src="x"], img[src="/x.png"], a[href^="javascript"], [onerror]`)].map(said),
  ...[...document.querySelectorAll(formed)].filter((e) => e.textContent.trim() === mark).map(said),
].filter(Boolean)"""


def rendered(one: Any) -> list[str]:
    found: list[str] = one.page.evaluate(DONE, [MARK, FORMED])
    return found


def test_what_a_visitor_writes_does_nothing(tab):  # noqa: F811
    one = tab("gallery")
    for turn, page in enumerate(SEEN):
        words = {word: PAYLOADS[(n + turn) % len(PAYLOADS)] for n, word in enumerate(WORDS)}
        one.page.goto(one.page.url.split("?")[0].rsplit("/", 1)[0] + f"/{page}?{urlencode(words)}")
        one.page.wait_for_selector(".st-key-language_chosen")
        one.page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")
        assert rendered(one) == [], page
    lecturer, code = lecture(tab)
    student = tab(f"room?room={code}")
    lecturer.click(".st-key-room_menu [data-testid=stPopoverButton]")
    lecturer.page.locator(".st-key-room_kind [role=combobox]").fill("own")
    lecturer.page.keyboard.press("Enter")
    texts = PAYLOADS[0], PAYLOADS[1][:60], PAYLOADS[2], PAYLOADS[4]
    for key, text in zip(("room_text", "room_choice_0", "room_choice_1", "room_choice_2"), texts, strict=True):
        lecturer.page.locator(f".st-key-{key} input").fill(text)
        lecturer.page.keyboard.press("Tab")
    lecturer.click(".st-key-room_ask button")
    student.says("#room .card", PAYLOADS[0])
    assert rendered(student) == rendered(lecturer) == []
    lecturer.click(".st-key-take button")
    for payload in (PAYLOADS[2], PAYLOADS[9]):
        name = payload.replace("/", "_") + ".npz"
        upload = {"name": name, "mimeType": "text/html", "buffer": b"none"}
        lecturer.page.set_input_files("[data-testid=stFileUploaderDropzoneInput]", upload)
        lecturer.page.wait_for_selector("p.refused")
        assert rendered(lecturer) == []


async def _page(server: Server) -> tuple[Any, str]:
    """An open page without a browser, and its name at the server."""
    host = server.url.removeprefix("http://")
    socket = await connect(f"ws://{host}/_stcore/stream", origin=server.url, subprotocols=["streamlit"], max_size=None)
    message = BackMsg()
    message.rerun_script.page_name = "room"
    await socket.send(message.SerializeToString())
    name = ""
    async with asyncio.timeout(30):
        while (said := ForwardMsg.FromString(await socket.recv())).WhichOneof("type") != "script_finished":
            name = said.new_session.initialize.session_id or name
    return socket, name


def hand_in(server: Server, page: str, size: int, name: str) -> int:
    """The status of an upload of so many bytes, as a script would send it."""
    there = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    there.request("GET", "/_stcore/health")
    answer = there.getresponse()
    token = re.search(r"_streamlit_xsrf=([^;]*)", answer.getheader("set-cookie") or "")
    answer.read()
    assert token
    head = f'--x\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'
    body = head.encode() + bytes(size) + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x", "X-Xsrftoken": token[1]}
    headers["Cookie"] = f"_streamlit_xsrf={token[1]}"
    there.request("PUT", f"{PATH}{page}/{name}", body, headers)
    status = there.getresponse().status
    there.close()
    return status


def test_a_strangers_uploads_end_in_time(server):
    async def visit() -> list[int]:
        socket, name = await _page(server)
        async with socket:
            sizes = [LIMITS.upload // 3 << 20] * 4 + [1000]
            return [await asyncio.to_thread(hand_in, server, name, size, str(n)) for n, size in enumerate(sizes)]

    assert hand_in(server, "nobody", 1000, "a") == 400
    assert run_async(visit()) == [204, 204, 204, 413, 204]
