"""One cycle over the images of one cloud: what is asked next, and what each image ends as.

No threads, no clock, no I/O: times come in as steady seconds, questions go out as ``PollRequest``.
"""

from collections.abc import Callable, Iterable, Sequence
from math import inf

from exporter.model.outcome import Failed, Found, Gone, NotFound, Outcome
from exporter.model.replies import BatchReply, ImageReply, ListReply, PollReply
from exporter.model.target import Target
from exporter.polling.engine.batching import BatchPlanner, one_by_one
from exporter.polling.engine.circuit_breaker import BREAKING, CircuitBreaker
from exporter.polling.engine.gone_confirmation import GoneConfirmation
from exporter.polling.engine.pacing import LIST_WEIGHT, RETRIES, CyclePacing, schedule
from exporter.polling.engine.request_queue import RequestQueue
from exporter.polling.engine.types import (
    CycleHistory,
    CycleStats,
    Done,
    Group,
    PollRequest,
    PollResult,
    RequestKind,
    Wait,
)

PASSING = (BREAKING - {"tls"}) | {"rate_limited"}
"""Failures after which a request is worth sending again in the same cycle."""

MAX_CANARIES = 3
"""Images asked out of turn in one cycle, to tell one lost image from a lost cloud."""

LIST_DELAY = 0.01
LONGEST_GATHER = 0.5
"""How long a proof waits for further 404s that it may serve: a share of the interval, seconds."""

NOT_FAILED = frozenset({"found", "gone"})


class Cycle:
    """The state of one cycle; not thread-safe.

    ``next`` says what to do, ``heard`` takes the answer, ``verdicts`` gives each image's outcome
    once it is decided, ``close`` decides the rest when the time is over. ``groups`` are the
    targets that are asked for together, each target in one; each by itself where none are given.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        past: CycleHistory,
        pace: CyclePacing,
        start: float,
        random: Callable[[], float],
        *,
        groups: Sequence[Group] | None = None,
    ) -> None:
        self._past = past
        self._pace = pace
        self._start = start
        self._random = random
        self._targets = {target.image_id: target for target in targets}
        self._undecided = dict(self._targets)
        asked = [(target,) for target in targets] if groups is None else groups
        probe = targets[past.probe_count % len(targets)] if past.breaker_open and targets else None
        others = (tuple(each for each in group if each != probe) for group in asked)
        planned = _planned(list(filter(None, others)), past.immediate, start, pace.interval)
        self._agenda = RequestQueue(planned, pace.lists)
        self._ended: dict[str, str] = {}
        self._request_ids: dict[str, str] = {}
        self._evidence = GoneConfirmation(past.existing, suspected=past.suspect_mass_404)
        self._batches = BatchPlanner(asked)
        self._breaker = CircuitBreaker(pace.concurrency, is_open=past.breaker_open)
        self._witnesses = 0
        self._list_failed = False
        self._list_asked = False
        self._not_found = False
        self._answered = False
        self._done = False
        self.wait_until = past.wait_until
        self.verdicts: list[PollResult] = []
        self.stats = CycleStats()
        if not targets:
            # Whether the API answers is to be known all the same.
            self._agenda.push(start, PollRequest(RequestKind.LIST))
        if probe is not None:
            self._agenda.hold()
            self._agenda.push(start, PollRequest(RequestKind.POLL, (probe,), RETRIES))

    @property
    def breaker_open(self) -> bool:
        """Whether the API is asked only by a probe for now."""
        return self._breaker.is_open

    @property
    def all_missing(self) -> bool:
        """Whether every image that was there was 404 in this cycle."""
        return self._evidence.all_missing

    @property
    def all_vanished(self) -> bool:
        """Whether all images that were there are gone now, after two cycles that said so."""
        living = self._past.existing
        return self._past.suspect_mass_404 and all(
            self._ended.get(each) == "gone" for each in living
        )

    @property
    def done(self) -> bool:
        """Whether every image has its outcome."""
        return self._done

    def has_due(self, now: float) -> bool:
        """Whether there is a question to be asked at once."""
        return max(self._agenda.due, self.wait_until) <= now

    def add(self, groups: Sequence[Group], now: float) -> bool:
        """Takes in images that are to be asked at once; says whether there is time left for it."""
        last_start = self._start + self._pace.last_start
        if self._done or max(now, self.wait_until) >= last_start:
            return False
        added = {target.image_id: target for group in groups for target in group}
        self._targets |= added
        self._undecided |= added
        self._batches.add(groups)
        self._agenda.plan((now, group) for group in groups)
        if self._breaker.is_open:
            self._agenda.hold()
        return True

    def next(self, now: float) -> PollRequest | Wait | Done:
        """What to do at ``now``."""
        if self._done:
            return Done()
        last_start = self._start + self._pace.last_start
        if now >= last_start:
            self._abandon("the cycle's time was over")
        elif self.wait_until >= last_start:
            self._abandon("the service asks to be left alone for longer than this cycle")
        due = max(self._agenda.due, self.wait_until)
        if self._agenda.due < inf:
            return Wait(min(due, last_start)) if due > now else self._take(now)
        if self._agenda.flying:
            return Wait(inf)
        if self._agenda.holds:
            self._abandon("the breaker is open: the API does not answer")
        if self._only_404s and max(now, self.wait_until) < last_start:
            # Is it the API, or just these images?
            self._ask_list(now)
            return self.next(now)
        self._finish("nothing proves that the API answers for these credentials")
        return Done()

    def heard(self, ask: PollRequest, reply: PollReply, now: float) -> None:
        """Takes the answer to a question that ``next`` gave."""
        if self._done:
            return
        self._agenda.answered(ask)
        self.stats.requests += 1
        weight = LIST_WEIGHT if ask.kind is RequestKind.BATCH else 1
        self.stats.busy_seconds += weight * max(0.0, now - reply.request.sent_at)
        self.stats.accepted = self.stats.accepted or reply.request.accepted
        if reply.request.retry_after is not None:
            self._told_to_wait(now, now + reply.request.retry_after)
        self._feed_breaker(reply, now)
        match reply:
            case BatchReply():
                self._heard_batch(ask, reply, now)
            case ListReply():
                self._heard_list(ask, reply, now)
            case ImageReply():
                self._heard_image(ask, reply, now)
        if self._batches.has_unlisted and not self._agenda.lists(now):
            self._push_all(now, self._batches.hidden_lists())
        self._weigh(now)

    def retract(self, image_id: str) -> None:
        """Bytes were left after the answer about an image: what it said cannot be trusted."""
        failed = Failed("malformed", "bytes were left after the answer")
        if image_id in self._undecided:
            self._end(self._targets[image_id], failed)
        elif self._ended.get(image_id) in NOT_FAILED:
            self._ended[image_id] = failed.reason
            self.stats.failures[failed.reason] += 1
            self.verdicts.append(PollResult(self._targets[image_id], failed, replaces_earlier=True))

    def close(self) -> None:
        """Ends the cycle now: what was not asked or not answered in time has failed."""
        if self._done:
            return
        self._abandon("the cycle's time was over")
        self.stats.in_flight_at_end = len(self._agenda.flying)
        for ask in self._agenda.flying:
            self._give_up(ask, Failed("timeout", "no answer before the cycle ended"))
        self._finish("the cycle ended before it could be proved")

    # What next() is made of

    def _take(self, now: float) -> PollRequest | Wait | Done:
        """The question that is due; where it is a list of no use, the first of its images."""
        ask = self._agenda.take(now)
        if ask.kind is not RequestKind.BATCH or not self._batches.useless(ask.hidden):
            return ask
        self._agenda.answered(ask)
        self._push_all(now, one_by_one(ask.targets_to_fail))
        return self.next(now)

    @property
    def _only_404s(self) -> bool:
        """Whether 404s came and nothing else tells whether the API works; the list would."""
        return (
            self._not_found
            and not self.stats.accepted
            and not self._list_asked
            and not self._breaker.is_open
        )

    def _spread(self, at: float) -> None:
        """Plans what was held back evenly over the rest of the cycle: no stampede."""
        left = self._start + self._pace.last_start - at
        held = self._agenda.release()
        self._agenda.plan(_planned(held, frozenset(), at, max(left, 0.0)))

    def _abandon(self, why: str) -> None:
        """Asks nothing more: what has failed before keeps its reason, the rest was not polled."""
        failed = Failed("not_polled", why)
        self._agenda.hold()
        for group in self._agenda.release():
            for target in group:
                self._end(target, failed)
        self._drop_extra(why)

    def _drop_extra(self, why: str) -> None:
        """Gives up retries, proofs, and what waits for a list."""
        for target in self._batches.take_unlisted():
            self._end(target, Failed("not_polled", why))
        for ask in self._agenda.drop():
            self._give_up(ask, ask.failure or Failed("not_polled", why))

    def _give_up(self, ask: PollRequest, failed: Failed) -> None:
        for target in ask.targets_to_fail:
            self._end(target, failed)

    def _finish(self, why: str) -> None:
        if self.all_missing and self._evidence.all_at_once:
            why = "all images of the cloud turned 404 at once: role, project, region or policy?"
        for target in list(self._undecided.values()):
            self._end(target, Failed("unconfirmed", f"404, but {why}"))
        self._done = True

    # What heard() is made of

    def _told_to_wait(self, now: float, until: float) -> None:
        self.stats.retry_after_seconds += max(0.0, until - max(now, self.wait_until))
        if until > self.wait_until:
            self.wait_until = until
            self._agenda.hold()
            self._spread(until)

    def _feed_breaker(self, reply: PollReply, now: float) -> None:
        if reply.failure is None:
            self._answered = True
            self._breaker.answered()
        elif not reply.request.failed_at_sign_in or reply.failure.reason in BREAKING:
            # That Keystone refuses says nothing of the Image service.
            self._breaker.failed(reply.failure.reason)
        if self._breaker.is_open:
            self._agenda.hold()
            self._drop_extra("the breaker is open: the API does not answer")
        elif self._agenda.holds:
            self._spread(max(now, self.wait_until))

    def _heard_image(self, ask: PollRequest, reply: ImageReply, now: float) -> None:
        self._not_found = self._not_found or isinstance(reply.reading, NotFound)
        match ask.kind:
            case RequestKind.POLL:
                self._heard_poll(ask, reply, now)
            case RequestKind.CONFIRM:
                self._heard_confirm(ask, reply, now)
            case RequestKind.CANARY:
                self._heard_witness(ask, reply)

    def _heard_poll(self, ask: PollRequest, reply: ImageReply, now: float) -> None:
        (target,) = ask.targets
        match reply.reading:
            case Found() as found:
                self._found(target, found, reply)
            case NotFound(request_id) if target.image_id in self._past.gone:
                self._end(target, Gone(request_id))
            case NotFound():
                self._evidence.missing(target.image_id)
                self._agenda.push(now, PollRequest(RequestKind.CONFIRM, ask.targets))
            case Failed() as failed if not self._again(ask, failed, now):
                self._failed(target, failed)

    def _heard_batch(self, ask: PollRequest, reply: BatchReply, now: float) -> None:
        readings = {} if isinstance(reply.batch, Failed) else reply.batch.readings
        for target in ask.targets:
            match readings.get(target.image_id):
                case Found() as found:
                    self._found(target, found, reply)
                case Failed() as failed:
                    self._failed(target, failed)
        left = tuple(each for each in ask.targets if each.image_id in self._undecided)
        if isinstance(reply.batch, Failed):
            self._batch_failed(ask, left, reply.batch, now, splittable=reply.splittable)
        else:
            # The list is as good a proof that the API answers as the one asked for that alone.
            self._evidence.listed(reply.request.sent_at)
            self._push_all(now, self._batches.after_page(ask, left, reply.batch.next_path))

    def _batch_failed(
        self,
        ask: PollRequest,
        left: tuple[Target, ...],
        failed: Failed,
        now: float,
        *,
        splittable: bool,
    ) -> None:
        """Asks again, for fewer where the number may be the cause, or gives the images up."""
        of_server = failed.reason == "server_error" and not self._breaker.is_open
        if splittable or (of_server and self._answered):
            self._push_all(now, self._batches.after_refusal(ask, left, failed))
        elif self._again(ask, failed, now):
            pass
        elif of_server:
            # Is it the API, or one of these images?
            rest = (*left, *ask.deferred)
            self._agenda.push(
                now, PollRequest(RequestKind.LIST, (), RETRIES, failed, ask.hidden, deferred=rest)
            )
        else:
            for target in ask.targets_to_fail:
                self._failed(target, failed)

    def _push_all(self, now: float, asks: Iterable[PollRequest]) -> None:
        for ask in asks:
            self._agenda.push(now, ask)

    def _found(self, target: Target, found: Found, reply: ImageReply | BatchReply) -> None:
        self._evidence.found(target.image_id, reply.request.sent_at)
        self._end(target, found)

    def _failed(self, target: Target, failed: Failed) -> None:
        self._evidence.failed(target.image_id)
        self._end(target, failed)

    def _heard_confirm(self, ask: PollRequest, reply: ImageReply, now: float) -> None:
        (target,) = ask.targets
        match reply.reading:
            case Found() as found:
                self._found(target, found, reply)
            case NotFound(request_id) if target.image_id in self._undecided:
                self._request_ids[target.image_id] = request_id
                self._evidence.confirmed(target.image_id, reply.request.received_at)
            case Failed() as failed if not self._again(ask, failed, now):
                why = f"404, and asked again: {failed.reason}: {failed.detail}"
                self._end(target, Failed("unconfirmed", why, failed.request_id))

    def _heard_witness(self, ask: PollRequest, reply: ImageReply) -> None:
        (target,) = ask.targets
        if isinstance(reply.reading, Found):
            self._evidence.found(target.image_id, reply.request.sent_at)

    def _heard_list(self, ask: PollRequest, reply: ListReply, now: float) -> None:
        self._list_asked = True
        if reply.failure is None:
            self._evidence.listed(reply.request.sent_at)
            if ask.failure is not None:
                self._push_all(now, self._batches.fewer(ask.deferred, ask.hidden, ask.failure))
        elif self._again(ask, reply.failure, now):
            pass
        elif ask.failure is not None and ask.deferred:
            self._give_up(ask, ask.failure)
        else:
            self._list_failed = True

    def _again(self, ask: PollRequest, failed: Failed, now: float) -> bool:
        """Whether the question is to be asked again, which is then seen to."""
        due = max(now + self._pace.backoff(ask.attempt, self._random), self.wait_until)
        if (
            failed.reason not in PASSING
            or ask.attempt >= RETRIES
            or self._breaker.is_open
            or due >= self._start + self._pace.last_start
        ):
            return False
        self.stats.retries += 1
        self._agenda.push(due, ask._replace(attempt=ask.attempt + 1, failure=failed))
        return True

    def _weigh(self, now: float) -> None:
        """Decides the 404s that can be decided, and asks for what is missing to do so."""
        for image_id in self._evidence.gone():
            self.stats.accepted = True
            self._end(self._targets[image_id], Gone(self._request_ids[image_id]))
        if not self._evidence.undecided or self._breaker.is_open:
            return
        if not self._evidence.all_at_once:
            if not self._list_failed:
                self._ask_list(now + min(LONGEST_GATHER, LIST_DELAY * self._pace.interval))
        elif self._witnesses < MAX_CANARIES and not self._agenda.has(RequestKind.CANARY):
            witness = self._evidence.witness()
            if witness is not None:
                self._witnesses += 1
                self._agenda.push(now, PollRequest(RequestKind.CANARY, (self._targets[witness],)))

    def _ask_list(self, due: float) -> None:
        if not self._agenda.has(RequestKind.LIST):
            self._agenda.push(due, PollRequest(RequestKind.LIST))

    def _end(self, target: Target, outcome: Outcome) -> None:
        """Gives the image its one outcome; a later one is none of this cycle's."""
        if self._undecided.pop(target.image_id, None) is None:
            return
        self.stats.polls += 1
        match outcome:
            case Failed(reason):
                self._ended[target.image_id] = reason
                self.stats.failures[reason] += 1
            case Found():
                self._ended[target.image_id] = "found"
                self.stats.found += 1
            case Gone():
                self._ended[target.image_id] = "gone"
        self.verdicts.append(PollResult(target, outcome))


def _planned(
    groups: Sequence[Group], new: frozenset[str], start: float, interval: float
) -> list[tuple[float, Group]]:
    """When each group is asked; one with a ``new`` target at once."""
    by_first = {group[0].image_id: group for group in groups}
    at_once = frozenset(
        group[0].image_id for group in groups if any(each.image_id in new for each in group)
    )
    firsts = [group[0] for group in groups]
    planned = schedule(firsts, at_once, start, interval)
    return [(due, by_first[first.image_id]) for due, first in planned]
