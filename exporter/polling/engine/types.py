"""Values that a poll cycle exchanges with its executor, with the poller and with later cycles."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import NamedTuple

from exporter.model.outcome import Failed, Reason
from exporter.model.replies import BatchReply, ImageReply, ListReply, PollReply, RequestFacts
from exporter.model.target import Target

Group = tuple[Target, ...]
"""Targets that are requested together: several by one list, a single one by itself."""


class RequestKind(Enum):
    """The purpose of a request."""

    POLL = "poll"
    """Request one image, for its outcome."""

    BATCH = "batch"
    """Request several images by one list."""

    CONFIRM = "confirm"
    """Request an image that was 404 again, on a fresh connection."""

    CANARY = "canary"
    """Request another existing image early, to distinguish one deleted image from a lost cloud."""

    LIST = "list"
    """Request the list of images, to learn whether the API responds to these credentials."""


class PollRequest(NamedTuple):
    """A request for these targets: one, several for a batch, none for the list.

    Attributes:
        number: Identifies the request within its cycle, from the time it is in flight.
        attempt: Number of earlier attempts.
        failure: How the previous attempt, or the list that this request is a part of, failed.
        hidden: A batch lists either hidden images or those that are not hidden.
        page: Path of a further page of a batch.
        page_number: 0 for the first page of a batch.
        deferred: Targets that are requested once this request has its reply.
    """

    kind: RequestKind
    targets: tuple[Target, ...] = ()
    attempt: int = 0
    failure: Failed | None = None
    hidden: bool = False
    page: str | None = None
    page_number: int = 0
    deferred: tuple[Target, ...] = ()
    number: int = 0

    @property
    def targets_to_fail(self) -> tuple[Target, ...]:
        """Return the targets whose polls fail if this request fails for good."""
        if self.kind in {RequestKind.POLL, RequestKind.BATCH}:
            return (*self.targets, *self.deferred)
        return self.deferred


def failed_reply(request: PollRequest, failed: Failed, facts: RequestFacts) -> PollReply:
    """Return the reply to a request that failed, of the type that its kind has."""
    match request.kind:
        case RequestKind.BATCH:
            return BatchReply(facts, failed)
        case RequestKind.LIST:
            return ListReply(facts, failed)
        case RequestKind.POLL | RequestKind.CONFIRM | RequestKind.CANARY:
            return ImageReply(facts, failed)


class Wait(NamedTuple):
    """There is nothing to send before ``until``, unless a reply changes that."""

    until: float


class Done(NamedTuple):
    """Every target has its outcome."""


@dataclass(frozen=True, slots=True)
class CycleHistory:
    """Results of earlier cycles that the next cycle depends on.

    Attributes:
        existing: IDs of the images that existed according to their last response.
        gone: IDs of the images that were gone according to their last response.
        immediate: IDs of the targets to poll at the start of the cycle instead of at their place
            in the interval: those never polled, and those that discovery no longer matches.
        breaker_open: The circuit breaker was open at the end of the last cycle.
        probe_count: Number of cycles in a row that ended with an open circuit breaker.
        mass_404_suspected: Several existing images were 404 in the last cycle, and none was found.
        wait_until: Monotonic time until which no request may be sent (Retry-After).
    """

    existing: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    immediate: frozenset[str] = frozenset()
    breaker_open: bool = False
    probe_count: int = 0
    mass_404_suspected: bool = False
    wait_until: float = -inf


@dataclass(slots=True)
class CycleStats:
    """Counters of one cycle.

    Attributes:
        failures: Number of failed polls by reason.
        polls: Number of targets that have an outcome.
        retries: Number of requests that were sent again after a transient failure.
        accepted: The Image service itself responded and accepted the credentials.
        found: Number of images that were found.
        requests: Number of requests that have a reply.
        in_flight_at_end: Number of requests without a reply when the cycle's time was over.
        busy_seconds: Total time of the requests; a list counts as several requests.
        retry_after_seconds: Time for which the service asked to send no requests.
    """

    failures: Counter[Reason] = field(default_factory=Counter)
    polls: int = 0
    retries: int = 0
    accepted: bool = False
    found: int = 0
    requests: int = 0
    in_flight_at_end: int = 0
    busy_seconds: float = 0.0
    retry_after_seconds: float = 0.0
