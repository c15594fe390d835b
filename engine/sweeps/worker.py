"""One worker of a local cluster, in a process of its own: `python -m engine.sweeps.worker ADDRESS FOLDER`.

Started as a program, and not as a copy of its parent: so a sweep runs from a notebook, and from a script without
`if __name__ == "__main__"`. From its standard input it reads the cluster's word (guarded.py). It ends when its parent
does, however that ends: then nobody holds the other side of that input any more.
"""

import asyncio
import logging
import os
import shutil
import sys
from threading import Thread


def main() -> None:
    address, folder = sys.argv[1:]
    word = bytes.fromhex(sys.stdin.buffer.readline().decode())
    Thread(target=_end_with_parent, args=[folder], daemon=True).start()
    asyncio.run(_work(address, folder, word))


async def _work(address: str, folder: str, word: bytes) -> None:
    from distributed import Worker  # late: the watch over the parent has begun

    from engine.sweeps import guarded

    guarded.learn(word)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    async with Worker(
        address, nthreads=1, memory_limit=0, local_directory=folder, host="127.0.0.1", dashboard=False,
        dashboard_address="127.0.0.1:0",
    ) as worker:  # fmt: skip
        await worker.finished()


def _end_with_parent(folder: str) -> None:
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)  # which the parent, if it was killed, has not done
    os._exit(0)


if __name__ == "__main__":
    main()
