"""Limit of the connections from one address, so that one client cannot use up those of all."""

import ipaddress
import logging
from typing import Any, Protocol

from exporter.web.server.connection_limit import max_connections

log = logging.getLogger(__name__)

FRACTION = 4
"""By default, one address may have this fraction of all connections."""

IPV6_PREFIX = 64
"""Bits of an IPv6 address that a network gets. One client may use all addresses below them."""

LOG_INTERVAL = 60.0
"""Seconds between two log lines: any client can cause them."""


class LimitedConnection(Protocol):
    """A connection that can be closed to make room for another."""

    @property
    def is_silent(self) -> bool:
        """True if no response is in progress."""

    def abort(self) -> None:
        """Close the connection at once."""


class AddressLimit:
    """The connections of each address, and the limit of their number.

    At the limit, a new connection replaces the one of the same address that has been silent
    longest, so that clients which forget their connections can still connect.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit or max(1, max_connections() // FRACTION)
        self._connections: dict[str, dict[LimitedConnection, None]] = {}
        self._closed = 0
        self._next_log_at = float("-inf")

    def admit(self, address: str, connection: LimitedConnection, now: float) -> bool:
        """Add a connection; return False if it is beyond the limit and no other one is silent."""
        connections = self._connections.setdefault(address, {})
        is_full = len(connections) >= self._limit
        if is_full:
            self._count(address, now)
            oldest = next((other for other in connections if other.is_silent), None)
            if oldest is None:
                return False
            del connections[oldest]
            oldest.abort()
        connections[connection] = None
        return True

    def touch(self, address: str, connection: LimitedConnection) -> None:
        """Make a connection the last one to be closed: it has just got a response."""
        connections = self._connections.get(address, {})
        if connection in connections:
            del connections[connection]
            connections[connection] = None

    def remove(self, address: str, connection: LimitedConnection) -> None:
        """Forget a connection that has ended."""
        connections = self._connections.get(address, {})
        connections.pop(connection, None)
        if not connections:
            self._connections.pop(address, None)

    def _count(self, address: str, now: float) -> None:
        self._closed += 1
        if now < self._next_log_at:
            return
        self._next_log_at = now + LOG_INTERVAL
        fields = {"address": address, "limit": self._limit, "closed_since_start": self._closed}
        log.warning("too many connections from one address", extra={"fields": fields})


def limited_address(peer: Any) -> str | None:
    """Return the address, or the network, whose connections are counted together.

    Those of this machine and of Unix sockets are not limited.

    Args:
        peer: The peer's name as the socket has it.
    """
    if not isinstance(peer, tuple):
        return None
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            network = ipaddress.ip_network((address, IPV6_PREFIX), strict=False)
            return None if address.is_loopback else str(network)
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)
