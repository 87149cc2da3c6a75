"""Clients of a simulated Image service."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from exporter.auth.base import Authenticator
from exporter.clock import steady
from exporter.glance.client import ImageClient
from exporter.glance.request_sender import RequestSender
from exporter.model.api_traits import RequestedVersion
from exporter.model.replies import Deadline
from exporter.transport.proxies import ProxySettings
from exporter.transport.rate_limiter import RateLimiter

TIMEOUT = 10.0


def soon() -> Deadline:
    """Return a deadline that no request to a responsive service misses."""
    return Deadline(steady() + TIMEOUT, steady() + TIMEOUT)


@contextmanager
def image_client(
    authenticator: Authenticator,
    api: RequestedVersion = "auto",
    observe_request: Callable[[str, str, float, str], None] = lambda *_: None,
) -> Iterator[ImageClient]:
    """Yield a client without proxy and rate limit."""
    sender = RequestSender(
        authenticator=authenticator,
        proxy_settings_for=lambda _: ProxySettings(None, True, None),
        user_agent="test",
        timeout=TIMEOUT,
        limiter=RateLimiter(None, steady, threading.Event()),
        observe_request=observe_request,
    )
    client = ImageClient(sender, properties=frozenset(), requested_version=api)
    try:
        yield client
    finally:
        client.close()
