"""Warm-up of a new token: its first request is sent alone, because otherwise all would be slow.

Glance validates a token that it does not know yet with Keystone, separately for each request. So
the first request with a token is sent alone, and all other requests wait for its response.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TokenWarmup:
    """Holds requests back until the first request with a new token is complete."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._warm_generation = 0
        self._is_warming = False

    @contextmanager
    def first_alone(self, generation: int, timeout: float) -> Iterator[None]:
        """Wait until a request with this token may be sent, at most ``timeout`` seconds."""
        if generation <= self._warm_generation:
            yield
            return
        with self._changed:
            self._changed.wait_for(
                lambda: generation <= self._warm_generation or not self._is_warming, timeout
            )
            warms_token = generation > self._warm_generation and not self._is_warming
            self._is_warming = self._is_warming or warms_token
        try:
            yield
        finally:
            if warms_token:
                with self._changed:
                    self._is_warming = False
                    self._warm_generation = max(self._warm_generation, generation)
                    self._changed.notify_all()
