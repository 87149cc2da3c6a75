"""Connections as urllib3 makes them, but bounded in total.

urllib3 gives each address of a host the whole timeout, looks names up without any, and reads a
proxy's answer to CONNECT byte by byte without a total. The three are replaced here; TLS, proxies
and certificates stay urllib3's.
"""

import socket

from urllib3.connection import HTTPConnection, HTTPSConnection

from exporter.clock import steady
from exporter.transport.http1 import ConnectionClosed, send_request
from exporter.transport.resolver import Address, Resolver
from exporter.transport.response import RequestFailed

RESOLVER = Resolver()
"""Shared by all clouds, so that a host has one look-up under way however many ask."""

OK = 200


class _Bounded(HTTPConnection):
    """A connection whose ``timeout`` bounds look-up and connect together."""

    deadline: float = 0.0

    def _new_conn(self) -> socket.socket:
        addresses = RESOLVER.resolve(self._dns_host, self.port, _left(self.deadline))
        failure: OSError = OSError("the name has no address")
        for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return self._connected(address, untried)
            except OSError as error:
                failure = error
        raise failure

    def _connected(self, to: Address, untried: int) -> socket.socket:
        family, kind, protocol, _, address = to
        sock = socket.socket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            # An address that never answers leaves the others their share of the time.
            sock.settimeout(_left(self.deadline) / untried)
            sock.connect(address)
            # What follows, a TLS handshake, has what is left.
            sock.settimeout(_left(self.deadline))
        except BaseException:
            sock.close()
            raise
        return sock

    def _tunnel(self) -> None:
        host = f"[{self._tunnel_host}]" if ":" in (self._tunnel_host or "") else self._tunnel_host
        there = f"{host}:{self._tunnel_port}"
        headers = self._tunnel_headers  # type: ignore[attr-defined]  # http.client's, untyped
        lines = [f"CONNECT {there} HTTP/1.1", f"Host: {there}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode("latin-1")
        sock: socket.socket = self.sock
        try:
            reply = send_request(sock, request, self.deadline, steady, has_body=False)
        except ConnectionClosed as error:
            raise RequestFailed(
                "connection", f"the proxy did not answer CONNECT: {error}"
            ) from None
        if reply.head.code != OK or reply.overrun:
            raise RequestFailed("connection", f"the proxy answered CONNECT with {reply.head.code}")
        sock.settimeout(_left(self.deadline))


class BoundedHTTPConnection(_Bounded):
    """For ``http`` URLs."""


class BoundedHTTPSConnection(_Bounded, HTTPSConnection):
    """For ``https`` URLs."""


def _left(deadline: float) -> float:
    """Seconds to the deadline; raises ``TimeoutError`` where there are none."""
    left = deadline - steady()
    if left <= 0:
        raise TimeoutError("no time left to connect")
    return left
