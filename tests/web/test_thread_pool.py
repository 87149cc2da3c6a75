"""Work in threads, as the event loop waits for it."""

import asyncio
import subprocess
import sys
import threading

import pytest

from exporter.web.thread_pool import ThreadPool
from tests.web.conftest import BOUND


def test_what_the_work_returns_is_the_result() -> None:
    """The result comes from another thread, which does not keep the program from ending."""
    thread = asyncio.run(ThreadPool(1).run(threading.current_thread))
    assert thread is not threading.current_thread()
    assert thread.daemon


def test_what_the_work_raises_is_raised_and_the_thread_goes_on() -> None:
    """Whoever waits gets the error; even one that would end a thread does not end this one."""
    workers = ThreadPool(1)
    with pytest.raises(SystemExit, match="3"):
        asyncio.run(workers.run(lambda: sys.exit("3")))
    assert asyncio.run(workers.run(lambda: "next")) == "next"


def test_so_many_at_once_and_no_more() -> None:
    """What comes when all threads are at work waits, and is begun in the order it came."""
    begun, finish, order = threading.Semaphore(0), threading.Event(), list[int]()

    def work(number: int) -> None:
        order.append(number)
        begun.release()
        finish.wait(BOUND)

    async def give() -> None:
        workers = ThreadPool(2)
        tasks = [
            asyncio.create_task(workers.run(lambda number=number: work(number)))  # type: ignore[misc]
            for number in range(4)
        ]
        await asyncio.sleep(0)
        for _ in range(2):
            assert await asyncio.to_thread(begun.acquire, timeout=BOUND)
        assert sorted(order) == [0, 1]
        finish.set()
        await asyncio.gather(*tasks)

    asyncio.run(give())
    assert sorted(order[2:]) == [2, 3]


def test_work_that_nobody_waits_for_is_not_begun() -> None:
    """A task that is cancelled while its work waits for a thread costs no work."""
    finish, done = threading.Event(), list[str]()

    async def give() -> None:
        workers = ThreadPool(1)
        first = asyncio.create_task(workers.run(lambda: finish.wait(BOUND)))
        second = asyncio.create_task(workers.run(lambda: done.append("second")))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        finish.set()
        await first
        await workers.run(lambda: done.append("third"))

    asyncio.run(give())
    assert done == ["third"]


def test_work_that_outlives_its_loop_does_no_harm() -> None:
    """The end of a loop leaves the thread to end its work, and ready for another loop."""
    workers, begun, finish = ThreadPool(1), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        finish.wait(BOUND)

    async def leave() -> None:
        task = asyncio.create_task(workers.run(work))
        assert await asyncio.to_thread(begun.wait, BOUND)
        task.cancel()

    asyncio.run(leave())
    finish.set()
    assert asyncio.run(workers.run(lambda: "next")) == "next"


def test_a_program_ends_in_the_middle_of_work() -> None:
    """Work that never ends, and more that waits behind it, do not hold up the end."""
    program = """
import asyncio, threading
from exporter.web.thread_pool import ThreadPool

async def main():
    workers, begun = ThreadPool(1), threading.Event()
    tasks = [asyncio.create_task(workers.run(each)) for each in
             (lambda: (begun.set(), threading.Event().wait()), lambda: threading.Event().wait())]
    await asyncio.to_thread(begun.wait)
    for each in tasks:
        each.cancel()

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=BOUND, check=True
    )
    assert (ended.stdout, ended.stderr) == ("", "")
