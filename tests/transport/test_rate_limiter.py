import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import steady
from exporter.transport.rate_limiter import MARGIN, RateLimiter


class Stopwatch(threading.Event):
    """A clock that moves while somebody waits, and by as much later as it is told."""

    def __init__(self, late: float = 0.0) -> None:
        super().__init__()
        self.time = 1000.0
        self.late = late

    def __call__(self) -> float:
        """Now."""
        return self.time

    def wait(self, timeout: float | None = None) -> bool:
        """Lets the time pass."""
        self.time += (timeout or 0.0) + self.late
        return self.is_set()


@given(
    st.floats(0.2, 500),
    st.lists(st.one_of(st.just(0.0), st.floats(0, 3)), min_size=2, max_size=60),
    st.floats(0, 0.5),
)
def test_the_rate_is_never_exceeded(rate: float, idle: list[float], late: float) -> None:
    """In no window of a second are there more permits than the rate, and one."""
    watch = Stopwatch(late)
    limiter = RateLimiter(rate, watch, watch)
    times = []
    for pause in idle:
        watch.time += pause
        assert limiter.acquire(watch.time + 1e6)
        times.append(watch.time)
    for place, begin in enumerate(times):
        assert sum(time < begin + 1 for time in times[place:]) <= rate + 1


def test_many_threads_keep_to_the_rate() -> None:
    """Permits of a real clock are spaced, however many threads ask for them."""
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


def test_without_a_rate_permits_are_free_until_the_deadline() -> None:
    """There is one at once, unless its time has passed."""
    watch = Stopwatch()
    limiter = RateLimiter(None, watch, watch)
    assert all(limiter.acquire(1001.0) for _ in range(1000))
    assert not limiter.acquire(1000.0)
    assert (watch.time, limiter.waited) == (1000.0, 0.0)


def test_no_permit_after_the_deadline() -> None:
    """One that would come too late is refused at once, and leaves the turn to others."""
    watch = Stopwatch()
    limiter = RateLimiter(0.1, watch, watch)
    assert limiter.acquire(1001.0)
    assert not limiter.acquire(1009.0)
    assert not limiter.acquire(999.0)
    assert limiter.acquire(1011.0)
    assert watch.time == pytest.approx(1000.0 + 10.0 * MARGIN)
    assert limiter.waited == pytest.approx(10.0 * MARGIN)


def test_who_cannot_have_its_turn_in_time_is_refused() -> None:
    """A thread that waits for another's wait gives up at its own deadline."""
    stop = threading.Event()
    limiter = RateLimiter(0.01, steady, stop)
    assert limiter.acquire(steady() + 1)
    first = threading.Thread(target=limiter.acquire, args=(steady() + 200,))
    first.start()
    while not limiter.waited:
        threading.Event().wait(0.001)
    began = steady()
    assert not limiter.acquire(began + 0.05)
    assert steady() - began < 5
    stop.set()
    first.join(10)
    assert not first.is_alive()


def test_stop_ends_every_wait() -> None:
    """A wait of minutes ends when the exporter does, without a permit."""
    stop = threading.Event()
    limiter = RateLimiter(0.01, steady, stop)
    assert limiter.acquire(steady() + 1)
    got: list[bool] = []
    threads = [
        threading.Thread(target=lambda: got.append(limiter.acquire(steady() + 500)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(10)
    assert got == [False, False, False]
