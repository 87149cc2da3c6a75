import re
from pathlib import Path

import pytest

from exporter.simulator.response import (
    SimulatedResponse,
    error_response,
    line_too_long_response,
    raw_response,
    reason_phrase,
)

RECORDINGS = Path(__file__).parents[1] / "recordings" / "v1"
CHALLENGE = {"Www-Authenticate": "Keystone uri='http://127.0.0.1:15000'"}
PLAIN = {"Content-Type": "text/plain; charset=UTF-8"}


def without_request_headers(raw: bytes) -> bytes:
    """Remove the date and the request ID from a response."""
    raw = re.sub(rb"\r\nX-Openstack-Request-Id: req-[0-9a-f-]{36}\r\n", b"\r\nRequest\r\n", raw)
    return re.sub(rb"\r\nDate: [^\r]* GMT\r\n", b"\r\nDate\r\n", raw)


@pytest.mark.parametrize(
    ("name", "status", "method", "detail", "headers"),
    [
        ("policy-forbids", 403, "HEAD", "", {}),
        ("policy-forbids-get", 403, "GET", "", {}),
        ("unknown-uuid", 404, "HEAD", "", PLAIN),
        (
            "get-unknown-uuid",
            404,
            "GET",
            "Image with identifier 11111111-2222-4333-8444-555555555555 not found",
            PLAIN,
        ),
        ("trailing-slash", 404, "HEAD", "", {}),
        ("token-missing", 401, "HEAD", "", CHALLENGE),
        ("get-token-missing", 401, "GET", "", CHALLENGE),
        ("registry-down", 500, "HEAD", "", {}),
        ("registry-down-get", 500, "GET", "", {}),
        ("v2-head", 405, "HEAD", "", {"Allow": "GET, PATCH, DELETE"}),
    ],
)
def test_error_equals_recording(
    name: str, status: int, method: str, detail: str, headers: dict[str, str]
) -> None:
    """Except for the date and the request ID."""
    response = error_response(status, method=method, detail=detail, headers=headers)
    raw = (RECORDINGS / f"{name}.http").read_bytes()
    assert without_request_headers(response.head + response.body) == without_request_headers(raw)


def test_request_ids_are_unique() -> None:
    heads = [error_response(404, method="HEAD").head for _ in range(100)]
    ids = {re.findall(rb"req-[0-9a-f-]{36}", head)[0] for head in heads}
    assert len(ids) == 100


def test_unknown_status_has_a_phrase() -> None:
    assert reason_phrase(299) == "Unknown"
    assert error_response(299, method="HEAD").head.startswith(b"HTTP/1.1 299 Unknown\r\n")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", (200, b"body", False)),
        (b"HTTP/1.1 500 X\r\nConnection: close\r\n\r\n", (500, b"", True)),
        (b"HTTP/1.0 400 X\r\n\r\n", (400, b"", True)),
        (b"nothing", (0, b"", False)),
    ],
)
def test_raw_response_keeps_every_byte(raw: bytes, expected: tuple[int, bytes, bool]) -> None:
    response = raw_response(raw)
    assert isinstance(response, SimulatedResponse)
    assert (response.status, response.body, response.closes) == expected
    assert response.head + response.body == raw


def test_response_to_a_long_request_line_equals_recording() -> None:
    response = line_too_long_response(4295, 4094)
    assert response.closes
    assert (
        response.head + response.body == (RECORDINGS.parent / "v2" / "in-115-ids.http").read_bytes()
    )
