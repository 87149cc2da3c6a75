"""Connection pool of one endpoint: keep-alive connections with one request in flight each.

requests' adapter and urllib3's pool open the connections: they implement TLS, client certificates,
CA bundles and proxies. Requests and responses are sent and read by ``http1``.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from socket import SHUT_RDWR, gaierror
from ssl import SSLError
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.connection
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.exceptions import SSLError as WrappedSSLError

from exporter.clock import steady
from exporter.text import redact, single_line
from exporter.transport.connection import (
    DeadlineHTTPConnection,
    DeadlineHTTPSConnection,
    IdleState,
    idle_state,
)
from exporter.transport.http1 import ConnectionClosed, send_request
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.response import RequestFailed, Response, ResponseHead

MAX_DETAIL = 300
"""Characters of an error of a library in the detail of a failure."""

CONNECTION_CLASSES = {
    urllib3.connection.HTTPConnection: DeadlineHTTPConnection,
    urllib3.connection.HTTPSConnection: DeadlineHTTPSConnection,
}
"""Replacements of urllib3's connection classes. Others (SOCKS) are used unchanged."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request without a body.

    Attributes:
        method: ``GET`` or ``HEAD``.
        path: Path and query, appended to the base URL of the pool.
        deadline: Monotonic time by which the response must be complete.
        headers: Additional header lines, each terminated by CR LF.
        fresh_connection: Use a new connection, and close it after the response.
        tag: Identifies the request when ``ConnectionPool.on_desync`` is called.
        matches_request: Returns False for the response to a different request.
    """

    method: str
    path: str
    deadline: float
    headers: bytes = b""
    fresh_connection: bool = False
    tag: object = None
    matches_request: Callable[[ResponseHead], bool] = lambda _: True


@dataclass(slots=True)
class PooledConnection:
    """A connection, and the tag of the last request sent on it."""

    connection: Any
    request_tag: object = None
    idle_since: float = 0.0


@dataclass(slots=True)
class ConnectionPool:
    """Sends requests to one endpoint; thread-safe.

    Attributes:
        base_url: Scheme, host, port and path prefix of the endpoint.
        proxy_settings: Proxy and certificates of its connections.
        user_agent: Value of the header of that name.
        on_desync: Called with the tag of a request whose response cannot be trusted, because
            requests and responses on its connection were out of step. That may be noticed only
            when the connection is about to be used again.
        limiter: Limits requests that are sent a second time. The caller has acquired a permit
            for the first time.
    """

    base_url: str
    proxy_settings: ProxySettings
    user_agent: str
    on_desync: Callable[[object], None] = lambda _: None
    limiter: RateLimiter | None = None
    _urllib3_pool: Any = field(init=False)
    _adapter: HTTPAdapter = field(init=False)
    _target_prefix: bytes = field(init=False)
    _common_headers: bytes = field(init=False)
    _idle: deque[PooledConnection] = field(init=False, default_factory=deque)
    _open: dict[int, Any] = field(init=False, default_factory=dict)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _closed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Prepare the parts that all requests share.

        Raises:
            ValueError: The URL, the proxy or a certificate cannot be used.
        """
        prepared = requests.Request("HEAD", self.base_url + "/").prepare()
        proxy = self.proxy_settings.proxy
        proxies = {"all": proxy} if proxy else {}
        self._adapter = HTTPAdapter(pool_maxsize=1)
        self._urllib3_pool = self._create_urllib3_pool(prepared, proxies)
        # The prepared URL has the IDNA form of the host name.
        parts = urlsplit(prepared.url or "")
        # An http URL is requested from a proxy as a whole; requests knows when.
        target = self._adapter.request_url(prepared, proxies)
        self._target_prefix = target.removesuffix("/").encode()
        headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "User-Agent": self.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if proxy and parts.scheme == "http":
            headers |= self._adapter.proxy_headers(proxy)
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        self._common_headers = "".join(lines).encode("latin-1")

    def send(self, request: HttpRequest) -> Response:
        """Send a request and return its response. Redirects are not followed.

        Raises:
            RequestFailed: There is no usable response.
        """
        pooled = None if request.fresh_connection else self._checkout()
        if pooled is not None:
            try:
                return self._roundtrip(pooled, request)
            except ConnectionClosed:
                # A server may close an idle connection at any time, so this is not a failure of
                # the request: send it again on a new connection.
                if self.limiter is not None and not self.limiter.acquire(request.deadline):
                    problem = "connection closed, and no time left to send the request again"
                    raise RequestFailed("connection", problem) from None
        pooled = self._connect(request.deadline)
        try:
            return self._roundtrip(pooled, request)
        except ConnectionClosed as error:
            raise RequestFailed("connection", f"closed without a response: {error}") from None

    def check_idle(self, grace: float) -> None:
        """Close idle connections that have ended or received unexpected data.

        Unexpected data may arrive shortly after a response, so wait until the last response is
        ``grace`` seconds old.
        """
        last = max((pooled.idle_since for pooled in tuple(self._idle)), default=-inf)
        time.sleep(max(0.0, last + grace - steady()))
        for _ in range(len(self._idle)):
            try:
                pooled = self._idle.popleft()
            except IndexError:
                return
            if self._is_usable(pooled):
                self._idle.append(pooled)

    def close(self) -> None:
        """Close all connections, including those with a request in flight."""
        with self._lock:
            self._closed = True
            connections = list(self._open.values())
        for connection in connections:
            sock = connection.sock
            if sock is not None:
                with contextlib.suppress(OSError):
                    # Wakes the thread that reads from the socket; closing alone would not.
                    sock.shutdown(SHUT_RDWR)
        while self._idle:
            self._discard(self._idle.pop())
        self._adapter.close()

    @property
    def prefix_length(self) -> int:
        """Bytes of the request target before the path: the endpoint's own path, or its URL."""
        return len(self._target_prefix)

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._open)

    def _create_urllib3_pool(
        self, prepared: requests.PreparedRequest, proxies: dict[str, str]
    ) -> Any:  # the annotations of urllib3's pools fit neither mypy nor all of its versions
        verify, cert = self.proxy_settings.verify, self.proxy_settings.cert
        # cert_verify is not annotated.
        adapter: Any = self._adapter
        try:
            pool = adapter.get_connection_with_tls_context(prepared, verify, proxies, cert)
            # requests calls it before each request. Without it, urllib3 uses the system's CAs.
            adapter.cert_verify(pool, self.base_url, verify, cert)
        except (OSError, ValueError) as error:
            # requests' own exceptions are OSErrors, and so is that of a missing CA bundle.
            # urllib3 raises ValueError for the URL of a proxy and quotes its password.
            raise ValueError(_detail(error)) from None
        pool.ConnectionCls = CONNECTION_CLASSES.get(pool.ConnectionCls, pool.ConnectionCls)
        return pool

    def _checkout(self) -> PooledConnection | None:
        """Return the usable idle connection that was used last, to keep few of them open."""
        while True:
            try:
                pooled = self._idle.pop()
            except IndexError:
                return None
            if self._is_usable(pooled):
                return pooled

    def _roundtrip(self, pooled: PooledConnection, request: HttpRequest) -> Response:
        data = self._serialize(request)
        sent_at = steady()
        try:
            response = send_request(
                pooled.connection.sock,
                data,
                request.deadline,
                has_body=request.method != "HEAD",
            )
        except Exception:
            self._discard(pooled)
            raise
        if response.has_trailing_data:
            self._discard(pooled)
            raise RequestFailed("malformed", "unexpected data after the response")
        in_step = self._is_in_step(pooled, request, response.head)
        received_at = steady()
        pooled.request_tag = request.tag
        pooled.idle_since = received_at
        self._checkin(
            pooled,
            reusable=in_step and response.head.keeps_alive and not request.fresh_connection,
        )
        return Response(response.head, response.body, sent_at, received_at)

    def _serialize(self, request: HttpRequest) -> bytes:
        method, path = request.method.encode(), request.path.encode()
        request_line = b"%b %b%b HTTP/1.1\r\n" % (method, self._target_prefix, path)
        end = b"Connection: close\r\n\r\n" if request.fresh_connection else b"\r\n"
        return request_line + self._common_headers + request.headers + end

    def _is_in_step(
        self, pooled: PooledConnection, request: HttpRequest, head: ResponseHead
    ) -> bool:
        """Return False, after reporting it, if the response belongs to a different request.

        Then a forged response was taken for that of the previous request on the connection, and
        the true one has arrived only now.
        """
        if request.matches_request(head):
            return True
        self.on_desync(pooled.request_tag)
        return False

    def _checkin(self, pooled: PooledConnection, *, reusable: bool) -> None:
        if reusable and not self._closed:
            self._idle.append(pooled)
        else:
            self._discard(pooled)

    def _is_usable(self, pooled: PooledConnection) -> bool:
        sock = pooled.connection.sock
        state = IdleState.CLOSED if sock is None else idle_state(sock)
        if state is IdleState.QUIET:
            return True
        if state is IdleState.UNEXPECTED_DATA:
            self.on_desync(pooled.request_tag)
        self._discard(pooled)
        return False

    def _connect(self, deadline: float) -> PooledConnection:
        # urllib3 has no public way to get an unmanaged connection.
        connection: Any = self._urllib3_pool._new_conn()
        connection.deadline = deadline
        connection.timeout = max(deadline - steady(), 0.001)
        pooled = PooledConnection(connection)
        with self._lock:
            if self._closed:
                raise RequestFailed("connection", "the exporter is stopping")
            self._open[id(pooled)] = connection
        try:
            if self._urllib3_pool.proxy is not None and self._urllib3_pool.scheme == "https":
                self._urllib3_pool._prepare_proxy(connection)
            else:
                connection.connect()
            if self._closed:
                # close() ran before there was a socket to shut down.
                raise RequestFailed("connection", "the exporter is stopping")
        except Exception as error:  # noqa: BLE001  # converted if known, raised again otherwise
            self._discard(pooled)
            raise _as_request_failed(error) from None
        return pooled

    def _discard(self, pooled: PooledConnection) -> None:
        with self._lock:
            self._open.pop(id(pooled), None)
        with contextlib.suppress(OSError):
            pooled.connection.close()


def _as_request_failed(error: Exception) -> Exception:
    """Convert a failure to connect to ``RequestFailed``; return other errors unchanged."""
    match error:
        case RequestFailed():
            return error
        case TimeoutError():
            return RequestFailed("timeout", "no connection in time")
        case gaierror() | UnicodeError():
            return RequestFailed("connection", f"the name cannot be resolved: {error}")
        case WrappedSSLError() | SSLError():
            return RequestFailed("tls", _detail(error))
        case HTTPError() | OSError():
            return RequestFailed("connection", _detail(error))
        case _:
            return error


def _detail(error: Exception) -> str:
    """Return the error on one line. Libraries quote URLs with their passwords."""
    return single_line(redact(str(error)), MAX_DETAIL)
