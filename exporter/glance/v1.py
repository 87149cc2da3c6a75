"""Requests and responses of the Image service API v1, apart from lists: see ``listing``."""

from http import HTTPStatus

from exporter.model.outcome import Failed, Found, ImageResult, NotFound
from exporter.model.responses.parsers import Malformed
from exporter.model.responses.v1_headers import META_PREFIX, image_from_headers
from exporter.transport.response import Response, ResponseHead

LIST_PATH = "/v1/images?limit=1"
"""Served from the same database as single images: a 200 proves the API for a token."""


def image_path(image_id: str) -> str:
    """Return the path of a HEAD request; IDs hold only characters that need no escape."""
    return f"/v1/images/{image_id}"


def parse_image(
    response: Response, image_id: str, properties: frozenset[str] | None
) -> ImageResult:
    """Parse the response to a HEAD request; redirects and other codes are ``Failed``."""
    head = response.head
    if head.code == HTTPStatus.NOT_FOUND:
        return NotFound(head.request_id)
    if head.code != HTTPStatus.OK:
        return response.failure()
    image = image_from_headers(head.fields, image_id, properties)
    if isinstance(image, Malformed):
        return Failed("malformed", str(image), head.request_id)
    return Found(image, head.request_id)


def may_describe(head: ResponseHead, image_id: str) -> bool:
    """Return False if the headers name another image, so the response is to another request."""
    value = head.first(b"x-image-meta-id")
    return value is None or value == image_id.encode()


def has_image_headers(head: ResponseHead) -> bool:
    """Return True if the Image service sent this response, with valid image headers or not."""
    return any(name.startswith(META_PREFIX) for name, _ in head.fields)
