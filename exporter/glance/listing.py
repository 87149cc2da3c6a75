"""The list of all images, by Image service API v2: what is asked, and what each page says.

Also where images are polled through v1: its list has no tags, and only one's own and public images.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from exporter.model.discovery import DiscoveryRule
from exporter.model.image import Image
from exporter.model.outcome import Failed, reason_for_status
from exporter.model.replies import Page
from exporter.model.v2_fields import (
    NO_PROPERTIES,
    ObjectWithDuplicates,
    image_from_document,
    parse_json,
)
from exporter.transport.response import Response

PAGE_LIMIT = 1000
"""Glance's ``api_limit_max`` unless an operator changed it."""

MOST_PAGES = 200
"""Pages of one list: a server may never end."""

LONGEST_PATH = 3000
"""Bytes of a path, with room for a marker in the 4,000 that common front ends take."""

NO_V2 = frozenset({300, 405, 410, 501})
"""The answers of an endpoint that has no API v2."""

NOT_ASKED_FOR = NO_PROPERTIES | {
    "changes-since",
    "is_public",
    "limit",
    "marker",
    "member_status",
    "not-in",
    "os_hash_algo",
    "size_max",
    "size_min",
    "sort",
    "sort_dir",
    "sort_key",
    "tag",
}
"""Names that mean something else in a query than the property of that name."""

_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}", re.ASCII)
_NEXT = re.compile(r"/v2/images\?[A-Za-z0-9._~%:,=&+-]+", re.ASCII)


def paths(entries: Iterable[DiscoveryRule]) -> tuple[str, ...]:
    """The lists to ask for by GET, that together have every image that any entry may match.

    Each entry narrows its list as far as Glance filters by itself; what is left is for
    ``DiscoveryRule.matches``. A list of everything makes all others needless.
    """
    everything = _path(DiscoveryRule())
    asked = tuple(dict.fromkeys(map(_path, entries)))
    return (everything,) if everything in asked else asked


def read_page(answer: Response, properties: frozenset[str]) -> Page | Failed:
    """What the answer to GET for a list says; of properties only those named are kept.

    An entry that describes no image, or one whose ID cannot be asked for, is left out. A page
    whose next one cannot be asked for is a failure: what is listed is not all there is.
    """
    head = answer.head
    if head.code in NO_V2:
        detail = f"HTTP {head.code}: discovery needs Image API v2, which does not answer here"
        return Failed("api_version", detail, head.request_id)
    if head.code != 200:
        retry_after = head.first(b"retry-after") is not None
        return Failed(
            reason_for_status(head.code, retry_after), f"HTTP {head.code}", head.request_id
        )
    try:
        body = parse_json(answer.body)
    except ValueError:
        body = None
    documents = body.get("images") if isinstance(body, dict) else None
    if not isinstance(documents, list) or isinstance(body, ObjectWithDuplicates):
        return Failed("malformed", "the list of images does not parse as one", head.request_id)
    following = body.get("next") if isinstance(body, dict) else None
    if following is not None and not (isinstance(following, str) and _NEXT.fullmatch(following)):
        return Failed("malformed", "the list's next page cannot be asked for", head.request_id)
    return Page(tuple(_images(documents, properties)), following)


def listed(ask: Callable[[str], Page | Failed], starts: Iterable[str]) -> list[Image] | Failed:
    """Every image on these lists, each once, or why one of their pages is not there.

    ``ask`` gives the page at a path. A list that does not end is a failure.
    """
    images: dict[str, Image] = {}
    for start in starts:
        path: str | None = start
        asked: set[str] = set()
        while path is not None:
            if path in asked or len(asked) == MOST_PAGES:
                return Failed("malformed", f"the list of images has no end in {len(asked)} pages")
            asked.add(path)
            page = ask(path)
            if isinstance(page, Failed):
                return page
            images.update((image.id, image) for image in page.images)
            path = page.next_path
    return list(images.values())


def _path(entry: DiscoveryRule) -> str:
    """The list with all that the entry may match.

    ``member_status`` and ``visibility`` let in what others share or leave to everybody, see
    ``v2.batch_path``. Of hidden images there is another list, which is not asked for.
    """
    path = f"/v2/images?limit={PAGE_LIMIT}&member_status=all"
    path += f"&visibility={entry.visibility or 'all'}"
    for name, value in _filters(entry):
        longer = f"{path}&{quote(name, safe='')}={quote(value, safe='')}"
        path = longer if len(longer) <= LONGEST_PATH else path
    return path


def _filters(entry: DiscoveryRule) -> Iterator[tuple[str, str]]:
    if entry.owner is not None:
        yield "owner", entry.owner
    if len(entry.statuses) == 1:
        yield "status", entry.statuses[0]
    for tag in entry.tags:
        yield "tag", tag
    for name, value in entry.properties:
        if name not in NOT_ASKED_FOR:
            yield name, value


def _images(documents: list[object], properties: frozenset[str]) -> Iterator[Image]:
    for document in documents:
        image_id = document.get("id") if isinstance(document, dict) else None
        if isinstance(image_id, str) and _ID.fullmatch(image_id):
            image = image_from_document(document, image_id, properties)
            if isinstance(image, Image):
                yield image
