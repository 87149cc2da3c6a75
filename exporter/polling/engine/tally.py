"""What one cycle came to, in numbers."""

from collections import Counter
from dataclasses import dataclass

from exporter.model.outcome import Reason


@dataclass(slots=True)
class CycleStats:
    """Counts of one cycle, beside its verdicts.

    ``accepted`` says that the Image service answered with accepted credentials. ``told_to_wait``
    is seconds that it asked to be left alone for, ``busy`` those that ``asked`` requests took, each
    list counted as the several requests that it weighs. ``unanswered`` requests were still under
    way when the cycle's time was over.
    """

    failures: Counter[Reason]
    polls: int = 0
    retries: int = 0
    accepted: bool = False
    found: int = 0
    asked: int = 0
    unanswered: int = 0
    busy: float = 0.0
    told_to_wait: float = 0.0
