"""Faults of the simulated Image service that only tests use. Importing it registers them."""

import re
from collections.abc import Sequence

from exporter.simulator.faults import FAULTS, Action, FaultContext, Script, status
from exporter.simulator.response import header_line, reason_phrase


def redirect(context: FaultContext, location: str, code: int = 302) -> Script:
    """Redirect to ``location``."""
    return status(context, code, {"Location": location})


def hang(context: FaultContext) -> Script:
    """Send nothing until the fault is cleared."""
    yield Action.HOLD
    yield _whole(context)


def hang_in_head(context: FaultContext, at: int | None = None) -> Script:
    """Stop sending in the middle of the head, or after ``at`` bytes."""
    before, after = _split(context, at)
    yield before
    yield Action.HOLD
    yield after


def trickle(context: FaultContext, pause: float = 0.1) -> Script:
    """Send one byte every ``pause`` seconds."""
    for byte in _whole(context):
        yield bytes((byte,))
        yield pause


def reset(_: FaultContext) -> Script:
    """Reset the connection instead of responding."""
    yield Action.RESET


def reset_in_head(context: FaultContext, at: int | None = None) -> Script:
    """Reset the connection in the middle of the head, or after ``at`` bytes."""
    yield _split(context, at)[0]
    yield Action.RESET


def close_after(context: FaultContext) -> Script:
    """Close the connection after a response that did not announce it."""
    yield _whole(context)
    yield Action.CLOSE


def truncate(context: FaultContext, at: int | None = None) -> Script:
    """Close the connection in the middle of the head, or after ``at`` bytes."""
    yield _split(context, at)[0]
    yield Action.CLOSE


def garbage(_: FaultContext, data: bytes = b"\x15\x03\x00\xff is not HTTP\r\n\r\n") -> Script:
    """Send something that is not HTTP, then close."""
    yield data
    yield Action.CLOSE


def huge_head(context: FaultContext, size: int = 100 * 1024, line_size: int = 8000) -> Script:
    """Add ``size`` bytes to the head, in lines of ``line_size`` bytes; the last has the rest."""
    lines: list[bytes] = []
    while size > 0:
        length = size if size < 2 * line_size else line_size
        name = f"X-Padding-{len(lines)}"
        lines.append(header_line(name, "x" * (length - len(name) - len(": \r\n"))))
        size -= length
    yield _with_headers(context, b"".join(lines))


def many_headers(context: FaultContext, count: int = 200) -> Script:
    """Add ``count`` properties to those of the image."""
    lines = (
        header_line(f"X-Image-Meta-Property-Extra_{number}", str(number)) for number in range(count)
    )
    yield _with_headers(context, b"".join(lines))


def body_on_head(context: FaultContext, body: bytes = b"x" * 16) -> Script:
    """Send a body, with its Content-Length, in a response to HEAD, which must not have one."""
    yield _with_body(context, body)


def other_body(
    context: FaultContext, body: bytes = b"<html>not what was asked for</html>"
) -> Script:
    """Send another body than the correct one in a response to GET."""
    yield _with_body(context, body)


def leftover(context: FaultContext, data: bytes, delay: float = 0.0, held: bool = False) -> Script:
    """Send ``data`` after the response.

    It is sent in one write with the response; or ``delay`` seconds after it; or, if ``held``,
    when the fault is cleared.
    """
    if held or delay:
        yield _whole(context)
        yield Action.HOLD if held else delay
        yield data
    else:
        yield _whole(context) + data


def interim(context: FaultContext, codes: Sequence[int] = (100,)) -> Script:
    """Send 1xx responses before the response."""
    for code in codes:
        yield f"HTTP/1.1 {code} {reason_phrase(code)}\r\n\r\n".encode()
    yield _whole(context)


def wrong_id(
    context: FaultContext, image_id: str = "00000000-0000-4000-8000-000000000000"
) -> Script:
    """Send the response of another image: its ID in the head (v1) or the body (v2)."""
    other, response = image_id.encode(), context.response
    if response.body:
        yield _with_body(
            context, re.sub(rb'(?<="id": ")[^"]*', lambda _: other, response.body, count=1)
        )
    else:
        yield re.sub(rb"(?<=\r\nX-Image-Meta-Id: )[^\r]*", lambda _: other, response.head, count=1)


def http_1_0(context: FaultContext) -> Script:
    """Respond with HTTP/1.0, which ends the connection."""
    yield _whole(context).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield Action.CLOSE


def _whole(context: FaultContext) -> bytes:
    return context.response.head + context.response.body


def _split(context: FaultContext, at: int | None) -> tuple[bytes, bytes]:
    """Split the response after ``at`` bytes, or in the middle of its head."""
    at = len(context.response.head) // 2 if at is None else at
    return _whole(context)[:at], _whole(context)[at:]


def _with_body(context: FaultContext, body: bytes) -> bytes:
    """Return the response with another body and its Content-Length."""
    length, head = b"%d" % len(body), context.response.head
    return re.sub(rb"(?<=\r\nContent-Length: )\d+", length, head, count=1) + body


def _with_headers(context: FaultContext, lines: bytes) -> bytes:
    """Return the response with more lines at the end of its head."""
    return context.response.head[:-2] + lines + b"\r\n" + context.response.body


FAULTS.update(
    (fault.__name__, fault)
    for fault in (
        redirect,
        hang,
        hang_in_head,
        trickle,
        reset,
        reset_in_head,
        close_after,
        truncate,
        garbage,
        huge_head,
        many_headers,
        body_on_head,
        other_body,
        leftover,
        interim,
        wrong_id,
        http_1_0,
    )
)
