import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import steady
from exporter.transport.rate_limiter import MARGIN, RateLimiter


class FakeClock(threading.Event):
    """A clock that advances during a wait, and ``late`` seconds further."""

    def __init__(self, late: float = 0.0) -> None:
        super().__init__()
        self.time = 1000.0
        self.late = late

    def __call__(self) -> float:
        """Return the current time."""
        return self.time

    def wait(self, timeout: float | None = None) -> bool:
        """Advance the time."""
        self.time += (timeout or 0.0) + self.late
        return self.is_set()


@given(
    st.floats(0.2, 500),
    st.lists(st.one_of(st.just(0.0), st.floats(0, 3)), min_size=2, max_size=60),
    st.floats(0, 0.5),
)
def test_rate_is_never_exceeded(rate: float, idle: list[float], late: float) -> None:
    """No window of a second has more permits than the rate plus one."""
    clock = FakeClock(late)
    limiter = RateLimiter(rate, clock, clock)
    times = []
    for pause in idle:
        clock.time += pause
        assert limiter.acquire(clock.time + 1e6)
        times.append(clock.time)
    for index, start in enumerate(times):
        assert sum(time < start + 1 for time in times[index:]) <= rate + 1


def test_threads_share_the_rate() -> None:
    last = threading.local()
    times: list[float] = []

    def clock() -> float:
        last.time = steady()
        return float(last.time)

    limiter = RateLimiter(200.0, clock, threading.Event())

    def work() -> None:
        for _ in range(10):
            assert limiter.acquire(steady() + 60)
            times.append(last.time)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) == 40
    gaps = [after - before for before, after in itertools.pairwise(sorted(times))]
    assert min(gaps) >= MARGIN / 200 - 1e-6
    assert limiter.waited > 0


def test_no_wait_without_a_rate() -> None:
    clock = FakeClock()
    limiter = RateLimiter(None, clock, clock)
    assert all(limiter.acquire(1001.0) for _ in range(1000))
    assert not limiter.acquire(1000.0)
    assert (clock.time, limiter.waited) == (1000.0, 0.0)


def test_late_permit_is_refused_immediately() -> None:
    """It must not delay the permits of others."""
    clock = FakeClock()
    limiter = RateLimiter(0.1, clock, clock)
    assert limiter.acquire(1001.0)
    assert not limiter.acquire(1009.0)
    assert not limiter.acquire(999.0)
    assert limiter.acquire(1011.0)
    assert clock.time == pytest.approx(1000.0 + 10.0 * MARGIN)
    assert limiter.waited == pytest.approx(10.0 * MARGIN)


def test_thread_behind_another_gives_up_at_its_own_deadline() -> None:
    stop = threading.Event()
    limiter = RateLimiter(0.01, steady, stop)
    assert limiter.acquire(steady() + 1)
    first = threading.Thread(target=limiter.acquire, args=(steady() + 200,))
    first.start()
    while not limiter.waited:
        threading.Event().wait(0.001)
    started = steady()
    assert not limiter.acquire(started + 0.05)
    assert steady() - started < 5
    stop.set()
    first.join(10)
    assert not first.is_alive()


def test_stop_ends_all_waits() -> None:
    stop = threading.Event()
    limiter = RateLimiter(0.01, steady, stop)
    assert limiter.acquire(steady() + 1)
    granted: list[bool] = []
    threads = [
        threading.Thread(target=lambda: granted.append(limiter.acquire(steady() + 500)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(10)
    assert granted == [False, False, False]
