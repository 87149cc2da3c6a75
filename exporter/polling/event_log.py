"""Log lines about one cloud: one line for each change, and no lines while nothing changes."""

import logging
from collections.abc import Sequence

from exporter.model.cloud import CloudState
from exporter.model.contradiction import Contradiction
from exporter.model.observation import Observation
from exporter.model.outcome import Failed, GoneEvidence, Reason
from exporter.model.target import Target, TargetKey
from exporter.polling.engine.types import CycleStats
from exporter.polling.failure_tracker import Cause, FailureTracker

log = logging.getLogger(__name__)

MAX_TRANSITIONS = 20
"""Lines per cycle about single polls that started or stopped failing, so that an outage of the API
does not flood the log."""

NOT_POLLED: Reason = "not_polled"
"""Logged once per cloud, not per image: the cause is an outage, a wait, or too short a cycle."""

ALARMING = frozenset({"existence", "content", "public", "protected"})
"""Changes of an image that are logged as warnings."""


class CloudEventLog:
    """Writes the log lines of one cloud."""

    def __init__(self, cloud: str) -> None:
        self._cloud = cloud
        self._transitions = 0
        self._failing: dict[TargetKey, FailureTracker] = {}
        self._authentication = FailureTracker()
        self._too_slow_logged = False
        self._retry_after_logged = False
        self._contradiction_logged = False

    def cycle_started(self) -> None:
        """Reset the limits that apply to one cycle."""
        self._transitions = 0
        self._retry_after_logged = False
        self._contradiction_logged = False

    def retry_after_capped(self, wait: float) -> None:
        """Log, once per cycle, that a Retry-After was not usable and was replaced by ``wait``."""
        if self._retry_after_logged:
            return
        self._retry_after_logged = True
        fields = {"cloud": self._cloud, "waits": wait}
        log.warning("Retry-After is too long, negative or unreadable", extra={"fields": fields})

    def contradicted(self, contradictions: Sequence[Contradiction]) -> None:
        """Log the first contradiction of a cycle; the metric counts all of them."""
        if self._contradiction_logged:
            return
        self._contradiction_logged = True
        first = contradictions[0]
        fields = {
            "cloud": self._cloud,
            "image_id": first.image_id,
            "what": first.kind.value,
            "request_ids": ",".join(filter(None, first.request_ids)),
        }
        log.warning("API servers contradict each other", extra={"fields": fields})

    def image_polled(self, target: Target, observation: Observation) -> None:
        """Log what changed with the last poll of an image."""
        about: dict[str, object] = {
            "cloud": target.cloud,
            "image": target.alias,
            "image_id": target.image_id,
        }
        if observation.request_id:
            about["request_id"] = observation.request_id
        for change in observation.new_changes:
            level = logging.WARNING if change.what in ALARMING else logging.INFO
            fields = about | {"what": change.what, "old": change.old, "new": change.new}
            if change.what == "existence" and observation.gone_evidence is not None:
                fields |= _evidence_fields(observation.gone_evidence)
            log.log(level, "image changed", extra={"fields": fields})
        if observation.failure is None:
            self._log_recovery(target.key, about)
        else:
            self._log_failure(target.key, observation.failure, about)

    def cycle_finished(self, before: CloudState, after: CloudState, stats: CycleStats) -> None:
        """Log what changed for the cloud with its last cycle."""
        about: dict[str, object] = {"cloud": self._cloud}
        if self._transitions > MAX_TRANSITIONS:
            fields = about | {"suppressed": self._transitions - MAX_TRANSITIONS}
            log.warning("further poll state changes suppressed", extra={"fields": fields})
        summary = about | {
            "polls": stats.polls,
            "failed": stats.failures.total(),
            "seconds": round(after.last_cycle_duration or 0.0, 3),
        }
        if before.api_up is None:
            log.info("first cycle finished", extra={"fields": summary})
        is_first_success = before.api_up is None and after.api_up
        if after.api_up != before.api_up and not is_first_success:
            fields = summary | {"reasons": ",".join(sorted(stats.failures))}
            if after.api_up:
                log.info("API recovered", extra={"fields": fields})
            else:
                log.error("API is down", extra={"fields": fields})
        if after.mass_disappearance and not before.mass_disappearance:
            log.error(
                "all images of the cloud are gone: role, project, region or policy?",
                extra={"fields": about},
            )
        self._log_authentication(after.auth_failure)
        if not stats.failures[NOT_POLLED]:
            self._too_slow_logged = False
        log.debug("cycle finished", extra={"fields": summary})

    def cycle_too_short(
        self,
        not_polled: int,
        *,
        concurrency: int,
        concurrency_needed: float | None,
        rate_needed: float,
    ) -> None:
        """Log that there was no time for some polls, once until a cycle is long enough again."""
        if self._too_slow_logged:
            return
        self._too_slow_logged = True
        fields: dict[str, object] = {
            "cloud": self._cloud,
            "not_polled": not_polled,
            "concurrency": concurrency,
            "concurrency_needed": concurrency_needed,
            "rate_needed": round(rate_needed, 1),
        }
        log.warning("cycle too short to poll every image", extra={"fields": fields})

    def _log_failure(self, key: TargetKey, failed: Failed, about: dict[str, object]) -> None:
        if failed.reason == NOT_POLLED:
            return
        if not self._failing.setdefault(key, FailureTracker()).record_failure(Cause.of(failed)):
            return
        if self._may_log_transition():
            fields = about | {"reason": failed.reason, "detail": failed.detail}
            log.warning("poll failed", extra={"fields": fields})

    def _log_recovery(self, key: TargetKey, about: dict[str, object]) -> None:
        tracker = self._failing.pop(key, None)
        if tracker is not None and self._may_log_transition():
            log.info("poll recovered", extra={"fields": about | {"after": tracker.reason}})

    def _log_authentication(self, failure: Failed | None) -> None:
        fields: dict[str, object] = {"cloud": self._cloud}
        if failure is None:
            if self._authentication.record_success():
                log.info("sign-in recovered", extra={"fields": fields})
        elif self._authentication.record_failure(Cause.of(failure)):
            fields |= {"reason": failure.reason, "detail": failure.detail}
            log.warning("sign-in failed", extra={"fields": fields})

    def _may_log_transition(self) -> bool:
        """Count a change of one image's poll; return False if there were too many this cycle."""
        self._transitions += 1
        return self._transitions <= MAX_TRANSITIONS


def _evidence_fields(evidence: GoneEvidence) -> dict[str, object]:
    return {
        "rechecks": evidence.rechecks,
        "probes": evidence.probes,
        "controls": ",".join(evidence.controls),
        "request_ids": ",".join(evidence.request_ids),
    }
