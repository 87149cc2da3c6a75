"""Confirmation of responses that are older than one received before.

A stale replica responds with the state of yesterday. Its response about an image has the same
``created_at`` as before and an earlier ``updated_at``. Or it has an image that was proved to be
gone, and that has not changed since. Such a response is believed only after the same response on
several fresh connections: a database may have been restored from a backup, and an image may be
shared again.

A *late* response is newer than the last one, but from before the first poll: perhaps the responses
until now came from a stale replica. If another server still has the state that was seen, the late
response corrects it, and what differs is not counted as a change.
"""

from dataclasses import dataclass, replace

from exporter.model.contradiction import ContradictionKind
from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, Gone, NotFound, Outcome
from exporter.model.replies import ImageReply
from exporter.model.target import Target
from exporter.polling.engine.contradictions import Contradictions
from exporter.polling.engine.evidence_requests import MAX_FAILURES_IN_A_ROW, EvidenceRequests
from exporter.polling.engine.pacing import TRANSIENT
from exporter.polling.engine.types import CycleHistory, PollRequest, Repetition, RequestKind

SHARED_RECHECKS = 160
"""Rechecks of all older or late responses together, if there are many and nothing contradicts them:
a whole database was restored, or the service has moved to a server that is up to date."""

LATE_RECHECKS = 60
"""Rechecks of a late response. It is rare and costs this much only if no server contradicts it."""


@dataclass(slots=True)
class OlderResponse:
    """One image with an older or a late response in this cycle; ``found`` is the last one."""

    target: Target
    found: Found
    requests: EvidenceRequests
    is_late: bool
    is_open: bool = True

    @property
    def counted(self) -> int:
        """Return how many responses count after those that failures cancel."""
        return max(0, self.requests.responses - self.requests.additional)


class OlderResponses:
    """The older responses of one cycle, and the evidence for them; times are monotonic seconds."""

    def __init__(self, history: CycleHistory, contradictions: Contradictions) -> None:
        self._history = history
        self._contradictions = contradictions
        self._responses: dict[str, OlderResponse] = {}
        self._to_advance: list[OlderResponse] = []
        self._outcomes: list[tuple[Target, Outcome]] = []
        self._confirmed_once: set[str] = set()
        self._agreeing = 0
        self._is_distrusted = False

    def has(self, image_id: str) -> bool:
        """Return True if there is an older response about this image in this cycle."""
        return image_id in self._responses

    def add(self, target: Target, found: Found) -> None:
        """Add an older or a late response, which has to be confirmed."""
        is_late = self._history.is_late(found.image)
        earlier = self._history.older_repeated.get(target.image_id)
        repeated = earlier.responses if earlier and earlier.image == found.image else 0
        self._agreeing += repeated
        requests = EvidenceRequests(responses=1 + repeated)
        response = OlderResponse(target, found, requests, is_late)
        self._responses[target.image_id] = response
        self._to_advance.append(response)

    def forget(self, image_id: str) -> None:
        """Forget an image that is polled once more, or whose reply cannot be trusted."""
        response = self._responses.pop(image_id, None)
        if response is not None:
            response.is_open = False

    def on_recheck_reply(self, request: PollRequest, reply: ImageReply, now: float) -> None:
        """Take the reply to a recheck of an image with an older response."""
        response = self._responses[request.targets[0].image_id]
        response.requests.complete(reply.failure)
        if not response.is_open:
            return
        self._to_advance.append(response)
        match reply.result:
            case Found(image) as found if response.is_late and self._was_seen_before(image):
                self._record(response, ContradictionKind.OLDER, found.request_id, now)
                self._conclude(response, replace(response.found, corrects=True))
            case Found(image) as found if response.is_late or self._history.is_older(image):
                response.requests.responses += 1
                response.found = found
                self._agreeing += 1
            case Found(_, request_id) as found:
                self._record(response, ContradictionKind.OLDER, request_id, now)
                self._conclude(response, found)
            case NotFound(request_id):
                self._record(response, ContradictionKind.NOT_FOUND, request_id, now)
                is_gone = response.target.image_id in self._history.gone
                self._conclude(response, Gone(request_id) if is_gone else _unconfirmed("404"))
            case Failed(reason, detail) if (
                reason not in TRANSIENT
                and response.requests.failures_in_a_row >= MAX_FAILURES_IN_A_ROW
            ):
                self._conclude(response, _unconfirmed(f"{reason}: {detail}"))

    def on_dropped(self, image_id: str) -> None:
        """Record that a recheck was cancelled before it was sent."""
        response = self._responses[image_id]
        response.requests.drop()
        self._to_advance.append(response)

    def take_requests(self, now: float) -> list[tuple[int, PollRequest]]:
        """Return the rechecks that are needed now, and record the outcomes decided by now.

        Each request comes with the number of requests about its image that have failed in a row.
        """
        requests: list[tuple[int, PollRequest]] = []
        to_advance, self._to_advance = self._to_advance, []
        for response in to_advance:
            if response.is_open:
                requests += self._advance(response, now)
        return requests

    def take_outcomes(self) -> list[tuple[Target, Outcome]]:
        """Return the outcomes that were decided since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def unconfirmed(self) -> Failed:
        """Return the failure of an image whose older response is not confirmed at the end."""
        return _unconfirmed("there was no time to confirm it")

    @property
    def confirmed_once(self) -> frozenset[str]:
        """IDs of the images whose older response the next cycle has to confirm."""
        return frozenset(self._confirmed_once)

    def repetitions(self) -> dict[str, Repetition]:
        """Return the responses with which the next cycle may continue, by image ID.

        They count if only time was too short, and no servers contradict each other.
        """
        return {
            image_id: Repetition(response.found.image, response.counted)
            for image_id, response in self._responses.items()
            if response.is_open and not self._is_distrusted
        }

    def _advance(self, response: OlderResponse, now: float) -> list[tuple[int, PollRequest]]:
        requirement = self._contradictions.memory.requirement(now)
        is_distrusted = self._is_distrusted = requirement.cycles > 1
        if response.is_late and is_distrusted:
            self._conclude(response, replace(response.found, corrects=True))
            return []
        all_rechecks = LATE_RECHECKS if response.is_late else requirement.rechecks
        rechecks = all_rechecks
        if len(self._responses) > 1 and not is_distrusted:
            rechecks = max(1, min(all_rechecks, SHARED_RECHECKS // len(self._responses)))
        missing = rechecks + 1 + response.requests.additional - response.requests.responses
        if missing <= 0 and self._agreeing >= all_rechecks:
            why = "servers contradict each other" if is_distrusted else "some requests failed"
            cycles = max(requirement.cycles, response.requests.cycles)
            self._confirm(response, cycles, why)
            return []
        count = response.requests.take(max(missing, 1), all_rechecks)
        if not count and not response.requests.in_flight:
            self._conclude(response, _unconfirmed("too many requests failed"))
        failures = response.requests.failures_in_a_row
        return [(failures, PollRequest(RequestKind.RECHECK, (response.target,)))] * count

    def _confirm(self, response: OlderResponse, cycles: int, why: str) -> None:
        """Believe a response that was repeated often enough, in that many cycles."""
        image_id = response.target.image_id
        if cycles > 1 and image_id not in self._history.older_once:
            self._confirmed_once.add(image_id)
            waiting = _unconfirmed(f"the next cycle has to confirm it, because {why}")
            self._conclude(response, waiting)
        else:
            self._conclude(response, response.found)

    def _was_seen_before(self, image: Image) -> bool:
        """Return True if a server still has the state that the first responses had."""
        return not self._history.is_late(image)

    def _record(
        self, response: OlderResponse, kind: ContradictionKind, request_id: str, now: float
    ) -> None:
        ids = (response.found.request_id, request_id)
        self._contradictions.record(
            response.target.image_id, kind, ids, now, run=response.requests.responses
        )

    def _conclude(self, response: OlderResponse, outcome: Outcome) -> None:
        response.is_open = False
        self._outcomes.append((response.target, outcome))


def _unconfirmed(why: str) -> Failed:
    return Failed("unconfirmed", f"a response older than one received before: {why}")
