"""Connections that are too many, on real sockets."""

import contextlib
import resource
import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from exporter.metrics.exposition import Body
from exporter.web.server import connection_limit
from exporter.web.server.http_protocol import TIMEOUTS, ConnectionState
from tests.support.wait import wait_until
from tests.web.conftest import Running
from tests.web.test_app import app

Serve = Callable[[ASGIApp], Running]

HALVES = (b"", b"GET", b"GET /metrics HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\n")
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
PIECE = b"x" * 1_000_000
LARGE = Body((PIECE,) * 20, 20 * len(PIECE))
"""No socket's buffers hold so much."""
QUICKLY = 1.0


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three connections are served, and two more are told that they are too many."""
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(connection_limit, "REFUSED_CONNECTIONS", 2)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Closes the connections that a test opens."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def many_files() -> Iterator[None]:
    """Lets this process open as many files as it may: it is the server and all of its clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident() -> int:
    """Bytes that this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(("files", "connections"), [(300, 150), (2000, 1000), (4000, 1000)])
def test_half_of_the_files_are_left_to_polling(files: int, connections: int) -> None:
    """The limit follows what the process may open, up to one that is enough for anybody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        assert connection_limit.max_connections() == connections
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("path", ["/metrics", "/", "/nowhere"])
def test_one_too_many_is_told_so(serve: Serve, opened: ExitStack, path: str) -> None:
    """Beyond the limit a request gets 503 and a text, and its connection is closed."""
    running = serve(app())
    for _ in range(3):
        opened.enter_context(running.connect())
    refused = running.ask(path)
    assert (refused.status, refused.body) == (
        503,
        b"Too many connections are open; try again later.\n",
    )
    assert refused.headers["connection"] == "close"
    assert refused.headers["x-content-type-options"] == "nosniff"
    assert refused.headers["content-type"] == "text/plain; charset=utf-8"
    head = running.ask(path, "HEAD")
    assert (head.status, head.body) == (503, b"")
    assert head.headers["content-length"] == str(len(refused.body))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("path", "text"), [("/-/healthy", b"Healthy\n"), ("/-/ready", b"Ready\n")])
def test_health_is_answered_in_a_crowd(
    serve: Serve, opened: ExitStack, path: str, text: bytes
) -> None:
    """Too many connections are no reason to restart the process, nor to send nobody to it."""
    running = serve(app())
    for _ in range(3):
        opened.enter_context(running.connect())
    answer = running.ask(path)
    assert (answer.status, answer.body) == (200, text)
    assert answer.headers["connection"] == "close"


@pytest.mark.usefixtures("small")
def test_who_is_served_stays_served_and_room_is_given_to_the_next(serve: Serve) -> None:
    """Connections within the limit go on in a crowd; when one of them ends, another is served."""
    running = serve(app())
    first, *others = (running.connect() for _ in range(3))
    assert running.ask("/metrics").status == 503
    first.sendall(SCRAPE)
    assert first.recv(15) == b"HTTP/1.1 200 OK"
    first.close()
    wait_until(lambda: running.ask("/metrics").status == 200)
    for each in others:
        each.close()


@pytest.mark.usefixtures("small")
def test_more_still_are_closed_without_a_word(serve: Serve, opened: ExitStack) -> None:
    """Those for whom there is not even a refusal do not use up the process's files."""
    running = serve(app())
    for _ in range(5):
        opened.enter_context(running.connect())
    last = opened.enter_context(running.connect())
    with contextlib.suppress(ConnectionResetError):
        assert last.recv(1) == b""


@pytest.mark.usefixtures("small")
def test_one_too_many_that_asks_nothing_is_let_go_soon(
    serve: Serve, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent connection beyond the limit is closed long before those within it."""
    monkeypatch.setitem(TIMEOUTS, ConnectionState.REFUSED, 0.1)
    running = serve(app())
    within = [opened.enter_context(running.connect()) for _ in range(3)]
    silent = opened.enter_context(running.connect())
    with contextlib.suppress(ConnectionResetError):
        assert silent.recv(1) == b""
    assert select.select(within, [], [], 0)[0] == []


@pytest.mark.usefixtures("many_files")
def test_idle_half_open_and_slow_clients_delay_no_scrape(serve: Serve, opened: ExitStack) -> None:
    """With 500 idle or half-open clients and 50 that stop in the middle, scrapes are as quick."""
    running = serve(
        app(metrics=lambda *, openmetrics, **_: Body((b"a 1\n",), 4) if openmetrics else LARGE)
    )
    for number in range(500):
        opened.enter_context(running.connect(HALVES[number % 4]))
    for _ in range(50):
        stopped = opened.enter_context(running.connect(SCRAPE))
        assert stopped.recv(1000)
    for _ in range(20):
        began = time.monotonic()
        answer = running.ask("/metrics", headers={"Accept": "application/openmetrics-text"})
        assert (answer.status, answer.body) == (200, b"a 1\n")
        assert time.monotonic() - began < QUICKLY


def test_readers_that_stop_share_one_body(serve: Serve, opened: ExitStack) -> None:
    """Each costs a chunk or two of memory, not a body of its own."""
    running = serve(app(metrics=lambda **_: LARGE))
    before = resident()
    for _ in range(100):
        stopped = opened.enter_context(running.connect(SCRAPE))
        assert stopped.recv(1000)
    assert running.ask("/-/healthy").status == 200
    assert resident() - before < 100 * LARGE.size / 20
