"""One connection of the simulated service: it reads requests and writes responses."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from exporter.simulator.backends import Backend, Balancer
from exporter.simulator.faults import Action, Fault, FaultContext, Faults, Script
from exporter.simulator.request import ReceivedRequest
from exporter.simulator.request_log import RequestLog

MAX_HEAD_SIZE = 64 * 1024
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class ServiceParts:
    """The parts of a service that its connections share, and the open connections.

    The connections add and remove themselves; all access is in the service's event loop.
    """

    backends: Sequence[Backend]
    balancer: Balancer
    faults: Faults
    log: RequestLog
    keep_alive: bool
    idle_timeout: float | None
    connections: "set[Connection]" = field(default_factory=set)


class Connection(asyncio.Protocol):
    """A connection that serves one request at a time, in the service's event loop."""

    def __init__(self, parts: ServiceParts, tls: ssl.SSLContext | None) -> None:
        self._parts = parts
        self._backend: Backend | None = None
        self._pending_tls = tls  # None once the handshake is complete
        self._buffer = b""
        self._responding = False
        self._fault: Fault | None = None
        self._is_held = False
        self._script: Script = iter(())
        self._closes = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, before any TLS handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._number = self._parts.log.connection_opened()
        self._parts.connections.add(self)
        if self._pending_tls:
            self._handshake = asyncio.get_running_loop().create_task(
                self._start_tls(self._pending_tls)
            )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Count the end of the connection, and of the request in flight if there is one."""
        if self not in self._parts.connections:
            return
        if self._timer:
            self._timer.cancel()
        self._script = iter(())
        self._is_held = False
        if self._responding:
            self._responding = False
            self._parts.log.request_finished()
        self._parts.connections.discard(self)
        self._parts.log.connection_closed()

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request; data received during a response is buffered."""
        self._buffer += data
        while HEAD_END in self._buffer and self._can_respond():
            head, _, self._buffer = self._buffer.partition(HEAD_END)
            self._respond(head)
        if not self._responding and len(self._buffer) > MAX_HEAD_SIZE:
            self.abort()

    def abort(self) -> None:
        """Close at once and discard unsent data."""
        self._transport.abort()

    def resume(self) -> None:
        """Continue a script that is held, if its fault was cleared."""
        if self._is_held and self._fault and self._fault.cleared:
            self._is_held = False
            self._run_script()

    def _can_respond(self) -> bool:
        return not (self._responding or self._pending_tls or self._transport.is_closing())

    async def _start_tls(self, tls: ssl.SSLContext) -> None:
        # asyncio's own TLS server reports a connection only after its handshake, so a
        # connection whose handshake never ends could be neither counted nor closed.
        transport = None
        # An OSError is a client that does not use TLS or rejects the certificate.
        with contextlib.suppress(OSError):
            transport = await asyncio.get_running_loop().start_tls(
                self._transport, self, tls, server_side=True
            )
        if transport is None:
            # asyncio does not call connection_lost after a failed handshake.
            self.connection_lost(None)
            return
        self._transport = transport
        self._pending_tls = None
        self.data_received(b"")

    def _respond(self, head: bytes) -> None:
        try:
            request = ReceivedRequest.parse(head, keep_alive=self._parts.keep_alive)
        except ValueError:
            self._transport.write(b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n")
            self._transport.close()
            return
        parts = self._parts
        backend = self._backend = parts.balancer.backend(self._backend)
        number = parts.backends.index(backend)
        if self._timer:
            # The request came before the idle timeout.
            self._timer.cancel()
        response = backend.respond(request)
        fault = parts.faults.pick(request) or backend.faults.pick(request)
        self._responding = True
        self._closes = response.closes
        if fault is None:
            parts.log.request_started(self._number, request, response.status, None, number)
            self._transport.write(response.head + response.body)
            self._finish()
        else:
            parts.log.request_started(self._number, request, None, fault.name, number)
            self._fault = fault
            self._script = fault.script(FaultContext(request, response, parts.faults.random))
            self._run_script()

    def _run_script(self) -> None:
        """Run the script up to its next pause."""
        for step in self._script:
            if isinstance(step, bytes):
                self._transport.write(step)
            elif isinstance(step, float | int):
                self._timer = asyncio.get_running_loop().call_later(step, self._run_script)
                return
            elif step is Action.HOLD:
                self._is_held = True
                self.resume()
                return
            else:
                self._close(reset=step is Action.RESET)
                return
        self._finish()
        self.data_received(b"")

    def _close(self, *, reset: bool) -> None:
        if not reset:
            self._transport.close()
            return
        raw = cast("socket.socket", self._transport.get_extra_info("socket"))
        # Closing with a linger time of 0 sends RST in place of FIN.
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _finish(self) -> None:
        self._responding = False
        self._parts.log.request_finished()
        if self._closes:
            self._transport.close()
        elif (idle_timeout := self._parts.idle_timeout) is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(idle_timeout, self._transport.close)
