"""Listings of the images that discovery rules may match, by Image API v2.

v2 is used even if images are polled through v1: lists of v1 have no tags, and only contain public
images and images of the caller's project.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from exporter.glance.capabilities import Capabilities
from exporter.glance.list_filters import ListFilters
from exporter.glance.listing import PAGE_LIMIT, REQUESTABLE_ID, parse_list
from exporter.model.discovery import DiscoveryRule
from exporter.model.image import Image
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline, Page, PageReply
from exporter.model.responses.v2_fields import SCHEMA_KEYS, image_from_document
from exporter.transport.http1 import Response

MAX_PAGES = 200
"""Pages per listing. A faulty server may send pages without end."""

MAX_PATH = 3000
"""Bytes of a path: with a marker, the request line stays below ``listing.MAX_REQUEST_LINE``."""

NO_V2_CODES = frozenset({300, 405, 410, 501})
"""Status codes of an endpoint without API v2."""

QUERY_PARAMETERS = SCHEMA_KEYS | {
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
"""Names that mean something other than a custom property in a query."""


class PageClient(Protocol):
    """Client that requests one page of a listing; implemented by ``ImageClient``."""

    @property
    def capabilities(self) -> Capabilities:
        """Capabilities of the endpoint."""
        ...

    @property
    def list_filters(self) -> ListFilters:
        """The filters of lists that the service has not refused."""
        ...

    def page(self, path: str, deadline: Deadline, properties: frozenset[str]) -> PageReply:
        """Request one page."""
        ...


@dataclass(frozen=True, slots=True)
class ListedImages:
    """The images of all requested listings, or the reason why one page is missing.

    ``retry_at`` is the monotonic time until which the service forbids requests (Retry-After), and
    ``is_unavailable`` is true if it did so with 503.
    """

    images: tuple[Image, ...] | Failed
    retry_at: float | None = None
    is_unavailable: bool = False


def listing_paths(rules: Iterable[DiscoveryRule], filters: ListFilters) -> tuple[str, ...]:
    """Return the paths of listings that together contain every image that any rule may match.

    Each rule narrows its listings by the criteria that Glance can filter by. The caller applies
    ``DiscoveryRule.matches`` to the images. If some listings contain all images, no other is
    needed.
    """
    all_images = _paths(DiscoveryRule(), filters)
    unique_paths = dict.fromkeys(path for rule in rules for path in _paths(rule, filters))
    return all_images if unique_paths.keys() >= set(all_images) else tuple(unique_paths)


def parse_page(response: Response, properties: frozenset[str]) -> Page | Failed:
    """Parse one page of a listing; keep only the custom properties in ``properties``.

    An entry that does not describe an image, or whose ID cannot be requested, is left out. A next
    page that cannot be requested is a failure, because the listing would be incomplete.
    """
    if response.code in NO_V2_CODES:
        detail = f"HTTP {response.code}: discovery needs Image API v2, which this endpoint lacks"
        return Failed("api_version", detail, response.request_id)
    page = parse_list(response, skip_invalid_entries=True)
    if isinstance(page, Failed):
        return page
    if page.is_cut_off:
        detail = "the link to the next page of the list cannot be followed"
        return Failed("malformed", detail, response.request_id)
    return Page(tuple(_images(page.documents, properties)), page.next_path)


def fetch_images(
    client: PageClient,
    rules: Sequence[DiscoveryRule],
    deadline: Deadline,
    properties: frozenset[str],
) -> ListedImages:
    """Request the listings of these rules and return their images.

    If the service refuses a parameter, all listings are requested again without it.
    """
    filters = client.list_filters
    paths = _accepted_paths(client, rules)
    # An image whose visibility changes between two listings may be in neither of them.
    requested = (*paths, *paths[:-1]) if len(filters.listings) > 1 else paths
    listed = fetch_listings(client, requested, deadline, properties)
    is_refused = isinstance(listed.images, Failed) and listed.images.reason == "rejected"
    if is_refused and _accepted_paths(client, rules) != paths:
        return fetch_images(client, rules, deadline, properties)
    return listed


def fetch_listings(
    client: PageClient, paths: Iterable[str], deadline: Deadline, properties: frozenset[str]
) -> ListedImages:
    """Request every page of these listings and return their images without duplicates."""
    images: dict[str, Image] = {}
    for first_path in paths:
        path: str | None = first_path
        requested: set[str] = set()
        while path is not None:
            if path in requested or len(requested) == MAX_PAGES:
                detail = f"the list of images did not end within {len(requested)} pages"
                return ListedImages(Failed("malformed", detail))
            requested.add(path)
            reply = client.page(path, deadline, properties)
            if isinstance(reply.page, Failed):
                facts = reply.facts
                return ListedImages(reply.page, facts.retry_at, facts.is_unavailable)
            images.update((image.id, image) for image in reply.page.images)
            path = reply.page.next_path
    return ListedImages(tuple(images.values()))


def _accepted_paths(client: PageClient, rules: Sequence[DiscoveryRule]) -> tuple[str, ...]:
    """Return the paths of the listings without parameters that the service has refused.

    Without a criterion a listing has more images, and ``DiscoveryRule.matches`` applies it.
    """
    paths = listing_paths(rules, client.list_filters)
    return tuple(dict.fromkeys(map(client.capabilities.accepted_path, paths)))


def _paths(rule: DiscoveryRule, filters: ListFilters) -> tuple[str, ...]:
    """Return the paths of listings that together have every image that the rule may match.

    ``member_status`` and ``visibility`` include shared and community images, see
    ``v2.batch_path``. Hidden images would need another listing and are never discovered.
    """
    listings = (f"&visibility={rule.visibility}",) if rule.visibility else filters.listings
    path = f"/v2/images?limit={PAGE_LIMIT}&member_status=all"
    return tuple(_narrowed(path + listing, rule) for listing in listings)


def _narrowed(path: str, rule: DiscoveryRule) -> str:
    for name, value in _filters(rule):
        longer = f"{path}&{quote(name, safe='')}={quote(value, safe='')}"
        path = longer if len(longer) <= MAX_PATH else path
    return path


def _filters(rule: DiscoveryRule) -> Iterator[tuple[str, str]]:
    if rule.owner is not None:
        yield "owner", rule.owner
    if len(rule.statuses) == 1:
        yield "status", rule.statuses[0]
    for tag in rule.tags:
        yield "tag", tag
    for name, value in rule.properties:
        if name not in QUERY_PARAMETERS:
            yield name, value


def _images(documents: Iterable[dict[str, object]], properties: frozenset[str]) -> Iterator[Image]:
    for document in documents:
        image_id = document.get("id")
        if isinstance(image_id, str) and REQUESTABLE_ID.fullmatch(image_id):
            image = image_from_document(document, image_id, properties)
            if isinstance(image, Image):
                yield image
