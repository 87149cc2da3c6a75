"""Requests and responses of the Image service API v1, apart from lists: see ``listing``."""

from http import HTTPStatus

from exporter.model.outcome import Failed, Found, ImageResult, NotFound
from exporter.model.responses.parsers import Malformed
from exporter.model.responses.v1_headers import META_PREFIX, image_from_headers
from exporter.transport.http1 import Response

LIST_PATH = "/v1/images?limit=1"
"""Served from the same database as single images: a 200 proves the API for a token."""

DETAIL_LIST_PATH = "/v1/images/detail?limit=1"
"""The same list in detail, which some gateways serve although they refuse the other."""

CONTROL_LIST_PATH = "/v1/images?limit=5"
"""A list as the control of a probe: short, but it names images that can be controls themselves."""

CONTROL_DETAIL_LIST_PATH = "/v1/images/detail?limit=5"
"""The same list in detail, see ``DETAIL_LIST_PATH``."""


def image_path(image_id: str) -> str:
    """Return the path of a HEAD request; IDs hold only characters that need no escape."""
    return f"/v1/images/{image_id}"


def parse_image(
    response: Response, image_id: str, properties: frozenset[str] | None
) -> ImageResult:
    """Parse the response to a HEAD request; redirects and other codes are ``Failed``."""
    if response.code == HTTPStatus.NOT_FOUND:
        return NotFound(response.request_id)
    if response.code != HTTPStatus.OK:
        return response.failure()
    image = image_from_headers(response.headers, image_id, properties)
    if isinstance(image, Malformed):
        return Failed("malformed", str(image), response.request_id)
    return Found(image, response.request_id)


def may_describe(response: Response, image_id: str) -> bool:
    """Return False if the headers name another image, so the response is to another request."""
    value = response.first(b"x-image-meta-id")
    return value is None or value == image_id.encode()


def has_image_headers(response: Response) -> bool:
    """Return True if the Image service sent this response, with valid image headers or not."""
    return any(name.startswith(META_PREFIX) for name, _ in response.headers)
