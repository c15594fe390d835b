"""How many connections the server keeps open, of all browsers and of one network: so that one script cannot take every
place. No Streamlit in here.

A whole class may sit behind one address: its share is most of all places, and what is left is for the others.
"""

import logging
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.limits import LIMITS
from app.live import Bucket

MESSAGES = 30  # a second that a page's socket is heard: a control that is dragged sends some ten
FILES = 65_536  # that may be open, where the system allows it
log = logging.getLogger(__name__)


def _one_line(record: logging.LogRecord) -> bool:
    """Of what a stranger has sent that is no message: a traceback of ours says nothing about it."""
    if record.msg == "Error deserializing back message":
        record.exc_info = None
    return True


logging.getLogger("streamlit.web.server.starlette.starlette_websocket").addFilter(_one_line)


class Places(NamedTuple):
    """Open sockets of one kind, by the first part of their path."""

    all: int
    network: int  # of them, at most, of one network


PLACES = {
    "_stcore": Places(4 * LIMITS.runs, 3 * LIMITS.runs),  # the pages
    "live": Places(2 * LIMITS.runs, 3 * LIMITS.runs // 4),  # pictures: they hold runs, of which others need a part
    "room": Places(LIMITS.rooms * LIMITS.watchers, 3 * LIMITS.rooms * LIMITS.watchers // 4),
}


def network(address: str | None) -> str:
    """What one visitor may have: an IPv4 address, or the network of an IPv6 address. "": nobody can tell, as of this
    machine's own address, behind which a proxy may have all visitors."""
    try:
        found = ip_address((address or "").split("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    if found.is_loopback:
        return ""
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)


def open_files() -> None:
    """Let this process have many files open: a page has two sockets, and six more while it loads, and a usual start
    allows 1024 files."""
    with suppress(ImportError, OSError, ValueError):  # another system, or one that does not allow it
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


class Doors:
    """Refuses the sockets that are too many. Lives on the event loop."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.open: dict[tuple[str, str], int] = {}  # (kind, network; "": all) -> sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["path"].split("/")[1] if scope["type"] == "websocket" else ""
        places = PLACES.get(kind)
        if places is None:
            await self.app(scope, receive, send)
            return
        who = network((scope.get("client") or ("",))[0])
        counted = {(kind, ""): places.all} | ({(kind, who): places.network} if who else {})
        if any(self.open.get(key, 0) >= most for key, most in counted.items()):
            await send({"type": "websocket.close", "code": 1013})  # before it is accepted: an answer 403
            return

        bucket = Bucket(MESSAGES)

        async def slowly() -> Message:
            """No more messages than a page has: each of them holds up all others for some milliseconds."""
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            if not await bucket.take():
                log.warning("a page's socket was closed that sent more than %d messages a second", MESSAGES)
                return {"type": "websocket.disconnect", "code": 1008}
            if message.get("bytes") is None:  # Streamlit's are binary: a text it would take for a fault of its own
                return {"type": "websocket.receive", "bytes": (message.get("text") or "").encode()}
            return message

        for key in counted:
            self.open[key] = self.open.get(key, 0) + 1
        try:
            await self.app(scope, slowly if kind == "_stcore" else receive, send)
        finally:
            for key in counted:
                self.open[key] -= 1
                if not self.open[key]:
                    del self.open[key]
