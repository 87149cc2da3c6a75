import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.clock import steady
from exporter.transport.http1 import ConnectionClosed, RequestFailed, Response, send_request
from tests.support.examples import examples

REQUEST = b"HEAD / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nX-Image-Meta-Status: active\r\n\r\n"
TIMEOUT = 10.0


@contextlib.contextmanager
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection: client and server."""
    client, server = socket.socketpair()
    with client, server:
        yield client, server


def response_to(
    *chunks: bytes, response_has_body: bool = False, seconds: float = TIMEOUT, stays: bool = False
) -> Response:
    """Return the response of a server that sends these bytes, then closes or stays open."""
    with socket_pair() as (client, server):

        def serve() -> None:
            with contextlib.suppress(OSError):
                for chunk in chunks:
                    server.sendall(chunk)
                if not stays:
                    server.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return send_request(
                client, REQUEST, steady() + seconds, response_has_body=response_has_body
            )
        finally:
            client.close()
            thread.join()


def failure(
    *chunks: bytes, response_has_body: bool = False, seconds: float = TIMEOUT
) -> RequestFailed:
    """Return the failure of the request."""
    with pytest.raises(RequestFailed) as raised:
        response_to(*chunks, response_has_body=response_has_body, seconds=seconds)
    return raised.value


def test_request_is_sent_unchanged() -> None:
    with socket_pair() as (client, server):
        server.sendall(OK)
        response = send_request(client, REQUEST, steady() + TIMEOUT, response_has_body=False)
        assert server.recv(1000) == REQUEST
    assert (response.code, response.body, response.has_trailing_data) == (200, b"", False)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_head_is_parsed_however_it_is_split(size: int) -> None:
    pieces = [OK[start : start + size] for start in range(0, len(OK), size)]
    whole = response_to(OK)
    split = response_to(*pieces)
    assert (split.code, split.headers, split.keeps_alive) == (
        whole.code,
        whole.headers,
        whole.keeps_alive,
    )


@pytest.mark.parametrize("cut", [1, 8, 20, len(OK) - 1])
def test_truncated_head_is_a_connection_failure(cut: int) -> None:
    """It must not look like a response with fewer fields."""
    assert failure(OK[:cut]).reason == "connection"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_close_before_the_first_byte_raises_connection_closed(sent: bytes) -> None:
    with pytest.raises(ConnectionClosed):
        response_to(sent)


@pytest.mark.parametrize(
    "sent", [b"\x15\x03\x00", b"HELO", b"\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"SSH-2.0-x\r\n"]
)
def test_other_protocols_are_malformed_without_waiting(sent: bytes) -> None:
    with pytest.raises(RequestFailed) as raised:
        response_to(sent, stays=True)
    assert raised.value.reason == "malformed"


def test_head_is_limited_to_256_kib() -> None:
    start = b"HTTP/1.1 200 OK\r\nX-Image-Meta-Name: "
    longest = start + b"x" * (256 * 1024 - len(start))
    assert response_to(longest + b"\r\n\r\n").code == 200
    assert failure(longest + b"x\r\n\r\n").reason == "malformed"
    assert failure(longest + b"x" * 100_000).reason == "malformed"


def test_interim_responses_are_skipped() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert response_to(b"HTTP/1.1 100 Continue\r\n\r\n", interim, OK).code == 200
    assert response_to(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").code == 101
    assert failure(*[interim] * 8, OK).reason == "malformed"


@pytest.mark.parametrize("left", [b"x", OK, b"\r\n"])
def test_data_after_a_response_to_head_is_detected(left: bytes) -> None:
    assert response_to(OK + left).has_trailing_data
    assert not response_to(OK).has_trailing_data


BODIES = {
    "length": (b"Content-Length: 4\r\n\r\nbody", b"body"),
    "no length": (b"\r\nbody", b"body"),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nbod\r\n1;x=y\r\ny\r\n0\r\n\r\n", b"body"),
    "trailer": (b"Transfer-Encoding: Chunked\r\n\r\n4\r\nbody\r\n00\r\nA: b\r\n\r\n", b"body"),
    "empty": (b"Content-Length: 0\r\n\r\n", b""),
}


@pytest.mark.parametrize("name", BODIES)
def test_body_is_delimited_by_length_chunks_or_end_of_stream(name: str) -> None:
    raw, body = BODIES[name]
    response = response_to(b"HTTP/1.1 200 OK\r\n" + raw, response_has_body=True)
    assert (response.body, response.has_trailing_data) == (body, False)
    for code in (b"204 No Content", b"304 Not Modified"):
        assert response_to(b"HTTP/1.1 " + code + b"\r\n\r\n", response_has_body=True).body == b""


@pytest.mark.parametrize(
    ("head_and_body", "reason"),
    [
        (b"Content-Length: 4\r\n\r\nbo", "connection"),
        (b"Content-Length: -4\r\n\r\nbody", "malformed"),
        (b"Content-Length: four\r\n\r\nbody", "malformed"),
        (b"Content-Length: 99999999999\r\n\r\nbody", "malformed"),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nbody", "malformed"),
        (b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "malformed"),
        (b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "malformed"),
        (b"Transfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n", "malformed"),
        (b"Transfer-Encoding: chunked\r\n\r\n1_0\r\nbody\r\n", "malformed"),
        (b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", "malformed"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nbodyxx", "malformed"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nbo", "connection"),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 300_000, "malformed"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", "connection"),
    ],
)
def test_invalid_or_truncated_body_fails(head_and_body: bytes, reason: str) -> None:
    assert failure(b"HTTP/1.1 200 OK\r\n" + head_and_body, response_has_body=True).reason == reason


def test_silent_server_is_a_timeout() -> None:
    with socket_pair() as (client, _):
        started = steady()
        with pytest.raises(RequestFailed) as raised:
            send_request(client, REQUEST, started + 0.1, response_has_body=False)
        assert raised.value.reason == "timeout"
        assert 0.1 <= steady() - started < 2.0


def test_trickling_server_does_not_extend_the_deadline() -> None:
    """The timeout is a total, not one of each read."""
    with socket_pair() as (client, server):
        stop = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nX: ", itertools.repeat(120)):
                    server.send(bytes([byte]))
                    if stop.wait(0.01):
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        started = steady()
        with pytest.raises(RequestFailed) as raised:
            send_request(client, REQUEST, started + 0.2, response_has_body=False)
        assert raised.value.reason == "timeout"
        assert steady() - started < 2.0
        stop.set()
        thread.join()


def test_nothing_is_sent_after_the_deadline() -> None:
    with socket_pair() as (client, server):
        with pytest.raises(RequestFailed, match="no time left"):
            send_request(client, REQUEST, steady() - 1, response_has_body=False)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1)


def test_server_that_does_not_read_or_has_left() -> None:
    with socket_pair() as (client, _), pytest.raises(RequestFailed, match="could not be sent"):
        send_request(client, b"x" * 50_000_000, steady() + 0.1, response_has_body=False)
    with socket_pair() as (client, server):
        server.close()
        with pytest.raises(ConnectionClosed):
            send_request(client, REQUEST, steady() + TIMEOUT, response_has_body=False)


RESPONSES = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=100).map(lambda raw: b"HTTP/1.1 200 OK\r\n" + raw + b"\r\n\r\n"),
    st.lists(
        st.sampled_from(
            [
                b"HTTP/1.1 ", b"HTTP/1.0 ", b"200 OK", b"100 Continue", b"404 Not Found", b"\r\n",
                b"\r\n\r\n", b"\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"5",
                b"0\r\n\r\n", b"x", b": ", b"\x00\xff",
            ]
        ),
        max_size=30,
    ).map(b"".join),
)  # fmt: skip


@examples(200)
@given(RESPONSES, st.lists(st.integers(0, 200), max_size=6), st.booleans(), st.booleans())
@example(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", [], True, False)
def test_any_bytes_in_any_pieces_are_a_response_or_a_failure(
    raw: bytes, cuts: list[int], response_has_body: bool, stays: bool
) -> None:
    """Nothing else is raised, and never long after the deadline."""
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    pieces = [raw[start:end] for start, end in itertools.pairwise(edges)]
    started = steady()
    reason = ""
    try:
        response = response_to(
            *pieces, response_has_body=response_has_body, seconds=0.03, stays=stays
        )
        assert raw.startswith(b"HTTP/1.")
        assert b"\r\n\r\n" in raw
        assert response_has_body or not response.body
    except RequestFailed as error:
        reason = error.reason
    except ConnectionClosed:
        reason = "closed"
    assert reason in {"", "timeout", "connection", "malformed", "timeout" if stays else "closed"}
    assert steady() - started < 2.0
