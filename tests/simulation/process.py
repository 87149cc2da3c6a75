"""The exporter of a simulated world: the real cycles and observations, on virtual time.

It does what ``Poller``, ``CycleRun`` and ``CycleExecutor`` do, without threads, sockets and clocks.
"""

import heapq
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from math import inf
from random import Random
from typing import NamedTuple, Protocol

from exporter.glance import v2
from exporter.model.cloud import ClientTotals, CloudState, CycleSummary
from exporter.model.contradiction import Contradiction
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Outcome
from exporter.model.target import Target
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.types import CycleHistory, Done, Group, PollRequest, Wait
from tests.simulation.service import Exchange, SimulatedService
from tests.simulation.timeline import WALL_START, image_id
from tests.simulation.world import WatchChange, World

MAX_STALE = 600.0
CLOUD = "lab"
NO_TOTALS = ClientTotals(0.0, 0, 0, None, None, None, None)


class CycleReport(NamedTuple):
    """One cycle that has ended; times are those of the world.

    Attributes:
        requests: Number of HTTP requests that were sent.
        is_complete: False if a reload or a restart ended it.
        first_of_memory: It is the first cycle since the start or a restart.
    """

    number: int
    start: float
    end: float
    requests: int
    most_in_flight: int
    is_complete: bool
    first_of_memory: bool
    state: CloudState


class Observer(Protocol):
    """Sees everything that the exporter does; times are those of the world."""

    def on_cycle_start(self, at: float) -> None:
        """See the start of a cycle."""

    def on_request(self, request: PollRequest, at: float) -> None:
        """See a request at the time at which the cycle returned it."""

    def on_exchange(self, _: PollRequest, exchange: Exchange, at: float) -> None:
        """See the reply to a request when it is received."""

    def on_outcome(
        self, target: Target, outcome: Outcome, before: Observation, after: Observation, at: float
    ) -> None:
        """See the outcome of an image, with the observations before and after it."""

    def on_contradiction(self, contradiction: Contradiction, at: float) -> None:
        """See that responses about an image contradict each other."""

    def on_cycle_end(self, report: CycleReport) -> None:
        """See the end of a cycle."""

    def on_reload(self) -> None:
        """See that a new poller continues with the observations, and begins with new evidence."""

    def on_restart(self) -> None:
        """See that the exporter has lost its memory."""

    def on_watch_change(
        self, added: Collection[str], removed: Collection[str], at: float, /
    ) -> None:
        """See that images are watched from now on, and that others are not any more."""


@dataclass(slots=True)
class _Progress:
    """The state of one cycle: its time, and its requests in flight by the time of their reply."""

    now: float
    in_flight: list[tuple[float, int, PollRequest, Exchange]] = field(default_factory=list)
    sent: int = 0
    requests: int = 0
    most_in_flight: int = 0

    @property
    def next_reply_at(self) -> float:
        """The time of the next reply, or infinity."""
        return self.in_flight[0][0] if self.in_flight else inf

    def add(self, request: PollRequest, exchange: Exchange) -> None:
        """Add a request that was sent."""
        self.sent += 1
        self.requests += exchange.requests
        received_at = exchange.reply.facts.received_at
        heapq.heappush(self.in_flight, (received_at, self.sent, request, exchange))
        self.most_in_flight = max(self.most_in_flight, len(self.in_flight))


@dataclass(slots=True)
class SimulatedExporter:
    """Polls the images of a world until the world ends."""

    world: World
    service: SimulatedService
    observer: Observer
    random: Random
    targets: list[Target]
    observations: dict[str, Observation]
    state: CloudState
    inherited: CloudState
    history: CycleHistory
    watch_changes: deque[WatchChange]
    cycle_number: int = 0
    cycles: int = 0

    @classmethod
    def of(
        cls, world: World, service: SimulatedService, observer: Observer, random: Random
    ) -> "SimulatedExporter":
        """Return an exporter that has polled nothing yet."""
        targets = [
            Target(CLOUD, image_id(index), image_id(index)) for index in range(len(world.initial))
        ]
        state = CloudState(CLOUD, world.interval, targets=len(targets))
        observations = {target.image_id: NEVER_POLLED for target in targets}
        return cls(
            world,
            service,
            observer,
            random,
            targets,
            observations,
            state,
            state,
            CycleHistory(),
            deque(sorted(world.watch_changes, key=lambda change: change.at)),
        )

    def run(self) -> None:
        """Run all cycles of the world."""
        interruptions = sorted(self.world.interruptions)
        start = 0.0
        while start < self.world.duration:
            end = start + self.world.interval
            while interruptions and interruptions[0].at <= start:
                interruptions.pop(0)
            interrupted_at = interruptions[0].at if interruptions else inf
            self._run_cycle(start, min(end, interrupted_at), interrupted_at < end)
            start = end
            if interrupted_at < end:
                start = interrupted_at
                self._interrupt(restarts=interruptions.pop(0).restarts)

    def _interrupt(self, *, restarts: bool) -> None:
        """Continue with a new poller, or with a new process."""
        self.cycle_number = 0
        self.service.reset_connections()
        if restarts:
            state = CloudState(CLOUD, self.world.interval, targets=len(self.targets))
            self.state = self.inherited = state
            self.observations = dict.fromkeys(self.observations, NEVER_POLLED)
            self.history = CycleHistory()
            self.service.blocked_until = -inf
            self.observer.on_restart()
        else:
            # As ``Poller.take_over_from``: the state of the images stays in the store.
            blocked_until = max(self.history.wait_until, self.service.blocked_until)
            self.history = CycleHistory(
                wait_until=blocked_until,
                unavailable=self.history.unavailable,
                contradictions=self.history.contradictions,
                mass_404_suspected=self.history.mass_404_suspected,
                suspicions=self.history.suspicions,
                older_once=self.history.older_once,
                older_repeated=self.history.older_repeated,
                any_found=self.history.any_found,
            )
            self.state = self.inherited = self.state.reconfigured(self.world.interval, None, ())
            self.observer.on_reload()

    def _history(self) -> CycleHistory:
        """Return the history of a cycle, as ``Poller._history_with``."""
        immediate = frozenset(
            image
            for image, observation in self.observations.items()
            if observation.polled_at is None or self.cycle_number == 1
        )
        history = replace(self.history, service_clock=WALL_START)
        return history.with_observations(self.observations, immediate)

    def _groups(self, targets: list[Target], gone: frozenset[str]) -> list[Group]:
        """Return targets in groups, as ``Poller._grouped``."""
        if self.world.api == "v1":
            return [(target,) for target in targets]
        remaining = {target.image_id: target for target in targets}
        batches = v2.split_into_batches(
            (image for image in remaining if image not in gone),
            prefix_length=0,
            page_limit=self.world.batch_limit,
        )
        groups = [tuple(remaining.pop(image) for image in batch) for batch in batches]
        return [*groups, *((target,) for target in remaining.values())]

    def _run_cycle(self, start: float, end: float, is_cut: bool) -> None:
        """Run one cycle from ``start``; ``is_cut``: a reload or restart ends it at ``end``."""
        self.cycle_number += 1
        self.cycles += 1
        while self._watch_changes_at <= start:
            self._change_watched(start)
        self.observer.on_cycle_start(start)
        pacing = self.world.pacing
        history = self._history()
        groups = self._groups(self.targets, history.gone)
        cycle = Cycle(self.targets, history, pacing, start, self.random.random, groups=groups)
        progress = _Progress(start)
        while (wake_at := self._send_due(cycle, progress, start)) < inf:
            changes_at = self._watch_changes_at
            if min(wake_at, changes_at) >= end:
                break
            progress.now = max(progress.now, min(wake_at, changes_at))
            if changes_at <= wake_at:
                self._change_watched(progress.now, cycle)
            elif progress.next_reply_at <= wake_at:
                self._receive(cycle, progress)
            self._publish(cycle, progress.now)
        is_done = wake_at == inf
        if not is_done:
            progress.now = end
            if not is_cut:
                cycle.close()
        is_complete = is_done or not is_cut
        if is_complete:
            self._publish(cycle, progress.now)
            self._finish(cycle, start, progress.now)
        else:
            # As ``Poller.contradiction_memory``: a reload keeps those of an unfinished cycle.
            memory = cycle.doubts.contradictions.memory
            any_found = self.history.any_found or cycle.stats.found > 0
            self.history = replace(self.history, contradictions=memory, any_found=any_found)
        report = CycleReport(
            self.cycles,
            start,
            progress.now,
            progress.requests,
            progress.most_in_flight,
            is_complete,
            self.cycle_number == 1,
            self.state,
        )
        self.observer.on_cycle_end(report)

    @property
    def _watch_changes_at(self) -> float:
        return self.watch_changes[0].at if self.watch_changes else inf

    def _change_watched(self, now: float, cycle: Cycle | None = None) -> None:
        """Replace the watched images, as ``Poller.set_targets`` and ``poll_now``."""
        change = self.watch_changes.popleft()
        before = self.observations
        ids = [image_id(index) for index in sorted(change.watched)]
        self.targets = [Target(CLOUD, of, of) for of in ids]
        self.observations = {of: before.get(of, NEVER_POLLED) for of in ids}
        added = [target for target in self.targets if target.image_id not in before]
        self.state = replace(self.state, targets=len(ids))
        added_ids = [target.image_id for target in added]
        self.observer.on_watch_change(added_ids, before.keys() - self.observations.keys(), now)
        if change.at_once and added and cycle is not None:
            cycle.add(self._groups(added, frozenset()), now)

    def _send_due(self, cycle: Cycle, progress: "_Progress", start: float) -> float:
        """Send all requests that are due; return when to continue, infinity if the cycle is done.

        As in ``CycleExecutor``, the cycle has no turn while all threads are busy.
        """
        pacing, now = self.world.pacing, progress.now
        latest_start = start + pacing.sending_time
        while len(progress.in_flight) < pacing.concurrency:
            step = cycle.next(now)
            if isinstance(step, Done):
                return inf
            if isinstance(step, Wait):
                wake_at = min(step.until, progress.next_reply_at)
                assert now < step.until, "the cycle waits for the past"
                assert wake_at < inf, "the cycle waits for nothing"
                return wake_at
            self.observer.on_request(step, now)
            exchange = self.service.send(step, now, latest_start, start + pacing.interval)
            progress.add(step, exchange)
        return progress.next_reply_at

    def _receive(self, cycle: Cycle, progress: "_Progress") -> None:
        """Pass the next reply to the cycle."""
        _, _, request, exchange = heapq.heappop(progress.in_flight)
        if exchange.connection is not None:
            self.service.release(exchange.connection, progress.now)
        self.observer.on_exchange(request, exchange, progress.now)
        cycle.on_reply(request, exchange.reply, progress.now)

    def _publish(self, cycle: Cycle, now: float) -> None:
        """Store the new results of a cycle, as ``CycleRun.publish``."""
        for target, outcome in cycle.results.take_outcomes():
            if target.image_id not in self.observations:
                continue
            before = self.observations[target.image_id]
            after = before.with_outcome(outcome, _instant(now), MAX_STALE, clock_skew=0.0)
            self.observations[target.image_id] = after
            self.observer.on_outcome(target, outcome, before, after, now)
        contradictions = cycle.doubts.contradictions.take()
        for contradiction in contradictions:
            self.observer.on_contradiction(contradiction, now)
        self.state = self.state.with_contradictions(len(contradictions), _instant(now).wall)

    def _finish(self, cycle: Cycle, start: float, now: float) -> None:
        """Update the state of the cloud after a complete cycle, as ``Poller._finish``."""
        self.history = cycle.history()
        stats = cycle.stats
        summary = CycleSummary(
            polls=stats.polls,
            failures=stats.failures,
            retries=stats.retries,
            found=stats.found,
            requests=stats.requests + stats.in_flight_at_end,
            accepted=stats.accepted,
            breaker_open=cycle.breaker_open,
            mass_disappearance=cycle.doubts.gone.mass.has_disappeared,
            ended_at=_instant(now).wall,
            duration=now - start,
            concurrency_needed=None,
        )
        self.state = self.state.after_cycle(summary, NO_TOTALS, self.inherited)


def _instant(now: float) -> Instant:
    return Instant(now, WALL_START + now)
