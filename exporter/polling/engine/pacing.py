"""How fast one cloud is asked, and when each image is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from exporter.model.target import Target

SPREAD_FRACTION = 0.8
"""The share of the interval over which the requests of a cycle start; the rest is for retries."""

TICK = 0.02
"""Seconds within which requests that are due start together: to wake up costs more than to ask."""

LIST_WEIGHT = 8
"""So many requests for one image count as much as a list of about a hundred.

At Glance 33 a list took 31 ms of its processor, a single image 5.6 ms, and one worker answers lists
one after the other: more of them at once only take longer.
"""

RETRIES = 2
BACKOFF = 0.5
LONGEST_BACKOFF = 8.0
LONGEST_GRACE = 0.05


@dataclass(frozen=True, slots=True)
class CyclePacing:
    """The limits of one cloud's cycles; seconds."""

    interval: float
    timeout: float
    concurrency: int

    @property
    def lists(self) -> int:
        """How many lists may be in flight at once, each as heavy as several requests."""
        return max(1, self.concurrency // LIST_WEIGHT)

    @property
    def last_start(self) -> float:
        """How long after its start a cycle still sends requests: later ones could not end well."""
        return self.interval - min(self.timeout, self.interval / 10)

    @property
    def grace(self) -> float:
        """How long to wait, after the last answer of a cycle, for bytes that belong to none.

        A little more than TCP's delayed acknowledgement, which holds such bytes back.
        """
        return min(LONGEST_GRACE, self.interval / 50)

    def backoff(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds before an attempt (1 is the first retry): exponential, with full jitter."""
        return random() * min(LONGEST_BACKOFF, BACKOFF * 2.0**attempt)

    def rate(self, requests: int) -> float:
        """Requests a second with which so many start within their share of the interval."""
        return requests / (SPREAD_FRACTION * self.interval)

    def needed(self, polls: int, seconds_each: float) -> float:
        """Requests in flight with which so many polls start within their share of the interval."""
        return float(max(1, ceil(polls * seconds_each / (SPREAD_FRACTION * self.interval))))


def schedule(
    targets: Sequence[Target], new: frozenset[str], start: float, interval: float
) -> list[tuple[float, Target]]:
    """When each image is asked, soonest first.

    New ones at once, the others evenly over a share of the interval, each at the same place in
    every cycle: an interval after the last time, except that after its first, when it was new,
    an image may wait for as much of another as its place is late. Where there are several in a
    tick, they are asked at the beginning of it.
    """
    gap = SPREAD_FRACTION * interval / max(len(targets), 1)
    together = max(1, int(TICK / gap)) if gap else 1
    due = [
        (start if target.image_id in new else start + place // together * together * gap, target)
        for place, target in enumerate(targets)
    ]
    return sorted(due, key=lambda item: item[0])
