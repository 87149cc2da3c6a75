import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.glance.capabilities import Capabilities
from exporter.glance.discovery_listing import (
    MAX_PAGES,
    MAX_PATH,
    ListedImages,
    fetch_images,
    fetch_listings,
    listing_paths,
    parse_page,
)
from exporter.glance.list_filters import LIST_FILTERS, ListFilters
from exporter.glance.listing import MAX_REQUEST_LINE
from exporter.model.discovery import DiscoveryRule
from exporter.model.image import Image
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline, Page, PageReply, RequestFacts
from exporter.simulator import SimulatedImage
from exporter.transport.http1 import parse_head

CURRENT, BEFORE_ALL, BEFORE_COMMUNITY = LIST_FILTERS
ALL_IMAGES = "/v2/images?limit=1000&member_status=all&visibility=all"
OLD_LISTING = "/v2/images?limit=1000&member_status=all"
GOLDEN = SimulatedImage("a", properties={"os_distro": "debian", "other": "x"}).v2_document()
PROPERTIES = frozenset({"os_distro"})
CUT_OFF = "malformed: the link to the next page of the list cannot be followed"
NOT_A_LIST = "malformed: the response is not a list of images"


def parse(body: object, code: int = 200) -> Page | Failed:
    """Parse a response with this body, written as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = parse_head(b"HTTP/1.1 %d X\r\nX-Openstack-Request-Id: none\r\n\r\n" % code)
    return parse_page(replace(head, body=content), PROPERTIES)


def image(image_id: str) -> Image:
    return Image("v2", image_id, "active")


# Paths


def test_listing_is_narrowed_by_everything_that_glance_can_filter() -> None:
    """Glance has no globs, so the name is matched by the rule."""
    rule = DiscoveryRule(
        "a*", ("x", "y"), "p", "public", ("active",), (("os_distro", "a&b=c d/ü"),), "alias"
    )
    (path,) = listing_paths([rule], CURRENT)
    assert path == (
        "/v2/images?limit=1000&member_status=all&visibility=public&owner=p&status=active&tag=x"
        "&tag=y&os_distro=a%26b%3Dc%20d%2F%C3%BC"
    )


def test_several_statuses_are_not_a_filter() -> None:
    assert listing_paths([DiscoveryRule(statuses=("active", "queued"))], CURRENT) == (ALL_IMAGES,)


@pytest.mark.parametrize("name", ["limit", "marker", "sort_key", "os_hidden", "size_min", "id"])
def test_property_named_like_a_query_parameter_is_not_a_filter(name: str) -> None:
    assert listing_paths([DiscoveryRule(properties=((name, "1"),))], CURRENT) == (ALL_IMAGES,)


def test_equal_listings_are_requested_once() -> None:
    tagged = DiscoveryRule(name="a", tags=("x",))
    rules = [tagged, DiscoveryRule(name="b", tags=("x",)), DiscoveryRule(owner="p")]
    assert len(listing_paths(rules, CURRENT)) == 2


def test_listing_of_all_images_replaces_the_others() -> None:
    rules = [DiscoveryRule(name="a", tags=("x",)), DiscoveryRule(name="b")]
    assert listing_paths(rules, CURRENT) == (ALL_IMAGES,)


@pytest.mark.parametrize(
    ("filters", "rules", "expected"),
    [
        (BEFORE_ALL, [DiscoveryRule()], (OLD_LISTING, f"{OLD_LISTING}&visibility=community")),
        (BEFORE_ALL, [DiscoveryRule(visibility="public")], (f"{OLD_LISTING}&visibility=public",)),
        (
            BEFORE_ALL,
            [DiscoveryRule(tags=("x",))],
            (f"{OLD_LISTING}&tag=x", f"{OLD_LISTING}&visibility=community&tag=x"),
        ),
        (
            BEFORE_ALL,
            [DiscoveryRule(visibility="community"), DiscoveryRule(tags=("x",)), DiscoveryRule()],
            (OLD_LISTING, f"{OLD_LISTING}&visibility=community"),
        ),
        (
            BEFORE_ALL,
            [DiscoveryRule(visibility="community"), DiscoveryRule(visibility="public")],
            (f"{OLD_LISTING}&visibility=community", f"{OLD_LISTING}&visibility=public"),
        ),
        (BEFORE_COMMUNITY, [DiscoveryRule(), DiscoveryRule(tags=("x",))], (OLD_LISTING,)),
    ],
)
def test_old_release_has_a_listing_of_its_own_for_community_images(
    filters: ListFilters, rules: list[DiscoveryRule], expected: tuple[str, ...]
) -> None:
    assert listing_paths(rules, filters) == expected


@given(
    st.lists(st.text(max_size=255), max_size=9),
    st.lists(st.tuples(st.text(max_size=255), st.text(max_size=255)), max_size=9),
)
def test_path_fits_into_a_request_line_and_has_only_filters_of_the_rule(
    tags: list[str], properties: list[tuple[str, str]]
) -> None:
    rules = [DiscoveryRule(tags=tuple(tags), properties=tuple(properties))]
    of_rule = {*(("tag", tag) for tag in tags), *properties}
    for filters in LIST_FILTERS:
        for path in listing_paths(rules, filters):
            assert len(path) <= MAX_PATH
            assert path.isascii()
            assert path.isprintable()
            parameters = parse_qsl(urlsplit(path).query, keep_blank_values=True, max_num_fields=30)
            assert set(parameters) <= of_rule | {
                ("limit", "1000"),
                ("member_status", "all"),
                *(("visibility", value) for value in filters.visibilities),
            }


# Pages


def test_page_has_its_images_and_the_path_of_the_next_page() -> None:
    page = parse({"images": [GOLDEN], "next": f"{ALL_IMAGES}&marker=a"})
    assert isinstance(page, Page)
    assert page.next_path == f"{ALL_IMAGES}&marker=a"
    (golden,) = page.images
    assert (golden.id, golden.name) == ("a", "cirros")
    assert golden.properties == (("os_distro", "debian"),), "only the requested property"
    assert parse({"images": []}) == Page((), None)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        "a",
        {},
        {"id": 1, "status": "active"},
        {"id": "b"},
        {"id": "b/../c", "status": "active"},
        {"id": "..", "status": "active"},
        {"id": "b\n", "status": "active"},
        {"id": "b", "status": "active", "size": -1},
    ],
)
def test_invalid_entry_is_skipped(entry: Any) -> None:
    page = parse({"images": [entry, GOLDEN]})
    assert isinstance(page, Page)
    assert [image.id for image in page.images] == ["a"]


@pytest.mark.parametrize(
    ("body", "code", "failure"),
    [
        (b"", 200, NOT_A_LIST),
        (b"<html>", 200, NOT_A_LIST),
        ([], 200, NOT_A_LIST),
        ({"images": {}}, 200, NOT_A_LIST),
        (b'{"images": [], "images": [1]}', 200, NOT_A_LIST),
        (
            b"",
            300,
            "api_version: HTTP 300: discovery needs Image API v2, which this endpoint lacks",
        ),
        (b"", 404, "rejected: HTTP 404"),
        (b"", 401, "unauthorized: HTTP 401"),
        (b"", 403, "forbidden: HTTP 403"),
        (b"", 429, "rate_limited: HTTP 429"),
        (b"", 500, "server_error: HTTP 500"),
    ],
)
def test_response_without_a_list_is_a_failure(body: object, code: int, failure: str) -> None:
    page = parse(body, code)
    assert isinstance(page, Failed)
    assert f"{page.reason}: {page.detail}" == failure


@pytest.mark.parametrize(
    "link",
    [
        1,
        "http://elsewhere/v2/images?a",
        "/v2/images?a\r\nb",
        f"/v2/images?x={'y' * MAX_REQUEST_LINE}",
    ],
)
def test_page_is_a_failure_if_the_next_page_cannot_be_requested(link: object) -> None:
    """Images on the missing page would look as if they no longer matched."""
    page = parse({"images": [], "next": link})
    assert isinstance(page, Failed)
    assert f"{page.reason}: {page.detail}" == CUT_OFF


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda x: {"images": x}))
def test_any_body_is_parsed_without_an_exception(body: object) -> None:
    assert isinstance(parse(body), Page | Failed)


# Walking over the pages


class FakePageClient:
    """Client that serves pages from a table; without one, pages that have no end.

    ``circle`` is the number of pages after which the links lead back to the first one.
    """

    def __init__(
        self, pages: dict[str, Page | Failed] | None = None, circle: int | None = None
    ) -> None:
        self.pages = pages
        self.circle = circle
        self.requests = 0
        self.list_filters = CURRENT
        self.capabilities = Capabilities()

    def page(self, path: str, deadline: Deadline, properties: frozenset[str]) -> PageReply:
        assert properties == PROPERTIES
        self.requests += 1
        facts = RequestFacts(deadline.end - 1.0, deadline.end, retry_after=7.0)
        if self.pages is not None:
            return PageReply(facts, self.pages[path])
        number = self.requests if self.circle is None else self.requests % self.circle
        return PageReply(facts, Page((image("a"),), str(number)))


def fetch(client: FakePageClient, *paths: str) -> ListedImages:
    return fetch_listings(client, paths, Deadline(10.0, 10.0), PROPERTIES)


def test_every_page_of_every_listing_is_fetched_and_each_image_returned_once() -> None:
    client = FakePageClient(
        {
            "1": Page((image("a"), image("b")), "2"),
            "2": Page((image("b"),), "3"),
            "3": Page((), None),
            "4": Page((image("c"),), None),
        }
    )
    assert fetch(client, "1", "4").images == (image("a"), image("b"), image("c"))


def test_one_failed_page_fails_the_listing_and_keeps_its_retry_after() -> None:
    failed = Failed("rate_limited", "HTTP 429")
    client = FakePageClient({"1": Page((image("a"),), "2"), "2": failed})
    assert fetch(client, "1") == ListedImages(failed, retry_at=17.0)


@pytest.mark.parametrize("circle", [1, 3, None], ids=["of one page", "of three", "without end"])
def test_endless_listing_is_a_failure(circle: int | None) -> None:
    client = FakePageClient(circle=circle)
    listed = fetch(client, "0")
    assert isinstance(listed.images, Failed)
    assert listed.images.reason == "malformed"
    assert client.requests == (circle or MAX_PAGES)


def test_listing_that_fails_for_another_reason_is_not_requested_again() -> None:
    failed = Failed("rejected", "HTTP 400")
    client = FakePageClient({ALL_IMAGES: failed})
    listed = fetch_images(client, [DiscoveryRule()], Deadline(10.0, 10.0), PROPERTIES)
    assert (listed.images, client.requests) == (failed, 1)


class ClientDuringARefusal:
    """Fails every page for another reason, while a request of another thread is refused."""

    def __init__(self) -> None:
        self.list_filters: ListFilters = CURRENT
        self.capabilities = Capabilities()
        self.pages = 0

    def page(self, path: str, deadline: Deadline, properties: frozenset[str]) -> PageReply:  # noqa: ARG002 - of PageClient
        self.pages += 1
        self.list_filters = BEFORE_ALL
        return PageReply(RequestFacts(0.0, 1.0, 60.0), Failed("server_error", "HTTP 503"))


def test_failure_for_another_reason_keeps_its_reason_and_retry_after() -> None:
    client = ClientDuringARefusal()
    listed = fetch_images(client, [DiscoveryRule()], Deadline(9.0, 9.0), frozenset())
    assert listed.images == Failed("server_error", "HTTP 503")
    assert (client.pages, listed.retry_at) == (1, 61.0)
