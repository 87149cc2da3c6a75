"""Outcome of a poll: exactly one of ``Found``, ``Gone`` and ``Failed``."""

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
"""Reasons of failed polls: the values of the label ``reason``."""

REASONS: Mapping[Reason, str] = {
    "unconfirmed": "404, or a state older than one received before, that was not confirmed in this "
    "cycle; the detail in the log says why",
    "unauthorized": "401, also with a new token, or the sign-in was rejected",
    "forbidden": "403",
    "api_version": "300, 405, 410 or 501: the API is switched off or removed",
    "rate_limited": "429, or 413 with Retry-After",
    "rejected": "400, 414, any other 4xx, and any 1xx, 2xx or 3xx not listed here",
    "server_error": "5xx",
    "timeout": "no complete response in time",
    "tls": "the TLS handshake or certificate check failed",
    "connection": "name resolution failed, or the connection was refused, reset or closed early",
    "malformed": "a response that cannot be trusted",
    "not_polled": "no request in this cycle: deadline, circuit breaker open, or Retry-After",
    "internal": "a bug of the exporter",
}
"""The meaning of each reason, in the order of the exposition."""

assert tuple(REASONS) == get_args(Reason), (  # noqa: S101  # every reason needs its meaning
    f"Reason and REASONS differ in {set(get_args(Reason)) ^ set(REASONS) or 'their order'}"
)

REASON_OF_CODE: Mapping[int, Reason] = {
    300: "api_version",
    401: "unauthorized",
    403: "forbidden",
    405: "api_version",
    410: "api_version",
    429: "rate_limited",
    501: "api_version",
}
"""Status codes with a reason of their own. ``reason_for_status`` maps all other codes."""


@dataclass(frozen=True, slots=True)
class Found:
    """The response describes the image, existing or deleted.

    ``corrects`` is true if an earlier answer was older than the state at that time, so that what
    differs is not a change since then.
    """

    image: Image
    request_id: str = ""
    corrects: bool = False


@dataclass(frozen=True, slots=True)
class GoneEvidence:
    """The responses that prove that an image is gone.

    Attributes:
        first_404_at: Monotonic time of the first 404 since the image was last found.
        rechecks: Number of 404s on fresh connections without a control.
        probes: Number of conclusive probes, each on a connection of its own.
        controls: IDs of the images that were found before and after the 404 of a probe; ``list``
            stands for a list of images.
        connections: Local and remote addresses of the connections of the probes.
        request_ids: Request IDs of the 404s, oldest first, as far as the responses had one.
        cycles: Number of consecutive cycles that came to this conclusion.
    """

    first_404_at: float
    rechecks: int = 0
    probes: int = 0
    controls: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    request_ids: tuple[str, ...] = ()
    cycles: int = 1

    @property
    def summary(self) -> str:
        """The evidence in words."""
        text = f"404 on {1 + self.rechecks + self.probes} connections"
        if self.probes:
            text += f", {self.probes} of them with a control"
        return text if self.cycles == 1 else f"{text}, in {self.cycles} cycles"


@dataclass(frozen=True, slots=True)
class Gone:
    """Proof that these credentials cannot see the image.

    ``evidence`` is None if the image was known to be gone already.
    """

    request_id: str = ""
    evidence: GoneEvidence | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """No information about the image. ``detail`` is for people."""

    reason: Reason
    detail: str = ""
    request_id: str = ""


Outcome = Found | Gone | Failed


@dataclass(frozen=True, slots=True)
class NotFound:
    """A 404 for the image. It becomes ``Gone`` only after confirmation."""

    request_id: str = ""


ImageResult = Found | NotFound | Failed
"""Result of a single response."""


def reason_for_status(code: int, retry_after: bool = False) -> Reason:
    """Return the reason for a status code other than 200 and 404.

    Glance sends 413 for an exceeded quota, and a gateway may send it for too many requests. Only
    with Retry-After it means too many requests.
    """
    if code == 413 and retry_after:
        return "rate_limited"
    reason = REASON_OF_CODE.get(code)
    if reason:
        return reason
    return "server_error" if 500 <= code <= 599 else "rejected"
