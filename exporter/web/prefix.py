"""Pages below a prefix, as Prometheus has them behind a proxy that adds one."""

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Prefixed:
    """An application whose pages are below ``prefix``, which begins with a slash, and ends in none.

    The prefix itself, and ``/``, lead to its first page. What else there is, there is not.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's answer to what is below the prefix."""
        answer = self._app
        path = scope["path"]
        if path.startswith(f"{self._prefix}/"):
            scope = {**scope, "path": path.removeprefix(self._prefix)}
        elif path in {"/", self._prefix}:
            # Relative to where the client is, so that it holds behind any proxy.
            last = (
                self._prefix.removeprefix("/") if path == "/" else self._prefix.rpartition("/")[2]
            )
            answer = Response(None, 302, {"Location": f"{last}/"})
        else:
            answer = PlainTextResponse("Not Found\n", 404)
        await answer(scope, receive, send)
