"""Malformed requests: no client can write to the log or reach the application with them."""

import asyncio
import contextlib
import socket
import threading

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.web.conftest import Serve, ServerThread
from tests.web.server.test_server import pieces

served: list[str] = []


async def record(request: Request) -> Response:
    """Read the body, and respond at once."""
    served.append(request.url.path)
    await request.body()
    return Response(b"hello")


async def disconnected(_: Request, __: Exception) -> Response:
    """Respond with nothing, as the real application does."""
    return Response()


METHODS = ["GET", "POST"]
APP = Starlette(
    routes=[
        Route("/", record, methods=METHODS),
        Route("/pieces", pieces, methods=METHODS),
    ],
    exception_handlers={ClientDisconnect: disconnected},
)
CHUNKED = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
BAD_BODIES = {
    "size of a chunk": b"ZZ\r\n",
    "trailer": b"0\r\nbad trailer\r\n\r\n",
    "end of a chunk": b"1\r\nabc\r\n",
}


@pytest.fixture(autouse=True)
def _nothing_served() -> None:
    served.clear()


def send_in_parts(server: ServerThread, first: bytes, *others: bytes) -> bytes:
    """Send parts of a request, and return what the server sends until it closes the connection."""
    with server.connect(first) as client:
        received = b""
        for part in others:
            received += client.recv(1000)
            client.sendall(part)
        with contextlib.suppress(ConnectionError):
            while data := client.recv(100_000):
                received += data
        return received


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_malformed_body_gets_400_and_starts_nothing(
    body: bytes, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(APP)
    assert send_in_parts(server, CHUNKED % b"/" + body).startswith(b"HTTP/1.1 400 ")
    assert served == []
    assert server.request("/").status == 200
    assert not caplog.records


def test_body_that_becomes_malformed_during_the_request_gets_400(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(APP)
    with server.connect(CHUNKED % b"/" + b"1\r\na\r\n") as client:
        assert server.request("/").status == 200  # The server has read the first part.
        client.sendall(b"ZZ\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    assert server.request("/").status == 200
    assert not caplog.records


def test_body_that_becomes_malformed_during_the_response_closes_the_connection(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(APP)
    received = send_in_parts(server, CHUNKED % b"/pieces", b"ZZ\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert server.request("/").status == 200
    assert not caplog.records


class LateResponse(Response):
    """A response that ends only after its connection."""

    def __init__(self, connection_ended: threading.Event) -> None:
        super().__init__()
        self._connection_ended = connection_ended

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send more than a connection holds, until the client has left."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = bytes(20_000_000)
        try:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            while not self._connection_ended.is_set():
                await asyncio.sleep(0.001)


def test_response_may_end_after_its_connection_was_closed(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest of a response to a malformed request is sent before the connection is closed."""
    ended = threading.Event()

    async def late(_: Request) -> Response:
        return LateResponse(ended)

    routes = [Route("/", record), Route("/late", late, methods=METHODS)]
    server = serve(Starlette(routes=routes))
    with server.connect(CHUNKED % b"/late") as client:
        client.recv(1000)
        client.sendall(b"ZZ\r\n")
        assert server.request("/").status == 200  # The server has read that.
        while client.recv(100_000):
            pass
        ended.set()
    assert server.request("/").status == 200
    assert not caplog.records


def test_malformed_second_request_gets_400_after_the_first_response(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    received = send_in_parts(serve(APP), b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGARBAGE\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in received
    assert not caplog.records


async def write_to_a_lost_connection(_: Request) -> Response:
    """Write as a TLS connection does whose client has reset it."""
    server_end, client_end = socket.socketpair()
    with client_end:
        transport, _protocol = await asyncio.get_running_loop().connect_accepted_socket(
            asyncio.Protocol, server_end
        )
    for _number in range(20):
        transport.write(b"x")
        await asyncio.sleep(0)
    transport.abort()
    return Response(b"hello")


def test_warnings_of_asyncio_that_a_reset_causes_are_not_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(Starlette(routes=[Route("/", write_to_a_lost_connection)]))
    assert server.request("/").body == b"hello"
    assert not caplog.records
