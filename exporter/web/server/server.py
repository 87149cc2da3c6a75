"""Web server: uvicorn on sockets that listen before anything else starts."""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from exporter.metrics.exporter_metrics import Refusal
from exporter.web.security.middleware import MAX_HEAD_BYTES, SecurityState
from exporter.web.server.http_protocol import KEEP_ALIVE, HttpProtocol
from exporter.web.server.listen import (
    ListenError,
    describe_error,
    format_address,
    listen,
    parse_listen_address,
)
from exporter.web.server.listening_socket import (
    ACCEPTED_PER_TURN,
    ListeningSocket,
    OpeningRate,
)
from exporter.web.server.memory import MemoryOfConnections
from exporter.web.server.open_connections import OpenConnections
from exporter.web.server.refusals import Refusals

SHUTDOWN_GRACE = 0.5
"""Seconds for responses in progress when the server stops."""

CLOSE_ITERATIONS = 3
"""Iterations of the event loop in which an aborted connection closes its socket."""


class WebServer:
    """Serves an application on one or more listen addresses.

    ``:10292`` means all addresses of the machine, IPv6 and IPv4; ``localhost:10292`` all addresses
    of the name; port 0 a port that the kernel chooses.
    """

    def __init__(
        self,
        *listen_addresses: str,
        sockets: Sequence[socket.socket] = (),
        connections_per_address: int | None = None,
    ) -> None:
        """Parse the listen addresses. ``sockets`` that already listen are used instead of them.

        ``connections_per_address`` limits them; by default, to a fraction of all connections.

        Raises:
            ValueError: An address has another form; the text says what is accepted.
        """
        self._listen_addresses = {
            address: parse_listen_address(address) for address in listen_addresses
        }
        self._sockets = list(sockets)
        self._connections_per_address = connections_per_address

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses of the listening sockets, as ``host:port`` with IPv6 in brackets.

        The address of a Unix socket is its path; an abstract name begins with ``@``, as in systemd.
        """
        return tuple(format_address(sock.getsockname()) for sock in self._sockets)

    def bind(self) -> None:
        """Start to listen, unless sockets were passed in. Clients can connect from now on.

        Raises:
            ListenError: No address can be used, or another program uses one.
        """
        if self._sockets:
            return
        for address, (host, port) in self._listen_addresses.items():
            try:
                self._sockets += listen(host, port)
            except OSError as error:
                self.close()
                reason = describe_error(error)
                raise ListenError(f"cannot listen on {address}: {reason}") from error
            except UnicodeError:
                self.close()
                raise ListenError(f"cannot listen on {address}: not a host name") from None

    def serve(
        self,
        app: ASGIApp,
        stop: threading.Event,
        security: SecurityState | None = None,
        count_refused: Callable[[Refusal], object] = lambda _: None,
    ) -> None:
        """Serve in this thread until ``stop`` is set, then return within about a second.

        Leaves signal handlers unchanged.

        Args:
            app: The application.
            stop: Event that stops the server, also while clients keep connections open.
            security: TLS of new connections.
            count_refused: Called with the reason for each connection that is refused or closed.
        """
        refusals = Refusals(count_refused)
        open_connections = OpenConnections(refusals, self._connections_per_address)
        rate = OpeningRate(open_connections.limit)
        self._sockets = [
            ListeningSocket(sock, rate, refusals, time.monotonic) for sock in self._sockets
        ]
        protocol = partial(HttpProtocol, security or SecurityState(), open_connections)
        config = uvicorn.Config(
            app,
            http=protocol,  # type: ignore[arg-type]  # it is only called
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            ws="none",
            lifespan="off",
            log_config=None,
            # Any client can cause the messages below it (for example a request that is not HTTP).
            log_level="error",
            access_log=False,
            workers=1,
            proxy_headers=False,
            server_header=False,
            headers=[("Server", "openstack-image-exporter")],
            backlog=ACCEPTED_PER_TURN,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=1,
        )
        # asyncio warns of each write to a connection that a client has reset.
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        asyncio.run(_UvicornServer(config, stop).serve(self._sockets))

    def close(self) -> None:
        """Close the listening sockets. ``serve`` has already done so."""
        for sock in self._sockets:
            sock.close()


class _UvicornServer(uvicorn.Server):
    """uvicorn's server, stopped by an event instead of signals."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event) -> None:
        super().__init__(config)
        self._stop = stop
        self._memory = MemoryOfConnections()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        self._memory.observe(len(self.server_state.connections), time.monotonic())
        return await super().on_tick(counter) or self._stop.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(SHUTDOWN_GRACE, self._abort_connections)
        await super().shutdown(sockets)
        # The remaining connections were accepted while the server was shutting down.
        self._abort_connections()
        for _ in range(CLOSE_ITERATIONS):
            await asyncio.sleep(0)

    def _abort_connections(self) -> None:
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
