import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.glance.v2 import (
    LINE_LIMIT,
    LIST_PATH,
    PAGE_LIMIT,
    batch_path,
    batches,
    image_path,
    is_list,
    needs_split,
    read_batch,
    read_image,
    read_list_failure,
)
from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, NotFound, Reading, Reason
from exporter.model.replies import Batch
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.simulator.image import OWNER
from exporter.transport.http1 import parse_head
from exporter.transport.response import Response, ResponseHead
from tests.simulator.wire import wire

RECORDINGS = Path(__file__).parents[1] / "recordings" / "v2"
ROW = re.compile(r"\| (?P<file>\S+\.http) \| (?P<code>\d{3}) \| `(?P<method>\S+) (?P<path>.+?)`")
REQUEST_ID = "req-b5cb1d8e-0e2d-4e3d-9f2c-0d6f2a1c9f10"
ID, OTHER, THIRD = (f"87ee5d5b-599c-4ce0-a5cf-08557f78c2c{number}" for number in range(3))
UUIDS = [f"87ee5d5b-599c-4ce0-a5cf-{number:012x}" for number in range(1000)]

REASONS: dict[int, Reason] = {
    300: "api_version",
    400: "rejected",
    401: "unauthorized",
    403: "forbidden",
    405: "api_version",
    431: "rejected",
    500: "server_error",
}


class Recording:
    """One recorded answer and what was asked."""

    def __init__(self, row: re.Match[str]) -> None:
        self.file, self.code, self.path = row["file"], int(row["code"]), row["path"]
        head, _, body = (RECORDINGS / self.file).read_bytes().partition(b"\r\n\r\n")
        self.answer = Response(parse_head(head), body, sent_at=0.0, received_at=1.0)
        self.is_list = self.code == 200 and b'{"images": [' in body
        self.is_image = self.code == 200 and b'"self": "/v2/images/' in body and not self.is_list

    @property
    def image_id(self) -> str:
        """The ID that was asked for."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def reading(self) -> Reading:
        """What the exporter makes of it where it asked for an image."""
        return read_image(self.answer, self.image_id, frozenset())


ALL = [Recording(row) for row in ROW.finditer((RECORDINGS / "index.md").read_text())]
IMAGES = [each for each in ALL if each.is_image]
LISTS = [each for each in ALL if each.is_list]
OTHERS = [each for each in ALL if each.code == 200 and not each.is_image and not each.is_list]
REST = [each for each in ALL if each.code != 200]


def named(recording: Recording) -> str:
    """The test's name."""
    return recording.file


def answer(body: bytes | str | object, code: int = 200, *headers: tuple[bytes, bytes]) -> Response:
    """An answer with this body, written as JSON unless it is text."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    fields = [*headers, (b"x-openstack-request-id", REQUEST_ID.encode())]
    return Response(
        ResponseHead(code, fields, keeps_alive=True), body, sent_at=0.0, received_at=1.0
    )


def document(image_id: str, **fields: object) -> dict[str, object]:
    """The least that describes an active image, and these fields."""
    return {"id": image_id, "status": "active"} | fields


def found(image_id: str) -> Found:
    """What is read from ``document``."""
    return Found(Image("v2", image_id, "active"), REQUEST_ID)


def listed(*images: object, **further: object) -> Response:
    """A list that Glance could have given."""
    ends = {"first": "/v2/images", "schema": "/v2/schemas/images"}
    return answer({"images": list(images)} | ends | further)


# One image


def test_paths_are_those_of_the_api() -> None:
    """An image and the list are asked for by the paths of the v2 reference."""
    assert image_path(ID) == f"/v2/images/{ID}"
    assert LIST_PATH == "/v2/images?limit=1"


@pytest.mark.parametrize("recording", IMAGES, ids=named)
def test_a_recorded_image_is_found(recording: Recording) -> None:
    """The image is the one that was asked for, and exists."""
    reading = recording.reading
    assert isinstance(reading, Found)
    assert reading.image.exists
    assert (reading.image.api, reading.image.id) == ("v2", recording.image_id)
    assert reading.image.status == json.loads(recording.answer.body)["status"]
    assert reading.request_id == recording.answer.head.request_id != ""


@pytest.mark.parametrize("recording", REST, ids=named)
def test_every_other_recording_has_the_outcome_of_the_table(recording: Recording) -> None:
    """A 404 waits for evidence, any other code is a failure of its reason."""
    request_id = recording.answer.head.request_id
    if recording.code == 404:
        assert recording.reading == NotFound(request_id)
    else:
        expected = Failed(REASONS[recording.code], f"HTTP {recording.code}", request_id)
        assert recording.reading == expected
        assert read_batch(recording.answer, [ID], None) == expected
        assert read_list_failure(recording.answer) == expected


@pytest.mark.parametrize("recording", OTHERS + LISTS, ids=named)
def test_a_recorded_200_without_an_image_is_malformed(recording: Recording) -> None:
    """Members, versions and lists say nothing about the image."""
    reading = recording.reading
    assert isinstance(reading, Failed)
    assert reading.reason == "malformed"
    assert reading.detail == "id is missing; status is missing"


def test_every_recording_is_tested() -> None:
    """Each file is listed in the index and falls under one of the tests."""
    assert {each.file for each in ALL} == {path.name for path in RECORDINGS.glob("*.http")}
    assert len(IMAGES) >= 20
    assert len(LISTS) >= 15
    assert {each.file for each in OTHERS} == {"members.http", "versions.http"}
    assert {each.code for each in REST} == {404, *REASONS}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the answer is no JSON"),
        (b"<html>", "the answer is no JSON"),
        (b'{"id": "\xff"}', "the answer is no JSON"),
        (b"null", "the answer is no JSON object"),
        (f'["{ID}"]', "the answer is no JSON object"),
        (document(OTHER), f"id is another image's: '{OTHER}'"),
        (document(ID, size="5"), "size is not a whole number of 0 or more: '5'"),
    ],
)
def test_a_200_that_does_not_describe_the_image_is_malformed(body: object, detail: str) -> None:
    """What comes in place of the image is never read as the image."""
    assert read_image(answer(body), ID, None) == Failed("malformed", detail, REQUEST_ID)


@pytest.mark.parametrize(
    ("code", "headers", "reason"),
    [
        (201, [], "rejected"),
        (302, [(b"location", b"/")], "rejected"),
        (410, [], "api_version"),
        (413, [], "rejected"),
        (413, [(b"retry-after", b"5")], "rate_limited"),
        (414, [], "rejected"),
        (429, [], "rate_limited"),
        (503, [(b"retry-after", b"5")], "server_error"),
    ],
)
def test_a_code_means_the_same_of_an_image_and_of_a_list(
    code: int, headers: list[tuple[bytes, bytes]], reason: Reason
) -> None:
    """The body of an answer that is not 200 is not looked at."""
    failed = Failed(reason, f"HTTP {code}", REQUEST_ID)
    assert read_image(answer(document(ID), code, *headers), ID, None) == failed
    whole = answer({"images": [document(ID)]}, code, *headers)
    assert read_batch(whole, [ID], None) == failed
    assert read_list_failure(whole) == failed
    assert not is_list(whole)


def test_a_list_that_is_not_found_is_no_image_that_is_gone() -> None:
    """404 to a list says nothing about any image."""
    assert read_batch(answer(b"", 404), [ID], None) == Failed("rejected", "HTTP 404", REQUEST_ID)


def test_properties_are_those_asked_for() -> None:
    """Only the properties on the list are kept, of an image alone or in a list."""
    whole = document(ID, os_distro="debian", os_version="12")
    wanted = frozenset({"os_distro"})
    held = (("os_distro", "debian"),)
    image = Image("v2", ID, "active", properties=held, requested_properties=wanted)
    assert read_image(answer(whole), ID, wanted) == Found(image, REQUEST_ID)
    batch = read_batch(listed(whole), [ID], wanted)
    assert batch == Batch({ID: Found(image, REQUEST_ID)})


# Batches of images


@pytest.mark.parametrize("recording", LISTS, ids=named)
def test_every_image_of_a_recorded_list_is_found(recording: Recording) -> None:
    """Each entry is read as the answer about that image alone is."""
    body = json.loads(recording.answer.body)
    batch = read_batch(recording.answer, [each["id"] for each in body["images"]], None)
    assert isinstance(batch, Batch)
    assert batch.readings == {
        each["id"]: read_image(
            Response(recording.answer.head, json.dumps(each).encode(), 0.0, 1.0), each["id"], None
        )
        for each in body["images"]
    }
    assert all(isinstance(reading, Found) for reading in batch.readings.values())
    assert is_list(recording.answer)
    assert not needs_split(recording.answer)


def ids_in(name: str) -> set[str]:
    """The IDs of a recorded list."""
    body = (RECORDINGS / f"{name}.http").read_bytes().partition(b"\r\n\r\n")[2]
    return {each["id"] for each in json.loads(body)["images"]}


def test_each_parameter_of_the_query_adds_what_its_docstring_says() -> None:
    """Community images of others need visibility=all, hidden ones os_hidden, the rest nothing."""
    hidden = {"c54a1e55-f4ef-4ccd-a109-c5a9acc79af4", "e0145fe0-0ead-4f90-a668-5ef4f47bf754"}
    community = "e85523f3-593f-4f57-93f2-e4dbdcb7d602"
    rejected = "1d332e37-a217-4ccf-bcfe-0a1f707d8333"
    plain = ids_in("in-all-kinds")
    assert ids_in("in-all-kinds-visibility-all") == plain | {community}
    assert ids_in("in-all-kinds-hidden") == hidden
    assert plain & (hidden | {community, rejected}) == set()
    assert rejected in {each.image_id for each in IMAGES}


def test_the_path_of_a_batch_asks_for_all_kinds() -> None:
    """Hidden images take a query of their own; the rest is the same."""
    assert batch_path([ID, OTHER], hidden=False, limit=500) == (
        f"/v2/images?limit=500&visibility=all&member_status=all&id=in:{ID},{OTHER}"
    )
    assert batch_path([ID], hidden=True, limit=1000) == (
        f"/v2/images?limit=1000&visibility=all&member_status=all&os_hidden=true&id=in:{ID}"
    )


def test_images_not_asked_for_are_ignored() -> None:
    """An entry counts by its ID, which must be one of those asked for, to the letter."""
    entries = [document(OTHER), document(ID.upper()), {"status": "active"}, {"id": 5}, {"id": [ID]}]
    assert read_batch(listed(*entries, document(ID)), [ID, THIRD], None) == Batch({ID: found(ID)})


def test_one_bad_image_spoils_no_other() -> None:
    """An entry that cannot be trusted is malformed by itself."""
    bad = "size is not a whole number of 0 or more: -1"
    batch = read_batch(listed(document(ID), document(OTHER, size=-1)), [ID, OTHER], None)
    assert batch == Batch({ID: found(ID), OTHER: Failed("malformed", bad, REQUEST_ID)})


@pytest.mark.parametrize("again", [{"status": "queued"}, {"size": 5}, {"size": -1}])
def test_an_image_listed_twice_with_different_contents_is_malformed(
    again: dict[str, object],
) -> None:
    """Neither of two answers is chosen, whichever comes first or once more."""
    one, other = document(ID), document(ID) | again
    expected = Failed("malformed", "the image is listed twice with different contents", REQUEST_ID)
    for order in ([one, other], [other, one], [one, other, one], [one, one, other]):
        assert read_batch(listed(*order), [ID], None) == Batch({ID: expected})


def test_an_image_listed_twice_with_the_same_contents_is_read() -> None:
    """As long as both say the same there is no doubt."""
    assert read_batch(listed(document(ID), document(ID)), [ID], None) == Batch({ID: found(ID)})


NO_LISTS = {
    "nothing": b"",
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
"""Bodies that are no list of images."""


@pytest.mark.parametrize("body", NO_LISTS.values(), ids=NO_LISTS)
def test_a_body_that_is_no_list_is_malformed_and_asks_for_smaller_ones(body: object) -> None:
    """It proves nothing, says nothing about any image, and is a reason to split."""
    malformed = Failed("malformed", "the list of images does not parse as one", REQUEST_ID)
    assert read_batch(answer(body), [ID], None) == malformed
    assert read_list_failure(answer(body)) == malformed
    assert not is_list(answer(body))
    assert needs_split(answer(body))


def test_an_empty_list_is_a_list() -> None:
    """It proves the API, and says that none of the images is listed."""
    assert is_list(listed())
    assert not needs_split(listed())
    assert read_batch(listed(), [ID], None) == Batch({})


@pytest.mark.parametrize(
    ("code", "splits"),
    [
        *((code, True) for code in (400, 414, 431)),
        *((code, False) for code in (204, 300, 302, 401, 403, 404, 405, 410, 413, 429)),
        *((code, False) for code in (500, 502, 503, 504)),
    ],
)
def test_only_an_answer_to_a_long_question_is_a_reason_to_split(code: int, splits: bool) -> None:
    """Fewer images at once cannot help against anything else."""
    assert needs_split(answer(b"", code)) is splits


@pytest.mark.parametrize(
    ("following", "path"),
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
        (f"/v2/images?x={'y' * LINE_LIMIT}", None),
    ],
)
def test_the_next_page_is_a_path_of_the_same_list(following: object, path: str | None) -> None:
    """What leads elsewhere, or could end the request line, is not followed."""
    batch = read_batch(listed(document(ID), next=following), [ID, OTHER], None)
    assert batch == Batch({ID: found(ID)}, path)


def test_no_page_is_asked_for_that_cannot_tell_more() -> None:
    """The list of all that was asked for is over, and so is one that has become empty."""
    following = f"/v2/images?marker={ID}"
    assert read_batch(listed(document(ID), next=following), [ID], None) == Batch({ID: found(ID)})
    assert read_batch(listed(next=following), [ID], None) == Batch({})


# How many at once


def line(ids: tuple[str, ...], prefix_length: int, limit: int = PAGE_LIMIT) -> str:
    """The longest request line that a batch may lead to: a further page of hidden images."""
    path = f"{batch_path(ids, hidden=True, limit=limit)}&marker={max(ids, key=len)}"
    return f"GET {'p' * prefix_length}{path} HTTP/1.1"


def test_a_thousand_images_take_ten_lists() -> None:
    """With both queries that is 20 requests, and a longer prefix makes it no more."""
    for prefix_length in (0, len("/image"), len("http://image.cloud.example.org:9292/image")):
        found = batches(UUIDS, prefix_length=prefix_length)
        assert len(found) == 10
        assert [each for batch in found for each in batch] == UUIDS


@pytest.mark.parametrize("prefix_length", range(len(UUIDS[0]) + 1))
def test_a_batch_is_as_large_as_its_line_allows(prefix_length: int) -> None:
    """One image more would make the line too long, wherever the limit falls within an ID."""
    first, second, *_ = batches(UUIDS, prefix_length=prefix_length)
    assert len(line(first, prefix_length)) <= LINE_LIMIT
    assert len(line((*first, second[0]), prefix_length)) > LINE_LIMIT


def test_a_batch_is_no_larger_than_a_page() -> None:
    """Short IDs meet the page's limit before the line's."""
    ids = [f"i{number}" for number in range(250)]
    assert [len(each) for each in batches(ids, prefix_length=0, page_limit=100)] == [100, 100, 50]


def test_what_cannot_stand_in_a_list_is_in_none() -> None:
    """Commas and quotes are the list's own; so are left out empty IDs and such as fit no line."""
    ids = ["a,b", 'a"b', "", "a b", "ä", "a\n", "x" * 256, "b", "a", "b"]
    assert batches(ids, prefix_length=0) == (("b", "a"),)
    assert batches(["a"], prefix_length=LINE_LIMIT) == ()
    assert batches([], prefix_length=0) == ()


@given(
    st.lists(st.text("abcDEF019._-", min_size=1, max_size=255) | st.uuids().map(str)),
    st.integers(0, 3500),
    st.integers(1, 1000),
)
def test_every_image_is_in_one_batch_and_every_line_within_the_limit(
    ids: list[str], prefix_length: int, page_limit: int
) -> None:
    """Whatever the IDs, the prefix and the page; what fits no line is the only exception."""
    found = batches(ids, prefix_length=prefix_length, page_limit=page_limit)
    for batch in found:
        assert 1 <= len(batch) <= page_limit
        assert len(line(batch, prefix_length, page_limit)) <= LINE_LIMIT
    inside = [each for batch in found for each in batch]
    assert len(inside) == len(set(inside))
    longest = max(ids, key=len, default="")
    for left_out in set(ids) - set(inside):
        alone = line((left_out,), prefix_length, page_limit)
        assert len(alone) + len(longest) - len(left_out) > LINE_LIMIT


def test_glances_next_page_of_a_full_batch_is_within_the_limit() -> None:
    """Glance escapes commas, which would make the line of the next page too long."""
    first = batches(UUIDS, prefix_length=6)[0]
    query = urlsplit(batch_path(first, hidden=True, limit=PAGE_LIMIT)).query
    pairs = {key: values[-1] for key, values in parse_qs(query).items()} | {"marker": first[0]}
    following = "&".join(f"{key}={quote(value, safe='')}" for key, value in pairs.items())
    assert len(following) > LINE_LIMIT
    batch = read_batch(listed(document(ID), next=f"/v2/images?{following}"), [ID, OTHER], None)
    assert isinstance(batch, Batch)
    assert batch.next_path is not None
    assert parse_qs(urlsplit(batch.next_path).query) == parse_qs(following)
    assert len(f"GET /image{batch.next_path} HTTP/1.1") <= LINE_LIMIT


def ask(service: SimulatedImageService, path: str) -> Response:
    """The answer to GET of a service."""
    with wire(service) as client:
        client.send("GET", path, "Connection: close")
        head, _, body = client.read_all().partition(b"\r\n\r\n")
    return Response(parse_head(head), body, sent_at=0.0, received_at=1.0)


def test_two_queries_find_all_that_can_be_listed_and_the_rest_is_found_by_id() -> None:
    """Hidden, community and shared images are listed; killed ones are known by their ID alone."""
    others: dict[str, Any] = {"owner": "another", "visibility": "shared"}
    images = {
        "own": SimulatedImage(UUIDS[0]),
        "hidden": SimulatedImage(UUIDS[1], hidden=True),
        "community": SimulatedImage(UUIDS[2], owner="another", visibility="community"),
        "rejected": SimulatedImage(UUIDS[3], members={OWNER: "rejected"}, **others),
        "killed": SimulatedImage(UUIDS[4], status="killed"),
        "not-ours": SimulatedImage(UUIDS[5], **others),
    }
    ids = [image.id for image in images.values()]
    with SimulatedImageService(images.values(), page_limit=2) as service:
        found: dict[str, Found | Failed] = {}
        for hidden in (False, True):
            following: str | None = batch_path(ids, hidden=hidden, limit=PAGE_LIMIT)
            while following:
                batch = read_batch(ask(service, following), ids, None)
                assert isinstance(batch, Batch)
                found |= batch.readings
                following = batch.next_path
        alone = {
            name: read_image(ask(service, image_path(image.id)), image.id, None)
            for name, image in images.items()
        }
    listed = {name for name, image in images.items() if isinstance(found.get(image.id), Found)}
    assert listed == {"own", "hidden", "community", "rejected"}
    shown = {name for name, reading in alone.items() if isinstance(reading, Found)}
    assert shown == listed | {"killed"}


# Any body at all

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
def test_any_body_is_read_without_an_exception_and_says_only_what_was_asked(
    body: bytes | object,
) -> None:
    """Images found are among those asked for, and only a list is read as one."""
    whole = answer(body)
    batch = read_batch(whole, [ID, OTHER], None)
    assert isinstance(batch, Batch) is is_list(whole) is not needs_split(whole)
    alone = read_image(whole, ID, None)
    assert not isinstance(alone, NotFound)
    assert not isinstance(alone, Found) or alone.image.id == ID
    if isinstance(batch, Batch):
        assert batch.readings.keys() <= {ID, OTHER}
        for image_id, reading in batch.readings.items():
            assert not isinstance(reading, Found) or reading.image.id == image_id
