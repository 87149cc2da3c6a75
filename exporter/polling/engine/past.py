"""What one cycle passes on to the next."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class CycleHistory:
    """What a cycle has to know of those before it.

    ``living`` and ``gone`` are the IDs that were last answered as there and as gone, ``new`` those
    that do not wait for their turn: never polled, or leaving. ``probe`` counts the cycles in which
    the breaker was open, ``wait_until`` is when the service may be asked again.
    """

    living: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()
    breaker_open: bool = False
    probe: int = 0
    all_missing: bool = False
    wait_until: float = -inf
