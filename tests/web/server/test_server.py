"""Addresses, clients that are slow or silent, and the end, on real sockets."""

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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from exporter.metrics.exposition import Body
from exporter.web.server import server
from exporter.web.server.http_protocol import TIMEOUTS, ConnectionState, HttpProtocol
from exporter.web.server.server import WebServer
from exporter.web.streaming import PiecewiseResponse
from tests.support.wait import wait_until
from tests.web.conftest import BOUND, Running

Serve = Callable[[ASGIApp], Running]
QUICKLY = 2.0
"""Seconds within which a server that is told to end must have ended."""
LARGE = b"x" * 20_000_000


async def hello(_: Request) -> Response:
    """A short answer."""
    return Response(b"hello")


async def large(_: Request) -> Response:
    """An answer that no socket's buffer holds."""
    return Response(LARGE)


async def pieces(_: Request) -> Response:
    """The same in pieces, each sent when there is room for it."""
    return PiecewiseResponse(Body((LARGE[:1_000_000],) * 20, len(LARGE)), {})


async def endless(_: Request) -> Response:
    """No answer, ever."""
    answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    return await answer


APP = Starlette(
    routes=[
        Route("/", hello),
        Route("/large", large),
        Route("/pieces", pieces),
        Route("/endless", endless),
    ],
)


@contextlib.contextmanager
def bound(listen_address: str) -> Iterator[WebServer]:
    """A server that has its addresses and does not serve."""
    made = WebServer(listen_address)
    made.bind()
    try:
        yield made
    finally:
        made.close()


def test_clients_that_come_before_serving_are_served() -> None:
    """A connection made between bind and serve waits, and is answered."""
    with bound("127.0.0.1:0") as made:
        host, port = made.addresses[0].split(":")
        with socket.create_connection((host, int(port)), timeout=BOUND) as early:
            early.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            stop = threading.Event()
            thread = threading.Thread(target=made.serve, args=(APP, stop))
            thread.start()
            with early.makefile("rb") as answer:
                assert answer.read().endswith(b"hello")
            stop.set()
            thread.join(BOUND)
            assert not thread.is_alive()


def test_silent_clients_stall_nobody(serve: Serve) -> None:
    """A hundred connections that never finish asking leave a request as quick as before."""
    running = serve(APP)
    halves = [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\n"]
    silent = [running.connect(halves[each % 4]) for each in range(100)]
    try:
        for _ in range(10):
            began = time.monotonic()
            assert running.ask("/").body == b"hello"
            assert time.monotonic() - began < 1
    finally:
        for each in silent:
            each.close()


def test_what_is_not_http_is_refused(serve: Serve) -> None:
    """Garbage gets 400, and the server goes on."""
    running = serve(APP)
    with (
        running.connect(b"\x16\x03\x01 garbage\r\n\r\n") as garbage,
        garbage.makefile("rb") as read,
    ):
        assert read.read().startswith(b"HTTP/1.1 400 ")
    assert running.ask("/").status == 200


def test_a_connection_is_kept_for_the_next_request(serve: Serve) -> None:
    """Two requests, one sent before the other is answered, are answered on one connection."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\n"
    end = b"Connection: close\r\n\r\n"
    with serve(APP).connect(request + b"\r\n" + request + end) as kept, kept.makefile("rb") as read:
        assert read.read().count(b"hello") == 2


def test_what_a_client_asks_ahead_is_left_with_it(serve: Serve) -> None:
    """Requests that follow on one that is not answered yet take no memory to speak of."""
    requests = b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        running = serve(APP)
        client.connect((running.host, running.port))
        client.setblocking(False)
        sent = 0
        while select.select([], [client], [], 0.5)[1] and sent < 2**20:
            sent += client.send(requests)
        assert sent < 2**17


def test_no_piece_of_an_answer_waits_for_the_client(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is sent at once, which on a kept connection saves 40 ms an answer."""
    sent_at_once: list[int] = []

    class Watching(HttpProtocol):
        def connection_made(  # type: ignore[override]  # as in H11Protocol
            self, transport: asyncio.Transport
        ) -> None:
            connection = transport.get_extra_info("socket")
            sent_at_once.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    monkeypatch.setattr(server, "HttpProtocol", Watching)
    assert serve(APP).ask("/").status == 200
    assert sent_at_once == [1]


def test_a_client_that_goes_on_asking_is_kept(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time in which a connection must be answered begins again with each answer."""
    monkeypatch.setitem(TIMEOUTS, ConnectionState.REQUEST, 0.3)
    running = serve(APP)
    kept = http.client.HTTPConnection(running.host, running.port, timeout=BOUND)
    kept.connect()
    connection = kept.sock
    until = time.monotonic() + 2 * TIMEOUTS[ConnectionState.REQUEST]
    while time.monotonic() < until:
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"hello"
    assert kept.sock is connection
    kept.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\n", b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"]
)
def test_a_client_that_takes_too_long_is_let_go(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """A connection without an answer in time is closed."""
    monkeypatch.setitem(TIMEOUTS, ConnectionState.REQUEST, 0.1)
    with serve(APP).connect(sent) as slow, contextlib.suppress(ConnectionResetError):
        assert slow.recv(1) == b""


def test_a_client_that_does_not_take_its_answer_is_let_go(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose client reads nothing is closed, though its answer is not through."""
    monkeypatch.setattr(server, "KEEP_ALIVE", 0)
    monkeypatch.setitem(TIMEOUTS, ConnectionState.REQUEST, 0.1)
    monkeypatch.setitem(TIMEOUTS, ConnectionState.IDLE, 0.1)
    running = serve(APP)
    with running.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as deaf:
        assert select.select([deaf], [], [], BOUND)[0]
        wait_until(lambda: not is_established(running.port, deaf.getsockname()[1]))


def test_a_kept_connection_has_no_longer_to_take_its_answer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time to take an answer begins with its request, on a connection that was idle too."""
    monkeypatch.setitem(TIMEOUTS, ConnectionState.REQUEST, 0.3)
    running = serve(APP)
    with running.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as deaf:
        while not deaf.recv(1000).endswith(b"hello"):
            pass
        deaf.sendall(b"GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: not is_established(running.port, deaf.getsockname()[1]))


def is_established(local_port: int, remote_port: int) -> bool:
    """Whether this end of an IPv4 connection is still open, as the kernel sees it."""
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
def test_open_connections_do_not_delay_the_end(serve: Serve, sent: bytes) -> None:
    """Idle, half-open, slow and unanswered connections are cut off when the server ends."""
    running = serve(APP)
    clients = [running.connect(sent) for _ in range(3)]
    try:
        assert running.ask("/").status == 200
        began = time.monotonic()
        running.end()
        assert time.monotonic() - began < QUICKLY
        with pytest.raises(ConnectionRefusedError):
            running.connect()
    finally:
        for each in clients:
            each.close()


PROGRAM = """
import signal, sys, threading
from exporter.web.server.server import WebServer
from tests.web.server.test_server import APP

stop = threading.Event()
for each in (signal.SIGTERM, signal.SIGINT):
    signal.signal(each, lambda *_: stop.set())
server = WebServer("127.0.0.1:0")
server.bind()
print(server.addresses[0], flush=True)
server.serve(APP, stop)
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stay_the_programs_own(number: signal.Signals) -> None:
    """The server leaves signals alone: the program's handler ends it, with status 0, quickly."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout
        host, _, port = program.stdout.readline().strip().partition(":")
        with socket.create_connection((host, int(port)), timeout=BOUND) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(9) == b"HTTP/1.1 "
            began = time.monotonic()
            program.send_signal(number)
            out, err = program.communicate(timeout=BOUND)
    assert time.monotonic() - began < QUICKLY
    assert (program.returncode, out, err) == (0, "ended\n", "")


def test_a_client_that_resets_costs_nothing(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that is reset in the middle of an answer leaves no trace in the log."""
    running = serve(APP)
    with running.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as rude:
        rude.recv(1)
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert running.ask("/").status == 200
    assert not caplog.records
