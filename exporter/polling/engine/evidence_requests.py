"""Requests for the evidence about one image: how many may be sent, and how many at once."""

from dataclasses import dataclass

MAX_FAILURES_IN_A_ROW = 6
"""Failures that would not go away by themselves, after which a response is not confirmed. One of
several servers may refuse requests that the others accept."""

MAX_ATTEMPTS = 4
"""Requests that may be sent per request that is required, because some fail or show nothing."""


@dataclass(slots=True)
class EvidenceRequests:
    """The requests about one doubtful response, in one cycle.

    Attributes:
        responses: Number of equal responses in a row, including the doubtful one.
        sent: Number of requests that were taken.
        in_flight: Number of requests without a reply.
        failures_in_a_row: Number of requests that failed since the last one that did not.
    """

    responses: int = 1
    sent: int = 0
    in_flight: int = 0
    failures_in_a_row: int = 0

    def take(self, wanted: int, required: int) -> int:
        """Return how many of the ``wanted`` requests to send now.

        The more equal responses there were, the more are in flight: a wrong response is mostly
        refuted by the first few requests, and a right one is confirmed in few round trips. After a
        failure there is one at a time. ``required`` is the number that would do without failures.
        """
        at_once = 1 if self.failures_in_a_row else self.responses**2 + 2
        count = min(wanted, at_once) - self.in_flight
        count = max(0, min(count, MAX_ATTEMPTS * required - self.sent))
        self.sent += count
        self.in_flight += count
        return count

    def complete(self, *, failed: bool) -> None:
        """Record a reply."""
        self.in_flight -= 1
        self.failures_in_a_row = self.failures_in_a_row + 1 if failed else 0

    def drop(self) -> None:
        """Record that a request was cancelled before it was sent."""
        self.in_flight -= 1
        self.sent -= 1
