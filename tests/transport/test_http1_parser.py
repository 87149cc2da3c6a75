import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.transport.http1 import MAX_FIELDS, MalformedHead, Response, parse_head

OK = b"HTTP/1.1 200 OK"
REQUEST_ID = "req-0f2b1a7e-53c5-4c0e-9a43-3d1b8c7e9f10"
TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
LATIN = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)


def test_fields_keep_their_order_and_get_lower_case_names() -> None:
    head = parse_head(OK + b"\r\nX-Image-Meta-Name: a: b \r\nX-IMAGE-META-SIZE:\t16")
    assert head.code == 200
    assert head.headers == [(b"x-image-meta-name", b"a: b"), (b"x-image-meta-size", b"16")]


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 20",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 600 No",
        b"HTTP/2 200 OK",
        b"HTTP/1.1  200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.1 200 O\nK",
        b" HTTP/1.1 200 OK",
    ],
)
def test_invalid_status_line_is_malformed(first: bytes) -> None:
    with pytest.raises(MalformedHead, match="not HTTP/1"):
        parse_head(first + b"\r\nX-Image-Meta-Status: active")


def test_reason_phrase_is_optional() -> None:
    assert [parse_head(b"HTTP/1.0 503 ").code, parse_head(b"HTTP/1.1 503").code] == [503, 503]


def test_at_most_1000_fields_are_accepted() -> None:
    lines = [b"X-Image-Meta-Property-%d: x" % number for number in range(MAX_FIELDS)]
    assert len(parse_head(b"\r\n".join([OK, *lines])).headers) == 1000
    with pytest.raises(MalformedHead, match="more than 1000 headers"):
        parse_head(b"\r\n".join([OK, *lines, b"One: more"]))


def test_bare_line_feed_is_part_of_the_value() -> None:
    """It neither ends the line nor hides the headers after it."""
    head = parse_head(OK + b"\r\nX-Image-Meta-Name: a\nX-Evil: 1\r\nX-Image-Meta-Status: active")
    assert head.first(b"x-image-meta-name") == b"a\nX-Evil: 1"
    assert head.first(b"x-image-meta-status") == b"active"


@pytest.mark.parametrize(
    "line", [b"no colon", b": no name", b"a b: c", b"", b"\xff: x", b" fold: x"]
)
def test_line_that_is_not_a_header_has_no_name(line: bytes) -> None:
    """It is kept: the header before it may have contained the line break."""
    assert parse_head(OK + b"\r\n" + line).headers == [(b"", line)]


def test_property_name_may_contain_any_character() -> None:
    """Glance sends the keys of properties unchanged, including spaces."""
    head = parse_head(OK + b"\r\nX-Image-Meta-Property-My Key: x")
    assert head.headers == [(b"x-image-meta-property-my key", b"x")]


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close", False),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive", True),
    ],
)
def test_keep_alive_follows_version_and_connection_header(head: bytes, keeps: bool) -> None:
    assert parse_head(head).keeps_alive is keeps


@pytest.mark.parametrize(
    ("value", "request_id"),
    [
        (REQUEST_ID, REQUEST_ID),
        ("", ""),
        ("req-short", ""),
        (REQUEST_ID.upper(), ""),
        (REQUEST_ID + '"} 1', ""),
        ("req-" + "é" * 18, ""),
    ],
)
def test_request_id_in_another_format_is_ignored(value: str, request_id: str) -> None:
    """It is written to logs and exemplars."""
    assert parse_head(OK + f"\r\nX-Openstack-Request-Id: {value}".encode()).request_id == request_id
    assert parse_head(OK).request_id == ""


@given(st.binary())
def test_any_bytes_are_a_head_or_malformed(raw: bytes) -> None:
    for candidate in (raw, OK + b"\r\n" + raw):
        try:
            head = parse_head(candidate)
        except MalformedHead:
            continue
        assert isinstance(head, Response)
        assert len(head.headers) == candidate.count(b"\r\n")


@given(st.lists(st.tuples(TOKENS, LATIN), max_size=20))
def test_serialized_fields_are_parsed_back(fields: list[tuple[str, str]]) -> None:
    lines = [f"{name}: {value}".encode("latin-1") for name, value in fields]
    expected = [(name.encode(), value.encode("latin-1").strip(b" \t")) for name, value in fields]
    assert parse_head(b"\r\n".join([OK, *lines])).headers == expected
