"""The web application: its routes, below the route prefix if there is one."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from exporter.web.handlers import Handlers
from exporter.web.pages.page import SCRIPT_PATH

IMAGE = "{cloud:path}/{image_id}"
"""Path of an image. The name of a cloud may contain slashes, encoded or not; an ID does not."""


def create_app(handlers: Handlers, prefix: str = "") -> Starlette:
    """Create the application. Routes without methods accept GET and HEAD.

    Args:
        handlers: The handlers of the routes.
        prefix: Path prefix of all routes, with a leading and without a trailing slash.
    """
    routes: list[BaseRoute] = [
        Route("/", handlers.page),
        Route(f"/{SCRIPT_PATH}", handlers.script),
        Route("/api/images", handlers.api_images),
        Route(f"/images/{IMAGE}", handlers.image),
        Route(f"/api/images/{IMAGE}", handlers.api_image),
        Route("/config", handlers.config),
        Route(handlers.metrics_path, handlers.metrics),
        Route("/-/healthy", handlers.healthy),
        Route("/-/ready", handlers.ready),
        Route("/-/reload", handlers.reload, methods=["POST", "PUT"]),
    ]
    app = Starlette(
        routes=with_prefix(routes, prefix) if prefix else routes,
        exception_handlers={HTTPException: _http_error, ClientDisconnect: _client_disconnected},
    )
    app.router.redirect_slashes = False
    return app


def with_prefix(routes: Sequence[BaseRoute], prefix: str) -> list[BaseRoute]:
    """Mount the routes below a prefix, and redirect ``/`` and the prefix itself to its first page.

    Redirects are relative to the path of the request, so that they work behind any proxy.
    """
    return [
        Route("/", _redirect(f"{prefix.removeprefix('/')}/")),
        Route(prefix, _redirect(f"{prefix.rpartition('/')[2]}/")),
        Mount(prefix, Router(routes, redirect_slashes=False)),
    ]


def _redirect(location: str) -> Response:
    """Return a redirect that can be the endpoint of a route, for any method."""
    return Response(None, 302, {"Location": location})


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # the type it is registered for
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers)


async def _client_disconnected(_: Request, __: Exception) -> Response:
    """Return a response that is never sent: every request must end in one."""
    return Response()
