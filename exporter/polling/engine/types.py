"""Values that a poll cycle exchanges with its executor, with the poller and with later cycles."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf
from typing import NamedTuple, TypeVar

from exporter.model.image import Image
from exporter.model.observation import Observation
from exporter.model.outcome import Failed, GoneEvidence, Reason
from exporter.model.replies import (
    BatchReply,
    ImageReply,
    ListReply,
    PollReply,
    ProbeReply,
    RequestFacts,
)
from exporter.model.target import Target
from exporter.polling.engine.contradictions import ContradictionMemory

CLOCK_MARGIN = 60.0
"""Seconds by which the clocks of a service may differ, after the correction by ``Date``."""

Value = TypeVar("Value")

Group = tuple[Target, ...]
"""Targets that are requested together: several by one list, a single one by itself."""


class RequestKind(Enum):
    """The purpose of a request."""

    POLL = "poll"
    """Request one image, for its outcome."""

    BATCH = "batch"
    """Request several images by one list."""

    RECHECK = "recheck"
    """Request an image again after a doubtful answer, on a fresh connection."""

    PROBE = "probe"
    """Request a control, the image in doubt, and the control again, on one fresh connection."""

    LIST = "list"
    """Request the list of images, to learn whether the API responds to these credentials."""


class PollRequest(NamedTuple):
    """A request for its targets: one target, several for a batch, or no target for the list.

    Attributes:
        number: Identifies the request within its cycle, from the time it is in flight.
        attempt: Number of earlier attempts.
        failure: Failure of the previous attempt, or of the list that this request replaces in part.
        second_list: A batch requests its second list, for images that its first list left out.
        page: Path of a further page of a batch.
        page_number: 0 for the first page of a batch.
        deferred: Targets that are requested once this request has its reply.
        fresh: A batch is requested on a fresh connection, because its list was 404.
        control: ID of the image that is the control of a probe, or None for a list of images.
    """

    kind: RequestKind
    targets: tuple[Target, ...] = ()
    attempt: int = 0
    failure: Failed | None = None
    second_list: bool = False
    page: str | None = None
    page_number: int = 0
    deferred: tuple[Target, ...] = ()
    fresh: bool = False
    control: str | None = None
    number: int = 0

    @property
    def targets_to_fail(self) -> tuple[Target, ...]:
        """Return the targets whose polls fail if this request fails and is not retried."""
        if self.kind in {RequestKind.POLL, RequestKind.BATCH}:
            return (*self.targets, *self.deferred)
        return self.deferred


def failed_reply(request: PollRequest, failed: Failed, facts: RequestFacts) -> PollReply:
    """Return a failure as the reply to a request, in the type that belongs to its kind."""
    match request.kind:
        case RequestKind.BATCH:
            return BatchReply(facts, failed)
        case RequestKind.LIST:
            return ListReply(facts, failed)
        case RequestKind.PROBE:
            return ProbeReply(facts, failed)
        case RequestKind.POLL | RequestKind.RECHECK:
            return ImageReply(facts, failed)


class Wait(NamedTuple):
    """There is nothing to send before ``until``, unless a reply changes that."""

    until: float


class Done(NamedTuple):
    """Every target has its outcome."""


class Suspicion(NamedTuple):
    """Evidence about an image that is 404, to be continued in the next cycle.

    Attributes:
        evidence: All 404s since the image was last found.
        rechecks: 404s of rechecks that still count in the next cycle.
        probes: Conclusive probes that still count in the next cycle.
        run: Number of 404s in a row in the last cycle.
        is_complete: The evidence was complete, and the next cycle has to find the same.
        is_unconfirmed: The last cycle came to no conclusion, although it had the time.
        shared: Conclusive probes of all suspects that count while they share their evidence.
    """

    evidence: GoneEvidence
    rechecks: int
    probes: int
    run: int
    is_complete: bool
    is_unconfirmed: bool = False
    shared: int = 0


CODE_OF_REFUSAL: Mapping[Reason, str] = {"unauthorized": "401", "unconfirmed": "404"}
"""Status codes of refused lists whose detail says something else."""


class ListExperience(NamedTuple):
    """Experience with the lists of one cycle; lengths are bytes of IDs, with a comma each.

    Attributes:
        longest: Length of the longest list that worked, or 0.
        shortest_failed: Length of the shortest list that failed.
        refused_with: How lists were refused while images were found, or an empty string.
        shortest_accident: Length of the shortest list whose failure may have been an accident.
    """

    longest: int = 0
    shortest_failed: float = inf
    refused_with: str = ""
    shortest_accident: float = inf

    @property
    def max_id_bytes(self) -> int | None:
        """Length that works, if longer lists fail. None if an image may be the cause."""
        is_length_to_blame = 0 < self.longest < self.shortest_failed < inf
        return self.longest if is_length_to_blame else None

    def with_list(self, length: int) -> "ListExperience":
        """Return the experience after a list that worked."""
        return self._replace(longest=max(self.longest, length))

    def with_failed_list(
        self, length: int, *, is_lasting: bool, before: "ListExperience"
    ) -> "ListExperience":
        """Return the experience after a list that failed.

        A failure that is not ``is_lasting`` may be an accident, unless the cycle ``before`` had one
        of the same kind.
        """
        if is_lasting or length >= before.shortest_accident:
            return self._replace(shortest_failed=min(self.shortest_failed, length))
        return self._replace(shortest_accident=min(self.shortest_accident, length))

    def with_refusal(self, failed: Failed) -> "ListExperience":
        """Return the experience after lists were refused."""
        how = failed.detail.removeprefix("HTTP ") or failed.reason
        return self._replace(refused_with=CODE_OF_REFUSAL.get(failed.reason, how))


NO_EXPERIENCE = ListExperience()


class Repetition(NamedTuple):
    """An older or late response that a cycle had no time to confirm, to be continued in the next.

    Attributes:
        image: The image as the last of the responses describes it.
        responses: Number of equal responses that still count.
    """

    image: Image
    responses: int


@dataclass(frozen=True, slots=True)
class CycleHistory:
    """Results of earlier cycles that the next cycle depends on.

    Attributes:
        seen: Each image as it was last described, by ID.
        seen_since: Unix time of the first answer about an image by the service's clock, by ID.
        existing: IDs of the images that existed according to their last response.
        gone: IDs of the images that were gone according to their last response.
        gone_since: Monotonic time of the first 404 that proved an image to be gone, by ID.
        immediate: IDs of the targets to poll at the start of the cycle instead of later in the
            interval: new targets, targets that no discovery rule matches any more, and all targets
            in the first cycle of a poller.
        breaker_open: The circuit breaker was open at the end of the last cycle.
        probe_count: Number of cycles in a row that ended with an open circuit breaker.
        mass_404_suspected: Several existing images were 404 in the last cycle, and none was found.
        wait_until: Monotonic time until which no request may be sent (Retry-After).
        service_clock: Seconds to add to a monotonic time for the Unix time by the service's clock,
            None if unknown.
        unavailable: ``wait_until`` was set by a service that is not available, not by a rate limit.
        suspicions: The images that were 404 in the last cycle without a proof, by ID.
        older_once: IDs of the images whose older answer was confirmed once, in the last cycle.
        older_repeated: Older and late responses that there was no time to confirm, by image ID.
        listed: The images that lists of batches had, by ID; true if it was a second list.
        contradictions: Contradictions that are remembered.
        lists: What the lists of the last cycle have shown.
        any_found: A watched image was found at this endpoint, in this project, so they are the
            right ones.
    """

    seen: Mapping[str, Image] = field(default_factory=dict)
    seen_since: Mapping[str, float] = field(default_factory=dict)
    existing: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    gone_since: Mapping[str, float] = field(default_factory=dict)
    immediate: frozenset[str] = frozenset()
    breaker_open: bool = False
    probe_count: int = 0
    mass_404_suspected: bool = False
    wait_until: float = -inf
    service_clock: float | None = None
    unavailable: bool = False
    suspicions: Mapping[str, Suspicion] = field(default_factory=dict)
    older_once: frozenset[str] = frozenset()
    older_repeated: Mapping[str, Repetition] = field(default_factory=dict)
    listed: Mapping[str, bool] = field(default_factory=dict)
    contradictions: ContradictionMemory = field(default_factory=ContradictionMemory)
    lists: ListExperience = NO_EXPERIENCE
    any_found: bool = False

    def is_older(self, image: Image) -> bool:
        """Return True if an answer is older than the last one that was believed.

        An image that is gone and is found as it was before its deletion is older, too. It is not if
        it has changed since its first 404.
        """
        seen, is_gone = self.seen.get(image.id), image.id in self.gone and image.exists
        if seen is None:
            return is_gone and not self._has_changed_since_gone(image)
        created, updated = _whole(image.created_at), _whole(image.updated_at)
        if updated is None or seen.updated_at is None:
            return False
        if created != _whole(seen.created_at):
            # An ID may be used again, but not for an image that was created earlier.
            return (image.created_at or inf) < (seen.created_at or -inf)
        if is_gone:
            return updated <= int(seen.updated_at)
        return updated < int(seen.updated_at)

    def is_late(self, image: Image) -> bool:
        """Return True if an answer is newer than the last one, but older than the first poll.

        The answers until now should have shown this state, so perhaps they came from a stale
        replica.
        """
        seen = self.seen.get(image.id)
        since = self.seen_since.get(image.id, -inf) - CLOCK_MARGIN
        if seen is None or _whole(seen.created_at) != _whole(image.created_at):
            return False
        if seen.updated_at is None or image.updated_at is None:
            return False
        return int(seen.updated_at) < int(image.updated_at) < since

    def is_news(self, image: Image, since: float) -> bool:
        """Return True if an image may be new since a monotonic time.

        A 404 at that time is then no contradiction. Without times, an image that was never seen may
        be new.
        """
        if self.service_clock is None or _changed_at(image) == -inf:
            return image.id not in self.existing
        return self.has_changed_since(image, since)

    def has_changed_since(self, image: Image, since: float) -> bool:
        """Return True if an image was created or updated after a monotonic time."""
        clock = self.service_clock
        return clock is not None and _changed_at(image) > since + clock - CLOCK_MARGIN

    def without_doubts(self) -> "CycleHistory":
        """Return the history for another version of the API, whose responses are not comparable."""
        return replace(
            self,
            mass_404_suspected=False,
            suspicions={},
            older_once=frozenset(),
            older_repeated={},
            listed={},
        )

    def in_another_scope(self, *, is_endpoint_other: bool) -> "CycleHistory":
        """Return the history for another endpoint, or for a token of perhaps another project."""
        history = self.without_doubts() if is_endpoint_other else self
        return replace(history, any_found=False)

    def without_doubts_about(
        self, image_ids: frozenset[str], *, is_any_found: bool
    ) -> "CycleHistory":
        """Return the history after later polls of these images have succeeded.

        ``is_any_found`` is true if they found an image that existed before.
        """
        return replace(
            self,
            mass_404_suspected=self.mass_404_suspected and not is_any_found,
            suspicions=_without(self.suspicions, image_ids),
            older_once=self.older_once - image_ids,
            older_repeated=_without(self.older_repeated, image_ids),
        )

    def _has_changed_since_gone(self, image: Image) -> bool:
        """Return True if an image that is gone was created or updated after its first 404."""
        gone_since = self.gone_since.get(image.id)
        if gone_since is None or self.service_clock is None:
            return False
        return self.is_news(image, gone_since)

    def with_observations(
        self, observations: Mapping[str, Observation], immediate: frozenset[str]
    ) -> "CycleHistory":
        """Return the history with the last state of each image, by ID."""
        seen: dict[str, Image] = {}
        seen_since: dict[str, float] = {}
        gone_since: dict[str, float] = {}
        existing, gone = set(), set()
        for image_id, observation in observations.items():
            baseline = observation.change_baseline
            if baseline.image is not None:
                seen[image_id] = baseline.image
            if baseline.since is not None:
                seen_since[image_id] = baseline.since
            if baseline.exists:
                existing.add(image_id)
            elif baseline.exists is False:
                gone.add(image_id)
            if observation.gone_evidence is not None:
                gone_since[image_id] = observation.gone_evidence.first_404_at
        return replace(
            self,
            seen=seen,
            seen_since=seen_since,
            existing=frozenset(existing),
            gone=frozenset(gone),
            gone_since=gone_since,
            immediate=immediate,
        )


def _changed_at(image: Image) -> float:
    return max(image.created_at or -inf, image.updated_at or -inf)


def _without(by_id: Mapping[str, Value], image_ids: frozenset[str]) -> Mapping[str, Value]:
    return {image_id: value for image_id, value in by_id.items() if image_id not in image_ids}


def _whole(seconds: float | None) -> int | None:
    """Return whole seconds: v1 has fractions of them, and v2 has none."""
    return None if seconds is None else int(seconds)


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
        busy_seconds: Total duration of the requests. A list counts ``BATCH_WEIGHT`` times.
        retry_after_seconds: Time for which Retry-After forbade requests.
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
