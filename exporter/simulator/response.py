"""An HTTP answer as bytes, written as Glance 15 writes it."""

import itertools
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

LONGEST_LINE = 4094  # gunicorn's limit_request_line

# The texts of webob, through which Glance answers (tests/recordings/v1/*-get.http).
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
    """What is sent for one request: a head that ends in an empty line, and a body.

    ``closes`` says that the server closes the connection after it.
    """

    status: int
    head: bytes
    body: bytes = b""
    closes: bool = False


def line(name: str, value: str) -> bytes:
    """One header line; Unicode as UTF-8, nothing escaped, as Glance does."""
    return f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")


def finished(start: bytes, *, closes: bool = False, request_id: bool = True) -> bytes:
    """A head completed with what belongs to the one request: its ID, the date, the end."""
    return b"".join(
        (
            start,
            _request_id() if request_id else b"",
            _date_line(),
            b"Connection: close\r\n\r\n" if closes else b"\r\n",
        )
    )


def document(status: int, body: bytes, *, method: str, closes: bool = False) -> SimulatedResponse:
    """A version document, which names no request; HEAD gets its length and not its body."""
    start = _start(status, {"Content-Type": "application/json", "Content-Length": str(len(body))})
    head = finished(start, closes=closes, request_id=False)
    return SimulatedResponse(status, head, b"" if method == "HEAD" else body, closes)


def listing(body: bytes, *, closes: bool = False) -> SimulatedResponse:
    """A 200 with JSON."""
    start = _start(200, {"Content-Length": str(len(body)), "Content-Type": "application/json"})
    return SimulatedResponse(200, finished(start, closes=closes), body, closes)


def too_long(size: int) -> SimulatedResponse:
    """What gunicorn says, in front of Glance 33, to a request line of ``size`` bytes."""
    body = (
        "<html>\n  <head>\n    <title>Bad Request</title>\n  </head>\n  <body>\n"
        "    <h1><p>Bad Request</p></h1>\n"
        f"    Request Line is too large ({size} &gt; {LONGEST_LINE})\n  </body>\n</html>\n"
    ).encode()
    fields = {"Connection": "close", "Content-Type": "text/html", "Content-Length": str(len(body))}
    return SimulatedResponse(400, _start(400, fields) + b"\r\n", body, closes=True)


def refusal(
    status: int,
    *,
    method: str,
    detail: str = "",
    headers: Mapping[str, str] | None = None,
    closes: bool = False,
) -> SimulatedResponse:
    """An answer without an image: no body to HEAD, webob's plain text to the rest."""
    body = b"" if method == "HEAD" else _explanation(status, method, detail)
    # webob names the length first when it wrote a body, and last when it did not.
    fields = (
        {"Content-Length": str(len(body)), "Content-Type": "text/plain; charset=UTF-8"}
        if body
        else {"Content-Type": "text/html; charset=UTF-8", "Content-Length": "0"}
    )
    start = _start(status, fields | dict(headers or {}))
    # The middleware that checks tokens answers before a request has an ID.
    head = finished(start, closes=closes, request_id=status != HTTPStatus.UNAUTHORIZED)
    return SimulatedResponse(status, head, body, closes)


def recorded(raw: bytes) -> SimulatedResponse:
    """A raw answer, byte for byte; the connection closes after it where it says so."""
    head, end, body = raw.partition(b"\r\n\r\n")
    words = head.lower()
    closes = words.startswith(b"http/1.0") or b"\r\nconnection: close" in words
    status = words[9:12]
    return SimulatedResponse(int(status) if status.isdigit() else 0, head + end, body, closes)


def phrase(status: int) -> str:
    """The reason phrase of a status; "Unknown" for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _start(status: int, headers: Mapping[str, str]) -> bytes:
    first = f"HTTP/1.1 {status} {phrase(status)}\r\n".encode()
    return first + b"".join(line(name, value) for name, value in headers.items())


def _explanation(status: int, method: str, detail: str) -> bytes:
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        text = f"The method {method} is not allowed for this resource. \n\n "
    else:
        text = f"{EXPLANATIONS.get(status, phrase(status))}\n\n {detail}  "
    return f"{status} {phrase(status)}\n\n{text}".encode()


def _request_id() -> bytes:
    return b"X-Openstack-Request-Id: %s%012x\r\n" % (_id_prefix.encode(), next(_id_numbers))


def _date_line() -> bytes:
    # Formatted once a second: it would be a third of the cost of an answer.
    global _date  # noqa: PLW0603 - a cache of one value, replaced whole
    now = int(time.time())
    if _date[0] != now:
        _date = (now, line("Date", formatdate(now, usegmt=True)))
    return _date[1]
