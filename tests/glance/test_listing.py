import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.glance.listing import MAX_REQUEST_LINE, ImageList, parse_list
from exporter.model.outcome import Failed
from exporter.transport.http1 import Response

REQUEST_ID = "req-0f2b1a7e-53c5-4c0e-9a43-3d1b8c7e9f10"
MALFORMED = Failed("malformed", "the response is not a list of images", REQUEST_ID)


def response(body: object, code: int = 200) -> Response:
    """Return a response with this body, written as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(code, [(b"x-openstack-request-id", REQUEST_ID.encode())], body=content)


@pytest.mark.parametrize("images", [[], [{"id": "x"}]])
def test_list_has_its_entries(images: list[dict[str, object]]) -> None:
    assert parse_list(response({"images": images})) == ImageList(images)


def test_ids_of_a_list_are_those_that_need_no_escape_in_a_path() -> None:
    """The server may be a broken or hostile one."""
    ids = ["a-1", "", "..", "a/b", "a b", "a\n", "x" * 256, 7, None]
    images = parse_list(response({"images": [*({"id": value} for value in ids), {}]}))
    assert isinstance(images, ImageList)
    assert images.image_ids == ("a-1",)


@pytest.mark.parametrize(
    "body",
    [
        b'{"images": ["x"]}',
        b'{"images": {}}',
        b'{"images": [], "images": [{"id": "x"}]}',
        b'{"versions": []}',
        b"[]",
        b"null",
        b"",
        b"<html>",
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_body_that_is_not_a_list_is_malformed(body: bytes) -> None:
    """A portal's page with status 200 proves nothing."""
    assert parse_list(response(body)) == MALFORMED


@pytest.mark.parametrize(
    ("code", "reason"), [(404, "rejected"), (403, "forbidden"), (503, "server_error")]
)
def test_other_status_code_fails_for_its_reason(code: int, reason: str) -> None:
    failed = parse_list(response(b'{"images": []}', code))
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.request_id) == (reason, REQUEST_ID)


def test_entries_that_are_not_objects_can_be_skipped() -> None:
    page = parse_list(response({"images": ["x", {"id": "y"}, None]}), skip_invalid_entries=True)
    assert page == ImageList([{"id": "y"}])


@pytest.mark.parametrize(
    ("link", "next_path"),
    [
        ("/v2/images?limit=2&marker=a", "/v2/images?limit=2&marker=a"),
        ("/v2/images?id=in%3Aa%2Cb&limit=1", "/v2/images?id=in:a,b&limit=1"),
        (f"/v2/images?x={'y' * MAX_REQUEST_LINE}", None),
        ("/v2/p1/images?limit=2&marker=a", "/v2/images?limit=2&marker=a"),
        ("/v2/a/b/images?limit=2", None),
        ("http://elsewhere/v2/images?limit=1", None),
        (5, None),
    ],
)
def test_list_is_cut_off_if_the_link_to_the_next_page_cannot_be_requested(
    link: object, next_path: str | None
) -> None:
    page = parse_list(response({"images": [], "next": link}))
    assert page == ImageList([], next_path, is_cut_off=next_path is None)


@pytest.mark.parametrize("body", [{"images": []}, {"images": [], "next": None}])
def test_last_page_is_not_cut_off(body: object) -> None:
    assert parse_list(response(body)) == ImageList([], None, is_cut_off=False)


@given(st.binary())
def test_any_body_is_parsed_without_an_exception(body: bytes) -> None:
    assert isinstance(parse_list(response(body)), ImageList | Failed)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_json_that_is_not_an_object_is_malformed(value: object) -> None:
    assert parse_list(response(value)) == MALFORMED
