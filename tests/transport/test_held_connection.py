from collections.abc import Iterator

import pytest

from exporter.clock import steady
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.http1 import RequestFailed, Response
from exporter.transport.pool import ConnectionPool, HeldConnection, HttpRequest
from exporter.transport.proxies import ProxySettings
from tests.support.wait import wait_until

ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
PATH = f"/v1/images/{ID}"
DIRECT = ProxySettings(proxy=None, verify=True, cert=None)
TIMEOUT = 10.0


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """A service with one image."""
    with SimulatedImageService([SimulatedImage(ID)]) as running:
        yield running


@pytest.fixture
def desyncs() -> list[object]:
    """Tags of the requests whose responses were retracted."""
    return []


@pytest.fixture
def pool(service: SimulatedImageService, desyncs: list[object]) -> Iterator[ConnectionPool]:
    """A connection pool of the service."""
    connection_pool = ConnectionPool(service.url, DIRECT, "test/1", desyncs.append)
    yield connection_pool
    connection_pool.close()


def send(
    pool: ConnectionPool, held: HeldConnection | None, *, tag: object = None, last: bool = False
) -> Response:
    """Send a HEAD request."""
    return pool.send(
        HttpRequest("HEAD", PATH, steady() + TIMEOUT, held=held, is_last=last, tag=tag)
    )


def test_held_connection_is_not_shared_and_is_closed_at_the_end(
    service: SimulatedImageService, pool: ConnectionPool
) -> None:
    with HeldConnection() as first, HeldConnection() as second:
        for held in (first, second, None, first, second, None):
            send(pool, held)
        assert [record.connection for record in service.log.records] == [1, 2, 3, 1, 2, 3]
        assert pool.connections == 3
        assert first.addresses != second.addresses
    assert pool.connections == 1
    assert (first.opened, first.requests) == (1, 2)


def test_unused_held_connection_is_never_opened(service: SimulatedImageService) -> None:
    with HeldConnection() as held:
        assert not held.is_followed_by_data()
    assert (held.addresses, held.opened, held.requests) == ("", 0, 0)
    assert service.log.connections_opened == 0


def test_addresses_are_those_of_the_first_connection(
    service: SimulatedImageService, pool: ConnectionPool
) -> None:
    with HeldConnection() as held:
        send(pool, held)
        first = held.addresses
        service.faults.set("close", times=1)
        send(pool, held)
        assert (held.addresses, held.opened, held.requests) == (first, 2, 3)
        assert pool.connections == 1
    with HeldConnection() as other:
        send(pool, other)
    assert other.addresses != first


def test_close_of_the_connection_is_announced_with_the_last_request_only(
    service: SimulatedImageService, pool: ConnectionPool
) -> None:
    with HeldConnection() as held:
        send(pool, held)
        send(pool, held, last=True)
        wait_until(lambda: service.log.connections_open == 0)
    announcements = [record.request.headers.get("connection") for record in service.log.records]
    assert announcements == [None, "close"]


def test_data_between_two_requests_is_malformed_and_retracts_the_response_before(
    service: SimulatedImageService, pool: ConnectionPool, desyncs: list[object]
) -> None:
    service.faults.set("leftover", data=b"HTTP/1.1 404 No\r\n\r\n", held=True)
    with HeldConnection(TIMEOUT) as held:
        send(pool, held, tag="first")
        service.faults.clear()
        wait_until(lambda: service.log.in_flight == 0)
        assert held.is_followed_by_data()
        assert desyncs == ["first"]
        assert pool.connections == 0


def test_next_request_after_unexpected_data_fails(
    service: SimulatedImageService, pool: ConnectionPool
) -> None:
    service.faults.set("leftover", data=b"x", held=True)
    with HeldConnection() as held:
        send(pool, held)
        service.faults.clear()
        wait_until(lambda: service.log.in_flight == 0)
        with pytest.raises(RequestFailed, match="data after the previous response") as raised:
            send(pool, held)
        assert raised.value.reason == "malformed"
        assert pool.connections == 0
    assert held.requests == 1


def test_held_connection_of_a_closed_pool_is_not_used_again(pool: ConnectionPool) -> None:
    with HeldConnection() as held:
        send(pool, held)
        pool.close()
        with pytest.raises(RequestFailed, match="stopping"):
            send(pool, held)
