"""What may be handed in. Streamlit takes a file from any open page, whether or not it has asked for one, as many as it
likes, and keeps them in memory until the page has closed: here are the bounds, before a body is read.
"""

import asyncio
import time
from collections import Counter
from typing import Any

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime import get_instance

from app.limits import LIMITS

PATH = "/_stcore/upload_file/"
MOST_FILES = 20  # of one page; also of empty ones
LONGEST, SILENT = 300.0, 20.0  # seconds that one may take, and that nothing may come of it
MultiPartParser.spool_max_size = 1 << 30  # never to a disk: what is larger than Streamlit allows is refused before


class Uploads:
    """Counts what each page keeps, and what is on its way to it. Lives on the event loop."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.coming: Counter[str] = Counter()  # bytes of each page's uploads that are not whole yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "PUT" or not scope["path"].startswith(PATH):
            await self.app(scope, receive, send)
            return
        page, end, came = scope["path"].removeprefix(PATH).split("/")[0], time.monotonic() + LONGEST, 0

        async def bounded() -> Message:
            nonlocal came
            try:
                message = await asyncio.wait_for(receive(), max(0.0, min(SILENT, end - time.monotonic())))
            except TimeoutError:
                raise HTTPException(408, "Too slow") from None
            came += (size := len(message.get("body", b"")))
            self.coming[page] += size
            self._check(page)
            return message

        try:
            await self.app(scope, bounded, send)
        finally:
            self.coming[page] -= came
            if not self.coming[page]:
                del self.coming[page]

    def _check(self, page: str) -> None:
        """HTTPException, which the routes inside answer with, where it is too much."""
        kept = files()
        mine = kept.get(page, ())
        if len(mine) >= MOST_FILES or sum(mine) + self.coming[page] > LIMITS.upload << 20:
            raise HTTPException(413, "This page has handed in too much")
        if sum(map(sum, kept.values())) + self.coming.total() > LIMITS.uploads << 20:
            raise HTTPException(503, "All pages together have handed in too much")


def files() -> dict[str, list[int]]:
    """The sizes of all files that Streamlit keeps, by page."""
    manager: Any = get_instance().uploaded_file_mgr
    return {page: [len(file.data) for file in list(kept.values())] for page, kept in list(manager.file_storage.items())}


def forget_closed_pages() -> bool:
    """Streamlit keeps a closed page for two minutes, for it may come back, and lets go of it when somebody else comes
    or goes: on a server where nobody does, all that it held would stay, uploads too. On the event loop alone. Returns
    whether there were any."""
    runtime: Any = get_instance()
    gone = runtime._session_mgr._session_storage._cache.expire()
    for _name, kept in gone:
        kept.session.shutdown()
    return bool(gone)
