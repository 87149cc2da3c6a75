"""HTTP/1.1 responses, their parser, and one request on a connected socket.

``http.client`` cannot parse what Glance v1 sends, and fails silently: a bare line feed in a name
makes it lose all later headers, a head that was cut off looks complete, and more than 100 headers
make it raise. Here lines end in CR LF, as every server of the Image service sends them; a line
feed alone is part of a value.

Each ``recv`` gets only the time left until the deadline, so a server that sends single bytes
cannot extend the total.
"""

import re
import socket
from dataclasses import dataclass

from exporter.clock import steady
from exporter.model.outcome import Failed, Reason, reason_for_status
from exporter.model.responses.v1_headers import PROPERTY_PREFIX
from exporter.transport.url import origin

MAX_HEAD_BYTES = 256 * 1024
MAX_FIELDS = 1000
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_LENGTH_DIGITS = 16
CHUNK_BYTES = 65536

INTERIM_CODES = frozenset({100, 102, 103})
"""Status codes that precede the final response. 101 is final, and is never requested."""
MAX_INTERIM_RESPONSES = 8

REDIRECT_CODES = frozenset({301, 302, 303, 307, 308})
"""Status codes of a redirect. It is not followed: it would lead the token to another server."""

LAST_CHUNK = b"0\r\n\r\n"
"""The bytes that uWSGI and HAProxy send after a chunked response to HEAD, which has no chunks."""
LAST_CHUNK_WAIT = 0.1
"""Seconds to wait for the last chunk, and again for anything after it.

TCP's delayed acknowledgement, which can hold bytes back, is shorter."""

MAX_ERROR_PAGE_BYTES = 1024 * 1024

_HEAD_END = b"\r\n\r\n"
_HTTP1 = b"HTTP/1."
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_RESPONSE_LINE = re.compile(
    rb"^(?:HTTP/1\.[01] [1-5]|X-(?:Image-Meta|Openstack)-)", re.IGNORECASE | re.MULTILINE
)
"""A line of another response of the Image service, which no error page has."""
_REQUEST_ID = re.compile(rb"req-[0-9a-f-]{36}")


@dataclass(slots=True)
class Response:
    """A response. ``parse_head`` creates it, and ``send_request`` adds what follows the head.

    Attributes:
        code: The status code.
        headers: Pairs of lower-case name and value, in the order received. A line that is not a
            header has an empty name.
        keeps_alive: True if the server keeps the connection open after this response.
        body: The body, without the framing of its chunks. The pool decompresses it.
        compressed: Why the body could not be decompressed, or an empty string.
        has_trailing_data: True if the server sent bytes after the end of the response.
        sent_at: Monotonic time at which the request was sent.
        received_at: Monotonic time at which the response was complete.
    """

    code: int
    headers: list[tuple[bytes, bytes]]
    keeps_alive: bool = True
    body: bytes = b""
    compressed: str = ""
    has_trailing_data: bool = False
    sent_at: float = 0.0
    received_at: float = 0.0

    def first(self, name: bytes) -> bytes | None:
        """Return the value of the first header with this lower-case name."""
        for header, value in self.headers:
            if header == name:
                return value
        return None

    def only(self, name: bytes) -> bytes | None:
        """Return the value of the header, or None if it is missing or has several values."""
        values = {value for header, value in self.headers if header == name}
        return values.pop() if len(values) == 1 else None

    @property
    def is_error(self) -> bool:
        """True if only the status code counts: a redirect, or an error of client or server."""
        return self.code >= 300

    @property
    def is_chunked(self) -> bool:
        """True if ``Transfer-Encoding`` announces chunks."""
        return b"chunked" in (self.first(b"transfer-encoding") or b"").lower()

    @property
    def request_id(self) -> str:
        """``X-Openstack-Request-Id``, or an empty string if it is not in Glance's format."""
        raw = self.first(b"x-openstack-request-id")
        return raw.decode("ascii") if raw and _REQUEST_ID.fullmatch(raw) else ""

    def failure(self) -> Failed:
        """Return the failure that the status code means."""
        retry_after = self.first(b"retry-after") is not None
        reason = reason_for_status(self.code, retry_after)
        location = self.first(b"location") if self.code in REDIRECT_CODES else None
        target = "" if location is None else f", a redirect to {origin(location.decode('latin-1'))}"
        return Failed(reason, f"HTTP {self.code}{target}", self.request_id)


class RequestFailed(Exception):  # noqa: N818  # the usual name of this failure
    """A request without a usable response.

    Attributes:
        reason: The failure reason, as in the label ``reason``.
        detail: One line for the log.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class MalformedHead(Exception):  # noqa: N818  # the server's error
    """The bytes are not the head of an HTTP/1 response; the text says why."""


class ConnectionClosed(Exception):  # noqa: N818  # a server may do this
    """The connection ended before the first byte of a response.

    A server may close an idle connection at any time.
    """


def parse_head(raw: bytes) -> Response:
    """Parse a response head without the empty line at its end, to a response without a body.

    Raises:
        MalformedHead: It is not HTTP/1, or has too many fields.
    """
    status_line, *lines = raw.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(status_line)
    if status is None:
        raise MalformedHead("the response is not HTTP/1")
    if len(lines) > MAX_FIELDS:
        raise MalformedHead(f"more than {MAX_FIELDS} headers")
    minor_version, code = status.groups()
    response = Response(int(code), [_parse_header(line) for line in lines])
    connection = (response.first(b"connection") or b"").lower()
    if minor_version == b"1":
        response.keeps_alive = b"close" not in connection
    else:
        response.keeps_alive = b"keep-alive" in connection
    return response


def _parse_header(line: bytes) -> tuple[bytes, bytes]:
    """Return the lower-case name and stripped value; a line that is not a header has no name."""
    name, colon, value = line.partition(b":")
    name = name.lower()
    # The name of a property may contain any character, for example a space; other names are tokens.
    if colon and name and (not name.translate(None, _TOKEN) or name.startswith(PROPERTY_PREFIX)):
        return name, value.strip(b" \t")
    return b"", line


def send_request(
    sock: socket.socket,
    request: bytes,
    deadline: float,
    *,
    response_has_body: bool,
    is_reused: bool = False,
) -> Response:
    """Send ``request`` and read its response.

    Args:
        sock: The connected socket.
        request: Request line, headers and the empty line.
        deadline: Monotonic time by which the response must be complete.
        response_has_body: False for HEAD and CONNECT, whose responses have no body.
        is_reused: The connection has had another response before.

    Raises:
        ConnectionClosed: The connection ended before the first byte of a response.
        RequestFailed: There is no usable response.
    """
    sent_at = steady()
    if sent_at >= deadline:
        raise RequestFailed("timeout", "no time left to send the request")
    sock.settimeout(deadline - sent_at)
    try:
        sock.sendall(request)
    except TimeoutError:
        raise RequestFailed("timeout", "the request could not be sent in time") from None
    except OSError as error:
        raise ConnectionClosed(str(error)) from None
    reader = _ResponseReader(sock, deadline)
    response = reader.read_head()
    if response_has_body:
        response.body = _read_usable_body(reader, response)
    elif response.is_chunked:
        _skip_last_chunk(reader, response)
    if reader.buffer:
        is_page = _is_followed_by_error_page(reader, response, is_reused=is_reused)
        response.has_trailing_data = not is_page
    response.sent_at, response.received_at = sent_at, steady()
    return response


class _ResponseReader:
    """Buffered reader of a socket with a deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self.buffer = bytearray()

    def read_head(self) -> Response:
        """Return the final response with what its head contains, without its body.

        Interim responses may precede any response (RFC 9110, section 15.2).
        """
        for _ in range(MAX_INTERIM_RESPONSES):
            response = self._read_any_head()
            if response.code not in INTERIM_CODES:
                return response
        raise RequestFailed("malformed", "too many interim responses")

    def read(self, count: int) -> bytes:
        """Return the next ``count`` bytes of the body."""
        while len(self.buffer) < count:
            self._receive_body()
        return self._consume(count)

    def read_line(self) -> bytes:
        """Return the next line of the body's framing without its CR LF."""
        while (end := self.buffer.find(b"\r\n")) < 0:
            if len(self.buffer) > MAX_HEAD_BYTES:
                raise RequestFailed("malformed", "a line of the chunked body is too long")
            self._receive_body()
        return self._consume(end + 2)[:-2]

    def read_to_end(self) -> bytes:
        """Return all bytes up to the end of the stream."""
        while self._receive():
            if len(self.buffer) > MAX_BODY_BYTES:
                raise RequestFailed("malformed", "the body is too large")
        return self._consume(len(self.buffer))

    def receive_within(self, seconds: float) -> bool:
        """Append the next bytes to ``buffer``; return False if the stream ends or is quiet."""
        self._sock.settimeout(max(min(seconds, self._deadline - steady()), 0.001))
        try:
            chunk = self._sock.recv(CHUNK_BYTES)
        except OSError:
            return False
        self.buffer += chunk
        return bool(chunk)

    def ends_without_response(self) -> bool:
        """Read to the end of the stream; return False if it has another response, or no end."""
        try:
            while len(self.buffer) <= MAX_ERROR_PAGE_BYTES:
                if _RESPONSE_LINE.search(self.buffer):
                    return False
                if not self._receive():
                    return True
        except RequestFailed as error:
            return error.reason == "connection"  # a reset ends the stream as well
        return False

    def _read_any_head(self) -> Response:
        searched = 0
        while (end := self.buffer.find(_HEAD_END, max(0, searched - 3))) < 0:
            searched = len(self.buffer)
            start = bytes(self.buffer[: len(_HTTP1)])
            if not _HTTP1.startswith(start):
                raise RequestFailed("malformed", "the response is not HTTP/1")
            if searched > MAX_HEAD_BYTES:
                raise RequestFailed("malformed", "the headers are larger than 256 KiB")
            if not self._receive():
                if not searched:
                    raise ConnectionClosed("closed")
                raise RequestFailed("connection", "closed in the middle of the headers")
        if end > MAX_HEAD_BYTES:
            raise RequestFailed("malformed", "the headers are larger than 256 KiB")
        try:
            return parse_head(self._consume(end + len(_HEAD_END))[:end])
        except MalformedHead as error:
            raise RequestFailed("malformed", str(error)) from None

    def _receive(self) -> bool:
        """Append the next bytes to ``buffer``; return False at the end of the stream."""
        remaining = self._deadline - steady()
        if remaining <= 0:
            raise RequestFailed("timeout", "no complete response in time")
        self._sock.settimeout(remaining)
        try:
            chunk = self._sock.recv(CHUNK_BYTES)
        except TimeoutError:
            raise RequestFailed("timeout", "no complete response in time") from None
        except OSError as error:
            if not self.buffer:
                raise ConnectionClosed(str(error)) from None
            raise RequestFailed("connection", f"connection lost: {error}") from None
        self.buffer += chunk
        return bool(chunk)

    def _receive_body(self) -> None:
        try:
            ended = not self._receive()
        except ConnectionClosed as error:
            raise RequestFailed("connection", f"connection lost: {error}") from None
        if ended:
            raise RequestFailed("connection", "closed in the middle of the body")

    def _consume(self, count: int) -> bytes:
        consumed = bytes(self.buffer[:count])
        del self.buffer[:count]
        return consumed


def _skip_last_chunk(reader: _ResponseReader, response: Response) -> None:
    """Skip the last chunk after the head of a response without a body.

    The name of an image can forge these bytes, but not prevent the rest of the headers from
    following them. So wait for it, and do not keep the connection.
    """
    while LAST_CHUNK.startswith(reader.buffer) and reader.receive_within(LAST_CHUNK_WAIT):
        pass
    if reader.buffer == LAST_CHUNK:
        reader.buffer.clear()
        response.keeps_alive = False


def _is_followed_by_error_page(
    reader: _ResponseReader, response: Response, *, is_reused: bool
) -> bool:
    """Return True if the bytes after a response are the page of an error, and can be dropped.

    HAProxy up to 2.1 and other gateways send a page also to HEAD, and close the connection. The
    first response on a connection is that of the server. A later one may have been forged by the
    name of the image that was requested before; then the true response follows it.
    """
    if not response.is_error or response.keeps_alive:
        return False
    return not is_reused or reader.ends_without_response()


def _read_usable_body(reader: _ResponseReader, response: Response) -> bytes:
    """Read the body; the status code of an error counts although its body is cut off or invalid."""
    try:
        return _read_body(reader, response)
    except RequestFailed as error:
        if not response.is_error or error.reason == "timeout":
            raise
        reader.buffer.clear()
        response.keeps_alive = False
        return b""


def _read_body(reader: _ResponseReader, response: Response) -> bytes:
    """Read the body as RFC 9112, section 6.3, delimits it."""
    if response.code in (204, 304):
        return b""
    if response.is_chunked:
        return _read_chunks(reader)
    length = response.first(b"content-length")
    if length is None:
        return reader.read_to_end()
    is_number = length.isdigit() and len(length) <= MAX_LENGTH_DIGITS
    if not is_number or int(length) > MAX_BODY_BYTES:
        raise RequestFailed("malformed", "the length of the body is invalid or too large")
    return reader.read(int(length))


def _read_chunks(reader: _ResponseReader) -> bytes:
    body = bytearray()
    while True:
        size = reader.read_line().partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size):
            raise RequestFailed("malformed", "a chunk has no valid size")
        count = int(size, 16)
        if len(body) + count > MAX_BODY_BYTES:
            raise RequestFailed("malformed", "the body is too large")
        if not count:
            while reader.read_line():
                pass  # trailer fields
            return bytes(body)
        body += reader.read(count)
        if reader.read(2) != b"\r\n":
            raise RequestFailed("malformed", "a chunk does not end after its size")
