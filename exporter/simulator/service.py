"""A simulated Image service: a real HTTP/1.1 server on loopback, for the demo and the tests."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from exporter.simulator.api import ImageApi
from exporter.simulator.backends import Backend, Balancer, Balancing
from exporter.simulator.connection import Connection, ServiceParts
from exporter.simulator.faults import Faults
from exporter.simulator.image import SimulatedImage, SimulatedImages
from exporter.simulator.release import Release
from exporter.simulator.request_log import RequestLog

ACCEPT_ITERATIONS = 5
"""Iterations of the event loop after which every accepted socket has become a connection."""

CLOSE_TIMEOUT = 1.0
"""Seconds that ``stop`` waits for the connections to close."""


class SimulatedImageService:
    """A server that responds as Glance does, v1 as in Glance 15; a context manager.

    One asyncio loop in one daemon thread serves all connections. Images, faults and
    settings of the API may be changed at any time, from any thread.

    Args:
        images: the initial images.
        token: the accepted token; None for a service without authentication.
        host: the address to listen on.
        port: the port, or 0 to have one chosen. It stays the same after stop and start.
        tls: a server context for https.
        page_limit: the most images in one page of a list.
        path_prefix: the path in front of the version, ``/image`` for example.
        release: the release that API v2 and the version document are those of.
        servers: the number of API servers behind the address.
        balancing: how connections or requests are distributed to the servers.
        keep_alive: False to close each connection after its first response.
        idle_timeout: seconds without a request after which a connection is closed.

    Attributes:
        images: the images.
        backends: the API servers, each of which may have a fault of its own.
        faults: the faults that are set for all servers, and the requests they apply to.
        log: the requests received.
        api: further settings: admin, project, keystone, v1_enabled, page_limit, release, replays.
    """

    def __init__(
        self,
        images: Iterable[SimulatedImage] = (),
        *,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        page_limit: int = 1000,
        path_prefix: str = "",
        release: Release = Release.GLANCE_33,
        servers: int = 1,
        balancing: Balancing = Balancing(),  # noqa: B008 - immutable
        keep_alive: bool = True,
        idle_timeout: float | None = None,
    ) -> None:
        self.images = SimulatedImages(images)
        self.faults = Faults(on_clear=self._resume_connections)
        self.log = RequestLog()
        self.api = ImageApi(
            self.images,
            tokens=None if token is None else frozenset({token}),
            page_limit=page_limit,
            path_prefix=path_prefix,
            release=release,
        )
        self.backends = tuple(
            Backend(self.api, Faults(on_clear=self._resume_connections)) for _ in range(servers)
        )
        balancer = Balancer(self.backends, balancing)
        self._parts = ServiceParts(
            self.backends, balancer, self.faults, self.log, keep_alive, idle_timeout
        )
        self._host = host
        self._port = port
        self._tls = tls
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return the URL without the path prefix; the port is known once the service started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def port(self) -> int:
        """Return the port the service listens on, or will listen on when started again."""
        return self._port

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Return the open connections."""
        return tuple(self._parts.connections)

    def start(self) -> Self:
        """Start listening, if the service does not listen already.

        Raises:
            OSError: the port is in use.
        """
        if self._thread:
            return self
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=1024)
        self._port = listener.getsockname()[1]
        self.api.url = self.url
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, ready)),
            name="simulated-image-service",
            daemon=True,
        )
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Stop listening and close the open connections, if the service is running."""
        if self._thread:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    def accept(self, token: str) -> None:
        """Accept a token in addition to those accepted already."""
        self.api.tokens = (self.api.tokens or frozenset()) | {token}

    def revoke(self, token: str) -> None:
        """Respond with 401 to requests with this token from now on."""
        self.api.tokens = (self.api.tokens or frozenset()) - {token}

    def replay(self, image_id: str, raw: bytes | None) -> None:
        """Respond with exactly these bytes for one image, whatever the token; None ends it.

        The connection is closed afterwards if the bytes announce it.
        """
        if raw is None:
            self.api.replays.pop(image_id, None)
        else:
            self.api.replays[image_id] = raw

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = await self._loop.create_server(
            lambda: Connection(self._parts, self._tls), sock=listener, backlog=1024
        )
        ready.set()
        await self._stopping.wait()
        # Accept nothing more, but close the server later: a server that is closed makes no
        # connection of a socket that was accepted before, and does not close the socket either.
        self._loop.remove_reader(listener)
        for _ in range(ACCEPT_ITERATIONS):
            await asyncio.sleep(0)
        server.close()
        # Bounded, so that stop() returns whatever a connection does.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                while self.connections:
                    for connection in self.connections:
                        connection.abort()
                    await asyncio.sleep(0)

    def _resume_connections(self) -> None:
        """Resume the responses held by faults that were cleared; may be called by any thread."""

        def resume() -> None:
            for connection in self.connections:
                connection.resume()

        # A loop that is closed or was never started holds no responses.
        with contextlib.suppress(RuntimeError, AttributeError):
            self._loop.call_soon_threadsafe(resume)
