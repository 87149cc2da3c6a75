"""One request ahead of the rest, where the rest would all be slow.

The first requests with a token that Glance has not seen make it ask Keystone, each on its own
account. So the first one goes alone, and the others follow once it is answered.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TokenWarmup:
    """Lets the first request of each token generation go ahead of the others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passed = 0
        self._leading = False

    @contextmanager
    def turn(self, generation: int, timeout: float) -> Iterator[None]:
        """Waits until a request with this generation may be sent, at most ``timeout`` seconds."""
        if generation <= self._passed:
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: generation <= self._passed or not self._leading, timeout)
            leads = generation > self._passed and not self._leading
            self._leading = self._leading or leads
        try:
            yield
        finally:
            if leads:
                with self._changed:
                    self._leading = False
                    self._passed = max(self._passed, generation)
                    self._changed.notify_all()
