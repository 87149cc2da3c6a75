"""What is said in the log of one cloud: a line per change, none for what stays as it is."""

import logging

from exporter.model.cloud import CloudState
from exporter.model.observation import Observation
from exporter.model.target import Target, TargetKey
from exporter.polling.engine.types import CycleStats

log = logging.getLogger(__name__)

MOST_FLIPS = 20
"""Lines per cycle about single polls that began or ceased to fail; an outage is one line."""

NOT_ASKED = "not_polled"

ALARMING = frozenset({"existence", "content", "public", "protected"})


class CloudEventLog:
    """Writes the log lines of one cloud."""

    def __init__(self, cloud: str) -> None:
        self._cloud = cloud
        self._flips = 0
        self._too_slow = False
        self._failing: dict[TargetKey, str] = {}
        self._told = False

    def begin(self) -> None:
        """A cycle begins."""
        self._flips = 0
        self._told = False

    def capped(self, wait: float) -> None:
        """The service asked for a wait that was not taken as told; said once in a cycle."""
        if not self._told:
            self._told = True
            fields = {"cloud": self._cloud, "waits": wait}
            log.warning("Retry-After is too long, negative or unreadable", extra={"fields": fields})

    def note(self, target: Target, after: Observation) -> None:
        """What is known of one image is ``after`` from now on."""
        about: dict[str, object] = {
            "cloud": target.cloud,
            "image": target.alias,
            "image_id": target.image_id,
        }
        if after.request_id:
            about["request_id"] = after.request_id
        for change in after.new_changes:
            level = logging.WARNING if change.what in ALARMING else logging.INFO
            fields = about | {"what": change.what, "old": change.old, "new": change.new}
            log.log(level, "image changed", extra={"fields": fields})
        was = self._failing.get(target.key, "")
        is_now = after.failure.reason if after.failure else ""
        # Not to be asked is the cloud's trouble, or the pace's, each of which has its own line.
        if is_now in {was, NOT_ASKED}:
            return
        if is_now:
            self._failing[target.key] = is_now
        else:
            del self._failing[target.key]
        self._flips += 1
        if self._flips > MOST_FLIPS:
            return
        if after.failure is None:
            log.info("poll succeeds again", extra={"fields": about | {"after": was}})
        else:
            fields = about | {"reason": is_now, "detail": after.failure.detail}
            log.warning("poll failed", extra={"fields": fields})

    def end(self, before: CloudState, after: CloudState, stats: CycleStats) -> None:
        """A cycle ended."""
        about: dict[str, object] = {"cloud": self._cloud}
        if self._flips > MOST_FLIPS:
            more = self._flips - MOST_FLIPS
            log.warning(
                "more polls fail or succeed again", extra={"fields": about | {"more": more}}
            )
        summary = about | {
            "polls": stats.polls,
            "failed": stats.failures.total(),
            "seconds": round(after.last_cycle_duration or 0.0, 3),
        }
        if before.api_up is None:
            log.info("first cycle finished", extra={"fields": summary})
        if after.api_up != before.api_up and not (before.api_up is None and after.api_up):
            level = logging.INFO if after.api_up else logging.ERROR
            message = "the API answers again" if after.api_up else "the API does not answer"
            fields = summary | {"reasons": ",".join(sorted(stats.failures))}
            log.log(level, message, extra={"fields": fields})
        if after.mass_disappearance and not before.mass_disappearance:
            log.error(
                "all images of the cloud are gone: role, project, region or policy?",
                extra={"fields": about},
            )
        if not stats.failures["not_polled"]:
            self._too_slow = False
        log.debug("cycle finished", extra={"fields": summary})

    def too_slow(
        self,
        not_polled: int,
        *,
        concurrency: int,
        concurrency_needed: float | None,
        rate_needed: float,
    ) -> None:
        """Some images were not asked for lack of time; says once what would be enough."""
        if self._too_slow:
            return
        self._too_slow = True
        fields: dict[str, object] = {
            "cloud": self._cloud,
            "not_polled": not_polled,
            "concurrency": concurrency,
            "concurrency_needed": concurrency_needed,
            "rate_needed": round(rate_needed, 1),
        }
        log.warning("not every image could be polled in time", extra={"fields": fields})
