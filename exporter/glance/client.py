"""Client of one cloud's Image service: signs in, limits, sends and parses."""

import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from exporter.auth.base import Authenticator, AuthError, AuthToken
from exporter.clock import now, steady
from exporter.glance import v2
from exporter.glance.api import APIS, V1, V2, Api
from exporter.glance.listing import read_page
from exporter.glance.token_warmup import TokenWarmup
from exporter.glance.v1 import is_about, is_images
from exporter.glance.versions import VERSIONS_PATHS, choose, offered
from exporter.model.outcome import Failed, Found, Reading
from exporter.model.replies import (
    BatchReply,
    Deadline,
    ImageReply,
    ListReply,
    PageReply,
    RequestFacts,
)
from exporter.transport.pool import ConnectionPool, HttpRequest
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.response import RequestFailed, Response
from exporter.transport.retry_after import parse_http_date, parse_retry_after

Measure = Callable[[str, str, float, str], None]
"""Called once per request with method, code (``error`` without an answer), seconds, request ID."""

WAIT_CODES = frozenset({413, 429, 503})
SERVICE_CODES = frozenset({400, 429})
OK = 200
NOT_FOUND = 404

UNKNOWN_PREFIX = 512
"""Bytes of a request line to reserve for the endpoint's path until a token names the endpoint."""


@dataclass(frozen=True, slots=True)
class NoResponse:
    """The failure of a request that got no response."""

    request: RequestFacts
    failed: Failed


@dataclass(slots=True)
class ImageClient:
    """Client of one cloud; thread-safe. It raises nothing: every failure is part of a reply."""

    signin: Authenticator
    route_for: Callable[[str], ProxySettings]
    user_agent: str
    timeout: float
    properties: frozenset[str] | None
    limiter: RateLimiter
    measure: Measure
    wanted: str = "auto"
    on_overrun: Callable[[object], None] = lambda _: None
    version: str | None = None
    skew: float | None = None
    _warmup: TokenWarmup = field(init=False, default_factory=TokenWarmup)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _pool: ConnectionPool | None = field(init=False, default=None)
    _token_header: tuple[AuthToken, bytes] | None = field(init=False, default=None)
    _skew_wanted: bool = field(init=False, default=True)
    _doubted: bool = field(init=False, default=False)
    _closed: bool = field(init=False, default=False)

    def image(
        self, image_id: str, deadline: Deadline, *, fresh: bool = False, tag: object = None
    ) -> ImageReply:
        """Request one image, if ``fresh`` on a connection of its own."""
        api = self._api
        request = HttpRequest(
            api.method,
            api.image_path(image_id),
            deadline.end,
            fresh_connection=fresh,
            tag=tag,
            matches_request=lambda head: is_about(head, image_id),
        )
        response = self._send(request, deadline.latest_start)
        if isinstance(response, NoResponse):
            return ImageReply(response.request, response.failed)
        reading = api.read_image(response, image_id, self.properties)
        if isinstance(reading, Failed) and reading.reason == "api_version":
            self._doubted = True
        elif isinstance(reading, Found) and self.version is None:
            # No version document lists this version, but the service responds to it.
            self.version = api.version
        return ImageReply(self._facts(response, accepted=_is_accepted(response, reading)), reading)

    def batch(
        self, image_ids: tuple[str, ...], deadline: Deadline, *, hidden: bool, page: str | None
    ) -> BatchReply:
        """Request many images at once, either the ``hidden`` ones or the others; v2 only.

        ``page`` is the path of a further page, as the previous reply named it.
        """
        path = page or v2.batch_path(image_ids, hidden=hidden, limit=v2.PAGE_LIMIT)
        response = self._get(path, deadline)
        if isinstance(response, NoResponse):
            return BatchReply(response.request, response.failed)
        batch = v2.read_batch(response, image_ids, self.properties)
        if not isinstance(batch, Failed):
            return BatchReply(self._facts(response, accepted=True), batch)
        self._doubted = self._doubted or batch.reason == "api_version"
        if response.head.code == NOT_FOUND:
            # A 404 for the list proves nothing, so report it as unconfirmed.
            batch = Failed("unconfirmed", "the list of images is 404", batch.request_id)
        facts = self._facts(response, accepted=_is_accepted(response, batch))
        return BatchReply(facts, batch, splittable=v2.needs_split(response))

    def list(self, deadline: Deadline) -> ListReply:
        """Request the list of images, as proof that the API responds to these credentials."""
        api = self._api
        response = self._get(api.list_path, deadline)
        if isinstance(response, NoResponse):
            return ListReply(response.request, response.failed)
        if api.is_list(response):
            return ListReply(self._facts(response, accepted=True))
        return ListReply(self._facts(response, accepted=False), api.read_list_failure(response))

    def page(self, path: str, deadline: Deadline, properties: frozenset[str]) -> PageReply:
        """Request one page of a discovery listing, always from v2, whichever version is in use."""
        response = self._get(path, deadline)
        if isinstance(response, NoResponse):
            return PageReply(response.request, response.failed)
        page = read_page(response, properties)
        accepted = not isinstance(page, Failed) or _is_accepted(response, page)
        return PageReply(self._facts(response, accepted=accepted), page)

    def batches(self, image_ids: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """Return the IDs in groups that one list can have; none if the API has no such lists."""
        if not self._api.in_batches:
            return ()
        prefix = UNKNOWN_PREFIX if self._pool is None else self._pool.prefix_length
        return v2.batches(image_ids, prefix_length=prefix)

    def choose_version(self, deadline: Deadline) -> RequestFacts | None:
        """Choose the API version if none is in use, or if the one in use was refused.

        The version in use is kept unless the service offers another one. Returns the facts of the
        last request, if there was one: the service may have sent ``Retry-After``.
        """
        if self.version is not None and not self._doubted:
            return None
        facts, version = None, choose(frozenset(), self.wanted)
        if version is None:
            facts, versions = self._request_versions(deadline)
            version = choose(versions, self.wanted)
        if version is not None:
            self._doubted = False
            self.version = version
        return facts

    def begin(self) -> None:
        """Start a cycle: the clocks are compared once per cycle."""
        self._skew_wanted = True

    def settle(self, grace: float) -> None:
        """End a cycle: look for bytes that followed a response, on idle connections.

        Takes at most ``grace`` seconds, or none if every response has a body of a known length,
        which text from a tenant cannot end early.
        """
        if self._pool is not None:
            self._pool.check_idle(0.0 if self._api.in_batches else grace)

    def close(self) -> None:
        """Close every connection, including those with a request in flight."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.close()
        self.limiter.stop()
        self.signin.close()

    @property
    def connections(self) -> int:
        """The number of open connections to the Image service."""
        return self._pool.connections if self._pool else 0

    @property
    def _api(self) -> Api:
        return APIS.get(self.version or "", V1)

    def _request_versions(self, deadline: Deadline) -> tuple[RequestFacts, frozenset[str]]:
        """Return the facts of the last request, and the versions that the endpoint offers.

        That is v2 if the endpoint has no version document, but responds to v2's list.
        """
        for path in VERSIONS_PATHS:
            response = self._get(path, deadline, warms_token=False)
            if isinstance(response, NoResponse):
                # The other paths would fail as well.
                return response.request, frozenset()
            facts = self._facts(response, accepted=False)
            versions = offered(response)
            if versions or facts.retry_after is not None:
                return facts, versions
        response = self._get(V2.list_path, deadline)
        if isinstance(response, NoResponse):
            return response.request, frozenset()
        versions = frozenset({V2.version} if V2.is_list(response) else ())
        return self._facts(response, accepted=False), versions

    def _get(
        self, path: str, deadline: Deadline, *, warms_token: bool = True
    ) -> Response | NoResponse:
        request = HttpRequest("GET", path, deadline.end)
        return self._send(request, deadline.latest_start, warms_token=warms_token)

    def _send(
        self, request: HttpRequest, latest_start: float, *, warms_token: bool = True
    ) -> Response | NoResponse:
        """Send a request with a valid token, and turn every exception into ``NoResponse``.

        A request without ``warms_token`` ignores the token, so it does not wait for the warm-up.
        """
        start = steady()
        try:
            return self._send_authenticated(request, latest_start, warms_token=warms_token)
        except AuthError as error:
            facts = RequestFacts(start, steady(), failed_at_sign_in=True)
            return NoResponse(facts, Failed(error.reason, f"sign-in: {error.detail}"))
        except RequestFailed as error:
            return NoResponse(RequestFacts(start, steady()), Failed(error.reason, error.detail))

    def _send_authenticated(
        self, request: HttpRequest, latest_start: float, *, warms_token: bool
    ) -> Response:
        """Send a request with the token; after a 401, renew it and send the request once more."""
        token = self.signin.credential()
        response = self._send_with(token, request, latest_start, warms_token=warms_token)
        if response.head.code == 401:
            token = self.signin.renew(token)
            response = self._send_with(token, request, latest_start, warms_token=warms_token)
        return response

    def _send_with(
        self, token: AuthToken, request: HttpRequest, latest_start: float, *, warms_token: bool
    ) -> Response:
        """Send a request when the token warm-up and the rate limit permit it."""
        pool = self._pool_for(token.endpoint)
        patience = max(0.0, latest_start - steady())
        turn = self._warmup.turn(token.generation, patience)
        with turn if warms_token else nullcontext():
            if not self.limiter.acquire(latest_start):
                raise RequestFailed("not_polled", "there was no time left for it in this cycle")
            return self._send_measured(pool, token, request)

    def _send_measured(
        self, pool: ConnectionPool, token: AuthToken, request: HttpRequest
    ) -> Response:
        start = steady()
        code, request_id = "error", ""
        try:
            response = pool.send(
                replace(
                    request,
                    deadline=min(request.deadline, start + self.timeout),
                    headers=self._header(token),
                )
            )
            code, request_id = str(response.head.code), response.head.request_id
            return response
        finally:
            # A request that close() interrupts is not a failure of the service.
            if not self._closed:
                self.measure(request.method, code, steady() - start, request_id)

    def _pool_for(self, endpoint: str) -> ConnectionPool:
        """Return the pool for the endpoint; a new one if the catalogue names another endpoint."""
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
        route = self.route_for(endpoint)
        try:
            return ConnectionPool(endpoint, route, self.user_agent, self.on_overrun, self.limiter)
        except ValueError as error:
            detail = f"the endpoint, or the proxy before it, cannot be used: {error}"
            raise RequestFailed("connection", detail) from None

    def _header(self, token: AuthToken) -> bytes:
        cached = self._token_header
        if cached is None or cached[0] is not token:
            line = (
                b"" if token.token is None else f"X-Auth-Token: {token.token}\r\n".encode("latin-1")
            )
            cached = self._token_header = (token, line)
        return cached[1]

    def _facts(self, response: Response, *, accepted: bool) -> RequestFacts:
        """Return the facts of a response; obey its ``Retry-After``, compare its ``Date``."""
        head = response.head
        wait, usable = None, True
        if head.code in WAIT_CODES and (raw := head.first(b"retry-after")) is not None:
            wait, usable = parse_retry_after(raw, head.first(b"date"), now().wall)
            self.limiter.block_until(response.received_at + wait)
        date = parse_http_date(head.only(b"date")) if self._skew_wanted else None
        if date is not None:
            self._skew_wanted = False
            # Date is truncated to seconds, so the middle of that second is the best estimate.
            self.skew = date + 0.5 - now().wall
        return RequestFacts(response.sent_at, response.received_at, accepted, wait, usable)


def _is_accepted(response: Response, reading: Reading) -> bool:
    """Return true if the Image service itself responded and accepted the credentials.

    A gateway in front of it also sends 400 and 429, but without a request ID. A portal's 200 is
    not the service's, but one that a tenant's image name has garbled is.
    """
    code = response.head.code
    if code in SERVICE_CODES:
        return bool(response.head.request_id)
    return isinstance(reading, Found) or (code == OK and is_images(response.head))
