"""Ports that stay one's own while nothing listens on them."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port of loopback that the kernel gives to nobody else until the block ends.

    A server that sets SO_REUSEADDR can listen on it, as often as it likes. In between, connections
    are refused; without this, they could reach whatever got the port meanwhile.
    """
    with contextlib.closing(socket.socket()) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
