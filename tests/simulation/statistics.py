"""Properties that worlds have to have, and figures of worlds."""

from collections import Counter
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import NamedTuple

from tests.simulation.bounds import Excluded


class Check(Enum):
    """Properties that every world has to have."""

    FALSE_GONE = "an existing image was reported as gone"
    EVIDENCE = "an image was reported as gone on too little evidence"
    FALSE_CHANGE = "a change was counted that did not happen"
    MISSED_CHANGE = "a change was not reported in time"
    FALSE_CONTRADICTION = "healthy servers were reported to contradict each other"
    OUTCOMES = "an image did not have exactly one outcome in a cycle"
    COUNTER_FELL = "a counter decreased"
    REQUESTS = "a cycle sent too many requests"
    CONCURRENCY = "too many requests were in flight"
    RETRY_AFTER = "a request was sent before the time that Retry-After named"


class Violation(NamedTuple):
    """A property that a world did not have, at a time of the world."""

    check: Check
    at: float
    image_id: str
    detail: str

    def __str__(self) -> str:
        """Return the line of a report."""
        return f"{self.at:9.3f}  {self.check.value}: {self.image_id} {self.detail}"


@dataclass(slots=True)
class Statistics:
    """Figures of one or more worlds.

    Attributes:
        deletion_delays: Number of deletions by the cycles from the one in which the image was
            deleted to the one that reported it.
        third_delays: The same for worlds in which one server of three lies.
        excluded: Number of violations that a reason excludes.
    """

    worlds: int = 0
    cycles: int = 0
    image_cycles: int = 0
    bad_image_cycles: int = 0
    requests: int = 0
    changes: int = 0
    contradictions: int = 0
    deletion_delays: Counter[int] = field(default_factory=Counter)
    third_delays: Counter[int] = field(default_factory=Counter)
    excluded: Counter[Excluded] = field(default_factory=Counter)
    violations: Counter[Check] = field(default_factory=Counter)

    def add(self, other: "Statistics") -> None:
        """Add the figures of other worlds."""
        for of in fields(self):
            total = getattr(self, of.name)
            if isinstance(total, Counter):
                total.update(getattr(other, of.name))
            else:
                setattr(self, of.name, total + getattr(other, of.name))
