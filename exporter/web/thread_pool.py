"""Threads for work that would hold up the event loop."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")


class ThreadPool:
    """So many threads, which take work in the order it was given.

    They are daemons: unlike an executor's they do not keep a program that is told to end waiting
    for work that nobody wants any more.
    """

    def __init__(self, count: int) -> None:
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for _ in range(count):
            threading.Thread(target=_work, args=(self._work,), name="web", daemon=True).start()

    async def do(self, work: Callable[[], Result]) -> Result:
        """What `work` returns, or raises; it is not begun once nobody waits for it."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._work.put(partial(_do, work, result))
        return await result


def _work(waiting: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        waiting.get()()


def _do(work: Callable[[], Result], result: asyncio.Future[Result]) -> None:
    if result.cancelled():
        return
    try:
        settle = partial(result.set_result, work())
    except BaseException as error:  # noqa: BLE001  # whoever waits is told
        settle = partial(result.set_exception, error)
    # The loop may have ended in the meantime.
    with suppress(RuntimeError):
        result.get_loop().call_soon_threadsafe(lambda: result.cancelled() or settle())
