"""Connection pool of one endpoint: keep-alive connections, each with one request at a time."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from socket import SHUT_RDWR
from typing import Any, Self

from exporter.clock import steady
from exporter.transport.connection import IdleState, addresses_of, idle_state
from exporter.transport.connector import Connector
from exporter.transport.content_coding import decompress
from exporter.transport.http1 import ConnectionClosed, RequestFailed, Response, send_request
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter

MAX_IDLE = 50.0
"""Seconds after which an idle connection is not used again.

Firewalls forget a connection that has been idle for minutes, some for one, without telling its
ends: a request on it would time out.
"""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request without a body.

    Attributes:
        method: ``GET`` or ``HEAD``.
        path: Path and query, appended to the base URL of the pool.
        deadline: Monotonic time by which the response must be complete.
        headers: Additional header lines, each terminated by CR LF.
        fresh_connection: Use a new connection, and close it after the response.
        held: Use this connection and none of the pool.
        is_last: Announce to the server that this is the last request on its connection.
        tag: Identifies the request when ``ConnectionPool.on_desync`` is called.
        matches_request: Returns False for the response to a different request.
    """

    method: str
    path: str
    deadline: float
    headers: bytes = b""
    fresh_connection: bool = False
    held: "HeldConnection | None" = None
    is_last: bool = False
    tag: object = None
    matches_request: Callable[[Response], bool] = lambda _: True


@dataclass(slots=True)
class PooledConnection:
    """A connection, the tag of the last request sent on it, and what the response announced.

    ``idle_since`` is the monotonic time of the last response, or None before the first one.
    """

    connection: Any
    request_tag: object = None
    keeps_alive: bool = True
    idle_since: float | None = None

    @property
    def is_reused(self) -> bool:
        """True if there was a response on the connection."""
        return self.idle_since is not None

    @property
    def is_idle_too_long(self) -> bool:
        """True if there was no response for ``MAX_IDLE``."""
        return self.idle_since is not None and steady() - self.idle_since > MAX_IDLE


@dataclass(slots=True)
class HeldConnection:
    """A connection for the requests of one caller, who sends them one after the other.

    The first request opens it. If the server closes it, the next request opens another one. Used as
    a context manager, it is closed at the end.

    Attributes:
        late_data_timeout: Seconds to wait for data after the last response on a connection.
        addresses: Local and remote address of the first connection, for people.
        opened: Number of connections that were opened.
        requests: Number of requests that were sent.
    """

    late_data_timeout: float = 0.0
    addresses: str = ""
    opened: int = 0
    requests: int = 0
    _pool: "ConnectionPool | None" = None
    _pooled: PooledConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def use(self, pool: "ConnectionPool", pooled: PooledConnection) -> None:
        """Replace the connection by a new one of this pool."""
        self.close()
        self._pool, self._pooled = pool, pooled
        self.opened += 1
        self.addresses = self.addresses or addresses_of(pooled.connection.sock)

    def reusable(self) -> PooledConnection | None:
        """Return the connection if the next request can use it.

        Raises:
            RequestFailed: The last response cannot be trusted, because data followed it.
        """
        is_reusable = self._pooled is not None and self._pooled.keeps_alive
        state = self._check(0.0 if is_reusable else self.late_data_timeout)
        if state is IdleState.UNEXPECTED_DATA:
            raise RequestFailed("malformed", "unexpected data after the previous response")
        return self._pooled if is_reusable and state is IdleState.QUIET else None

    def is_followed_by_data(self) -> bool:
        """Return True if data follows the last response, so that no response can be trusted.

        Waits for it until the server closes the connection, or ``late_data_timeout`` is over.
        """
        return self._check(self.late_data_timeout) is IdleState.UNEXPECTED_DATA

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._pool is not None and self._pooled is not None:
            self._pool.discard(self._pooled)
        self._pool = self._pooled = None

    def _check(self, wait: float) -> IdleState:
        if self._pool is None or self._pooled is None:
            return IdleState.CLOSED
        return self._pool.check(self._pooled, wait)


@dataclass(slots=True)
class ConnectionPool:
    """Sends requests to one endpoint; thread-safe.

    Attributes:
        base_url: Scheme, host, port and path prefix of the endpoint.
        proxy_settings: Proxy and certificates of its connections.
        user_agent: Value of the header of that name.
        on_desync: Called with the tag of a request whose response cannot be trusted, because
            requests and responses on its connection were out of step. The pool may notice this
            only when it is about to use the connection again.
        limiter: Grants a permit before a request is sent again on a new connection. The caller has
            acquired the permit for the first attempt.
    """

    base_url: str
    proxy_settings: ProxySettings
    user_agent: str
    on_desync: Callable[[object], None] = lambda _: None
    limiter: RateLimiter | None = None
    _connector: Connector = field(init=False)
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
        self._connector = Connector(self.base_url, self.proxy_settings)
        headers = {
            "Host": self._connector.host,
            "User-Agent": self.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **self._connector.proxy_headers,
        }
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        self._common_headers = "".join(lines).encode("latin-1")

    def send(self, request: HttpRequest) -> Response:
        """Send a request and return its response. Redirects are not followed.

        Raises:
            RequestFailed: There is no usable response.
        """
        data = self._serialize(request)
        held = request.held
        if held is not None:
            pooled = held.reusable()
        else:
            pooled = None if request.fresh_connection else self._checkout()
        if pooled is not None:
            try:
                return self._roundtrip(pooled, request, data)
            except ConnectionClosed:
                # A server may close an idle connection at any time, so this is not a failure of
                # the request: send it again on a new connection.
                if self.limiter is not None and not self.limiter.acquire(request.deadline):
                    problem = "connection closed, and no time left to send the request again"
                    raise RequestFailed("connection", problem) from None
        pooled = self._connect(request.deadline)
        if held is not None:
            held.use(self, pooled)
        try:
            return self._roundtrip(pooled, request, data)
        except ConnectionClosed as error:
            raise RequestFailed("connection", f"closed without a response: {error}") from None

    def check_idle(self, grace: float) -> None:
        """Close idle connections that are too old, have ended or received unexpected data.

        Unexpected data may arrive shortly after a response, so wait first until the last response
        is ``grace`` seconds old.
        """
        last = max((pooled.idle_since or -inf for pooled in tuple(self._idle)), default=-inf)
        time.sleep(max(0.0, last + grace - steady()))
        for _ in range(len(self._idle)):
            try:
                pooled = self._idle.popleft()
            except IndexError:
                return
            if self.check(pooled) is IdleState.QUIET:
                self._keep(pooled)

    def check(self, pooled: PooledConnection, wait: float = 0.0) -> IdleState:
        """Return the state of a connection between two requests, and close it unless it is quiet.

        A quiet connection is watched for ``wait`` seconds, and closed after ``MAX_IDLE``.
        """
        sock = pooled.connection.sock
        state = IdleState.CLOSED if sock is None else idle_state(sock, wait)
        if state is IdleState.QUIET and pooled.is_idle_too_long:
            state = IdleState.CLOSED
        if state is IdleState.UNEXPECTED_DATA:
            self.on_desync(pooled.request_tag)
        if state is not IdleState.QUIET:
            self.discard(pooled)
        return state

    def discard(self, pooled: PooledConnection) -> None:
        """Close a connection, also if it is closed already."""
        with self._lock:
            self._open.pop(id(pooled), None)
        with contextlib.suppress(OSError):
            pooled.connection.close()

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
        with contextlib.suppress(IndexError):  # another thread may take the last one
            while True:
                self.discard(self._idle.pop())
        self._connector.close()

    @property
    def prefix_length(self) -> int:
        """Bytes of the request target before the path: the endpoint's own path, or its URL."""
        return len(self._connector.target_prefix)

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._open)

    def _checkout(self) -> PooledConnection | None:
        """Return the usable idle connection that was used last, to keep few of them open."""
        while True:
            try:
                pooled = self._idle.pop()
            except IndexError:
                return None
            if self.check(pooled) is IdleState.QUIET:
                return pooled

    def _roundtrip(self, pooled: PooledConnection, request: HttpRequest, data: bytes) -> Response:
        if request.held is not None:
            request.held.requests += 1
        try:
            response = send_request(
                pooled.connection.sock,
                data,
                request.deadline,
                response_has_body=request.method != "HEAD",
                is_reused=pooled.is_reused,
            )
        except Exception:
            self.discard(pooled)
            raise
        if response.has_trailing_data:
            self.discard(pooled)
            raise RequestFailed("malformed", "unexpected data after the response")
        if response.body:
            decompress(response)
        in_step = self._is_in_step(pooled, request, response)
        # Nothing can have forged the first response, so what follows an error is its page.
        is_final = response.is_error and not response.keeps_alive and not pooled.is_reused
        pooled.request_tag = request.tag
        pooled.idle_since = response.received_at
        pooled.keeps_alive = response.keeps_alive and not request.fresh_connection
        self._keep_or_close(pooled, request, in_step=in_step and not is_final)
        return response

    def _serialize(self, request: HttpRequest) -> bytes:
        method, path = request.method.encode(), request.path.encode()
        request_line = b"%b %b%b HTTP/1.1\r\n" % (method, self._connector.target_prefix, path)
        is_last = request.is_last or request.fresh_connection
        end = b"Connection: close\r\n\r\n" if is_last else b"\r\n"
        return request_line + self._common_headers + request.headers + end

    def _is_in_step(
        self, pooled: PooledConnection, request: HttpRequest, response: Response
    ) -> bool:
        """Return False, after reporting it, if the response belongs to a different request.

        In that case the previous request on the connection got a forged response, and its true
        response has arrived now.
        """
        if request.matches_request(response):
            return True
        self.on_desync(pooled.request_tag)
        return False

    def _keep_or_close(
        self, pooled: PooledConnection, request: HttpRequest, *, in_step: bool
    ) -> None:
        """Close a connection, or keep it for the next request, after a response."""
        is_shared = request.held is None
        if not in_step or self._closed or (is_shared and not pooled.keeps_alive):
            self.discard(pooled)
        elif is_shared:
            self._keep(pooled)

    def _keep(self, pooled: PooledConnection) -> None:
        """Keep a connection for the next request, unless ``close`` has closed all others."""
        with self._lock:
            if not self._closed:
                self._idle.append(pooled)
                return
        self.discard(pooled)

    def _connect(self, deadline: float) -> PooledConnection:
        pooled = PooledConnection(self._connector.create(deadline))
        with self._lock:
            if self._closed:
                raise RequestFailed("connection", "the exporter is stopping")
            self._open[id(pooled)] = pooled.connection
        try:
            self._connector.connect(pooled.connection)
            if self._closed:
                # close() ran before there was a socket to shut down.
                raise RequestFailed("connection", "the exporter is stopping")
        except Exception:
            self.discard(pooled)
            raise
        return pooled
