"""A simulated Image service: a real HTTP/1.1 server on loopback, for the demo and the tests."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from exporter.simulator.api import ImageApi
from exporter.simulator.connection import Connection
from exporter.simulator.faults import Faults
from exporter.simulator.image import SimulatedImage
from exporter.simulator.images import SimulatedImages
from exporter.simulator.request_log import RequestLog

ROUNDS = 5
"""Of the loop, after which what was accepted just before the end is known as a connection."""


class SimulatedImageService:
    """Answers as Glance 15 (v1) and Glance 33 (v2) do, and fails as it is told; a context manager.

    One asyncio loop in one daemon thread serves all connections.

    Args:
        images: those it knows at first.
        token: the one it accepts; None for a service without authentication.
        host: the address to listen on.
        port: the port, or 0 to have one chosen; it stays the same after stop and start.
        tls: a server context for https.
        page_limit: the most images in one list.
        path_prefix: what stands before the version, ``/image`` for example.

    Attributes:
        images: the images, to be changed while it answers.
        faults: what fails, and for which requests.
        log: what was asked.
        api: what else can be changed: admin, project, v1_enabled, page_limit, replays.
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
    ) -> None:
        self.images = SimulatedImages(images)
        self.faults = Faults(on_clear=self._go_on)
        self.log = RequestLog()
        self.api = ImageApi(
            self.images,
            tokens=None if token is None else frozenset({token}),
            page_limit=page_limit,
            path_prefix=path_prefix,
        )
        self.connections: set[Connection] = set()
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
        """``http://127.0.0.1:PORT``, without the path prefix; the port is known once started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def port(self) -> int:
        """The port it listens on, or will again."""
        return self._port

    def start(self) -> Self:
        """Listen; OSError when the port is taken. Nothing happens when it listens already."""
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
        """Refuse connections and close those that are open; nothing happens when stopped."""
        if self._thread:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    def accept(self, token: str) -> None:
        """Let a token in, beside those accepted already."""
        self.api.tokens = (self.api.tokens or frozenset()) | {token}

    def revoke(self, token: str) -> None:
        """Answer 401 to a token from now on."""
        self.api.tokens = (self.api.tokens or frozenset()) - {token}

    def replay(self, image_id: str, raw: bytes | None) -> None:
        """Answer for this image with exactly these bytes, whatever the token.

        None ends it. The connection closes after an answer that says so itself.
        """
        if raw is None:
            self.api.replays.pop(image_id, None)
        else:
            self.api.replays[image_id] = raw

    def wait_for(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Return as soon as ``condition()`` is true; TimeoutError after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing of the kind within {timeout:g} seconds")
            time.sleep(0.002)

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = await self._loop.create_server(
            lambda: Connection(self, self._tls), sock=listener, backlog=1024
        )
        ready.set()
        await self._stopping.wait()
        server.close()
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        # Bounded, so that stop() returns whatever a connection does.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while self.connections:
                    for connection in tuple(self.connections):
                        connection.abort()
                    await asyncio.sleep(0)

    def _go_on(self) -> None:
        """Let all that was held back by faults that have ended go on, from any thread."""

        def go_on() -> None:
            for connection in tuple(self.connections):
                connection.go_on()

        # A loop that is closed, or was never there, holds nothing back.
        with contextlib.suppress(RuntimeError, AttributeError):
            self._loop.call_soon_threadsafe(go_on)
