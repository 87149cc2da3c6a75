"""Bodies in pieces, as the server sends them."""

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message

from exporter.metrics.exposition import Body
from exporter.web.streaming import CHUNK, PiecewiseResponse
from tests.web.conftest import Running

SIZES = st.lists(st.integers(0, 3 * CHUNK), max_size=6)


def response(sizes: list[int]) -> PiecewiseResponse:
    """An answer in pieces of these sizes."""
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    return PiecewiseResponse(Body(pieces, sum(sizes)), {})


def sent(answer: PiecewiseResponse, turn: Callable[[], object] = lambda: None) -> list[bytes]:
    """The bodies of its messages; `turn` is called whenever others get their turn."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("the request is not looked at")

    async def others() -> None:
        while True:
            turn()
            await asyncio.sleep(0)

    async def run() -> None:
        beside = asyncio.create_task(others())
        await answer({"type": "http", "method": "GET"}, receive, send)
        beside.cancel()

    asyncio.run(run())
    return [message["body"] for message in messages[1:]]


@settings(max_examples=50, deadline=None)
@given(SIZES)
def test_the_pieces_are_sent_in_order_in_chunks(sizes: list[int]) -> None:
    """All of it is sent, no message but the last two smaller than a chunk, small pieces joined."""
    bodies = sent(response(sizes))
    assert b"".join(bodies) == b"".join(bytes([each]) * size for each, size in enumerate(sizes))
    assert all(len(body) >= CHUNK for body in bodies[:-2])
    assert bodies[-1] == b""


def test_others_get_their_turn_between_chunks() -> None:
    """A client that takes all at once, or has left, does not keep the loop to itself."""
    turns: list[None] = []
    bodies = sent(response([CHUNK] * 20), lambda: turns.append(None))
    assert len(turns) >= len(bodies) - 1


def test_a_body_of_many_chunks_arrives_whole(serve: Callable[[ASGIApp], Running]) -> None:
    """Over a real connection, Content-Length says what comes."""
    answer = serve(response([10, CHUNK * 5, 3, CHUNK - 1, 1])).ask("/")
    assert answer.headers["content-length"] == str(len(answer.body)) == str(CHUNK * 6 + 13)
