"""Circuit breaker: stops polling an API that does not respond, except for one probe a cycle."""

from collections.abc import Sequence

from exporter.model.outcome import Reason
from exporter.model.target import Target
from exporter.polling.engine.types import CycleHistory, Group

BREAKING: frozenset[Reason] = frozenset({"connection", "timeout", "tls", "server_error"})
"""Failures that suggest that the whole API is down."""

NEUTRAL: frozenset[Reason] = frozenset({"not_polled", "internal"})
"""Failures without a response that give no information about the API."""

MIN_FAILURES = 10
"""Failures in a row that open the breaker, at any concurrency."""


class CircuitBreaker:
    """Opens after twice as many failures in a row as requests may be in flight.

    Any response other than a 5xx closes it.
    """

    def __init__(self, concurrency: int, *, is_open: bool) -> None:
        self._max_failures = max(2 * concurrency, MIN_FAILURES)
        self._failures = 0
        self.is_open = is_open

    def record_success(self) -> None:
        """Close the breaker, because the API responded."""
        self._failures = 0
        self.is_open = False

    def record_failure(self, reason: Reason) -> None:
        """Count a failed request, and open the breaker if there were too many in a row."""
        if reason in NEUTRAL:
            return
        if reason not in BREAKING:
            self.record_success()
            return
        self._failures += 1
        if self._failures >= self._max_failures:
            self.is_open = True


def probe_target(targets: Sequence[Target], history: CycleHistory) -> Target | None:
    """Return the only target to poll while the breaker is open: a different one in each cycle."""
    if not history.breaker_open or not targets:
        return None
    return targets[history.probe_count % len(targets)]


def without_target(groups: Sequence[Group], excluded: Target | None) -> list[Group]:
    """Return the groups without this target, and drop groups that become empty."""
    smaller = (tuple(target for target in group if target != excluded) for group in groups)
    return [group for group in smaller if group]
