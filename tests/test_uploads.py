"""What a stranger may hand in: how much, how slowly, how many files, and how long a directory."""

import asyncio
import inspect
import io
import struct
import time
import zipfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.runtime import Runtime
from streamlit.runtime.session_manager import SessionInfo
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

import app.main
import app.uploads
import engine
from app.handout import taken_up
from app.limits import Limits
from app.uploads import PATH, Uploads, forget_closed_pages
from engine.zips import END, check_directory
from tests.running import run_async

MB = 1 << 20
Chunks = list[bytes | None]  # None: nothing comes any more


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """What Streamlit keeps: the sizes of the files of each page."""
    kept: dict[str, list[int]] = {}
    monkeypatch.setattr(app.uploads, "files", lambda: kept)
    monkeypatch.setattr(app.uploads, "LIMITS", Limits(upload=10, uploads=15))
    return kept


async def put(server: Any, page: str, chunks: Chunks, method: str = "PUT", path: str = PATH) -> int:
    """The status of the answer to a body that comes in these pieces."""
    left, status = list(chunks), 0

    async def receive() -> dict[str, Any]:
        if not left:
            return {"type": "http.disconnect"}
        if (chunk := left.pop(0)) is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    where = f"{path}{page}/file"
    await server(
        {
            "type": "http", "method": method, "path": where, "raw_path": where.encode(), "query_string": b"",
            "headers": [], "root_path": "", "scheme": "http", "server": ("localhost", 80), "http_version": "1.1",
        },
        receive, send,
    )  # fmt: skip
    return status


def server(kept: dict[str, list[int]]) -> Any:
    """As Streamlit's: it reads all of a body, then keeps it."""

    async def upload(request: Request) -> Response:
        body = await request.body()
        kept.setdefault(request.path_params["page"], []).append(len(body))
        return Response(status_code=204)

    route = Route(PATH + "{page}/{file}", upload, methods=["PUT", "POST"])
    return Starlette(routes=[route], middleware=[Middleware(Uploads)])


def test_one_page_keeps_so_much_and_all_together_so_much(kept):
    there = server(kept)
    piece: Chunks = [bytes(MB)]
    assert run_async(put(there, "a", piece * 6)) == 204
    assert run_async(put(there, "a", piece * 5)) == 413
    assert run_async(put(there, "a", piece * 4)) == 204
    assert run_async(put(there, "b", piece * 6)) == 503
    assert run_async(put(there, "b", piece * 5)) == 204
    assert kept == {"a": [6 * MB, 4 * MB], "b": [5 * MB]}
    kept.clear()  # the pages have closed
    assert run_async(put(there, "c", piece * 9)) == 204
    assert run_async(put(there, "c", piece * 11, method="POST")) == 204, "it is not looked at"


def test_what_is_on_its_way_counts_and_is_forgotten_when_it_ends(kept):
    there = server(kept)

    async def visitors() -> list[int]:
        def piece() -> Chunks:
            return [bytes(MB)] * 4

        return await asyncio.gather(*(put(there, "a", piece()) for _ in range(4)))

    assert sorted(run_async(visitors())) == [204, 204, 413, 413]
    assert kept == {"a": [4 * MB] * 2}
    middleware = there.middleware_stack.app
    assert isinstance(middleware, Uploads)
    assert middleware.coming == {}


def test_files_are_few_though_they_are_empty(kept):
    there = server(kept)
    for _ in range(app.uploads.MOST_FILES):
        assert run_async(put(there, "a", [b""])) == 204
    assert run_async(put(there, "a", [b""])) == 413


def test_one_that_does_not_come_is_given_up(kept, monkeypatch):
    monkeypatch.setattr(app.uploads, "SILENT", 0.05)
    assert run_async(put(server(kept), "a", [bytes(MB), None])) == 408
    monkeypatch.setattr(app.uploads, "LONGEST", -1.0)
    assert run_async(put(server(kept), "a", [bytes(MB), b""])) == 408
    assert kept == {}


def test_the_server_has_these_bounds_and_writes_no_upload_to_a_disk():
    assert any(row.cls is Uploads for row in app.main.app._user_middleware)
    assert MultiPartParser.spool_max_size > 1000 * MB


def test_closed_pages_are_let_go_where_nobody_else_comes(monkeypatch):
    """It goes through three private names of Streamlit's: an update that renames one fails here."""
    manager = WebsocketSessionManager(MemorySessionStorage(ttl_seconds=60), None, None, None)  # type: ignore[arg-type]
    monkeypatch.setattr(app.uploads, "get_instance", lambda: SimpleNamespace(_session_mgr=manager))
    assert "self._session_mgr = " in inspect.getsource(Runtime.__init__)
    ended: list[str] = []
    page = SimpleNamespace(id="a", shutdown=lambda: ended.append("a"))
    manager._session_storage.save(SessionInfo(client=None, session=page))  # type: ignore[arg-type]
    assert not forget_closed_pages()
    later = time.monotonic() + 61
    manager._session_storage._cache._timer = lambda: later  # type: ignore[attr-defined]
    assert forget_closed_pages()
    assert ended == ["a"]
    assert manager._session_storage.list() == []


# A directory of a zip


def directory(entries: int, said: int | None = None) -> io.BytesIO:
    """An archive that has nothing but a directory; `said`: how many entries its end says that it has."""
    one = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *([0] * 6), *([0] * 3), 1, *([0] * 4), 0, 0) + b"a"
    count = min(entries if said is None else said, 0xFFFF)
    end = struct.pack("<4s4H2IH", END, 0, 0, count, count, len(one) * entries, 0, 0)
    return io.BytesIO(one * entries + end)


def test_the_directory_of_the_test_is_one():
    with zipfile.ZipFile(directory(1000)) as opened:
        assert len(opened.infolist()) == 1000


def _of_64_bits() -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for n in range(70_000):
            opened.writestr(str(n), b"")
    return file


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (lambda: directory(500_000), "of 65,535 arrays; allowed: up to 300"),
        (lambda: directory(500_000, said=3), "of more than 300 arrays; allowed: up to so many"),
        (lambda: directory(301), "of 301 arrays; allowed: up to 300"),
        (_of_64_bits, "of 70,000 arrays; allowed: up to 300"),
    ],
    ids=["long", "lying", "one too many", "of 64 bits"],
)
def test_a_long_directory_is_refused_before_it_is_read(made: Callable[[], io.BytesIO], found: str, monkeypatch):
    file = made()
    size = file.seek(0, 2)

    def opened(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was read")

    monkeypatch.setattr(zipfile, "ZipFile", opened)
    with pytest.raises(ValueError, match=rf"cannot be taken up as a run.* an archive {found}$"):
        taken_up(file, size)


@pytest.mark.parametrize("raw", [b"", b"PK", b"PK\x05\x06", END * 5000, bytes(100_000)])
def test_what_is_no_archive_is_refused(raw):
    with pytest.raises(ValueError, match="no end of a zip"):
        check_directory(io.BytesIO(raw), 300)


def test_a_run_is_taken_up_as_before():
    trainer, file = engine.Trainer(engine.Experiment(seq_length=5, hidden_size=3, batch_size=2)), io.BytesIO()
    trainer.advance(2)
    trainer.checkpoint().save(file)
    assert taken_up(file, file.tell()).step == 2
    with_comment = io.BytesIO(file.getvalue())
    with zipfile.ZipFile(with_comment, "a") as opened:
        opened.comment = b"a" * 60_000
    check_directory(with_comment, 300)
