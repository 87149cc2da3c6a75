"""The ceiling on requests per second, and the wait that a server asked for."""

import threading
from collections.abc import Callable
from math import inf

MARGIN = 1.05
"""How much wider than the rate asks for permits are spaced.

Between its permit and its send a thread may be held up by a busy machine: without a margin, a
request that is sent late would bring one too many into the second after.
"""


class RateLimiter:
    """Hands out permits to send, one at a time, spaced by ``MARGIN / rate`` seconds at least.

    ``waited`` counts the seconds for which the rate held requests back.
    """

    def __init__(
        self, rate: float | None, clock: Callable[[], float], stop: threading.Event
    ) -> None:
        self._gap = MARGIN / rate if rate else 0.0
        self._clock = clock
        self._stop = stop
        self._turn = threading.Lock()
        self._next = -inf
        self._holding = threading.Lock()
        self._held_until = -inf
        self.waited = 0.0

    @property
    def held_until(self) -> float:
        """Before when no permit is given, because the service asked to be left alone."""
        return self._held_until

    def hold(self, until: float) -> None:
        """Gives no permit before ``until``, to those neither who wait for theirs already."""
        with self._holding:
            self._held_until = max(self._held_until, until)

    def stop(self) -> None:
        """Lets who waits for a permit go without one."""
        self._stop.set()

    def permit(self, deadline: float) -> bool:
        """Waits for a permit; False when there is none before the deadline, or on stop.

        Without a rate there is one at once, unless the deadline has passed or there is a hold.

        The permit is dated when it is given, not when it was due, so that a thread that wakes
        late does not bring two requests together.
        """
        now = self._clock()
        left = deadline - now
        if left <= 0 or not (self._gap or self._held_until > now):
            return left > 0
        if not self._turn.acquire(timeout=min(left, threading.TIMEOUT_MAX)):
            return False
        try:
            # A hold may come during the wait.
            while (wait := max(self._next, self._held_until) - self._clock()) > 0:
                if self._clock() + wait > deadline:
                    return False
                self.waited += max(0.0, self._next - self._clock())
                if self._stop.wait(wait):
                    return False
            self._next = self._clock() + self._gap
            return True
        finally:
            self._turn.release()
