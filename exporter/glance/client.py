"""One cloud's Image service: signed in, asked within the limits, each answer read."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.clock import now, steady
from exporter.glance import v1
from exporter.glance.answer import Answer, NoAnswer
from exporter.glance.environment import Route
from exporter.glance.lead import Lead
from exporter.glance.limiter import Limiter
from exporter.glance.retry_after import http_date, seconds_to_wait
from exporter.glance.signin import Credential, SignIn, SignInError
from exporter.glance.transport import Transport
from exporter.image.outcome import Failed, Found, Reading

Measure = Callable[[str, str, float, str], None]
"""Called once per request with method, code (``error`` without an answer), seconds, request ID."""

Question = Callable[[Transport, bytes, float], Answer]
"""Asks over a transport, with further header lines, by a deadline; raises ``NoAnswer``."""

WAIT_CODES = frozenset({413, 429, 503})
SERVICE_CODES = frozenset({400, 429})


class Window(NamedTuple):
    """When one question may be asked, in steady seconds: begun by then, answered by the end."""

    start_by: float
    end: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What one question came to.

    ``reading`` is of an image, ``listed`` of the list. ``accepted`` says that the Image service
    itself answered with these credentials. Times are steady seconds; ``wait`` is how long the
    service asks the whole cloud to wait, and ``wait_as_told`` that this is the wait it named.
    """

    reading: Reading | None
    sent_at: float
    received_at: float
    listed: bool = False
    accepted: bool = False
    wait: float | None = None
    wait_as_told: bool = True


@dataclass(slots=True)
class ImageClient:
    """Asks one cloud; thread-safe. It raises nothing: every failure is a ``Reply``."""

    signin: SignIn
    route_for: Callable[[str], Route]
    user_agent: str
    timeout: float
    properties: frozenset[str] | None
    limiter: Limiter
    measure: Measure
    on_overrun: Callable[[object], None] = lambda _: None
    skew: float | None = None
    _lead: Lead = field(init=False, default_factory=Lead)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _transport: Transport | None = field(init=False, default=None)
    _headers: tuple[Credential, bytes] | None = field(init=False, default=None)
    _skew_wanted: bool = field(init=False, default=True)
    _closed: bool = field(init=False, default=False)

    def image(
        self, image_id: str, within: Window, *, fresh: bool = False, tag: object = None
    ) -> Reply:
        """Asks for one image; ``fresh`` on a connection of its own, ``tag`` for ``on_overrun``."""

        def read(answer: Answer) -> Reply:
            reading = v1.read_image(answer, image_id, self.properties)
            accepted = isinstance(reading, Found) or (
                answer.head.code in SERVICE_CODES and bool(answer.head.request_id)
            )
            return self._reply(answer, reading, accepted=accepted)

        def ask(transport: Transport, headers: bytes, deadline: float) -> Answer:
            return transport.ask(
                "HEAD",
                v1.image_path(image_id),
                headers,
                deadline,
                fresh=fresh,
                tag=tag,
                is_ours=lambda head: v1.is_about(head, image_id),
            )

        return self._asked("HEAD", within, ask, read)

    def list(self, within: Window) -> Reply:
        """Asks for the list of images, as proof that the API answers for these credentials."""

        def read(answer: Answer) -> Reply:
            listed = v1.is_list(answer)
            reading = None if listed else v1.read_list_failure(answer)
            return self._reply(answer, reading, listed=listed, accepted=listed)

        def ask(transport: Transport, headers: bytes, deadline: float) -> Answer:
            return transport.ask("GET", v1.LIST_PATH, headers, deadline)

        return self._asked("GET", within, ask, read)

    def begin(self) -> None:
        """To be called when a cycle begins: the clocks are compared once in each."""
        self._skew_wanted = True

    def settle(self, grace: float) -> None:
        """To be called when a cycle ends: looks for bytes left behind on idle connections.

        Takes at most ``grace`` seconds.
        """
        if self._transport is not None:
            self._transport.settle(grace)

    def close(self) -> None:
        """Ends every connection, also those on which an answer is awaited."""
        with self._lock:
            self._closed = True
            if self._transport is not None:
                self._transport.close()
        self.signin.close()

    @property
    def connections(self) -> int:
        """How many connections to the Image service are open."""
        return self._transport.connections if self._transport else 0

    def _asked(
        self, method: str, within: Window, ask: Question, read: Callable[[Answer], Reply]
    ) -> Reply:
        """The reply to one question, after signing in anew where the first answer was a 401."""
        begun = steady()
        try:
            credential = self.signin.credential()
            answer = self._exchange(method, within, ask, credential)
            if answer.head.code == 401:
                credential = self.signin.renew(credential)
                answer = self._exchange(method, within, ask, credential)
            return read(answer)
        except SignInError as error:
            return Reply(Failed(error.reason, f"sign-in: {error.detail}"), begun, steady())
        except NoAnswer as error:
            return Reply(Failed(error.reason, error.detail), begun, steady())

    def _exchange(
        self, method: str, within: Window, ask: Question, credential: Credential
    ) -> Answer:
        transport = self._transport_to(credential.endpoint)
        with self._lead.turn(credential.generation, max(0.0, within.start_by - steady())):
            if not self.limiter.permit(within.start_by):
                raise NoAnswer("not_polled", "there was no time left for it in this cycle")
            begun = steady()
            deadline = min(within.end, begun + self.timeout)
            code, request_id = "error", ""
            try:
                answer = ask(transport, self._header(credential), deadline)
                code, request_id = str(answer.head.code), answer.head.request_id
                return answer
            finally:
                self.measure(method, code, steady() - begun, request_id)

    def _transport_to(self, endpoint: str) -> Transport:
        """The transport to the endpoint; another one when the catalogue names another."""
        transport = self._transport
        if transport is not None and transport.base_url == endpoint:
            return transport
        with self._lock:
            if self._closed:
                raise NoAnswer("connection", "the exporter is stopping")
            if self._transport is None or self._transport.base_url != endpoint:
                try:
                    fresh = Transport(
                        endpoint, self.route_for(endpoint), self.user_agent, self.on_overrun
                    )
                except ValueError as error:
                    raise NoAnswer("connection", f"the endpoint cannot be asked: {error}") from None
                if self._transport is not None:
                    self._transport.close()
                self._transport = fresh
            return self._transport

    def _header(self, credential: Credential) -> bytes:
        known = self._headers
        if known is None or known[0] is not credential:
            token = credential.token
            line = b"" if token is None else f"X-Auth-Token: {token}\r\n".encode("latin-1")
            known = self._headers = (credential, line)
        return known[1]

    def _reply(
        self, answer: Answer, reading: Reading | None, *, accepted: bool, listed: bool = False
    ) -> Reply:
        head = answer.head
        wait, as_told = None, True
        if head.code in WAIT_CODES and (raw := head.first(b"retry-after")) is not None:
            wait, as_told = seconds_to_wait(raw, head.first(b"date"), now().wall)
        if self._skew_wanted and (date := http_date(head.first(b"date"))) is not None:
            self._skew_wanted = False
            # Date is cut to the second: the middle of that second is the best guess.
            self.skew = date + 0.5 - now().wall
        return Reply(reading, answer.sent_at, answer.received_at, listed, accepted, wait, as_told)
