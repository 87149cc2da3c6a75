"""Confirmation that an image is gone: everything that decides about a 404.

A 404 means "not visible to these credentials", and a broken API may send it for every image. So an
image is reported as gone only on evidence that was gathered after its 404. Until then it is a
*suspect*, in one of these states:

==========  =======================================  =============================================
state       meaning                                  next request
==========  =======================================  =============================================
SEEN_404    its poll was 404                         a recheck: the image, on a fresh connection
RECHECKED   the recheck was 404 too                  the list of images, or a canary (see below)
PROVEN      a request sent after the recheck's 404   none: it is gone
            returned an image or the list, or it
            was gone before and is 404 again
FAILED      the recheck failed                       none: it is ``unconfirmed``
DISMISSED   it has another outcome: it was found,    none
            or its reply cannot be trusted
==========  =======================================  =============================================

An image is ``unconfirmed``, with one of these details in the log:

- "404, and the recheck failed: ...": the suspect is FAILED,
- "404, but the cycle ended before it could be proved": it is SEEN_404 or RECHECKED, and the cycle
  has no time left,
- "404, but the circuit breaker opened before it could be proved": it is SEEN_404 or RECHECKED,
- "404, but nothing proves that the API responds to these credentials": it is RECHECKED, and no
  request after the recheck returned an image or the list,
- "404, but all images of the cloud turned 404 at once: ...": it is SEEN_404 or RECHECKED, and this
  may be a mass 404, which the next cycle has to confirm (see ``_may_be_mass_404``),
- "the list of images is 404": the batch with the image was 404, so it never became a suspect (see
  ``ImageClient.batch``).

If all existing images turn 404 in one cycle, as after a lost role or project, no image is reported
as gone until the next cycle confirms it. To distinguish that early from a few deleted images, some
other existing images, the *canaries*, are requested additionally, ahead of their own poll.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from exporter.model.outcome import Failed, Found, Gone, NotFound, Outcome
from exporter.model.replies import ImageReply, ListReply
from exporter.model.target import Target
from exporter.polling.engine.pacing import MAX_RETRIES
from exporter.polling.engine.request_queue import RequestQueue
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind

MIN_MASS_404 = 2
"""Smallest number of existing images for which a 404 of all of them is suspicious."""

MAX_CANARIES = 3
"""Maximum number of canaries in one cycle."""

LIST_DELAY_FRACTION = 0.01
"""Share of the interval by which the list request is delayed, so that it proves later 404s too."""

MAX_LIST_DELAY = 0.5
"""Longest delay of the list request in seconds."""


class SuspectState(Enum):
    """Progress of the confirmation of one image; see the module's docstring."""

    SEEN_404 = auto()
    RECHECKED = auto()
    PROVEN = auto()
    FAILED = auto()
    DISMISSED = auto()


class Unproved(Enum):
    """The reason why a suspect is not proved to be gone at the end of a cycle."""

    NO_PROOF = "nothing proves that the API responds to these credentials"
    CYCLE_ENDED = "the cycle ended before it could be proved"
    BREAKER_OPEN = "the circuit breaker opened before it could be proved"
    ALL_AT_ONCE = "all images of the cloud turned 404 at once: role, project, region or policy?"


@dataclass(slots=True)
class Suspect:
    """One image that was 404 in this cycle."""

    target: Target
    state: SuspectState = SuspectState.SEEN_404
    request_id: str = ""


class GoneConfirmation:
    """The 404s of one cycle and the evidence for them; times are monotonic seconds.

    The cycle passes every reply to it, and takes its next requests and its outcomes.
    """

    def __init__(
        self, history: CycleHistory, targets: Mapping[str, Target], interval: float
    ) -> None:
        self._history = history
        self._targets = targets
        self._list_delay = min(MAX_LIST_DELAY, LIST_DELAY_FRACTION * interval)
        self._suspects: dict[str, Suspect] = {}
        self._to_recheck: deque[Target] = deque()
        # A heap: when each 404 of a recheck was received, and the ID of the image.
        self._rechecked: list[tuple[float, str]] = []
        self._outcomes: list[tuple[Target, Outcome]] = []
        # Existing images that were 404 in this cycle, and existing images whose poll failed.
        self._missing: set[str] = set()
        self._failed: set[str] = set()
        self._retracted: set[str] = set()
        # The keys are a set with an order, so that equal cycles request equal canaries.
        self._possible_canaries = dict.fromkeys(i for i in targets if i in history.existing)
        self._canaries = 0
        self._existing_found = False
        self._api_proved_at = -inf
        self._list_requested = False
        self._list_failed = False

    # Events

    def forget(self, image_ids: Iterable[str]) -> None:
        """Forget images that were added to the cycle again, so that they are polled once more."""
        for image_id in image_ids:
            self._suspects.pop(image_id, None)
            self._retracted.discard(image_id)

    def on_poll_404(self, target: Target, request_id: str) -> None:
        """Record that the poll of an image was 404."""
        suspect = self._suspects[target.image_id] = Suspect(target, request_id=request_id)
        if target.image_id in self._retracted:
            suspect.state = SuspectState.DISMISSED
        elif target.image_id in self._history.gone:
            self._conclude(suspect, SuspectState.PROVEN, Gone(request_id))
        else:
            self._to_recheck.append(target)
        if target.image_id in self._history.existing:
            self._missing.add(target.image_id)
            self._possible_canaries.pop(target.image_id, None)

    def on_found(self, image_id: str, sent_at: float) -> None:
        """Record that a request sent at ``sent_at`` found an image."""
        self._api_proved_at = max(self._api_proved_at, sent_at)
        self._existing_found = self._existing_found or image_id in self._history.existing

    def on_list(self, sent_at: float) -> None:
        """Record that a request sent at ``sent_at`` returned a list of images."""
        self._api_proved_at = max(self._api_proved_at, sent_at)

    def on_poll_failed(self, image_id: str) -> None:
        """Record that the poll of an image failed, which proves nothing about the image."""
        if image_id in self._history.existing and image_id not in self._missing:
            self._failed.add(image_id)

    def on_retracted(self, image_id: str) -> None:
        """Dismiss an image whose reply cannot be trusted, even if the reply is still to come."""
        self._retracted.add(image_id)
        suspect = self._suspects.get(image_id)
        if suspect is not None:
            suspect.state = SuspectState.DISMISSED

    def on_image_reply(self, request: PollRequest, reply: ImageReply, *, will_retry: bool) -> None:
        """Take the reply to a recheck or a canary. ``will_retry``: the request is sent again."""
        (target,) = request.targets
        if isinstance(reply.result, Found):
            self.on_found(target.image_id, reply.facts.sent_at)
        suspect = self._suspects.get(target.image_id)
        is_recheck = request.kind is RequestKind.RECHECK
        if suspect is None or suspect.state is not SuspectState.SEEN_404 or not is_recheck:
            return
        match reply.result:
            case Found() as found:
                self._conclude(suspect, SuspectState.DISMISSED, found)
            case NotFound(request_id):
                suspect.state = SuspectState.RECHECKED
                suspect.request_id = request_id
                heapq.heappush(self._rechecked, (reply.facts.received_at, target.image_id))
            case Failed(reason, detail, request_id) if not will_retry:
                why = f"404, and the recheck failed: {reason}: {detail}"
                failed = Failed("unconfirmed", why, request_id)
                self._conclude(suspect, SuspectState.FAILED, failed)

    def on_list_reply(self, request: PollRequest, reply: ListReply, *, will_retry: bool) -> None:
        """Take the reply to a request for the list. ``will_retry``: the request is sent again.

        A list with deferred targets was requested because a batch failed. If that list fails too,
        only the batch has failed: ``take_request`` may still request another list as evidence.
        """
        self._list_requested = True
        if reply.failure is None:
            self.on_list(reply.facts.sent_at)
        elif not will_retry and not request.deferred:
            self._list_failed = True

    # Decisions

    def take_outcomes(self) -> list[tuple[Target, Outcome]]:
        """Return the outcomes that were decided since the last call."""
        if self._rechecked and not self._may_be_mass_404:
            self._prove_rechecked()
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def take_request(self, now: float, queue: RequestQueue) -> tuple[float, PollRequest] | None:
        """Return a request that the suspects need, once, with the time at which it is due.

        Returns ``None`` if they need no request, if it is already in the queue or in flight, or if
        the list has failed or no canary is left.
        """
        if self._to_recheck:
            return now, PollRequest(RequestKind.RECHECK, (self._to_recheck.popleft(),))
        if not self._rechecked:
            return None
        if self._may_be_mass_404:
            return self._next_canary(now, queue)
        if self._list_failed or queue.has(RequestKind.LIST):
            return None
        return now + self._list_delay, PollRequest(RequestKind.LIST)

    def request_when_idle(self, *, accepted: bool) -> PollRequest | None:
        """Return a request to send when the cycle has no others left.

        If the cycle saw only 404s, the list shows whether the API works. ``accepted`` is true if
        the API has accepted the credentials in this cycle.
        """
        if not self._suspects or accepted or self._list_requested:
            return None
        return PollRequest(RequestKind.LIST)

    def unconfirmed(self, *, out_of_time: bool, breaker_open: bool) -> Failed:
        """Return the failure of the suspects without an outcome.

        Args:
            out_of_time: The cycle's time is over, so there may have been no time for a proof.
            breaker_open: The circuit breaker is open, so requests for a proof were cancelled.
        """
        why = Unproved.NO_PROOF
        if out_of_time:
            why = Unproved.CYCLE_ENDED
        elif breaker_open:
            why = Unproved.BREAKER_OPEN
        if self.mass_404 and self._may_be_mass_404:
            why = Unproved.ALL_AT_ONCE
        return Failed("unconfirmed", f"404, but {why.value}")

    # Mass 404

    @property
    def mass_404(self) -> bool:
        """Return True if several existing images are 404 in this cycle and none is found."""
        return len(self._missing) >= MIN_MASS_404 and not self._existing_found

    @property
    def mass_disappearance(self) -> bool:
        """Return True if all existing images are gone and a second cycle has confirmed it."""
        existing = self._history.existing
        return (
            self._history.mass_404_suspected
            and bool(existing)
            and all(map(self._is_proven, existing))
        )

    @property
    def mass_404_suspected(self) -> bool:
        """Return True if this cycle saw a mass 404 that the next cycle has to confirm."""
        return self.mass_404 and not self.mass_disappearance

    @property
    def _may_be_mass_404(self) -> bool:
        """Return True while all existing images may be 404, unless the last cycle suspected that.

        It is ruled out once an existing image is found, or once every existing image has been
        requested and fewer than two are 404. A failed poll proves nothing about its image.
        """
        existing = self._history.existing
        if len(existing) < MIN_MASS_404 or self._history.mass_404_suspected or self._existing_found:
            return False
        is_undecided = len(self._missing) + len(self._failed) < len(existing)
        return self.mass_404 or is_undecided

    # Helpers

    def _next_canary(self, now: float, queue: RequestQueue) -> tuple[float, PollRequest] | None:
        if self._canaries >= MAX_CANARIES or queue.has(RequestKind.CANARY):
            return None
        if not self._possible_canaries:
            return None
        self._canaries += 1
        image_id, _ = self._possible_canaries.popitem()
        target = self._targets[image_id]
        # A canary is not retried: another canary gives the same evidence.
        return now, PollRequest(RequestKind.CANARY, (target,), attempt=MAX_RETRIES)

    def _prove_rechecked(self) -> None:
        while self._rechecked and self._rechecked[0][0] <= self._api_proved_at:
            _, image_id = heapq.heappop(self._rechecked)
            suspect = self._suspects.get(image_id)
            if suspect is not None and suspect.state is SuspectState.RECHECKED:
                self._conclude(suspect, SuspectState.PROVEN, Gone(suspect.request_id))

    def _conclude(self, suspect: Suspect, state: SuspectState, outcome: Outcome) -> None:
        suspect.state = state
        self._outcomes.append((suspect.target, outcome))

    def _is_proven(self, image_id: str) -> bool:
        suspect = self._suspects.get(image_id)
        return suspect is not None and suspect.state is SuspectState.PROVEN
