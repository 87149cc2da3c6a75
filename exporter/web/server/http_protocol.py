"""Protocol of one server connection: TLS handshake, requests, and a timeout for each state.

    accept --- with TLS ---> HANDSHAKE --- certificate refused ---> closed
       |                         |
       | without TLS             | client accepted
       +-----------+-------------+
                   |
                   +--- too many connections ---> REFUSED ---+
                   v                                         |
                REQUEST --- head complete ---> RESPONSE      |
                   ^                               |         |
                   | data received                 | response complete
                   |                               v         |
                   +----------------------------- IDLE <-----+

A connection that stays in a state for longer than its timeout is aborted: silent clients would use
up the file descriptors of the process. Far too many connections are closed at once. A refused
connection is closed after its response. A request that arrives before the previous response is
complete (pipelining) is served in the state IDLE.
"""

import asyncio
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from enum import Enum
from functools import partial
from typing import Any

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.utils import get_remote_addr

from exporter.metrics.exporter_metrics import Refusal
from exporter.web.security.middleware import SecurityState
from exporter.web.security.tls import ServerTls
from exporter.web.server import connection_limit
from exporter.web.server.open_connections import OpenConnections, limited_address

READ_BUFFER_BYTES = 16 * 1024
"""Receive buffer of a connection. asyncio's default would read up to 256 KiB at once."""

WRITE_BUFFER_BYTES = 1
"""Bytes that a client has not taken above which a response waits. A TLS transport needs at least
one: with 0 it would always wait."""

# asyncio has no option for it, and allocates 256 KiB for each TLS connection.
SSLProtocol.max_size = READ_BUFFER_BYTES

KEEP_ALIVE = 75
"""Seconds until uvicorn closes an idle connection.

It is not a multiple of a usual scrape interval, so that a connection is not closed at the moment
when the next scrape uses it.
"""


class ClientLeftError(OSError):
    """The client has left; as in ASGI 2.4, ``send`` raises it."""


class ConnectionState(Enum):
    """State of a connection; the module's docstring has the transitions."""

    HANDSHAKE = "handshake"
    REQUEST = "request"
    RESPONSE = "response"
    IDLE = "idle"
    REFUSED = "refused"


TIMEOUTS: dict[ConnectionState, float] = {
    ConnectionState.HANDSHAKE: 10.0,
    ConnectionState.REQUEST: 30.0,
    # A busy machine may render for longer than a client may take to send its request.
    ConnectionState.RESPONSE: 60.0,
    # After the response, uvicorn closes an idle connection first. The additional time is for a
    # client that is still reading the response, and for requests that were pipelined.
    ConnectionState.IDLE: KEEP_ALIVE + 30.0,
    ConnectionState.REFUSED: 5.0,
}
"""Seconds after which a connection is aborted in each state."""


class HttpProtocol(H11Protocol):
    """One connection.

    Each new connection uses the current TLS settings, so that certificates can be replaced while
    other connections are served.
    """

    def __init__(
        self, security: SecurityState, open_connections: OpenConnections, **options: Any
    ) -> None:
        super().__init__(**options)
        self._open = open_connections
        self._peer: tuple[str, int] | None = None
        self._security = security
        self._tls = security.tls
        self._application: ASGIApp = self.app
        self._state = ConnectionState.HANDSHAKE
        self._timeout: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._early_data = b""
        self._is_malformed = False

    def connection_made(  # type: ignore[override]  # as in H11Protocol
        self, transport: asyncio.Transport
    ) -> None:
        """Start the TLS handshake, or serve requests without TLS."""
        self.transport = transport
        # The transport of a failed handshake no longer has it.
        self._peer = get_remote_addr(transport)
        address = limited_address(transport.get_extra_info("peername"))
        if not self._open.admit(address, self, self.loop.time()):
            transport.abort()
            return
        self.connections.add(self)
        if self._excess_connections() > 0:
            self._open.make_room_for(self, self.loop.time())
        # Limits the memory of a connection: pipelined requests are read in advance, and kept until
        # the request before them is served.
        transport.max_size = READ_BUFFER_BYTES  # type: ignore[attr-defined]  # of asyncio's own
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES, low=0)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BUFFER_BYTES)
        if self._tls is None:
            self._start_http(transport)
            return
        if self._excess_connections() > connection_limit.REFUSED_CONNECTIONS:
            self._count_refusal()
            transport.abort()
            return
        transport.pause_reading()
        self._handshake = self.loop.create_task(self._start_tls(transport, self._tls))

    def data_received(self, data: bytes) -> None:
        """Parse a request. Keep data that arrives during the handshake until the handshake ends."""
        if self._state is ConnectionState.HANDSHAKE:
            self._early_data += data
            return
        if self._state is ConnectionState.IDLE:
            self._enter(ConnectionState.REQUEST)
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Refuse a malformed request, of which the beginning may be in progress already.

        uvicorn would send a second response to it, which h11 refuses: a traceback in the log for
        every request of a client.
        """
        self._is_malformed = True
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            # Its response is discarded from now on.
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    @property
    def is_silent(self) -> bool:
        """True if no response is in progress."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is None or cycle.response_complete

    def abort(self) -> None:
        """Close the connection at once. It no longer counts, although its socket closes later."""
        self.connections.discard(self)
        self.transport.abort()

    def on_response_complete(self) -> None:
        """Wait for the next request, or serve one that was pipelined."""
        self._open.touch(self)
        self._enter(ConnectionState.IDLE)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeouts, and make room for another connection."""
        if self._timeout:
            self._timeout.cancel()
        self._open.remove(self)
        super().connection_lost(exc)
        # uvicorn keeps it after a reset, and with it the connection for KEEP_ALIVE seconds.
        self._unset_keepalive_if_required()
        # A reference to itself would keep the memory of the connection until Python looks for such.
        self.app = self._application

    def shutdown(self) -> None:
        """Close the connection after the current response, or abort it during the handshake."""
        if self._state is ConnectionState.HANDSHAKE:
            self.transport.abort()
        # A TLS connection that waits for its client to close it must not be closed twice:
        # asyncio could not abort it any more.
        elif not self.transport.is_closing():
            super().shutdown()

    async def _start_tls(self, transport: asyncio.Transport, tls: ServerTls) -> None:
        try:
            secured = await self.loop.start_tls(
                transport,
                self,
                tls.context,
                server_side=True,
                ssl_handshake_timeout=TIMEOUTS[ConnectionState.HANDSHAKE],
            )
        except (OSError, asyncio.CancelledError) as error:
            secured = None
            self._record_refused_certificate(tls.refusal_reason(error))
        if secured is None or secured.is_closing():
            self.connections.discard(self)
            # asyncio does not report the loss of a connection whose handshake is incomplete.
            self._open.remove(self)
            transport.abort()
        elif not tls.accepts_client(_client_certificate(secured)):
            self.connections.discard(self)
            self._record_refused_certificate("none of its names is in client_allowed_sans")
            secured.abort()
        else:
            secured.set_write_buffer_limits(high=WRITE_BUFFER_BYTES, low=0)
            self._start_http(secured)
            if self._early_data and not secured.is_closing():
                self.data_received(self._early_data)
                self._early_data = b""

    def _start_http(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.app = CloseOnCertificateChange(self._serve, self._security, self._tls)
        excess = self._excess_connections()
        if excess > connection_limit.REFUSED_CONNECTIONS:
            self._count_refusal()
            transport.abort()
        elif excess > 0:
            self.app = connection_limit.ConnectionLimitMiddleware(
                self.app, self._security.health_paths, self._count_refusal
            )
            self._enter(ConnectionState.REFUSED)
        else:
            self._enter(ConnectionState.REQUEST)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, unless a later part of the same bytes was malformed."""
        if not self._is_malformed:
            if self._state is ConnectionState.REQUEST:
                self._enter(ConnectionState.RESPONSE)
            try:
                await self._application(scope, receive, partial(self._send, send))
            except (ClientLeftError, asyncio.CancelledError):
                # uvicorn cancels responses that are in progress when it has stopped. Otherwise it
                # would write a traceback for each of them.
                self.cycle.disconnected = True
                # asyncio cannot abort a connection that is already lost.
                if self in self.connections:
                    self.transport.abort()

    async def _send(self, send: Send, message: Message) -> None:
        """Send a part of a response, and wait until the client has taken it.

        uvicorn would wait before the next part, which would be in memory, too.

        Raises:
            ClientLeftError: The client has left before the end of the response.
        """
        await send(message)
        if not message.get("more_body"):
            return
        if self.flow.write_paused:
            # The transport has what is left of it. The callers must not keep all of it.
            message["body"] = b""
            await self.flow.drain()
        if self.transport.is_closing():
            raise ClientLeftError

    def _excess_connections(self) -> int:
        # The connection of a client that has left ends immediately, but its task may not.
        return max(len(self.connections), len(self.tasks)) - connection_limit.max_connections()

    def _count_refusal(self) -> None:
        fields = {"limit": connection_limit.max_connections()}
        self._open.refusals.record(Refusal.CONNECTION_LIMIT, self.loop.time(), fields)

    def _record_refused_certificate(self, reason: str | None) -> None:
        """Count and log that the client's certificate was refused, if there is a reason."""
        if reason is not None:
            fields = {"reason": reason, "address": self._peer[0] if self._peer else ""}
            self._open.refusals.record(Refusal.CLIENT_CERTIFICATE, self.loop.time(), fields)

    def _enter(self, state: ConnectionState) -> None:
        if self._timeout:
            self._timeout.cancel()
        self._state = state
        self._timeout = self.loop.call_later(TIMEOUTS[state], self.transport.abort)


class CloseOnCertificateChange:
    """ASGI middleware that closes a connection once new connections use other TLS settings."""

    def __init__(self, app: ASGIApp, security: SecurityState, tls: ServerTls | None) -> None:
        self._app = app
        self._security = security
        self._tls = tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add ``Connection: close`` to the response if TLS has been replaced."""

        async def send_last_response(message: Message) -> None:
            if message["type"] == "http.response.start" and self._security.tls is not self._tls:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_last_response)


def _client_certificate(transport: asyncio.Transport) -> Any:
    """Return the client's certificate as ``getpeercert`` does."""
    secured = transport.get_extra_info("ssl_object")
    return secured.getpeercert() if isinstance(secured, ssl.SSLObject) else None
