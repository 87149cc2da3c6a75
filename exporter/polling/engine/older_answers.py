"""Confirmation of answers that are older than one received before.

A stale replica answers with the state of yesterday. Its answer about an image has the same
``created_at`` as before and an earlier ``updated_at``. Or it has an image that was proved to be
gone, and that has not changed since. Such an answer is believed only after the same answer on
several fresh connections: a database may have been restored from a backup, and an image may be
shared again.

A *late* answer is newer than the last one, but from before the first poll: perhaps the answers
until now came from a stale replica. If another server still has the state that was seen, the late
answer corrects it, and what differs is not counted as a change.
"""

from dataclasses import dataclass, replace
from math import inf

from exporter.model.contradiction import ContradictionKind
from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, Gone, NotFound, Outcome
from exporter.model.replies import ImageReply
from exporter.model.target import Target
from exporter.polling.engine.contradictions import Contradictions
from exporter.polling.engine.evidence_requests import EvidenceRequests
from exporter.polling.engine.pacing import TRANSIENT
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind

LATE_RECHECKS = 60
"""Rechecks of a late answer. It is rare and costs this much only if no server contradicts it."""


@dataclass(slots=True)
class OlderAnswer:
    """One image with an older or a late answer in this cycle; ``found`` is the last such answer."""

    target: Target
    found: Found
    requests: EvidenceRequests
    is_late: bool
    is_open: bool = True


class OlderAnswers:
    """The older answers of one cycle, and the evidence for them; times are monotonic seconds."""

    def __init__(self, history: CycleHistory, contradictions: Contradictions) -> None:
        self._history = history
        self._contradictions = contradictions
        self._answers: dict[str, OlderAnswer] = {}
        self._to_advance: list[OlderAnswer] = []
        self._outcomes: list[tuple[Target, Outcome]] = []
        self._confirmed_once: set[str] = set()

    def has(self, image_id: str) -> bool:
        """Return True if there is an older answer about this image in this cycle."""
        return image_id in self._answers

    def add(self, target: Target, found: Found) -> None:
        """Add an older or a late answer, which has to be confirmed."""
        is_late = self._history.is_late(found.image)
        answer = OlderAnswer(target, found, EvidenceRequests(), is_late)
        self._answers[target.image_id] = answer
        self._to_advance.append(answer)

    def forget(self, image_id: str) -> None:
        """Forget an image that is polled once more, or whose reply cannot be trusted."""
        answer = self._answers.pop(image_id, None)
        if answer is not None:
            answer.is_open = False

    def on_recheck_reply(self, request: PollRequest, reply: ImageReply, now: float) -> None:
        """Take the reply to a recheck of an image with an older answer."""
        answer = self._answers[request.targets[0].image_id]
        answer.requests.complete(failed=reply.failure is not None)
        if not answer.is_open:
            return
        self._to_advance.append(answer)
        match reply.result:
            case Found(image) as found if answer.is_late and self._was_seen_before(image):
                self._record(answer, ContradictionKind.OLDER, found.request_id, now)
                self._conclude(answer, replace(answer.found, corrects=True))
            case Found(image) as found if answer.is_late or self._history.is_older(image):
                answer.requests.answers += 1
                answer.found = found
            case Found(_, request_id) as found:
                self._record(answer, ContradictionKind.OLDER, request_id, now)
                self._conclude(answer, found)
            case NotFound(request_id):
                self._record(answer, ContradictionKind.NOT_FOUND, request_id, now)
                is_gone = answer.target.image_id in self._history.gone
                self._conclude(answer, Gone(request_id) if is_gone else _unconfirmed("404"))
            case Failed(reason, detail) if reason not in TRANSIENT:
                self._conclude(answer, _unconfirmed(f"{reason}: {detail}"))

    def on_dropped(self, image_id: str) -> None:
        """Record that a recheck was cancelled before it was sent."""
        answer = self._answers[image_id]
        answer.requests.drop()
        self._to_advance.append(answer)

    def take_requests(self, now: float) -> list[tuple[int, PollRequest]]:
        """Return the rechecks that are needed now, and record the outcomes decided by now.

        Each request comes with the number of requests about its image that have failed in a row.
        """
        requests: list[tuple[int, PollRequest]] = []
        to_advance, self._to_advance = self._to_advance, []
        for answer in to_advance:
            if answer.is_open:
                requests += self._advance(answer, now)
        return requests

    def take_outcomes(self) -> list[tuple[Target, Outcome]]:
        """Return the outcomes that were decided since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def unconfirmed(self) -> Failed:
        """Return the failure of an image whose older answer is not confirmed at the end."""
        return _unconfirmed("there was no time to confirm it")

    @property
    def confirmed_once(self) -> frozenset[str]:
        """IDs of the images whose older answer the next cycle has to confirm."""
        return frozenset(self._confirmed_once)

    def _advance(self, answer: OlderAnswer, now: float) -> list[tuple[int, PollRequest]]:
        requirement = self._contradictions.memory.requirement(now)
        image_id = answer.target.image_id
        rechecks = LATE_RECHECKS if answer.is_late else requirement.rechecks
        missing = rechecks + 1 - answer.requests.answers
        if missing <= 0:
            if answer.is_late:
                self._conclude(answer, answer.found)
            elif requirement.cycles > 1 and image_id not in self._history.older_once:
                self._confirmed_once.add(image_id)
                why = "the next cycle has to confirm it, because servers contradict each other"
                self._conclude(answer, _unconfirmed(why))
            else:
                self._conclude(answer, answer.found)
            return []
        count = answer.requests.take(missing, rechecks)
        if not count and not answer.requests.in_flight:
            self._conclude(answer, _unconfirmed("too many requests failed"))
        failures = answer.requests.failures_in_a_row
        return [(failures, PollRequest(RequestKind.RECHECK, (answer.target,)))] * count

    def _was_seen_before(self, image: Image) -> bool:
        """Return True if a server still has the state that the first answers had."""
        seen = self._history.seen[image.id]
        return (image.updated_at or -inf) <= (seen.updated_at or -inf)

    def _record(
        self, answer: OlderAnswer, kind: ContradictionKind, request_id: str, now: float
    ) -> None:
        ids = (answer.found.request_id, request_id)
        self._contradictions.record(
            answer.target.image_id, kind, ids, now, run=answer.requests.answers
        )

    def _conclude(self, answer: OlderAnswer, outcome: Outcome) -> None:
        answer.is_open = False
        self._outcomes.append((answer.target, outcome))


def _unconfirmed(why: str) -> Failed:
    return Failed("unconfirmed", f"an answer older than one received before: {why}")
