"""All that is known of one target at one time."""

from dataclasses import dataclass, replace
from math import inf

from exporter.model.changes import (
    NO_BASELINE,
    NO_CHANGE_COUNTS,
    Change,
    ChangeBaseline,
    ChangeCounts,
    changes,
)
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.outcome import Failed, Gone, Outcome


@dataclass(frozen=True, slots=True)
class Observation:
    """What the series of one target are made from.

    ``exists`` and ``image`` are as last answered; ``poll_success`` tells of the last poll only.
    ``answered_at`` and ``changed_at`` say when the last answer and the last change came,
    ``changed`` what that was, and ``since`` when the state (existence and status) was first seen.
    ``valid_until`` (steady seconds) is the next moment at which time alone changes the series:
    whoever shows an observation asks for ``at(now)`` then.
    """

    exists: bool | None = None
    image: Image | None = None
    poll_success: bool = False
    failure: Failed | None = None
    request_id: str = ""
    polled_at: Instant | None = None
    last_success_at: Instant | None = None
    changed_at: Instant | None = None
    last_changes: tuple[Change, ...] = ()
    state_since: Instant | None = None
    valid_until: float = inf
    change_counts: ChangeCounts = NO_CHANGE_COUNTS
    change_baseline: ChangeBaseline = NO_BASELINE
    new_changes: tuple[Change, ...] = ()

    def with_outcome(self, outcome: Outcome, now: Instant, max_stale: float) -> "Observation":
        """The observation that follows when a poll ends as ``outcome`` at ``now``.

        Values are kept through failures for ``max_stale`` seconds from ``now`` on, if this was an
        answer, else from the last one.
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
            return self._answered(False, None, outcome.request_id, now, max_stale)
        # An equal image is the same image: keeping the first keeps memory flat.
        known = self.change_baseline.image
        image = outcome.image if known is None or known != outcome.image else known
        return self._answered(image.exists, image, outcome.request_id, now, max_stale)

    def with_replaced_outcome(
        self, before: "Observation", outcome: Outcome, now: Instant, max_stale: float
    ) -> "Observation":
        """Return the observation after ``outcome`` replaced an untrustworthy one of the same poll.

        ``before`` is the observation from before that poll, and ``self`` the one that has been
        exported since. The counters stay as exported: they must neither fall, which Prometheus
        would take for a reset, nor count the same change a second time.
        """
        replaced = before.with_outcome(outcome, now, max_stale)
        baseline = self.change_baseline._replace(exists=before.change_baseline.exists)
        return replace(replaced, change_counts=self.change_counts, change_baseline=baseline)

    def _answered(
        self, exists: bool, image: Image | None, request_id: str, now: Instant, max_stale: float
    ) -> "Observation":
        news = changes(self.change_baseline, exists, image)
        shown = image if image is None or image.exists else image.tombstone()
        is_same = self.exists is exists and _status(self.image) == _status(shown)
        return Observation(
            exists=exists,
            image=shown,
            poll_success=True,
            failure=None,
            request_id=request_id,
            polled_at=now,
            last_success_at=now,
            changed_at=now if news else self.changed_at,
            last_changes=news or self.last_changes,
            state_since=self.state_since if is_same else now,
            valid_until=inf if shown is None else now.monotonic + max_stale,
            change_counts=self.change_counts.with_changes(news) if news else self.change_counts,
            change_baseline=self.change_baseline.updated(exists, image),
            new_changes=news,
        )

    def as_of(self, now: Instant) -> "Observation":
        """What is shown at ``now``: past ``valid_until`` the values are dropped.

        ``exists`` goes with them when it was 1. A proved 0, ``poll_success`` and all counters
        stay.
        """
        if now.monotonic <= self.valid_until:
            return self
        if self.exists is False:
            return replace(self, image=None, valid_until=inf)
        # Values have a time after which they are dropped only once there was an answer.
        age = now.monotonic - self.valid_until
        dropped = Instant(self.valid_until, now.wall - age)
        return replace(self, exists=None, image=None, state_since=dropped, valid_until=inf)

    def renders_same_as(self, other: "Observation") -> bool:
        """Whether both give the same series while the values of neither are past their time."""
        return (
            self.exists is other.exists
            and self.poll_success is other.poll_success
            and (self.image is other.image or self.image == other.image)
            and (
                self.change_counts is other.change_counts
                or self.change_counts == other.change_counts
            )
        )


def _status(image: Image | None) -> str | None:
    return None if image is None else image.status


NEVER_POLLED = Observation()
"""What is known of a target that was never polled."""
