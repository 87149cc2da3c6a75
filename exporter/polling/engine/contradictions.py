"""Contradictions of one cloud, and how much evidence a 404 needs because of them.

API servers behind one endpoint that disagree are the most common cause of a false 404. The numbers
below come from the probability of a false "gone" at one poll. ``p`` is the share of connections (or
requests) that reach a server on which the image is missing:

- A server that responds 404 to everything, chosen per connection: it fails the control of a probe,
  so ``PROBES`` conclusive probes are impossible. Without an image as the control, a server with an
  empty list is like the last case.
- The same server, chosen per request: ``p * p**RECHECKS * (p * (1 - p)**2)**PROBES``, at most
  1.1e-5 (at p = 2/3), if the probes are conclusive one after the other. An inconclusive one mostly
  shows a contradiction, after which more is required.
- A server that lacks only some images passes the control: ``p**(1 + RECHECKS + PROBES)``, which is
  1e-12 at p = 1/10, 2e-6 at 1/3 and 2e-4 at 1/2.

The first contradiction that is seen raises the numbers for an hour, and the next cycle has to come
to the same conclusion. ``make probabilities`` computes and simulates the whole table.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from exporter.model.cloud import CONTRADICTION_MEMORY
from exporter.model.contradiction import Contradiction, ContradictionKind

MEMORY_CYCLES = 3
"""Intervals for which a contradiction is remembered, but at least ``CONTRADICTION_MEMORY``."""


class Requirement(NamedTuple):
    """The evidence that makes a 404 believed.

    Attributes:
        rechecks: 404s on fresh connections, in addition to the first 404.
        probes: Conclusive probes, each on a connection of its own.
        cycles: Consecutive cycles that have to come to this conclusion.
    """

    rechecks: int
    probes: int
    cycles: int

    def shared_by(self, suspects: int) -> "Requirement":
        """Return the evidence for each of several images that are 404 for one reason."""
        most = SHARED_RECHECKS * self.rechecks // suspects
        return self._replace(rechecks=max(1, min(self.rechecks, most)))


USUAL = Requirement(rechecks=8, probes=3, cycles=1)
"""At most 20 requests more than for an existing image: 8 + 3 * 3, and 2 with lists of v2 or 3 to
find an image in the list of the service that can be the control."""

AFTER_CONTRADICTION = Requirement(rechecks=20, probes=6, cycles=2)
"""While a contradiction is remembered; more rechecks after long runs, see ``RUN_FACTOR``."""

SHARED_RECHECKS = 20
"""Images that have all their rechecks, while no image at all is found. If there are more, they
share the same number of rechecks: a lost role must not cost twenty requests per image."""

RUN_FACTOR = 3
"""Rechecks per answer of the longest run of answers that turned out to be wrong.

If a share ``p`` of the servers is wrong, the longest of ``n`` such runs is about ``log(n, 1/p)``.
So the probability of a false run of this length is about ``n**-3``, whatever ``p`` is.
"""

MAX_RECHECKS = 120
"""Limit of rechecks per cycle."""


@dataclass(frozen=True, slots=True)
class ContradictionMemory:
    """The contradictions that are remembered from one cycle to the next.

    Attributes:
        until: Monotonic time until which they are remembered.
        longest_run: Largest number of equal answers in a row that turned out to be wrong.
    """

    until: float = -inf
    longest_run: int = 0

    def requirement(self, now: float) -> Requirement:
        """Return the evidence that a 404 needs at ``now``."""
        if now > self.until:
            return USUAL
        rechecks = max(AFTER_CONTRADICTION.rechecks, RUN_FACTOR * self.longest_run)
        return AFTER_CONTRADICTION._replace(rechecks=min(rechecks, MAX_RECHECKS))

    def after(self, run: int, now: float, interval: float) -> "ContradictionMemory":
        """Return the memory after a contradiction at ``now``, after a run of wrong answers."""
        longest_run = max(run, self.longest_run if now <= self.until else 0)
        until = now + max(CONTRADICTION_MEMORY, MEMORY_CYCLES * interval)
        return ContradictionMemory(until, longest_run)


class Contradictions:
    """The contradictions of one cycle, and the memory of earlier ones."""

    def __init__(self, memory: ContradictionMemory, interval: float) -> None:
        self.memory = memory
        self._interval = interval
        self._new: list[Contradiction] = []

    def record(
        self,
        image_id: str,
        kind: ContradictionKind,
        request_ids: tuple[str, str],
        now: float,
        *,
        run: int = 1,
    ) -> None:
        """Record a contradiction at ``now``, after ``run`` answers that were wrong."""
        self._new.append(Contradiction(image_id, kind, request_ids))
        self.memory = self.memory.after(run, now, self._interval)

    def take(self) -> list[Contradiction]:
        """Return the contradictions that are new since the last call."""
        new, self._new = self._new, []
        return new
