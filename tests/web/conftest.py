"""A web server in a thread, and a client for it."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from starlette.types import ASGIApp

from exporter.web.security.middleware import SecurityState
from exporter.web.server.server import WebServer

TEST_TIMEOUT = 60.0
"""Seconds after which a wait fails. Generous: only a failing test ever waits that long."""


@dataclass(frozen=True)
class Response:
    """Status, headers by lower-case name, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class ServerThread:
    """A server that runs in a thread, on a port of its own."""

    host: str
    port: int
    stop: threading.Event
    thread: threading.Thread

    def request(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request on a new connection and return the response."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TEST_TIMEOUT)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            body = response.read()
            response_headers = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, response_headers, body)
        finally:
            connection.close()

    def connect(self, data: bytes = b"") -> socket.socket:
        """Open a connection and send these bytes."""
        connection = socket.create_connection((self.host, self.port), timeout=TEST_TIMEOUT)
        connection.sendall(data)
        return connection

    def shut_down(self) -> None:
        """Stop the server and wait until it has ended."""
        self.stop.set()
        self.thread.join(TEST_TIMEOUT)
        assert not self.thread.is_alive()


@contextmanager
def run_server(app: ASGIApp, security: SecurityState | None = None) -> Iterator[ServerThread]:
    """Serve the application on a loopback port until the block ends."""
    server = WebServer("127.0.0.1:0")
    server.bind()
    host, _, port = server.addresses[0].rpartition(":")
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(app, stop, security))
    thread.start()
    server_thread = ServerThread(host, int(port), stop, thread)
    try:
        yield server_thread
    finally:
        server_thread.shut_down()


Serve = Callable[[ASGIApp], ServerThread]
"""Starts a server, see ``serve``."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server for an application, which ends with the test."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(run_server(app))
