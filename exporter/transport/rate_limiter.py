"""Rate limit of outgoing requests, and the pause that a server requires with Retry-After."""

import threading
from collections.abc import Callable
from math import inf

MARGIN = 1.05
"""Factor by which permits are spaced wider than the rate requires.

On a busy machine a thread may be delayed between its permit and its request. Without a margin, a
delayed request could exceed the rate in the following second.
"""


class RateLimiter:
    """Grants permits to send, at least ``MARGIN / rate`` seconds apart; thread-safe.

    Attributes:
        waited: Total seconds for which the rate delayed requests.
    """

    def __init__(
        self, rate: float | None, clock: Callable[[], float], stop: threading.Event
    ) -> None:
        self._interval = MARGIN / rate if rate else 0.0
        self._clock = clock
        self._stop = stop
        self._waiting_lock = threading.Lock()
        self._next_permit_at = -inf
        self._block_lock = threading.Lock()
        self._blocked_until = -inf
        self.waited = 0.0

    @property
    def blocked_until(self) -> float:
        """Monotonic time until which requests are blocked (Retry-After)."""
        return self._blocked_until

    def block_until(self, until: float) -> None:
        """Block all requests until ``until``, including those already waiting."""
        with self._block_lock:
            self._blocked_until = max(self._blocked_until, until)

    def stop(self) -> None:
        """Cancel all waits: ``acquire`` returns False."""
        self._stop.set()

    def acquire(self, deadline: float) -> bool:
        """Wait for a permit to send; return False if the deadline is too early.

        Without a rate limit or a block, a permit is granted immediately. ``stop`` ends the wait.
        The interval to the next permit starts when this permit is granted, not when it was due. So
        a thread that wakes late does not cause two requests in quick succession.
        """
        now = self._clock()
        remaining = deadline - now
        if remaining <= 0 or not (self._interval or self._blocked_until > now):
            return remaining > 0
        if not self._waiting_lock.acquire(timeout=min(remaining, threading.TIMEOUT_MAX)):
            return False
        try:
            # block_until() may be called during the wait.
            while (wait := max(self._next_permit_at, self._blocked_until) - self._clock()) > 0:
                if self._clock() + wait > deadline:
                    return False
                self.waited += max(0.0, self._next_permit_at - self._clock())
                if self._stop.wait(wait):
                    return False
            self._next_permit_at = self._clock() + self._interval
            return True
        finally:
            self._waiting_lock.release()
