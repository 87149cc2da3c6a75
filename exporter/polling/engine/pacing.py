"""Pacing of one cloud's cycles: limits, backoff, and the time at which each image is polled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from exporter.model.outcome import Reason
from exporter.model.target import Target
from exporter.polling.engine.circuit_breaker import BREAKING
from exporter.polling.engine.types import Group

SPREAD_FRACTION = 0.8
"""Share of the interval in which the polls of a cycle start; the rest is for retries."""

TICK = 0.02
"""Seconds within which due polls start together: waking up costs more than sending a request."""

BATCH_WEIGHT = 8
"""Number of single-image requests that cost as much as a list of about a hundred images.

On Glance 33 a list took 31 ms of processor time and a single image 5.6 ms. A worker process handles
one list at a time, so more concurrent lists only take longer.
"""

TRANSIENT: frozenset[Reason] = (BREAKING - {"tls"}) | {"rate_limited"}
"""Failures after which a request is sent again in the same cycle, up to ``MAX_RETRIES`` times."""

MAX_RETRIES = 2
BACKOFF_BASE = 0.5
MAX_RETRY_BACKOFF = 8.0
MAX_DRAIN_TIMEOUT = 0.05


@dataclass(frozen=True, slots=True)
class CyclePacing:
    """Limits of one cloud's cycles; times in seconds."""

    interval: float
    timeout: float
    concurrency: int

    @property
    def max_batches(self) -> int:
        """Return how many lists may be in flight at once; a list weighs ``BATCH_WEIGHT``."""
        return max(1, self.concurrency // BATCH_WEIGHT)

    @property
    def sending_time(self) -> float:
        """Return the seconds from the start of a cycle during which requests are sent.

        A request sent later would hardly have its response before the cycle ends.
        """
        return self.interval - min(self.timeout, self.interval / 10)

    @property
    def drain_timeout(self) -> float:
        """Return how long to wait, at the end of a cycle, for bytes that follow a response.

        It is a little longer than TCP's delayed acknowledgement, which can hold such bytes back.
        """
        return min(MAX_DRAIN_TIMEOUT, self.interval / 50)

    def backoff(self, attempt: int, random: Callable[[], float]) -> float:
        """Return the seconds before an attempt, see ``retry_backoff``."""
        return retry_backoff(attempt, random)

    def rate_needed(self, requests: int) -> float:
        """Return the requests per second that start all requests within ``SPREAD_FRACTION``."""
        return requests / (SPREAD_FRACTION * self.interval)

    def concurrency_needed(self, requests: int, seconds_per_request: float) -> float:
        """Return the requests in flight that start all requests within ``SPREAD_FRACTION``."""
        busy_seconds = requests * seconds_per_request
        return float(max(1, ceil(busy_seconds / (SPREAD_FRACTION * self.interval))))


def retry_backoff(attempt: int, random: Callable[[], float]) -> float:
    """Return the seconds before an attempt (0 is the first retry), with full jitter."""
    return random() * min(MAX_RETRY_BACKOFF, BACKOFF_BASE * 2.0**attempt)


def schedule(
    targets: Sequence[Target], immediate: frozenset[str], start: float, interval: float
) -> list[tuple[float, Target]]:
    """Return the time at which each target is polled, soonest first.

    The ``immediate`` targets are polled at the start. The others are spread evenly over a share of
    the interval. Each target has the same offset in every cycle, so its polls are an interval
    apart. The first cycle polls all images at once, so the first two polls of an image are an
    interval plus its offset apart. Targets less than a tick apart are polled together.
    """
    gap = SPREAD_FRACTION * interval / max(len(targets), 1)
    per_tick = max(1, int(TICK / gap)) if gap else 1
    planned = []
    for index, target in enumerate(targets):
        if target.image_id in immediate:
            planned.append((start, target))
        else:
            first_index_of_tick = index // per_tick * per_tick
            planned.append((start + first_index_of_tick * gap, target))
    return sorted(planned, key=lambda item: item[0])


def schedule_groups(
    groups: Sequence[Group], immediate: frozenset[str], start: float, interval: float
) -> list[tuple[float, Group]]:
    """Return the time at which each group is polled; a group with an immediate target at once."""
    group_by_first_id = {group[0].image_id: group for group in groups}
    immediate_firsts = frozenset(
        group[0].image_id
        for group in groups
        if any(target.image_id in immediate for target in group)
    )
    firsts = [group[0] for group in groups]
    planned = schedule(firsts, immediate_firsts, start, interval)
    return [(due, group_by_first_id[first.image_id]) for due, first in planned]
