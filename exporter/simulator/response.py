"""Responses of the simulated service as bytes, in the form that Glance 15 sends."""

import itertools
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

# The texts of webob, which writes Glance's responses (tests/recordings/v1/*-get.http).
EXPLANATIONS = {
    401: (
        "This server could not verify that you are authorized to access the document you "
        "requested. Either you supplied the wrong credentials (e.g., bad password), or your "
        "browser does not understand how to supply the credentials required."
    ),
    403: "Access was denied to this resource.",
    404: "The resource could not be found.",
    500: ("The server has either erred or is incapable of performing the requested operation."),
    503: "The server is currently unavailable. Please try again at a later time.",
}

_id_prefix = f"req-{str(uuid.uuid4())[:24]}"
_id_numbers = itertools.count(1)
_date = (0, b"")


@dataclass(frozen=True, slots=True)
class SimulatedResponse:
    """The bytes sent for one request: a head that ends in an empty line, and a body.

    ``closes`` is True if the server closes the connection afterwards.
    """

    status: int
    head: bytes
    body: bytes = b""
    closes: bool = False


def header_line(name: str, value: str) -> bytes:
    """Return one header line; Unicode as UTF-8, nothing escaped, as Glance does."""
    return f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")


def finish_head(start: bytes, *, closes: bool = False, request_id: bool = True) -> bytes:
    """Append the headers that differ for each response, and the empty line, to a head."""
    return b"".join(
        (
            start,
            _request_id_line() if request_id else b"",
            _date_line(),
            b"Connection: close\r\n\r\n" if closes else b"\r\n",
        )
    )


def version_response(
    status: int, body: bytes, *, method: str, closes: bool = False
) -> SimulatedResponse:
    """Return a version document, without a request ID; HEAD gets its length but no body."""
    start = _start_head(
        status, {"Content-Type": "application/json", "Content-Length": str(len(body))}
    )
    head = finish_head(start, closes=closes, request_id=False)
    return SimulatedResponse(status, head, b"" if method == "HEAD" else body, closes)


def json_response(body: bytes, *, closes: bool = False) -> SimulatedResponse:
    """Return a 200 with a JSON body."""
    start = _start_head(200, {"Content-Length": str(len(body)), "Content-Type": "application/json"})
    return SimulatedResponse(200, finish_head(start, closes=closes), body, closes)


def line_too_long_response(size: int, limit: int) -> SimulatedResponse:
    """Return gunicorn's response, in front of Glance 33, to a request line of ``size`` bytes."""
    body = (
        "<html>\n  <head>\n    <title>Bad Request</title>\n  </head>\n  <body>\n"
        "    <h1><p>Bad Request</p></h1>\n"
        f"    Request Line is too large ({size} &gt; {limit})\n  </body>\n</html>\n"
    ).encode()
    headers = {"Connection": "close", "Content-Type": "text/html", "Content-Length": str(len(body))}
    return SimulatedResponse(400, _start_head(400, headers) + b"\r\n", body, closes=True)


def error_response(
    status: int,
    *,
    method: str,
    explanation: str = "",
    detail: str = "",
    headers: Mapping[str, str] | None = None,
    closes: bool = False,
) -> SimulatedResponse:
    """Return a response without an image: no body for HEAD, else webob's plain text.

    API v2 replaces webob's ``explanation`` of a status; API v1 adds a ``detail`` to it.
    """
    body = b"" if method == "HEAD" else _text(status, method, explanation, detail)
    # webob sends Content-Length first with a body of its own, and last without a body.
    own_headers = (
        {"Content-Length": str(len(body)), "Content-Type": "text/plain; charset=UTF-8"}
        if body
        else {"Content-Type": "text/html; charset=UTF-8", "Content-Length": "0"}
    )
    start = _start_head(status, own_headers | dict(headers or {}))
    # The middleware that checks tokens responds before a request has an ID.
    head = finish_head(start, closes=closes, request_id=status != HTTPStatus.UNAUTHORIZED)
    return SimulatedResponse(status, head, body, closes)


def raw_response(raw: bytes) -> SimulatedResponse:
    """Return a response with exactly these bytes; ``closes`` is taken from its head."""
    head, end, body = raw.partition(b"\r\n\r\n")
    lower = head.lower()
    closes = lower.startswith(b"http/1.0") or b"\r\nconnection: close" in lower
    status = lower[9:12]
    return SimulatedResponse(int(status) if status.isdigit() else 0, head + end, body, closes)


def reason_phrase(status: int) -> str:
    """Return the reason phrase of a status; "Unknown" if it has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _start_head(status: int, headers: Mapping[str, str]) -> bytes:
    status_line = f"HTTP/1.1 {status} {reason_phrase(status)}\r\n".encode()
    return status_line + b"".join(header_line(name, value) for name, value in headers.items())


def _text(status: int, method: str, explanation: str, detail: str) -> bytes:
    phrase = reason_phrase(status)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        text = f"The method {method} is not allowed for this resource. \n\n "
    else:
        text = f"{explanation or EXPLANATIONS.get(status, phrase)}\n\n {detail}  "
    return f"{status} {phrase}\n\n{text}".encode()


def _request_id_line() -> bytes:
    return b"X-Openstack-Request-Id: %s%012x\r\n" % (_id_prefix.encode(), next(_id_numbers))


def _date_line() -> bytes:
    # Formatted once per second: it would be a third of the cost of a response.
    global _date  # noqa: PLW0603 - a cache of one value, replaced whole
    now = int(time.time())
    if _date[0] != now:
        _date = (now, header_line("Date", formatdate(now, usegmt=True)))
    return _date[1]
