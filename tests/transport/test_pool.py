import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import certifi
import pytest

from exporter.clock import steady
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport import connection
from exporter.transport.pool import ConnectionPool, HttpRequest
from exporter.transport.proxies import ProxySettings
from exporter.transport.resolver import Resolver
from exporter.transport.response import RequestFailed, Response
from tests.support.wait import wait_until

ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
PATH = f"/v1/images/{ID}"
DIRECT = ProxySettings(proxy=None, verify=True, cert=None)
GENEROUS = 10.0


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """A service with one image."""
    with SimulatedImageService([SimulatedImage(ID)]) as running:
        yield running


@pytest.fixture
def overruns() -> list[object]:
    """The tags of answers that were taken back."""
    return []


@pytest.fixture
def transport(service: SimulatedImageService, overruns: list[object]) -> Iterator[ConnectionPool]:
    """A transport to it."""
    made = ConnectionPool(service.url, DIRECT, "tester/1", overruns.append)
    yield made
    made.close()


def ask(transport: ConnectionPool, *, seconds: float = GENEROUS, fresh: bool = False) -> Response:
    """One HEAD."""
    return transport.send(
        HttpRequest(
            "HEAD", PATH, steady() + seconds, b"X-Auth-Token: t\r\n", fresh_connection=fresh
        )
    )


def test_one_request_is_written_as_it_should(
    service: SimulatedImageService, transport: ConnectionPool
) -> None:
    """Method, path and headers, and nothing of requests' own."""
    answer = ask(transport)
    assert answer.head.first(b"x-image-meta-id") == ID.encode()
    request = service.log.records[0].request
    assert (request.method, request.target, request.version) == ("HEAD", PATH, "HTTP/1.1")
    assert request.headers == {
        "host": f"127.0.0.1:{service.port}",
        "user-agent": "tester/1",
        "accept": "*/*",
        "accept-encoding": "identity",
        "x-auth-token": "t",
    }
    assert answer.sent_at <= answer.received_at <= steady()


def test_a_path_prefix_is_kept() -> None:
    """An endpoint behind a prefix is asked there."""
    with SimulatedImageService([SimulatedImage(ID)], path_prefix="/image") as service:
        transport = ConnectionPool(f"{service.url}/image", DIRECT, "t")
        assert ask(transport).head.code == 200
        transport.close()


def test_a_connection_is_kept_and_a_fresh_one_is_not(
    service: SimulatedImageService, transport: ConnectionPool
) -> None:
    """Three requests share one; a fresh question has its own, closed after."""
    for _ in range(3):
        ask(transport)
    assert (service.log.connections_opened, transport.connections) == (1, 1)
    ask(transport, fresh=True)
    assert (service.log.connections_opened, transport.connections) == (2, 1)
    wait_until(lambda: service.log.connections_open == 1)
    assert service.log.records[-1].request.headers["connection"] == "close"


def test_a_connection_that_the_server_ends_is_not_kept(
    service: SimulatedImageService, transport: ConnectionPool
) -> None:
    """Connection: close is believed."""
    service.faults.set("http_1_0")
    ask(transport)
    assert transport.connections == 0


def test_a_kept_connection_that_was_closed_is_replaced(
    service: SimulatedImageService, transport: ConnectionPool
) -> None:
    """The server may close it at any time: the request is sent again, once, on a new one."""
    ask(transport)
    service.faults.set("close", times=1)
    assert ask(transport).head.code == 200
    assert service.log.connections_opened == 2
    service.faults.set("close", times=2)
    with pytest.raises(RequestFailed, match="closed without a response") as raised:
        ask(transport)
    assert raised.value.reason == "connection"
    assert transport.connections == 0


def test_bytes_left_on_an_idle_connection_take_the_answer_back(
    service: SimulatedImageService, transport: ConnectionPool, overruns: list[object]
) -> None:
    """They are seen before the next request, which gets a connection of its own."""
    service.faults.set("leftover", data=b"HTTP/1.1 404 No\r\n\r\n", held=True)
    transport.send(HttpRequest("HEAD", PATH, steady() + GENEROUS, tag="first"))
    service.faults.clear()
    # The end of what the service does for the first request.
    wait_until(lambda: service.log.in_flight == 0)

    def is_closed() -> bool:
        transport.check_idle(0.0)
        return transport.connections == 0

    wait_until(is_closed)
    assert overruns == ["first"]
    assert ask(transport).head.code == 200
    assert service.log.connections_opened == 2


def test_bytes_in_one_write_make_the_answer_malformed(
    service: SimulatedImageService, transport: ConnectionPool
) -> None:
    """The connection is closed with them."""
    service.faults.set("leftover", data=b"x")
    with pytest.raises(RequestFailed, match="unexpected data after") as raised:
        ask(transport)
    assert raised.value.reason == "malformed"
    assert transport.connections == 0


def test_an_answer_of_another_request_takes_the_one_before_back(
    transport: ConnectionPool, overruns: list[object]
) -> None:
    """Answers out of step end the connection, so that no more follow."""
    transport.send(HttpRequest("HEAD", PATH, steady() + GENEROUS, tag="before"))
    answer = transport.send(
        HttpRequest("HEAD", PATH, steady() + GENEROUS, tag="now", matches_request=lambda _: False)
    )
    assert answer.head.code == 200
    assert overruns == ["before"]
    assert transport.connections == 0


def test_settle_gives_late_bytes_a_moment(
    service: SimulatedImageService, transport: ConnectionPool, overruns: list[object]
) -> None:
    """What follows an answer by a few milliseconds is still seen."""
    service.faults.set("leftover", data=b"x", delay=0.02)
    transport.send(HttpRequest("HEAD", PATH, steady() + GENEROUS, tag="late"))
    transport.check_idle(1.0)
    assert overruns == ["late"]


def test_settle_without_connections_takes_no_time(transport: ConnectionPool) -> None:
    """Nothing is waited for where nothing can come."""
    began = steady()
    transport.check_idle(5.0)
    assert steady() - began < 1.0


def test_close_wakes_whoever_waits(
    service: SimulatedImageService, transport: ConnectionPool
) -> None:
    """A request in flight ends, idle connections too, and none is opened any more."""
    ask(transport)
    service.faults.set("hang")
    reasons: list[str] = []

    def wait() -> None:
        with pytest.raises(RequestFailed) as raised:
            ask(transport, seconds=60.0)
        reasons.append(raised.value.reason)

    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    wait_until(lambda: service.log.in_flight == 3)
    transport.close()
    for thread in waiting:
        thread.join(GENEROUS)
    assert reasons == ["connection"] * 3
    assert transport.connections == 0
    with pytest.raises(RequestFailed, match="stopping"):
        ask(transport)
    wait_until(lambda: service.log.connections_open == 0)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://a b:1"])
def test_an_endpoint_that_cannot_be_asked_is_refused(url: str) -> None:
    """The catalogue may say anything."""
    with pytest.raises(ValueError, match=r"\S"):
        ConnectionPool(url, DIRECT, "t")


@pytest.mark.parametrize(
    "proxy",
    ["http://user:s3cret@proxy:99999", "http://user:s3@cret@[::1", "ftp://user:s3cret@proxy:1"],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(proxy: str) -> None:
    """Its URL comes from the environment, and the libraries quote it whole."""
    with pytest.raises(ValueError, match=r"\S") as raised:
        ConnectionPool("https://127.0.0.1", replace(DIRECT, proxy=proxy), "t")
    assert "cret" not in str(raised.value)


def test_a_bundle_that_is_not_there_is_refused() -> None:
    """So is a client certificate; the text names the file."""
    for route in (replace(DIRECT, verify="/nowhere/x.pem"), replace(DIRECT, cert="/nowhere/x.pem")):
        with pytest.raises(ValueError, match=r"/nowhere/x\.pem"):
            ConnectionPool("https://127.0.0.1:1", route, "t")


def test_without_a_bundle_the_authorities_are_those_of_requests() -> None:
    """Polls trust whom the sign-in trusts."""
    transport = ConnectionPool("https://127.0.0.1:1", DIRECT, "t")
    assert transport._connector._urllib3_pool.ca_certs == certifi.where()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "connection"),
        (UnicodeError("label empty or too long"), "connection"),
        (TimeoutError(), "timeout"),
        (OSError("network is unreachable"), "connection"),
    ],
)
def test_a_name_that_cannot_be_used_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """Whatever the look-up raises has its reason."""

    def lookup(*_: object, **__: object) -> list[object]:
        raise error

    monkeypatch.setattr(connection, "RESOLVER", Resolver(lookup))  # type: ignore[arg-type]  # never returns
    transport = ConnectionPool("http://glance.test:9292", DIRECT, "t")
    with pytest.raises(RequestFailed) as raised:
        ask(transport)
    assert raised.value.reason == reason
    assert transport.connections == 0


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours comes out as it is, and its connection is not kept."""

    def lookup(*_: object, **__: object) -> list[object]:
        raise ZeroDivisionError

    monkeypatch.setattr(connection, "RESOLVER", Resolver(lookup))  # type: ignore[arg-type]  # never returns
    transport = ConnectionPool("http://glance.test:9292", DIRECT, "t")
    with pytest.raises(ZeroDivisionError):
        ask(transport)
    assert transport.connections == 0
