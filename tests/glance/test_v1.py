import pytest

from exporter.glance.v1 import image_path, may_describe, parse_image
from exporter.model.outcome import Failed, Found, ImageResult, NotFound
from exporter.transport.http1 import Response

ID = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
REQUEST_ID = "req-0f2b1a7e-53c5-4c0e-9a43-3d1b8c7e9f10"
ACTIVE = (b"x-image-meta-status", b"active")


def response(code: int, *headers: tuple[bytes, bytes]) -> Response:
    request_id = (b"x-openstack-request-id", REQUEST_ID.encode())
    return Response(code, [*headers, request_id])


def parse(code: int, *headers: tuple[bytes, bytes]) -> ImageResult:
    return parse_image(response(code, *headers), ID, frozenset())


def test_image_path_is_that_of_the_api_reference() -> None:
    assert image_path(ID) == f"/v1/images/{ID}"


def test_200_with_image_headers_is_an_image() -> None:
    result = parse(200, (b"x-image-meta-id", ID.encode()), ACTIVE)
    assert isinstance(result, Found)
    assert (result.image.id, result.image.status) == (ID, "active")
    assert result.request_id == REQUEST_ID


def test_404_is_not_found_and_nothing_more() -> None:
    assert parse(404) == NotFound(REQUEST_ID)


@pytest.mark.parametrize(
    ("code", "headers", "reason"),
    [
        (101, [], "rejected"),
        (204, [], "rejected"),
        (300, [], "api_version"),
        (302, [(b"location", b"/")], "rejected"),
        (400, [], "rejected"),
        (401, [], "unauthorized"),
        (403, [], "forbidden"),
        (405, [], "api_version"),
        (407, [], "rejected"),
        (410, [], "api_version"),
        (413, [], "rejected"),
        (413, [(b"retry-after", b"1")], "rate_limited"),
        (414, [], "rejected"),
        (429, [], "rate_limited"),
        (500, [], "server_error"),
        (501, [], "api_version"),
        (503, [(b"retry-after", b"1")], "server_error"),
        (200, [], "malformed"),
        (200, [(b"x-image-meta-id", b"another"), ACTIVE], "malformed"),
    ],
)
def test_other_response_fails_for_its_reason(
    code: int, headers: list[tuple[bytes, bytes]], reason: str
) -> None:
    result = parse(code, *headers)
    assert isinstance(result, Failed)
    assert (result.reason, result.request_id) == (reason, REQUEST_ID)


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ([], True),
        ([(b"x-image-meta-id", ID.encode())], True),
        ([(b"x-image-meta-id", b"other")], False),
    ],
)
def test_response_that_names_another_image_is_recognised(
    headers: list[tuple[bytes, bytes]], may: bool
) -> None:
    assert may_describe(response(200, *headers), ID) is may
