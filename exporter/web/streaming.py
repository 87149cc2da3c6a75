"""A response whose body is in pieces that it shares with other responses."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.metrics.body import Body

CHUNK_SIZE = 64 * 1024
"""Bytes to send at once. Smaller pieces are joined, so that there are few calls."""


class PiecewiseResponse(Response):
    """Sends a body in chunks, each when the client has taken the previous one.

    A slow client costs one chunk of memory, not a copy of the whole body.
    """

    def __init__(self, body: Body, headers: Mapping[str, str]) -> None:
        super().__init__(None, headers={**headers, "Content-Length": str(body.size)})
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
            for chunk in _join_pieces(self._body):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                # send() does not wait if the client takes everything at once or has left.
                await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _join_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join pieces to chunks of at least ``CHUNK_SIZE`` bytes, except for the last one."""
    pending: list[bytes] = []
    size = 0
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size >= CHUNK_SIZE:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)
