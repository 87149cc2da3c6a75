"""Slow renderings and reloads, and the requests that do not wait for them."""

import threading
import time

import pytest

from exporter.metrics.body import Body
from exporter.web.pages.image_list import ImageList
from exporter.web.pages.query import Query
from exporter.web.server import connection_limit
from tests.support.wait import wait_until
from tests.web.conftest import TEST_TIMEOUT, Serve
from tests.web.example_app import app, query_example_images

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
SHUTDOWN_TIMEOUT = 10.0
"""Seconds within which a server that is stopped must have ended, also on a busy machine."""


def test_slow_scrapes_delay_only_scrapes(serve: Serve) -> None:
    rendering = threading.Semaphore(0)
    finish = threading.Event()

    def slow(**_: object) -> Body:
        rendering.release()
        finish.wait(TEST_TIMEOUT)
        return Body.of((b"done 1\n",))

    server = serve(app(metrics=slow))
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    waiting = [server.connect(request) for _ in range(4)]
    try:
        assert rendering.acquire(timeout=TEST_TIMEOUT)
        assert rendering.acquire(timeout=TEST_TIMEOUT)
        assert server.request("/-/healthy").status == 200
        assert not rendering.acquire(blocking=False)
        finish.set()
        for connection in waiting:
            with connection.makefile("rb") as response:
                assert response.read().endswith(b"done 1\n")
    finally:
        finish.set()
        for connection in waiting:
            connection.close()


class SlowRenderer:
    """A renderer that blocks until the test sets ``finish``."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.finish = threading.Event()
        self.count = 0

    def __call__(self, **_: object) -> Body:
        """Return a short body after ``finish``."""
        self.count += 1
        self.started.release()
        self.finish.wait(TEST_TIMEOUT)
        return Body.of((b"done 1\n",))


def test_scrapes_do_not_wait_for_pages(serve: Serve) -> None:
    started, finish = threading.Semaphore(0), threading.Event()

    def slow(query: Query) -> ImageList:
        started.release()
        finish.wait(2 * TEST_TIMEOUT)
        return query_example_images(query)

    server = serve(app(images=slow))
    connections = [
        server.connect(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        for path in ("/", "/api/images") * 4
    ]
    try:
        assert started.acquire(timeout=TEST_TIMEOUT)
        assert server.request("/metrics").status == 200
        finish.set()
        for connection in connections:
            with connection.makefile("rb") as response:
                assert response.read().startswith(b"HTTP/1.1 200 ")
    finally:
        finish.set()
        for connection in connections:
            connection.close()


def test_scrapes_of_disconnected_clients_are_not_rendered(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    slow = SlowRenderer()
    server = serve(app(metrics=slow))
    with server.connect(SCRAPE), server.connect(SCRAPE):
        assert slow.started.acquire(timeout=TEST_TIMEOUT)
        assert slow.started.acquire(timeout=TEST_TIMEOUT)
        for _ in range(50):
            server.connect(SCRAPE).close()
        # These get their response after the event loop has noticed the disconnects.
        for _ in range(2):
            assert server.request("/-/healthy").status == 200
        slow.finish.set()
        assert server.request("/metrics").body == b"done 1\n"
    assert slow.count == 3
    assert not caplog.records


def test_slow_rendering_does_not_delay_shutdown(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    slow = SlowRenderer()
    server = serve(app(metrics=slow))
    waiting = [server.connect(SCRAPE) for _ in range(4)]
    try:
        assert slow.started.acquire(timeout=TEST_TIMEOUT)
        began = time.monotonic()
        server.shut_down()
        assert time.monotonic() - began < SHUTDOWN_TIMEOUT
        assert not caplog.records
    finally:
        slow.finish.set()
        for connection in waiting:
            connection.close()


def test_slow_reloads_do_not_delay_scrapes(serve: Serve) -> None:
    started, finish = threading.Event(), threading.Event()

    def slow() -> tuple[str, ...]:
        started.set()
        finish.wait(TEST_TIMEOUT)
        return ()

    server = serve(app(reload=slow))
    connections = [
        server.connect(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        for _ in range(3)
    ]
    assert started.wait(TEST_TIMEOUT)
    assert server.request("/metrics").status == 200
    finish.set()
    for connection in connections:
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.close()


RELOAD = b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


class SlowReload:
    """A reload that waits until the test sets ``finish``."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.finish = threading.Event()
        self.count = 0

    def __call__(self) -> tuple[str, ...]:
        """Return no errors after ``finish``."""
        self.count += 1
        self.started.release()
        self.finish.wait(TEST_TIMEOUT)
        return ()


def test_clients_that_left_a_reload_that_hangs_cause_one_more_and_are_no_connections(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload hangs if its file is on a network file system that does not respond."""
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", 3)
    slow = SlowReload()
    server = serve(app(reload=slow))
    with server.connect(RELOAD):
        assert slow.started.acquire(timeout=TEST_TIMEOUT)
    for _ in range(9):
        server.connect(RELOAD).close()
        assert server.request("/-/healthy").status == 200  # The server has read the other.
    wait_until(lambda: server.request("/metrics").status == 200)
    slow.finish.set()
    assert slow.started.acquire(timeout=TEST_TIMEOUT)  # It takes place without its clients.
    assert server.request("/-/reload", "POST").status == 200
    assert slow.count <= 3


def test_requests_during_a_reload_share_the_next_one(serve: Serve) -> None:
    slow = SlowReload()
    server = serve(app(reload=slow))
    with server.connect(RELOAD) as first:
        assert slow.started.acquire(timeout=TEST_TIMEOUT)
        server.connect(RELOAD).close()
        with server.connect(RELOAD) as second, server.connect(RELOAD) as third:
            assert server.request("/-/healthy").status == 200  # The server has read the others.
            slow.finish.set()
            for client in (first, second, third):
                assert client.recv(12) == b"HTTP/1.1 200"
    assert slow.count == 2
