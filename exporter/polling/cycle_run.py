"""One poll cycle at work: requests to the client, results to the store and the log."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from exporter.clock import now, steady
from exporter.glance.client import ImageClient
from exporter.model.cloud import CloudState, CycleSummary
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.outcome import Failed, Outcome
from exporter.model.replies import Deadline, PollReply
from exporter.model.target import Target
from exporter.polling.discovery import Discovery
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.engine.types import Group, PollRequest, RequestKind
from exporter.polling.event_log import CloudEventLog
from exporter.polling.executor import CycleExecutor
from exporter.store import Store

log = logging.getLogger(__name__)

OnProgress = Callable[[int], None]
"""Called after each outcome with the number of images that have none yet."""


class StoreAccess:
    """A poller's access to its cloud in the store, until another poller takes over.

    A writer holds ``lock`` and checks ``is_revoked`` first: after a reload the cloud may belong to
    another poller, or no longer be in the store.
    """

    def __init__(self, store: Store, cloud: str) -> None:
        self.store = store
        self.cloud = cloud
        self.lock = threading.Lock()
        self._revoked = threading.Event()

    def is_revoked(self) -> bool:
        """Return True if nothing may be written any more."""
        return self._revoked.is_set()

    def revoke(self) -> None:
        """Forbid all writing from now on."""
        with self.lock:
            self._revoked.set()

    def state(self) -> CloudState:
        """Return the state of the cloud; raise ``KeyError`` if the store no longer has it."""
        return self.store.cloud(self.cloud)

    def update(self, change: Callable[[CloudState], CloudState]) -> None:
        """Replace the state of the cloud by the result of ``change``, unless revoked."""
        with self.lock:
            if not self.is_revoked():
                self.store.update_cloud(self.cloud, change)


@dataclass(slots=True)
class CycleRun:
    """A cycle with everything that it needs to run.

    For each request of the cycle, a thread of the executor calls ``send``, passes the reply to
    ``Cycle.on_reply``, and calls ``publish``, which writes new results to the store.

    Attributes:
        number: Number of this cycle among the cycles of its poller.
        group_count: Number of requests that poll every image, without retries.
        started_at: Monotonic time at which the work for the cycle started.
        state_before: The state of the cloud before the cycle.
        target_count: Number of images to report progress on.
    """

    cycle: Cycle
    number: int
    deadline: Deadline
    group_count: int
    started_at: float
    state_before: CloudState
    target_count: int
    client: ImageClient
    access: StoreAccess
    event_log: CloudEventLog
    discovery: Discovery | None
    pacing: CyclePacing
    max_stale: float
    on_progress: OnProgress | None
    _undecided: int = field(init=False)
    _before: dict[str, Observation] = field(init=False, default_factory=dict)
    _executor: CycleExecutor = field(init=False)

    def __post_init__(self) -> None:
        """Create the threads' executor, without starting a thread."""
        self._undecided = self.target_count
        self._executor = CycleExecutor(
            self.cycle, self.send, self.publish, steady, self.pacing.concurrency
        )

    def run(self) -> None:
        """Run the cycle until it is done or its deadline is over."""
        self._executor.run(self.deadline.end)

    def stop(self) -> None:
        """End the cycle now."""
        self._executor.stop()

    def add(self, groups: Sequence[Group]) -> bool:
        """Poll further targets at once; return False if the cycle ends too soon for them."""
        return self._executor.add(groups)

    def retract(self, image_id: str) -> None:
        """Replace the outcome of an image by a failure, see ``Cycle.retract``."""
        self._executor.retract(image_id)

    def send(self, request: PollRequest) -> PollReply:
        """Send a request and return its reply."""
        reply = self._reply_to(request)
        facts = reply.facts
        if facts.retry_after is not None and not facts.retry_after_usable:
            self.event_log.retry_after_capped(facts.retry_after)
        return reply

    def publish(self) -> None:
        """Write the new outcomes of the cycle to the store and the log, and report progress."""
        outcomes = self.cycle.results.take_outcomes()
        retracted = self.cycle.results.take_retracted()
        contradictions = self.cycle.doubts.contradictions.take()
        access = self.access
        with access.lock:
            if access.is_revoked():
                # Images without an outcome at a shutdown are not failures of the service.
                return
            for target, outcome in outcomes:
                self._undecided -= 1
                try:
                    self._store_outcome(target, outcome)
                    if self.on_progress is not None:
                        self.on_progress(self._undecided)
                except Exception:
                    log.exception("failed to store poll result")
            for target, failed in retracted:
                try:
                    self._store_retraction(target, failed)
                except Exception:
                    log.exception("failed to store poll result")
            if contradictions:
                self.event_log.contradicted(contradictions)
                access.store.update_cloud(
                    access.cloud,
                    lambda state: state.with_contradictions(len(contradictions), now().wall),
                )
            if self.cycle.breaker_open and access.state().api_up is not False:
                access.store.update_cloud(access.cloud, CloudState.with_open_breaker)

    def summary(self, ended_at: Instant) -> CycleSummary:
        """Return the results of the cycle that the state of the cloud depends on."""
        stats = self.cycle.stats
        concurrency_needed = None
        if stats.requests:
            seconds_per_request = stats.busy_seconds / stats.requests
            concurrency_needed = self.pacing.concurrency_needed(
                self.requests_needed, seconds_per_request
            )
        return CycleSummary(
            polls=stats.polls,
            failures=stats.failures,
            retries=stats.retries,
            found=stats.found,
            requests=stats.requests + stats.in_flight_at_end,
            accepted=stats.accepted,
            breaker_open=self.cycle.breaker_open,
            unavailable=self.cycle.unavailable and self.cycle.wait_until > ended_at.monotonic,
            mass_disappearance=self.cycle.doubts.gone.mass.has_disappeared,
            ended_at=ended_at.wall,
            duration=ended_at.monotonic - self.started_at,
            concurrency_needed=concurrency_needed,
        )

    @property
    def requests_needed(self) -> int:
        """Return the number of requests that poll every image."""
        return max(self.group_count, self.cycle.stats.requests)

    @property
    def lacked_time(self) -> bool:
        """Return True if the cycle was too short for some images although nothing paused it."""
        stats = self.cycle.stats
        is_paused = self.cycle.breaker_open or stats.retry_after_seconds > 0
        return stats.failures["not_polled"] > 0 and not is_paused

    def forget_observations(self) -> None:
        """Forget the observations from before the cycle; only a retraction would need them."""
        self._before = {}

    def _reply_to(self, request: PollRequest) -> PollReply:
        match request.kind:
            case RequestKind.LIST:
                return self.client.list(self.deadline)
            case RequestKind.BATCH:
                ids = tuple(target.image_id for target in request.targets)
                return self.client.batch(
                    ids,
                    self.deadline,
                    second=request.second_list,
                    page=request.page,
                    fresh=request.fresh,
                )
            case RequestKind.POLL:
                image_id = request.targets[0].image_id
                tag = (self.number, image_id)
                return self.client.image(image_id, self.deadline, tag=tag)
            case RequestKind.RECHECK:
                return self.client.image(request.targets[0].image_id, self.deadline, fresh=True)
            case RequestKind.PROBE:
                suspect_id = request.targets[0].image_id
                return self.client.probe(suspect_id, request.control, self.deadline)

    def _store_outcome(self, target: Target, outcome: Outcome) -> None:
        """Store the observation of a target after its poll."""
        if self._is_watched(target, outcome):
            before = self._before[target.image_id] = self.access.store.observation(target.key)
            self._store(
                target,
                before.with_outcome(outcome, now(), self.max_stale, self.client.sender.clock_skew),
            )

    def _store_retraction(self, target: Target, failed: Failed) -> None:
        """Replace the observation of a target, which includes an outcome that was retracted."""
        if self._is_watched(target, failed):
            exported = self.access.store.observation(target.key)
            before = self._before.get(target.image_id, exported)
            replaced = exported.with_replaced_outcome(before, failed, now(), self.max_stale)
            self._store(target, replaced)

    def _is_watched(self, target: Target, outcome: Outcome) -> bool:
        """Return False if discovery or a reload has removed the target, or does so now."""
        if self.discovery is not None and self.discovery.take_outcome(target.image_id, outcome):
            return False
        return self.access.store.has_target(target.key)

    def _store(self, target: Target, observation: Observation) -> None:
        self.access.store.observe(target.key, observation)
        self.event_log.image_polled(target, observation)
