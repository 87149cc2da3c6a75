"""The rate at which an address may open connections, by itself and on real sockets."""

import contextlib
import http.client
import socket
from contextlib import ExitStack

import pytest
from starlette.responses import PlainTextResponse

from exporter.metrics.exporter_metrics import Refusal
from exporter.web.server import listening_socket
from exporter.web.server.listening_socket import (
    MOST_ADDRESSES,
    PER_SECOND,
    ListeningSocket,
    OpeningRate,
)
from exporter.web.server.refusals import Refusals
from tests.support.clock import FakeClock
from tests.web.conftest import TEST_TIMEOUT, Serve

BURST = 250


def take_all(rate: OpeningRate, address: str, now: float) -> int:
    """Return how many connections the address can open now."""
    count = 0
    while rate.take(address, now):
        count += 1
    return count


def test_address_may_open_a_burst_and_then_so_many_a_second() -> None:
    rate = OpeningRate(BURST)
    assert take_all(rate, "a", 10) == BURST
    assert take_all(rate, "a", 11) == PER_SECOND
    assert take_all(rate, "b", 11) == BURST
    assert take_all(rate, "a", 11 + 2 * BURST / PER_SECOND) == BURST


def test_address_that_may_have_more_connections_may_open_more_a_second() -> None:
    """As a reverse proxy that opens a connection for each request."""
    rate = OpeningRate(1000)
    assert take_all(rate, "proxy", 0) == 1000
    assert take_all(rate, "proxy", 1) == 200


def test_low_limit_of_connections_allows_those_of_a_second() -> None:
    assert take_all(OpeningRate(1), "a", 0) == PER_SECOND


def test_addresses_that_opened_few_connections_are_forgotten_first() -> None:
    rate = OpeningRate(BURST)
    assert take_all(rate, "busy", 0) == BURST
    for number in range(MOST_ADDRESSES):
        assert rate.take(str(number), 0)
    assert not rate.take("busy", 0)


def test_any_number_of_busy_addresses_takes_bounded_memory() -> None:
    rate = OpeningRate(1)
    for number in range(MOST_ADDRESSES):
        take_all(rate, str(number), 0)
    assert rate.take("one more", 0)
    assert take_all(rate, "0", 0) == PER_SECOND


@pytest.fixture
def _limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit addresses of this machine, too."""
    monkeypatch.setattr(listening_socket, "limited_address", lambda peer: peer[0])
    monkeypatch.setattr(listening_socket, "PER_SECOND", 5.0)


@pytest.mark.usefixtures("_limited")
def test_connections_beyond_the_rate_are_closed_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening_socket, "REFUSED_PER_TURN", 3)
    counted: list[Refusal] = []
    clock = FakeClock()
    with ExitStack() as stack:
        listener = ListeningSocket(
            socket.create_server(("127.0.0.1", 0)),
            OpeningRate(1),
            Refusals(counted.append),
            lambda: clock().monotonic,
        )
        stack.enter_context(listener)
        listener.listen(1)
        clients = [
            stack.enter_context(socket.create_connection(listener.getsockname(), TEST_TIMEOUT))
            for _ in range(12)
        ]
        listener.setblocking(False)
        for client in clients[:5]:
            connection, peer = listener.accept()
            stack.enter_context(connection)
            assert peer == client.getsockname()
        for closed in (clients[5:8], clients[8:11]):
            # The event loop runs other tasks after so many.
            with pytest.raises(BlockingIOError):
                listener.accept()
            assert [client.recv(1) for client in closed] == [b"", b"", b""]
        clock.advance(1)
        connection, peer = listener.accept()
        stack.enter_context(connection)
        assert peer == clients[11].getsockname()
        assert counted == [Refusal.ADDRESS_LIMIT] * 6


@pytest.mark.usefixtures("_limited")
def test_server_closes_connections_of_one_address_beyond_the_rate(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.server.connection_limit.MAX_CONNECTIONS", 20)
    server = serve(PlainTextResponse("served"))

    def status(source: str) -> int | None:
        connection = http.client.HTTPConnection(
            server.host, server.port, timeout=TEST_TIMEOUT, source_address=(source, 0)
        )
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/")
            return connection.getresponse().status
        return None

    # A busy machine may take seconds, in which the address may open more.
    assert any(status("127.0.0.2") is None for _ in range(1000))
    assert status("127.0.0.3") == 200
