"""The clocks of this machine."""

import time

from exporter.model.instant import Instant

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Seconds of a clock that nobody sets; on Linux it also counts while the machine sleeps."""
    return time.clock_gettime(_STEADY)


def now() -> Instant:
    """This instant, by both clocks."""
    return Instant(steady(), time.time())
