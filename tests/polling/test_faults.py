"""Every kind of network fault, each on an image of its own, in one cycle through real sockets."""

from dataclasses import dataclass
from unittest import mock

import pytest

from exporter.clock import steady
from exporter.polling.engine.pacing import CyclePacing
from exporter.simulator import SimulatedImageService
from tests.support.polled_cloud import MeasuredRequest, image_service, polled_cloud, threads
from tests.support.wait import wait_until

HEALTHY = [f"healthy-{number}" for number in range(8)]
OTHER = (
    b"HTTP/1.1 200 OK\r\nX-Image-Meta-Id: healthy-0\r\nX-Image-Meta-Status: killed\r\n"
    b"Content-Length: 0\r\n\r\n"
)
FORGED_404 = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
TIMEOUT = 0.3

FAULTS: dict[str, tuple[str, dict[str, object], str]] = {
    "reset before the head": ("reset", {}, "connection"),
    "reset in the head": ("reset_in_head", {}, "connection"),
    "closed without a response": ("close", {}, "connection"),
    "truncated early": ("truncate", {"at": 12}, "connection"),
    "truncated in the head": ("truncate", {}, "connection"),
    "hang before the head": ("hang", {}, "timeout"),
    "hang in the head": ("hang_in_head", {}, "timeout"),
    "a byte every 100 ms": ("trickle", {"pause": 0.1}, "timeout"),
    "too slow": ("latency", {"seconds": 30.0}, "timeout"),
    "not HTTP": ("garbage", {}, "malformed"),
    "100 KiB of head": ("huge_head", {"size": 100 * 1024}, ""),
    "300 KiB of head": ("huge_head", {"size": 300 * 1024}, "malformed"),
    "900 more headers": ("many_headers", {"count": 900}, ""),
    "1,000 more headers": ("many_headers", {"count": 1000}, "malformed"),
    "a body on HEAD": ("body_on_head", {}, "malformed"),
    "an error page on HEAD": ("error_page", {}, "server_error"),
    "an error page of a firewall": ("error_page", {"code": 403}, "forbidden"),
    "the last chunk": ("last_chunk", {}, ""),
    "more after the last chunk": ("last_chunk", {"data": OTHER}, "malformed"),
    "a redirect": ("redirect", {"location": "/v1/images/healthy-0"}, "rejected"),
    "100 before the response": ("interim", {"codes": (100, 103)}, ""),
    "101": ("status", {"code": 101}, "rejected"),
    "too many 1xx": ("interim", {"codes": (100,) * 20}, "malformed"),
    "a forged 404 split in": ("leftover", {"data": FORGED_404}, "malformed"),
    "a forged 200 split in": ("leftover", {"data": OTHER}, "malformed"),
    "another image's response": ("wrong_id", {}, "malformed"),
    "closed after the response": ("close_after", {}, ""),
    "HTTP/1.0": ("http_1_0", {}, ""),
    "400": ("status", {"code": 400}, "rejected"),
    "403": ("status", {"code": 403}, "forbidden"),
    "405": ("status", {"code": 405}, "api_version"),
    "413": ("status", {"code": 413}, "rejected"),
    "500": ("status", {"code": 500}, "server_error"),
    "503": ("status", {"code": 503}, "server_error"),
    "404 once": ("status", {"code": 404, "times": 1}, ""),
}
"""Names of the faults, each with its options and the expected reason."""


@dataclass
class FaultResults:
    """The results of three cycles: without faults, with all faults at once, without faults."""

    seconds: list[float]
    reasons: list[dict[str, str]]
    exists: list[dict[str, bool | None]]
    requests: list[MeasuredRequest]
    threads_left: int
    connections: int
    connections_left: int
    api_up: list[bool | None]


def wait_until_idle(service: SimulatedImageService) -> None:
    """Wait until nothing is in flight and no polling thread runs."""
    wait_until(lambda: service.log.in_flight == 0 and not threads())


@pytest.fixture(scope="module")
def results() -> FaultResults:
    """Run the three cycles."""
    ids = [*FAULTS, *HEALTHY]
    ids = [image_id.replace(" ", "-").replace(",", "").replace("/", "-") for image_id in ids]
    results = FaultResults([], [], [], [], 0, 0, 0, [])
    with (
        image_service(ids) as service,
        polled_cloud(service.url, ids, interval=1.5, timeout=TIMEOUT, concurrency=24) as lab,
    ):

        def cycle() -> None:
            began = steady()
            lab.cycle()
            results.seconds.append(steady() - began)
            results.reasons.append(lab.reasons())
            results.exists.append(lab.exists())
            results.api_up.append(lab.state.api_up)

        cycle()
        for name, image_id in zip(FAULTS, ids, strict=False):
            fault, options, _ = FAULTS[name]
            service.faults.set(fault, on=image_id, **options)  # type: ignore[arg-type]  # each its own
        cycle()
        service.faults.clear()
        wait_until_idle(service)
        cycle()
        wait_until_idle(service)
        results.requests = lab.requests
        results.threads_left = len(threads())
        results.connections = lab.poller.client.sender.connections
        lab.poller.stop()
        wait_until(lambda: service.log.connections_open == 0)
        results.connections_left = lab.poller.client.sender.connections
    return results


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_its_reason_and_ends_with_it(results: FaultResults, name: str) -> None:
    before, during, after = (
        list(cycle.values())[list(FAULTS).index(name)] for cycle in results.reasons
    )
    assert (before, during, after) == ("", FAULTS[name][2], "")


def test_other_images_are_unaffected(results: FaultResults) -> None:
    for cycle in results.reasons:
        assert [cycle[image_id] for image_id in HEALTHY] == [""] * len(HEALTHY)


def test_no_fault_makes_an_image_gone(results: FaultResults) -> None:
    assert {exists for cycle in results.exists for exists in cycle.values()} == {True}
    assert results.api_up == [True, True, True]


def test_no_request_takes_longer_than_its_timeout(results: FaultResults) -> None:
    """The timeout covers connecting, sending and receiving together."""
    assert max(request.seconds for request in results.requests) < TIMEOUT + 0.5


def test_every_cycle_ends_within_its_interval(results: FaultResults) -> None:
    assert max(results.seconds) < 1.5 + 0.5


def test_no_thread_or_connection_is_leaked(results: FaultResults) -> None:
    assert results.threads_left == 0
    assert results.connections <= 24
    assert results.connections_left == 0


@pytest.mark.parametrize("data", [FORGED_404, OTHER])
def test_response_that_is_followed_by_bytes_later_is_malformed(data: bytes) -> None:
    """Nothing else uses the connection meanwhile."""
    with (
        image_service(["a"]) as service,
        polled_cloud(service.url, ["a"]) as lab,
        mock.patch.object(CyclePacing, "drain_timeout", 1.0),
    ):
        service.faults.set("leftover", data=data, delay=0.02)
        lab.cycle()
        assert lab.reason("a") == "malformed"
