import asyncio
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from exporter.web.thread_pool import ThreadPool
from tests.web.conftest import TEST_TIMEOUT


def test_work_runs_in_a_daemon_thread() -> None:
    """A thread that is not a daemon would delay the exit of the process."""
    thread = asyncio.run(ThreadPool(1).run(threading.current_thread))
    assert thread is not threading.current_thread()
    assert thread.daemon


def test_error_is_raised_in_the_caller_and_the_thread_survives() -> None:
    pool = ThreadPool(1)
    with pytest.raises(SystemExit, match="3"):
        asyncio.run(pool.run(lambda: sys.exit("3")))
    assert asyncio.run(pool.run(lambda: "next")) == "next"


def test_work_beyond_the_size_waits_in_order() -> None:
    started, finish, order = threading.Semaphore(0), threading.Event(), list[int]()

    def work(number: int) -> None:
        order.append(number)
        started.release()
        finish.wait(TEST_TIMEOUT)

    async def submit() -> None:
        pool = ThreadPool(2)
        tasks = [
            asyncio.create_task(pool.run(lambda number=number: work(number)))  # type: ignore[misc]
            for number in range(4)
        ]
        await asyncio.sleep(0)
        for _ in range(2):
            assert await asyncio.to_thread(started.acquire, timeout=TEST_TIMEOUT)
        assert sorted(order) == [0, 1]
        finish.set()
        await asyncio.gather(*tasks)

    asyncio.run(submit())
    assert sorted(order[2:]) == [2, 3]


def test_cancelled_work_is_not_started() -> None:
    finish, done = threading.Event(), list[str]()

    async def submit() -> None:
        pool = ThreadPool(1)
        first = asyncio.create_task(pool.run(lambda: finish.wait(TEST_TIMEOUT)))
        second = asyncio.create_task(pool.run(lambda: done.append("second")))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        finish.set()
        await first
        await pool.run(lambda: done.append("third"))

    asyncio.run(submit())
    assert done == ["third"]


def test_work_of_cancelled_callers_still_occupies_its_threads() -> None:
    """Clients that disconnect during the rendering could otherwise start any number of threads."""
    lock, finish = threading.Lock(), threading.Event()
    running = most_running = 0

    def work() -> None:
        nonlocal running, most_running
        with lock:
            running += 1
            most_running = max(most_running, running)
        finish.wait(TEST_TIMEOUT)
        with lock:
            running -= 1

    async def submit() -> None:
        pool = ThreadPool(2)
        for _ in range(10):
            with suppress(TimeoutError):
                await asyncio.wait_for(pool.run(work), 0.02)
        finish.set()
        await pool.run(lambda: None)

    asyncio.run(submit())
    assert most_running == 2


def test_work_may_outlive_its_event_loop() -> None:
    pool, started, finish = ThreadPool(1), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        finish.wait(TEST_TIMEOUT)

    async def leave() -> None:
        task = asyncio.create_task(pool.run(work))
        assert await asyncio.to_thread(started.wait, TEST_TIMEOUT)
        task.cancel()

    asyncio.run(leave())
    finish.set()
    assert asyncio.run(pool.run(lambda: "next")) == "next"


def test_process_exits_while_work_runs() -> None:
    program = """
import asyncio, threading
from exporter.web.thread_pool import ThreadPool

async def main():
    pool, started = ThreadPool(1), threading.Event()
    tasks = [asyncio.create_task(pool.run(work)) for work in
             (lambda: (started.set(), threading.Event().wait()), lambda: threading.Event().wait())]
    await asyncio.to_thread(started.wait)
    for task in tasks:
        task.cancel()

asyncio.run(main())
"""
    completed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=TEST_TIMEOUT,
        check=True,
    )
    assert (completed.stdout, completed.stderr) == ("", "")
