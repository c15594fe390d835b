"""The threads that draw pictures: two, for all viewers; answers to controls go before pictures of training.

Drawing holds Python's lock nearly all the time: more threads would only make one another wait.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import count
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Drawing:
    """Pictures of training are drawn one after the other: one thread is free for an answer. Belongs to one loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, "draw")
        self._free, self._training = 2, False  # threads that have nothing to do; is one at a picture of training?
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._order = count()

    async def draw(self, answers: bool, what: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, float]:
        """What `what` returns, and the seconds of work that it took. `answers`: a control that somebody moved."""
        await self._turn(answers)
        try:
            context = copy_context()  # the reader's language
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: context.run(_timed, lambda: what(*args, **kwargs)))
        finally:
            self._free += 1
            self._training = self._training and answers
            self._call()

    async def _turn(self, answers: bool) -> None:
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not answers, next(self._order), turn))
        self._call()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had just been given
                self._free += 1
                self._training = self._training and answers
                self._call()
            raise

    def _call(self) -> None:
        while self._waiting and self._free and not (self._waiting[0][0] and self._training):
            training, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._free, self._training = self._free - 1, self._training or training
                turn.set_result(None)


def _timed(what: Callable[[], T]) -> tuple[T, float]:
    begin = time.thread_time()
    return what(), time.thread_time() - begin
