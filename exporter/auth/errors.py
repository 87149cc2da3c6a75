"""Why signing in with Keystone failed, as one of our reasons and one line that is safe to log."""

import re
from collections.abc import Iterable, Iterator, Mapping

import requests
from keystoneauth1 import exceptions
from urllib3.exceptions import ReadTimeoutError

from exporter.auth.base import AuthError
from exporter.clock import now
from exporter.model.outcome import Reason
from exporter.text import redact, single_line
from exporter.transport.retry_after import parse_retry_after

MAX_DETAIL = 300

REASON_OF: tuple[tuple[tuple[type[BaseException], ...], Reason], ...] = (
    ((exceptions.Unauthorized, exceptions.MissingAuthMethods), "unauthorized"),
    ((exceptions.Forbidden,), "forbidden"),
    ((exceptions.TooManyRequests,), "rate_limited"),
    ((exceptions.HttpServerError,), "server_error"),
    ((exceptions.HttpError, exceptions.InvalidResponse), "rejected"),
    ((exceptions.SSLError,), "tls"),
    ((exceptions.ConnectionError,), "connection"),
    # What requests says of a CA bundle or certificate that cannot be read.
    ((OSError,), "tls"),
)
"""Exceptions of keystoneauth to reasons; the first row that fits counts."""

_TIMEOUTS = (exceptions.ConnectTimeout, requests.Timeout, ReadTimeoutError, TimeoutError)
_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)
_SECRET_KEY = re.compile(r"pass|secret|token|code|otp|key|credential$", re.IGNORECASE)


def failure(error: Exception, *, late: bool, secrets: Iterable[str]) -> AuthError:
    """``error`` of a sign-in as ours; ``late`` says that its time was up.

    A ``DiscoveryFailure`` says nothing by itself, so what led to it is looked at as well.
    """
    links = list(_links(error))
    if late or any(isinstance(link, _TIMEOUTS) for link in links):
        return AuthError("timeout", "no complete answer in time")
    for link in links:
        for kinds, reason in REASON_OF:
            if isinstance(link, kinds):
                return AuthError(reason, one_line(_text(link), secrets), _retry_after(link))
    if isinstance(error, exceptions.ClientException):
        return AuthError("rejected", one_line(str(error), secrets))
    if isinstance(error, _UNREADABLE):
        return AuthError("rejected", f"the answer cannot be read ({type(error).__name__})")
    return AuthError("internal", f"a bug: {type(error).__name__}")


def one_line(text: str, secrets: Iterable[str]) -> str:
    """``text`` without ``secrets``, users of URLs, control and bidi characters, and not long."""
    return single_line(redact(text, secrets), MAX_DETAIL)


def secrets_of(config: object, *, secret: bool = False) -> set[str]:
    """The values in ``config`` whose key says that they are secret, however deep they are."""
    if isinstance(config, Mapping):
        found = (
            secrets_of(value, secret=secret or bool(_SECRET_KEY.search(str(key))))
            for key, value in config.items()
        )
        return set().union(*found)
    if isinstance(config, list | tuple):
        return set().union(*(secrets_of(value, secret=secret) for value in config))
    return {str(config)} if secret and config not in {None, "", True, False} else set()


def _links(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _text(error: BaseException) -> str:
    """What to say: of a broken connection the innermost cause, of an answer its own words."""
    if isinstance(error, exceptions.BadRequest):
        # Keystone repeats what it could not read, the password included.
        return "Bad Request (HTTP 400)"
    if isinstance(error, exceptions.ConnectionError):
        return str(list(_links(error))[-1])
    return str(error)


def _retry_after(error: BaseException) -> float:
    """Seconds that the answer asks to wait; 0 where it does not."""
    response = getattr(error, "response", None)
    if response is None or "Retry-After" not in response.headers:
        return 0.0
    raw, date = (response.headers.get(name, "") for name in ("Retry-After", "Date"))
    seconds, _ = parse_retry_after(raw.encode("latin-1"), date.encode("latin-1"), now().wall)
    return seconds
