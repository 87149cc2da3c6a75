"""The routes: what each page answers, from functions that the caller gives."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.metrics.exposition import Body
from exporter.web.handlers import (
    Lister,
    Parameters,
    images_answer,
    page_answer,
    script_answer,
    slimmed,
)
from exporter.web.negotiation import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics
from exporter.web.pages.page import SCRIPT_PATH
from exporter.web.streaming import PiecewiseResponse
from exporter.web.thread_pool import ThreadPool

# Rendering is work for the processor: more threads would not end it sooner.
_SCRAPES = 2
_LOOKS = 1

NO_LIFECYCLE = "Reloading by request is not enabled: --web.enable-lifecycle enables it."

Result = TypeVar("Result")

Endpoint = Callable[[Request], Awaitable[Response]]

Verdict = Callable[[], str | None]
"""None when all is well, else why not, in one line."""


Reload = Callable[[], Sequence[str]]
"""Reads the settings again: says why they cannot be used, a line each; nothing when they are."""


def create_app(
    *,
    metrics: Callable[[bool, bool], Body],
    healthy: Verdict,
    ready: Verdict,
    images: Lister,
    reload: Reload | None = None,
) -> Starlette:
    """The application: each page answers GET and HEAD.

    ``/-/reload`` is for POST and PUT, and refused without `reload`, which is called in a thread,
    one at a time.

    `metrics` is asked for a body with whether it is to be OpenMetrics, and compressed.
    `images` is asked for what a query comes to. Both are called in threads, of their own, so that
    scrapes do not wait for those who look at pages, however many there are. `healthy` and `ready`
    are called in the event loop and must be quick.
    """
    scrapes, looks = ThreadPool(_SCRAPES), ThreadPool(_LOOKS)

    async def metrics_page(request: Request) -> Response:
        openmetrics = wants_openmetrics(_header(request, "Accept"))
        compressed = wants_gzip(_header(request, "Accept-Encoding"))
        made = scrapes.do(partial(metrics, openmetrics, compressed))
        body = await _unless_gone(request, made)
        headers = {
            "Content-Type": OPENMETRICS if openmetrics else TEXT,
            "Vary": "Accept, Accept-Encoding",
        }
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return PiecewiseResponse(body, headers)

    def listed(answer: Callable[[Lister, Parameters], Response]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            parameters = request.query_params.multi_items()
            make = partial(answer, images, parameters)
            if wants_gzip(_header(request, "Accept-Encoding")):
                make = partial(slimmed, make)
            return await _unless_gone(request, looks.do(make))

        return endpoint

    async def script(_: Request) -> Response:
        return script_answer()

    app = Starlette(
        routes=[
            Route("/", listed(page_answer)),
            Route(f"/{SCRIPT_PATH}", script),
            Route("/api/images", listed(images_answer)),
            Route("/metrics", metrics_page),
            Route("/-/healthy", _verdict_page(healthy, "Healthy")),
            Route("/-/ready", _verdict_page(ready, "Ready")),
            Route("/-/reload", _reload_page(reload), methods=["POST", "PUT"]),
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


def _verdict_page(verdict: Verdict, well: str) -> Endpoint:
    async def page(_: Request) -> Response:
        reason = verdict()
        return PlainTextResponse(f"{reason or well}\n", 503 if reason else 200)

    return page


def _reload_page(reload: Reload | None) -> Callable[[Request], Awaitable[Response]]:
    # Apart from the others, which it would hold up.
    workers = ThreadPool(1)

    async def page(_: Request) -> Response:
        if reload is None:
            return PlainTextResponse(f"{NO_LIFECYCLE}\n", 403)
        lines = await workers.do(reload)
        return PlainTextResponse("".join(f"{line}\n" for line in lines), 400 if lines else 200)

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
