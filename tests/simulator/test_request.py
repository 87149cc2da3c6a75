import pytest

from exporter.simulator.request import ReceivedRequest


def request(target: str = "/", *lines: str, version: str = "HTTP/1.1") -> ReceivedRequest:
    """A parsed HEAD."""
    return ReceivedRequest.parse("\r\n".join([f"HEAD {target} {version}", *lines]).encode())


def test_headers_are_lower_case_and_joined() -> None:
    """Names lose their case, values their surrounding space, repeated ones are joined."""
    headers = request("/", "X-Auth-Token:  t ", "accept: a", "Accept: b").headers
    assert headers == {"x-auth-token": "t", "accept": "a, b"}


@pytest.mark.parametrize("head", [b"", b"HEAD /", b"a b c d"])
def test_what_is_no_request_is_refused(head: bytes) -> None:
    """A first line that is not of three words raises ValueError."""
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
def test_target_tells_image_from_list(target: str, image_id: str | None, is_list: bool) -> None:
    """A target is for one image, for the list, or for neither."""
    asked = request(target)
    assert (asked.image_id, asked.is_list) == (image_id, is_list)


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
def test_connection_closes_when_it_must(line: str, version: str, closes: bool) -> None:
    """The connection ends where the client asks for it, and before an unread body."""
    assert request("/", line, version=version).closes is closes


def test_line_is_as_it_arrived() -> None:
    """The request line is whole, for its length counts."""
    assert request("/v2/images?id=in:a,b", "A: b").line == "HEAD /v2/images?id=in:a,b HTTP/1.1"
