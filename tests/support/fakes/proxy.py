"""A forward proxy on loopback that forwards absolute URLs and CONNECT, or replies itself."""

import contextlib
import socket
import socketserver
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

END = b"\r\n\r\n"


class FakeProxy:
    """A context manager that records requests in ``first_lines`` and ``heads``.

    With ``response``, it sends these bytes and forwards nothing. With ``silent``, it reads a
    request and sends nothing until it is stopped.
    """

    def __init__(self, response: bytes = b"", *, silent: bool = False) -> None:
        self.response = response
        self.silent = silent
        self.stopped = threading.Event()
        self.first_lines: list[str] = []
        self.heads: list[str] = []
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    proxy.serve(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False

    @property
    def url(self) -> str:
        """The URL on which the proxy listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        serve = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        serve.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, client: socket.socket) -> None:
        """Serve one connection of a client."""
        upstream: socket.socket | None = None
        while head := _read_head(client):
            first, _, lines = head.decode("latin-1").partition("\r\n")
            self.first_lines.append(first)
            self.heads.append(lines)
            method, target, version = first.split(" ")
            if self.silent:
                self.stopped.wait(60)
                return
            if self.response:
                client.sendall(self.response)
                continue
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                with socket.create_connection((host, int(port)), 10) as upstream:
                    client.sendall(b"HTTP/1.1 200 Connection established" + END)
                    back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
                    back.start()
                    _pump(client, upstream)
                return
            url = urlsplit(target)
            if upstream is None:
                upstream = socket.create_connection((url.hostname or "", url.port or 80), 10)
                threading.Thread(target=_pump, args=(upstream, client), daemon=True).start()
            path = url.path + (f"?{url.query}" if url.query else "")
            upstream.sendall(f"{method} {path} {version}\r\n{lines}".encode("latin-1"))
        if upstream is not None:
            upstream.close()


def _read_head(client: socket.socket) -> bytes:
    head = b""
    while not head.endswith(END):
        byte = client.recv(1)
        if not byte:
            return b""
        head += byte
    return head


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
