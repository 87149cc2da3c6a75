"""What is said in the log of one cloud: a line per change, none for what stays as it is."""

import logging

from exporter.image.cloud import CloudState
from exporter.image.observation import Observation
from exporter.image.target import Target
from exporter.polling.tally import Tally

log = logging.getLogger(__name__)

MOST_FLIPS = 20
"""Lines per cycle about single polls that began or ceased to fail; an outage is one line."""

NOT_ASKED = "not_polled"

ALARMING = frozenset({"existence", "content", "public", "protected"})


class Journal:
    """Writes the log lines of one cloud."""

    def __init__(self, cloud: str) -> None:
        self._cloud = cloud
        self._flips = 0
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
            log.warning("Retry-After is too long or unreadable", extra={"fields": fields})

    def note(self, target: Target, before: Observation, after: Observation) -> None:
        """One image went from one observation to the next."""
        about: dict[str, object] = {
            "cloud": target.cloud,
            "image": target.alias,
            "image_id": target.image_id,
        }
        if after.request_id:
            about["request_id"] = after.request_id
        for change in after.latest:
            level = logging.WARNING if change.what in ALARMING else logging.INFO
            fields = about | {"what": change.what, "old": change.old, "new": change.new}
            log.log(level, "image changed", extra={"fields": fields})
        was, is_now = (seen.failure.reason if seen.failure else "" for seen in (before, after))
        # Not to be asked is the cloud's trouble, or the pace's, each of which has its own line.
        if was == is_now or NOT_ASKED in {was, is_now}:
            return
        self._flips += 1
        if self._flips > MOST_FLIPS:
            return
        if after.failure is None:
            log.info("poll succeeds again", extra={"fields": about | {"after": was}})
        else:
            fields = about | {"reason": is_now, "detail": after.failure.detail}
            log.warning("poll failed", extra={"fields": fields})

    def end(self, before: CloudState, after: CloudState, tally: Tally) -> None:
        """A cycle ended."""
        about: dict[str, object] = {"cloud": self._cloud}
        if self._flips > MOST_FLIPS:
            more = self._flips - MOST_FLIPS
            log.warning(
                "more polls fail or succeed again", extra={"fields": about | {"more": more}}
            )
        summary = about | {
            "polls": tally.polls,
            "failed": tally.failures.total(),
            "seconds": round(after.last_cycle_duration or 0.0, 3),
        }
        if before.api_up is None:
            log.info("first cycle finished", extra={"fields": summary})
        if after.api_up != before.api_up and not (before.api_up is None and after.api_up):
            level = logging.INFO if after.api_up else logging.ERROR
            message = "the API answers again" if after.api_up else "the API does not answer"
            fields = summary | {"reasons": ",".join(sorted(tally.failures))}
            log.log(level, message, extra={"fields": fields})
        if after.mass_disappearance and not before.mass_disappearance:
            log.error(
                "all images of the cloud are gone: role, project, region or policy?",
                extra={"fields": about},
            )
        log.debug("cycle finished", extra={"fields": summary})

    def too_slow(self, tally: Tally, concurrency: int, needed: int) -> None:
        """Some images were not asked for lack of time; says what would have been enough."""
        fields: dict[str, object] = {
            "cloud": self._cloud,
            "not_polled": tally.failures["not_polled"],
            "concurrency": concurrency,
            "concurrency_needed": needed,
        }
        log.warning("not every image could be polled in time", extra={"fields": fields})
