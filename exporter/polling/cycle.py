"""One cycle over the images of one cloud: what is asked next, and what each image ends as.

No threads, no clock, no I/O: times come in as steady seconds, questions go out as ``Ask``.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import count
from math import inf
from typing import NamedTuple

from exporter.glance.client import Reply
from exporter.image.outcome import Failed, Found, Gone, NotFound, Outcome
from exporter.image.target import Target
from exporter.polling.breaker import BREAKING, Breaker
from exporter.polling.evidence import Evidence
from exporter.polling.pace import RETRIES, Pace, schedule
from exporter.polling.past import Past
from exporter.polling.question import Ask, Done, Kind, Wait
from exporter.polling.tally import Tally

PASSING = (BREAKING - {"tls"}) | {"rate_limited"}
"""Failures after which a request is worth sending again in the same cycle."""

MAX_WITNESSES = 3
"""Images asked out of turn in one cycle, to tell one lost image from a lost cloud."""


class Verdict(NamedTuple):
    """What one image ended as; ``again`` where it replaces an outcome given before."""

    target: Target
    outcome: Outcome
    again: bool = False


class Cycle:
    """The state of one cycle; not thread-safe.

    ``next`` says what to do, ``heard`` takes the answer, ``verdicts`` gives each image's outcome
    once it is decided, ``close`` decides the rest when the time is over.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        past: Past,
        pace: Pace,
        start: float,
        random: Callable[[], float],
    ) -> None:
        self._past = past
        self._pace = pace
        self._start = start
        self._random = random
        self._targets = {target.image_id: target for target in targets}
        self._undecided = dict(self._targets)
        self._schedule = deque(schedule(targets, past.new, start, pace.interval))
        self._extra: list[tuple[float, int, Ask]] = []
        self._number = count()
        self._flying: dict[int, Ask] = {}
        self._asking: set[Kind] = set()
        self._last_failure: dict[str, Failed] = {}
        self._ended: dict[str, str] = {}
        self._held: list[Target] = []
        self._evidence = Evidence(past.living, suspected=past.all_missing)
        self._breaker = Breaker(pace.concurrency, is_open=past.breaker_open)
        self._witnesses = 0
        self._list_failed = False
        self._list_asked = False
        self._not_found = False
        self._done = False
        self.wait_until = past.wait_until
        self.verdicts: list[Verdict] = []
        self.tally = Tally(Counter())
        if past.breaker_open and self._schedule:
            self._hold()
            probe = self._held.pop(past.probe % len(self._held))
            self._push(start, Ask(Kind.POLL, probe, RETRIES))

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
        living = self._past.living
        return self._past.all_missing and all(self._ended.get(each) == "gone" for each in living)

    @property
    def done(self) -> bool:
        """Whether every image has its outcome."""
        return self._done

    def has_due(self, now: float) -> bool:
        """Whether there is a question to be asked at once."""
        if self.wait_until > now:
            return False
        first = self._schedule[0][0] if self._schedule else inf
        return min(first, self._extra[0][0] if self._extra else inf) <= now

    def next(self, now: float) -> Ask | Wait | Done:
        """What to do at ``now``."""
        if self._done:
            return Done()
        last_start = self._start + self._pace.last_start
        if now >= last_start:
            self._abandon("the cycle's time was over")
        elif self.wait_until >= last_start:
            self._abandon("the service asks to be left alone for longer than this cycle")
        pending = min(
            self._schedule[0][0] if self._schedule else inf,
            self._extra[0][0] if self._extra else inf,
        )
        if pending < inf:
            if max(pending, self.wait_until) > now:
                return Wait(min(max(pending, self.wait_until), last_start))
            return self._take(now)
        if self._flying:
            return Wait(inf)
        if self._held:
            self._abandon("the breaker is open: the API does not answer")
        if self._only_404s and max(now, self.wait_until) < last_start:
            # Is it the API, or just these images?
            self._ask_list(now)
            return self.next(now)
        self._finish("nothing proves that the API answers for these credentials")
        return Done()

    def heard(self, ask: Ask, reply: Reply, now: float) -> None:
        """Takes the answer to a question that ``next`` gave."""
        if self._done:
            return
        del self._flying[id(ask)]
        self._asking.discard(ask.kind)
        self.tally.asked += 1
        self.tally.busy += max(0.0, now - reply.sent_at)
        self.tally.accepted = self.tally.accepted or reply.accepted
        if reply.wait is not None:
            self._told_to_wait(now, now + reply.wait)
        self._not_found = self._not_found or isinstance(reply.reading, NotFound)
        self._feed_breaker(reply, now)
        match ask.kind:
            case Kind.POLL:
                self._heard_poll(ask, reply, now)
            case Kind.CONFIRM:
                self._heard_confirm(ask, reply, now)
            case Kind.WITNESS:
                self._heard_witness(ask, reply)
            case Kind.LIST:
                self._heard_list(ask, reply, now)
        self._weigh(now)

    def retract(self, image_id: str) -> None:
        """Bytes were left after the answer that the image was found by: it cannot be trusted."""
        if self._ended.get(image_id) == "":
            failed = Failed("malformed", "bytes were left after the answer")
            self._ended[image_id] = failed.reason
            self.tally.failures[failed.reason] += 1
            self.verdicts.append(Verdict(self._targets[image_id], failed, again=True))

    def close(self) -> None:
        """Ends the cycle now: what was not asked or not answered in time has failed."""
        if self._done:
            return
        self._abandon("the cycle's time was over")
        for ask in list(self._flying.values()):
            if ask.target is not None and ask.kind is Kind.POLL:
                self._end(ask.target, Failed("timeout", "no answer before the cycle ended"))
        self._flying.clear()
        self._finish("the cycle ended before it could be proved")

    # What next() is made of

    @property
    def _only_404s(self) -> bool:
        """Whether 404s came and nothing else tells whether the API works; the list would."""
        return (
            self._not_found
            and not self.tally.accepted
            and not self._list_asked
            and not self._breaker.is_open
        )

    def _take(self, now: float) -> Ask:
        if self._extra and self._extra[0][0] <= now:
            ask = heapq.heappop(self._extra)[2]
        else:
            ask = Ask(Kind.POLL, self._schedule.popleft()[1])
        self._flying[id(ask)] = ask
        return ask

    def _push(self, due: float, ask: Ask) -> None:
        heapq.heappush(self._extra, (due, next(self._number), ask))

    def _hold(self) -> None:
        """Keeps the polls that are still to come back, for when the breaker closes."""
        self._held += [target for _, target in self._schedule]
        self._schedule.clear()

    def _abandon(self, why: str) -> None:
        """Asks nothing more: what has failed before keeps its reason, the rest was not polled."""
        self._hold()
        for target in self._held:
            self._end(target, Failed("not_polled", why))
        self._held.clear()
        self._drop_extra(why)

    def _drop_extra(self, why: str) -> None:
        """Gives up retries and proofs; a poll that was to be retried keeps its last failure."""
        for _, _, ask in self._extra:
            self._asking.discard(ask.kind)
            if ask.target is not None and ask.kind is Kind.POLL:
                failure = self._last_failure.get(ask.target.image_id)
                self._end(ask.target, failure or Failed("not_polled", why))
        self._extra.clear()

    def _finish(self, why: str) -> None:
        if self.all_missing and self._evidence.all_at_once:
            why = "all images of the cloud turned 404 at once: role, project, region or policy?"
        for target in list(self._undecided.values()):
            self._end(target, Failed("unconfirmed", f"404, but {why}"))
        self._done = True

    # What heard() is made of

    def _told_to_wait(self, now: float, until: float) -> None:
        self.tally.told_to_wait += max(0.0, until - max(now, self.wait_until))
        self.wait_until = max(self.wait_until, until)

    def _feed_breaker(self, reply: Reply, now: float) -> None:
        if isinstance(reply.reading, Failed):
            self._breaker.failed(reply.reading.reason)
        else:
            self._breaker.answered()
        if self._breaker.is_open:
            self._hold()
            self._drop_extra("the breaker is open: the API does not answer")
        elif self._held:
            # The rest of the cycle's images are spread over the rest of its time: no stampede.
            left = self._start + self._pace.last_start - now
            again = schedule(self._held, frozenset(), now, max(left, 0.0))
            self._held.clear()
            self._schedule = deque(sorted([*self._schedule, *again], key=lambda item: item[0]))

    def _heard_poll(self, ask: Ask, reply: Reply, now: float) -> None:
        target = _target(ask)
        match reply.reading:
            case Found() as found:
                self._evidence.found(target.image_id, reply.sent_at)
                self._end(target, found)
            case NotFound(request_id) if target.image_id in self._past.gone:
                self._end(target, Gone(request_id))
            case NotFound():
                self._evidence.missing(target.image_id)
                self._push(now, Ask(Kind.CONFIRM, target))
            case Failed() as failed:
                self._last_failure[target.image_id] = failed
                if not self._again(ask, failed, now):
                    self._evidence.otherwise(target.image_id)
                    self._end(target, failed)

    def _heard_confirm(self, ask: Ask, reply: Reply, now: float) -> None:
        target = _target(ask)
        match reply.reading:
            case Found() as found:
                self._evidence.found(target.image_id, reply.sent_at)
                self._end(target, found)
            case NotFound():
                self._evidence.confirmed(target.image_id, reply.received_at)
            case Failed() as failed if not self._again(ask, failed, now):
                why = f"404, and asked again: {failed.reason}: {failed.detail}"
                self._end(target, Failed("unconfirmed", why, failed.request_id))

    def _heard_witness(self, ask: Ask, reply: Reply) -> None:
        if isinstance(reply.reading, Found):
            self._evidence.found(_target(ask).image_id, reply.sent_at)

    def _heard_list(self, ask: Ask, reply: Reply, now: float) -> None:
        self._list_asked = True
        if reply.listed:
            self._evidence.listed(reply.sent_at)
        elif isinstance(reply.reading, Failed) and self._again(ask, reply.reading, now):
            self._asking.add(Kind.LIST)
        else:
            self._list_failed = True

    def _again(self, ask: Ask, failed: Failed, now: float) -> bool:
        """Whether the question is to be asked again, which is then seen to."""
        due = max(now + self._pace.backoff(ask.attempt, self._random), self.wait_until)
        if (
            failed.reason not in PASSING
            or ask.attempt >= RETRIES
            or self._breaker.is_open
            or due >= self._start + self._pace.last_start
        ):
            return False
        self.tally.retries += 1
        self._push(due, ask._replace(attempt=ask.attempt + 1))
        return True

    def _weigh(self, now: float) -> None:
        """Decides the 404s that can be decided, and asks for what is missing to do so."""
        for image_id in self._evidence.gone():
            self.tally.accepted = True
            self._end(self._targets[image_id], Gone())
        if not self._evidence.undecided or self._breaker.is_open:
            return
        if not self._evidence.all_at_once:
            if not self._list_failed:
                self._ask_list(now)
        elif self._witnesses < MAX_WITNESSES and Kind.WITNESS not in self._asking:
            witness = self._evidence.witness()
            if witness is not None:
                self._witnesses += 1
                self._asking.add(Kind.WITNESS)
                self._push(now, Ask(Kind.WITNESS, self._targets[witness]))

    def _ask_list(self, now: float) -> None:
        if Kind.LIST not in self._asking:
            self._asking.add(Kind.LIST)
            self._push(now, Ask(Kind.LIST, None))

    def _end(self, target: Target, outcome: Outcome) -> None:
        """Gives the image its one outcome; a later one is none of this cycle's."""
        if self._undecided.pop(target.image_id, None) is None:
            return
        reason = outcome.reason if isinstance(outcome, Failed) else ""
        self._ended[target.image_id] = reason if not isinstance(outcome, Gone) else "gone"
        self.tally.polls += 1
        self.tally.found += isinstance(outcome, Found)
        if reason:
            self.tally.failures[reason] += 1
        self.verdicts.append(Verdict(target, outcome))


def _target(ask: Ask) -> Target:
    assert ask.target is not None  # noqa: S101  # only the list has none
    return ask.target
