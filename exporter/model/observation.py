"""State of one target according to its polls."""

from collections.abc import Set
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from math import inf

from exporter.model.changes import (
    NO_BASELINE,
    NO_CHANGE_COUNTS,
    NO_CHANGE_TIMES,
    Change,
    ChangeBaseline,
    ChangeCounts,
    ChangeTimes,
    find_changes,
)
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.outcome import Failed, Gone, GoneEvidence, Outcome


class Aspect(Enum):
    """A part of a target's state that some of its series are made of.

    The first four are parts of an observation. ``CHANGE_COUNTS`` includes the times of changes.
    ``TARGET`` is the configuration, and ``TIME`` the results of expectations that depend on the
    clock.
    """

    EXISTS = "exists"
    IMAGE = "image"
    POLL_SUCCESS = "poll_success"
    CHANGE_COUNTS = "change_counts"
    TARGET = "target"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Observation:
    """State of one target, from which its series are made.

    Attributes:
        exists: Existence at the last successful poll, None if unknown or expired.
        image: The image at the last successful poll, None if gone, unknown or expired.
        poll_success: Result of the last poll.
        failure: Failure of the last poll.
        request_id: Request ID of the last response.
        polled_at: Time of the last poll.
        last_success_at: Time of the last successful poll.
        last_success_request_id: Request ID of its response, which all values are from.
        changed_at: Time of the last poll that showed a change.
        last_changes: The changes at ``changed_at``.
        new_changes: The changes shown by the last poll.
        state_since: Time at which the current existence and status were first seen.
        valid_until: Monotonic time at which values expire. ``as_of`` then drops them.
        change_counts: Counters of the changes.
        change_times: Times of the last changes.
        change_baseline: State to compare the next response with.
        gone_evidence: Evidence for the image being gone, None if it is not, or if a response
            describes it as deleted.
        first_404_at: Unix time of the first response of that evidence.
    """

    exists: bool | None = None
    image: Image | None = None
    poll_success: bool = False
    failure: Failed | None = None
    request_id: str = ""
    polled_at: Instant | None = None
    last_success_at: Instant | None = None
    last_success_request_id: str = ""
    changed_at: Instant | None = None
    last_changes: tuple[Change, ...] = ()
    state_since: Instant | None = None
    valid_until: float = inf
    change_counts: ChangeCounts = NO_CHANGE_COUNTS
    change_times: ChangeTimes = NO_CHANGE_TIMES
    change_baseline: ChangeBaseline = NO_BASELINE
    new_changes: tuple[Change, ...] = ()
    gone_evidence: GoneEvidence | None = None
    first_404_at: float | None = None

    def with_outcome(
        self, outcome: Outcome, now: Instant, max_stale: float, clock_skew: float | None = None
    ) -> "Observation":
        """Return the observation after a poll that ended with ``outcome`` at ``now``.

        Values survive failures for ``max_stale`` seconds after the last successful poll.
        ``clock_skew`` is the number of seconds by which the service's clock is ahead of ours.
        """
        if isinstance(outcome, Failed):
            return replace(
                self,
                poll_success=False,
                failure=outcome,
                request_id=outcome.request_id,
                polled_at=now,
                state_since=self.state_since or now,
                new_changes=(),
            )
        if isinstance(outcome, Gone):
            observation = self._with_success(False, None, outcome.request_id, now, max_stale)
            return observation._with_evidence(self, outcome.evidence, now)
        # Keep the first of equal images, so that memory stays flat.
        previous = self.change_baseline.image
        image = previous if previous == outcome.image else outcome.image
        observation = self._with_success(
            image.exists, image, outcome.request_id, now, max_stale, corrects=outcome.corrects
        )
        if previous is not None or clock_skew is None:
            return observation
        since = observation.change_baseline._replace(since=now.wall + clock_skew)
        return replace(observation, change_baseline=since)

    def with_replaced_outcome(
        self, before: "Observation", outcome: Outcome, now: Instant, max_stale: float
    ) -> "Observation":
        """Return the observation after ``outcome`` replaced an untrustworthy one of the same poll.

        ``before`` is the observation from before that poll, and ``self`` is the exported one. The
        counters stay as exported: Prometheus would take a lower counter for a reset, and the same
        change must not be counted twice. The times of changes belong to the counters.
        """
        replaced = before.with_outcome(outcome, now, max_stale)
        baseline = self.change_baseline._replace(exists=before.change_baseline.exists)
        return replace(
            replaced,
            change_counts=self.change_counts,
            change_times=self.change_times,
            change_baseline=baseline,
        )

    def _with_success(
        self,
        exists: bool,
        image: Image | None,
        request_id: str,
        now: Instant,
        max_stale: float,
        *,
        corrects: bool = False,
    ) -> "Observation":
        changes = find_changes(self.change_baseline, exists, image, corrects=corrects)
        counts, times = self.change_counts, self.change_times
        if changes:
            counts, times = counts.with_changes(changes), times.with_changes(changes, now.wall)
        exported = image if image is None or image.exists else image.tombstone()
        is_same_state = self.exists is exists and _status(self.image) == _status(exported)
        return Observation(
            exists=exists,
            image=exported,
            poll_success=True,
            failure=None,
            request_id=request_id,
            polled_at=now,
            last_success_at=now,
            last_success_request_id=request_id,
            changed_at=now if changes else self.changed_at,
            last_changes=changes or self.last_changes,
            state_since=self.state_since if is_same_state else now,
            valid_until=inf if exported is None else now.monotonic + max_stale,
            change_counts=counts,
            change_times=times,
            change_baseline=self.change_baseline.updated(exists, image),
            new_changes=changes,
        )

    def _with_evidence(
        self, before: "Observation", evidence: GoneEvidence | None, now: Instant
    ) -> "Observation":
        """Return the observation of an image that is gone, with the evidence for it."""
        if evidence is None:
            earlier = before.gone_evidence
            return replace(self, gone_evidence=earlier, first_404_at=before.first_404_at)
        age = now.monotonic - evidence.first_404_at
        return replace(self, gone_evidence=evidence, first_404_at=now.wall - age)

    def as_of(self, now: Instant) -> "Observation":
        """Return the observation at ``now``: values expire at ``valid_until``.

        ``exists`` expires with the values if it is True. A False, which was proved,
        ``poll_success`` and all counters never expire.
        """
        if now.monotonic <= self.valid_until:
            return self
        exists, image = self.values_as_of(now)
        if exists is False:
            return replace(self, image=image, valid_until=inf)
        # valid_until is finite only after a first success, so the subtraction is safe.
        age = now.monotonic - self.valid_until
        expired_at = Instant(self.valid_until, now.wall - age)
        return replace(self, exists=exists, image=image, state_since=expired_at, valid_until=inf)

    def values_as_of(self, now: Instant) -> tuple[bool | None, Image | None]:
        """Return existence and image at ``now``, as in ``as_of``."""
        if now.monotonic <= self.valid_until:
            return self.exists, self.image
        return (False if self.exists is False else None), None

    def changed_aspects(self, before: "Observation", rendered_at: float) -> Set[Aspect]:
        """Return the parts whose series differ from those of ``before`` at a monotonic time.

        Values that had expired then are valid again after a poll that has found the same.
        """
        are_valid_again = before.valid_until < rendered_at <= self.valid_until
        return _aspects(
            are_valid_again or self.exists is not before.exists,
            are_valid_again or _differ(self.image, before.image),
            self.poll_success is not before.poll_success,
            _differ(self.change_counts, before.change_counts)
            or _differ(self.change_times, before.change_times),
        )


NO_ASPECTS: Set[Aspect] = frozenset()
"""The aspects in which equal observations differ."""

ALL_ASPECTS: Set[Aspect] = frozenset(Aspect)
"""The aspects of a new target."""


@cache
def union(some: Set[Aspect], others: Set[Aspect]) -> Set[Aspect]:
    """Return the aspects in either set, in one set for all targets with the same ones."""
    return frozenset(some | others)


@cache
def _aspects(exists: bool, image: bool, poll_success: bool, change_counts: bool) -> Set[Aspect]:
    """Return the aspects that differ, in one set for all targets with the same ones."""
    differences = {
        Aspect.EXISTS: exists,
        Aspect.IMAGE: image,
        Aspect.POLL_SUCCESS: poll_success,
        Aspect.CHANGE_COUNTS: change_counts,
    }
    return frozenset(aspect for aspect, differs in differences.items() if differs)


def _differ(one: object, other: object) -> bool:
    """Return True if two objects, which are mostly the same one, are not equal."""
    return one is not other and one != other


def _status(image: Image | None) -> str | None:
    return None if image is None else image.status


NEVER_POLLED = Observation()
"""The observation of a target before its first poll."""
