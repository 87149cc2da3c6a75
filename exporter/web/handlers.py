"""Request handlers of the web pages, the JSON API, the metrics and the health checks."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from types import MappingProxyType
from typing import Protocol, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from exporter.metrics.body import Body
from exporter.metrics.exposition import UnknownCloudError
from exporter.web.negotiation import negotiate_format, wants_gzip
from exporter.web.pages.image_details import ImageDetails
from exporter.web.pages.image_list import ImageList
from exporter.web.pages.image_page import render_image_page
from exporter.web.pages.json_api import (
    NOT_WATCHED,
    image_details_document,
    image_list_document,
    query_error_document,
    to_ascii_json,
)
from exporter.web.pages.page import HEADERS, SCRIPT, render_page
from exporter.web.pages.query import PageQuery, Query, QueryError
from exporter.web.streaming import PiecewiseResponse, compact_body
from exporter.web.thread_pool import ThreadPool

# Rendering is bound by the processor: more threads would not make it faster.
SCRAPE_THREADS = 2
PAGE_THREADS = 1

RELOAD_DISABLED = "Reloading by request is disabled; --web.enable-lifecycle enables it."

Result = TypeVar("Result")


class RenderMetrics(Protocol):
    """Renders all metrics at this moment: ``Exposition.body``."""

    def __call__(
        self, *, openmetrics: bool, compressed: bool, clouds: Collection[str] = ()
    ) -> Body:
        """Return the body in the requested format and encoding, of all or of some clouds."""


QueryImages = Callable[[Query], ImageList]
"""Runs a query on the images as they are now."""


class FindImage(Protocol):
    """Returns an image as it is now: ``find_image``."""

    def __call__(self, *, cloud: str, image_id: str) -> ImageDetails | None:
        """Return the image with these names in a path, or None if it is not watched."""


HealthCheck = Callable[[], str | None]
"""Returns the reason why a health check fails, in one line, or ``None`` if it succeeds."""

Reload = Callable[[], Sequence[str]]
"""Reloads the configuration; returns an error per line, or nothing if it succeeds."""

Parameters = Sequence[tuple[str, str]]
"""Names and values of query parameters, in the order of the URL."""

_DATA_HEADERS = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
)
_SCRIPT_HEADERS = MappingProxyType(
    {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
)


class Handlers:
    """One method for each route.

    Slow work runs in threads. Scrapes, pages and reloads have threads of their own, so that
    scrapes wait for neither pages nor reloads. Health checks run in the event loop and must be
    quick.

    Args:
        render_metrics: Renders the body of ``/metrics``: ``Exposition.body``.
        query_images: Runs the query of a page or of an API request.
        find_image: Returns the details of one image.
        check_health: Liveness check of ``/-/healthy``.
        check_readiness: Readiness check of ``/-/ready``.
        reload: Reloads the configuration; ``None`` refuses reloads by request.
        config_text: Returns the configuration in force, without secrets.
        metrics_path: Path of the metrics, to which the page has a link.
    """

    def __init__(
        self,
        *,
        render_metrics: RenderMetrics,
        query_images: QueryImages,
        find_image: FindImage,
        check_health: HealthCheck,
        check_readiness: HealthCheck,
        reload: Reload | None = None,
        config_text: Callable[[], str] = str,
        metrics_path: str = "/metrics",
    ) -> None:
        self.metrics_path = metrics_path
        self._render_metrics = render_metrics
        self._query_images = query_images
        self._find_image = find_image
        self._check_health = check_health
        self._check_readiness = check_readiness
        self._reload = reload
        self._config_text = config_text
        self._scrape_threads = ThreadPool(SCRAPE_THREADS)
        self._page_threads = ThreadPool(PAGE_THREADS)
        self._reload_threads = ThreadPool(1)
        self._next_reload: asyncio.Future[Sequence[str]] | None = None

    async def metrics(self, request: Request) -> Response:
        """Respond with the metrics, in the format and encoding that the client prefers.

        Parameters ``cloud`` select clouds. An unknown one is a mistake in the scrape configuration,
        so the scrape fails, as with unknown collectors and modules of other exporters.
        """
        content_type, openmetrics = negotiate_format(_header(request, "Accept"))
        compressed = wants_gzip(_header(request, "Accept-Encoding"))
        render = partial(
            self._render_metrics,
            openmetrics=openmetrics,
            compressed=compressed,
            clouds=request.query_params.getlist("cloud"),
        )
        try:
            body = await _unless_disconnected(request, self._scrape_threads.run(render))
        except UnknownCloudError as error:
            return PlainTextResponse(f"{error}\n", 400)
        headers = {
            "Content-Type": content_type,
            "Vary": "Accept, Accept-Encoding",
        }
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return PiecewiseResponse(body, headers)

    async def page(self, request: Request) -> Response:
        """Respond with the HTML page."""
        parameters = request.query_params.multi_items()
        work = partial(
            page_response, self._query_images, parameters, metrics_path=self.metrics_path
        )
        return await self._respond(request, work)

    async def api_images(self, request: Request) -> Response:
        """Respond with images and clouds as JSON."""
        return await self._respond(
            request, partial(api_response, self._query_images, request.query_params.multi_items())
        )

    async def image(self, request: Request) -> Response:
        """Respond with the HTML page of one image."""
        find = partial(self._find_image, **request.path_params)
        parameters = request.query_params.multi_items()
        work = partial(image_page_response, find, parameters, metrics_path=self.metrics_path)
        return await self._respond(request, work)

    async def api_image(self, request: Request) -> Response:
        """Respond with one image as JSON."""
        find = partial(self._find_image, **request.path_params)
        return await self._respond(request, partial(api_image_response, find))

    async def config(self, request: Request) -> Response:
        """Respond with the configuration in force as YAML, without secrets."""
        return await self._respond(request, partial(config_response, self._config_text))

    async def script(self, _: Request) -> Response:
        """Respond with the script of the page."""
        return Response(SCRIPT, media_type="text/javascript", headers=_SCRIPT_HEADERS)

    async def healthy(self, _: Request) -> Response:
        """Respond to a liveness check."""
        return _health_response(self._check_health(), "Healthy")

    async def ready(self, _: Request) -> Response:
        """Respond to a readiness check."""
        return _health_response(self._check_readiness(), "Ready")

    async def reload(self, request: Request) -> Response:
        """Reload the configuration. Requests that come during a reload share the next one.

        So at most one waits, also if a reload hangs. It takes place if its clients have left, too.
        """
        if self._reload is None:
            return PlainTextResponse(f"{RELOAD_DISABLED}\n", 403)
        reloading = self._next_reload
        if reloading is None:
            work = partial(self._run_reload, self._reload)
            reloading = asyncio.ensure_future(self._reload_threads.run(work))
            self._next_reload = reloading
        errors = await _unless_disconnected(request, asyncio.shield(reloading))
        return PlainTextResponse("".join(f"{error}\n" for error in errors), 400 if errors else 200)

    def _run_reload(self, reload: Reload) -> Sequence[str]:
        # Files are read from now on, so later requests need another reload.
        self._next_reload = None
        return reload()

    async def _respond(self, request: Request, work: Callable[[], Response]) -> Response:
        """Respond with the result of the work, which runs in a thread of the pages."""
        compressed = wants_gzip(_header(request, "Accept-Encoding"))
        work = partial(_compact, work, compressed=compressed)
        return await _unless_disconnected(request, self._page_threads.run(work))


def page_response(
    query_images: QueryImages, parameters: Parameters, *, metrics_path: str = "/metrics"
) -> Response:
    """Return the page; invalid parameters are ignored and make the status 400."""
    query, error = _page_query(parameters)
    image_list = query_images(query)
    if query.page > image_list.pages:
        # There may be fewer images now than when the link was made: show the last page.
        query = query.model_copy(update={"page": image_list.pages})
        image_list = query_images(query)
    html = render_page(image_list, query, error, metrics_path=metrics_path)
    return HTMLResponse(html, 400 if error else 200, headers=HEADERS)


def api_response(query_images: QueryImages, parameters: Parameters) -> Response:
    """Return images and clouds as JSON, or status 400 with the accepted parameters."""
    try:
        status, document = 200, image_list_document(query_images(Query.parse(parameters)))
    except QueryError as error:
        status, document = 400, query_error_document(error)
    return Response(to_ascii_json(document), status, _DATA_HEADERS, "application/json")


def image_page_response(
    find: Callable[[], ImageDetails | None],
    parameters: Parameters,
    *,
    metrics_path: str = "/metrics",
) -> Response:
    """Return the page of an image, with status 404 if it is unknown."""
    query, error = _page_query(parameters)
    details = find()
    status = 404 if details is None else 400 if error else 200
    html = render_image_page(details, query, error, metrics_path=metrics_path)
    return HTMLResponse(html, status, headers=HEADERS)


def api_image_response(find: Callable[[], ImageDetails | None]) -> Response:
    """Return one image as JSON, with status 404 if it is unknown."""
    details = find()
    document = NOT_WATCHED if details is None else image_details_document(details)
    status = 404 if details is None else 200
    return Response(to_ascii_json(document), status, _DATA_HEADERS, "application/json")


def config_response(config_text: Callable[[], str]) -> Response:
    """Return the configuration in force."""
    return PlainTextResponse(config_text(), headers=_DATA_HEADERS)


def _page_query(parameters: Parameters) -> tuple[PageQuery, QueryError | None]:
    """Return the query in the valid parameters, and the error about the others."""
    try:
        return PageQuery.parse(parameters), None
    except QueryError as error:
        invalid = {name for name, _, _ in error.parameters}
        return PageQuery.parse([pair for pair in parameters if pair[0] not in invalid]), error


def _compact(render: Callable[[], Response], *, compressed: bool) -> Response:
    """Return the response of ``render`` with a body that costs little memory until it is sent."""
    response = render()
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    if compressed:
        headers["content-encoding"] = "gzip"
    body = compact_body(bytes(response.body), compressed=compressed)
    return PiecewiseResponse(body, headers, response.status_code)


def _health_response(reason: str | None, success: str) -> Response:
    return PlainTextResponse(f"{reason or success}\n", 503 if reason else 200)


def _header(request: Request, name: str) -> str:
    return ",".join(request.headers.getlist(name))


async def _unless_disconnected(request: Request, work: Awaitable[Result]) -> Result:
    """Return the result of the work, cancelling it if the client disconnects.

    Raises:
        ClientDisconnect: The client disconnected first.
    """
    result = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({result, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            return result.result()
        raise ClientDisconnect
    finally:
        result.cancel()
        disconnect.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    """Wait until the client disconnects, discarding the body of the request."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
