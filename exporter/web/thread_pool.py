"""A thread pool for the event loop whose threads never delay shutdown.

anyio's ``CapacityLimiter`` is no replacement (measured with anyio 4.16). ``to_thread.run_sync``
releases the limiter as soon as its task is cancelled, while the thread still works: with a limit of
two, ten cancelled calls ran at the same time, with and without ``abandon_on_cancel``. Clients that
disconnect could start any number of renderings that way. Its threads are not daemons either: the
process cannot exit before their work ends. tests/web/test_thread_pool.py holds both requirements.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")


class ThreadPool:
    """A fixed number of daemon threads that run work in the order of submission."""

    def __init__(self, size: int) -> None:
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for _ in range(size):
            thread = threading.Thread(
                target=_run_queue, args=(self._queue,), name="web", daemon=True
            )
            thread.start()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run the work in a thread and return its result, or raise what it raises.

        If the caller is cancelled before the work starts, it never starts. If the work has
        started, its thread stays occupied until it ends, and the result is discarded.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.put(partial(_run, work, future))
        return await future


def _run_queue(queue: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        queue.get()()


def _run(work: Callable[[], Result], future: asyncio.Future[Result]) -> None:
    if future.cancelled():
        return
    try:
        settle = partial(future.set_result, work())
    except BaseException as error:  # noqa: BLE001  # raised in the caller
        settle = partial(future.set_exception, error)
    # Raised if the event loop was closed in the meantime.
    with suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(lambda: future.cancelled() or settle())
