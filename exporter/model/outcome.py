"""What a poll ends as: exactly one of ``Found``, ``Gone`` and ``Failed``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from exporter.model.image import Image

Reason = Literal[
    "unconfirmed",
    "unauthorized",
    "forbidden",
    "api_version",
    "rate_limited",
    "rejected",
    "server_error",
    "timeout",
    "tls",
    "connection",
    "malformed",
    "not_polled",
    "internal",
]
"""Why a poll failed: the label values of ``reason``. A misspelt one does not type-check."""

REASONS: Mapping[Reason, str] = {
    "unconfirmed": "404, but nothing proves that the API answers for these credentials",
    "unauthorized": "401, again after signing in anew, or signing in was refused",
    "forbidden": "403",
    "api_version": "300, 405, 410 or 501: the API is switched off or removed",
    "rate_limited": "429, or 413 with Retry-After",
    "rejected": "400, 414, any other 4xx, and any 1xx, 2xx or 3xx not named here",
    "server_error": "5xx",
    "timeout": "no complete answer in time",
    "tls": "the TLS handshake or certificate check failed",
    "connection": "name resolution failed, refused, reset or cut off",
    "malformed": "an answer that cannot be trusted",
    "not_polled": "not asked in this cycle: deadline, breaker open, or told to wait",
    "internal": "a bug of the exporter",
}
"""What each reason means, in the order of the exposition."""

assert tuple(REASONS) == get_args(Reason)  # noqa: S101  # a reason has to be explained

REASON_OF_CODE: Mapping[int, Reason] = {
    300: "api_version",
    401: "unauthorized",
    403: "forbidden",
    405: "api_version",
    410: "api_version",
    429: "rate_limited",
    501: "api_version",
}
"""Status codes with a reason of their own; the rest by their class, see ``reason_for_status``."""


@dataclass(frozen=True, slots=True)
class Found:
    """The image was described, living or deleted."""

    image: Image
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """The image is proved not to be visible to these credentials."""

    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer about the image; ``reason`` is a key of ``REASONS``, ``detail`` is for people."""

    reason: Reason
    detail: str = ""
    request_id: str = ""


Outcome = Found | Gone | Failed


@dataclass(frozen=True, slots=True)
class NotFound:
    """A 404 on which nothing has been decided yet: it becomes ``Gone`` only by evidence."""

    request_id: str = ""


Reading = Found | NotFound | Failed
"""What one answer says by itself."""


def reason_for_status(code: int, retry_after: bool = False) -> Reason:
    """The reason for a status code that is neither 200 nor 404.

    413 is Glance's answer to a quota and a gateway's to too many requests: only with Retry-After
    does it mean the latter.
    """
    if code == 413 and retry_after:
        return "rate_limited"
    reason = REASON_OF_CODE.get(code)
    if reason:
        return reason
    return "server_error" if 500 <= code <= 599 else "rejected"
