"""Addresses, clients that are slow or silent, and the end, on real sockets."""

import asyncio
import contextlib
import errno
import http.client
import os
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
from exporter.web.server.server import ListenError, WebServer
from exporter.web.server.tls_handshake import TlsHandshakeProtocol
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


@pytest.mark.parametrize(
    "listen_address",
    [
        "",
        "10292",
        "localhost",
        ":",
        ":65536",
        ":100000",
        ":-1",
        ": 80",
        ":http",
        ":٣",
        "::1:9",
        "[]:9",
        "[::1]",
        "[::1]9",
        "[127.0.0.1]:9",
        "[nonsense]:9",
        "http://localhost:9",
        "a b:9",
        "localhost:9\n",
    ],
)
def test_what_is_no_listen_address_is_refused(listen_address: str) -> None:
    """The error shows the value, and what is accepted."""
    with pytest.raises(ValueError, match="listen address") as refused:
        WebServer(listen_address)
    assert str(refused.value) == (
        f"listen address {listen_address!r}: write :PORT for all addresses, HOST:PORT, "
        "or [IPV6]:PORT, with a port from 0 to 65535"
    )


@pytest.mark.parametrize(
    ("listen_address", "hosts"),
    [
        ("127.0.0.1:0", {"127.0.0.1"}),
        ("0.0.0.0:0", {"0.0.0.0"}),
        ("[::1]:0", {"[::1]"}),
        ("[0:0:0:0:0:0:0:1]:0", {"[::1]"}),
        ("[::]:0", {"[::]"}),
        (":0", {"[::]"}),
    ],
)
def test_the_address_asked_for_is_taken(listen_address: str, hosts: set[str]) -> None:
    """The addresses taken are those asked for, with the port that the kernel chose."""
    with bound(listen_address) as made:
        assert {each.rpartition(":")[0] for each in made.addresses} == hosts
        assert all(int(each.rpartition(":")[2]) > 0 for each in made.addresses)


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("listen_address", [":0", "[::]:0"])
def test_all_addresses_means_both_families(client: str, listen_address: str) -> None:
    """An address without a host takes connections over IPv4 and over IPv6."""
    with bound(listen_address) as made:
        port = int(made.addresses[0].rpartition(":")[2])
        socket.create_connection((client, port), timeout=BOUND).close()


def test_all_addresses_without_ipv6_are_those_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without IPv6 listens on all its IPv4 addresses."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with bound(":0") as made:
        assert made.addresses[0].startswith("0.0.0.0:")


def resolve_to(*hosts: str) -> Callable[..., list[object]]:
    """A getaddrinfo by which every name has these addresses."""
    real = socket.getaddrinfo

    def resolve(_: str, port: int, *args: int, **options: int) -> list[object]:
        return [entry for host in hosts for entry in real(host, port, *args, **options)]

    return resolve


def test_a_name_means_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name's addresses are all taken, each once, on one port; what is not here is left out."""
    monkeypatch.setattr(
        socket, "getaddrinfo", resolve_to("203.0.113.1", "127.0.0.1", "127.0.0.2", "127.0.0.1")
    )
    with bound("localhost:0") as made:
        (first, port), (second, same_port) = (each.split(":") for each in made.addresses)
        assert (first, second, same_port) == ("127.0.0.1", "127.0.0.2", port)


def test_a_port_in_use_is_said_in_one_line() -> None:
    """A port that another program has is an error that names it."""
    with bound("127.0.0.1:0") as first:
        (taken,) = first.addresses
        with pytest.raises(ListenError) as refused:
            WebServer(taken).bind()
    assert str(refused.value) == f"cannot listen on {taken}: the port is in use"


def test_a_port_in_use_on_one_of_several_addresses_frees_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When a later address of a name is taken, those taken before are given back."""
    with bound("127.0.0.2:0") as other:
        port = other.addresses[0].partition(":")[2]
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", resolve_to("127.0.0.1", "127.0.0.2"))
            with pytest.raises(ListenError, match="the port is in use"):
                WebServer(f"localhost:{port}").bind()
        with bound(f"127.0.0.1:{port}") as free:
            assert free.addresses == (f"127.0.0.1:{port}",)


def test_an_address_of_another_machine_is_said_in_one_line() -> None:
    """An address that this machine does not have is an error that says so."""
    with pytest.raises(ListenError) as refused:
        WebServer("203.0.113.1:9").bind()
    assert str(refused.value) == (
        "cannot listen on 203.0.113.1:9: the address is not one of this machine's"
    )


def test_a_name_that_does_not_resolve_is_said_in_one_line() -> None:
    """A name without addresses is an error of one line."""
    with pytest.raises(ListenError) as refused:
        WebServer("no.such.name.invalid:9").bind()
    assert str(refused.value).startswith("cannot listen on no.such.name.invalid:9: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (errno.EACCES, "not permitted; a port below 1024 needs the capability NET_BIND_SERVICE"),
        (errno.ENOBUFS, os.strerror(errno.ENOBUFS)),
    ],
)
def test_other_refusals_are_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, code: int, why: str
) -> None:
    """What else the kernel has against an address is said in its words, or better ones."""

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(code, "from the kernel")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ListenError) as refused:
        WebServer("127.0.0.1:1").bind()
    assert str(refused.value) == f"cannot listen on 127.0.0.1:1: {why}"


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

    class Watching(TlsHandshakeProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            connection = transport.get_extra_info("socket")
            sent_at_once.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    monkeypatch.setattr(server, "TlsHandshakeProtocol", Watching)
    assert serve(APP).ask("/").status == 200
    assert sent_at_once == [1]


def test_a_client_that_goes_on_asking_is_kept(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time in which a connection must be answered begins again with each answer."""
    monkeypatch.setattr(server, "ANSWER_WITHIN", 0.3)
    running = serve(APP)
    kept = http.client.HTTPConnection(running.host, running.port, timeout=BOUND)
    kept.connect()
    connection = kept.sock
    until = time.monotonic() + 2 * server.ANSWER_WITHIN
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
    monkeypatch.setattr(server, "ANSWER_WITHIN", 0.1)
    with serve(APP).connect(sent) as slow, contextlib.suppress(ConnectionResetError):
        assert slow.recv(1) == b""


def test_a_client_that_does_not_take_its_answer_is_let_go(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose client reads nothing is closed, though its answer is not through."""
    monkeypatch.setattr(server, "ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(server, "KEEP_ALIVE", 0)
    running = serve(APP)
    with running.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as deaf:
        assert select.select([deaf], [], [], BOUND)[0]
        wait_until(lambda: not is_established(running.port, deaf.getsockname()[1]))


def test_a_kept_connection_has_no_longer_to_take_its_answer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time to take an answer begins with its request, on a connection that was idle too."""
    monkeypatch.setattr(server, "ANSWER_WITHIN", 0.3)
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
