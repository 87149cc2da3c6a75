"""The load on a cloud: how many requests it gets, and when."""

import threading
from collections.abc import Sequence
from statistics import median

import pytest

from exporter.clock import steady
from exporter.polling.engine.contradictions import USUAL
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.http1 import RequestFailed
from exporter.transport.pool import ConnectionPool, HttpRequest
from exporter.transport.rate_limiter import RateLimiter
from tests.support.polled_cloud import DIRECT, GENEROUS, image_service, polled_cloud
from tests.support.wait import wait_until

IDS = [f"image-{number}" for number in range(20)]
RATE = 20.0


def busiest_second(times: Sequence[float]) -> int:
    """Return the largest number of requests in any window of one second."""
    return max(sum(begin <= time < begin + 1.0 for time in times) for begin in times)


def test_rate_limit_holds_on_the_wire() -> None:
    with image_service(IDS[2:]) as service:
        service.faults.set("status", on=IDS[5], code=500, times=2)
        service.faults.set("reset", on=IDS[6], times=1)
        with polled_cloud(service.url, IDS, interval=6.0, rate=RATE, concurrency=16) as lab:
            for _ in range(2):
                lab.cycle()
            exists = lab.exists()
            assert [exists[image_id] for image_id in IDS] == [False] * 2 + [True] * 18
            assert lab.state.retries >= 2
        times = [record.at for record in service.log.records]
    # Two cycles of twenty requests, the retries, and the evidence for two images.
    assert len(times) >= 40 + 2 * (USUAL.rechecks + 3 * USUAL.probes)
    assert busiest_second(times) <= RATE + 1


@pytest.mark.parametrize("permitted", [True, False])
def test_request_sent_again_on_a_new_connection_counts_twice(permitted: bool) -> None:
    deadlines: list[float] = []

    class FixedLimiter(RateLimiter):
        def acquire(self, deadline: float) -> bool:
            deadlines.append(deadline)
            return permitted

    limiter = FixedLimiter(None, steady, threading.Event())
    with SimulatedImageService([SimulatedImage("a")]) as service:
        transport = ConnectionPool(service.url, DIRECT, "t", limiter=limiter)
        deadline = steady() + GENEROUS
        request = HttpRequest("HEAD", "/v1/images/a", deadline)
        transport.send(request)
        service.faults.set("close", times=1)
        if permitted:
            assert transport.send(request).code == 200
        else:
            with pytest.raises(RequestFailed, match="no time left to send the request again"):
                transport.send(request)
        transport.close()
        assert service.log.requests == (3 if permitted else 2)
    assert deadlines == [deadline]


def test_every_image_has_the_same_offset_in_each_cycle() -> None:
    offsets: dict[str, list[float]] = {f"/v1/images/{image_id}": [] for image_id in IDS}
    with image_service(IDS) as service, polled_cloud(service.url, IDS, interval=1.0) as lab:
        lab.cycle()
        for _ in range(3):
            service.log.clear()
            lab.cycle()
            first = service.log.records[0].at
            for record in service.log.records:
                offsets[record.path].append(record.at - first)
    gap = 0.8 / len(IDS)
    for number, times in enumerate(offsets.values()):
        assert len(times) == 3
        # One cycle may be delayed on a busy machine, but not the median.
        assert median(times) == pytest.approx(number * gap, abs=0.1)


def test_hanging_cloud_does_not_delay_other_clouds() -> None:
    with (
        image_service(IDS) as hanging,
        image_service(IDS) as service,
        polled_cloud(hanging.url, IDS, interval=GENEROUS, timeout=GENEROUS) as stuck,
        polled_cloud(service.url, IDS, interval=GENEROUS, rate=1.0) as slow,
        polled_cloud(service.url, IDS, interval=0.3) as quick,
    ):
        hanging.faults.set("hang")
        others = [threading.Thread(target=lab.cycle) for lab in (stuck, slow)]
        for other in others:
            other.start()
        wait_until(lambda: hanging.log.in_flight > 0)
        for _ in range(3):
            quick.cycle()
            assert set(quick.reasons().values()) == {""}
        assert all(other.is_alive() for other in others)
        for lab in (stuck, slow):
            lab.poller.stop()
        for other in others:
            other.join(GENEROUS)


@pytest.mark.parametrize("rate", [None, 1000.0])
def test_block_applies_to_requests_that_already_wait(rate: float | None) -> None:
    limiter = RateLimiter(rate, steady, threading.Event())
    until = steady() + 0.2
    limiter.block_until(until)
    limiter.block_until(until - 0.1)
    assert not limiter.acquire(until - 0.05)
    acquired: list[float] = []

    def work() -> None:
        if limiter.acquire(until + GENEROUS):
            acquired.append(steady())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GENEROUS)
    assert len(acquired) == 4
    assert min(acquired) >= until
    assert limiter.waited < 0.1
