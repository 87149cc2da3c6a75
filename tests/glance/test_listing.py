"""The list of all images: what is asked, page by page, and what is not believed."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.glance.listing import (
    LONGEST_PATH,
    MOST_PAGES,
    listed,
    paths,
    read_page,
)
from exporter.model.discovery import DiscoveryRule
from exporter.model.image import Image
from exporter.model.outcome import Failed
from exporter.model.replies import Page
from exporter.simulator import SimulatedImage
from exporter.transport.http1 import parse_head
from exporter.transport.response import Response

ALL = "/v2/images?limit=1000&member_status=all&visibility=all"
GOLDEN = SimulatedImage("a", properties={"os_distro": "debian", "other": "x"}).v2_document()


def answer(body: object, code: int = 200) -> Response:
    """An answer with this body, as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = parse_head(b"HTTP/1.1 %d X\r\nX-Openstack-Request-Id: none\r\n\r\n" % code)
    return Response(head, content, 0.0, 1.0)


def read(body: object, code: int = 200) -> Page | Failed:
    """What such an answer says."""
    return read_page(answer(body, code), frozenset({"os_distro"}))


def refused(body: object, code: int = 200) -> str:
    """Why such an answer is no page."""
    failed = read(body, code)
    assert isinstance(failed, Failed)
    return f"{failed.reason}: {failed.detail}"


def test_a_list_is_narrowed_by_what_glance_filters() -> None:
    """Names are matched here: Glance knows no globs. Several statuses are, too."""
    entry = DiscoveryRule(
        "a*", ("x", "y"), "p", "public", ("active",), (("os_distro", "a&b=c d/ü"),), "alias"
    )
    (path,) = paths([entry])
    assert path == (
        "/v2/images?limit=1000&member_status=all&visibility=public&owner=p&status=active&tag=x"
        "&tag=y&os_distro=a%26b%3Dc%20d%2F%C3%BC"
    )
    assert paths([DiscoveryRule(statuses=("active", "queued"))]) == (ALL,)


@pytest.mark.parametrize("name", ["limit", "marker", "sort_key", "os_hidden", "size_min", "id"])
def test_a_property_named_like_a_parameter_is_not_asked_for(name: str) -> None:
    """It would mean something else to Glance; what matches is decided here."""
    assert paths([DiscoveryRule(properties=((name, "1"),))]) == (ALL,)


def test_the_same_list_is_asked_for_once() -> None:
    """And a list of everything makes all others needless."""
    tagged = DiscoveryRule(name="a", tags=("x",))
    assert len(paths([tagged, DiscoveryRule(name="b", tags=("x",)), DiscoveryRule(owner="p")])) == 2
    assert paths([tagged, DiscoveryRule(name="b")]) == (ALL,)


@given(
    st.lists(st.text(max_size=255), max_size=9),
    st.lists(st.tuples(st.text(max_size=255), st.text(max_size=255)), max_size=9),
)
def test_a_path_is_short_and_says_what_is_meant(
    tags: list[str], properties: list[tuple[str, str]]
) -> None:
    """Whatever the texts are, nothing is asked for but what was given, within a request line."""
    (path,) = paths([DiscoveryRule(tags=tuple(tags), properties=tuple(properties))])
    assert len(path) <= LONGEST_PATH
    assert path.isascii()
    assert path.isprintable()
    asked = parse_qsl(urlsplit(path).query, keep_blank_values=True, max_num_fields=30)
    allowed = {*(("tag", tag) for tag in tags), *properties}
    assert set(asked) <= allowed | {
        ("limit", "1000"),
        ("member_status", "all"),
        ("visibility", "all"),
    }


def test_a_page_has_its_images_and_the_way_on() -> None:
    """Of the properties only those that are asked for are kept."""
    page = read({"images": [GOLDEN], "next": f"{ALL}&marker=a"})
    assert isinstance(page, Page)
    assert page.next_path == f"{ALL}&marker=a"
    (image,) = page.images
    assert (image.id, image.name, image.properties) == ("a", "cirros", (("os_distro", "debian"),))
    assert read({"images": []}) == Page((), None)


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
def test_an_entry_that_is_no_image_is_left_out(entry: Any) -> None:
    """The others are still there."""
    page = read({"images": [entry, GOLDEN]})
    assert isinstance(page, Page)
    assert [image.id for image in page.images] == ["a"]


NO_LIST = "malformed: the list of images does not parse as one"


@pytest.mark.parametrize(
    ("body", "code", "why"),
    [
        (b"", 200, NO_LIST),
        (b"<html>", 200, NO_LIST),
        ([], 200, NO_LIST),
        ({"images": {}}, 200, NO_LIST),
        (b'{"images": [], "images": [1]}', 200, NO_LIST),
        ({"images": [], "next": 1}, 200, "malformed: the list's next page cannot be asked for"),
        (
            {"images": [], "next": "http://elsewhere/v2/images?a"},
            200,
            "malformed: the list's next page cannot be asked for",
        ),
        (
            {"images": [], "next": "/v2/images?a\r\nb"},
            200,
            "malformed: the list's next page cannot be asked for",
        ),
        (
            b"",
            300,
            "api_version: HTTP 300: discovery needs Image API v2, which does not answer here",
        ),
        (b"", 404, "rejected: HTTP 404"),
        (b"", 401, "unauthorized: HTTP 401"),
        (b"", 403, "forbidden: HTTP 403"),
        (b"", 429, "rate_limited: HTTP 429"),
        (b"", 500, "server_error: HTTP 500"),
    ],
)
def test_what_is_no_whole_list_is_a_failure(body: object, code: int, why: str) -> None:
    """A page that cannot be gone on from is one too: more images may follow."""
    assert refused(body, code) == why


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda x: {"images": x}))
def test_no_body_is_an_error(body: object) -> None:
    """Whatever comes is a page or a failure."""
    assert isinstance(read(body), Page | Failed)


def image(image_id: str) -> Image:
    """An image."""
    return Image("v2", image_id, "active")


def from_table(table: dict[str, Page | Failed]) -> Callable[[str], Page | Failed]:
    """Asks a table."""
    return table.__getitem__


def test_pages_are_followed_to_the_end_of_each_list() -> None:
    """An image that stands on two pages is one."""
    pages: dict[str, Page | Failed] = {
        "1": Page((image("a"), image("b")), "2"),
        "2": Page((image("b"),), "3"),
        "3": Page((), None),
        "4": Page((image("c"),), None),
    }
    assert listed(from_table(pages), ["1", "4"]) == [image("a"), image("b"), image("c")]


def test_one_page_that_fails_is_all_that_fails() -> None:
    """What was listed before is not all there is."""
    failed = Failed("timeout", "x")
    pages: dict[str, Page | Failed] = {"1": Page((image("a"),), "2"), "2": failed}
    assert listed(from_table(pages), ["1"]) is failed


@pytest.mark.parametrize("length", [1, 3, None], ids=["of one page", "of three", "without end"])
def test_a_list_without_end_is_a_failure(length: int | None) -> None:
    """A circle is left when it closes, and a spiral when it gets too long."""
    asked = []

    def ask(path: str) -> Page:
        asked.append(path)
        following = len(asked) if length is None else len(asked) % length
        return Page((image("a"),), str(following))

    failed = listed(ask, ["0"])
    assert isinstance(failed, Failed)
    assert failed.reason == "malformed"
    assert len(asked) == (length or MOST_PAGES)
