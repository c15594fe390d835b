"""The wire between the processes of a local cluster: TCP on which nobody is heard who does not know its word.

A dask scheduler, and each worker, unpickles what any connection sends, so that whoever reaches it runs code as its
user; and a machine's loopback is open to all its users. So the first bytes of a connection are a word that this process
draws and its workers are told. (TLS, dask's own way, needs certificates, and a further package to make them.)
"""

import asyncio
import secrets
from contextlib import suppress
from hmac import compare_digest
from typing import Any

from distributed.comm.registry import backends
from distributed.comm.tcp import TCPBackend, TCPConnector, TCPListener

SCHEME = "guarded"
SIZE = 32  # bytes of a word
PATIENCE = 10.0  # seconds that a connection may take to say it
_word = secrets.token_bytes(SIZE)


def word() -> bytes:
    """What the processes of a cluster of this process say first."""
    return _word


def learn(word: bytes) -> None:
    """Be of the cluster with this word, from now on."""
    global _word
    _word = word


class _Connector(TCPConnector):
    prefix = f"{SCHEME}://"

    async def connect(self, address: str, deserialize: bool = True, **more: Any) -> Any:
        comm = await super().connect(address, deserialize, **more)
        await comm.stream.write(_word)
        return comm


class _Listener(TCPListener):
    prefix = f"{SCHEME}://"

    async def _prepare_stream(self, stream: Any, address: str) -> Any:
        """None where the word is another: then nothing of it is read as a message."""
        with suppress(OSError, TimeoutError):
            if compare_digest(await asyncio.wait_for(stream.read_bytes(SIZE), PATIENCE), _word):
                return stream
        stream.close()
        return None


class _Backend(TCPBackend):
    _connector_class = _Connector
    _listener_class = _Listener


backends[SCHEME] = _Backend()
