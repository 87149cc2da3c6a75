"""Ports that remain reserved while nothing listens on them."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a port of the loopback interface until the block ends.

    A server that sets SO_REUSEADDR can listen on it repeatedly. In between, connections are
    refused. Without the reservation they could reach another program
    that got the port.
    """
    with contextlib.closing(socket.socket()) as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        yield reservation.getsockname()[1]
