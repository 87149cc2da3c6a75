"""The ceiling on requests per second, and the wait that a server asked for."""

import threading
from collections.abc import Callable


class Limiter:
    """Hands out permits to send, one at a time, spaced by at least ``1 / rate`` seconds.

    ``waited`` counts the seconds for which requests were held back.
    """

    def __init__(
        self, rate: float | None, clock: Callable[[], float], stop: threading.Event
    ) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._clock = clock
        self._stop = stop
        self._turn = threading.Lock()
        self._next = float("-inf")
        self.waited = 0.0

    def permit(self, deadline: float) -> bool:
        """Waits for a permit; False when there is none before the deadline, or on stop.

        Without a rate there is one at once, unless the deadline has passed.

        The permit is dated when it is given, not when it was due, so that a thread that wakes
        late does not bring two requests together.
        """
        left = deadline - self._clock()
        if left <= 0 or not self._gap:
            return left > 0
        if not self._turn.acquire(timeout=min(left, threading.TIMEOUT_MAX)):
            return False
        try:
            wait = self._next - self._clock()
            if wait > 0:
                if self._clock() + wait > deadline:
                    return False
                self.waited += wait
                if self._stop.wait(wait):
                    return False
            self._next = self._clock() + self._gap
            return True
        finally:
            self._turn.release()
