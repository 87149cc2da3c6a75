"""Rate limit of incoming requests."""

import threading
from collections.abc import Callable


class TokenBucket:
    """Admits one request per ``interval`` seconds, and ``burst`` at once; thread-safe."""

    def __init__(self, interval: float, burst: int, clock: Callable[[], float]) -> None:
        self.limit = (interval, burst)
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._updated_at = clock()

    def take(self) -> bool:
        """Take a token; return False if the bucket is empty."""
        with self._lock:
            now = self._clock()
            interval, burst = self.limit
            refill = (now - self._updated_at) / interval
            self._tokens = min(float(burst), self._tokens + refill)
            self._updated_at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
