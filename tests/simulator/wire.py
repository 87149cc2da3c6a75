"""A client that shows every byte a server sends."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.simulator import SimulatedImageService

END = b"\r\n\r\n"


@dataclass
class Wire:
    """One connection; bytes received after a head stay in ``rest``."""

    socket: socket.socket
    rest: bytes = b""

    def send(self, method: str, target: str, *headers: str, version: str = "HTTP/1.1") -> None:
        """Send a request without a body."""
        lines = [f"{method} {target} {version}", "Host: localhost", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def read_head(self) -> bytes:
        """Return one head with its empty line, or less if the server closes the connection."""
        while END not in self.rest:
            data = self.socket.recv(65536)
            if not data:
                head, self.rest = self.rest, b""
                return head
            self.rest += data
        head, end, self.rest = self.rest.partition(END)
        return head + end

    def read_all(self) -> bytes:
        """Return everything up to the end of the connection."""
        data, self.rest = self.rest, b""
        while more := self.socket.recv(65536):
            data += more
        return data

    def ask(self, method: str, target: str, *headers: str) -> bytes:
        """Send a request and return the head of the response."""
        self.send(method, target, *headers)
        return self.read_head()


@contextlib.contextmanager
def wire(service: SimulatedImageService, timeout: float = 10.0) -> Iterator[Wire]:
    """Open a connection to a service."""
    with socket.create_connection(("127.0.0.1", service.port), timeout) as connection:
        yield Wire(connection)


def header_names(head: bytes) -> list[bytes]:
    """Return the names of a head's fields, in order."""
    return [line.partition(b":")[0] for line in head.split(b"\r\n")[1:-2]]


def field(head: bytes, name: bytes) -> bytes | None:
    """Return the first value of a field."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b": ")
        if key.lower() == name.lower():
            return value
    return None
