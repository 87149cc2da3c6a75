"""A response whose body is in pieces, which it may share with other responses."""

import asyncio
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from exporter.metrics import gzip_stream
from exporter.metrics.body import Body, Piece

CHUNK_SIZE = 32 * 1024
"""Bytes to send at once. Smaller pieces are joined, so that there are few calls.

A slow client costs about twice that: its connection and request take 20 to 40 KiB.
"""

CHUNKS_PER_TURN = 4
"""Chunks after which other tasks of the event loop get a turn. Every turn costs a system call."""

TLS_CHUNK_SIZE = 16 * 1024
"""Bytes to send at once through TLS, those of a record.

OpenSSL and asyncio hold up to three chunks that the client has not taken. So a slow client costs
80 KiB, with ``CHUNK_SIZE`` 100 KiB.
"""


class PiecewiseResponse(Response):
    """Sends a body in chunks, each made when the client has taken the previous one.

    A slow client costs the part of a chunk that it has not taken, not a copy of the whole body.
    """

    def __init__(self, body: Body, headers: Mapping[str, str], status: int = 200) -> None:
        super().__init__(None, status, {**headers, "Content-Length": str(body.size)})
        self._body = body

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Send the response, without the body if the request is HEAD."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        if scope["method"] != "HEAD":
            size = TLS_CHUNK_SIZE if scope.get("scheme") == "https" else CHUNK_SIZE
            for number, message in enumerate(map(_message, _chunks(self._body.pieces, size))):
                await send(message)
                # send() does not wait if the client takes everything at once.
                if number % CHUNKS_PER_TURN == 0:
                    await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@dataclass(frozen=True, slots=True)
class _CompressedPiece:
    """A piece of plain text, decompressed for each part that is sent."""

    compressed: bytes

    def __getitem__(self, part: slice) -> bytes:
        return gzip_stream.decompress_chunk(self.compressed)[part]


def compact_body(text: bytes, *, compressed: bool) -> Body:
    """Return a body that is kept compressed, so that a slow client costs little memory.

    A list of 1,000 images has 1.3 MB as JSON, and less than a tenth of that compressed.

    Args:
        text: The body.
        compressed: True to send it as gzip.
    """
    starts = range(0, len(text), CHUNK_SIZE)
    chunks = [gzip_stream.compress_chunk(text[start : start + CHUNK_SIZE]) for start in starts]
    if not compressed:
        return Body(len(text), tuple(map(_CompressedPiece, chunks)))
    trailer = gzip_stream.trailer(zlib.crc32(text), len(text))
    last_chunk = gzip_stream.compress_last_chunk(b"")
    return Body.of((gzip_stream.HEADER, *chunks, last_chunk, trailer))


def _chunks(pieces: Iterable[Piece], chunk_size: int) -> Iterator[bytes]:
    """Join and cut pieces to chunks of this size, except for the last one.

    No bytes are kept while a chunk is sent.
    """
    parts: list[bytes] = []
    room = chunk_size
    for piece in pieces:
        start = 0
        is_more = True
        while is_more:
            parts.append(piece[start : start + room])
            size = len(parts[-1])
            is_more = size == room
            start += size
            room -= size
            if room == 0:
                yield _take(parts)
                room = chunk_size
    if parts:
        yield _take(parts)


def _message(chunk: bytes) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


def _take(parts: list[bytes]) -> bytes:
    chunk = b"".join(parts)
    parts.clear()
    return chunk
