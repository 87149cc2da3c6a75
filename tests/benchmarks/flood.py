"""A client that keeps many connections open and opens another whenever one is closed.

``python -m tests.benchmarks.flood PORT COUNT VARIANT`` prints a line when the first connections are
open, and at the end of its standard input the number of connections that it has opened.
"""

import errno
import selectors
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum

from exporter.open_files import raise_limit

ATTACKER = "127.0.0.2"
SERVER = "127.0.0.1"
TURN = 0.1


class Variant(Enum):
    """Behaviour of the client on a connection."""

    SILENT = "silent"
    HALF_A_REQUEST = "half a request"
    SLOW_BODY = "slow body"
    IDLE = "idle after a request"
    ONE_REQUEST = "one request each"
    HANDSHAKE = "half a handshake"


class Flood:
    """The client as its parent sees it."""

    opened = 0
    """Connections that it has opened, known at its end."""


@contextmanager
def flooding(port: int, count: int, variant: Variant) -> Iterator[Flood]:
    """Flood the port until the block ends."""
    command = [sys.executable, "-m", "tests.benchmarks.flood", str(port), str(count), variant.value]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        flood = Flood()
        yield flood
        process.stdin.close()
        flood.opened = int(process.stdout.readline())


def _first_bytes(variant: Variant) -> bytes:
    head = b"GET /-/healthy HTTP/1.1\r\nHost: bench\r\n"
    return {
        Variant.SILENT: b"",
        Variant.HALF_A_REQUEST: head,
        Variant.SLOW_BODY: b"POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: 9999\r\n\r\na",
        Variant.IDLE: head + b"\r\n",
        Variant.ONE_REQUEST: head + b"Connection: close\r\n\r\n",
        Variant.HANDSHAKE: _client_hello(),
    }[variant]


def _client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="bench")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class _Client:
    def __init__(self, port: int, variant: Variant) -> None:
        self._address = (SERVER, port)
        self._first_bytes = _first_bytes(variant)
        self._selector = selectors.DefaultSelector()
        self.opened = 0

    def open(self) -> None:
        """Start to open a connection."""
        connection = socket.socket()
        connection.setblocking(False)
        connection.bind((ATTACKER, 0))
        if connection.connect_ex(self._address) not in {0, errno.EINPROGRESS}:
            connection.close()
            return
        self.opened += 1
        self._selector.register(connection, selectors.EVENT_WRITE, connection)

    def run_once(self) -> None:
        """Send the first bytes on each connection that is open, and replace those closed."""
        for key, events in self._selector.select(TURN):
            connection: socket.socket = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    connection.send(self._first_bytes)
                    self._selector.modify(connection, selectors.EVENT_READ, connection)
                is_closed = events & selectors.EVENT_READ and not connection.recv(9999)
            except OSError:
                is_closed = True
            if is_closed:
                self._selector.unregister(connection)
                connection.close()
                self.open()


def main(port: int, count: int, variant: Variant) -> None:
    """Flood until the end of standard input."""
    raise_limit()
    client = _Client(port, variant)
    for _ in range(count):
        client.open()
    client.run_once()
    print(flush=True)  # noqa: T201  # read by the parent process
    with selectors.DefaultSelector() as stdin:
        stdin.register(sys.stdin, selectors.EVENT_READ)
        while not stdin.select(0):
            client.run_once()
    print(client.opened, flush=True)  # noqa: T201  # as above


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Variant(sys.argv[3]))
