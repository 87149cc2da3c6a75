"""Which connections are closed to make room for others, on real sockets and by themselves."""

import contextlib
import http.client
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from exporter.metrics.exporter_metrics import Refusal
from exporter.web.security.middleware import SecurityState
from exporter.web.server import connection_limit, http_protocol
from exporter.web.server.open_connections import LimitedConnection, OpenConnections, limited_address
from exporter.web.server.refusals import LOG_INTERVAL, Refusals
from exporter.web_security import load_security
from tests.support.wait import wait_until
from tests.support.web_config import TLS, WebConfigFolder
from tests.web.conftest import TEST_TIMEOUT, Serve, run_server

LIMIT = 5
"""Connections from one address: a quarter of all."""


class Connection:
    """A connection that records that it was aborted."""

    def __init__(self, *, is_silent: bool = True) -> None:
        self.is_silent = is_silent
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("10.0.0.7", 1), "10.0.0.7"),
        (("::ffff:10.0.0.7", 1, 0, 0), "10.0.0.7"),
        (("2001:db8::1:2:3:4", 1, 0, 0), "2001:db8::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        (("127.0.0.1", 1), None),
        (("127.9.9.9", 1), None),
        (("::1", 1, 0, 0), None),
        (("::ffff:127.0.0.1", 1, 0, 0), None),
        ("", None),
        (None, None),
    ],
)
def test_address_of_a_peer(peer: object, address: str | None) -> None:
    assert limited_address(peer) == address


def open_connections(limit: int) -> OpenConnections:
    """Return the connections of addresses with this limit."""
    return OpenConnections(Refusals(), limit)


def test_the_longest_silent_connection_of_the_address_is_closed() -> None:
    connections = open_connections(3)
    busy, first, second = Connection(is_silent=False), Connection(), Connection()
    assert all(connections.admit("a", connection, 0) for connection in (busy, first, second))
    other = Connection()
    assert connections.admit("b", other, 0)
    connections.touch(first)
    assert connections.admit("a", Connection(), 0)
    assert [c.is_aborted for c in (busy, first, second, other)] == [False, False, True, False]


def test_connection_is_refused_if_all_others_of_its_address_are_busy() -> None:
    connections = open_connections(1)
    busy = Connection(is_silent=False)
    assert connections.admit("a", busy, 0)
    assert not connections.admit("a", Connection(), 0)
    connections.remove(busy)
    assert connections.admit("a", Connection(), 0)


def test_room_is_made_by_the_longest_silent_connection_of_all() -> None:
    connections = open_connections(9)
    busy, first, second, new = (Connection(is_silent=number > 0) for number in range(4))
    for address, connection in zip((None, "a", "b", None), (busy, first, second, new), strict=True):
        assert connections.admit(address, connection, 0)
    connections.touch(first)
    for closed in (second, first):
        connections.make_room_for(new, 0)
        assert closed.is_aborted
    connections.make_room_for(new, 0)
    assert not busy.is_aborted
    assert not new.is_aborted


def test_a_closed_connection_no_longer_counts() -> None:
    connections = open_connections(1)
    closed, last = Connection(), Connection()
    assert connections.admit("a", closed, 0)
    assert connections.admit("a", Connection(is_silent=False), 0)
    connections.remove(closed)
    connections.touch(closed)
    assert not connections.admit("a", last, 0)
    connections.remove(last)


def test_refusals_are_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[Refusal] = []
    refusals = Refusals(counted.append)
    with caplog.at_level(logging.WARNING):
        for index in range(100):
            for reason in Refusal:
                refusals.record(reason, index / 100, {"limit": 1})
        refusals.record(Refusal.ADDRESS_LIMIT, LOG_INTERVAL + 1, {})
    assert {reason: counted.count(reason) for reason in Refusal} == {
        Refusal.ADDRESS_LIMIT: 101,
        Refusal.CONNECTION_LIMIT: 100,
        Refusal.CLIENT_CERTIFICATE: 100,
    }
    assert [
        (record.message, record.fields["closed_since_start"])  # type: ignore[attr-defined]
        for record in caplog.records
    ] == [
        ("too many connections from one address", 1),
        ("too many connections", 1),
        ("client certificate refused", 1),
        ("too many connections from one address", 101),
    ]


def test_each_reason_of_a_refused_certificate_is_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Clients without a certificate must not hide that Prometheus' own has expired."""
    refusals = Refusals()
    reasons = ["the client has none", "certificate has expired"]
    for index in range(100):
        for reason in reasons:
            refusals.record(Refusal.CLIENT_CERTIFICATE, index / 100, {"reason": reason})
    assert [record.fields["reason"] for record in caplog.records] == reasons  # type: ignore[attr-defined]


@pytest.fixture
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit addresses of this machine, too."""
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", LIMIT * 4)
    monkeypatch.setattr(http_protocol, "limited_address", lambda peer: peer[0])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as exit_stack:
        yield exit_stack


def reset(client: socket.socket) -> None:
    """Close a connection as a health check of HAProxy does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def wait_for_the_server_to_close(client: socket.socket) -> None:
    """Send nothing until the time for the handshake is over."""
    with contextlib.suppress(ConnectionError):
        assert client.recv(1) == b""


class RecordedConnections(OpenConnections):
    """Open connections, and the set of those that count."""

    def __init__(self) -> None:
        super().__init__(Refusals(), LIMIT)
        self.counted: set[LimitedConnection] = set()

    def admit(self, address: str | None, connection: LimitedConnection, now: float) -> bool:
        self.counted.add(connection)
        return super().admit(address, connection, now)

    def remove(self, connection: LimitedConnection) -> None:
        super().remove(connection)
        self.counted.discard(connection)


@pytest.mark.usefixtures("_limits")
@pytest.mark.parametrize("end", [reset, wait_for_the_server_to_close, socket.socket.close])
def test_connection_that_ends_within_the_handshake_no_longer_counts(
    end: Callable[[socket.socket], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = RecordedConnections()
    monkeypatch.setattr("exporter.web.server.server.OpenConnections", lambda *_: recorded)
    monkeypatch.setitem(http_protocol.TIMEOUTS, http_protocol.ConnectionState.HANDSHAKE, 0.5)
    security = load_security(WebConfigFolder(tmp_path).write(f"{TLS}}}")).config
    with run_server(PlainTextResponse("served"), SecurityState(security)) as server:
        with server.connect() as client:
            wait_until(lambda: len(recorded.counted) == 1)
            end(client)
        wait_until(lambda: not recorded.counted)


@pytest.mark.usefixtures("_limits")
def test_flood_from_one_address_does_not_affect_others(serve: Serve, stack: ExitStack) -> None:
    server = serve(PlainTextResponse("served"))

    def connect(source: str) -> socket.socket:
        address = (server.host, server.port)
        return stack.enter_context(
            socket.create_connection(address, TEST_TIMEOUT, source_address=(source, 0))
        )

    silent = [connect("127.0.0.2") for _ in range(LIMIT * 6)]
    for source in ("127.0.0.1", "127.0.0.2"):
        connection = http.client.HTTPConnection(server.host, server.port, timeout=TEST_TIMEOUT)
        connection.sock = connect(source)
        connection.request("GET", "/metrics")
        assert connection.getresponse().read() == b"served"
    for closed in silent[: LIMIT * 5]:
        with contextlib.suppress(ConnectionError):
            assert closed.recv(1) == b""
