"""A server on loopback that sends given bytes, one piece for each request."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

Reply = bytes | Sequence[bytes]
"""Response to a request: bytes, or several pieces, each in a packet of its own."""

PAUSE = 0.02
"""Seconds between the pieces of a reply."""


@contextmanager
def scripted_server(*connections: Sequence[Reply]) -> Iterator[str]:
    """Yield the URL of a server that has a script for each connection, in the order of accepting.

    A script has the reply to each request on the connection, which is closed after the last one.
    """
    scripts = iter(connections)
    stopped = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                _serve(self.request, next(scripts, ()), stopped)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        stopped.set()
        server.shutdown()


def _serve(client: socket.socket, script: Sequence[Reply], stopped: threading.Event) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for reply in script:
        if not _read_request(client):
            return
        first, *later = (reply,) if isinstance(reply, bytes) else reply
        client.sendall(first)
        for piece in later:
            stopped.wait(PAUSE)
            client.sendall(piece)


def _read_request(client: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        if not byte:
            return b""
        head += byte
    return head
