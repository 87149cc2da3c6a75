"""Where a connection comes in: secured first, where that is asked for, then served.

What it is secured by is looked up for each connection, so that certificates can be replaced while
others are served.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.security.middleware import SecurityState
from exporter.web.security.tls import ServerTls
from exporter.web.server import connection_limit

HANDSHAKE_WITHIN = 10.0
"""Seconds that a client gets for its part of the handshake."""


READ_AT_ONCE = 16 * 1024
"""Bytes; asyncio would read 256 KiB of a client that sends more than it is asked for."""


class HttpProtocol(Protocol):
    """What serves a connection that is let in: uvicorn's protocol for one."""

    app: ASGIApp

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The connection is there."""
        ...

    def data_received(self, data: bytes) -> None:
        """The client has sent this."""
        ...


class TlsHandshakeProtocol(asyncio.Protocol):
    """One connection, up to the moment at which it is handed over to who serves it.

    ``connections`` are those that count, this one included while it is being secured.
    """

    transport: asyncio.Transport

    def __init__(
        self, guard: SecurityState, connections: set[Any], serve: Callable[[], HttpProtocol]
    ) -> None:
        self._guard = guard
        self._connections = connections
        self._serve = serve
        self._early = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hands it over at once, or after it has been secured."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # a stream is listened for
        self.transport = transport
        # Whatever has come is read at once, and kept until the request before is answered.
        transport.max_size = READ_AT_ONCE  # type: ignore[attr-defined]  # asyncio's own has it
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_AT_ONCE)
        tls = self._guard.tls
        if tls is None:
            transport.set_protocol(self._handed_over(transport, None))
        elif (
            len(self._connections) > connection_limit.limit() + connection_limit.REFUSED_CONNECTIONS
        ):
            transport.abort()
        else:
            self._connections.add(self)
            transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._secure(tls))

    def data_received(self, data: bytes) -> None:
        """What a client sends before it is handed over is kept for then."""
        self._early += data

    def shutdown(self) -> None:
        """The server ends: who is not in yet does not get in any more."""
        self.transport.abort()

    async def _secure(self, tls: ServerTls) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                self.transport,
                self,
                tls.context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_WITHIN,
            )
        except (OSError, asyncio.CancelledError):
            # It is the client's to say what is wrong: any client can bring that about.
            secured = None
        finally:
            self._connections.discard(self)
        if secured is None:
            self.transport.abort()
        elif not tls.accepts_client(_certificate(secured)):
            secured.abort()
        elif not secured.is_closing():
            served = self._handed_over(secured, tls)
            secured.set_protocol(served)
            if self._early:
                served.data_received(self._early)

    def _handed_over(self, transport: asyncio.Transport, tls: ServerTls | None) -> Any:
        served = self._serve()
        served.app = CloseOnCertificateChange(served.app, self._guard, tls)
        served.connection_made(transport)
        return served


class CloseOnCertificateChange:
    """An application on one connection, which is closed once others are secured otherwise."""

    def __init__(self, app: ASGIApp, guard: SecurityState, tls: ServerTls | None) -> None:
        self._app = app
        self._guard = guard
        self._tls = tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's answer; the last one, where the certificates were replaced."""

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and self._guard.tls is not self._tls:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_last)


def _certificate(transport: asyncio.Transport) -> Any:
    """The client's certificate as ``getpeercert`` gives it."""
    secured = transport.get_extra_info("ssl_object")
    return secured.getpeercert() if isinstance(secured, ssl.SSLObject) else None
