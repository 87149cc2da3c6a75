"""A poll cycle without threads or sockets: its clock jumps, and a function replies."""

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from exporter.model.contradiction import Contradiction
from exporter.model.image import Image
from exporter.model.outcome import (
    Failed,
    Found,
    Gone,
    GoneEvidence,
    ImageResult,
    NotFound,
    Outcome,
    Reason,
)
from exporter.model.replies import (
    Batch,
    BatchReply,
    ControlResult,
    ImageReply,
    Listed,
    ListReply,
    PollReply,
    ProbeReply,
    RequestFacts,
)
from exporter.model.target import Target
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.engine.types import (
    CycleHistory,
    Done,
    Group,
    PollRequest,
    RequestKind,
    Wait,
)

START = 1000.0
PACING = CyclePacing(interval=60.0, timeout=10.0, concurrency=4)
NOT_FOUND = NotFound()


def targets(*image_ids: str) -> list[Target]:
    """Return targets of one cloud."""
    return [Target("lab", image_id, image_id) for image_id in image_ids]


def found(image_id: str, status: str = "active") -> Found:
    """Return the outcome of an image that exists."""
    return Found(Image("v1", image_id, status))


def failed(reason: Reason) -> Failed:
    """Return a failure."""
    return Failed(reason, "as in the test")


def image_id_of(request: PollRequest) -> str:
    """Return the ID of the only image that is requested, or an empty string."""
    return request.targets[0].image_id if len(request.targets) == 1 else ""


def outcome_name(outcome: Outcome) -> str:
    """Return "found", "gone", or the reason of a failure."""
    return outcome.reason if isinstance(outcome, Failed) else type(outcome).__name__.lower()


@dataclass(frozen=True)
class FakeReply:
    """The reply of a simulated cloud to one request, ``seconds`` after it.

    ``result`` is None for a list that does not fail. As the control of a probe it has the images
    ``listed_ids``.
    """

    result: ImageResult | None
    seconds: float = 0.01
    retry_after: float | None = None
    accepted: bool | None = None
    batch: Batch | None = None
    splittable: bool = False
    listed_ids: tuple[str, ...] = ()
    is_unavailable: bool = False

    def reply(self, kind: RequestKind, sent_at: float) -> PollReply:
        """Return the reply to a request of this kind that was sent at that time."""
        succeeded = isinstance(self.result, Found) or self.result is None
        accepted = succeeded if self.accepted is None else self.accepted
        facts = RequestFacts(
            sent_at,
            sent_at + self.seconds,
            retry_after=self.retry_after,
            is_unavailable=self.is_unavailable,
        )
        if kind not in {RequestKind.BATCH, RequestKind.LIST}:
            assert self.result is not None
            return ImageReply(facts, self.result, accepted)
        assert not isinstance(self.result, Found)
        failure = self.result
        if isinstance(failure, NotFound):
            # A list has no result of its own: a 404 is a failure of the list.
            failure = Failed("rejected", "HTTP 404", failure.request_id)
        if kind is RequestKind.LIST:
            return ListReply(facts, failure, accepted)
        return BatchReply(facts, failure or self.batch or Batch({}), accepted, self.splittable)

    def probe_result(self, kind: RequestKind) -> ControlResult:
        """Return the result of one request of a probe, for an image or for the list."""
        if self.result is None:
            return Listed(self.listed_ids)
        if kind is RequestKind.LIST and isinstance(self.result, NotFound):
            return Failed("rejected", "HTTP 404", self.result.request_id)
        return self.result


LIST_OK = FakeReply(None)
Responder = Callable[[PollRequest, float], "FakeReply | ImageResult"]
"""Replies to a request that is sent at that time."""


def batch_page(*results: Found | Failed, next_path: str | None = None) -> FakeReply:
    """Return a page with these images; the detail of a failure is the ID of its image."""
    by_id = {
        result.image.id if isinstance(result, Found) else result.detail: result
        for result in results
    }
    return FakeReply(None, batch=Batch(by_id, next_path))


def replies_by_image(
    replies: "dict[str, FakeReply | ImageResult]", list_reply: "FakeReply | ImageResult" = LIST_OK
) -> Responder:
    """Return a responder that always replies the same about an image, and about the list."""

    def respond(request: PollRequest, _: float) -> FakeReply | ImageResult:
        image_id = image_id_of(request)
        return replies[image_id] if image_id else list_reply

    return respond


def replies_in_order(*replies: "FakeReply | ImageResult") -> Responder:
    """Return a responder that gives the replies in order, and then repeats the last one."""
    remaining = list(replies)

    def respond(_request: PollRequest, _: float) -> FakeReply | ImageResult:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return respond


@dataclass(frozen=True)
class Roundtrip:
    """A request and its reply."""

    request: PollRequest
    reply: PollReply

    @property
    def result(self) -> ImageResult | None:
        """The result of an image, or the failure of a list or a probe; None if neither failed."""
        return self.reply.result if isinstance(self.reply, ImageReply) else self.reply.failure

    @property
    def is_conclusive(self) -> bool:
        """True for a probe whose control was found before and after a 404."""
        reply = self.reply
        return (
            isinstance(reply, ProbeReply)
            and isinstance(reply.before, Found | Listed)
            and isinstance(reply.suspect, NotFound)
            and isinstance(reply.after, Found | Listed)
        )

    @property
    def has_found_image(self) -> bool:
        """True if the request found an image, also as the control of a probe."""
        reply = self.reply
        if isinstance(reply, ProbeReply):
            results = (reply.before, reply.suspect, reply.after)
            return any(isinstance(result, Found) for result in results)
        return isinstance(reply, ImageReply) and isinstance(reply.result, Found)

    @property
    def is_list(self) -> bool:
        """True for a list that did not fail, of all images or of a batch."""
        return not isinstance(self.reply, ImageReply) and self.reply.failure is None

    @property
    def listed_ids(self) -> frozenset[str]:
        """The IDs of the images that are on a page of a batch."""
        if isinstance(self.reply, BatchReply) and isinstance(self.reply.batch, Batch):
            return frozenset(self.reply.batch.results)
        return frozenset()

    @property
    def sent_at(self) -> float:
        """When the request was sent."""
        return self.reply.facts.sent_at

    @property
    def received_at(self) -> float:
        """When the reply was complete."""
        return self.reply.facts.received_at


@dataclass
class SimulatedCycle:
    """One cycle, all its requests and replies, and its results.

    ``results`` has each target and outcome, with the number of replies that had been received by
    then. ``retracted`` has those of ``retract``.
    """

    cycle: Cycle
    respond: Responder
    concurrency: int = PACING.concurrency
    end: float = START + PACING.interval
    max_requests: int = 10_000
    now: float = START
    sent: list[tuple[float, PollRequest]] = field(default_factory=list)
    roundtrips: list[Roundtrip] = field(default_factory=list)
    results: list[tuple[Target, Outcome, int]] = field(default_factory=list)
    retracted: list[tuple[Target, Failed]] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    most_in_flight: int = 0

    def run(self) -> "SimulatedCycle":
        """Run the cycle until it is done or its time is over."""
        order = itertools.count()
        in_flight: list[tuple[float, int, PollRequest, PollReply]] = []
        while True:
            until = inf
            if len(in_flight) < self.concurrency:
                match self.cycle.next(self.now):
                    case PollRequest() as request:
                        reply = self._send(request)
                        received_at = reply.facts.received_at
                        heapq.heappush(in_flight, (received_at, next(order), request, reply))
                        self.most_in_flight = max(self.most_in_flight, len(in_flight))
                        continue
                    case Wait(until):
                        assert until > self.now, "waiting for the past never ends"
                    case Done():
                        break
            next_reply_at = in_flight[0][0] if in_flight else inf
            assert min(until, next_reply_at) < inf, "the cycle waits for nothing"
            if min(until, next_reply_at) >= self.end:
                self.now = self.end
                self.cycle.close()
                break
            if next_reply_at <= until:
                self.now, _, request, reply = heapq.heappop(in_flight)
                self.roundtrips.append(Roundtrip(request, reply))
                self.cycle.on_reply(request, reply, self.now)
            else:
                self.now = until
            self._collect()
        self._collect()
        return self

    def retract(self, image_id: str) -> None:
        """Retract the outcome of an image."""
        self.cycle.retract(image_id)
        self._collect()

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The last outcome of each image."""
        outcomes = [(target, outcome) for target, outcome, _ in self.results]
        return {target.image_id: outcome for target, outcome in [*outcomes, *self.retracted]}

    @property
    def outcome_names(self) -> dict[str, str]:
        """The name of the last outcome of each image."""
        return {image_id: outcome_name(outcome) for image_id, outcome in self.outcomes.items()}

    def ids_requested(self, kind: RequestKind) -> list[str]:
        """Return the IDs requested with this kind of request, in order; "" for several."""
        return [image_id_of(request) for _, request in self.sent if request.kind is kind]

    def next_history(self, history: CycleHistory) -> CycleHistory:
        """Return the history for the next cycle, as the poller computes it."""
        existing, gone = set(history.existing), set(history.gone)
        for image_id, outcome in self.outcomes.items():
            if isinstance(outcome, Found):
                existing.add(image_id)
                gone.discard(image_id)
            elif isinstance(outcome, Gone):
                gone.add(image_id)
                existing.discard(image_id)
        return replace(
            self.cycle.history(),
            existing=frozenset(existing),
            gone=frozenset(gone),
            immediate=frozenset(),
        )

    def _send(self, request: PollRequest) -> PollReply:
        self.sent.append((self.now, request))
        assert len(self.sent) <= self.max_requests, "too many requests"
        if request.kind is RequestKind.PROBE:
            return self._send_probe(request)
        return self._response(request).reply(request.kind, self.now)

    def _response(self, request: PollRequest) -> FakeReply:
        response = self.respond(request, self.now)
        return response if isinstance(response, FakeReply) else FakeReply(response)

    def _send_probe(self, request: PollRequest) -> ProbeReply:
        """Request the control, the suspect and the control again, as ``ImageClient.probe`` does."""
        control = PollRequest(RequestKind.LIST)
        if request.control is not None:
            target = replace(request.targets[0], image_id=request.control)
            control = PollRequest(RequestKind.PROBE, (target,))
        replies: list[FakeReply] = []
        results: list[ControlResult] = []
        for step in (control, request, control):
            reply = self._response(step)
            replies.append(reply)
            results.append(reply.probe_result(step.kind))
            if isinstance(results[-1], Failed):
                break
            is_suspect = step is request
            if is_suspect == isinstance(results[-1], Found | Listed):
                break
        seconds = sum(reply.seconds for reply in replies)
        retry_after = replies[-1].retry_after
        suspect = results[1] if len(results) > 1 else None
        assert not isinstance(suspect, Listed)
        return ProbeReply(
            RequestFacts(self.now, self.now + seconds, retry_after=retry_after),
            results[0],
            suspect,
            results[2] if len(results) > 2 else None,
            requests=len(results),
            accepted=any(isinstance(result, Found | Listed) for result in results),
        )

    def _collect(self) -> None:
        replies = len(self.roundtrips)
        self.results += [(*result, replies) for result in self.cycle.results.take_outcomes()]
        self.retracted += self.cycle.results.take_retracted()
        self.contradictions += self.cycle.doubts.contradictions.take()


FOUND_BEFORE = CycleHistory(any_found=True)
"""An image was found with the same credentials before, so that an empty list can be the control."""


def run_cycle(
    image_ids: Iterable[str],
    respond: Responder,
    *,
    history: CycleHistory | None = None,
    pacing: CyclePacing = PACING,
    start: float = START,
    random: float = 0.5,
    groups: Sequence[Group] | None = None,
) -> SimulatedCycle:
    """Run one cycle; without a ``history`` no image was polled before."""
    watched = targets(*image_ids)
    if history is None:
        history = CycleHistory(immediate=frozenset(target.image_id for target in watched))
    cycle = Cycle(watched, history, pacing, start, lambda: random, groups=groups)
    end = start + pacing.interval
    return SimulatedCycle(cycle, respond, pacing.concurrency, end=end, now=start).run()


def evidence(run: SimulatedCycle, image_id: str) -> GoneEvidence:
    """Return the evidence for an image that is gone."""
    outcome = run.outcomes[image_id]
    assert isinstance(outcome, Gone)
    assert outcome.evidence is not None
    return outcome.evidence


def detail(outcome: object) -> str:
    """Return the detail of a failure."""
    assert isinstance(outcome, Failed)
    return outcome.detail


def requests_of(run: SimulatedCycle) -> int:
    """Return the number of HTTP requests of a cycle; a probe sends several."""
    return sum(h.reply.requests if isinstance(h.reply, ProbeReply) else 1 for h in run.roundtrips)
