"""Clients of a simulated Image service."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from exporter.auth.base import Authenticator, AuthError, AuthStats, AuthToken
from exporter.clock import steady
from exporter.glance.client import ImageClient
from exporter.glance.request_sender import RequestSender
from exporter.model.api_traits import RequestedVersion
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline, ProbeReply
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter
from exporter.transport.tls_files import ClientTls

TIMEOUT = 10.0
DIRECT = ProxySettings(None, True, None)


class FakeAuthenticator:
    """Authenticator that a test controls: renewal issues the next token, or fails."""

    identity = b""
    tls = ClientTls()
    api: RequestedVersion = "auto"

    def __init__(self, endpoint: str, project_id: str = "") -> None:
        self.endpoint = endpoint
        self.project_id = project_id
        self.number = 1
        self.renewals = 0
        self.failure: AuthError | None = None
        self.closed = False
        self._lock = threading.Lock()

    def token(self) -> AuthToken:
        if self.failure is not None:
            raise self.failure
        token = f"token-{self.number}"
        return AuthToken(self.endpoint, token, None, self.number, self.project_id)

    def renew(self, rejected: AuthToken) -> AuthToken:
        with self._lock:
            if rejected.generation == self.number:
                self.renewals += 1
                self.number += 1
        return self.token()

    def stats(self) -> AuthStats:
        return AuthStats(self.number, 0, None)

    def close(self) -> None:
        self.closed = True


class ObservedRequest(NamedTuple):
    """Arguments of ``observe_request``."""

    method: str
    code: str
    seconds: float
    request_id: str


def soon() -> Deadline:
    """Return a deadline that no request to a responsive service misses."""
    return Deadline(steady() + TIMEOUT, steady() + TIMEOUT)


@contextmanager
def image_client(
    authenticator: Authenticator,
    api: RequestedVersion = "auto",
    observe_request: Callable[[str, str, float, str], None] = lambda *_: None,
    limiter: RateLimiter | None = None,
    proxy_settings: ProxySettings = DIRECT,
) -> Iterator[ImageClient]:
    """Yield a client, by default without proxy and rate limit."""
    sender = RequestSender(
        authenticator=authenticator,
        proxy_settings_for=lambda _: proxy_settings,
        user_agent="test",
        timeout=TIMEOUT,
        limiter=limiter or RateLimiter(None, steady, threading.Event()),
        observe_request=observe_request,
    )
    client = ImageClient(sender, properties=frozenset(), requested_version=api)
    try:
        yield client
    finally:
        client.close()


def result_names(reply: ProbeReply) -> list[str]:
    """Return the result of each request of a probe: its type, or the reason of a failure."""
    return [
        result.reason if isinstance(result, Failed) else type(result).__name__
        for result in (reply.before, reply.suspect, reply.after)
        if result is not None
    ]
