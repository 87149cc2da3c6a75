"""Errors with a page, which some gateways send also in response to HEAD, and then close."""

import select
import socket
import threading
from collections.abc import Iterator

import pytest

from exporter.clock import steady
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.http1 import RequestFailed, Response, send_request
from exporter.transport.pool import ConnectionPool, HeldConnection, HttpRequest
from exporter.transport.proxies import ProxySettings
from tests.support.fakes.scripted_server import Reply, scripted_server

ID = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
PATH = f"/v1/images/{ID}"
DIRECT = ProxySettings(proxy=None, verify=True, cert=None)
TIMEOUT = 10.0

PAGE = b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available.\n</body></html>\n"
FOUND = b"HTTP/1.1 200 OK\r\nX-Image-Meta-Id: other\r\nContent-Length: 0\r\n\r\n"
CLOSES = b"Connection: close\r\n\r\n"
ERROR = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 83\r\n" + CLOSES

CODES = [301, 400, 401, 403, 404, 405, 429, 500, 502, 503, 504]


def send(
    pool: ConnectionPool, method: str = "HEAD", held: HeldConnection | None = None
) -> Response:
    """Send a request."""
    return pool.send(HttpRequest(method, PATH, steady() + TIMEOUT, held=held))


def scripted_code(*replies: Reply, connections: int = 1, seconds: float = TIMEOUT) -> int | str:
    """Return the status code of the last response on a connection, or the reason of its failure."""
    with scripted_server(*[replies] * connections) as url:
        pool = ConnectionPool(url, DIRECT, "t")
        try:
            for _ in replies[1:]:
                assert send(pool).code == 200
            return pool.send(HttpRequest("HEAD", PATH, steady() + seconds)).code
        except RequestFailed as error:
            return error.reason
        finally:
            assert pool.connections == 0
            pool.close()


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Run a service with one image."""
    with SimulatedImageService([SimulatedImage(ID)]) as running:
        yield running


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("is_reused", [False, True])
def test_status_code_counts_and_the_page_goes_with_the_connection(
    service: SimulatedImageService, method: str, code: int, is_reused: bool
) -> None:
    pool = ConnectionPool(service.url, DIRECT, "t")
    if is_reused:
        assert send(pool).code == 200
    service.faults.set("error_page", code=code, headers={"Retry-After": "7"}, times=1)
    response = send(pool, method)
    assert (response.code, response.first(b"retry-after")) == (code, b"7")
    assert pool.connections == 0
    assert send(pool).code == 200
    assert service.log.connections_opened == 2
    pool.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 503 Service Unavailable\r\n\r\n",
        b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 83\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\n" + CLOSES,
        ERROR,
    ],
)
@pytest.mark.parametrize("before", [(), (FOUND,)])
def test_http_1_0_and_connection_close_end_the_connection(
    head: bytes, before: tuple[bytes, ...]
) -> None:
    assert scripted_code(*before, head + PAGE) == 503
    assert scripted_code(*before, (head, PAGE)) == 503


@pytest.mark.parametrize("before", [(), (FOUND,)])
def test_page_after_an_error_that_keeps_the_connection_is_malformed(
    before: tuple[bytes, ...],
) -> None:
    keeps = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 83\r\n\r\n"
    assert scripted_code(*before, keeps + PAGE) == "malformed"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_bytes_after_a_200_are_malformed_although_it_ends_the_connection(version: bytes) -> None:
    assert scripted_code(b"HTTP/" + version + b" 200 OK\r\n" + CLOSES + PAGE) == "malformed"


@pytest.mark.parametrize(
    "rest",
    [
        FOUND,
        b"X-Image-Meta-Status: active\r\nContent-Length: 0\r\n\r\n" + FOUND,
        b"Content-Length: 0\r\nDate: now\r\n\r\n" + FOUND,
        b"x-image-meta-status: active\r\n\r\n",
        b"X-Openstack-Request-Id: req-1\r\n\r\n",
    ],
)
def test_response_after_a_forged_error_is_malformed(rest: bytes) -> None:
    """The name of the image that was requested before ended in that error."""
    assert scripted_code(FOUND, ERROR + rest) == "malformed"
    # The true response comes only after the server has processed the request.
    head, tail = rest[:20], rest[20:]
    assert scripted_code(FOUND, (ERROR + head, tail)) == "malformed"


def test_error_on_a_reused_connection_that_does_not_end_is_malformed(
    service: SimulatedImageService,
) -> None:
    """It announced the end, so somebody else may have written it."""
    pool = ConnectionPool(service.url, DIRECT, "t")
    assert send(pool).code == 200
    forged = ERROR + PAGE
    service.replay(ID, forged.replace(b"Connection: close", b"Connection:  close"))
    with pytest.raises(RequestFailed) as raised:
        pool.send(HttpRequest("HEAD", PATH, steady() + 0.3))
    assert raised.value.reason == "malformed"
    pool.close()


def test_page_whose_connection_is_reset_counts() -> None:
    """A server that closes before it has read everything resets the connection."""
    client, server = socket.socketpair()

    def serve() -> None:
        with server:
            server.sendall(ERROR + PAGE)
            select.select([server], [], [], TIMEOUT)  # closed with an unread request

    thread = threading.Thread(target=serve)
    thread.start()
    with client:
        response = send_request(
            client, b"x", steady() + TIMEOUT, response_has_body=False, is_reused=True
        )
    thread.join()
    assert (response.code, response.has_trailing_data) == (503, False)


def test_page_has_a_limit_on_a_reused_connection() -> None:
    assert scripted_code(FOUND, ERROR + b"x" * 900_000) == 503
    assert scripted_code(FOUND, ERROR + b"x" * 3_000_000) == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 4\r\n\r\nbo",
        b"Content-Length: four\r\n\r\nbody",
        b"Transfer-Encoding: chunked\r\n\r\n<html>",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\n<html>",
    ],
)
def test_status_code_counts_although_the_body_of_the_error_is_cut_off_or_invalid(
    body: bytes,
) -> None:
    with scripted_server([b"HTTP/1.1 401 Unauthorized\r\n" + body]) as url:
        pool = ConnectionPool(url, DIRECT, "t")
        response = send(pool, "GET")
        assert (response.code, response.body, pool.connections) == (401, b"", 0)
        pool.close()


def test_page_after_the_first_error_of_a_held_connection_is_not_unexpected_data() -> None:
    """Nothing can have forged the first response on a connection."""
    for reply in (ERROR + PAGE, (ERROR, PAGE)):
        with scripted_server([reply]) as url, HeldConnection(late_data_timeout=0.2) as held:
            pool = ConnectionPool(url, DIRECT, "t")
            assert send(pool, held=held).code == 503
            assert not held.is_followed_by_data()
            pool.close()
