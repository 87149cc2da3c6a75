"""The last chunk after a response to HEAD, which has no chunks, as uWSGI and HAProxy send it."""

from collections.abc import Iterator

import pytest

from exporter.clock import steady
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport import http1
from exporter.transport.http1 import RequestFailed
from exporter.transport.pool import ConnectionPool, HttpRequest
from exporter.transport.proxies import ProxySettings
from tests.support.fakes.scripted_server import Reply, scripted_server

PATH = "/v1/images/a"
DIRECT = ProxySettings(proxy=None, verify=True, cert=None)
TIMEOUT = 10.0

CHUNKED = b"HTTP/1.1 200 OK\r\nX-Image-Meta-Id: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSES = CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
PLAIN = b"HTTP/1.1 200 OK\r\nX-Image-Meta-Id: a\r\nContent-Length: 0\r\n\r\n"
LAST = b"0\r\n\r\n"
HEADERS = b"X-Image-Meta-Status: deactivated\r\nX-Image-Meta-Protected: True\r\n\r\n"
SECOND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait so long that a piece is never too late, however busy this machine is."""
    monkeypatch.setattr(http1, "LAST_CHUNK_WAIT", 2.0)


def result_of(reply: Reply) -> int | str:
    """Return the status code of a response, or the reason of the failure."""
    with scripted_server([reply]) as url:
        pool = ConnectionPool(url, DIRECT, "t")
        try:
            return pool.send(HttpRequest("HEAD", PATH, steady() + TIMEOUT)).code
        except RequestFailed as error:
            return error.reason
        finally:
            assert pool.connections == 0
            pool.close()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("head", [CHUNKED, CLOSES, CHUNKED.replace(b"200 OK", b"404 Not Found")])
def test_last_chunk_passes_however_it_is_split(head: bytes) -> None:
    code = int(head[9:12])
    assert result_of(head + LAST) == code
    assert result_of((head, LAST)) == code
    assert result_of((head, b"0\r", b"\n\r\n")) == code


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("more", [b"x", b"\r\n", LAST, HEADERS, SECOND])
@pytest.mark.parametrize("head", [CHUNKED, CLOSES])
def test_anything_after_the_last_chunk_is_malformed(head: bytes, more: bytes) -> None:
    """The name of an image can forge the last chunk; the rest of the headers follows it."""
    assert result_of(head + LAST + more) == "malformed"
    assert result_of((head + LAST, more)) == "malformed"
    assert result_of((head, LAST, more)) == "malformed"


@pytest.mark.parametrize(
    "tail",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"0;x\r\n\r\n",
        b"00\r\n\r\n",
        b"0\r\nA: b\r\n\r\n",
        b"0\r\n",
        b"x",
    ],
)
def test_other_bytes_than_the_last_chunk_are_malformed(tail: bytes) -> None:
    assert result_of(CHUNKED + tail) == "malformed"


def test_last_chunk_without_chunked_encoding_is_malformed() -> None:
    assert result_of(PLAIN + LAST) == "malformed"


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Run a service with one image."""
    with SimulatedImageService([SimulatedImage("a")]) as running:
        yield running


@pytest.fixture
def desyncs() -> list[object]:
    """Tags of the requests whose responses were retracted."""
    return []


@pytest.fixture
def pool(service: SimulatedImageService, desyncs: list[object]) -> Iterator[ConnectionPool]:
    """Open a pool of connections to the service."""
    connection_pool = ConnectionPool(service.url, DIRECT, "test/1", desyncs.append)
    yield connection_pool
    connection_pool.close()


def test_connection_is_not_kept_after_a_last_chunk(
    service: SimulatedImageService, pool: ConnectionPool
) -> None:
    service.faults.set("last_chunk", times=1)
    assert pool.send(HttpRequest("HEAD", PATH, steady() + TIMEOUT)).code == 200
    assert pool.connections == 0


def test_connection_is_kept_without_a_last_chunk() -> None:
    """The web server nginx sends the header without the chunk."""
    with scripted_server([CHUNKED, PLAIN]) as url:
        pool = ConnectionPool(url, DIRECT, "t")
        for _ in range(2):
            assert pool.send(HttpRequest("HEAD", PATH, steady() + TIMEOUT)).code == 200
            assert pool.connections == 1
        pool.close()


def test_last_chunk_after_the_wait_retracts_the_response(
    service: SimulatedImageService,
    pool: ConnectionPool,
    desyncs: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http1, "LAST_CHUNK_WAIT", 0.001)
    service.faults.set("last_chunk", delay=0.3)
    pool.send(HttpRequest("HEAD", PATH, steady() + TIMEOUT, tag="late"))
    pool.check_idle(1.0)
    assert desyncs == ["late"]


def test_wait_for_a_last_chunk_ends_at_the_deadline(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch, service: SimulatedImageService
) -> None:
    monkeypatch.setattr(http1, "LAST_CHUNK_WAIT", 60.0)
    service.faults.set("last_chunk", delay=60.0)
    started = steady()
    assert pool.send(HttpRequest("HEAD", PATH, started + 0.3)).code == 200
    assert steady() - started < TIMEOUT
