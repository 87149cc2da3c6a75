"""The circuit breaker: whether an API that does not answer is still asked for every image."""

from exporter.model.outcome import Reason

BREAKING: frozenset[Reason] = frozenset({"connection", "timeout", "tls", "server_error"})
"""Failures that speak against the API as a whole."""

NEUTRAL: frozenset[Reason] = frozenset({"not_polled", "internal"})
"""Failures that say nothing about it."""


class CircuitBreaker:
    """Opens after so many failures in a row without one answer; any answer but a 5xx closes it."""

    def __init__(self, concurrency: int, *, is_open: bool) -> None:
        self._limit = max(2 * concurrency, 10)
        self._streak = 0
        self.is_open = is_open

    def answered(self) -> None:
        """The API answered."""
        self._streak = 0
        self.is_open = False

    def failed(self, reason: Reason) -> None:
        """A request failed for this reason."""
        if reason in NEUTRAL:
            return
        if reason not in BREAKING:
            self.answered()
            return
        self._streak += 1
        if self._streak >= self._limit:
            self.is_open = True
