"""One connection of the simulated service: requests in, answers and scripts out."""

import asyncio
import contextlib
import socket
import ssl
import struct
from typing import TYPE_CHECKING, cast

from exporter.simulator.faults import Act, Fault, FaultContext, Script
from exporter.simulator.request import Request

if TYPE_CHECKING:
    from exporter.simulator.service import SimulatedImageService

LARGEST_HEAD = 64 * 1024
END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """Answers one request after the other; all of it runs in the service's loop."""

    def __init__(self, service: "SimulatedImageService", tls: ssl.SSLContext | None) -> None:
        self._service = service
        self._tls = tls  # until the handshake is done
        self._buffer = b""
        self._answering = False
        self._held_by: Fault | None = None
        self._fault: Fault | None = None
        self._script: Script = iter(())
        self._closes = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take part in the service's count of connections, before any TLS handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._number = self._service.log.opened()
        self._service.connections.add(self)
        if self._tls:
            self._handshake = asyncio.get_running_loop().create_task(self._secure(self._tls))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Leave the count; an answer that was under way has ended."""
        if self not in self._service.connections:
            return
        if self._timer:
            self._timer.cancel()
        self._script = iter(())
        self._held_by = None
        if self._answering:
            self._answering = False
            self._service.log.ended()
        self._service.connections.discard(self)
        self._service.log.closed()

    def data_received(self, data: bytes) -> None:
        """Answer what has arrived whole; what comes during an answer waits for its end."""
        self._buffer += data
        while END in self._buffer and self._free():
            head, _, self._buffer = self._buffer.partition(END)
            self._answer(head)
        if not self._answering and len(self._buffer) > LARGEST_HEAD:
            self.abort()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._transport.abort()

    def go_on(self) -> None:
        """Continue a script whose fault was cleared while it held something back."""
        if self._held_by and self._held_by.cleared:
            self._held_by = None
            self._play()

    def _free(self) -> bool:
        return not (self._answering or self._tls or self._transport.is_closing())

    async def _secure(self, tls: ssl.SSLContext) -> None:
        # asyncio's own TLS server tells of a connection only after its handshake, so that
        # one that never ends could be neither counted nor closed.
        transport = None
        # An error is a client that speaks no TLS, or does not trust us.
        with contextlib.suppress(OSError):
            transport = await asyncio.get_running_loop().start_tls(
                self._transport, self, tls, server_side=True
            )
        if transport is None:
            # asyncio does not tell of the end of a connection that failed to begin.
            self.connection_lost(None)
            return
        self._transport = transport
        self._tls = None
        self.data_received(b"")

    def _answer(self, head: bytes) -> None:
        try:
            request = Request.parse(head)
        except ValueError:
            self._transport.write(b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n")
            self._transport.close()
            return
        service = self._service
        answer = service.api.answer(request)
        fault = service.faults.pick(request)
        self._answering = True
        self._closes = answer.closes
        if fault is None:
            service.log.began(self._number, request, answer.status, None)
            self._transport.write(answer.head + answer.body)
            self._finish()
        else:
            service.log.began(self._number, request, None, fault.name)
            self._fault = fault
            self._script = fault.script(FaultContext(request, answer, service.faults.chance))
            self._play()

    def _play(self) -> None:
        """Perform the script up to its next wait."""
        for step in self._script:
            if isinstance(step, bytes):
                self._transport.write(step)
            elif isinstance(step, float | int):
                self._timer = asyncio.get_running_loop().call_later(step, self._play)
                return
            elif step is Act.HOLD:
                self._held_by = self._fault
                self.go_on()
                return
            else:
                self._end_by(step)
                return
        self._finish()
        self.data_received(b"")

    def _end_by(self, act: Act) -> None:
        if act is Act.RESET:
            raw = cast("socket.socket", self._transport.get_extra_info("socket"))
            # Closing with a linger time of 0 sends RST in place of FIN.
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()

    def _finish(self) -> None:
        self._answering = False
        self._service.log.ended()
        if self._closes:
            self._transport.close()
