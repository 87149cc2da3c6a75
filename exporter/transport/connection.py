"""urllib3 connections with one deadline for name resolution, connecting and CONNECT together.

urllib3 gives each address of a host the whole timeout, resolves names without a timeout, and
reads a proxy's response to CONNECT byte by byte without a total timeout. Only these three are
replaced: TLS, proxies and certificates remain urllib3's.
"""

import contextlib
import os
import select
import socket
import ssl
from enum import Enum

from urllib3.connection import HTTPConnection, HTTPSConnection

from exporter.clock import steady
from exporter.transport.http1 import ConnectionClosed, RequestFailed, send_request
from exporter.transport.resolver import Address, Resolver

RESOLVER = Resolver()
"""Shared by all clouds, so that each host is looked up only once at a time."""

OK = 200


class _DeadlineConnection(HTTPConnection):
    """A connection that must be established by ``deadline``, in monotonic seconds."""

    deadline: float = 0.0

    def _new_conn(self) -> socket.socket:
        addresses = RESOLVER.resolve(self._dns_host, self.port, _remaining(self.deadline))
        failure: OSError = OSError("the name has no address")
        for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return self._connect_to(address, untried)
            except OSError as error:
                failure = error
        raise failure

    def _connect_to(self, address: Address, untried: int) -> socket.socket:
        family, kind, protocol, _, socket_address = address
        sock = socket.socket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            # An address that does not respond must leave time for the other addresses.
            sock.settimeout(_remaining(self.deadline) / untried)
            sock.connect(socket_address)
            # The TLS handshake that follows gets the time that remains.
            sock.settimeout(_remaining(self.deadline))
        except BaseException:
            sock.close()
            raise
        return sock

    def _tunnel(self) -> None:
        host = f"[{self._tunnel_host}]" if ":" in (self._tunnel_host or "") else self._tunnel_host
        target = f"{host}:{self._tunnel_port}"
        headers = self._tunnel_headers  # type: ignore[attr-defined]  # http.client's, untyped
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode("latin-1")
        sock: socket.socket = self.sock
        try:
            response = send_request(sock, request, self.deadline, response_has_body=False)
        except ConnectionClosed as error:
            problem = f"the proxy closed the connection after CONNECT: {error}"
            raise RequestFailed("connection", problem) from None
        if response.code != OK or response.has_trailing_data:
            problem = f"the proxy responded to CONNECT with HTTP {response.code}"
            raise RequestFailed("connection", problem)
        sock.settimeout(_remaining(self.deadline))


class DeadlineHTTPConnection(_DeadlineConnection):
    """Connection for ``http`` URLs."""


class DeadlineHTTPSConnection(_DeadlineConnection, HTTPSConnection):
    """Connection for ``https`` URLs."""


class IdleState(Enum):
    """State of a connection on which no response is expected."""

    QUIET = "quiet"
    UNEXPECTED_DATA = "unexpected data"
    CLOSED = "closed"


def idle_state(sock: socket.socket, wait: float = 0.0) -> IdleState:
    """Return the state of an idle connection. Consumes a byte of unexpected data.

    A quiet connection is watched for ``wait`` seconds.
    """
    end = steady() + wait
    while (state := _next_state(sock, end - steady())) is IdleState.QUIET and steady() < end:
        pass
    return state


def addresses_of(sock: socket.socket) -> str:
    """Return the local and the remote address of a connection, for people.

    The remote address is that of the proxy if there is one. Empty if the connection has ended.
    """
    # The duplicate is a plain socket, whichever class of TLS or proxy library wraps the original.
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as plain:
        return (
            f"local {_host_and_port(plain.getsockname())} to {_host_and_port(plain.getpeername())}"
        )
    return ""


def _host_and_port(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _next_state(sock: socket.socket, wait: float) -> IdleState:
    """Return the state after the next event on the connection, or after ``wait`` seconds."""
    if not (isinstance(sock, ssl.SSLSocket) and sock.pending()):
        poller = select.poll()
        poller.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        if not poller.poll(max(0.0, wait) * 1000):
            return IdleState.QUIET
    sock.settimeout(0)
    try:
        return IdleState.UNEXPECTED_DATA if sock.recv(1) else IdleState.CLOSED
    except (BlockingIOError, ssl.SSLWantReadError):
        # TLS sends records of its own, for example session tickets.
        return IdleState.QUIET
    except OSError:
        return IdleState.CLOSED


def _remaining(deadline: float) -> float:
    """Return the seconds until the deadline; raise ``TimeoutError`` if it has passed."""
    remaining = deadline - steady()
    if remaining <= 0:
        raise TimeoutError("no time left to connect")
    return remaining
