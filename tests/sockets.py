"""A server with nothing but sockets, and what a browser holds that listens to one."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.sync.client import ClientConnection, connect

from app.frames import decode


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


class SocketServer:
    """In a thread, on a port of its own."""

    def __init__(self, *routes: WebSocketRoute) -> None:
        config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning", ws="websockets-sansio")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()))
        self.thread.start()
        until(lambda: self.server.started)
        self.host = f"127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def open(self, path: str, **more: Any) -> ClientConnection:
        return connect(f"ws://{self.host}/{path}", **{"origin": f"http://{self.host}"} | more)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()


class Listener:
    """A browser without the pictures: what it holds after every frame."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.figures: dict[str, Any] = {}
        self.head: dict[str, Any] = {}
        self.size = 0  # bytes of the last frame

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def take(self, frame: bytes, draw: bool) -> None:
        self.size = len(frame)
        self.head, self.figures = decode(frame, self.figures)
        if draw:
            self.say(do="drawn", frame=self.head["frame"])
