"""The server: addresses that are taken before anything else starts, and an end that is quick."""

import asyncio
import contextlib
import errno
import ipaddress
import os
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.web.security.middleware import MAX_HEAD_BYTES, SecurityState
from exporter.web.server import connection_limit
from exporter.web.server.tls_handshake import TlsHandshakeProtocol

# Seconds. A client that has asked nothing, or has not taken its answer, is let go, or silent
# clients would in time use up the process's file descriptors. 75 is no multiple of a usual scrape
# interval, so that a connection is not closed at the moment at which it is used again.
ANSWER_WITHIN = 30
KEEP_ALIVE = 75
# Seconds for a connection that is one too many to ask and be told so.
REFUSE_WITHIN = 5
# Seconds that connections get to take the rest of their answer when the server is told to end.
GRACE = 0.5

# Connections that the kernel keeps waiting, and that are taken at once.
_BACKLOG = 256
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})")
_NOT_ON_THIS_MACHINE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_REASONS = MappingProxyType(
    {
        errno.EADDRINUSE: "the port is in use",
        errno.EACCES: "not permitted; a port below 1024 needs the capability NET_BIND_SERVICE",
        errno.EADDRNOTAVAIL: "the address is not one of this machine's",
    }
)


class ListenError(Exception):
    """The address cannot be listened on; says why in one line."""


class WebServer:
    """Serves an application on all addresses that a listen address stands for.

    ``:10292`` stands for all addresses of the machine, IPv6 and IPv4; ``localhost:10292`` for all
    that the name has; port 0 for one that the kernel chooses.
    """

    def __init__(self, listen_address: str, sockets: Sequence[socket.socket] = ()) -> None:
        """Read the listen address, unless there are sockets that listen already.

        Raises:
            ValueError: it is not one; the text says what is accepted.
        """
        self._listen_address = listen_address
        self._host, self._port = _parse(listen_address)
        self._sockets = list(sockets)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses taken by `bind`, as ``host:port``, IPv6 in brackets.

        A path is as it is, and an abstract name begins with ``@``, as systemd writes it.
        """
        return tuple(_shown(each.getsockname()) for each in self._sockets)

    def bind(self) -> None:
        """Take the addresses, unless they are: from here on clients connect, and wait.

        Raises:
            ListenError: no address could be taken, or one is taken by another program.
        """
        if self._sockets:
            return
        try:
            self._sockets = _listen(self._host, self._port)
        except OSError as error:
            raise ListenError(f"cannot listen on {self._listen_address}: {_why(error)}") from error

    def serve(
        self, app: ASGIApp, stop: threading.Event, guard: SecurityState | None = None
    ) -> None:
        """Serve until `stop` is set, then end within about a second, whatever clients do.

        New connections are secured as `guard` says. Leaves signals alone. Runs in the thread that
        calls it.
        """
        config = uvicorn.Config(
            app,
            http=partial(_gate, guard or SecurityState()),  # type: ignore[arg-type]  # it is only called
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            ws="none",
            lifespan="off",
            log_config=None,
            # What it says below that (a request that is not HTTP, say) is up to any client.
            log_level="error",
            access_log=False,
            workers=1,
            proxy_headers=False,
            server_header=False,
            headers=[("Server", "openstack-image-exporter")],
            backlog=_BACKLOG,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=1,
        )
        asyncio.run(_Server(config, stop).serve(self._sockets))

    def close(self) -> None:
        """Give the addresses back; `serve` has done so already."""
        for each in self._sockets:
            each.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stop: threading.Event) -> None:
        super().__init__(config)
        self._stop = stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stop.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(GRACE, self._abort)
        await super().shutdown(sockets)

    def _abort(self) -> None:
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()


def _gate(
    guard: SecurityState, *, server_state: uvicorn.server.ServerState, **options: Any
) -> TlsHandshakeProtocol:
    """What uvicorn calls to have a protocol for a connection."""
    serve = partial(_Protocol, server_state=server_state, **options)
    return TlsHandshakeProtocol(guard, server_state.connections, serve)


class _Protocol(H11Protocol):
    """One connection, which is aborted when its client takes too long to ask or to be answered.

    Beyond a number of connections it is refused.
    """

    _too_long: asyncio.TimerHandle | None = None
    _is_idle = False

    def connection_made(  # type: ignore[override]  # as H11Protocol has it
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        # A client that went away leaves its connection at once, but not always its task.
        too_many = max(len(self.connections), len(self.tasks)) - connection_limit.limit()
        if too_many > connection_limit.REFUSED_CONNECTIONS:
            transport.abort()
        elif too_many > 0:
            self.app = connection_limit.ConnectionLimitMiddleware(self.app)
            self._allow(REFUSE_WITHIN)
        else:
            self._allow(ANSWER_WITHIN)

    def data_received(self, data: bytes) -> None:
        if self._is_idle:
            self._is_idle = False
            self._allow(ANSWER_WITHIN)
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._is_idle = True
        self._allow(KEEP_ALIVE + ANSWER_WITHIN)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._allow(None)
        super().connection_lost(exc)

    def _allow(self, seconds: float | None) -> None:
        if self._too_long:
            self._too_long.cancel()
        self._too_long = (
            None if seconds is None else self.loop.call_later(seconds, self.transport.abort)
        )


def _parse(listen_address: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(listen_address)
    if match and int(match["port"]) <= 65535:
        with contextlib.suppress(ipaddress.AddressValueError):
            ipv6 = match["ipv6"] and str(ipaddress.IPv6Address(match["ipv6"]))
            return ipv6 or match["host"], int(match["port"])
    raise ValueError(
        f"listen address {listen_address!r}: write :PORT for all addresses, HOST:PORT, "
        "or [IPV6]:PORT, with a port from 0 to 65535"
    )


def _listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of the host that this machine has, on one port."""
    if host in {"", "::"}:
        return [_listen_everywhere(port)]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    missing: OSError | None = None
    with contextlib.ExitStack() as opened:
        sockets: list[socket.socket] = []
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            try:
                made = _listener((address[0], port, *address[2:]), family=family)
            except OSError as error:
                if error.errno not in _NOT_ON_THIS_MACHINE:
                    raise
                missing = error
                continue
            sockets.append(opened.enter_context(made))
            port = made.getsockname()[1]
        if missing and not sockets:
            raise missing
        opened.pop_all()
    return sockets


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return _listener(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return _listener(("", port))


def _listener(address: tuple[Any, ...], **options: Any) -> socket.socket:
    """A socket that listens, and that knows its protocol.

    Without that asyncio leaves Nagle's algorithm on for connections, and the second piece of each
    answer on one that is kept waits 40 ms for the client to acknowledge the first.
    """
    made = socket.create_server(address, backlog=_BACKLOG, **options)
    return socket.socket(fileno=made.detach())


def _why(error: OSError) -> str:
    code = error.errno or 0
    # Names that do not resolve have numbers of their own, below zero.
    return _REASONS.get(code) or (os.strerror(code) if code > 0 else str(error.strerror))


def _shown(name: str | bytes | tuple[Any, ...]) -> str:
    if isinstance(name, bytes):
        return "@" + os.fsdecode(name[1:])
    if isinstance(name, str):
        return name
    host, port, *_ = name
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
