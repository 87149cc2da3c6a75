"""Requests for the evidence about one image: how many may be sent, and how many at once."""

from dataclasses import dataclass

from exporter.model.outcome import Failed
from exporter.polling.engine.pacing import TRANSIENT

MAX_FAILURES_IN_A_ROW = 6
"""Failures that would not go away by themselves, after which a response is not confirmed. One of
several servers may refuse requests that the others accept."""

RESPONSES_PER_FAILURE = 2
"""Equal responses that are required in addition for each transient failure.

The failures may be those of the servers that know better. If half of the servers give a wrong
response and the others fail, the wrong response is repeated ``n`` times more often than that with a
probability of ``0.618**n``, instead of each time.
"""

MAX_TRANSIENT_FAILURES = 1
"""Transient failures in a cycle after which the evidence is still enough.

After more failures, the next cycle has to agree.
"""

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
        transient_failures: Number of requests that failed for a reason that may go away.
    """

    responses: int = 1
    sent: int = 0
    in_flight: int = 0
    failures_in_a_row: int = 0
    transient_failures: int = 0

    @property
    def additional(self) -> int:
        """Return how many more responses are required because requests failed."""
        return RESPONSES_PER_FAILURE * self.transient_failures

    @property
    def cycles(self) -> int:
        """Return the number of consecutive cycles that have to agree."""
        return 2 if self.transient_failures > MAX_TRANSIENT_FAILURES else 1

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

    def complete(self, failure: Failed | None) -> None:
        """Record a reply, with its failure."""
        self.in_flight -= 1
        self.failures_in_a_row = self.failures_in_a_row + 1 if failure is not None else 0
        self.transient_failures += failure is not None and failure.reason in TRANSIENT

    def drop(self) -> None:
        """Record that a request was cancelled before it was sent."""
        self.in_flight -= 1
        self.sent -= 1
