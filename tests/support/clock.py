"""A clock that stands still until a test moves it."""

from exporter.model.instant import Instant

START = Instant(monotonic=1000.0, wall=1.7e9)


class FakeClock:
    """A steady clock and a wall clock, called as ``exporter.clock.now`` is."""

    def __init__(self, start: Instant = START) -> None:
        self.now = start

    def __call__(self) -> Instant:
        """Return the current instant."""
        return self.now

    def advance(self, seconds: float, wall: float | None = None) -> None:
        """Let ``seconds`` pass on both clocks, or ``wall`` seconds on the wall clock."""
        wall = seconds if wall is None else wall
        self.now = Instant(self.now.monotonic + seconds, self.now.wall + wall)

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock forward or, if negative, back."""
        self.advance(0.0, wall=seconds)
