"""Limit of concurrent connections, and the response to those beyond it."""

import resource
from collections.abc import Callable, Collection

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.security.middleware import SECURITY_HEADERS

MAX_CONNECTIONS = 1000
"""Connections served at a time."""

REFUSED_CONNECTIONS = 64
"""Connections beyond the limit that get a 503; further connections are closed immediately."""

REFUSAL = PlainTextResponse(
    "Too many connections are open; try again later.\n", 503, SECURITY_HEADERS
)


def max_connections() -> int:
    """Return the limit: at most half of the open files that the process is allowed.

    The other half is for polling.
    """
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MAX_CONNECTIONS, open_files // 2)


class ConnectionLimitMiddleware:
    """ASGI middleware of a connection beyond the limit: responds 503 and closes it."""

    def __init__(
        self, app: ASGIApp, exempt_paths: Collection[str], count_refusal: Callable[[], object]
    ) -> None:
        self._app = app
        self._exempt_paths = exempt_paths
        self._count_refusal = count_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, unless its path is exempt."""

        async def send_last_response(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        app = self._app
        if scope["path"] not in self._exempt_paths:
            self._count_refusal()
            app = REFUSAL
        await app(scope, receive, send_last_response)
