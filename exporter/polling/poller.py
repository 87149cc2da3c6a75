"""Polling of one cloud: one cycle per call, from discovery to the store."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from exporter.clock import now, steady
from exporter.glance.client import ImageClient
from exporter.model.cloud import ClientTotals, CloudState
from exporter.model.observation import Observation
from exporter.model.replies import Deadline
from exporter.model.target import Target
from exporter.polling.cycle_run import CycleRun, OnProgress, StoreAccess
from exporter.polling.discovery import Discovery
from exporter.polling.engine.contradictions import ContradictionMemory
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import CyclePacing
from exporter.polling.engine.types import CycleHistory, Group
from exporter.polling.event_log import CloudEventLog
from exporter.store import Store

STARTUP_SHARE = 0.25
"""Share of the interval for choosing the API version, or for a listing, before polling starts."""


@dataclass(slots=True)
class Poller:
    """Polls the images of one cloud; two threads must not call ``run_cycle`` at the same time.

    With a ``discovery``, ``targets`` are set at the start of each cycle. A detached poller writes
    nothing to the store, because another poller may have taken over its cloud.
    """

    cloud: str
    client: ImageClient
    targets: Sequence[Target]
    pacing: CyclePacing
    max_stale: float
    store: Store
    random: Callable[[], float]
    discovery: Discovery | None = None
    _history: CycleHistory = field(init=False, default_factory=CycleHistory)
    _run: CycleRun | None = field(init=False, default=None)
    _cycle_number: int = field(init=False, default=0)
    _next_start: float | None = field(init=False, default=None)
    _retry_after_seconds: float = field(init=False, default=0.0)
    _event_log: CloudEventLog = field(init=False)
    _access: StoreAccess = field(init=False)
    _preparing: bool = field(init=False, default=False)
    _inherited: CloudState | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Create the event log, and register for responses that cannot be trusted."""
        self._event_log = CloudEventLog(self.cloud)
        self._access = StoreAccess(self.store, self.cloud)
        self.client.sender.on_desync = self._retract

    def run_cycle(self, on_progress: OnProgress | None = None) -> None:
        """Poll every image once; return at the start of the next cycle at the latest."""
        try:
            run = self._prepare(on_progress)
            if run is not None and self._execute(run):
                self._finish(run)
        except KeyError:
            # A reload may have removed the cloud from the store in the meantime.
            if not self._access.is_revoked():
                raise
        finally:
            self._preparing = False

    def set_targets(self, targets: Sequence[Target]) -> tuple[Target, ...]:
        """Replace the configured targets; discovered images are kept.

        Returns:
            The targets that were not watched before, see ``poll_now``.
        """
        with self._access.lock:
            if self.discovery is None:
                self.targets = targets
                return self.store.set_targets(self.cloud, targets)
            added = self.discovery.set_configured(targets)
            self.targets = self.discovery.targets()
            return added

    def poll_now(self, targets: Sequence[Target]) -> bool:
        """Poll new targets in the current cycle; return False if that needs a new cycle."""
        return self._preparing or self._add_to_cycle(targets)

    def discover(self, seconds: float) -> None:
        """Update the discovered images, within at most ``seconds``.

        Does nothing while Retry-After or an open circuit breaker forbids requests.
        """
        if self.discovery is None or self._access.is_revoked():
            return
        started_at = steady()
        if started_at < max(self._history.wait_until, self.discovery.wait_until):
            return
        with self._access.lock:
            if self._access.is_revoked() or self._access.state().breaker_open:
                return
        self.discovery.refresh(Deadline(started_at + seconds, started_at + seconds))

    def detach(self) -> None:
        """Write nothing to the store from now on; the caller must call ``stop`` as well."""
        self._access.revoke()
        if self.discovery is not None:
            self.discovery.stop()

    def take_over_from(self, other: "Poller") -> None:
        """Continue where a detached poller left off; called before the first cycle.

        Discovered images stay until the next listing. A Retry-After remains in force if both
        pollers use the same endpoint and credentials, and what the old client has learned about
        the endpoint stays known if both use the same endpoint.
        """
        self.client.take_over_from(other.client)
        if self.discovery is not None and other.discovery is not None:
            self.discovery.take_over_from(other.discovery)
        if self.client.sender.authenticator.identity == other.client.sender.authenticator.identity:
            doubts = other.remaining_doubts
            self._history = replace(
                self._history,
                wait_until=other.wait_until,
                unavailable=doubts.unavailable,
                contradictions=other.contradiction_memory,
                mass_404_suspected=doubts.mass_404_suspected,
                suspicions=doubts.suspicions,
                older_once=doubts.older_once,
                older_repeated=doubts.older_repeated,
                any_found=doubts.any_found,
            )
            if self.client.requested_version != other.client.requested_version:
                self._history = self._history.without_doubts()

    def remember_contradictions(self, memory: ContradictionMemory) -> None:
        """Require the evidence that earlier contradictions demand, from the first cycle on."""
        self._history = replace(self._history, contradictions=memory)

    @property
    def wait_until(self) -> float:
        """Return the monotonic time until which no request may be sent (Retry-After)."""
        blocked_until = self.client.sender.limiter.blocked_until
        return max(self._history.wait_until, blocked_until, self._discovery_wait_until)

    @property
    def contradiction_memory(self) -> ContradictionMemory:
        """Return the contradictions that are remembered, also those of an unfinished cycle."""
        if self._run is None:
            return self._history.contradictions
        return self._run.cycle.doubts.contradictions.memory

    @property
    def remaining_doubts(self) -> CycleHistory:
        """Return the history without the doubts that an unfinished cycle has refuted.

        Two cycles that agree are not consecutive if a cycle between them found the image.
        """
        if self._run is None:
            return self._history
        cycle = self._run.cycle
        succeeded = cycle.results.succeeded
        history = self._history.without_doubts_about(
            succeeded, is_any_found=cycle.doubts.gone.mass.is_existing_found
        )
        return replace(history, any_found=history.any_found or cycle.stats.found > 0)

    def stop(self) -> None:
        """End the current cycle and close every connection."""
        self.detach()
        if self._run is not None:
            self._run.stop()
        self.client.close()

    # Steps of a cycle

    def _prepare(self, on_progress: OnProgress | None) -> CycleRun | None:
        """Build the next cycle; return ``None`` if the poller has been detached."""
        with self._access.lock:
            if self._access.is_revoked():
                return None
            self._preparing = True
        self._update_targets()
        started_at = steady()
        start = self._planned_start(started_at)
        state_before = self._access.state()
        self._inherited = self._inherited or state_before
        self._cycle_number += 1
        change = self.client.start_cycle()
        if any(change):
            self._history = self._history.in_another_scope(is_endpoint_other=change.endpoint)
        self._event_log.cycle_started()
        current = self.store.current(self.targets)
        targets = [target for target, _ in current]
        observations = {target.image_id: observation for target, observation in current}
        history = self._choose_version(
            self._history_with(observations), start + self.pacing.interval * STARTUP_SHARE
        )
        groups = self._grouped(targets, history.gone)
        run = self._run = CycleRun(
            cycle=Cycle(targets, history, self.pacing, start, self.random, groups=groups),
            number=self._cycle_number,
            deadline=Deadline(start + self.pacing.sending_time, start + self.pacing.interval),
            group_count=len(groups),
            started_at=started_at,
            state_before=state_before,
            target_count=len(self.targets),
            client=self.client,
            access=self._access,
            event_log=self._event_log,
            discovery=self.discovery,
            pacing=self.pacing,
            max_stale=self.max_stale,
            on_progress=on_progress,
        )
        with self._access.lock:
            self._preparing = False
            added = [target for target in self.targets if target.image_id not in observations]
        self._add_to_cycle(added)
        return run

    def _execute(self, run: CycleRun) -> bool:
        """Run the cycle; return False if the poller has been detached meanwhile."""
        if self._access.is_revoked():
            return False
        run.run()
        if self._access.is_revoked():
            return False
        self.client.end_cycle(self.pacing.drain_timeout)
        return True

    def _finish(self, run: CycleRun) -> None:
        """Write the results of the whole cycle to the store and the log."""
        stats = run.cycle.stats
        self._history = run.cycle.history()
        lists = self._history.lists
        self.client.learn_about_lists(lists.refused_with, lists.max_id_bytes)
        self._retry_after_seconds += stats.retry_after_seconds
        summary, totals = run.summary(now()), self._client_totals()
        inherited = self._inherited or run.state_before
        self._access.update(lambda state: state.after_cycle(summary, totals, inherited))
        self._event_log.cycle_finished(run.state_before, self._access.state(), stats)
        if run.lacked_time:
            self._event_log.cycle_too_short(
                stats.failures["not_polled"],
                concurrency=self.pacing.concurrency,
                concurrency_needed=summary.concurrency_needed,
                rate_needed=self.pacing.rate_needed(run.requests_needed),
            )
        run.forget_observations()

    # Parts of these steps

    def _update_targets(self) -> None:
        """Set the targets of a cycle; list the images first if no listing has succeeded yet."""
        if self.discovery is None:
            return
        if not self.discovery.is_listed:
            # The first cycle may start late: without a listing it has no images to poll.
            share = 1.0 if self._next_start is None else STARTUP_SHARE
            self.discover(self.pacing.interval * share)
        with self._access.lock:
            self.targets = self.discovery.start_cycle()

    def _planned_start(self, started_at: float) -> float:
        """Return the planned start of the cycle, and count the cycles that never started.

        All cycles are planned from the start of the first one. So a late cycle does not delay the
        next, and each image is polled at the same offset in every interval.
        """
        interval = self.pacing.interval
        planned = started_at if self._next_start is None else min(started_at, self._next_start)
        skipped = int((started_at - planned) // interval)
        start = planned + skipped * interval
        self._next_start = start + interval
        instant = now()
        next_cycle_at = instant.wall + self._next_start - instant.monotonic
        lag = started_at - start
        self._access.update(lambda state: state.with_cycle_started(lag, skipped, next_cycle_at))
        return start

    def _history_with(self, observations: Mapping[str, Observation]) -> CycleHistory:
        """Return the history of earlier cycles with the last state of each image."""
        immediate = {
            image_id
            for image_id, observation in observations.items()
            if observation.polled_at is None or self._cycle_number == 1
        }
        if self.discovery is not None:
            immediate |= self.discovery.leaving
        history = self._history
        if self.discovery is not None and self.discovery.wait_until > history.wait_until:
            history = replace(
                history,
                wait_until=self.discovery.wait_until,
                unavailable=self.discovery.is_unavailable,
            )
        instant = now()
        service_now = instant.wall + (self.client.sender.clock_skew or 0.0)
        history = replace(history, service_clock=service_now - instant.monotonic)
        return history.with_observations(observations, frozenset(immediate))

    def _choose_version(self, history: CycleHistory, until: float) -> CycleHistory:
        """Choose the API version if necessary; return the history with any Retry-After."""
        if steady() < history.wait_until:
            return history
        version_before = self.client.version
        facts = self.client.choose_version(Deadline(until, until))
        if version_before not in {None, self.client.version}:
            # A poller that takes over in this cycle must not continue with them either.
            self._history = self._history.without_doubts()
            history = history.without_doubts()
            version = self.client.version
            self._access.update(lambda state: state.with_api_version(version))
        if facts is None or facts.retry_after is None:
            return history
        if not facts.retry_after_usable:
            self._event_log.retry_after_capped(facts.retry_after)
        self._retry_after_seconds += facts.retry_after
        return replace(
            history,
            wait_until=steady() + facts.retry_after,
            unavailable=facts.is_unavailable,
        )

    def _grouped(self, targets: Iterable[Target], gone: frozenset[str]) -> list[Group]:
        """Group the targets into requests. No list has gone images, so each is its own group."""
        remaining = {target.image_id: target for target in targets}
        batches = self.client.split_into_batches(
            image_id for image_id in remaining if image_id not in gone
        )
        groups = [tuple(remaining.pop(image_id) for image_id in batch) for batch in batches]
        return [*groups, *((target,) for target in remaining.values())]

    def _add_to_cycle(self, targets: Sequence[Target]) -> bool:
        if not targets:
            return True
        run = self._run
        return run is not None and run.add(self._grouped(targets, frozenset()))

    def _client_totals(self) -> ClientTotals:
        auth = self.client.sender.authenticator.stats()
        return ClientTotals(
            rate_limit_wait=self.client.sender.limiter.waited + self._retry_after_seconds,
            api_version=self.client.version,
            clock_skew=self.client.sender.clock_skew,
            token_expires_at=auth.expires_at,
            authentications=auth.authentications,
            authentication_failures=auth.failures,
            auth_failure=auth.failure,
            capabilities=self.client.limitations or None,
        )

    def _retract(self, tag: object) -> None:
        """Retract a response of the current cycle; ``tag`` is the tag that ``CycleRun`` sent.

        A response of an earlier cycle stays: the current cycle polls the image again.
        """
        run = self._run
        if run is None or not isinstance(tag, tuple):
            return
        if tag[0] == run.number == self._cycle_number:
            run.retract(tag[1])

    @property
    def _discovery_wait_until(self) -> float:
        return -inf if self.discovery is None else self.discovery.wait_until
