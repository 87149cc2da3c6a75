"""Doubtful answers of one cycle: 404s and older answers, and the contradictions they reveal."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from exporter.model.contradiction import ContradictionKind
from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, Outcome
from exporter.model.replies import ImageReply, ProbeReply
from exporter.model.target import Target
from exporter.polling.engine.contradictions import Contradictions
from exporter.polling.engine.gone_confirmation import GoneConfirmation
from exporter.polling.engine.older_responses import OlderResponses
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind

EVIDENCE_KINDS = frozenset({RequestKind.RECHECK, RequestKind.PROBE})
"""Requests that gather evidence about a doubtful answer."""


class Doubts:
    """Passes each answer to the class that decides about it; times are monotonic seconds.

    ``is_list_requested`` is true once a list has shown if the API works.
    """

    def __init__(
        self, history: CycleHistory, targets: Mapping[str, Target], interval: float
    ) -> None:
        self._history = history
        self.contradictions = Contradictions(history.contradictions, interval)
        self.gone = GoneConfirmation(history, targets, self.contradictions)
        self._older = OlderResponses(history, self.contradictions)
        self.is_list_requested = False

    def add_to(self, history: CycleHistory) -> CycleHistory:
        """Return a history with the doubts of this cycle, for the next one."""
        return replace(
            history,
            mass_404_suspected=self.gone.mass.is_suspected,
            suspicions=self.gone.suspicions(),
            older_once=self._older.confirmed_once,
            older_repeated=self._older.repetitions(),
            contradictions=self.contradictions.memory,
        )

    def forget(self, image_ids: Iterable[str]) -> None:
        """Forget images that were added to the cycle again, so that they are polled once more."""
        for image_id in image_ids:
            self.gone.forget(image_id)
            self._older.forget(image_id)

    def on_retracted(self, image_id: str) -> None:
        """Dismiss an image whose reply cannot be trusted, even if the reply is still to come."""
        self.gone.on_retracted(image_id)
        self._older.forget(image_id)

    def believed(self, target: Target, found: Found, now: float) -> Found | None:
        """Return the outcome of an image that its poll found, or None if it has to be confirmed."""
        is_late = self._history.is_late(found.image)
        is_distrusted = now <= self.contradictions.memory.until
        if self._history.is_older(found.image) or (is_late and not is_distrusted):
            self._older.add(target, found)
            return None
        self.gone.on_found(target.image_id)
        suspicion = self._history.suspicions.get(target.image_id)
        if suspicion is not None and not self._history.mass_404_suspected:
            ids = ((*suspicion.evidence.request_ids, "")[0], found.request_id)
            if not self._history.is_news(found.image, suspicion.evidence.first_404_at):
                kind, run = ContradictionKind.NOT_FOUND, suspicion.run
                self.contradictions.record(target.image_id, kind, ids, now, run=run)
        return replace(found, corrects=True) if is_late else found

    def on_list_found_again(self, request: PollRequest, now: float) -> None:
        """Record a contradiction: a list was 404, and is there on another connection."""
        request_id = request.failure.request_id if request.failure else ""
        image_id = request.targets[0].image_id
        self.contradictions.record(image_id, ContradictionKind.NOT_FOUND, (request_id, ""), now)

    def on_left_out(self, found: Found, now: float) -> None:
        """Record a contradiction if a list lacks an image that it had, and that is unchanged."""
        image, seen = found.image, self._history.seen.get(found.image.id)
        if seen is not None and _listing_traits(seen) == _listing_traits(image):
            ids = ("", found.request_id)
            self.contradictions.record(image.id, ContradictionKind.NOT_LISTED, ids, now)

    def on_recheck_reply(self, request: PollRequest, reply: ImageReply, now: float) -> None:
        """Take the reply to a recheck."""
        if request.control is None and self._older.has(request.targets[0].image_id):
            self._older.on_recheck_reply(request, reply, now)
        else:
            self.gone.on_recheck_reply(request, reply, now)

    def on_probe_reply(self, request: PollRequest, reply: ProbeReply, now: float) -> None:
        """Take the reply to a probe."""
        self.gone.on_probe_reply(request, reply, now)

    def on_dropped(self, request: PollRequest) -> None:
        """Record that a request for evidence was cancelled before it was sent."""
        if request.kind not in EVIDENCE_KINDS:
            return
        image_id = request.targets[0].image_id
        is_check = request.control is not None
        if request.kind is RequestKind.RECHECK and not is_check and self._older.has(image_id):
            self._older.on_dropped(image_id)
        else:
            self.gone.on_dropped(request)

    def take_requests(self, now: float) -> list[tuple[int, PollRequest]]:
        """Return the requests that are needed now, and record the outcomes decided by now.

        Each request comes with the number of requests about its image that have failed in a row.
        """
        return [*self.gone.take_requests(now), *self._older.take_requests(now)]

    def take_outcomes(self) -> list[tuple[Target, Outcome]]:
        """Return the outcomes that were decided since the last call."""
        return [*self.gone.take_outcomes(), *self._older.take_outcomes()]

    def request_when_idle(self, *, accepted: bool) -> PollRequest | None:
        """Return a request to send when the cycle has no others left.

        If the cycle saw only 404s, the list shows whether the API works. ``accepted`` is true if
        the API has accepted the credentials in this cycle.
        """
        if not self.gone.has_suspects or accepted or self.is_list_requested:
            return None
        return PollRequest(RequestKind.LIST)

    def unconfirmed(self, target: Target, *, out_of_time: bool, breaker_open: bool) -> Failed:
        """Return the failure of an image that has no outcome at the end of the cycle."""
        if self._older.has(target.image_id):
            return self._older.unconfirmed()
        return self.gone.unconfirmed(out_of_time=out_of_time, breaker_open=breaker_open)


def _listing_traits(image: Image) -> tuple[object, ...]:
    """Return what decides which lists have an image."""
    return image.status, image.visibility, image.hidden
