"""Requests and responses of the Image service API v2.

A list with ``id=in:`` returns many images at once, but it may lack some of them: see
``batch_path``. Only a request for a missing image itself shows whether it exists: see
``image_path``.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from http import HTTPStatus

from exporter.glance.list_filters import LIST_FILTERS
from exporter.glance.listing import MAX_REQUEST_LINE, PAGE_LIMIT, parse_list
from exporter.model.outcome import Failed, Found, ImageResult, NotFound
from exporter.model.replies import Batch
from exporter.model.responses.parsers import Malformed
from exporter.model.responses.v2_fields import image_from_document, parse_json
from exporter.transport.http1 import Response

LIST_PATH = "/v2/images?limit=1"
"""Served from the same database as single images: a 200 proves the API for a token."""

CONTROL_LIST_PATH = "/v2/images?limit=5"
"""A list as the control of a probe: short, but it names images that can be controls themselves."""

SPLIT_CODES = frozenset({400, 414, 431})
"""Status codes that a list of fewer images may avoid."""

_MARKER = "&marker="
_LISTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,255}")


def image_path(image_id: str) -> str:
    """Return the path of a GET request; IDs hold only characters that need no escape."""
    return f"/v2/images/{image_id}"


def parse_image(
    response: Response, image_id: str, properties: frozenset[str] | None
) -> ImageResult:
    """Parse the response to a GET request; redirects and other codes are ``Failed``."""
    if response.code == HTTPStatus.NOT_FOUND:
        return NotFound(response.request_id)
    if response.code != HTTPStatus.OK:
        return response.failure()
    if response.compressed:
        return Failed("malformed", response.compressed, response.request_id)
    try:
        document = parse_json(response.body)
    except ValueError:
        return Failed("malformed", "the response is not JSON", response.request_id)
    return _parse_document(document, image_id, properties, response.request_id)


def split_into_batches(
    image_ids: Iterable[str],
    *,
    prefix_length: int,
    max_id_bytes: int | None = None,
    page_limit: int = PAGE_LIMIT,
    max_request_line: int = MAX_REQUEST_LINE,
) -> tuple[tuple[str, ...], ...]:
    """Split IDs into batches that each fit into one request by ``batch_path``, without duplicates.

    An ID that is invalid in a list, or too long for a request line, is in no batch.

    Args:
        image_ids: The IDs, in the order in which they are batched.
        prefix_length: Bytes of the request line before the path: the endpoint's own path, or its
            whole URL if requests go through a proxy.
        max_id_bytes: Largest number of bytes of IDs, with a comma each; None without a limit.
        page_limit: Largest number of IDs in a batch.
        max_request_line: Largest number of bytes in a request line, from the method to the HTTP
            version, including the marker of a further page.
    """
    ids = [image_id for image_id in dict.fromkeys(image_ids) if _LISTABLE_ID.fullmatch(image_id)]
    longest_id = max(map(len, ids), default=0)
    filters = max((filters.second_list for filters in LIST_FILTERS), key=len)
    path = batch_path((), filters=filters, limit=page_limit) + _MARKER
    fixed = len("GET ") + prefix_length + len(path) + longest_id + len(" HTTP/1.1")
    max_bytes = max_request_line - fixed
    if max_id_bytes is not None:
        # The last ID has no comma.
        max_bytes = min(max_bytes, max_id_bytes - 1)
    return tuple(_pack(ids, page_limit, max_bytes))


def batch_path(image_ids: Iterable[str], *, filters: str, limit: int) -> str:
    """Return the path of a GET request for many images, by one of the ``ListFilters``.

    With ``id=in:`` alone, Glance silently leaves out some of the images that it returns by ID.
    The effect of each parameter was measured on Glance 33 (``in-all-kinds*.http`` among the
    recordings). ``member_status`` and the last paragraph were read in its
    ``glance/db/sqlalchemy/api.py``:

    - ``limit``: raises ``limit_param_default``, 25; the server cuts it to ``api_limit_max``.
    - ``visibility=all``: adds community images of other projects. The default leaves them out, and
      ``visibility=community`` would leave out all other images.
    - ``member_status=all``: adds images that are shared with the project but were not accepted, or
      were rejected.
    - ``os_hidden=true``: returns only hidden images; no value returns both kinds.

    Glance 15 refuses ``visibility=all``. Its lists leave out the same community images.

    No list contains deleted or ``killed`` images, private images without a project, or private
    images of other projects (except for administrators). Comma and colon need no escape.
    """
    return f"/v2/images?limit={limit}{filters}&member_status=all&id=in:{','.join(image_ids)}"


def parse_batch(
    response: Response, image_ids: Collection[str], properties: frozenset[str] | None
) -> Batch | Failed:
    """Parse the response to a request for many images, or for a further page of them.

    Images that were not requested are ignored. An image that is listed twice with different
    contents is malformed. The next page is ignored once all requested images are found.
    """
    page = parse_list(response)
    if isinstance(page, Failed):
        return page
    requested = frozenset(image_ids)
    request_id = response.request_id
    results: dict[str, Found | Failed] = {}
    for document in page.documents:
        image_id = document.get("id")
        if not isinstance(image_id, str) or image_id not in requested:
            continue
        result = _parse_document(document, image_id, properties, request_id)
        if results.setdefault(image_id, result) != result:
            detail = "the image is listed twice with different contents"
            results[image_id] = Failed("malformed", detail, request_id)
    is_complete = not page.documents or len(results) == len(requested)
    return Batch(results, None if is_complete else page.next_path)


def is_splittable(response: Response) -> bool:
    """Return True if smaller lists of the same images may succeed. The caller decides about 5xx."""
    code = response.code
    if response.compressed:
        return False
    if code == HTTPStatus.OK:
        return isinstance(parse_list(response), Failed)
    return code in SPLIT_CODES


def _pack(ids: Iterable[str], max_ids: int, max_bytes: int) -> Iterator[tuple[str, ...]]:
    """Yield the IDs in order, as many per batch as fit with commas between them."""
    batch: list[str] = []
    length = 0
    for image_id in ids:
        if len(image_id) > max_bytes:
            continue
        if batch and (len(batch) >= max_ids or length + 1 + len(image_id) > max_bytes):
            yield tuple(batch)
            batch = []
        length = length + 1 + len(image_id) if batch else len(image_id)
        batch.append(image_id)
    if batch:
        yield tuple(batch)


def _parse_document(
    document: object, image_id: str, properties: frozenset[str] | None, request_id: str
) -> Found | Failed:
    image = image_from_document(document, image_id, properties)
    if isinstance(image, Malformed):
        return Failed("malformed", str(image), request_id)
    return Found(image, request_id)
