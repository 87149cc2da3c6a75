"""The memory of clients that do not read their responses, or leave, on real sockets."""

import asyncio
import gc
import logging
import socket
import ssl
import struct
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from uvicorn.protocols.http.flow_control import FlowControl

from exporter.metrics.body import Body
from exporter.store import Store
from exporter.web.handlers import Handlers
from exporter.web.pages.image_list import query_images
from exporter.web.security.middleware import SecurityState
from exporter.web.server import server as server_module
from exporter.web.server.http_protocol import READ_BUFFER_BYTES, HttpProtocol
from exporter.web.streaming import CHUNK_SIZE, TLS_CHUNK_SIZE, PiecewiseResponse
from exporter.web_security import load_security
from tests.support.wait import wait_until
from tests.support.web_config import TLS, WebConfigFolder
from tests.web.conftest import TEST_TIMEOUT, ServerThread, run_server
from tests.web.example_images import NOW

READERS = 10
OVERHEAD = 20 * 1024
"""Bytes for the objects of a connection and its request, without buffers."""

PIECE_SIZE = 1_000_000
PIECES = 50
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Pieces:
    """Large pieces of which each part is new bytes, as of plain text."""

    def __init__(self) -> None:
        self.bytes_made = 0

    def __getitem__(self, part: slice) -> bytes:
        size = len(range(PIECE_SIZE)[part])
        self.bytes_made += size
        return bytes(size)

    def response(self) -> PiecewiseResponse:
        """Return a response larger than all socket buffers."""
        return PiecewiseResponse(Body(PIECE_SIZE * PIECES, (self,) * PIECES), {})


@pytest.fixture
def protocols(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[HttpProtocol]]:
    """The server's side of all connections."""
    created: list[weakref.ref[HttpProtocol]] = []

    class Recorded(HttpProtocol):
        def connection_made(  # type: ignore[override]  # as in H11Protocol
            self, transport: asyncio.Transport
        ) -> None:
            created.append(weakref.ref(self))
            super().connection_made(transport)

    monkeypatch.setattr(server_module, "HttpProtocol", Recorded)
    return created


def buffered(protocol: weakref.ref[HttpProtocol]) -> int:
    """Return the bytes in the buffer of a response that waits for its client, or 0."""
    connection = protocol()
    flow: FlowControl | None = connection.flow if connection else None  # None before a request
    is_waiting = flow is not None and flow.write_paused
    return connection.transport.get_write_buffer_size() if connection and is_waiting else 0


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def security(request: pytest.FixtureRequest, tmp_path: Path) -> SecurityState:
    """Security with and without TLS."""
    if not request.param:
        return SecurityState()
    return SecurityState(load_security(WebConfigFolder(tmp_path).write(f"{TLS}}}")).config)


def request_slowly(server: ServerThread, security: SecurityState) -> socket.socket:
    """Send a request, with as small a receive buffer as the kernel allows."""
    client = socket.socket()
    client.settimeout(TEST_TIMEOUT)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((server.host, server.port))
    if security.tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client = context.wrap_socket(client)
    client.sendall(REQUEST)
    return client


@contextmanager
def traced_memory() -> Iterator[Callable[[], int]]:
    """Measure the memory that Python has allocated since then."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_slow_reader_costs_one_chunk(
    security: SecurityState, protocols: list[weakref.ref[HttpProtocol]]
) -> None:
    """OpenSSL's own memory is not measured."""
    chunk = TLS_CHUNK_SIZE + READ_BUFFER_BYTES if security.tls else CHUNK_SIZE
    with run_server(Pieces().response(), security) as server, ExitStack() as stack:
        with request_slowly(server, security):
            wait_until(lambda: protocols and buffered(protocols[0]))
        with traced_memory() as traced:
            for _ in range(READERS):
                stack.enter_context(request_slowly(server, security))
            wait_until(lambda: all(map(buffered, protocols[1:])) and len(protocols) > READERS)
            assert max(map(buffered, protocols)) <= CHUNK_SIZE
            assert traced() < READERS * (chunk + OVERHEAD)


def test_slow_reader_of_a_page_costs_its_compressed_text(
    protocols: list[weakref.ref[HttpProtocol]],
) -> None:
    handlers = Handlers(
        render_metrics=lambda **_: Body.of(()),
        query_images=lambda query: query_images(Store(), query, NOW),
        find_image=lambda **_: None,
        check_health=lambda: None,
        check_readiness=lambda: None,
        config_text=lambda: "x" * PIECE_SIZE * 5,
    )
    app = Starlette(routes=[Route("/", handlers.config)])
    with run_server(app) as server, ExitStack() as stack:
        with request_slowly(server, SecurityState()):
            wait_until(lambda: protocols and buffered(protocols[0]))
        with traced_memory() as traced:
            for _ in range(READERS):
                stack.enter_context(request_slowly(server, SecurityState()))
            wait_until(lambda: all(map(buffered, protocols[1:])) and len(protocols) > READERS)
            assert max(map(buffered, protocols)) <= CHUNK_SIZE
            assert traced() < READERS * (2 * CHUNK_SIZE + OVERHEAD)


@pytest.mark.parametrize("has_reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("reads", [False, True], ids=["unread", "read"])
def test_nothing_is_kept_of_a_client_that_has_left(
    *,
    security: SecurityState,
    protocols: list[weakref.ref[HttpProtocol]],
    has_reset: bool,
    reads: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the rest of the response is made, nor is the memory of the connection kept."""
    pieces = Pieces()
    app = PiecewiseResponse(Body(1, (b"x",)), {}) if reads else pieces.response()
    gc.disable()
    try:
        with run_server(app, security) as server:
            with closing(request_slowly(server, security)) as client:
                if reads:
                    while not client.recv(1000).endswith(b"x"):
                        pass
                else:
                    wait_until(lambda: protocols and buffered(protocols[0]))
                if has_reset:
                    linger = struct.pack("ii", 1, 0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            wait_until(lambda: protocols[0]() is None)
    finally:
        gc.enable()
    assert pieces.bytes_made < PIECE_SIZE * PIECES / 2
    assert [r.message for r in caplog.records if r.levelno > logging.DEBUG] == []
