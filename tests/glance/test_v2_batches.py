import json
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.glance.list_filters import LIST_FILTERS
from exporter.glance.listing import MAX_REQUEST_LINE, PAGE_LIMIT
from exporter.glance.v2 import batch_path, parse_batch, split_into_batches
from exporter.model.replies import Batch
from exporter.transport.http1 import Response

UUIDS = [f"87ee5d5b-599c-4ce0-a5cf-{number:012x}" for number in range(1000)]


def longest_line(ids: tuple[str, ...], prefix_length: int, limit: int = PAGE_LIMIT) -> str:
    """Return the longest request line of a batch: that of a further page of its second list."""
    filters = max((filters.second_list for filters in LIST_FILTERS), key=len)
    path = f"{batch_path(ids, filters=filters, limit=limit)}&marker={max(ids, key=len)}"
    return f"GET {'p' * prefix_length}{path} HTTP/1.1"


@pytest.mark.parametrize("prefix", ["", "/image", "http://image.cloud.example.org:9292/image"])
def test_a_thousand_images_fit_into_ten_batches(prefix: str) -> None:
    batches = split_into_batches(UUIDS, prefix_length=len(prefix))
    assert len(batches) == 10
    assert [image_id for batch in batches for image_id in batch] == UUIDS


@pytest.mark.parametrize("prefix_length", range(len(UUIDS[0]) + 1))
def test_batch_is_as_large_as_the_request_line_allows(prefix_length: int) -> None:
    """One more image would exceed the limit, wherever in an ID the limit falls."""
    first, second, *_ = split_into_batches(UUIDS, prefix_length=prefix_length)
    assert len(longest_line(first, prefix_length)) <= MAX_REQUEST_LINE
    assert len(longest_line((*first, second[0]), prefix_length)) > MAX_REQUEST_LINE


def test_batch_is_not_larger_than_a_page() -> None:
    ids = [f"i{number}" for number in range(250)]
    batches = split_into_batches(ids, prefix_length=0, page_limit=100)
    assert [len(batch) for batch in batches] == [100, 100, 50]


def test_ids_that_are_invalid_in_a_list_are_in_no_batch() -> None:
    """Commas and quotes have a meaning in a list; an empty ID would match nothing."""
    ids = ["a,b", 'a"b', "", "a b", "ä", "a\n", "x" * 256, "b", "a", "b"]
    assert split_into_batches(ids, prefix_length=0) == (("b", "a"),)


def test_id_that_is_too_long_for_a_request_line_is_in_no_batch() -> None:
    assert split_into_batches(["a"], prefix_length=MAX_REQUEST_LINE) == ()
    assert split_into_batches([], prefix_length=0) == ()


@given(
    st.lists(st.text("abcDEF019._-", min_size=1, max_size=255) | st.uuids().map(str)),
    st.integers(0, 3500),
    st.integers(1, 1000),
)
def test_every_id_that_fits_is_in_one_batch_and_every_request_line_within_the_limit(
    ids: list[str], prefix_length: int, page_limit: int
) -> None:
    batches = split_into_batches(ids, prefix_length=prefix_length, page_limit=page_limit)
    for batch in batches:
        assert 1 <= len(batch) <= page_limit
        assert len(longest_line(batch, prefix_length, page_limit)) <= MAX_REQUEST_LINE
    batched = [image_id for batch in batches for image_id in batch]
    assert len(batched) == len(set(batched))
    longest_id = max(ids, key=len, default="")
    for image_id in set(ids) - set(batched):
        alone = longest_line((image_id,), prefix_length, page_limit)
        assert len(alone) + len(longest_id) - len(image_id) > MAX_REQUEST_LINE


def test_next_page_of_a_full_batch_is_within_the_limit() -> None:
    """Glance escapes commas, which would make the request line of the next page too long."""
    first = split_into_batches(UUIDS, prefix_length=6)[0]
    query = urlsplit(batch_path(first, filters=LIST_FILTERS[0].second_list, limit=PAGE_LIMIT)).query
    pairs = {key: values[-1] for key, values in parse_qs(query).items()} | {"marker": first[0]}
    escaped = "&".join(f"{key}={quote(value, safe='')}" for key, value in pairs.items())
    assert len(escaped) > MAX_REQUEST_LINE
    documents = [{"id": first[0], "status": "active"}]
    body = json.dumps({"images": documents, "next": f"/v2/images?{escaped}"}).encode()
    batch = parse_batch(Response(200, [], body=body), first, None)
    assert isinstance(batch, Batch)
    assert batch.next_path is not None
    assert parse_qs(urlsplit(batch.next_path).query) == parse_qs(escaped)
    assert len(f"GET /image{batch.next_path} HTTP/1.1") <= MAX_REQUEST_LINE
