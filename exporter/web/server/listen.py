"""Listen addresses, and the sockets that listen on them."""

import contextlib
import errno
import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from exporter.redaction import shown_value
from exporter.web.server.listening_socket import QUEUE

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})")
_NOT_ON_THIS_MACHINE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_REASONS: Mapping[int, str] = MappingProxyType(
    {
        errno.EADDRINUSE: "the port is in use",
        errno.EACCES: "not permitted; a port below 1024 needs the capability NET_BIND_SERVICE",
        errno.EADDRNOTAVAIL: "this machine does not have the address",
    }
)


class ListenError(Exception):
    """The server cannot listen on an address; the text says why in one line."""


def parse_listen_address(listen_address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``.

    Raises:
        ValueError: The address has another form; the text names the accepted forms.
    """
    match = _ADDRESS.fullmatch(listen_address)
    if match and int(match["port"]) <= 65535:
        with contextlib.suppress(ipaddress.AddressValueError):
            ipv6 = match["ipv6"] and str(ipaddress.IPv6Address(match["ipv6"]))
            return ipv6 or match["host"], int(match["port"])
    raise ValueError(
        f"listen address {shown_value(listen_address)}: write :PORT for all addresses, HOST:PORT, "
        "or [IPV6]:PORT, with a port from 0 to 65535"
    )


def listen(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on one port of all addresses of the host on this machine.

    Raises:
        OSError: Another program uses an address, or this machine has no address of the host.
    """
    if host in {"", "::"}:
        return [_listen_on_all_addresses(port)]
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    missing: OSError | None = None
    with contextlib.ExitStack() as stack:
        sockets: list[socket.socket] = []
        for family, address in dict.fromkeys((entry[0], entry[4]) for entry in entries):
            try:
                sock = _listen_on((address[0], port, *address[2:]), family=family)
            except OSError as error:
                if error.errno not in _NOT_ON_THIS_MACHINE:
                    raise
                missing = error
                continue
            sockets.append(stack.enter_context(sock))
            # The kernel has chosen a port if it was 0.
            port = sock.getsockname()[1]
        if missing and not sockets:
            raise missing
        stack.pop_all()
    return sockets


def describe_error(error: OSError) -> str:
    """Return why an address cannot be used."""
    code = error.errno or 0
    # Errors of name resolution have negative numbers.
    return _REASONS.get(code) or (os.strerror(code) if code > 0 else str(error.strerror))


def format_address(name: str | bytes | tuple[Any, ...]) -> str:
    """Format the name of a socket: ``host:port``, ``[ipv6]:port``, a path, or ``@abstract``."""
    if isinstance(name, bytes):
        return "@" + os.fsdecode(name[1:])
    if isinstance(name, str):
        return name
    host, port, *_ = name
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen_on_all_addresses(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return _listen_on(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return _listen_on(("", port))


def _listen_on(address: tuple[Any, ...], **options: Any) -> socket.socket:
    """Return a listening socket whose ``proto`` is set.

    Otherwise asyncio does not disable Nagle's algorithm, and the second part of each response on
    a keep-alive connection waits 40 ms for the client to acknowledge the first.
    """
    sock = socket.create_server(address, backlog=QUEUE, **options)
    return socket.socket(fileno=sock.detach())
