"""Memory of connections that have ended, which the C library keeps, returned to the system.

900 clients that did not read their responses left 35 MiB, of which malloc_trim returns 21.
"""

import threading
from collections.abc import Callable

MANY = 100
"""Connections from which on their memory is worth returning."""

FRACTION = 4
"""Memory is returned once this fraction of the connections is left."""

INTERVAL = 60.0
"""Seconds between two returns, as any client can cause one."""


def return_freed_memory() -> None:
    """Return freed memory to the system, in a thread; with glibc only."""
    # Most runs never need it.
    import ctypes  # noqa: PLC0415

    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        threading.Thread(target=malloc_trim, args=(0,), name="memory", daemon=True).start()


class MemoryOfConnections:
    """Returns the memory of many connections after most of them have ended.

    Args:
        return_memory: Returns freed memory to the system.
    """

    def __init__(self, return_memory: Callable[[], object] = return_freed_memory) -> None:
        self._return_memory = return_memory
        self._most = 0
        self._next_at = float("-inf")

    def observe(self, connections: int, now: float) -> None:
        """Note how many connections are open at a monotonic time."""
        self._most = max(self._most, connections)
        if self._most >= MANY and connections <= self._most // FRACTION and now >= self._next_at:
            self._most = connections
            self._next_at = now + INTERVAL
            self._return_memory()
