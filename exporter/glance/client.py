"""One cloud's Image service: signed in, asked within the limits, each answer read."""

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
from exporter.model.replies import Deadline, Reply
from exporter.transport.pool import ConnectionPool, HttpRequest
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.response import RequestFailed, Response
from exporter.transport.retry_after import parse_http_date, parse_retry_after

Measure = Callable[[str, str, float, str], None]
"""Called once per request with method, code (``error`` without an answer), seconds, request ID."""

Question = Callable[[ConnectionPool, bytes, float], Response]
"""Asks over a transport, with further header lines, by a deadline; raises ``RequestFailed``."""

Read = Callable[[Response], Reply]
"""What an answer says; a reply of its own for each kind of question."""

WAIT_CODES = frozenset({413, 429, 503})
SERVICE_CODES = frozenset({400, 429})
OK = 200
NOT_FOUND = 404

UNKNOWN_PREFIX = 512
"""Bytes of a request line to leave for the endpoint's own path while that is not known."""


@dataclass(slots=True)
class ImageClient:
    """Asks one cloud; thread-safe. It raises nothing: every failure is a ``Reply``."""

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
    _lead: TokenWarmup = field(init=False, default_factory=TokenWarmup)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _transport: ConnectionPool | None = field(init=False, default=None)
    _headers: tuple[AuthToken, bytes] | None = field(init=False, default=None)
    _skew_wanted: bool = field(init=False, default=True)
    _doubted: bool = field(init=False, default=False)
    _closed: bool = field(init=False, default=False)

    def image(
        self, image_id: str, within: Deadline, *, fresh: bool = False, tag: object = None
    ) -> Reply:
        """Asks for one image; ``fresh`` on a connection of its own, ``tag`` for ``on_overrun``."""
        api = self._api

        def read(answer: Response) -> Reply:
            reading = api.read_image(answer, image_id, self.properties)
            if isinstance(reading, Failed) and reading.reason == "api_version":
                self._doubted = True
            elif isinstance(reading, Found) and self.version is None:
                # No document says so, but it answers.
                self.version = api.version
            return self._reply(answer, reading, accepted=_is_accepted(answer, reading))

        def ask(transport: ConnectionPool, headers: bytes, deadline: float) -> Response:
            return transport.send(
                HttpRequest(
                    api.method,
                    api.image_path(image_id),
                    deadline,
                    headers,
                    fresh_connection=fresh,
                    tag=tag,
                    matches_request=lambda head: is_about(head, image_id),
                )
            )

        return self._asked(api.method, within, ask, read)

    def batch(
        self, image_ids: tuple[str, ...], within: Deadline, *, hidden: bool, page: str | None
    ) -> Reply:
        """Asks for many images at once, those that are ``hidden`` or the others; v2 only.

        ``page`` is the path of a further page, as the reply before gave it.
        """

        def read(answer: Response) -> Reply:
            batch = v2.read_batch(answer, image_ids, self.properties)
            if isinstance(batch, Failed):
                self._doubted = self._doubted or batch.reason == "api_version"
                if answer.head.code == NOT_FOUND:
                    # Of the list it says as little as of an image that was never proved gone.
                    batch = Failed("unconfirmed", "the list of images is 404", batch.request_id)
                accepted = _is_accepted(answer, batch)
                splits = v2.needs_split(answer)
                return self._reply(answer, batch, accepted=accepted, splits=splits)
            return self._reply(answer, None, accepted=True, batch=batch)

        path = page or v2.batch_path(image_ids, hidden=hidden, limit=v2.PAGE_LIMIT)
        return self._get(path, within, read)

    def list(self, within: Deadline) -> Reply:
        """Asks for the list of images, as proof that the API answers for these credentials."""
        api = self._api

        def read(answer: Response) -> Reply:
            listed = api.is_list(answer)
            reading = None if listed else api.read_list_failure(answer)
            return self._reply(answer, reading, listed=listed, accepted=listed)

        return self._get(api.list_path, within, read)

    def page(self, path: str, within: Deadline, properties: frozenset[str]) -> Reply:
        """Asks for one page of the list of all images; always v2, whichever version is in use."""

        def read(answer: Response) -> Reply:
            page = read_page(answer, properties)
            if isinstance(page, Failed):
                return self._reply(answer, page, accepted=_is_accepted(answer, page))
            return replace(self._reply(answer, None, accepted=True), page=page)

        return self._get(path, within, read)

    def batches(self, image_ids: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """The IDs that can be asked for together, in such groups; none where the API has none."""
        if not self._api.in_batches:
            return ()
        prefix = UNKNOWN_PREFIX if self._transport is None else self._transport.prefix_length
        return v2.batches(image_ids, prefix_length=prefix)

    def choose_version(self, within: Deadline) -> Reply | None:
        """Finds out which version to speak, where that is not known, or not any more.

        The one in use is kept while nothing tells otherwise. Returns the last reply of the service
        where it was asked: it may want to be left alone.
        """
        if self.version is not None and not self._doubted:
            return None
        reply, versions = None, frozenset[str]()
        version = choose(versions, self.wanted)
        if version is None:
            reply, versions = self._offered(within)
            version = choose(versions, self.wanted)
        if version is not None:
            self._doubted = False
            self.version = version
        return reply

    def begin(self) -> None:
        """To be called when a cycle begins: the clocks are compared once in each."""
        self._skew_wanted = True

    def settle(self, grace: float) -> None:
        """To be called when a cycle ends: looks for bytes left behind on idle connections.

        Takes at most ``grace`` seconds, and none where answers have bodies of a known length:
        what a tenant writes cannot end those early.
        """
        if self._transport is not None:
            self._transport.check_idle(0.0 if self._api.in_batches else grace)

    def close(self) -> None:
        """Ends every connection, also those on which an answer is awaited."""
        with self._lock:
            self._closed = True
            if self._transport is not None:
                self._transport.close()
        self.limiter.stop()
        self.signin.close()

    @property
    def connections(self) -> int:
        """How many connections to the Image service are open."""
        return self._transport.connections if self._transport else 0

    @property
    def _api(self) -> Api:
        return APIS.get(self.version or "", V1)

    def _offered(self, within: Deadline) -> tuple[Reply, frozenset[str]]:
        """The last reply, and the versions that the endpoint names.

        That is v2 where it names none but answers v2's list.
        """
        found = frozenset[str]()

        def read(answer: Response) -> Reply:
            nonlocal found
            found = offered(answer)
            return self._reply(answer, None, accepted=False)

        def read_list(answer: Response) -> Reply:
            nonlocal found
            found = frozenset({V2.version} if V2.is_list(answer) else ())
            return self._reply(answer, None, accepted=False)

        for path in VERSIONS_PATHS:
            # No token is looked at for these, so they go ahead of nothing.
            reply = self._get(path, within, read, leads=False)
            # Where there is no answer, or a wait is asked for, another path would fare no better.
            if found or reply.reading is not None or reply.wait is not None:
                return reply, found
        reply = self._get(V2.list_path, within, read_list)
        return reply, found

    def _get(self, path: str, within: Deadline, read: Read, *, leads: bool = True) -> Reply:
        def ask(transport: ConnectionPool, headers: bytes, deadline: float) -> Response:
            return transport.send(HttpRequest("GET", path, deadline, headers))

        return self._asked("GET", within, ask, read, leads=leads)

    def _asked(
        self, method: str, within: Deadline, ask: Question, read: Read, *, leads: bool = True
    ) -> Reply:
        """The reply to one question, after signing in anew where the first answer was a 401."""
        begun = steady()
        try:
            credential = self.signin.credential()
            answer = self._exchange(method, within, ask, credential, leads=leads)
            if answer.head.code == 401:
                credential = self.signin.renew(credential)
                answer = self._exchange(method, within, ask, credential, leads=leads)
            return read(answer)
        except AuthError as error:
            failed = Failed(error.reason, f"sign-in: {error.detail}")
            return Reply(failed, begun, steady(), at_sign_in=True)
        except RequestFailed as error:
            return Reply(Failed(error.reason, error.detail), begun, steady())

    def _exchange(
        self, method: str, within: Deadline, ask: Question, credential: AuthToken, *, leads: bool
    ) -> Response:
        transport = self._transport_to(credential.endpoint)
        patience = max(0.0, within.start_by - steady())
        with self._lead.turn(credential.generation, patience) if leads else nullcontext():
            if not self.limiter.acquire(within.start_by):
                raise RequestFailed("not_polled", "there was no time left for it in this cycle")
            begun = steady()
            deadline = min(within.end, begun + self.timeout)
            code, request_id = "error", ""
            try:
                answer = ask(transport, self._header(credential), deadline)
                code, request_id = str(answer.head.code), answer.head.request_id
                return answer
            finally:
                # What closing cut off was no failure of the service's.
                if not self._closed:
                    self.measure(method, code, steady() - begun, request_id)

    def _transport_to(self, endpoint: str) -> ConnectionPool:
        """The transport to the endpoint; another one when the catalogue names another."""
        transport = self._transport
        if transport is not None and transport.base_url == endpoint:
            return transport
        with self._lock:
            if self._closed:
                raise RequestFailed("connection", "the exporter is stopping")
            if self._transport is None or self._transport.base_url != endpoint:
                try:
                    fresh = ConnectionPool(
                        endpoint,
                        self.route_for(endpoint),
                        self.user_agent,
                        self.on_overrun,
                        self.limiter,
                    )
                except ValueError as error:
                    raise RequestFailed(
                        "connection",
                        f"the endpoint, or the proxy before it, cannot be asked: {error}",
                    ) from None
                if self._transport is not None:
                    self._transport.close()
                self._transport = fresh
            return self._transport

    def _header(self, credential: AuthToken) -> bytes:
        known = self._headers
        if known is None or known[0] is not credential:
            token = credential.token
            line = b"" if token is None else f"X-Auth-Token: {token}\r\n".encode("latin-1")
            known = self._headers = (credential, line)
        return known[1]

    def _reply(
        self,
        answer: Response,
        reading: Reading | None,
        *,
        accepted: bool,
        listed: bool = False,
        batch: v2.Batch | None = None,
        splits: bool = False,
    ) -> Reply:
        head = answer.head
        wait, as_told = None, True
        if head.code in WAIT_CODES and (raw := head.first(b"retry-after")) is not None:
            wait, as_told = parse_retry_after(raw, head.first(b"date"), now().wall)
            self.limiter.block_until(answer.received_at + wait)
        date = parse_http_date(head.only(b"date")) if self._skew_wanted else None
        if date is not None:
            self._skew_wanted = False
            # Date is cut to the second: the middle of that second is the best guess.
            self.skew = date + 0.5 - now().wall
        return Reply(
            reading,
            answer.sent_at,
            answer.received_at,
            listed,
            accepted,
            wait,
            as_told,
            batch,
            splits,
        )


def _is_accepted(answer: Response, reading: Reading) -> bool:
    """Whether the Image service itself answered, and took the credentials.

    A gateway in front of it also answers 400 and 429, but knows no request ID; and a portal's
    200 is not the service's, whereas one that a tenant's name has spoiled is.
    """
    code = answer.head.code
    if code in SERVICE_CODES:
        return bool(answer.head.request_id)
    return isinstance(reading, Found) or (code == OK and is_images(answer.head))
