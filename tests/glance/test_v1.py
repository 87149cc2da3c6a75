import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.glance.v1 import image_path, is_about, is_list, read_image, read_list_failure
from exporter.model.outcome import Failed, Found, NotFound, Reading
from exporter.model.v1_headers import Field
from exporter.transport.response import Response, ResponseHead

ID = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
REQUEST_ID = "req-0f2b1a7e-53c5-4c0e-9a43-3d1b8c7e9f10"
STATUS = (b"x-image-meta-status", b"active")


def answer(code: int, *fields: Field, body: bytes = b"") -> Response:
    """An answer with a request ID."""
    head = ResponseHead(
        code, [*fields, (b"x-openstack-request-id", REQUEST_ID.encode())], keeps_alive=True
    )
    return Response(head, body, 1.0, 2.0)


def read(code: int, *fields: Field) -> Reading:
    """What an answer to HEAD says."""
    return read_image(answer(code, *fields), ID, frozenset())


def test_a_200_is_an_image() -> None:
    """With its request ID, for the log."""
    reading = read(200, (b"x-image-meta-id", ID.encode()), STATUS)
    assert isinstance(reading, Found)
    assert (reading.image.id, reading.image.status) == (ID, "active")
    assert reading.request_id == REQUEST_ID


def test_a_404_is_only_not_found() -> None:
    """Nothing is decided by it alone."""
    assert read(404) == NotFound(REQUEST_ID)


@pytest.mark.parametrize(
    ("code", "fields", "reason"),
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
        (200, [(b"x-image-meta-id", b"another"), STATUS], "malformed"),
    ],
)
def test_other_answers_fail_for_their_reason(code: int, fields: list[Field], reason: str) -> None:
    """By the table of outcomes, with the request ID."""
    reading = read(code, *fields)
    assert isinstance(reading, Failed)
    assert (reading.reason, reading.request_id) == (reason, REQUEST_ID)


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        (b'{"images": []}', True),
        (b'{"images": [{"id": "x"}]}', True),
        (b'{"images": ["x"]}', False),
        (b'{"images": {}}', False),
        (b'{"versions": []}', False),
        (b"[]", False),
        (b"null", False),
        (b"", False),
        (b"<html>", False),
        (b"\xff", False),
        (b"[" * 100_000, False),
    ],
)
def test_a_list_is_one_only_if_it_parses_as_one(body: bytes, listed: bool) -> None:
    """A portal's page with 200 proves nothing."""
    assert is_list(answer(200, body=body)) is listed
    assert not is_list(answer(404, body=body))
    if not listed:
        assert read_list_failure(answer(200, body=body)).reason == "malformed"


@given(st.binary())
def test_any_body_is_a_list_or_none(body: bytes) -> None:
    """Whatever a server sends as its list, nothing is raised."""
    assert is_list(answer(200, body=body)) in {True, False}


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_other_json_is_no_list(value: object) -> None:
    """Only an object with images in it is."""
    assert not is_list(answer(200, body=json.dumps(value).encode()))


@pytest.mark.parametrize(
    ("code", "reason"), [(404, "rejected"), (403, "forbidden"), (503, "server_error")]
)
def test_why_a_list_is_no_proof(code: int, reason: str) -> None:
    """A 404 to the list is a refusal like any other."""
    assert read_list_failure(answer(code)).reason == reason


def test_an_answer_about_another_image_is_known() -> None:
    """One that names none may be about this."""
    assert is_about(answer(404).head, ID)
    assert is_about(answer(200, (b"x-image-meta-id", ID.encode())).head, ID)
    assert not is_about(answer(200, (b"x-image-meta-id", b"other")).head, ID)


def test_the_path_is_that_of_api_v1() -> None:
    """As in the API's reference."""
    assert image_path(ID) == f"/v1/images/{ID}"
