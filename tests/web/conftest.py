"""A web server that runs, and a client that sees what goes over the wire."""

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

BOUND = 10.0
"""Seconds within which what a test waits for must happen."""


@dataclass(frozen=True)
class Answer:
    """A response: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Running:
    """A server in a thread of its own, on a port of its own."""

    host: str
    port: int
    stop: threading.Event
    thread: threading.Thread

    def ask(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer to one request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=BOUND)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            body = response.read()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, body)
        finally:
            connection.close()

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection on which these bytes have been sent."""
        connection = socket.create_connection((self.host, self.port), timeout=BOUND)
        connection.sendall(sent)
        return connection

    def end(self) -> None:
        """Tell the server to end and wait until it has."""
        self.stop.set()
        self.thread.join(BOUND)
        assert not self.thread.is_alive()


@contextmanager
def running(app: ASGIApp, guard: SecurityState | None = None) -> Iterator[Running]:
    """The application on a loopback port, behind a guard, until the block ends."""
    server = WebServer("127.0.0.1:0")
    server.bind()
    host, _, port = server.addresses[0].rpartition(":")
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(app, stop, guard))
    thread.start()
    runs = Running(host, int(port), stop, thread)
    try:
        yield runs
    finally:
        runs.end()


@pytest.fixture
def serve() -> Iterator[Callable[[ASGIApp], Running]]:
    """Starts a server for an application; it ends with the test."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(running(app))
