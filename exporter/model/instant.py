"""One point in time on two clocks."""

from typing import NamedTuple


class Instant(NamedTuple):
    """One point in time, for durations (``monotonic``) and for dates (``wall``).

    Attributes:
        monotonic: Seconds of a clock that is never set and that also runs during suspend.
        wall: Seconds since the Unix epoch. The wall clock may jump.
    """

    monotonic: float
    wall: float
