"""The Image service API v2: what is asked, and what each answer says.

Many images are asked for at once by a list with ``id=in:``, see ``batch_path`` for which it
gives. Which of the others exist is known only by asking for each, see ``image_path``.
"""

import re
from collections.abc import Collection, Iterable, Iterator

from exporter.model.outcome import Failed, Found, NotFound, Reading, reason_for_status
from exporter.model.parsers import Malformed
from exporter.model.replies import Batch
from exporter.model.v2_fields import ObjectWithDuplicates, image_from_document, parse_json
from exporter.transport.response import Response

VERSION = "v2"
OK = 200
NOT_FOUND = 404

LIST_PATH = "/v2/images?limit=1"
"""Answered from the same database as single images: a 200 proves the API for a token."""

PAGE_LIMIT = 1000
"""Glance's ``api_limit_max`` unless an operator changed it."""

LINE_LIMIT = 4000
"""Bytes of a request line that common front ends take: gunicorn refuses more than 4,094."""

SPLIT_CODES = frozenset({400, 414, 431})
"""The codes that a list of fewer images may not meet."""

_MARKER = "&marker="
_LISTABLE = re.compile(r"[A-Za-z0-9._-]{1,255}")
_NEXT = re.compile(r"/v2/images\?[A-Za-z0-9._~%:,=&+-]+")


def image_path(image_id: str) -> str:
    """What is asked by GET; IDs hold only characters that need no escape."""
    return f"/v2/images/{image_id}"


def read_image(answer: Response, image_id: str, properties: frozenset[str] | None) -> Reading:
    """What the answer to GET for an image says; redirects and other codes are ``Failed``."""
    head = answer.head
    if head.code == NOT_FOUND:
        return NotFound(head.request_id)
    if head.code != OK:
        return _failed(answer)
    try:
        document = parse_json(answer.body)
    except ValueError:
        return Failed("malformed", "the answer is no JSON", head.request_id)
    return _read_document(document, image_id, properties, head.request_id)


def batches(
    image_ids: Iterable[str],
    *,
    prefix_length: int,
    page_limit: int = PAGE_LIMIT,
    line_limit: int = LINE_LIMIT,
) -> tuple[tuple[str, ...], ...]:
    """The IDs, each once, in lists that a server can be asked for by ``batch_path``.

    No list is longer than ``page_limit``, and no request line longer than ``line_limit`` bytes,
    from method to HTTP version, the marker of a further page included. ``prefix_length`` is the
    bytes before the path: the endpoint's own path, or its whole URL where a proxy is asked. An ID
    that cannot stand in a list, or fits no line, is in none.
    """
    ids = [each for each in dict.fromkeys(image_ids) if _LISTABLE.fullmatch(each)]
    longest = max(map(len, ids), default=0)
    path = batch_path((), hidden=True, limit=page_limit) + _MARKER
    fixed = len("GET ") + prefix_length + len(path) + longest + len(" HTTP/1.1")
    return tuple(_packed(ids, page_limit, line_limit - fixed))


def batch_path(image_ids: Iterable[str], *, hidden: bool, limit: int) -> str:
    """What is asked by GET for many images: those that are hidden, or those that are not.

    Without more than ``id=in:`` Glance leaves out, in silence, some of what it would give by ID.
    What each parameter adds was measured on Glance 33 (``in-all-kinds*.http`` among the
    recordings), ``member_status`` and the last paragraph read in its
    ``glance/db/sqlalchemy/api.py``:

    - ``limit``: more than ``limit_param_default``, 25; the server cuts it to ``api_limit_max``.
    - ``visibility=all``: community images of other projects. It is not the default: that has
      only one's own. ``visibility=community`` would leave out all the rest.
    - ``member_status=all``: images shared with the project that it has not accepted, or rejected.
    - ``os_hidden=true``: hidden images, and nothing else; there is no value for both.

    No list has images that are ``killed``, private ones that belong to no project, those of other
    projects (unless an administrator asks), or deleted ones. Comma and colon need no escape.
    """
    further = "&os_hidden=true" if hidden else ""
    query = f"limit={limit}&visibility=all&member_status=all{further}"
    return f"/v2/images?{query}&id=in:{','.join(image_ids)}"


def read_batch(
    answer: Response, image_ids: Collection[str], properties: frozenset[str] | None
) -> Batch | Failed:
    """What the answer to GET for many images, or for a further page of them, says.

    An image that was not asked for is ignored, and one that stands twice with different contents
    is malformed. The list of all that was asked for has no further page.
    """
    if answer.head.code != OK:
        return _failed(answer)
    listed = _listed(answer)
    if listed is None:
        return _no_list(answer)
    documents, following = listed
    asked = frozenset(image_ids)
    request_id = answer.head.request_id
    readings: dict[str, Found | Failed] = {}
    for document in documents:
        image_id = document.get("id")
        if not isinstance(image_id, str) or image_id not in asked:
            continue
        reading = _read_document(document, image_id, properties, request_id)
        if readings.setdefault(image_id, reading) != reading:
            twice = "the image is listed twice with different contents"
            readings[image_id] = Failed("malformed", twice, request_id)
    return Batch(readings, following if documents and len(readings) < len(asked) else None)


def needs_split(answer: Response) -> bool:
    """Whether the same images might be listed by smaller lists; 5xx is for the caller to judge."""
    code = answer.head.code
    return code in SPLIT_CODES or (code == OK and not is_list(answer))


def is_list(answer: Response) -> bool:
    """Whether it is a 200 that parses as a list of images."""
    return answer.head.code == OK and _listed(answer) is not None


def read_list_failure(answer: Response) -> Failed:
    """Why the answer to the list is no proof."""
    return _no_list(answer) if answer.head.code == OK else _failed(answer)


def _packed(ids: Iterable[str], most: int, room: int) -> Iterator[tuple[str, ...]]:
    """The IDs in order, as many together as are at most ``most`` and, with commas, fit."""
    batch: list[str] = []
    length = 0
    for image_id in ids:
        if len(image_id) > room:
            continue
        if batch and (len(batch) >= most or length + 1 + len(image_id) > room):
            yield tuple(batch)
            batch = []
        length = length + 1 + len(image_id) if batch else len(image_id)
        batch.append(image_id)
    if batch:
        yield tuple(batch)


def _read_document(
    document: object, image_id: str, properties: frozenset[str] | None, request_id: str
) -> Found | Failed:
    image = image_from_document(document, image_id, properties)
    if isinstance(image, Malformed):
        return Failed("malformed", str(image), request_id)
    return Found(image, request_id)


def _listed(answer: Response) -> tuple[list[dict[str, object]], str | None] | None:
    """The documents of a list and the path of its next page; ``None`` where it is no list."""
    try:
        body = parse_json(answer.body)
    except ValueError:
        return None
    if not isinstance(body, dict) or isinstance(body, ObjectWithDuplicates):
        return None
    documents = body.get("images")
    if not isinstance(documents, list) or not all(isinstance(each, dict) for each in documents):
        return None
    return documents, _next(body.get("next"))


def _next(following: object) -> str | None:
    """The path of the next page; ``None`` where it leads elsewhere, or is none that can be asked.

    Glance escapes colons and commas, which makes the line longer than the one it has answered.
    """
    if not isinstance(following, str):
        return None
    path = following.replace("%3A", ":").replace("%2C", ",")
    return path if len(path) <= LINE_LIMIT and _NEXT.fullmatch(path) else None


def _failed(answer: Response) -> Failed:
    head = answer.head
    retry_after = head.first(b"retry-after") is not None
    return Failed(reason_for_status(head.code, retry_after), f"HTTP {head.code}", head.request_id)


def _no_list(answer: Response) -> Failed:
    return Failed("malformed", "the list of images does not parse as one", answer.head.request_id)
