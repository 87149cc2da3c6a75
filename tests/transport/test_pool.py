import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import certifi
import pytest

from exporter.clock import steady
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport import connection
from exporter.transport import pool as pool_module
from exporter.transport.connection import IdleState
from exporter.transport.http1 import RequestFailed, Response
from exporter.transport.pool import ConnectionPool, HttpRequest
from exporter.transport.proxies import ProxySettings
from exporter.transport.resolver import Resolver
from tests.support.fakes.scripted_server import scripted_server
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


def send(pool: ConnectionPool, *, seconds: float = TIMEOUT, fresh: bool = False) -> Response:
    """Send a HEAD request."""
    return pool.send(
        HttpRequest(
            "HEAD", PATH, steady() + seconds, b"X-Auth-Token: t\r\n", fresh_connection=fresh
        )
    )


def test_request_has_only_our_headers(service: SimulatedImageService, pool: ConnectionPool) -> None:
    response = send(pool)
    assert response.first(b"x-image-meta-id") == ID.encode()
    request = service.log.records[0].request
    assert (request.method, request.target, request.version) == ("HEAD", PATH, "HTTP/1.1")
    assert request.headers == {
        "host": f"127.0.0.1:{service.port}",
        "user-agent": "test/1",
        "accept": "*/*",
        "accept-encoding": "identity",
        "x-auth-token": "t",
    }
    assert response.sent_at <= response.received_at <= steady()


def test_path_prefix_of_the_endpoint_is_requested() -> None:
    with SimulatedImageService([SimulatedImage(ID)], path_prefix="/image") as service:
        pool = ConnectionPool(f"{service.url}/image", DIRECT, "t")
        assert send(pool).code == 200
        pool.close()


def test_connections_are_reused_unless_a_fresh_one_is_requested(
    service: SimulatedImageService, pool: ConnectionPool
) -> None:
    for _ in range(3):
        send(pool)
    assert (service.log.connections_opened, pool.connections) == (1, 1)
    send(pool, fresh=True)
    assert (service.log.connections_opened, pool.connections) == (2, 1)
    wait_until(lambda: service.log.connections_open == 1)
    assert service.log.records[-1].request.headers["connection"] == "close"


def test_fresh_connection_is_closed_although_the_server_keeps_it_open() -> None:
    keeps_open = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with scripted_server([keeps_open, keeps_open]) as url:
        pool = ConnectionPool(url, DIRECT, "t")
        assert send(pool, fresh=True).keeps_alive
        assert pool.connections == 0


def test_connection_close_is_honoured(service: SimulatedImageService, pool: ConnectionPool) -> None:
    service.faults.set("http_1_0")
    send(pool)
    assert pool.connections == 0


def test_request_on_a_closed_idle_connection_is_sent_again_once(
    service: SimulatedImageService, pool: ConnectionPool
) -> None:
    """The server may close an idle connection at any time."""
    send(pool)
    service.faults.set("close", times=1)
    assert send(pool).code == 200
    assert service.log.connections_opened == 2
    service.faults.set("close", times=2)
    with pytest.raises(RequestFailed, match="closed without a response") as raised:
        send(pool)
    assert raised.value.reason == "connection"
    assert pool.connections == 0


def test_data_on_an_idle_connection_retracts_its_last_response(
    service: SimulatedImageService, pool: ConnectionPool, desyncs: list[object]
) -> None:
    """It is detected before the next request, which gets a new connection."""
    service.faults.set("leftover", data=b"HTTP/1.1 404 No\r\n\r\n", held=True)
    pool.send(HttpRequest("HEAD", PATH, steady() + TIMEOUT, tag="first"))
    service.faults.clear()
    # The end of what the service does for the first request.
    wait_until(lambda: service.log.in_flight == 0)

    def is_closed() -> bool:
        pool.check_idle(0.0)
        return pool.connections == 0

    wait_until(is_closed)
    assert desyncs == ["first"]
    assert send(pool).code == 200
    assert service.log.connections_opened == 2


def test_data_directly_after_a_response_is_malformed(
    service: SimulatedImageService, pool: ConnectionPool
) -> None:
    service.faults.set("leftover", data=b"x")
    with pytest.raises(RequestFailed, match="unexpected data after") as raised:
        send(pool)
    assert raised.value.reason == "malformed"
    assert pool.connections == 0


def test_response_of_another_request_retracts_the_previous_one(
    pool: ConnectionPool, desyncs: list[object]
) -> None:
    pool.send(HttpRequest("HEAD", PATH, steady() + TIMEOUT, tag="before"))
    response = pool.send(
        HttpRequest("HEAD", PATH, steady() + TIMEOUT, tag="now", matches_request=lambda _: False)
    )
    assert response.code == 200
    assert desyncs == ["before"]
    assert pool.connections == 0


@pytest.mark.parametrize(("idle", "connections"), [(40.0, 1), (50.1, 2)])
def test_connection_that_was_idle_for_a_minute_is_not_used_again(
    service: SimulatedImageService,
    pool: ConnectionPool,
    idle: float,
    connections: int,
) -> None:
    """A firewall may have forgotten it, so that a request on it would time out."""
    send(pool)
    (pooled,) = pool._idle
    pooled.idle_since = steady() - idle
    assert send(pool).code == 200
    assert service.log.connections_opened == connections
    assert pool.connections == 1


def test_check_idle_closes_connections_that_are_idle_for_too_long(
    pool: ConnectionPool, desyncs: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "MAX_IDLE", 0.0)
    send(pool)
    pool.check_idle(0.0)
    assert (pool.connections, desyncs) == (0, [])


def test_unexpected_data_is_detected_on_a_connection_that_is_idle_for_too_long(
    service: SimulatedImageService,
    pool: ConnectionPool,
    desyncs: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "MAX_IDLE", 0.0)
    service.faults.set("leftover", data=b"x", delay=0.2)
    pool.send(HttpRequest("HEAD", PATH, steady() + TIMEOUT, tag="late"))
    pool.check_idle(1.0)
    assert desyncs == ["late"]


def test_check_idle_waits_for_late_data(
    service: SimulatedImageService, pool: ConnectionPool, desyncs: list[object]
) -> None:
    service.faults.set("leftover", data=b"x", delay=0.2)
    pool.send(HttpRequest("HEAD", PATH, steady() + TIMEOUT, tag="late"))
    pool.check_idle(1.0)
    assert desyncs == ["late"]


def test_check_idle_without_connections_does_not_wait(pool: ConnectionPool) -> None:
    started = steady()
    pool.check_idle(5.0)
    assert steady() - started < 1.0


def test_idle_connection_that_is_checked_while_the_pool_closes_is_closed(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(pool)

    def close_and_find_quiet(*_: object) -> IdleState:
        pool.close()
        return IdleState.QUIET

    monkeypatch.setattr(pool_module, "idle_state", close_and_find_quiet)
    pool.check_idle(0.0)
    assert pool.connections == 0


def test_close_ends_requests_in_flight(
    service: SimulatedImageService, pool: ConnectionPool
) -> None:
    send(pool)
    service.faults.set("hang")
    reasons: list[str] = []

    def wait() -> None:
        with pytest.raises(RequestFailed) as raised:
            send(pool, seconds=60.0)
        reasons.append(raised.value.reason)

    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    wait_until(lambda: service.log.in_flight == 3)
    pool.close()
    for thread in waiting:
        thread.join(TIMEOUT)
    assert reasons == ["connection"] * 3
    assert pool.connections == 0
    with pytest.raises(RequestFailed, match="stopping"):
        send(pool)
    wait_until(lambda: service.log.connections_open == 0)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://a b:1"])
def test_unusable_endpoint_is_an_error(url: str) -> None:
    """A service catalog may contain anything."""
    with pytest.raises(ValueError, match=r"\S"):
        ConnectionPool(url, DIRECT, "t")


@pytest.mark.parametrize(
    "proxy",
    ["http://user:s3cret@proxy:99999", "http://user:s3@cret@[::1", "ftp://user:s3cret@proxy:1"],
)
def test_error_about_a_proxy_has_no_password(proxy: str) -> None:
    """Libraries quote the URL from the environment in full."""
    with pytest.raises(ValueError, match=r"\S") as raised:
        ConnectionPool("https://127.0.0.1", replace(DIRECT, proxy=proxy), "t")
    assert "cret" not in str(raised.value)


def test_missing_ca_bundle_or_client_certificate_is_named() -> None:
    for route in (replace(DIRECT, verify="/nowhere/x.pem"), replace(DIRECT, cert="/nowhere/x.pem")):
        with pytest.raises(ValueError, match=r"/nowhere/x\.pem"):
            ConnectionPool("https://127.0.0.1:1", route, "t")


def test_default_ca_bundle_is_that_of_requests() -> None:
    """Polls trust the same CAs as authentication."""
    pool = ConnectionPool("https://127.0.0.1:1", DIRECT, "t")
    assert pool._connector._urllib3_pool.ca_certs == certifi.where()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "connection"),
        (UnicodeError("label empty or too long"), "connection"),
        (TimeoutError(), "timeout"),
        (OSError("network is unreachable"), "connection"),
    ],
)
def test_failed_name_resolution_has_a_reason(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def lookup(*_: object, **__: object) -> list[object]:
        raise error

    monkeypatch.setattr(connection, "RESOLVER", Resolver(lookup))  # type: ignore[arg-type]  # never returns
    pool = ConnectionPool("http://glance.test:9292", DIRECT, "t")
    with pytest.raises(RequestFailed) as raised:
        send(pool)
    assert raised.value.reason == reason
    assert pool.connections == 0


def test_unknown_exception_is_raised_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object, **__: object) -> list[object]:
        raise ZeroDivisionError

    monkeypatch.setattr(connection, "RESOLVER", Resolver(lookup))  # type: ignore[arg-type]  # never returns
    pool = ConnectionPool("http://glance.test:9292", DIRECT, "t")
    with pytest.raises(ZeroDivisionError):
        send(pool)
    assert pool.connections == 0
