import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.glance.list_filters import LIST_FILTERS
from exporter.glance.listing import MAX_REQUEST_LINE, PAGE_LIMIT, ImageList, parse_list
from exporter.glance.v2 import (
    LIST_PATH,
    batch_path,
    image_path,
    is_splittable,
    parse_batch,
    parse_image,
)
from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, ImageResult, NotFound, Reason
from exporter.model.replies import Batch
from exporter.simulator import Release, SimulatedImage, SimulatedImageService
from exporter.simulator.image import OWNER
from exporter.transport.http1 import Response, parse_head
from tests.simulator.wire import wire
from tests.support.recordings import FOLDERS, Recording, recordings

REQUEST_ID = "req-b5cb1d8e-0e2d-4e3d-9f2c-0d6f2a1c9f10"
ID, OTHER, THIRD = (f"87ee5d5b-599c-4ce0-a5cf-08557f78c2c{number}" for number in range(3))
NOT_A_LIST = Failed("malformed", "the response is not a list of images", REQUEST_ID)

REASONS: dict[int, Reason] = {
    300: "api_version",
    400: "rejected",
    401: "unauthorized",
    403: "forbidden",
    405: "api_version",
    431: "rejected",
    500: "server_error",
}


class ParsedRecording:
    """A recorded response of a release, and its meaning."""

    def __init__(self, release: Release, recording: Recording) -> None:
        self.name = f"{release.name.lower()}-{recording.name}"
        self.image_id = recording.target.rstrip("/").rpartition("/")[2]
        self.response = replace(parse_head(recording.head), body=recording.body)
        self.code = self.response.code
        self.is_list = self.code == 200 and b'{"images": [' in recording.body
        self.is_image = (
            self.code == 200 and b'"self": "/v2/images/' in recording.body and not self.is_list
        )

    @property
    def result(self) -> ImageResult:
        """The result of parsing the response as that to a request for an image."""
        return parse_image(self.response, self.image_id, frozenset())


GLANCE_33 = recordings(Release.GLANCE_33)
ALL = [
    ParsedRecording(release, recording)
    for release in Release
    for recording in recordings(release).values()
]
IMAGES = [recording for recording in ALL if recording.is_image]
LISTS = [recording for recording in ALL if recording.is_list]
OTHER_200 = [
    recording
    for recording in ALL
    if recording.code == 200 and not recording.is_image and not recording.is_list
]
NOT_200 = [recording for recording in ALL if recording.code != 200]


def name_of(recording: ParsedRecording) -> str:
    return recording.name


def response(
    body: bytes | str | object, code: int = 200, *headers: tuple[bytes, bytes]
) -> Response:
    """Return a response with this body, written as JSON unless it is text."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    fields = [*headers, (b"x-openstack-request-id", REQUEST_ID.encode())]
    return Response(code, fields, body=body)


def document(image_id: str, **fields: object) -> dict[str, object]:
    """Return the smallest document of an active image, with these fields in addition."""
    return {"id": image_id, "status": "active"} | fields


def found(image_id: str) -> Found:
    """Return the result of ``document``."""
    return Found(Image("v2", image_id, "active"), REQUEST_ID)


def image_list(*documents: object, **fields: object) -> Response:
    """Return a list as Glance sends it."""
    links = {"first": "/v2/images", "schema": "/v2/schemas/images"}
    return response({"images": list(documents)} | links | fields)


# One image


def test_paths_are_those_of_the_api_reference() -> None:
    assert image_path(ID) == f"/v2/images/{ID}"
    assert LIST_PATH == "/v2/images?limit=1"


@pytest.mark.parametrize("recording", IMAGES, ids=name_of)
def test_recorded_image_is_found(recording: ParsedRecording) -> None:
    result = recording.result
    assert isinstance(result, Found)
    assert result.image.exists
    assert (result.image.api, result.image.id) == ("v2", recording.image_id)
    assert result.image.status == json.loads(recording.response.body)["status"]
    assert result.request_id == recording.response.request_id != ""


@pytest.mark.parametrize("recording", NOT_200, ids=name_of)
def test_other_recorded_status_has_the_outcome_of_the_table(recording: ParsedRecording) -> None:
    request_id = recording.response.request_id
    if recording.code == 404:
        assert recording.result == NotFound(request_id)
    else:
        expected = Failed(REASONS[recording.code], f"HTTP {recording.code}", request_id)
        assert recording.result == expected
        assert parse_batch(recording.response, [ID], None) == expected
        assert parse_list(recording.response) == expected


@pytest.mark.parametrize("recording", OTHER_200 + LISTS, ids=name_of)
def test_recorded_200_without_an_image_is_malformed(recording: ParsedRecording) -> None:
    """Members, versions and lists do not describe an image."""
    result = recording.result
    assert isinstance(result, Failed)
    assert result.reason == "malformed"
    assert result.detail == "id is missing; status is missing"


def test_every_recording_is_tested() -> None:
    assert len(ALL) == sum(len([*folder.glob("*.http")]) for folder in FOLDERS.values())
    assert len(IMAGES) >= 20
    assert len(LISTS) >= 15
    assert {recording.name for recording in OTHER_200} == {
        "glance_15-versions",
        "glance_33-members",
        "glance_33-versions",
    }
    assert {recording.code for recording in NOT_200} == {404, *REASONS}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the response is not JSON"),
        (b"<html>", "the response is not JSON"),
        (b'{"id": "\xff"}', "the response is not JSON"),
        (b"null", "the response is not a JSON object"),
        (f'["{ID}"]', "the response is not a JSON object"),
        (document(OTHER), f"id belongs to another image: '{OTHER}'"),
        (document(ID, size="5"), "size is not a whole number of 0 or more: '5'"),
    ],
)
def test_200_that_does_not_describe_the_image_is_malformed(body: object, detail: str) -> None:
    assert parse_image(response(body), ID, None) == Failed("malformed", detail, REQUEST_ID)


@pytest.mark.parametrize(
    ("code", "headers", "reason"),
    [
        (201, [], "rejected"),
        (302, [], "rejected"),
        (410, [], "api_version"),
        (413, [], "rejected"),
        (413, [(b"retry-after", b"5")], "rate_limited"),
        (414, [], "rejected"),
        (429, [], "rate_limited"),
        (503, [(b"retry-after", b"5")], "server_error"),
    ],
)
def test_status_code_means_the_same_for_an_image_and_for_a_list(
    code: int, headers: list[tuple[bytes, bytes]], reason: Reason
) -> None:
    """The body of a response that is not 200 is ignored."""
    failed = Failed(reason, f"HTTP {code}", REQUEST_ID)
    assert parse_image(response(document(ID), code, *headers), ID, None) == failed
    listed = response({"images": [document(ID)]}, code, *headers)
    assert parse_batch(listed, [ID], None) == failed
    assert parse_list(listed) == failed


def test_404_for_a_list_proves_nothing_about_its_images() -> None:
    failed = Failed("rejected", "HTTP 404", REQUEST_ID)
    assert parse_batch(response(b"", 404), [ID], None) == failed


def test_only_requested_properties_are_kept() -> None:
    body = document(ID, os_distro="debian", os_version="12")
    requested = frozenset({"os_distro"})
    expected = parse_image(response(body), ID, requested)
    assert isinstance(expected, Found)
    assert expected.image.properties == (("os_distro", "debian"),)
    assert expected.image.requested_properties == requested
    assert parse_batch(image_list(body), [ID], requested) == Batch({ID: expected})


# Batches of images


@pytest.mark.parametrize("recording", LISTS, ids=name_of)
def test_every_image_of_a_recorded_list_is_found(recording: ParsedRecording) -> None:
    """Each entry is parsed like the response to a request for that image alone."""
    documents = json.loads(recording.response.body)["images"]
    ids = [document["id"] for document in documents]
    batch = parse_batch(recording.response, ids, None)
    assert isinstance(batch, Batch)
    for image_id, entry in zip(ids, documents, strict=True):
        alone = replace(recording.response, body=json.dumps(entry).encode())
        assert batch.results[image_id] == parse_image(alone, image_id, None)
        assert isinstance(batch.results[image_id], Found)
    assert len(batch.results) == len(ids)
    assert isinstance(parse_list(recording.response), ImageList)
    assert not is_splittable(recording.response)


def recorded_ids(name: str) -> set[str]:
    """Return the IDs of a recorded list."""
    return {document["id"] for document in GLANCE_33[name].document["images"]}


def test_query_parameters_add_the_images_that_the_docstring_of_batch_path_names() -> None:
    """Community images of others need visibility=all, hidden ones os_hidden=true."""
    hidden = {"c54a1e55-f4ef-4ccd-a109-c5a9acc79af4", "e0145fe0-0ead-4f90-a668-5ef4f47bf754"}
    community = "e85523f3-593f-4f57-93f2-e4dbdcb7d602"
    rejected = "1d332e37-a217-4ccf-bcfe-0a1f707d8333"
    plain = recorded_ids("in-all-kinds")
    assert recorded_ids("in-all-kinds-visibility-all") == plain | {community}
    assert recorded_ids("in-all-kinds-hidden") == hidden
    assert plain & (hidden | {community, rejected}) == set()
    assert rejected in {recording.image_id for recording in IMAGES}


def test_batch_path_has_the_filters_of_a_list() -> None:
    current, before_all, _ = LIST_FILTERS
    assert batch_path([ID, OTHER], filters=current.first_list, limit=500) == (
        f"/v2/images?limit=500&visibility=all&member_status=all&id=in:{ID},{OTHER}"
    )
    assert batch_path([ID], filters=current.second_list, limit=1000) == (
        f"/v2/images?limit=1000&visibility=all&os_hidden=true&member_status=all&id=in:{ID}"
    )
    assert batch_path([ID], filters=before_all.first_list, limit=1000) == (
        f"/v2/images?limit=1000&member_status=all&id=in:{ID}"
    )


def test_images_that_were_not_requested_are_ignored() -> None:
    """The ID must be equal to the letter."""
    others = [document(OTHER), document(ID.upper()), {"status": "active"}, {"id": 5}, {"id": [ID]}]
    batch = parse_batch(image_list(*others, document(ID)), [ID, THIRD], None)
    assert batch == Batch({ID: found(ID)})


def test_malformed_image_does_not_affect_the_others_in_a_list() -> None:
    detail = "size is not a whole number of 0 or more: -1"
    batch = parse_batch(image_list(document(ID), document(OTHER, size=-1)), [ID, OTHER], None)
    assert batch == Batch({ID: found(ID), OTHER: Failed("malformed", detail, REQUEST_ID)})


@pytest.mark.parametrize("difference", [{"status": "queued"}, {"size": 5}, {"size": -1}])
def test_image_listed_twice_with_different_contents_is_malformed(
    difference: dict[str, object],
) -> None:
    one, other = document(ID), document(ID) | difference
    failed = Failed("malformed", "the image is listed twice with different contents", REQUEST_ID)
    for order in ([one, other], [other, one], [one, other, one], [one, one, other]):
        assert parse_batch(image_list(*order), [ID], None) == Batch({ID: failed})


def test_image_listed_twice_with_equal_contents_is_found() -> None:
    listed = image_list(document(ID), document(ID))
    assert parse_batch(listed, [ID], None) == Batch({ID: found(ID)})


NO_LISTS = {
    "empty": b"",
    "html": b"<html>",
    "cut-off": f'{{"images": [{{"id": "{ID}"',
    "not-utf8": b'{"images": [], "first": "\xff"}',
    "array": [document(ID)],
    "no-images": {"first": "/v2/images"},
    "images-object": {"images": document(ID)},
    "images-null": {"images": None},
    "images-of-text": {"images": [document(ID), ID]},
    "images-twice": f'{{"images": [], "images": [{{"id": "{ID}"}}]}}',
    "next-twice": '{"images": [], "next": "/v2/images?a=b", "next": null}',
}
"""Bodies that are not a list of images."""


@pytest.mark.parametrize("body", NO_LISTS.values(), ids=NO_LISTS)
def test_body_that_is_not_a_list_is_malformed_and_splittable(body: object) -> None:
    """It proves nothing and says nothing about any image."""
    assert parse_batch(response(body), [ID], None) == NOT_A_LIST
    assert parse_list(response(body)) == NOT_A_LIST
    assert is_splittable(response(body))


def test_empty_list_is_a_list() -> None:
    """It proves that the API responds, and has none of the images."""
    assert parse_list(image_list()) == ImageList([])
    assert not is_splittable(image_list())
    assert parse_batch(image_list(), [ID], None) == Batch({})


@pytest.mark.parametrize(
    ("code", "splittable"),
    [
        *((code, True) for code in (400, 414, 431)),
        *((code, False) for code in (204, 300, 302, 401, 403, 404, 405, 410, 413, 429)),
        *((code, False) for code in (500, 502, 503, 504)),
    ],
)
def test_only_responses_to_a_long_request_are_splittable(code: int, splittable: bool) -> None:
    assert is_splittable(response(b"", code)) is splittable


@pytest.mark.parametrize(
    ("link", "path"),
    [
        (f"/v2/images?limit=2&marker={ID}", f"/v2/images?limit=2&marker={ID}"),
        (f"/v2/images?id=in%3A{ID}%2C{OTHER}&limit=1", f"/v2/images?id=in:{ID},{OTHER}&limit=1"),
        ("/v2/images?name=a+b%22&x=", "/v2/images?name=a+b%22&x="),
        (None, None),
        (5, None),
        (["/v2/images?limit=1"], None),
        ("", None),
        ("/v2/images", None),
        ("/v2/images?", None),
        ("/v1/images?limit=1", None),
        ("/image/v2/images?limit=1", None),
        ("/v2/images/../tasks?limit=1", None),
        ("http://elsewhere/v2/images?limit=1", None),
        ("//elsewhere/v2/images?limit=1", None),
        ("/v2/images?limit=1 HTTP/1.1", None),
        ("/v2/images?limit=1\r\nX-Forged: yes", None),
        ("/v2/images?limit=1\n", None),
        ("/v2/images?limit=1#x", None),
        ("/v2/images?name=é", None),
        (f"/v2/images?x={'y' * MAX_REQUEST_LINE}", None),
    ],
)
def test_next_page_is_followed_only_to_a_path_of_the_same_list(
    link: object, path: str | None
) -> None:
    """The images that a batch lacks are requested one by one, so a cut-off batch is no failure."""
    batch = parse_batch(image_list(document(ID), next=link), [ID, OTHER], None)
    assert batch == Batch({ID: found(ID)}, path)


def test_complete_or_empty_page_has_no_next_page() -> None:
    link = f"/v2/images?marker={ID}"
    assert parse_batch(image_list(document(ID), next=link), [ID], None) == Batch({ID: found(ID)})
    assert parse_batch(image_list(next=link), [ID], None) == Batch({})


FILTERS = dict(zip((Release.GLANCE_33, Release.GLANCE_15), LIST_FILTERS, strict=False))
"""The filters of lists that each release accepts."""


def get(service: SimulatedImageService, path: str) -> Response:
    with wire(service) as client:
        client.send("GET", path, "Connection: close")
        head, _, body = client.read_all().partition(b"\r\n\r\n")
    return replace(parse_head(head), body=body)


def test_lists_have_every_kind_of_image_but_killed_ones_which_are_found_by_id(
    release: Release,
) -> None:
    others: dict[str, Any] = {"owner": "another", "visibility": "shared"}
    images = {
        "own": SimulatedImage("image-0"),
        "hidden": SimulatedImage("image-1", hidden=True),
        "community": SimulatedImage("image-2", owner="another", visibility="community"),
        "rejected": SimulatedImage("image-3", members={OWNER: "rejected"}, **others),
        "killed": SimulatedImage("image-4", status="killed"),
        "not-ours": SimulatedImage("image-5", **others),
    }
    ids = [image.id for image in images.values()]
    filters = FILTERS[release]
    with SimulatedImageService(images.values(), page_limit=2, release=release) as service:
        listed: dict[str, Found | Failed] = {}
        for list_filters in (filters.first_list, filters.second_list):
            path: str | None = batch_path(ids, filters=list_filters, limit=PAGE_LIMIT)
            while path:
                batch = parse_batch(get(service, path), ids, None)
                assert isinstance(batch, Batch)
                listed |= batch.results
                path = batch.next_path
        by_id = {
            name: parse_image(get(service, image_path(image.id)), image.id, None)
            for name, image in images.items()
        }
    in_lists = {name for name, image in images.items() if isinstance(listed.get(image.id), Found)}
    assert in_lists == {"own", "hidden", "community", "rejected"}
    found_by_id = {name for name, result in by_id.items() if isinstance(result, Found)}
    assert found_by_id == in_lists | {"killed"}


# Any body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([ID, OTHER, "active"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "status", "x"]), inner),
    max_leaves=10,
)
ENTRIES = st.fixed_dictionaries(
    {"id": st.sampled_from([ID, OTHER, THIRD]) | JSON, "status": st.just("active") | JSON},
    optional={"size": st.integers(), "name": JSON},
)
PAGES = st.fixed_dictionaries(
    {"images": st.lists(ENTRIES) | JSON}, optional={"next": st.text() | JSON}
)


@given(st.binary() | PAGES | JSON)
def test_any_body_is_parsed_without_an_exception_and_only_for_requested_images(
    body: bytes | object,
) -> None:
    listed = response(body)
    batch = parse_batch(listed, [ID, OTHER], None)
    is_list = isinstance(parse_list(listed), ImageList)
    assert isinstance(batch, Batch) is is_list is not is_splittable(listed)
    alone = parse_image(listed, ID, None)
    assert not isinstance(alone, NotFound)
    assert not isinstance(alone, Found) or alone.image.id == ID
    if isinstance(batch, Batch):
        assert batch.results.keys() <= {ID, OTHER}
        for image_id, result in batch.results.items():
            assert not isinstance(result, Found) or result.image.id == image_id
