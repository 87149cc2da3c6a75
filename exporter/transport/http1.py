"""One exchange on a connected socket: request bytes out, one answer in, within a deadline.

Every ``recv`` gets only the time that is left, so that a server that sends a byte now and then
cannot stretch the total.
"""

import re
import select
import socket
import ssl
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from exporter.transport.head import END, MAX_BYTES, MalformedHead, ResponseHead, parse_head
from exporter.transport.response import RequestFailed

Clock = Callable[[], float]

MAX_BODY = 64 * 1024 * 1024
MAX_DIGITS = 16
CHUNK = 65536
INTERIM = frozenset({100, 102, 103})
"""Answers before the answer; 101 is never asked for, and so is one of its own."""
MAX_INTERIM = 8
_START = b"HTTP/1."
_HEX = re.compile(rb"[0-9A-Fa-f]{1,16}")


class ConnectionClosed(Exception):  # noqa: N818  # a server may do this
    """The connection ended before a byte of the answer: kept alive, it was closed meanwhile."""


class RawResponse(NamedTuple):
    """An answer, and whether bytes followed that belong to none."""

    head: ResponseHead
    body: bytes
    overrun: bool


class Reader:
    """Bytes from a socket, no later than the deadline."""

    def __init__(self, sock: socket.socket, deadline: float, clock: Clock) -> None:
        self._sock = sock
        self._deadline = deadline
        self._clock = clock
        self.buffer = bytearray()

    def more(self) -> bool:
        """Adds what comes next to ``buffer``; False at the end of the stream.

        Raises ``RequestFailed`` when the time is over or the connection breaks.
        """
        left = self._deadline - self._clock()
        if left <= 0:
            raise RequestFailed("timeout", "no complete answer in time")
        self._sock.settimeout(left)
        try:
            chunk = self._sock.recv(CHUNK)
        except TimeoutError:
            raise RequestFailed("timeout", "no complete answer in time") from None
        except OSError as error:
            if not self.buffer:
                raise ConnectionClosed(str(error)) from None
            raise RequestFailed("connection", f"cut off: {error}") from None
        self.buffer += chunk
        return bool(chunk)

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; raises ``RequestFailed`` when the stream ends before."""
        while len(self.buffer) < count:
            self._need_more()
        return self._cut(count)

    def line(self) -> bytes:
        """The next line without its CR LF; raises ``RequestFailed`` when it is too long."""
        while (end := self.buffer.find(b"\r\n")) < 0:
            if len(self.buffer) > MAX_BYTES:
                raise RequestFailed("malformed", "a line of the body's framing is too long")
            self._need_more()
        return self._cut(end + 2)[:-2]

    def read_to_end(self) -> bytes:
        """All up to the end of the stream."""
        while self.more():
            if len(self.buffer) > MAX_BODY:
                raise RequestFailed("malformed", "the body is too large")
        return self._cut(len(self.buffer))

    def head(self) -> ResponseHead:
        """The head of an answer, past interim ones.

        They may precede any answer (RFC 9110, section 15.2).
        """
        for _ in range(MAX_INTERIM):
            head = self._any_head()
            if head.code not in INTERIM:
                return head
        raise RequestFailed("malformed", "one interim answer after another")

    def _any_head(self) -> ResponseHead:
        searched = 0
        while (end := self.buffer.find(END, max(0, searched - 3))) < 0:
            searched = len(self.buffer)
            start = bytes(self.buffer[: len(_START)])
            if not _START.startswith(start):
                raise RequestFailed("malformed", "the answer is not HTTP/1")
            if searched > MAX_BYTES:
                raise RequestFailed("malformed", "the head is longer than 256 KiB")
            if not self.more():
                if not searched:
                    raise ConnectionClosed("closed")
                raise RequestFailed("connection", "cut off in the middle of the head")
        if end > MAX_BYTES:
            raise RequestFailed("malformed", "the head is longer than 256 KiB")
        try:
            return parse_head(self._cut(end + len(END))[:end])
        except MalformedHead as error:
            raise RequestFailed("malformed", str(error)) from None

    def _need_more(self) -> None:
        try:
            ended = not self.more()
        except ConnectionClosed as error:
            raise RequestFailed("connection", f"cut off: {error}") from None
        if ended:
            raise RequestFailed("connection", "cut off in the middle of the body")

    def _cut(self, count: int) -> bytes:
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken


def send_request(
    sock: socket.socket, request: bytes, deadline: float, clock: Clock, *, has_body: bool
) -> RawResponse:
    """Sends ``request`` and reads its answer; ``has_body`` is False for HEAD and CONNECT.

    Raises ``RequestFailed``, and ``ConnectionClosed`` when not one byte of an answer came.
    """
    left = deadline - clock()
    if left <= 0:
        raise RequestFailed("timeout", "no time left to ask")
    sock.settimeout(left)
    try:
        sock.sendall(request)
    except TimeoutError:
        raise RequestFailed("timeout", "the request could not be sent in time") from None
    except OSError as error:
        raise ConnectionClosed(str(error)) from None
    reader = Reader(sock, deadline, clock)
    head = reader.head()
    body = _body(reader, head) if has_body else b""
    return RawResponse(head, body, overrun=bool(reader.buffer))


def _body(reader: Reader, head: ResponseHead) -> bytes:
    """The body as RFC 9112, section 6.3, delimits it."""
    if head.code in (204, 304):
        return b""
    if b"chunked" in (head.first(b"transfer-encoding") or b"").lower():
        return _chunks(reader)
    length = head.first(b"content-length")
    if length is None:
        return reader.read_to_end()
    if not length.isdigit() or len(length) > MAX_DIGITS or int(length) > MAX_BODY:
        raise RequestFailed("malformed", "the body's length is none, or too large")
    return reader.take(int(length))


def _chunks(reader: Reader) -> bytes:
    body = bytearray()
    while True:
        size = reader.line().partition(b";")[0].strip()
        if not _HEX.fullmatch(size):
            raise RequestFailed("malformed", "a chunk without a size")
        count = int(size, 16)
        if len(body) + count > MAX_BODY:
            raise RequestFailed("malformed", "the body is too large")
        if not count:
            while reader.line():
                pass
            return bytes(body)
        body += reader.take(count)
        if reader.take(2) != b"\r\n":
            raise RequestFailed("malformed", "a chunk that does not end where it says")


class Readable(Enum):
    """What waits to be read on a connection between two exchanges."""

    NOTHING = "nothing"
    BYTES = "bytes"
    END = "end"


def trailing_data(sock: socket.socket) -> Readable:
    """What waits to be read; takes a byte where there are any."""
    if not (isinstance(sock, ssl.SSLSocket) and sock.pending()):
        poller = select.poll()
        poller.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        if not poller.poll(0):
            return Readable.NOTHING
    sock.settimeout(0)
    try:
        return Readable.BYTES if sock.recv(1) else Readable.END
    except (BlockingIOError, ssl.SSLWantReadError):
        # TLS speaks for itself at times, a session ticket for example.
        return Readable.NOTHING
    except OSError:
        return Readable.END
