"""Kinds of failed lists, and the reaction to each of them."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from exporter.model.outcome import Failed, Reason


class BatchFailure(Enum):
    """Kinds of failed lists that need different reactions."""

    REFUSED = auto()
    """The server refused the list or sent one that cannot be read; a shorter one may work."""

    SERVER_ERROR = auto()
    """A 5xx, while another request of this cycle succeeded: one image may cause it."""

    UNCLEAR_SERVER_ERROR = auto()
    """A 5xx, and no request of this cycle succeeded: the whole API may be down."""

    DENIED = auto()
    """The list alone may be forbidden, or too long for a gateway, or the API denies everything."""

    NO_RESPONSE = auto()
    """The server may hang up on a list that is too long, or the whole API may be down."""

    OTHER = auto()
    """An open circuit breaker, a rate limit or a failed sign-in: a shorter list would fail too."""


class Fallback(Enum):
    """Reaction to a list that failed and is not sent again."""

    SPLIT = auto()
    """Request the images by shorter lists, or one by one."""

    CHECK_API = auto()
    """Request the list of all images; split if that succeeds, else fail."""

    NARROW = auto()
    """Request a shorter list, or one image, and the other images depending on the result."""

    FAIL = auto()
    """Fail the polls of all images of the list."""


class FailureStrategy(NamedTuple):
    """Reaction to a failed list: send it again if possible, then fall back."""

    retry: bool
    fallback: Fallback


STRATEGIES: Mapping[BatchFailure, FailureStrategy] = {
    BatchFailure.REFUSED: FailureStrategy(retry=False, fallback=Fallback.SPLIT),
    BatchFailure.SERVER_ERROR: FailureStrategy(retry=False, fallback=Fallback.SPLIT),
    BatchFailure.UNCLEAR_SERVER_ERROR: FailureStrategy(retry=True, fallback=Fallback.CHECK_API),
    BatchFailure.DENIED: FailureStrategy(retry=False, fallback=Fallback.NARROW),
    BatchFailure.NO_RESPONSE: FailureStrategy(retry=True, fallback=Fallback.NARROW),
    BatchFailure.OTHER: FailureStrategy(retry=True, fallback=Fallback.FAIL),
}
"""The reaction to each kind of failure."""

KIND_OF_REASON: Mapping[Reason, BatchFailure] = {
    "unconfirmed": BatchFailure.DENIED,
    "unauthorized": BatchFailure.DENIED,
    "forbidden": BatchFailure.DENIED,
    "api_version": BatchFailure.DENIED,
    "rejected": BatchFailure.DENIED,
    "timeout": BatchFailure.NO_RESPONSE,
    "connection": BatchFailure.NO_RESPONSE,
}
"""Failures that may concern lists alone."""


def classify(
    failed: Failed, *, splittable: bool, api_responds: bool, is_hopeless: bool
) -> BatchFailure:
    """Return the kind of a failure.

    ``api_responds``: a request of this cycle succeeded. ``is_hopeless``: the circuit breaker is
    open, or Keystone failed. (A refused token is no such failure: the list may have been 401.)
    """
    if splittable:
        return BatchFailure.REFUSED
    if is_hopeless:
        return BatchFailure.OTHER
    if failed.reason == "server_error":
        return BatchFailure.SERVER_ERROR if api_responds else BatchFailure.UNCLEAR_SERVER_ERROR
    return KIND_OF_REASON.get(failed.reason, BatchFailure.OTHER)


LASTING = frozenset({BatchFailure.REFUSED, BatchFailure.DENIED})
"""Failures that are no accident: a single one shows that lists may be too long."""


def is_unanswered(failed: Failed | None) -> bool:
    """Return True if a list had no response: too many of them would open the circuit breaker."""
    return failed is not None and KIND_OF_REASON.get(failed.reason) is BatchFailure.NO_RESPONSE
