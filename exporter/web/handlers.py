"""What is answered to who asks about images: the page, its script, and JSON."""

import gzip
from collections.abc import Callable, Sequence
from types import MappingProxyType

from starlette.responses import HTMLResponse, Response

from exporter.metrics.gzip_stream import LEVEL
from exporter.web.pages.image_list import Listing
from exporter.web.pages.json_api import as_json, listing_document, refusal_document
from exporter.web.pages.page import HEADERS, SCRIPT, page
from exporter.web.pages.query import PageQuery, Query, QueryError

Lister = Callable[[Query], Listing]
"""What a query comes to now."""

Parameters = Sequence[tuple[str, str]]
"""Names and values of a query, as they came."""

_NEVER_KEPT = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
)
_KEPT = MappingProxyType({"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})


def page_answer(lister: Lister, parameters: Parameters) -> Response:
    """The page; 400 where parameters make no sense, and then without those."""
    mistakes = None
    try:
        query = PageQuery.read(parameters)
    except QueryError as error:
        mistakes = error
        bad = {name for name, _, _ in error.parameters}
        query = PageQuery.read([each for each in parameters if each[0] not in bad])
    listing = lister(query)
    if query.page > listing.pages:
        # Images may have gone since the link was made.
        query = query.model_copy(update={"page": listing.pages})
        listing = lister(query)
    html = page(listing, query, mistakes)
    return HTMLResponse(html, 400 if mistakes else 200, headers=HEADERS)


def script_answer() -> Response:
    """The script of the page."""
    return Response(SCRIPT, media_type="text/javascript", headers=_KEPT)


def slimmed(answer: Callable[[], Response]) -> Response:
    """The answer, compressed: a page is a tenth of its size then, and JSON even less."""
    response = answer()
    response.body = gzip.compress(bytes(response.body), LEVEL, mtime=0)
    response.headers["Content-Length"] = str(len(response.body))
    response.headers["Content-Encoding"] = "gzip"
    return response


def images_answer(lister: Lister, parameters: Parameters) -> Response:
    """JSON; 400 where parameters make no sense, and then what is accepted."""
    try:
        status, document = 200, listing_document(lister(Query.read(parameters)))
    except QueryError as error:
        status, document = 400, refusal_document(error)
    return Response(as_json(document), status, _NEVER_KEPT, "application/json")
