"""What is answered on a connection that is one too many."""

import resource

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.security.middleware import SECURITY_HEADERS

CONNECTIONS = 1000
"""Connections that are served at a time."""

REFUSED_CONNECTIONS = 64
"""Connections beyond those that are told why they are not; more are closed without a word."""

EXEMPT_PATHS = ("/-/healthy", "/-/ready")
"""How paths end that are answered all the same, or a crowd would have the process restarted."""

REFUSAL = PlainTextResponse(
    "Too many connections are open; try again later.\n", 503, SECURITY_HEADERS
)


def limit() -> int:
    """How many connections to serve: no more than half of the files that the process may open.

    The other half is for polling.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(CONNECTIONS, files // 2)


class ConnectionLimitMiddleware:
    """An application that answers for another on such a connection, and closes it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The other's answer to who asks for its health, else a refusal."""

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await (self._app if scope["path"].endswith(EXEMPT_PATHS) else REFUSAL)(
            scope, receive, send_last
        )
