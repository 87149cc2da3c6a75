import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from exporter.metrics.body import Body
from exporter.web.streaming import CHUNK_SIZE, CHUNKS_PER_TURN, PiecewiseResponse
from tests.support.examples import examples
from tests.web.conftest import Serve

SIZES = st.lists(st.integers(0, 3 * CHUNK_SIZE), max_size=6)


def response(sizes: list[int]) -> PiecewiseResponse:
    """Return a response in pieces of these sizes."""
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    return PiecewiseResponse(Body.of(pieces), {})


def send_response(
    response: PiecewiseResponse, other_task: Callable[[], object] = lambda: None
) -> list[bytes]:
    """Return the bodies of the response's messages.

    ``other_task`` is called whenever another task of the event loop may run.
    """
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("the response must not read the request")

    async def run_other_task() -> None:
        while True:
            other_task()
            await asyncio.sleep(0)

    async def run() -> None:
        task = asyncio.create_task(run_other_task())
        await response({"type": "http", "method": "GET"}, receive, send)
        task.cancel()

    asyncio.run(run())
    return [message["body"] for message in messages[1:]]


@examples(50)
@given(SIZES)
def test_pieces_are_sent_in_order_in_chunks_of_one_size(sizes: list[int]) -> None:
    in_pieces = response(sizes)
    assert in_pieces.headers["Content-Length"] == str(sum(sizes))
    bodies = send_response(in_pieces)
    assert b"".join(bodies) == b"".join(bytes([number]) * size for number, size in enumerate(sizes))
    assert bodies[-1] == b""
    chunks = list(filter(None, bodies))
    assert [len(chunk) for chunk in chunks[:-1]] == [CHUNK_SIZE] * (len(chunks) - 1)
    assert sum(sizes) <= CHUNK_SIZE * len(chunks)


def test_other_tasks_run_between_chunks() -> None:
    """They run even if the client takes everything at once."""
    turns: list[None] = []
    bodies = send_response(response([CHUNK_SIZE] * 20), lambda: turns.append(None))
    assert len(turns) >= len(list(filter(None, bodies))) // CHUNKS_PER_TURN


def test_body_of_many_chunks_arrives_complete(serve: Serve) -> None:
    received = serve(response([10, CHUNK_SIZE * 5, 3, CHUNK_SIZE - 1, 1])).request("/")
    assert received.headers["content-length"] == str(len(received.body)) == str(CHUNK_SIZE * 6 + 13)
