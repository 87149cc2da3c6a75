"""DNS resolution with a timeout.

``getaddrinfo`` has no timeout and cannot be cancelled, so it runs in a thread of its own. All
callers that need the same host meanwhile share the look-up, each with its own timeout.
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
    """Resolves host names, with at most one look-up in progress per host and port."""

    def __init__(self, lookup: Lookup = GETADDRINFO) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._in_progress: dict[tuple[str, int], Future[list[Address]]] = {}

    def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        """Return the addresses for TCP.

        Raises:
            TimeoutError: The look-up takes longer than ``timeout`` seconds.
            socket.gaierror: The name cannot be resolved.
        """
        key = (host, port)
        with self._lock:
            future = self._in_progress.get(key)
            if future is None:
                future = self._in_progress[key] = Future()
                threading.Thread(
                    target=self._run, args=(key, future), name=f"resolve-{host}", daemon=True
                ).start()
        return future.result(timeout)

    def _run(self, key: tuple[str, int], future: Future[list[Address]]) -> None:
        try:
            addresses = self._lookup(*key, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001  # raised in the threads that wait
            self._remove(key)
            future.set_exception(error)
        else:
            self._remove(key)
            future.set_result(addresses)

    def _remove(self, key: tuple[str, int]) -> None:
        with self._lock:
            del self._in_progress[key]
