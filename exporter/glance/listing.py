"""Parser of lists of images, as both versions of the API send them."""

import re
from dataclasses import dataclass
from http import HTTPStatus

from exporter.model.outcome import Failed
from exporter.model.responses.v2_fields import ObjectWithDuplicates, parse_json
from exporter.transport.http1 import Response

PAGE_LIMIT = 1000
"""Images to request per page: Glance's ``api_limit_max`` unless an operator changed it."""

MAX_REQUEST_LINE = 4000
"""Bytes of a request line that common front ends accept: gunicorn refuses more than 4,094."""

REQUESTABLE_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}", re.ASCII)
"""An image ID that needs no escape in a path."""

_NEXT_PATH = re.compile(r"/v2(?:/[A-Za-z0-9_-]{1,64})?(/images\?[A-Za-z0-9._~%:,=&+-]+)", re.ASCII)
"""Path of the next page. A gateway may insert the ID of the project after the version."""


@dataclass(frozen=True, slots=True)
class ImageList:
    """One page of a list of images.

    Attributes:
        documents: The entries that are JSON objects.
        next_path: Path of the next page, or ``None`` if there is no next page or no usable link.
        is_cut_off: There is a next page, but its link cannot be requested.
    """

    documents: list[dict[str, object]]
    next_path: str | None = None
    is_cut_off: bool = False

    @property
    def image_ids(self) -> tuple[str, ...]:
        """IDs of the images, except those that cannot be requested."""
        ids = (document.get("id") for document in self.documents)
        return tuple(i for i in ids if isinstance(i, str) and REQUESTABLE_ID.fullmatch(i))


def parse_list(response: Response, *, skip_invalid_entries: bool = False) -> ImageList | Failed:
    """Parse the response to a request for a list of images.

    A list proves that the API responds, so a body that only resembles one is a failure. An entry
    that is not a JSON object makes the whole list invalid unless ``skip_invalid_entries`` is true.
    """
    if response.code != HTTPStatus.OK:
        return response.failure()
    if response.compressed:
        return Failed("malformed", response.compressed, response.request_id)
    try:
        body = parse_json(response.body)
    except ValueError:
        body = None
    entries = body.get("images") if isinstance(body, dict) else None
    if (
        not isinstance(body, dict)
        or isinstance(body, ObjectWithDuplicates)
        or not isinstance(entries, list)
    ):
        return _malformed(response)
    documents = [entry for entry in entries if isinstance(entry, dict)]
    if len(documents) < len(entries) and not skip_invalid_entries:
        return _malformed(response)
    link = body.get("next")
    next_path = _next_path(link)
    return ImageList(documents, next_path, is_cut_off=link is not None and next_path is None)


def _next_path(link: object) -> str | None:
    """Return the path of the next page if it is a path of the same list and short enough.

    Glance escapes colons and commas in the link. They are restored, because the escapes could make
    the request line longer than the server accepts.
    """
    if not isinstance(link, str):
        return None
    path = link.replace("%3A", ":").replace("%2C", ",")
    match = _NEXT_PATH.fullmatch(path) if len(path) <= MAX_REQUEST_LINE else None
    return f"/v2{match[1]}" if match else None


def _malformed(response: Response) -> Failed:
    detail = "the response is not a list of images"
    return Failed("malformed", detail, response.request_id)
