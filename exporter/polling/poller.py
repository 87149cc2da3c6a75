"""One cloud's polling: a cycle on demand, its outcomes to the store, its changes to the log."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from exporter.clock import now, steady
from exporter.glance.client import ImageClient
from exporter.model.cloud import CloudState
from exporter.model.observation import Observation
from exporter.model.replies import Deadline, PollReply, RequestFacts
from exporter.model.target import Target
from exporter.polling.discovery import Discovery
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.engine.types import CycleHistory, Group, PollRequest, PollResult, RequestKind
from exporter.polling.event_log import CloudEventLog
from exporter.polling.executor import CycleExecutor
from exporter.store import Store

log = logging.getLogger(__name__)

CHOOSING = 0.25
"""The share of the interval by which it is known which version to speak, or polling begins."""

Observer = Callable[[PollResult, int], None]
"""Called with each verdict and the number of images that have none yet."""


@dataclass(slots=True)
class Poller:
    """Polls the images of one cloud; ``run_cycle`` is not to be called by two threads at once.

    With a ``discovery`` its ``targets`` are those of each cycle, from its beginning on. Once it is
    retired it writes nothing to the store any more: another may be at its cloud by then.
    """

    cloud: str
    client: ImageClient
    targets: Sequence[Target]
    pace: CyclePacing
    max_stale: float
    store: Store
    random: Callable[[], float]
    discovery: Discovery | None = None
    _past: CycleHistory = field(init=False, default_factory=CycleHistory)
    _crew: CycleExecutor | None = field(init=False, default=None)
    _before: dict[str, Observation] = field(init=False, default_factory=dict)
    _number: int = field(init=False, default=0)
    _next_start: float | None = field(init=False, default=None)
    _told_to_wait: float = field(init=False, default=0.0)
    _journal: CloudEventLog = field(init=False)
    _stopped: threading.Event = field(init=False, default_factory=threading.Event)
    _writing: threading.Lock = field(init=False, default_factory=threading.Lock)
    _prepares: bool = field(init=False, default=False)
    _counted: CloudState | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Listens for answers that turn out not to be trustworthy."""
        self._journal = CloudEventLog(self.cloud)
        self.client.sender.on_desync = self._retract

    def run_cycle(self, observer: Observer = lambda _verdict, _left: None) -> None:
        """Polls every image once; ends when the next cycle is to start at the latest."""
        try:
            self._run_cycle(observer)
        except KeyError:
            # Of a cloud that was taken away in the meantime nothing can be read any more.
            if not self._stopped.is_set():
                raise
        finally:
            self._prepares = False

    def _run_cycle(self, observer: Observer) -> None:
        with self._writing:
            if self._stopped.is_set():
                return
            self._prepares = True
        self._find_targets()
        begun = steady()
        start = self._note_start(begun)
        end = start + self.pace.interval
        window = Deadline(start + self.pace.last_start, end)
        state = self.store.cloud(self.cloud)
        self._counted = self._counted or state
        self._number += 1
        self.client.start_cycle()
        self._journal.begin()
        known = {
            target.image_id: (target, seen) for target, seen in self.store.current(self.targets)
        }
        targets = [target for target, _ in known.values()]
        past = self._recall({image_id: seen for image_id, (_, seen) in known.items()})
        past = self._choose_version(past, start + self.pace.interval * CHOOSING)
        groups = self._groups(targets, past.gone)
        cycle = Cycle(targets, past, self.pace, start, self.random, groups=groups)
        self._before = {}
        crew = self._crew = CycleExecutor(
            cycle,
            lambda ask: self._perform(ask, window),
            self._publisher(cycle, observer),
            steady,
            self.pace.concurrency,
        )
        with self._writing:
            self._prepares = False
            new = [target for target in self.targets if target.image_id not in known]
        self._ask_now(new)
        if self._stopped.is_set():
            return
        crew.run(end)
        if self._stopped.is_set():
            return
        self.client.end_cycle(self.pace.drain_timeout)
        self._finish(cycle, len(groups), begun, state)

    def retarget(self, targets: Sequence[Target]) -> tuple[Target, ...]:
        """Has these configured images watched from now on, besides what is discovered.

        What is known of those that stay stays. Returns the others, see ``ask_at_once``.
        """
        with self._writing:
            if self.discovery is None:
                self.targets = targets
                return self.store.set_targets(self.cloud, targets)
            new = self.discovery.configure(targets)
            self.targets = self.discovery.targets()
            return new

    def ask_at_once(self, targets: Sequence[Target]) -> bool:
        """Asks for new images in the cycle under way; says whether it takes them in.

        If it does not, a cycle that is begun now asks for them.
        """
        if self._prepares:
            return True
        return self._ask_now(targets)

    def _ask_now(self, targets: Sequence[Target]) -> bool:
        crew = self._crew
        if not targets:
            return True
        return crew is not None and crew.add(self._groups(targets, frozenset()))

    def discover(self, seconds: float) -> None:
        """Looks for images to watch, for so long, unless the API is to be left alone."""
        if self.discovery is None or self._stopped.is_set():
            return
        begun = steady()
        waits = begun < max(self._past.wait_until, self.discovery.wait_until)
        with self._writing:
            # Of a cloud that was taken away nothing can be read.
            is_down = self._stopped.is_set() or self.store.cloud(self.cloud).breaker_open
        if not waits and not is_down:
            self.discovery.refresh(Deadline(begun + seconds, begun + seconds))

    def retire(self) -> None:
        """Writes nothing to the store from now on; ``stop`` is still to be called."""
        with self._writing:
            self._stopped.set()
        if self.discovery is not None:
            self.discovery.stop()

    def take_over_from(self, other: "Poller") -> None:
        """Goes on where another left off, which is retired; to be called before the first cycle.

        What was discovered stays until the next list. That the service asked to be left alone
        counts if it is the same service.
        """
        if self.discovery is not None and other.discovery is not None:
            self.discovery.take_over_from(other.discovery)
        if self.client.sender.authenticator.identity == other.client.sender.authenticator.identity:
            self._past = replace(self._past, wait_until=other.wait_until)

    @property
    def wait_until(self) -> float:
        """When the service may be asked again, in steady seconds, as far as it has said so."""
        found = -inf if self.discovery is None else self.discovery.wait_until
        return max(self._past.wait_until, self.client.sender.limiter.blocked_until, found)

    def stop(self) -> None:
        """Ends the cycle that is under way and every connection."""
        self.retire()
        if self._crew is not None:
            self._crew.stop()
        self.client.close()

    def _find_targets(self) -> None:
        """What the cycle is about to ask for; discovered before, until that has worked once."""
        if self.discovery is None:
            return
        if not self.discovery.succeeded:
            # The first cycle may as well begin later.
            share = 1.0 if self._next_start is None else CHOOSING
            self.discover(self.pace.interval * share)
        with self._writing:
            self.targets = self.discovery.begin()

    def _publisher(self, cycle: Cycle, observer: Observer) -> Callable[[], None]:
        """What is to be called whenever the cycle may have new verdicts."""
        left = len(self.targets)

        def publish() -> None:
            nonlocal left
            verdicts = cycle.take_results()
            with self._writing:
                if self._stopped.is_set():
                    # What a shutdown leaves undecided is nobody's failure.
                    return
                for verdict in verdicts:
                    left -= not verdict.replaces_earlier
                    try:
                        self._observe(verdict)
                        observer(verdict, left)
                    except Exception:
                        log.exception("bug: an outcome was lost")
                if cycle.breaker_open and self.store.cloud(self.cloud).api_up is not False:
                    self.store.update_cloud(
                        self.cloud,
                        lambda state: replace(state, api_up=False, breaker_open=True),
                    )

        return publish

    def _update(self, change: Callable[[CloudState], CloudState]) -> None:
        """Replace the cloud's state, unless this poller is retired."""
        with self._writing:
            if not self._stopped.is_set():
                self.store.update_cloud(self.cloud, change)

    def _perform(self, ask: PollRequest, window: Deadline) -> PollReply:
        reply: PollReply
        if ask.kind is RequestKind.LIST:
            reply = self.client.list(window)
        elif ask.kind is RequestKind.BATCH:
            ids = tuple(target.image_id for target in ask.targets)
            reply = self.client.batch(ids, window, hidden=ask.hidden, page=ask.page)
        else:
            (target,) = ask.targets
            tag = (self._number, target.image_id) if ask.kind is RequestKind.POLL else None
            fresh = ask.kind is RequestKind.CONFIRM
            reply = self.client.image(target.image_id, window, fresh=fresh, tag=tag)
        self._note_wait(reply.request)
        return reply

    def _choose_version(self, past: CycleHistory, until: float) -> CycleHistory:
        """Sees to it that the version to speak is known; the past, with the wait asked for."""
        if steady() < past.wait_until:
            return past
        request = self.client.choose_version(Deadline(until, until))
        if request is None or request.retry_after is None:
            return past
        self._note_wait(request)
        self._told_to_wait += request.retry_after
        return replace(past, wait_until=steady() + request.retry_after)

    def _note_wait(self, request: RequestFacts) -> None:
        if request.retry_after is not None and not request.retry_after_usable:
            self._journal.capped(request.retry_after)

    def _observe(self, verdict: PollResult) -> None:
        target = verdict.target
        if self.discovery is not None and self.discovery.drops(target.image_id, verdict.outcome):
            return
        if not self.store.current((target,)):
            # Taken off the list while it was asked for.
            return
        exported = before = self.store.observation(target.key)
        if verdict.replaces_earlier:
            before = self._before.get(target.image_id, before)
            after = exported.with_replaced_outcome(before, verdict.outcome, now(), self.max_stale)
        else:
            after = before.with_outcome(verdict.outcome, now(), self.max_stale)
        self._before[target.image_id] = before
        self.store.observe(target.key, after)
        self._journal.note(target, after)

    def _retract(self, tag: object) -> None:
        crew = self._crew
        if crew is not None and isinstance(tag, tuple) and tag[0] == self._number:
            crew.retract(tag[1])

    def _recall(self, known: Mapping[str, Observation]) -> CycleHistory:
        """What the next cycle has to know, from the observations and the cycle before."""
        found = self.discovery
        return replace(
            self._past,
            wait_until=max(self._past.wait_until, found.wait_until if found else -inf),
            existing=frozenset(each for each, seen in known.items() if seen.change_baseline.exists),
            gone=frozenset(
                each for each, seen in known.items() if seen.change_baseline.exists is False
            ),
            immediate=frozenset(each for each, seen in known.items() if self._is_new(seen))
            | (found.leaving if found else frozenset()),
        )

    def _is_new(self, seen: Observation) -> bool:
        """Whether an image is asked for at once: at first all are, by whomever polled before."""
        return seen.polled_at is None or self._number == 1

    def _groups(self, targets: Iterable[Target], gone: frozenset[str]) -> list[Group]:
        """What is asked for together; one that is gone by itself, since no list would give it."""
        known = {target.image_id: target for target in targets}
        batches = self.client.split_into_batches(each for each in known if each not in gone)
        groups = [tuple(known.pop(image_id) for image_id in batch) for batch in batches]
        return [*groups, *((target,) for target in known.values())]

    def _note_start(self, begun: float) -> float:
        """When the cycle was to start; counts those that never did.

        The first cycle sets the time for all that follow, so that a late one does not put off
        the next, and each image is asked at the same place in every interval.
        """
        interval = self.pace.interval
        planned = begun if self._next_start is None else min(begun, self._next_start)
        skipped = int((begun - planned) // interval)
        start = planned + skipped * interval
        self._next_start = start + interval
        moment = now()
        next_cycle_at = moment.wall + self._next_start - moment.monotonic
        self._update(
            lambda state: replace(
                state,
                cycle_lag=begun - start,
                cycles_skipped=state.cycles_skipped + skipped,
                next_cycle_at=next_cycle_at,
            )
        )
        return start

    def _finish(self, cycle: Cycle, groups: int, begun: float, before: CloudState) -> None:
        stats = cycle.stats
        self._past = cycle.history()
        self._before = {}
        self._told_to_wait += stats.retry_after_seconds
        signed_in = self.client.sender.authenticator.stats()
        failures = Counter(before.failures) + stats.failures
        needed = None
        if stats.requests:
            needed = self.pace.concurrency_needed(
                max(groups, stats.requests), stats.busy_seconds / stats.requests
            )
        end = now()
        # Counted by those who polled the cloud before: a counter does not fall at a reload.
        earlier = self._counted or before
        self._update(
            lambda state: replace(
                state,
                api_up=_api_up(cycle, before),
                breaker_open=cycle.breaker_open,
                mass_disappearance=cycle.mass_disappearance
                or (before.mass_disappearance and not stats.found),
                polls=before.polls + stats.polls,
                failures=dict(failures),
                retries=before.retries + stats.retries,
                rate_limit_wait=earlier.rate_limit_wait
                + self.client.sender.limiter.waited
                + self._told_to_wait,
                last_cycle_at=end.wall,
                last_cycle_duration=end.monotonic - begun,
                concurrency_needed=needed,
                api_version=self.client.version,
                clock_skew=self.client.sender.clock_skew,
                token_expires_at=signed_in.expires_at,
                authentications=earlier.authentications + signed_in.authentications,
                authentication_failures=earlier.authentication_failures + signed_in.failures,
                sign_in_failure=signed_in.failure,
            )
        )
        self._journal.end(before, self.store.cloud(self.cloud), stats)
        if (
            stats.failures["not_polled"]
            and not cycle.breaker_open
            and not stats.retry_after_seconds
        ):
            self._journal.too_slow(
                stats.failures["not_polled"],
                concurrency=self.pace.concurrency,
                concurrency_needed=needed,
                rate_needed=self.pace.rate_needed(max(groups, stats.requests)),
            )


def _api_up(cycle: Cycle, before: CloudState) -> bool | None:
    """Whether the API answered; as before where the service asked not to be asked at all."""
    sent = cycle.stats.requests + cycle.stats.in_flight_at_end
    if not sent and not cycle.breaker_open:
        return before.api_up
    return cycle.stats.accepted and not cycle.breaker_open
