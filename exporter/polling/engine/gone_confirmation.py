"""Confirmation that an image is gone: everything that decides about a 404.

A 404 means "not visible to these credentials", and a broken API may send it for every image, or one
of several API servers for some. So a 404 is an experiment with a control. An image that was 404 in
this cycle is a *suspect*:

===========  ============================================  ========================================
state        meaning                                       next requests
===========  ============================================  ========================================
OPEN         the evidence is not complete                  rechecks, then probes (see below)
PROVEN       the evidence is complete, or the image was    none: it is gone
             gone before and is 404 again
WAITING      the evidence of this cycle is complete, but   none: it is ``unconfirmed``, and the
             servers contradicted each other or failed     next cycle has to find the same
UNCONFIRMED  a request failed for good, or too many        none: it is ``unconfirmed``
             requests showed nothing
DISMISSED    it has another outcome: it was found, or its  none
             reply cannot be trusted
===========  ============================================  ========================================

- A *recheck* requests the suspect on a fresh connection, to reach another server.
- A *probe* requests a control, the suspect and the control again on one fresh connection. It is
  conclusive if the control is found both times and the suspect is 404 in between. The *control* is
  an image that was found in this cycle, or else one that existed before, or else one from the list
  of the service. If the list is empty, the list itself is the control: it shows only that a server
  responds to these credentials. It proves nothing until a watched image was found.

``Requirement`` has the number of rechecks and probes. Each transient failure requires two rechecks
more. If any request finds the suspect, the suspicion is over, and the contradiction is recorded.

An image is ``unconfirmed``, with one of these details in the log:

- "404, but the recheck failed: ...": its state is UNCONFIRMED,
- "404, but no control could be found before and after it: ...", or
  "... too many requests for its evidence failed: ...": likewise,
- "404, but the list of images has it", or "... a server has an older state of it": likewise,
- "404, but the next cycle has to confirm it, because servers contradict each other", or
  "... because some requests failed": WAITING,
- "404, but the cycle ended before it could be proved": OPEN, and the cycle has no time left,
- "404, but the circuit breaker opened before it could be proved": OPEN,
- "404, but nothing proves that the API responds to these credentials": there is no control,
- "404, but the list of images has others that are 404 as well": likewise,
- "404, but the list of images is empty, as in a wrong project": likewise,
- "404, but all images of the cloud turned 404 at once: ...": OPEN, and this may be a mass 404,
  which the next cycle has to confirm (see ``Mass404``),
- "the list of images is 404": the batch with the image was 404, so it never became a suspect (see
  ``ImageClient.batch``).

If all existing images turn 404 in one cycle, as after a lost role or project, no image is reported
as gone until the next cycle confirms it. A few probes then look for an image that still exists.
"""

from collections.abc import Mapping

from exporter.model.contradiction import ContradictionKind
from exporter.model.outcome import Failed, Found, Gone, NotFound, Outcome
from exporter.model.replies import ImageReply, Listed, ProbeReply
from exporter.model.target import Target
from exporter.polling.engine.contradictions import USUAL, Contradictions, Requirement
from exporter.polling.engine.controls import Controls
from exporter.polling.engine.evidence_requests import MAX_FAILURES_IN_A_ROW
from exporter.polling.engine.mass_404 import MAX_MASS_PROBES, Mass404
from exporter.polling.engine.pacing import TRANSIENT
from exporter.polling.engine.suspect import Suspect, SuspectState, Unproved, new_suspect
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind, Suspicion


class GoneConfirmation:
    """The 404s of one cycle and the evidence for them; times are monotonic seconds."""

    def __init__(
        self, history: CycleHistory, targets: Mapping[str, Target], contradictions: Contradictions
    ) -> None:
        self._history = history
        self._targets = targets
        self._contradictions = contradictions
        self._controls = Controls(history, targets, contradictions)
        self._suspects: dict[str, Suspect] = {}
        self._new_suspects = 0
        self._open: dict[str, Suspect] = {}
        self._to_advance: dict[str, Suspect] = {}
        self._outcomes: list[tuple[Target, Outcome]] = []
        self.mass = Mass404(history)
        self._retracted: set[str] = set()
        self._added: set[str] = set()
        self._mode: tuple[object, ...] = ()
        self._requirement = USUAL
        self._mass_probes = 0
        self._shared_probes = 0
        self._probes_in_flight = 0

    # Events

    def forget(self, image_id: str) -> None:
        """Forget an image that was added to the cycle again, so that it is polled once more."""
        suspect = self._suspects.pop(image_id, None)
        if suspect is not None:
            self._close(suspect, SuspectState.DISMISSED)
        self._retracted.discard(image_id)
        self._added.add(image_id)

    def on_poll_404(self, target: Target, request_id: str, now: float) -> None:
        """Record that the poll of an image was 404."""
        image_id = target.image_id
        suspect = self._suspects[image_id] = new_suspect(
            target, self._history.suspicions.get(image_id), now
        )
        suspect.add_404(request_id)
        self._controls.remove(image_id)
        self.mass.on_404(image_id)
        if image_id in self._retracted:
            suspect.state = SuspectState.DISMISSED
        elif image_id in self._history.gone and image_id not in self._added:
            suspect.state = SuspectState.PROVEN
            self._outcomes.append((target, Gone(request_id)))
        else:
            self._new_suspects += 1
            self._open[image_id] = self._to_advance[image_id] = suspect

    def on_found(self, image_id: str) -> None:
        """Record that a request found an image."""
        self._controls.on_found(image_id)
        self.mass.on_found(image_id)

    def on_retracted(self, image_id: str) -> None:
        """Dismiss an image whose reply cannot be trusted, even if the reply is still to come."""
        self._retracted.add(image_id)
        self._controls.remove(image_id)
        suspect = self._suspects.get(image_id)
        if suspect is not None:
            self._close(suspect, SuspectState.DISMISSED)

    def on_recheck_reply(self, request: PollRequest, reply: ImageReply, now: float) -> None:
        """Take the reply to a recheck."""
        if request.control is not None:
            if self._controls.on_check_reply(request.control, reply, now):
                self.on_found(request.control)
            return
        suspect = self._suspect_of(request, reply.failure)
        if suspect is None:
            return
        if isinstance(reply.result, NotFound):
            suspect.count_recheck()
        self._take_suspect_result(suspect, reply.result, now)

    def on_probe_reply(self, request: PollRequest, reply: ProbeReply, now: float) -> None:
        """Take the reply to a probe: control, suspect, control."""
        self._probes_in_flight -= 1
        if self._controls.on_probe_reply(request, reply, self._suspects.keys(), now):
            self.mass.on_found(str(request.control))
        suspect = self._suspect_of(request, reply.failure)
        if suspect is None:
            return
        if reply.suspect is not None:
            self._take_suspect_result(
                suspect, reply.suspect, now, is_comparable=not reply.by_second_version
            )
        if suspect.is_open:
            self._count_probe(suspect, request, reply, now)

    def on_dropped(self, request: PollRequest) -> None:
        """Record that a recheck or a probe was cancelled before it was sent."""
        if request.kind is RequestKind.RECHECK and request.control is not None:
            self._controls.on_check_dropped(request.control)
            return
        self._probes_in_flight -= request.kind is RequestKind.PROBE
        suspect = self._suspects.get(request.targets[0].image_id)
        if suspect is not None:
            suspect.requests.drop()
            suspect.probes_in_flight -= request.kind is RequestKind.PROBE
            if suspect.is_open:
                self._to_advance[suspect.target.image_id] = suspect

    # Decisions

    @property
    def has_suspects(self) -> bool:
        """Return True if any image was 404 in this cycle."""
        return bool(self._suspects)

    def take_requests(self, now: float) -> list[tuple[int, PollRequest]]:
        """Return the requests that the suspects need now, and record the outcomes decided by now.

        Each request comes with the number of requests about its image that have failed in a row.
        """
        requirement = self._requirement = self._contradictions.memory.requirement(now)
        if self.mass.is_possible:
            return [*self._controls.check_requests(), *self._search_for_existing()]
        shared = (self._shared_probes, self._probes_in_flight) if self._is_evidence_shared else None
        mode = (requirement, shared, self._max_probes, self._may_find_control)
        if mode != self._mode:
            self._mode = mode
            self._to_advance = dict(self._open)
        requests = self._controls.check_requests()
        to_advance, self._to_advance = self._to_advance, {}
        for suspect in to_advance.values():
            if suspect.is_open:
                requests += self._advance(suspect, requirement)
        return requests

    def take_outcomes(self) -> list[tuple[Target, Outcome]]:
        """Return the outcomes that were decided since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

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
        if self.mass.is_seen and self.mass.is_possible:
            why = Unproved.ALL_AT_ONCE
        return why.failed(problem=self._controls.list_problem)

    def suspicions(self) -> dict[str, Suspicion]:
        """Return the evidence by image ID.

        It counts in the next cycle if only time was too short, and nothing contradicts it.
        """
        is_trusted = self._requirement.cycles == 1 and not self.mass.is_new
        return {
            image_id: suspect.suspicion(
                counts=is_trusted and suspect.is_open, shared=self._shared_with(suspect)
            )
            for image_id, suspect in self._suspects.items()
            if suspect.state not in {SuspectState.PROVEN, SuspectState.DISMISSED}
        }

    @property
    def _is_evidence_shared(self) -> bool:
        """Return True if the suspects share their evidence: several, and no image at all is found.

        They are then missing for one reason, so that it is enough to find out about all of them.
        """
        return self._new_suspects > 1 and not self._controls.any_watched_found

    def _shared_with(self, suspect: Suspect) -> int:
        """Return the conclusive probes of all suspects that count for one if they are shared."""
        return suspect.shared_before + self._shared_probes if self._is_evidence_shared else 0

    def _search_for_existing(self) -> list[tuple[int, PollRequest]]:
        """Return a probe that may find an existing image, while all of them may be gone."""
        suspect = next(iter(self._open.values()), None)
        if suspect is None or self._probes_in_flight or self._mass_probes >= MAX_MASS_PROBES:
            return []
        if not (self._controls.available and suspect.requests.take(1, required=MAX_MASS_PROBES)):
            return []
        self._mass_probes += 1
        return [(suspect.requests.failures_in_a_row, self._probe(suspect))]

    # One suspect

    def _advance(self, suspect: Suspect, full: Requirement) -> list[tuple[int, PollRequest]]:
        """Return the next requests about an open suspect, or record its outcome."""
        required = full.shared_by(self._new_suspects) if self._is_evidence_shared else full
        rechecks = max(0, required.rechecks + suspect.requests.additional - suspect.rechecks)
        probes = max(0, required.probes - max(suspect.probes, self._shared_with(suspect)))
        if self._is_evidence_shared:
            probes = max(0, probes - self._probes_in_flight)
        if not rechecks and not probes:
            self._complete(suspect, full)
            return []
        probes = min(probes, self._max_probes)
        if suspect.is_repeated and not self._controls.have_worked:
            # It was unconfirmed in the last cycle: first find out if there is a control at all.
            rechecks, probes = 0, min(probes, 1)
        if not rechecks and not probes:
            if not self._may_find_control:
                self._give_up(suspect, self._controls.why_unavailable)
            return []
        rechecks_to_send = max(0, rechecks - suspect.rechecks_in_flight)
        probes = min(probes, suspect.probes_left)
        total = required.rechecks + required.probes
        count = suspect.requests.take(rechecks + probes, total)
        if not count and not suspect.requests.in_flight:
            self._give_up(suspect, suspect.shortage)
        failures = suspect.requests.failures_in_a_row
        recheck = PollRequest(RequestKind.RECHECK, (suspect.target,))
        return [
            (failures, recheck if number < rechecks_to_send else self._probe(suspect))
            for number in range(count)
        ]

    @property
    def _max_probes(self) -> int:
        """Return how many probes may be sent now: one, while it shows what can be a control."""
        if not self._controls.available:
            return 0
        if self._controls.is_list_next:
            return 0 if self._probes_in_flight else 1
        return self._requirement.probes

    @property
    def _may_find_control(self) -> bool:
        """Return True while a request in flight may show what can be a control."""
        return self._controls.are_checked or self._probes_in_flight > 0

    def _complete(self, suspect: Suspect, full: Requirement) -> None:
        """Record the outcome of a suspect whose evidence is complete."""
        if max(suspect.probes, self._shared_with(suspect)) < full.probes:
            # The probes of other suspects are still in flight.
            return
        if suspect.evidence.cycles < max(full.cycles, suspect.requests.cycles):
            why = Unproved.CONTRADICTED if full.cycles > 1 else Unproved.FAILED_SOMETIMES
            self._conclude(suspect, SuspectState.WAITING, why.failed(suspect.request_id))
        else:
            outcome = Gone(suspect.request_id, suspect.evidence)
            self._conclude(suspect, SuspectState.PROVEN, outcome)
            self.mass.on_proven(suspect.target.image_id)

    def _probe(self, suspect: Suspect) -> PollRequest:
        self._probes_in_flight += 1
        suspect.start_probe()
        control = self._controls.next()
        return PollRequest(RequestKind.PROBE, (suspect.target,), control=control)

    def _suspect_of(self, request: PollRequest, failure: Failed | None) -> Suspect | None:
        """Return the open suspect of a request that has its reply."""
        suspect = self._suspects.get(request.targets[0].image_id)
        if suspect is None:
            return None
        suspect.requests.complete(failure)
        suspect.probes_in_flight -= request.kind is RequestKind.PROBE
        if not suspect.is_open:
            return None
        self._to_advance[suspect.target.image_id] = suspect
        return suspect

    def _take_suspect_result(
        self,
        suspect: Suspect,
        result: Found | NotFound | Failed,
        now: float,
        *,
        is_comparable: bool = True,
    ) -> None:
        match result:
            case Found(_, request_id) as found:
                is_news = self._history.is_news(found.image, suspect.evidence.first_404_at)
                if is_comparable and not is_news:
                    run = suspect.requests.responses
                    self._record_contradiction(suspect, request_id, now, run=run)
                if self._history.is_older(found.image):
                    self._give_up(suspect, Unproved.OLDER)
                else:
                    self.on_found(suspect.target.image_id)
                    self._conclude(suspect, SuspectState.DISMISSED, found)
            case NotFound(request_id):
                suspect.requests.responses += 1
                suspect.add_404(request_id)
            case Failed(reason, detail, request_id):
                suspect.problem = f"{reason}: {detail}"
                is_final = reason not in TRANSIENT
                if is_final and suspect.requests.failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                    suspect.request_id = request_id
                    self._give_up(suspect, Unproved.RECHECK_FAILED)

    def _count_probe(
        self, suspect: Suspect, request: PollRequest, reply: ProbeReply, now: float
    ) -> None:
        """Count a probe of an open suspect if it is conclusive."""
        for result in (reply.before, reply.after):
            if isinstance(result, Listed) and suspect.target.image_id in result.image_ids:
                # The rechecks were not wrong: a policy may hide an image that lists have.
                self._record_contradiction(suspect, result.request_id, now, run=1)
                self._give_up(suspect, Unproved.LISTED)
                return
        if not isinstance(reply.suspect, NotFound) or not isinstance(reply.after, Found | Listed):
            if reply.failure is None:
                suspect.problem = "the control was 404"
        elif request.control is not None or self._controls.is_list_best:
            suspect.count_probe(request.control, reply.connection)
            self._shared_probes += 1

    # Helpers

    def _record_contradiction(
        self, suspect: Suspect, request_id: str, now: float, *, run: int
    ) -> None:
        image_id, ids = suspect.target.image_id, (suspect.request_id, request_id)
        self._contradictions.record(image_id, ContradictionKind.NOT_FOUND, ids, now, run=run)

    def _give_up(self, suspect: Suspect, why: Unproved) -> None:
        failed = why.failed(suspect.request_id, suspect.problem or self._controls.list_problem)
        self._conclude(suspect, SuspectState.UNCONFIRMED, failed)

    def _conclude(self, suspect: Suspect, state: SuspectState, outcome: Outcome) -> None:
        self._close(suspect, state)
        self._outcomes.append((suspect.target, outcome))

    def _close(self, suspect: Suspect, state: SuspectState) -> None:
        suspect.state = state
        self._open.pop(suspect.target.image_id, None)
