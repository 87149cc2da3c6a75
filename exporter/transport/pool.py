"""Requests to one endpoint over connections that are kept: one per request in flight.

Connecting is left to requests' adapter and urllib3's pool underneath, which know TLS, client
certificates, CA bundles and proxies. What runs over a connection is ours: see ``head``.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from socket import gaierror
from ssl import SSLError
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.connection
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.exceptions import SSLError as WrappedSSLError

from exporter.auth.errors import one_line
from exporter.clock import steady
from exporter.transport.connection import BoundedHTTPConnection, BoundedHTTPSConnection
from exporter.transport.head import ResponseHead
from exporter.transport.http1 import ConnectionClosed, Readable, send_request, trailing_data
from exporter.transport.proxies import ProxySettings
from exporter.transport.response import RequestFailed, Response

BOUNDED = {
    urllib3.connection.HTTPConnection: BoundedHTTPConnection,
    urllib3.connection.HTTPSConnection: BoundedHTTPSConnection,
}
"""Which of urllib3's connections are replaced; others (SOCKS) are used as they are."""


@dataclass(slots=True)
class PooledConnection:
    """A connection, and the tag of the request that it answered last."""

    connection: Any
    tag: object = None
    idle_since: float = 0.0


@dataclass(slots=True)
class ConnectionPool:
    """Asks one endpoint (scheme, host, port and path prefix in ``base_url``); thread-safe.

    ``on_overrun`` is called with the tag of an answer after which bytes were left, found only
    when its connection was about to be used again: that answer cannot be trusted. ``permit`` is
    asked, with the deadline, before a request is sent once more; it may wait.
    """

    base_url: str
    route: ProxySettings
    user_agent: str
    on_overrun: Callable[[object], None] = lambda _: None
    permit: Callable[[float], bool] = lambda _: True
    _pool: Any = field(init=False)
    _adapter: HTTPAdapter = field(init=False)
    _before: bytes = field(init=False)
    _after: bytes = field(init=False)
    _idle: deque[PooledConnection] = field(init=False, default_factory=deque)
    _open: dict[int, Any] = field(init=False, default_factory=dict)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _closed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Reads the URL once; raises ``ValueError`` for one that cannot be asked."""
        prepared = requests.Request("HEAD", self.base_url + "/").prepare()
        proxies = {"all": self.route.proxy} if self.route.proxy else {}
        self._adapter = HTTPAdapter(pool_maxsize=1)
        try:
            # Any: what urllib3 says of its pools fits neither mypy nor all of its versions.
            pool: Any = self._adapter.get_connection_with_tls_context(
                prepared, self.route.verify, proxies, self.route.cert
            )
            # As requests does before it sends: without it, urllib3 takes the system's CAs.
            adapter: Any = self._adapter
            adapter.cert_verify(pool, self.base_url, self.route.verify, self.route.cert)
        except (OSError, ValueError) as error:
            # All of requests' own are OSErrors, and so is a CA bundle that is not there; urllib3
            # has a ValueError for a proxy's URL, which it quotes with the password.
            raise ValueError(one_line(str(error), ())) from None
        pool.ConnectionCls = BOUNDED.get(pool.ConnectionCls, pool.ConnectionCls)
        self._pool = pool
        # Prepared: a name in other letters has become what the name system knows it by.
        parts = urlsplit(prepared.url or "")
        # An http URL through a proxy is asked for whole; requests knows when.
        self._before = self._adapter.request_url(prepared, proxies).removesuffix("/").encode()
        headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "User-Agent": self.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if self.route.proxy and parts.scheme == "http":
            headers |= self._adapter.proxy_headers(self.route.proxy)
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        self._after = "".join(lines).encode("latin-1")

    def ask(
        self,
        method: str,
        path: str,
        headers: bytes,
        deadline: float,
        *,
        fresh: bool = False,
        tag: object = None,
        is_ours: Callable[[ResponseHead], bool] = lambda _: True,
    ) -> Response:
        """Sends one request and reads its answer; redirects are never followed.

        ``headers`` are further header lines, each ended by CR LF. ``fresh`` asks on a connection
        of its own, closed after. An answer that ``is_ours`` denies belongs to another request: it
        is returned, but the one before it on the connection is not to be trusted any more.
        Raises ``RequestFailed``.
        """
        first = b"%b %b%b HTTP/1.1\r\n" % (method.encode(), self._before, path.encode())
        last = b"Connection: close\r\n\r\n" if fresh else b"\r\n"
        request = first + self._after + headers + last
        kept = None if fresh else self._take_idle()
        if kept is not None:
            try:
                return self._exchange(
                    kept, method, request, deadline, tag=tag, is_ours=is_ours, keep=True
                )
            except ConnectionClosed:
                # The server closed it between two requests, as it may: that is no answer to this
                # one, so it is asked once more.
                if not self.permit(deadline):
                    raise RequestFailed(
                        "connection", "closed, and no time to ask once more"
                    ) from None
        kept = self._connect(deadline)
        try:
            return self._exchange(
                kept, method, request, deadline, tag=tag, is_ours=is_ours, keep=not fresh
            )
        except ConnectionClosed as error:
            raise RequestFailed("connection", f"closed without an answer: {error}") from None

    def settle(self, grace: float) -> None:
        """Looks for bytes left behind on connections that are idle, and closes those that ended.

        What follows an answer may be a moment behind it: the last one is given ``grace`` seconds.
        """
        last = max((kept.idle_since for kept in tuple(self._idle)), default=-inf)
        time.sleep(max(0.0, last + grace - steady()))
        for _ in range(len(self._idle)):
            try:
                kept = self._idle.popleft()
            except IndexError:
                return
            if self._is_usable(kept):
                self._idle.append(kept)

    def close(self) -> None:
        """Ends every connection, also those on which an answer is awaited."""
        with self._lock:
            self._closed = True
            connections = list(self._open.values())
        for connection in connections:
            sock = connection.sock
            if sock is not None:
                with contextlib.suppress(OSError):
                    # Wakes the thread that waits on it; closing alone would not.
                    sock.shutdown(2)
        while self._idle:
            self._drop(self._idle.pop())
        self._adapter.close()

    @property
    def prefix_length(self) -> int:
        """Bytes of a request line that stand before the path: the endpoint's own, or its URL."""
        return len(self._before)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def _exchange(
        self,
        kept: PooledConnection,
        method: str,
        request: bytes,
        deadline: float,
        *,
        tag: object,
        is_ours: Callable[[ResponseHead], bool],
        keep: bool,
    ) -> Response:
        sent_at = steady()
        try:
            reply = send_request(
                kept.connection.sock, request, deadline, steady, has_body=method != "HEAD"
            )
        except Exception:
            self._drop(kept)
            raise
        if reply.overrun:
            self._drop(kept)
            raise RequestFailed("malformed", "bytes were left after the answer")
        ours = is_ours(reply.head)
        if not ours:
            # A forged answer was taken for that of the request before, and its own came now.
            self.on_overrun(kept.tag)
        received_at = kept.idle_since = steady()
        kept.tag = tag
        if ours and keep and reply.head.keeps_alive and not self._closed:
            self._idle.append(kept)
        else:
            self._drop(kept)
        return Response(reply.head, reply.body, sent_at, received_at)

    def _take_idle(self) -> PooledConnection | None:
        """The connection used last that is still good: the fewest stay open that way."""
        while True:
            try:
                kept = self._idle.pop()
            except IndexError:
                return None
            if self._is_usable(kept):
                return kept

    def _is_usable(self, kept: PooledConnection) -> bool:
        sock = kept.connection.sock
        left = Readable.END if sock is None else trailing_data(sock)
        if left is Readable.NOTHING:
            return True
        if left is Readable.BYTES:
            self.on_overrun(kept.tag)
        self._drop(kept)
        return False

    def _connect(self, deadline: float) -> PooledConnection:
        # urllib3 has no public way to a connection of one's own.
        connection: Any = self._pool._new_conn()
        connection.deadline = deadline
        connection.timeout = max(deadline - steady(), 0.001)
        kept = PooledConnection(connection)
        with self._lock:
            if self._closed:
                raise RequestFailed("connection", "the exporter is stopping")
            self._open[id(kept)] = connection
        try:
            if self._pool.proxy is not None and self._pool.scheme == "https":
                self._pool._prepare_proxy(connection)
            else:
                connection.connect()
            if self._closed:
                # It was closed while there was no socket yet that could have been shut down.
                raise RequestFailed("connection", "the exporter is stopping")
        except Exception as error:  # noqa: BLE001  # raised again, as ours where it is one
            self._drop(kept)
            raise _as_no_answer(error) from None
        return kept

    def _drop(self, kept: PooledConnection) -> None:
        with self._lock:
            self._open.pop(id(kept), None)
        with contextlib.suppress(OSError):
            kept.connection.close()


def _as_no_answer(error: Exception) -> Exception:
    """What a failure to connect means; the error itself where it is not one."""
    match error:
        case RequestFailed():
            return error
        case TimeoutError():
            return RequestFailed("timeout", "no connection in time")
        case gaierror() | UnicodeError():
            return RequestFailed("connection", f"the name cannot be resolved: {error}")
        case WrappedSSLError() | SSLError():
            return RequestFailed("tls", one_line(str(error), ()))
        case HTTPError() | OSError():
            return RequestFailed("connection", one_line(str(error), ()))
        case _:
            return error
