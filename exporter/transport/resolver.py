"""Names to addresses, without letting a hanging resolver hold up a poll.

``getaddrinfo`` has no timeout and cannot be stopped, so it runs in a thread of its own; all who
ask for one host meanwhile wait for the same look-up, each no longer than it may.
"""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
Lookup = Callable[..., list[Address]]

GETADDRINFO: Lookup = socket.getaddrinfo  # type: ignore[assignment]  # as Address, but by family


class Resolver:
    """Looks names up; at most one look-up per host and port is under way."""

    def __init__(self, lookup: Lookup = GETADDRINFO) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], Future[list[Address]]] = {}

    def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        """The addresses for TCP; raises ``TimeoutError`` and ``socket.gaierror``."""
        key = (host, port)
        with self._lock:
            future = self._running.get(key)
            if future is None:
                future = self._running[key] = Future()
                threading.Thread(
                    target=self._run, args=(key, future), name=f"resolve-{host}", daemon=True
                ).start()
        return future.result(timeout)

    def _run(self, key: tuple[str, int], future: Future[list[Address]]) -> None:
        try:
            answer = self._lookup(*key, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001  # whoever waits is to have it, whatever it is
            self._forget(key)
            future.set_exception(error)
        else:
            self._forget(key)
            future.set_result(answer)

    def _forget(self, key: tuple[str, int]) -> None:
        with self._lock:
            del self._running[key]
