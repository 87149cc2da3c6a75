"""An answer whose body is in pieces that are shared with other answers."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.metrics.exposition import Body

CHUNK = 64 * 1024
"""Bytes to send at once: smaller pieces are joined, so that there are few calls."""


class PiecewiseResponse(Response):
    """Sends the pieces one after another, each when the client has taken the one before.

    So a slow client costs one chunk of memory, not a copy of the whole body.
    """

    def __init__(self, body: Body, headers: Mapping[str, str]) -> None:
        super().__init__(None, headers={**headers, "Content-Length": str(body.size)})
        self._pieces = body.pieces

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Sends the answer; to HEAD, its head only."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        if scope["method"] != "HEAD":
            for chunk in _chunks(self._pieces):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                # A client that takes all at once, or has left, does not make send() wait.
                await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _chunks(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The pieces, small ones joined."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
