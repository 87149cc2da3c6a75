"""Runs a cycle to its end without threads or sockets: the clock jumps, a function replies."""

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, Gone, NotFound, Outcome, Reading, Reason
from exporter.model.replies import (
    Batch,
    BatchReply,
    ImageReply,
    ListReply,
    PollReply,
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
    PollResult,
    RequestKind,
    Wait,
)

START = 1000.0
PACE = CyclePacing(interval=60.0, timeout=10.0, concurrency=4)
MISSING = NotFound()


def targets(*image_ids: str) -> list[Target]:
    """Targets of one cloud."""
    return [Target("lab", image_id, image_id) for image_id in image_ids]


def found(image_id: str, status: str = "active") -> Found:
    """An answer that describes the image."""
    return Found(Image("v1", image_id, status))


def image_id_of(ask: PollRequest) -> str:
    """Return the ID of the only image that is requested, or an empty string."""
    return ask.targets[0].image_id if len(ask.targets) == 1 else ""


def listing(*readings: Found | Failed, next_path: str | None = None) -> "Says":
    """A page of a list with these images; a failure is of the image that its detail names."""
    by_id = {
        reading.image.id if isinstance(reading, Found) else reading.detail: reading
        for reading in readings
    }
    return Says(None, batch=Batch(by_id, next_path))


def failed(reason: Reason) -> Failed:
    """A failure."""
    return Failed(reason, "as the test has it")


@dataclass(frozen=True)
class Says:
    """What a simulated cloud replies to one question, ``seconds`` later.

    ``reading`` is None for a list that is one.
    """

    reading: Reading | None
    seconds: float = 0.01
    wait: float | None = None
    accepted: bool | None = None
    batch: Batch | None = None
    splits: bool = False

    def reply(self, kind: RequestKind, sent_at: float) -> PollReply:
        """The reply to a question that was sent at that time."""
        good = isinstance(self.reading, Found) or self.reading is None
        facts = RequestFacts(
            sent_at,
            sent_at + self.seconds,
            accepted=good if self.accepted is None else self.accepted,
            retry_after=self.wait,
        )
        failed = self.reading if isinstance(self.reading, Failed) else None
        if kind is RequestKind.LIST and isinstance(self.reading, NotFound):
            failed = Failed("rejected", "HTTP 404", self.reading.request_id)
        elif kind in {RequestKind.BATCH, RequestKind.LIST}:
            assert self.reading is failed, "a list is one, or has failed"
        if kind is RequestKind.BATCH:
            batch = failed or self.batch or Batch({})
            return BatchReply(facts, batch, splittable=self.splits)
        if kind is RequestKind.LIST:
            return ListReply(facts, failed)
        assert self.reading is not None
        return ImageReply(facts, self.reading)


LISTED = Says(None)
Answers = Callable[[PollRequest, float], "Says | Reading"]


@dataclass(frozen=True)
class Heard:
    """A question that was answered."""

    ask: PollRequest
    reply: PollReply

    @property
    def reading(self) -> Reading | None:
        """The reading of an image, or the failure of a list; None if a list did not fail."""
        return self.reply.reading if isinstance(self.reply, ImageReply) else self.reply.failure

    @property
    def is_list(self) -> bool:
        """True if the reply is a list, in a batch or by itself."""
        return not isinstance(self.reply, ImageReply) and self.reply.failure is None

    @property
    def batch(self) -> Batch | None:
        """The batch, if that is the reply."""
        batch = self.reply.batch if isinstance(self.reply, BatchReply) else None
        return batch if isinstance(batch, Batch) else None


@dataclass
class Rehearsal:
    """One cycle, all that was asked and heard in it, and what came of it.

    ``verdicts`` has each verdict with the number of answers that had been heard by then.
    """

    cycle: Cycle
    answers: Answers
    concurrency: int = PACE.concurrency
    end: float = START + PACE.interval
    most_asks: int = 10_000
    now: float = START
    asked: list[tuple[float, PollRequest]] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    verdicts: list[tuple[PollResult, int]] = field(default_factory=list)
    most_in_flight: int = 0

    def run(self) -> "Rehearsal":
        """Runs the cycle until it is done or its time is over."""
        number = itertools.count()
        flying: list[tuple[float, int, PollRequest, PollReply]] = []
        while not self.cycle.done:
            until = inf
            if len(flying) < self.concurrency:
                match self.cycle.next(self.now):
                    case PollRequest() as ask:
                        reply = self._ask(ask)
                        heapq.heappush(
                            flying, (reply.request.received_at, next(number), ask, reply)
                        )
                        self.most_in_flight = max(self.most_in_flight, len(flying))
                        continue
                    case Wait(until):
                        assert until > self.now, "a wait for what is past never ends"
                    case Done():
                        continue
            arrives = flying[0][0] if flying else inf
            assert min(until, arrives) < inf, "the cycle waits for nothing"
            if min(until, arrives) >= self.end:
                self.now = self.end
                self.cycle.close()
            elif arrives <= until:
                self.now, _, ask, reply = heapq.heappop(flying)
                self.heard.append(Heard(ask, reply))
                self.cycle.heard(ask, reply, self.now)
            else:
                self.now = until
            self._collect()
        self._collect()
        return self

    def retract(self, image_id: str) -> None:
        """Takes an outcome back."""
        self.cycle.retract(image_id)
        self._collect()

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What each image ended as."""
        return {verdict.target.image_id: verdict.outcome for verdict, _ in self.verdicts}

    @property
    def words(self) -> dict[str, str]:
        """What each image ended as: found, gone or the reason of its failure."""
        return {image_id: word(outcome) for image_id, outcome in self.outcomes.items()}

    def kinds(self, kind: RequestKind) -> list[str]:
        """The IDs that were asked for with this kind of question, in order."""
        return [image_id_of(ask) for _, ask in self.asked if ask.kind == kind]

    def past(self, before: CycleHistory) -> CycleHistory:
        """What the next cycle has to know, as the poller works it out."""
        living, gone = set(before.existing), set(before.gone)
        for image_id, outcome in self.outcomes.items():
            if isinstance(outcome, Found):
                living.add(image_id)
                gone.discard(image_id)
            elif isinstance(outcome, Gone):
                gone.add(image_id)
                living.discard(image_id)
        return CycleHistory(
            existing=frozenset(living),
            gone=frozenset(gone),
            breaker_open=self.cycle.breaker_open,
            probe_count=before.probe_count + 1 if self.cycle.breaker_open else 0,
            suspect_mass_404=self.cycle.all_missing and not self.cycle.all_vanished,
            wait_until=self.cycle.wait_until,
        )

    def _ask(self, ask: PollRequest) -> PollReply:
        self.asked.append((self.now, ask))
        assert len(self.asked) <= self.most_asks, "too many questions"
        says = self.answers(ask, self.now)
        return (says if isinstance(says, Says) else Says(says)).reply(ask.kind, self.now)

    def _collect(self) -> None:
        self.verdicts += [(verdict, len(self.heard)) for verdict in self.cycle.verdicts]
        self.cycle.verdicts.clear()


def word(outcome: Outcome) -> str:
    """An outcome in a word."""
    return outcome.reason if isinstance(outcome, Failed) else type(outcome).__name__.lower()


def rehearse(
    image_ids: Iterable[str],
    answers: Answers,
    *,
    past: CycleHistory | None = None,
    pace: CyclePacing = PACE,
    start: float = START,
    random: float = 0.5,
    groups: Sequence[Group] | None = None,
) -> Rehearsal:
    """Runs one cycle; every image is new to it unless ``past`` says otherwise."""
    watched = targets(*image_ids)
    if past is None:
        past = CycleHistory(immediate=frozenset(each.image_id for each in watched))
    cycle = Cycle(watched, past, pace, start, lambda: random, groups=groups)
    return Rehearsal(cycle, answers, pace.concurrency, end=start + pace.interval, now=start).run()


def by_table(table: dict[str, "Says | Reading"], listing: "Says | Reading" = LISTED) -> Answers:
    """Always the same reply about an image, and the same to the list."""

    def answers(ask: PollRequest, _: float) -> Says | Reading:
        return listing if not image_id_of(ask) else table[image_id_of(ask)]

    return answers


def in_turn(*says: "Says | Reading") -> Answers:
    """One reply after the other, whatever is asked; the last one for ever."""
    left = list(says)

    def answers(_ask: PollRequest, _: float) -> Says | Reading:
        return left.pop(0) if len(left) > 1 else left[0]

    return answers
