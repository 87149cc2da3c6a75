"""One poll cycle of a cloud: which request to send next, and the outcome of each image.

It is pure: the caller passes the time as monotonic seconds, sends the ``PollRequest`` that ``next``
returns, and passes the reply to ``on_reply``. Its parts are ``RequestQueue`` (the order of
requests), ``BatchPlanner`` (lists), ``Doubts`` (404s and older answers), ``CircuitBreaker`` and
``CycleResults``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import inf

from exporter.model.outcome import Failed, Found, NotFound
from exporter.model.replies import BatchReply, ImageReply, ListReply, PollReply, ProbeReply
from exporter.model.target import Target
from exporter.polling.engine.batching.failures import classify
from exporter.polling.engine.batching.planner import BatchPlanner
from exporter.polling.engine.circuit_breaker import (
    BREAKING,
    CircuitBreaker,
    probe_target,
    without_target,
)
from exporter.polling.engine.doubts import Doubts
from exporter.polling.engine.pacing import (
    BATCH_WEIGHT,
    MAX_RETRIES,
    TRANSIENT,
    CyclePacing,
    schedule_groups,
)
from exporter.polling.engine.request_queue import RequestQueue
from exporter.polling.engine.results import CycleResults
from exporter.polling.engine.types import (
    CycleHistory,
    CycleStats,
    Done,
    Group,
    PollRequest,
    RequestKind,
    Wait,
)

MAX_FRESH_LISTS = 4
"""Times that a list that is 404 is requested again, each time on a fresh connection."""

TIME_OVER = "the cycle's time was over"
BREAKER_OPEN = "the circuit breaker is open: the API does not respond"
WAIT_TOO_LONG = "Retry-After is longer than the rest of this cycle"


class Cycle:
    """The state of one cycle; not thread-safe.

    ``groups`` are the targets that are requested together, each target in one group. By default
    each target is requested by itself.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        history: CycleHistory,
        pacing: CyclePacing,
        start: float,
        random: Callable[[], float],
        *,
        groups: Sequence[Group] | None = None,
    ) -> None:
        self._history = history
        self._pacing = pacing
        self._latest_start = start + pacing.sending_time
        self._random = random
        self._api_responded = False
        self._done = False
        self.wait_until = history.wait_until
        self.unavailable = history.unavailable
        self.stats = CycleStats()
        self.results = CycleResults(targets, self.stats)
        if groups is None:
            groups = [(target,) for target in targets]
        self.doubts = Doubts(history, self.results.targets, pacing.interval)
        self._batches = BatchPlanner(groups, history.listed, history.lists)
        self._breaker = CircuitBreaker(pacing.concurrency, is_open=history.breaker_open)
        probe = probe_target(targets, history)
        others = without_target(groups, probe)
        planned = schedule_groups(others, history.immediate, start, pacing.interval)
        self._queue = RequestQueue(planned, pacing.max_batches)
        if not targets:
            # Without images to poll, ``api_up`` still needs a request.
            self._queue.push(start, PollRequest(RequestKind.LIST))
        if probe is not None:
            self._queue.pause()
            self._queue.push(start, PollRequest(RequestKind.POLL, (probe,), attempt=MAX_RETRIES))

    @property
    def breaker_open(self) -> bool:
        """Return True if the breaker is open: the next cycle then starts with a single probe."""
        return self._breaker.is_open

    def history(self) -> CycleHistory:
        """Return the history for the next cycle; the caller adds the state of the images."""
        history = replace(
            self._history,
            breaker_open=self._breaker.is_open,
            probe_count=self._history.probe_count + 1 if self._breaker.is_open else 0,
            wait_until=self.wait_until,
            unavailable=self.unavailable,
            listed=self._batches.listed,
            lists=self._batches.experience,
            any_found=self._history.any_found or self.stats.found > 0,
        )
        return self.doubts.add_to(history)

    def add(self, groups: Sequence[Group], now: float) -> bool:
        """Add targets to poll immediately; return False if the cycle ends too soon for them."""
        if self._done or max(now, self.wait_until) >= self._latest_start:
            return False
        added = [target for group in groups for target in group]
        self.results.add(added)
        self.doubts.forget(target.image_id for target in added)
        self._batches.add(groups)
        self._queue.plan((now, group) for group in groups)
        if self._breaker.is_open:
            self._queue.pause()
        return True

    def next(self, now: float) -> PollRequest | Wait | Done:
        """Return the next step at ``now``: send a request, wait, or stop."""
        while not self._done:
            self._expire(now)
            step: PollRequest | Wait | Done | None = self._pop_due(now)
            if step is None:
                step = self._when_idle(now)
            if step is not None:
                return step
        return Done()

    def on_reply(self, request: PollRequest, reply: PollReply, now: float) -> None:
        """Take the reply to a request that ``next`` returned."""
        if self._done:
            return
        self._queue.complete(request)
        self._update_stats(request, reply, now)
        if reply.failure is None and now >= self.wait_until:
            self.unavailable = False
        if reply.facts.retry_after is not None:
            if now + reply.facts.retry_after > self.wait_until:
                self.unavailable = reply.facts.is_unavailable
            self._apply_retry_after(now, now + reply.facts.retry_after)
        self._update_breaker(reply, now)
        match reply:
            case BatchReply():
                self._on_batch_reply(request, reply, now)
            case ListReply():
                self._on_list_reply(request, reply, now)
            case ImageReply() if request.kind is RequestKind.RECHECK:
                self.doubts.on_recheck_reply(request, reply, now)
            case ImageReply():
                self._on_poll_reply(request, reply, now)
            case ProbeReply():
                self.doubts.on_probe_reply(request, reply, now)
        if self._batches.has_unlisted and not self._queue.expects_first_list(now):
            self._push_all(now, self._batches.second_lists())
        self._resolve_doubts(now)

    def retract(self, image_id: str) -> None:
        """Fail the poll of an image whose response was followed by stray bytes."""
        self.doubts.on_retracted(image_id)
        self.results.retract(image_id, Failed("malformed", "stray bytes followed the response"))

    def close(self) -> None:
        """End the cycle now: requests without a reply have timed out, others were not sent."""
        if self._done:
            return
        self._cancel_pending(TIME_OVER)
        self.stats.in_flight_at_end = len(self._queue.in_flight)
        for request in self._queue.in_flight:
            self._fail(request, Failed("timeout", "no response before the cycle ended"))
        self._finish(out_of_time=True)

    # Steps of next()

    def _expire(self, now: float) -> None:
        """Cancel all requests that are not sent yet if it is too late to send any."""
        if now >= self._latest_start:
            self._cancel_pending(TIME_OVER)
        elif self.wait_until >= self._latest_start:
            self._cancel_pending(WAIT_TOO_LONG)

    def _pop_due(self, now: float) -> PollRequest | Wait | None:
        """Return the request that is due, a wait until one is due, or ``None`` if none can be sent.

        A batch that the API would not accept is replaced by other requests for its images.
        """
        while max(self._queue.due, self.wait_until) <= now:
            request = self._queue.take(now)
            replacement = self._batches.replacement(request)
            if not replacement:
                return request
            self._queue.complete(request)
            self._push_all(now, replacement)
        if self._queue.due == inf:
            return None
        return Wait(min(max(self._queue.due, self.wait_until), self._latest_start))

    def _when_idle(self, now: float) -> Wait | Done | None:
        """Return a wait for replies, ``None`` after adding a last request, or ``Done``."""
        if self._queue.in_flight:
            return Wait(inf)
        if self._queue.paused:
            self._cancel_pending(BREAKER_OPEN)
        if not self._breaker.is_open and max(now, self.wait_until) < self._latest_start:
            request = self.doubts.request_when_idle(accepted=self.stats.accepted)
            if request is not None:
                self._queue.push(now, request)
                return None
        self._finish(out_of_time=max(now, self.wait_until) >= self._latest_start)
        return Done()

    # Steps of on_reply()

    def _update_stats(self, request: PollRequest, reply: PollReply, now: float) -> None:
        weight = BATCH_WEIGHT if request.kind is RequestKind.BATCH else 1
        self.stats.requests += reply.requests if isinstance(reply, ProbeReply) else 1
        self.stats.busy_seconds += weight * max(0.0, now - reply.facts.sent_at)
        self.stats.accepted = self.stats.accepted or reply.accepted

    def _apply_retry_after(self, now: float, until: float) -> None:
        """Send no requests before ``until``, and spread the planned polls over the time after."""
        self.stats.retry_after_seconds += max(0.0, until - max(now, self.wait_until))
        if until > self.wait_until:
            self.wait_until = until
            self._queue.pause()
            self._resume(until)

    def _update_breaker(self, reply: PollReply, now: float) -> None:
        if reply.failure is None:
            self._api_responded = True
            self._breaker.record_success()
        elif not reply.facts.failed_at_authentication or reply.failure.reason in BREAKING:
            # A token that Keystone refuses says nothing about the Image service; an outage does.
            self._breaker.record_failure(reply.failure.reason)
        if self._breaker.is_open:
            self._queue.pause()
            self._cancel_added(BREAKER_OPEN)
        elif self._queue.paused:
            self._resume(max(now, self.wait_until))

    def _on_poll_reply(self, request: PollRequest, reply: ImageReply, now: float) -> None:
        (target,) = request.targets
        match reply.result:
            case Found() as found:
                if self._batches.was_left_out(target.image_id, self._history.listed):
                    self.doubts.on_left_out(found, now)
                self._record_found(target, found, now)
            case NotFound(request_id):
                self.doubts.gone.on_poll_404(target, request_id, now)
            case Failed() as failed:
                if self._retry(request, failed, now):
                    return
                self._record_failed(target, failed)
        if request.deferred:
            after = self._batches.after_image_check(request, reply.result)
            self._push_or_fail(now, after, request.deferred, request.failure or Failed("internal"))

    def _on_list_reply(self, request: PollRequest, reply: ListReply, now: float) -> None:
        will_retry = reply.failure is not None and self._retry(request, reply.failure, now)
        self.doubts.is_list_requested = True
        if will_retry or request.failure is None:
            return
        if reply.failure is None:
            targets, second = request.deferred, request.second_list
            self._push_all(now, self._batches.shorter_lists(targets, second, request.failure))
        else:
            self._fail(request, request.failure)

    def _on_batch_reply(self, request: PollRequest, reply: BatchReply, now: float) -> None:
        if isinstance(reply.batch, Failed):
            self._on_batch_failure(request, reply, reply.batch, now)
            return
        if request.fresh:
            self.doubts.on_list_found_again(request, now)
        for target in request.targets:
            match reply.batch.results.get(target.image_id):
                case Found() as found:
                    self._record_found(target, found, now)
                case Failed() as failed:
                    self._record_failed(target, failed)
        remaining = self.results.undecided_of(request.targets)
        self._push_all(now, self._batches.after_page(request, remaining, reply.batch.next_path))

    def _on_batch_failure(
        self, request: PollRequest, reply: BatchReply, failed: Failed, now: float
    ) -> None:
        is_repeatable = request.failure is None or request.fresh
        if failed.reason == "unconfirmed" and is_repeatable and request.attempt < MAX_FRESH_LISTS:
            # Another server may be behind another connection.
            again = request._replace(attempt=request.attempt + 1)
            self._queue.push(now, again._replace(fresh=True, failure=failed))
            return
        failure = classify(
            failed,
            splittable=reply.splittable,
            api_responds=self._api_responded,
            is_hopeless=self._breaker.is_open
            or (reply.facts.failed_at_authentication and failed.reason != "unauthorized"),
        )
        if self._batches.retries(failure, request) and self._retry(request, failed, now):
            return
        remaining = self.results.undecided_of(request.targets)
        after = self._batches.after_failure(failure, request, remaining, failed)
        self._push_or_fail(now, after, request.targets_to_fail, failed)

    def _resolve_doubts(self, now: float) -> None:
        """Queue the requests that doubtful answers need, and record the outcomes decided by now."""
        if not self._breaker.is_open:
            for failures, request in self.doubts.take_requests(now):
                backoff = self._pacing.backoff(failures - 1, self._random) if failures else 0.0
                self.stats.retries += failures > 0
                self._queue.push(now + backoff, request)
        for target, outcome in self.doubts.take_outcomes():
            self.results.record(target, outcome)

    # Requests

    def _push_all(self, now: float, requests: Iterable[PollRequest]) -> None:
        for request in requests:
            self._queue.push(now, request)

    def _push_or_fail(
        self, now: float, after: list[PollRequest], targets: Iterable[Target], failed: Failed
    ) -> None:
        """Queue the requests after a failed list; without any, fail the polls of its targets."""
        self._push_all(now, after)
        for target in () if after else targets:
            self._record_failed(target, failed)

    def _retry(self, request: PollRequest, failed: Failed, now: float) -> bool:
        """Schedule a retry after a backoff; return False if the request cannot be retried."""
        if (
            failed.reason not in TRANSIENT
            or request.attempt >= MAX_RETRIES
            or self._breaker.is_open
        ):
            return False
        backoff = self._pacing.backoff(request.attempt, self._random)
        due = max(now + backoff, self.wait_until)
        if due >= self._latest_start:
            return False
        self.stats.retries += 1
        self._queue.push(due, request._replace(attempt=request.attempt + 1, failure=failed))
        return True

    def _resume(self, at: float) -> None:
        """Plan paused polls again, evenly over the rest of the cycle to avoid a stampede."""
        rest = max(self._latest_start - at, 0.0)
        self._queue.plan(schedule_groups(self._queue.take_paused(), frozenset(), at, rest))

    def _cancel_pending(self, why: str) -> None:
        """Cancel all requests that are not sent yet; polls that failed before keep their reason."""
        not_polled = Failed("not_polled", why)
        self._queue.pause()
        for group in self._queue.take_paused():
            for target in group:
                self.results.record(target, not_polled)
        self._cancel_added(why)

    def _cancel_added(self, why: str) -> None:
        """Cancel every added request, and the images that wait for a second list."""
        not_polled = Failed("not_polled", why)
        for target in self._batches.take_unlisted():
            self.results.record(target, not_polled)
        for request in self._queue.drop_added():
            self.doubts.on_dropped(request)
            self._fail(request, request.failure or not_polled)

    # Outcomes

    def _fail(self, request: PollRequest, failed: Failed) -> None:
        for target in request.targets_to_fail:
            self.results.record(target, failed)

    def _record_found(self, target: Target, found: Found, now: float) -> None:
        if (believed := self.doubts.believed(target, found, now)) is not None:
            self.results.record(target, believed)

    def _record_failed(self, target: Target, failed: Failed) -> None:
        self.doubts.gone.mass.on_failed(target.image_id)
        self.results.record(target, failed)

    def _finish(self, *, out_of_time: bool) -> None:
        """End the cycle; the targets that still have no outcome are unconfirmed 404s."""
        for target in self.results.undecided():
            unconfirmed = self.doubts.unconfirmed(
                target, out_of_time=out_of_time, breaker_open=self._breaker.is_open
            )
            self.results.record(target, unconfirmed)
        self._done = True
