"""Failed authentication with Keystone: the failure reason, and one line that is safe to log."""

import re
from collections.abc import Iterable, Iterator, Mapping

import requests
from keystoneauth1 import exceptions
from urllib3.exceptions import ReadTimeoutError

from exporter.auth.base import AuthError
from exporter.clock import now
from exporter.model.outcome import Reason
from exporter.redaction import redact
from exporter.text import single_line
from exporter.transport.retry_after import parse_retry_after

MAX_DETAIL = 300
"""Characters of a detail."""

REASON_OF: tuple[tuple[tuple[type[BaseException], ...], Reason], ...] = (
    ((exceptions.Unauthorized, exceptions.MissingAuthMethods), "unauthorized"),
    ((exceptions.Forbidden,), "forbidden"),
    ((exceptions.TooManyRequests,), "rate_limited"),
    ((exceptions.HttpServerError,), "server_error"),
    ((exceptions.HttpError, exceptions.InvalidResponse), "rejected"),
    ((exceptions.SSLError,), "tls"),
    ((exceptions.ConnectionError,), "connection"),
    # requests raises OSError for a CA bundle or certificate that it cannot read.
    ((OSError,), "tls"),
)
"""Failure reasons of keystoneauth's exceptions; the first matching row counts."""

_TIMEOUTS = (exceptions.ConnectTimeout, requests.Timeout, ReadTimeoutError, TimeoutError)
_PARSE_ERRORS = (AttributeError, IndexError, KeyError, TypeError, ValueError)
_SECRET_KEY = re.compile(r"pass|secret|token|code$|otp|key|credential$", re.IGNORECASE)


def auth_error(error: Exception, *, timed_out: bool, secrets: Iterable[str]) -> AuthError:
    """Convert an exception that was raised while authenticating.

    A ``DiscoveryFailure`` has no reason of its own, so its causes are examined as well.
    """
    chain = list(_causes(error))
    if timed_out or any(isinstance(cause, _TIMEOUTS) for cause in chain):
        return AuthError("timeout", "no complete response in time")
    for cause in chain:
        for types, reason in REASON_OF:
            if isinstance(cause, types):
                explanation = next(filter(None, _notes(chain)), None)
                parts = filter(None, (_message(cause), explanation))
                detail = "; ".join(safe_line(part, secrets) for part in parts)
                return AuthError(reason, detail, _retry_after(cause))
    if isinstance(error, exceptions.ClientException):
        return AuthError("rejected", safe_line(str(error), secrets))
    if isinstance(error, _PARSE_ERRORS):
        return AuthError("rejected", f"the response cannot be parsed ({type(error).__name__})")
    return AuthError("internal", f"internal error: {type(error).__name__}")


def safe_line(text: str, secrets: Iterable[str]) -> str:
    """Return the text on one line of limited length, without secrets and control characters."""
    return single_line(redact(text, secrets), MAX_DETAIL)


def secrets_of(config: object, *, is_secret: bool = False) -> set[str]:
    """Return the values at any depth of a configuration whose key denotes a secret."""
    if isinstance(config, Mapping):
        values = (
            secrets_of(value, is_secret=is_secret or bool(_SECRET_KEY.search(str(key))))
            for key, value in config.items()
        )
        return set().union(*values)
    if isinstance(config, list | tuple):
        return set().union(*(secrets_of(value, is_secret=is_secret) for value in config))
    return {str(config)} if is_secret and config not in {None, "", True, False} else set()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception and its causes, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _notes(errors: Iterable[BaseException]) -> Iterator[str]:
    """Yield the notes that were added to exceptions to explain them."""
    for error in errors:
        yield from getattr(error, "__notes__", ())


def _message(error: BaseException) -> str:
    """Return the text of an exception, or of its innermost cause if the connection failed."""
    if isinstance(error, exceptions.BadRequest):
        # Keystone repeats the part that it could not parse, which may be the password.
        return "Bad Request (HTTP 400)"
    if isinstance(error, exceptions.ConnectionError):
        return str(list(_causes(error))[-1])
    return str(error)


def _retry_after(error: BaseException) -> float:
    """Return the seconds for which Keystone forbids requests (Retry-After), or 0."""
    response = getattr(error, "response", None)
    if response is None or "Retry-After" not in response.headers:
        return 0.0
    raw, date = (response.headers.get(name, "") for name in ("Retry-After", "Date"))
    seconds, _ = parse_retry_after(raw.encode("latin-1"), date.encode("latin-1"), now().wall)
    return seconds
