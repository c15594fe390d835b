"""Whatever comes in, by the address or a text field, comes out as text; and nothing of it is executed."""

import ast
import asyncio
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import streamlit.config
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from streamlit.testing.v1 import AppTest

import app.main
from app import session, settings, small
from app.headers import HEADERS, Headers
from app.nowhere import PAGES, Nowhere, paper
from app.words import speak
from tests.running import run_async
from tests.test_app import EXPLORER, runs_end  # noqa: F401  (a fixture)

ROOT = Path(__file__).parent.parent
SOURCES = [*ROOT.glob("app/**/*.py"), *ROOT.glob("engine/**/*.py")]
SCRIPTS = [*ROOT.glob("assets/**/*.js")]
CONFIG = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
PAYLOADS = (
    '<img src=x onerror="window.hurt=1">', "<script>window.hurt=1</script>", "[a](javascript:window.hurt=1)",
    "${7*7}{{7*7}}", "__import__('os').system('true')", "../../../etc/passwd", "\x00\u202e‮%00", "{0.__class__}",
)  # fmt: skip
NAMES = [*settings.FIELDS, "preset", *session.EXTRA, *small.FIELDS, "<b>name</b>"]


def drawn_as_html(at: AppTest) -> str:
    """All that the page draws as HTML or Markdown, not as plain text."""
    said: list[str] = []
    for element in (*at.main, *at.sidebar):
        proto: Any = getattr(element, "proto", None)
        kind = type(element).__name__.lower()
        if proto is not None and kind not in ("text",):
            said += [str(getattr(proto, name, "")) for name in ("body", "label", "help")]
    return "\n".join(said)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_the_address_says_is_shown_as_text(payload):
    at = AppTest.from_file(EXPLORER, default_timeout=60)
    for name in NAMES:
        at.query_params[name] = payload
    at.run()
    assert not at.exception, [error.message for error in at.exception]
    html = drawn_as_html(at)
    assert "<img" not in html
    assert "onerror" not in html
    assert "window.hurt" not in html
    assert "49" not in "".join(text.value for text in at.text if "7*7" in text.value)


def test_every_page_takes_the_address_as_text():
    """The further words of the address, on the page that each belongs to."""
    for name in session.EXTRA:  # it leads there by itself
        at = AppTest.from_file(EXPLORER, default_timeout=60)
        at.query_params[name] = PAYLOADS[0]
        at.run()
        assert not at.exception, (name, [error.message for error in at.exception])
        assert "onerror" not in drawn_as_html(at), name


# What is written in the sources. A line that has to be there is named, with its reason.

EXECUTES = {"eval", "exec", "compile", "__import__"}
ALLOWED_CALLS: dict[tuple[str, str], str] = {
    ("app/compiler.py", "subprocess"): "compiles ahead in a process of its own: a command without data of a visitor",
    ("engine/sweeps/local.py", "subprocess"): "starts the workers of a sweep: a command without data of a visitor",
    ("app/explorer.py", "unsafe_allow_javascript"): "keys.js, a file of ours, and words as JSON with < escaped",
}


def _calls(file: Path) -> list[tuple[str, str]]:
    """What of a Python file could execute or unpickle something, or draw it as HTML: (file, what)."""
    found, name = list[str](), str(file.relative_to(ROOT))
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in EXECUTES:
                found.append(node.func.id)
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("system", "popen"):
                found.append(node.func.attr)
            for keyword in node.keywords:
                on = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                if on and keyword.arg in (
                    "allow_pickle", "shell", "unsafe_allow_html", "unsafe_allow_javascript",
                ):  # fmt: skip
                    found.append(str(keyword.arg))
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
            found += [m for m in modules if m.split(".")[0] in ("pickle", "marshal", "shelve", "subprocess", "dill")]
    return [(name, what) for what in found]


def test_no_source_executes_or_unpickles_anything():
    found = {call for file in SOURCES for call in _calls(file)}
    assert found == set(ALLOWED_CALLS), "a new one needs a reason in ALLOWED_CALLS"


SINKS = re.compile(r"\b(innerHTML|outerHTML)\b|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc")
ALLOWED_SINKS = {  # file of assets/stage: how often, and why that is no data of a visitor
    "map.js": (1, "a framework that stands in the file"),
    "motion.js": (2, "frameworks that stand in the file"),
    "player.js": (2, "icons that stand in the file"),
    "replay.js": (2, "icons that stand in the file"),
    "room.js": (2, "frameworks that stand in the file"),
    "room_card.js": (2, "frameworks that stand in the file"),
    "room_host.js": (1, "a framework that stands in the file"),
    "stage.js": (2, "its framework, made of the names of figures; empty chips, whose words are put in as text"),
    "still.js": (1, "a framework that stands in the file"),
    "take.js": (1, "an icon that stands in the file"),
    "take_figure.js": (1, "a framework that stands in the file"),
    "table.js": (4, "an empty table; lines whose colour and dash are the server's tables', profiles the file's"),
}


def test_no_script_writes_html_but_where_it_is_named():
    found = {file.name: len(SINKS.findall(file.read_text())) for file in SCRIPTS}
    allowed = {name: count for name, (count, _why) in ALLOWED_SINKS.items()}
    assert {name: count for name, count in found.items() if count} == allowed, "escape it, or say why it is no data"


def test_nothing_is_fetched_from_elsewhere():
    for file in (*SCRIPTS, *ROOT.glob("assets/**/*.css")):
        addresses = re.findall(r"https?://[^\s'\"`)]*", file.read_text())
        assert not [address for address in addresses if "www.w3.org" not in address], file  # the name of SVG


# The server


def test_telemetry_is_off_and_uploads_are_bounded():
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["server"]["maxUploadSize"] <= 50
    assert CONFIG["server"]["maxMessageSize"] <= 50
    assert CONFIG["server"]["address"] == "localhost"
    for section, options in CONFIG.items():
        for name in options:
            if not isinstance(options[name], dict):
                assert f"{section}.{name}" in streamlit.config.get_config_options(), "an option that does not exist"


def test_streamlits_own_guards_are_on():
    for name in ("enableXsrfProtection", "enableCORS"):
        assert CONFIG["server"].get(name, True) is True
    assert CONFIG["server"].get("enableStaticServing", False) is False
    assert CONFIG["client"]["showErrorLinks"] is False


def answer(app: Any, path: str) -> tuple[int, dict[str, str]]:
    """Status and headers of a GET, without a network."""
    started: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # nobody sends a body, or leaves
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            started.append(message)

    scope = {
        "type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(), "query_string": b"",
        "headers": [], "root_path": "", "scheme": "http", "server": ("localhost", 80), "http_version": "1.1",
    }  # fmt: skip
    run_async(app(scope, receive, send))
    return started[0]["status"], {name.decode().lower(): text.decode() for name, text in started[0]["headers"]}


def test_every_answer_has_the_headers():
    hello = PlainTextResponse("hello", headers={"Referrer-Policy": "no-referrer"})
    app = Starlette(routes=[Route("/", lambda _request: hello)], middleware=[Middleware(Headers)])
    for path in ("/", "/nowhere"):
        _status, got = answer(app, path)
        assert {name: got[name] for name in HEADERS} == HEADERS | {"referrer-policy": got["referrer-policy"]}
    assert answer(app, "/")[1]["referrer-policy"] == "no-referrer", "what an answer says itself, stays"
    policy = HEADERS["content-security-policy"]
    assert "default-src 'self'" in policy
    assert not re.search(r"https?:|\*", policy), "nothing from elsewhere"


def test_an_address_where_nothing_is_says_so_and_every_page_is_one():
    def streamlits(_request: Any) -> Response:  # to every address
        return HTMLResponse("<p>page")

    routes = [Route("/static/gone.js", lambda _request: PlainTextResponse("")), Route("/{any:path}", streamlits)]
    there = Starlette(routes=routes, middleware=[Middleware(Headers), Middleware(Nowhere)])
    for path in ("/nonsense", "/room/ABCD", "/live/x", "/explore/x", "/%FF%00", "/_stcore/nothing", "/static/x.js"):
        status, got = answer(there, path)
        assert (status, got["content-security-policy"]) == (404, HEADERS["content-security-policy"]), path
    written = re.findall(r'url_path="(\w+)"', Path(EXPLORER).read_text())
    assert {*written, "", "index.html"} == set(PAGES)
    for path in (*written, "", "explore/", "static/gone.js"):
        assert answer(there, f"/{path}")[0] == 200, path
    assert any(row.cls is Nowhere for row in app.main.app._user_middleware)


@pytest.mark.parametrize(("language", "text"), [("zh-CN,zh;q=0.9", "这里没有页面"), ("de", "There is no page here")])
def test_it_says_so_in_the_readers_language(language, text):
    scope = {"query_string": b"", "headers": [(b"accept-language", language.encode())]}
    assert text in bytes(paper(scope).body).decode()
    speak("en")


def test_the_server_sends_them_and_serves_files_from_their_folders_only():
    assert any(row.cls is Headers for row in app.main.app._user_middleware)
    mounts = {route.path: route for route in app.main.app._user_routes if getattr(route, "path", "") != ""}
    files = Starlette(routes=[mounts["/assets"], mounts["/plotly"]])
    assert answer(files, "/assets/stage/stage.js")[0] == 200
    ways = ("../app/main.py", "..%2fapp%2fmain.py", "%2e%2e/app/main.py", "stage/../../requirements.txt", "/etc/passwd")
    for way in ways:
        for place in ("assets", "plotly"):
            assert answer(files, f"/{place}/{way}")[0] in (403, 404), way
