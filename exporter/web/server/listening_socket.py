"""Listening sockets that close connections of an address that opens too many in a short time.

A connection costs 300 microseconds until it is served or closed, of which accepting it takes 30.
A client that opens thousands a second would take all of the event loop's time.
"""

import socket
from collections.abc import Callable
from typing import Any

from exporter.metrics.exporter_metrics import Refusal
from exporter.web.server.open_connections import limited_address
from exporter.web.server.refusals import Refusals

QUEUE = 4096
"""Connections that the kernel queues. It ignores those beyond, which try again after a second."""

ACCEPTED_PER_TURN = 32
"""Connections that the event loop accepts before others get a turn."""

REFUSED_PER_TURN = 64
"""Connections to close before others get a turn."""

PER_SECOND = 50.0
"""Connections that an address may open in a second, or more if it may have many at once."""

SECONDS_TO_REFILL = 5
"""Seconds after which an address may open as many connections at once as before."""

MOST_ADDRESSES = 10_000
"""Addresses to remember. With more, addresses with few connections lately are forgotten."""


class OpeningRate:
    """Limits how many connections an address may open at once and in a second.

    Attributes:
        per_second: Connections that an address may open in a second.
    """

    def __init__(self, burst: int) -> None:
        """Allow so many connections at once, and at least those of a second."""
        self._burst = max(float(burst), PER_SECOND)
        self.per_second = max(self._burst / SECONDS_TO_REFILL, PER_SECOND)
        # How many connections each address might have opened at once, and when.
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, address: str, now: float) -> bool:
        """Record that the address opens a connection; return False if it has opened too many."""
        if len(self._left) >= MOST_ADDRESSES and address not in self._left:
            self._forget(now)
        left = self._refilled(*self._left.get(address, (self._burst, now)), now)
        if left < 1:
            return False
        self._left[address] = (left - 1, now)
        return True

    def _refilled(self, left: float, since: float, now: float) -> float:
        return min(self._burst, left + (now - since) * self.per_second)

    def _forget(self, now: float) -> None:
        """Forget the addresses that have opened few connections, or all."""
        self._left = {
            address: (left, since)
            for address, (left, since) in self._left.items()
            if self._refilled(left, since, now) < self._burst / 2
        }
        if len(self._left) >= MOST_ADDRESSES:
            self._left.clear()


class ListeningSocket(socket.socket):
    """A listening socket. asyncio calls its methods as those of any other."""

    def __init__(
        self, sock: socket.socket, rate: OpeningRate, refusals: Refusals, clock: Callable[[], float]
    ) -> None:
        """Take over a socket.

        Args:
            sock: The socket, which cannot be used any more.
            rate: Limits the connections of each address.
            refusals: Counts the connections that are closed.
            clock: Returns the time of the event loop.
        """
        super().__init__(fileno=sock.detach())
        self._rate = rate
        self._refusals = refusals
        self._clock = clock

    def listen(self, _: int = QUEUE, /) -> None:
        """Listen. asyncio would queue as many connections as it accepts in a turn."""
        super().listen(QUEUE)

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: No connection waits, or enough were closed for this turn.
        """
        for _ in range(REFUSED_PER_TURN):
            connection, peer = super().accept()
            address = limited_address(peer)
            now = self._clock()
            if address is None or self._rate.take(address, now):
                return connection, peer
            connection.close()
            fields = {"address": address, "limit_per_second": int(self._rate.per_second)}
            self._refusals.record(Refusal.ADDRESS_LIMIT, now, fields)
        raise BlockingIOError
