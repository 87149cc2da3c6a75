"""Open connections, limited in total and for each address."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Protocol

from exporter.metrics.exporter_metrics import Refusal
from exporter.web.server.connection_limit import max_connections
from exporter.web.server.refusals import Refusals

FRACTION = 4
"""By default, one address may have this fraction of all connections."""

CACHED_ADDRESSES = 1024
"""Addresses that are kept parsed: in a flood, parsing takes as long as accepting."""

IPV6_PREFIX = 64
"""Bits of an IPv6 address that a network gets. One client may use all addresses below them."""


class LimitedConnection(Protocol):
    """A connection that can be closed to make room for another."""

    @property
    def is_silent(self) -> bool:
        """True if no response is in progress."""

    def abort(self) -> None:
        """Close the connection at once."""


class OpenConnections:
    """The open connections, with a limit for each address.

    At a limit, a new connection replaces the one that has been silent longest, of the same address
    or of all. So clients that forget their connections can still connect.

    Attributes:
        refusals: Counts what is closed or refused.
        limit: Connections that an address may have.
    """

    def __init__(self, refusals: Refusals, per_address: int | None = None) -> None:
        """Limit the connections of an address; by default, to a fraction of all."""
        self.refusals = refusals
        self.limit = per_address or max(1, max_connections() // FRACTION)
        self._addresses: dict[LimitedConnection, str | None] = {}
        self._by_address: dict[str, dict[LimitedConnection, None]] = {}

    def admit(self, address: str | None, connection: LimitedConnection, now: float) -> bool:
        """Add a connection; return False if its address has too many and all of them are busy.

        Args:
            address: The address, or None if it is not limited.
            connection: The connection.
            now: Monotonic time.
        """
        if address is not None:
            of_address = self._by_address.get(address, {})
            if len(of_address) >= self.limit:
                fields = {"address": address, "limit": self.limit}
                self.refusals.record(Refusal.ADDRESS_LIMIT, now, fields)
                if not self._close_one_of(of_address):
                    return False
            self._by_address.setdefault(address, {})[connection] = None
        self._addresses[connection] = address
        return True

    def make_room_for(self, connection: LimitedConnection, now: float) -> None:
        """Close the other connection that has been silent longest, if any is silent."""
        if self._close_one_of(other for other in self._addresses if other is not connection):
            fields = {"limit": max_connections()}
            self.refusals.record(Refusal.CONNECTION_LIMIT, now, fields)

    def touch(self, connection: LimitedConnection) -> None:
        """Make a connection the last one to be closed: it has just got a response."""
        if connection not in self._addresses:
            return
        address = self._addresses.pop(connection)
        self._addresses[connection] = address
        if address is not None:
            del self._by_address[address][connection]
            self._by_address[address][connection] = None

    def remove(self, connection: LimitedConnection) -> None:
        """Forget a connection that has ended."""
        address = self._addresses.pop(connection, None)
        if address is None:
            return
        del self._by_address[address][connection]
        if not self._by_address[address]:
            del self._by_address[address]

    def _close_one_of(self, connections: Iterable[LimitedConnection]) -> bool:
        oldest = next((connection for connection in connections if connection.is_silent), None)
        if oldest is None:
            return False
        self.remove(oldest)
        oldest.abort()
        return True


def limited_address(peer: Any) -> str | None:
    """Return the address, or the network, whose connections are counted together.

    Connections of this machine and of Unix sockets are not limited.

    Args:
        peer: The peer's name as the socket has it.
    """
    return _limited_network(peer[0]) if isinstance(peer, tuple) else None


@lru_cache(maxsize=CACHED_ADDRESSES)
def _limited_network(host: str) -> str | None:
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            network = ipaddress.ip_network((address, IPV6_PREFIX), strict=False)
            return None if address.is_loopback else str(network)
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)
