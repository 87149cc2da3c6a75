"""Clocks of this machine."""

import time

from exporter.model.instant import Instant

_STEADY_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Return the seconds of a clock that is never set; on Linux it includes time asleep."""
    return time.clock_gettime(_STEADY_CLOCK)


def now() -> Instant:
    """Return the current time of both clocks."""
    return Instant(steady(), time.time())
