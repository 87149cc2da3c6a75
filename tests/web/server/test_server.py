"""Slow and silent clients, timeouts and shutdown, on real sockets."""

import asyncio
import contextlib
import http.client
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.metrics.body import Body
from exporter.web.server import server as server_module
from exporter.web.server.http_protocol import TIMEOUTS, ConnectionState, HttpProtocol
from exporter.web.server.server import WebServer
from exporter.web.streaming import PiecewiseResponse
from tests.support.wait import wait_until
from tests.web.conftest import TEST_TIMEOUT, Serve

QUICKLY = 10.0
"""Seconds within which a server must stop, also on a busy machine. No connection ends by itself in
that time."""
LARGE = b"x" * 20_000_000


async def hello(_: Request) -> Response:
    """Respond with a short body."""
    return Response(b"hello")


async def large(_: Request) -> Response:
    """Respond with a body that no socket buffer holds."""
    return Response(LARGE)


async def pieces(_: Request) -> Response:
    """Stream the same body in pieces."""
    return PiecewiseResponse(Body.of((LARGE[:1_000_000],) * 20), {})


async def endless(_: Request) -> Response:
    """Never respond."""
    never: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    return await never


async def late(request: Request) -> Response:
    """Respond after several times the time that a client has for its request."""
    await asyncio.sleep(5 * TIMEOUTS[ConnectionState.REQUEST])
    return await hello(request)


APP = Starlette(
    routes=[
        Route("/late", late),
        Route("/", hello),
        Route("/large", large),
        Route("/pieces", pieces),
        Route("/endless", endless),
    ],
)


@contextlib.contextmanager
def bound(listen_address: str) -> Iterator[WebServer]:
    """Provide a server that listens and does not serve."""
    server = WebServer(listen_address)
    server.bind()
    try:
        yield server
    finally:
        server.close()


def test_connections_made_before_serving_are_served() -> None:
    with bound("127.0.0.1:0") as server:
        host, port = server.addresses[0].split(":")
        with socket.create_connection((host, int(port)), timeout=TEST_TIMEOUT) as early:
            early.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            stop = threading.Event()
            thread = threading.Thread(target=server.serve, args=(APP, stop))
            thread.start()
            with early.makefile("rb") as response:
                assert response.read().endswith(b"hello")
            stop.set()
            thread.join(TEST_TIMEOUT)
            assert not thread.is_alive()


def test_incomplete_requests_do_not_delay_others(serve: Serve) -> None:
    server_thread = serve(APP)
    incomplete = [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\n"]
    silent = [server_thread.connect(incomplete[index % 4]) for index in range(100)]
    try:
        for _ in range(10):
            started = time.monotonic()
            assert server_thread.request("/").body == b"hello"
            assert time.monotonic() - started < TIMEOUTS[ConnectionState.REQUEST] / 2
    finally:
        for connection in silent:
            connection.close()


def test_request_that_is_not_http_gets_400(serve: Serve) -> None:
    server_thread = serve(APP)
    with (
        server_thread.connect(b"\x16\x03\x01 garbage\r\n\r\n") as garbage,
        garbage.makefile("rb") as read,
    ):
        assert read.read().startswith(b"HTTP/1.1 400 ")
    assert server_thread.request("/").status == 200


def test_pipelined_requests_are_served_on_one_connection(serve: Serve) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n"
    end = b"Connection: close\r\n\r\n"
    with (
        serve(APP).connect(request + b"\r\n" + request + end) as client,
        client.makefile("rb") as read,
    ):
        assert read.read().count(b"hello") == 2


def test_pipelined_requests_are_not_buffered_without_limit(serve: Serve) -> None:
    requests = b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server_thread = serve(APP)
        client.connect((server_thread.host, server_thread.port))
        client.setblocking(False)
        sent = 0
        while select.select([], [client], [], 0.5)[1] and sent < 2**20:
            sent += client.send(requests)
        assert sent < 2**17


def test_nagles_algorithm_is_disabled(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would cost 40 ms for each response on a keep-alive connection."""
    no_delay: list[int] = []

    class Watching(HttpProtocol):
        def connection_made(  # type: ignore[override]  # as in H11Protocol
            self, transport: asyncio.Transport
        ) -> None:
            connection = transport.get_extra_info("socket")
            no_delay.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    monkeypatch.setattr(server_module, "HttpProtocol", Watching)
    assert serve(APP).request("/").status == 200
    assert no_delay == [1]


def test_request_timeout_restarts_with_each_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TIMEOUTS, ConnectionState.REQUEST, 0.3)
    server_thread = serve(APP)
    connection = http.client.HTTPConnection(
        server_thread.host, server_thread.port, timeout=TEST_TIMEOUT
    )
    connection.connect()
    sock = connection.sock
    until = time.monotonic() + 2 * TIMEOUTS[ConnectionState.REQUEST]
    while time.monotonic() < until:
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
    assert connection.sock is sock
    connection.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\n", b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"]
)
def test_connection_without_a_response_in_time_is_closed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setitem(TIMEOUTS, ConnectionState.REQUEST, 0.1)
    monkeypatch.setitem(TIMEOUTS, ConnectionState.RESPONSE, 0.1)
    with serve(APP).connect(sent) as slow, contextlib.suppress(ConnectionResetError):
        assert slow.recv(1) == b""


def test_response_may_take_longer_than_the_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TIMEOUTS, ConnectionState.REQUEST, 0.1)
    assert serve(APP).request("/late").status == 200


def test_client_that_does_not_read_its_response_is_disconnected(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "KEEP_ALIVE", 0)
    monkeypatch.setitem(TIMEOUTS, ConnectionState.RESPONSE, 0.1)
    monkeypatch.setitem(TIMEOUTS, ConnectionState.IDLE, 0.1)
    server_thread = serve(APP)
    with server_thread.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        assert select.select([client], [], [], TEST_TIMEOUT)[0]
        wait_until(lambda: not is_established(server_thread.port, client.getsockname()[1]))


def test_response_timeout_applies_on_an_idle_connection_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TIMEOUTS, ConnectionState.RESPONSE, 0.3)
    server_thread = serve(APP)
    with server_thread.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        while not client.recv(1000).endswith(b"hello"):
            pass
        client.sendall(b"GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: not is_established(server_thread.port, client.getsockname()[1]))


def is_established(local_port: int, remote_port: int) -> bool:
    """Return True if the kernel still has this end of an IPv4 connection."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ports = (f":{local_port:04X}", f":{remote_port:04X}")
    (state,) = (row[3] for row in rows if (row[1][-5:], row[2][-5:]) == ports)
    return state == "01"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
        b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_open_connections_do_not_delay_shutdown(serve: Serve, sent: bytes) -> None:
    server_thread = serve(APP)
    clients = [server_thread.connect(sent) for _ in range(3)]
    try:
        assert server_thread.request("/").status == 200
        started = time.monotonic()
        server_thread.shut_down()
        assert time.monotonic() - started < QUICKLY
        with pytest.raises(ConnectionRefusedError):
            server_thread.connect()
    finally:
        for client in clients:
            client.close()


def test_response_that_is_cut_off_at_shutdown_leaves_no_traceback(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """As that to a reload of a file on a network file system that does not respond."""
    server_thread = serve(APP)
    with server_thread.connect(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"):
        assert server_thread.request("/").status == 200
        server_thread.shut_down()
    assert [record.message for record in caplog.records if record.exc_info] == []


PROGRAM = """
import signal, sys, threading
from exporter.web.server.server import WebServer
from tests.web.server.test_server import APP

stop = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stop.set())
server = WebServer("127.0.0.1:0")
server.bind()
print(server.addresses[0], flush=True)
server.serve(APP, stop)
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_handlers_of_the_program_are_unchanged(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout
        host, _, port = program.stdout.readline().strip().partition(":")
        with socket.create_connection((host, int(port)), timeout=TEST_TIMEOUT) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(9) == b"HTTP/1.1 "
            started = time.monotonic()
            program.send_signal(number)
            out, err = program.communicate(timeout=TEST_TIMEOUT)
    assert time.monotonic() - started < QUICKLY
    assert (program.returncode, out, err) == (0, "ended\n", "")


def test_connection_reset_is_not_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server_thread = serve(APP)
    with server_thread.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert server_thread.request("/").status == 200
    assert not caplog.records
