"""Sending of requests to one cloud's Image service: token, rate limit and connections."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import NamedTuple

from exporter.auth.base import Authenticator, AuthError, AuthToken, identity_of
from exporter.clock import now, steady
from exporter.glance.token_refusals import TokenRefusals
from exporter.glance.token_warmup import TokenWarmup
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline, RequestFacts
from exporter.transport.http1 import RequestFailed, Response
from exporter.transport.pool import ConnectionPool, HttpRequest
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.retry_after import parse_http_date, parse_retry_after
from exporter.transport.url import ServiceAddress, service_address

ObserveRequest = Callable[[str, str, float, str], None]
"""Records one request: method, status code (``error`` without response), seconds, request ID."""

RETRY_AFTER_CODES = frozenset({413, 429, 503})
"""Status codes whose ``Retry-After`` applies to every request to the cloud."""

UNKNOWN_PREFIX_LENGTH = 512
"""Bytes of a request line to reserve for the endpoint's path until a token names the endpoint."""


class Scope(NamedTuple):
    """Endpoint and project, which decide which images are visible.

    Attributes:
        endpoint: Base URL of the Image service.
        project: ID of the token's project, or a digest of the token if its project is unknown.
    """

    endpoint: str
    project: str | bytes


class ScopeChange(NamedTuple):
    """True for what is not the same as in earlier requests."""

    endpoint: bool
    project: bool


NO_CHANGE = ScopeChange(endpoint=False, project=False)


class _TokenUse(NamedTuple):
    """A token as requests use it: its header line, and where its endpoint serves the API."""

    token: AuthToken
    header: bytes
    address: ServiceAddress
    scope: Scope


@dataclass(slots=True)
class RequestSender:
    """Sends requests with a valid token, within the rate limit; thread-safe.

    Attributes:
        authenticator: Source of the endpoint and of tokens for it.
        proxy_settings_for: Returns the proxy settings for an endpoint.
        user_agent: Value of the header of that name.
        timeout: Seconds for one request, if its deadline is not earlier.
        limiter: Grants a permit for every request.
        observe_request: Called after every request.
        on_desync: See ``ConnectionPool``.
        clock_skew: Seconds by which the service's clock is ahead of ours, or ``None`` until known.
        first_scope: The scope of the first request, or ``None`` before it.
    """

    authenticator: Authenticator
    proxy_settings_for: Callable[[str], ProxySettings]
    user_agent: str
    timeout: float
    limiter: RateLimiter
    observe_request: ObserveRequest
    on_desync: Callable[[object], None] = lambda _: None
    clock_skew: float | None = None
    _warmup: TokenWarmup = field(init=False, default_factory=TokenWarmup)
    _refusals: TokenRefusals = field(init=False, default_factory=TokenRefusals)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _pool: ConnectionPool | None = field(init=False, default=None)
    first_scope: Scope | None = field(init=False, default=None)
    _token_use: _TokenUse | None = field(init=False, default=None)
    _is_skew_due: bool = field(init=False, default=True)
    _closed: bool = field(init=False, default=False)

    @property
    def connections(self) -> int:
        """The number of open connections to the Image service."""
        return self._pool.connections if self._pool else 0

    @property
    def scope(self) -> Scope | None:
        """The scope of the latest request, None before the first one."""
        return self._token_use.scope if self._token_use else None

    def change_from(self, before: Scope | None) -> ScopeChange:
        """Return how the scope of requests differs from an earlier one, or from the first."""
        before = before or self.first_scope
        current = self.scope or before
        if before is None or current is None:
            return NO_CHANGE
        return ScopeChange(before.endpoint != current.endpoint, before.project != current.project)

    @property
    def prefix_length(self) -> int:
        """Bytes of a request line before the path of a request, or an upper bound of them."""
        pool, use = self._pool, self._token_use
        if pool is None or use is None:
            return UNKNOWN_PREFIX_LENGTH
        return pool.prefix_length + len(use.address.project_segment)

    def get(
        self, path: str, deadline: Deadline, *, warms_token: bool = True
    ) -> tuple[RequestFacts, Response | Failed]:
        """Send a GET request, see ``send``."""
        request = HttpRequest("GET", path, deadline.end)
        return self.send(request, deadline.latest_start, warms_token=warms_token)

    def send(
        self, request: HttpRequest, latest_start: float, *, warms_token: bool = True
    ) -> tuple[RequestFacts, Response | Failed]:
        """Send a request with a valid token, not later than ``latest_start``.

        Returns the facts of the request, and the response, or ``Failed`` without a response.
        Endpoints that ignore the token are requested without ``warms_token``: they do not wait for
        the token warm-up.
        """
        start = steady()
        try:
            response = self._send_authenticated(request, latest_start, warms_token=warms_token)
        except AuthError as error:
            facts = RequestFacts(start, steady(), failed_at_authentication=True)
            return facts, Failed(error.reason, f"sign-in: {error.detail}")
        except RequestFailed as error:
            return RequestFacts(start, steady()), Failed(error.reason, error.detail)
        facts = _facts_of(response)
        if facts.retry_at is not None:
            self.limiter.block_until(facts.retry_at)
        if self._is_skew_due:
            self._compare_clocks(response)
        return facts, response

    def start_cycle(self) -> None:
        """Measure the clock skew again with the next response."""
        self._is_skew_due = True

    def check_idle(self, grace: float) -> None:
        """Look for bytes that followed a response, see ``ConnectionPool.check_idle``."""
        if self._pool is not None:
            self._pool.check_idle(grace)

    def close(self) -> None:
        """Close every connection, including those with a request in flight."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.close()
        self.limiter.stop()
        self.authenticator.close()

    def _send_authenticated(
        self, request: HttpRequest, latest_start: float, *, warms_token: bool
    ) -> Response:
        """Send a request with the token; after a 401, renew it and send the request once more.

        The token is not renewed if the path refuses every token.
        """
        token, path = self.authenticator.token(), request.path.partition("?")[0]
        response = self._send_with(token, request, latest_start, warms_token=warms_token)
        is_refused = response.code == HTTPStatus.UNAUTHORIZED
        if is_refused and self._refusals.may_renew(path, token.generation, steady()):
            token = self.authenticator.renew(token)
            response = self._send_with(token, request, latest_start, warms_token=warms_token)
            if response.code == HTTPStatus.UNAUTHORIZED:
                self._refusals.on_new_token_refused(path, steady())
        is_error = response.code >= HTTPStatus.INTERNAL_SERVER_ERROR
        if warms_token and not is_error and response.code != HTTPStatus.UNAUTHORIZED:
            self._refusals.on_accepted(path, token.generation)
        return response

    def _send_with(
        self, token: AuthToken, request: HttpRequest, latest_start: float, *, warms_token: bool
    ) -> Response:
        """Send a request when the token warm-up and the rate limit permit it."""
        use = self._use_of(token)
        pool = self._pool_for(use.address.base_url)
        timeout = max(0.0, latest_start - steady())
        turn = self._warmup.first_alone(token.generation, timeout) if warms_token else nullcontext()
        with turn:
            if not self.limiter.acquire(latest_start):
                raise RequestFailed("not_polled", "no time was left in this cycle")
            return self._send_observed(pool, use, request)

    def _send_observed(
        self, pool: ConnectionPool, use: _TokenUse, request: HttpRequest
    ) -> Response:
        start = steady()
        deadline = min(request.deadline, start + self.timeout)
        code, request_id = "error", ""
        try:
            response = pool.send(
                replace(
                    request,
                    path=use.address.path(request.path),
                    deadline=deadline,
                    headers=use.header,
                )
            )
            code, request_id = str(response.code), response.request_id
            return response
        finally:
            # A request that close() interrupts is not a failure of the service.
            if not self._closed:
                self.observe_request(request.method, code, steady() - start, request_id)

    def _pool_for(self, endpoint: str) -> ConnectionPool:
        """Return the pool for the endpoint; a new one if the catalog names another endpoint."""
        pool = self._pool
        if pool is not None and pool.base_url == endpoint:
            return pool
        with self._lock:
            if self._closed:
                raise RequestFailed("connection", "the exporter is stopping")
            if self._pool is None or self._pool.base_url != endpoint:
                pool = self._open_pool(endpoint)
                if self._pool is not None:
                    self._pool.close()
                self._pool = pool
            return self._pool

    def _open_pool(self, endpoint: str) -> ConnectionPool:
        try:
            settings = self.proxy_settings_for(endpoint)
            return ConnectionPool(endpoint, settings, self.user_agent, self.on_desync, self.limiter)
        except ValueError as error:
            detail = f"the endpoint, or the proxy before it, cannot be used: {error}"
            raise RequestFailed("connection", detail) from None

    def _use_of(self, token: AuthToken) -> _TokenUse:
        cached = self._token_use
        if cached is None or cached.token is not token:
            header = "" if token.value is None else f"X-Auth-Token: {token.value}\r\n"
            address = service_address(token.endpoint, token.project_id)
            scope = Scope(address.base_url, token.project_id or identity_of(token.value))
            cached = _TokenUse(token, header.encode("latin-1"), address, scope)
            self._token_use, self.first_scope = cached, self.first_scope or scope
        return cached

    def _compare_clocks(self, response: Response) -> None:
        date = parse_http_date(response.only(b"date"))
        if date is not None:
            self._is_skew_due = False
            # Date is truncated to seconds, so the middle of that second is the best estimate.
            self.clock_skew = date + 0.5 - now().wall


def _facts_of(response: Response) -> RequestFacts:
    if response.code in RETRY_AFTER_CODES:
        retry_after = response.first(b"retry-after")
        if retry_after is not None:
            seconds, is_usable = parse_retry_after(retry_after, response.first(b"date"), now().wall)
            return RequestFacts(
                response.sent_at,
                response.received_at,
                seconds,
                is_usable,
                is_unavailable=response.code == HTTPStatus.SERVICE_UNAVAILABLE,
            )
    return RequestFacts(response.sent_at, response.received_at)
