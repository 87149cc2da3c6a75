"""The routes: what each page answers, from functions that the caller gives."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.exposition import Body
from exporter.web.landing import HEADERS, LandingRow, landing_page
from exporter.web.negotiation import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics
from exporter.web.pieces import PiecewiseResponse
from exporter.web.workers import Workers

# Rendering is work for the processor: more threads would not end it sooner.
_WORKERS = 2

Result = TypeVar("Result")

Verdict = Callable[[], str | None]
"""None when all is well, else why not, in one line."""


def create_app(
    *,
    metrics: Callable[[bool, bool], Body],
    healthy: Verdict,
    ready: Verdict,
    landing: Callable[[], Iterable[LandingRow]],
) -> Starlette:
    """The application: ``/metrics``, ``/``, ``/-/healthy`` and ``/-/ready``, for GET and HEAD.

    `metrics` is asked for a body with whether it is to be OpenMetrics, and compressed.
    `metrics` and `landing` are called in a thread, two at a time: they never hold up another
    client. `healthy` and `ready` are called in the event loop and must be quick.
    """
    workers = Workers(_WORKERS)

    async def metrics_page(request: Request) -> Response:
        openmetrics = wants_openmetrics(_header(request, "Accept"))
        compressed = wants_gzip(_header(request, "Accept-Encoding"))
        made = workers.do(partial(metrics, openmetrics, compressed))
        body = await _unless_gone(request, made)
        headers = {
            "Content-Type": OPENMETRICS if openmetrics else TEXT,
            "Vary": "Accept, Accept-Encoding",
        }
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return PiecewiseResponse(body, headers)

    async def front_page(request: Request) -> Response:
        page = await _unless_gone(request, workers.do(lambda: landing_page(landing())))
        return HTMLResponse(page, headers=HEADERS)

    app = Starlette(
        routes=[
            Route("/", front_page),
            Route("/metrics", metrics_page),
            Route("/-/healthy", _verdict_page(healthy, "Healthy")),
            Route("/-/ready", _verdict_page(ready, "Ready")),
        ],
        exception_handlers={HTTPException: _refusal, ClientDisconnect: _nothing},
    )
    app.router.redirect_slashes = False
    return app


async def _unless_gone(request: Request, answer: Awaitable[Result]) -> Result:
    """The answer, unless the client leaves before: then raises ``ClientDisconnect``."""
    made, gone = asyncio.ensure_future(answer), asyncio.ensure_future(_leaving(request))
    try:
        await asyncio.wait({made, gone}, return_when=asyncio.FIRST_COMPLETED)
        if made.done():
            return made.result()
        raise ClientDisconnect
    finally:
        made.cancel()
        gone.cancel()


async def _leaving(request: Request) -> None:
    """Returns when the client has left; a body that it sends is not looked at."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _header(request: Request, name: str) -> str:
    return ",".join(request.headers.getlist(name))


def _verdict_page(verdict: Verdict, well: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(_: Request) -> Response:
        reason = verdict()
        return PlainTextResponse(f"{reason or well}\n", 503 if reason else 200)

    return page


async def _refusal(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, HTTPException)  # noqa: S101  # the type it is registered for
    headers = dict(refused.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return PlainTextResponse(f"{refused.detail}\n", refused.status_code, headers)


async def _nothing(_: Request, __: Exception) -> Response:
    """For a client that has left: it is not sent, but every request has to end in an answer."""
    return Response()
