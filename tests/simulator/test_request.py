import pytest

from exporter.simulator.request import ReceivedRequest


def request(target: str = "/", *lines: str, version: str = "HTTP/1.1") -> ReceivedRequest:
    """Parse a HEAD request."""
    return ReceivedRequest.parse("\r\n".join([f"HEAD {target} {version}", *lines]).encode())


def test_header_names_are_lower_case_and_repeated_values_joined() -> None:
    headers = request("/", "X-Auth-Token:  t ", "accept: a", "Accept: b").headers
    assert headers == {"x-auth-token": "t", "accept": "a, b"}


@pytest.mark.parametrize("head", [b"", b"HEAD /", b"a b c d"])
def test_invalid_request_line_is_rejected(head: bytes) -> None:
    with pytest.raises(ValueError, match="unpack"):
        ReceivedRequest.parse(head)


@pytest.mark.parametrize(
    ("target", "image_id", "is_list"),
    [
        ("/v1/images/abc", "abc", False),
        ("/image/v1/images/abc?x=1", "abc", False),
        ("/v2/images/abc", "abc", False),
        ("/v1/images/abc/", None, False),
        ("/v1/images/abc/members", None, False),
        ("/v1/images", None, True),
        ("/v1/images?limit=1", None, True),
        ("/v1/images/detail?limit=1", None, True),
        ("/v1/images/", None, False),
        ("/", None, False),
    ],
)
def test_target_is_an_image_a_list_or_neither(
    target: str, image_id: str | None, is_list: bool
) -> None:
    parsed = request(target)
    assert (parsed.image_id, parsed.is_list) == (image_id, is_list)


@pytest.mark.parametrize(
    ("line", "version", "closes"),
    [
        ("A: b", "HTTP/1.1", False),
        ("Connection: Close", "HTTP/1.1", True),
        ("Connection: keep-alive", "HTTP/1.0", False),
        ("A: b", "HTTP/1.0", True),
        ("Content-Length: 0", "HTTP/1.1", False),
        ("Content-Length: 3", "HTTP/1.1", True),
        ("Transfer-Encoding: chunked", "HTTP/1.1", True),
    ],
)
def test_connection_closes_if_requested_or_with_a_body(
    line: str, version: str, closes: bool
) -> None:
    assert request("/", line, version=version).closes is closes


def test_request_line_is_unchanged() -> None:
    assert request("/v2/images?id=in:a,b", "A: b").line == "HEAD /v2/images?id=in:a,b HTTP/1.1"
