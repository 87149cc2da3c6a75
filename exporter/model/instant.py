"""A point in time, as two clocks give it."""

from typing import NamedTuple


class Instant(NamedTuple):
    """One instant: ``steady`` for what lasts, ``wall`` for what is dated.

    ``steady`` is seconds of a clock that nobody sets and that also counts while the machine
    sleeps; ``wall`` is seconds since the Unix epoch, which may jump.
    """

    monotonic: float
    wall: float
