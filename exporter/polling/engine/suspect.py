"""Suspects: images that were 404 in this cycle."""

from dataclasses import dataclass, replace
from enum import Enum, auto

from exporter.model.outcome import Failed, GoneEvidence
from exporter.model.target import Target
from exporter.polling.engine.evidence_requests import EvidenceRequests
from exporter.polling.engine.types import Suspicion

MAX_PROBES = 84
"""Probes about one image in a cycle. Six conclusive ones need 24 on average if half of the requests
reach a server without the control, and more than 84 at one of 10,000 polls."""

MAX_KEPT = 20
"""Limit of the request IDs, and of the connections, that are kept as evidence."""

LIST_AS_CONTROL = "list"
"""Stands for a list of images among the controls."""


class SuspectState(Enum):
    """Progress of the confirmation of one image; see ``gone_confirmation``."""

    OPEN = auto()
    PROVEN = auto()
    WAITING = auto()
    UNCONFIRMED = auto()
    DISMISSED = auto()


class Unproved(Enum):
    """The reason why a suspect is not proved to be gone in this cycle."""

    RECHECK_FAILED = "the recheck failed"
    NO_PROOF = "nothing proves that the API responds to these credentials"
    NOT_SERVED = "the list of images has others that are 404 as well"
    EMPTY_LIST = "the list of images is empty, as in a wrong project"
    NO_CONTROL = "no control could be found before and after it"
    FAILURES = "too many requests for its evidence failed"
    LISTED = "the list of images has it"
    OLDER = "a server has an older state of it"
    CONTRADICTED = "the next cycle has to confirm it, because servers contradict each other"
    FAILED_SOMETIMES = "the next cycle has to confirm it, because some requests failed"
    CYCLE_ENDED = "the cycle ended before it could be proved"
    BREAKER_OPEN = "the circuit breaker opened before it could be proved"
    ALL_AT_ONCE = "all images of the cloud turned 404 at once: role, project, region or policy?"

    def failed(self, request_id: str = "", problem: str = "") -> Failed:
        """Return the failure of a poll for this reason; ``problem`` is the last that occurred."""
        detail = f"404, but {self.value}"
        if self in WITH_PROBLEM and problem:
            detail += f": {problem}"
        return Failed("unconfirmed", detail, request_id)


WITH_PROBLEM = {
    Unproved.RECHECK_FAILED,
    Unproved.NO_PROOF,
    Unproved.NO_CONTROL,
    Unproved.FAILURES,
}
"""The reasons that the last problem explains."""


@dataclass(slots=True)
class Suspect:
    """One image that was 404 in this cycle.

    Attributes:
        evidence: All 404s, also those of earlier cycles that came to the same conclusion.
        requests: Requests of this cycle that gather the evidence.
        rechecks: 404s of rechecks that count for this cycle.
        probes: Conclusive probes that count for this cycle.
        shared_before: Conclusive probes of all suspects with which it shared evidence before.
        probes_in_flight: Probes without a reply.
        probes_sent: Probes of this cycle, conclusive or not.
        request_id: Request ID of the last 404.
        problem: The reason why the last request showed nothing.
        is_repeated: It was unconfirmed in the last cycle as well, and not for lack of time.
    """

    target: Target
    evidence: GoneEvidence
    requests: EvidenceRequests
    rechecks: int = 0
    probes: int = 0
    shared_before: int = 0
    probes_in_flight: int = 0
    probes_sent: int = 0
    request_id: str = ""
    problem: str = ""
    is_repeated: bool = False
    state: SuspectState = SuspectState.OPEN

    @property
    def is_open(self) -> bool:
        """Return True if the evidence is not complete."""
        return self.state is SuspectState.OPEN

    @property
    def rechecks_in_flight(self) -> int:
        """Return the number of rechecks without a reply."""
        return self.requests.in_flight - self.probes_in_flight

    @property
    def probes_left(self) -> int:
        """Return how many probes may still be sent in this cycle."""
        return MAX_PROBES - self.probes_sent

    @property
    def shortage(self) -> Unproved:
        """Return why the requests of this cycle were not enough."""
        return Unproved.FAILURES if self.requests.transient_failures else Unproved.NO_CONTROL

    def add_404(self, request_id: str) -> None:
        """Add the request ID of a 404 to the evidence."""
        self.request_id = request_id
        ids = self.evidence.request_ids
        if request_id and len(ids) < MAX_KEPT:
            self.evidence = replace(self.evidence, request_ids=(*ids, request_id))

    def count_recheck(self) -> None:
        """Count a recheck that was 404."""
        self.rechecks += 1
        self.evidence = replace(self.evidence, rechecks=self.evidence.rechecks + 1)

    def start_probe(self) -> None:
        """Count a probe that is in flight from now on."""
        self.probes_in_flight += 1
        self.probes_sent += 1

    def count_probe(self, control: str | None, connection: str) -> None:
        """Count a conclusive probe with this control, or with a list if it is None."""
        self.probes += 1
        evidence = self.evidence
        self.evidence = replace(
            evidence,
            probes=evidence.probes + 1,
            controls=_newest((*evidence.controls, control or LIST_AS_CONTROL)),
            connections=(*evidence.connections, connection)[-MAX_KEPT:],
        )

    def suspicion(self, *, counts: bool, shared: int) -> Suspicion:
        """Return the evidence with which the next cycle may continue, if it ``counts``.

        ``shared`` is the number of conclusive probes of all suspects, if they share their evidence.
        """
        is_complete = self.state is SuspectState.WAITING
        rechecks = max(0, self.rechecks - self.requests.additional) if counts else 0
        probes = self.probes if counts else 0
        is_unconfirmed = self.state is SuspectState.UNCONFIRMED
        run = self.requests.responses
        return Suspicion(
            self.evidence,
            rechecks,
            probes,
            run,
            is_complete,
            is_unconfirmed,
            shared if counts else 0,
        )


def new_suspect(target: Target, earlier: Suspicion | None, now: float) -> Suspect:
    """Return a new suspect, with the evidence of the last cycle if that has some."""
    if earlier is None:
        return Suspect(target, GoneEvidence(now), EvidenceRequests())
    if earlier.is_complete:
        evidence = replace(earlier.evidence, cycles=earlier.evidence.cycles + 1)
        return Suspect(target, evidence, EvidenceRequests())
    rechecks, probes = earlier.rechecks, earlier.probes
    return Suspect(
        target,
        replace(earlier.evidence, cycles=1),
        EvidenceRequests(responses=1 + rechecks + probes),
        rechecks=rechecks,
        probes=probes,
        shared_before=earlier.shared,
        is_repeated=earlier.is_unconfirmed,
    )


def _newest(controls: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(controls))[-MAX_KEPT:]
