"""Connections beyond the limit, on real sockets."""

import contextlib
import resource
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from exporter.metrics.body import Body
from exporter.web.server import connection_limit
from exporter.web.server.http_protocol import TIMEOUTS, ConnectionState
from tests.support.wait import wait_until
from tests.web.conftest import Serve, ServerThread
from tests.web.example_app import app

INCOMPLETE_REQUESTS = (b"", b"GET", b"GET /metrics HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\n")
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = Body.of((b"x" * 1_000_000,) * 20)
"""A body larger than all socket buffers."""
QUICKLY = TIMEOUTS[ConnectionState.REQUEST] / 2
"""Seconds for a scrape on a busy machine. No incomplete request ends by itself in that time."""


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit connections to three served and two refused."""
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(connection_limit, "REFUSED_CONNECTIONS", 2)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close the connections that a test opens."""
    with ExitStack() as exit_stack:
        yield exit_stack


@pytest.fixture
def many_files() -> Iterator[None]:
    """Raise the limit of open files: this process is the server and all of its clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("files", "connections"), [(300, 150), (2000, 1000), (4000, 1000)])
def test_limit_leaves_half_of_the_open_files_to_polling(files: int, connections: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        assert connection_limit.max_connections() == connections
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def busy(serve: Serve, stack: ExitStack) -> Callable[[], tuple[ServerThread, list[socket.socket]]]:
    """Serve an application, as many of whose responses are in progress as are served."""

    def fill() -> tuple[ServerThread, list[socket.socket]]:
        server = serve(app(metrics=lambda **_: LARGE))
        clients = [stack.enter_context(server.connect(SCRAPE)) for _ in range(3)]
        for client in clients:
            assert client.recv(1000)
        return server, clients

    return fill


Busy = Callable[[], tuple[ServerThread, list[socket.socket]]]


@pytest.mark.usefixtures("low_limits")
@pytest.mark.parametrize("path", ["/metrics", "/", "/nowhere", "/images/x/-/healthy"])
def test_connection_beyond_busy_ones_gets_503_and_is_closed(busy: Busy, path: str) -> None:
    server_thread, _ = busy()
    refused = server_thread.request(path)
    assert (refused.status, refused.body) == (
        503,
        b"Too many connections are open; try again later.\n",
    )
    assert refused.headers["connection"] == "close"
    assert refused.headers["x-content-type-options"] == "nosniff"
    assert refused.headers["content-type"] == "text/plain; charset=utf-8"
    head = server_thread.request(path, "HEAD")
    assert (head.status, head.body) == (503, b"")
    assert head.headers["content-length"] == str(len(refused.body))


@pytest.mark.usefixtures("low_limits")
@pytest.mark.parametrize(("path", "text"), [("/-/healthy", b"Healthy\n"), ("/-/ready", b"Ready\n")])
def test_health_pages_are_served_beyond_the_limit(busy: Busy, path: str, text: bytes) -> None:
    """Too many connections must not restart the process or remove it from a service."""
    server_thread, _ = busy()
    response = server_thread.request(path)
    assert (response.status, response.body) == (200, text)
    assert response.headers["connection"] == "close"


@pytest.mark.usefixtures("low_limits")
def test_connection_is_served_after_another_has_ended(busy: Busy) -> None:
    server_thread, (first, *_) = busy()
    assert server_thread.request("/").status == 503
    first.close()
    wait_until(lambda: server_thread.request("/").status == 200)


@pytest.mark.usefixtures("low_limits")
def test_longest_silent_connection_makes_room_for_another(serve: Serve, stack: ExitStack) -> None:
    server_thread = serve(app())
    first, *others = (stack.enter_context(server_thread.connect()) for _ in range(3))
    assert server_thread.request("/-/healthy").headers.get("connection") != "close"
    with contextlib.suppress(ConnectionResetError):
        assert first.recv(1) == b""
    assert select.select(others, [], [], 0)[0] == []


@pytest.mark.usefixtures("low_limits")
def test_connections_beyond_the_refused_ones_are_closed_immediately(
    busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They must not use up the file descriptors."""
    monkeypatch.setattr(connection_limit, "REFUSED_CONNECTIONS", 0)
    server_thread, _ = busy()
    with server_thread.connect() as last, contextlib.suppress(ConnectionResetError):
        assert last.recv(1) == b""


@pytest.mark.usefixtures("low_limits")
def test_silent_connection_beyond_the_limit_is_closed_early(
    busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TIMEOUTS, ConnectionState.REFUSED, 0.1)
    server_thread, within = busy()
    with server_thread.connect() as silent, contextlib.suppress(ConnectionResetError):
        assert silent.recv(1) == b""
    assert all(client.recv(1000) for client in within)


@pytest.mark.usefixtures("many_files")
def test_idle_incomplete_and_slow_clients_do_not_delay_scrapes(
    serve: Serve, stack: ExitStack
) -> None:
    server_thread = serve(
        app(metrics=lambda *, openmetrics, **_: Body.of((b"a 1\n",)) if openmetrics else LARGE)
    )
    for number in range(500):
        stack.enter_context(server_thread.connect(INCOMPLETE_REQUESTS[number % 4]))
    for _ in range(50):
        stopped = stack.enter_context(server_thread.connect(SCRAPE))
        assert stopped.recv(1000)
    for _ in range(20):
        started = time.monotonic()
        response = server_thread.request(
            "/metrics", headers={"Accept": "application/openmetrics-text"}
        )
        assert (response.status, response.body) == (200, b"a 1\n")
        assert time.monotonic() - started < QUICKLY
