import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.clock import steady
from exporter.transport.http1 import (
    ConnectionClosed,
    RawResponse,
    send_request,
)
from exporter.transport.response import RequestFailed

REQUEST = b"HEAD / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nX-Image-Meta-Status: active\r\n\r\n"
PLENTY = 10.0


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a connection and the server's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def answered(
    *chunks: bytes, has_body: bool = False, seconds: float = PLENTY, stays: bool = False
) -> RawResponse:
    """What comes of an exchange with a server that sends these bytes, and then closes or stays."""
    with pair() as (ours, theirs):

        def serve() -> None:
            with contextlib.suppress(OSError):
                for chunk in chunks:
                    theirs.sendall(chunk)
                if not stays:
                    theirs.shutdown(socket.SHUT_WR)

        server = threading.Thread(target=serve)
        server.start()
        try:
            return send_request(ours, REQUEST, steady() + seconds, has_body=has_body)
        finally:
            ours.close()
            server.join()


def failure(*chunks: bytes, has_body: bool = False, seconds: float = PLENTY) -> RequestFailed:
    """The failure of an exchange."""
    with pytest.raises(RequestFailed) as raised:
        answered(*chunks, has_body=has_body, seconds=seconds)
    return raised.value


def test_the_request_is_sent_as_it_is() -> None:
    """The server reads the very bytes."""
    with pair() as (ours, theirs):
        theirs.sendall(OK)
        reply = send_request(ours, REQUEST, steady() + PLENTY, has_body=False)
        assert theirs.recv(1000) == REQUEST
    assert (reply.head.code, reply.body, reply.has_trailing_data) == (200, b"", False)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_head_may_come_in_pieces(size: int) -> None:
    """However the bytes are cut, the head is the same."""
    pieces = [OK[start : start + size] for start in range(0, len(OK), size)]
    assert answered(*pieces).head == answered(OK).head


@pytest.mark.parametrize("cut", [1, 8, 20, len(OK) - 1])
def test_a_head_cut_off_is_a_broken_connection(cut: int) -> None:
    """Part of a head is never an answer with fields gone."""
    assert failure(OK[:cut]).reason == "connection"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_end_before_any_byte_is_silence(sent: bytes) -> None:
    """Silence is told apart: on a connection that was kept it is no failure yet."""
    with pytest.raises(ConnectionClosed):
        answered(sent)


@pytest.mark.parametrize(
    "sent", [b"\x15\x03\x00", b"HELO", b"\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"SSH-2.0-x\r\n"]
)
def test_what_is_not_http_is_malformed_at_once(sent: bytes) -> None:
    """It is not waited for more of it."""
    with pytest.raises(RequestFailed) as raised:
        answered(sent, stays=True)
    assert raised.value.reason == "malformed"


def test_a_head_of_256_kib_is_read_and_a_longer_one_is_malformed() -> None:
    """The limit bounds memory, also where the end never comes."""
    start = b"HTTP/1.1 200 OK\r\nX-Image-Meta-Name: "
    longest = start + b"x" * (256 * 1024 - len(start))
    assert answered(longest + b"\r\n\r\n").head.code == 200
    assert failure(longest + b"x\r\n\r\n").reason == "malformed"
    assert failure(longest + b"x" * 100_000).reason == "malformed"


def test_interim_answers_are_passed_over() -> None:
    """100 and 103 may precede an answer; 101 is one of its own."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert answered(b"HTTP/1.1 100 Continue\r\n\r\n", interim, OK).head.code == 200
    assert answered(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").head.code == 101
    assert failure(*[interim] * 8, OK).reason == "malformed"


@pytest.mark.parametrize("left", [b"x", OK, b"\r\n"])
def test_bytes_after_an_answer_to_head_are_seen(left: bytes) -> None:
    """Nothing may follow it."""
    assert answered(OK + left).has_trailing_data
    assert not answered(OK).has_trailing_data


BODIES = {
    "length": (b"Content-Length: 4\r\n\r\nbody", b"body"),
    "no length": (b"\r\nbody", b"body"),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nbod\r\n1;x=y\r\ny\r\n0\r\n\r\n", b"body"),
    "trailer": (b"Transfer-Encoding: Chunked\r\n\r\n4\r\nbody\r\n00\r\nA: b\r\n\r\n", b"body"),
    "empty": (b"Content-Length: 0\r\n\r\n", b""),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_read_as_it_is_delimited(name: str) -> None:
    """By its length, in chunks, or to the end of the stream."""
    raw, body = BODIES[name]
    reply = answered(b"HTTP/1.1 200 OK\r\n" + raw, has_body=True)
    assert (reply.body, reply.has_trailing_data) == (body, False)
    for code in (b"204 No Content", b"304 Not Modified"):
        assert answered(b"HTTP/1.1 " + code + b"\r\n\r\n", has_body=True).body == b""


@pytest.mark.parametrize(
    ("rest_of_it", "reason"),
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
def test_a_body_that_is_not_as_announced_is_refused(rest_of_it: bytes, reason: str) -> None:
    """Cut off is a broken connection, the rest is malformed."""
    assert failure(b"HTTP/1.1 200 OK\r\n" + rest_of_it, has_body=True).reason == reason


def test_silence_ends_at_the_deadline() -> None:
    """A server that says nothing costs the time there is, no more."""
    with pair() as (ours, _):
        began = steady()
        with pytest.raises(RequestFailed) as raised:
            send_request(ours, REQUEST, began + 0.1, has_body=False)
        assert raised.value.reason == "timeout"
        assert 0.1 <= steady() - began < 2.0


def test_a_byte_now_and_then_does_not_stretch_the_deadline() -> None:
    """The time is a total, not that of each read."""
    with pair() as (ours, theirs):
        stop = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nX: ", itertools.repeat(120)):
                    theirs.send(bytes([byte]))
                    if stop.wait(0.01):
                        return

        server = threading.Thread(target=trickle)
        server.start()
        began = steady()
        with pytest.raises(RequestFailed) as raised:
            send_request(ours, REQUEST, began + 0.2, has_body=False)
        assert raised.value.reason == "timeout"
        assert steady() - began < 2.0
        stop.set()
        server.join()


def test_without_time_nothing_is_sent() -> None:
    """A deadline that has passed is a timeout before the first byte."""
    with pair() as (ours, theirs):
        with pytest.raises(RequestFailed, match="no time left"):
            send_request(ours, REQUEST, steady() - 1, has_body=False)
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def test_a_request_that_cannot_be_sent_is_a_timeout_or_silence() -> None:
    """A server that does not read holds up no longer than the deadline; one that left is silent."""
    with pair() as (ours, _), pytest.raises(RequestFailed, match="could not be sent"):
        send_request(ours, b"x" * 50_000_000, steady() + 0.1, has_body=False)
    with pair() as (ours, theirs):
        theirs.close()
        with pytest.raises(ConnectionClosed):
            send_request(ours, REQUEST, steady() + PLENTY, has_body=False)


ANSWERS = st.one_of(
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


@settings(max_examples=200, deadline=None)
@given(ANSWERS, st.lists(st.integers(0, 200), max_size=6), st.booleans(), st.booleans())
@example(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", [], True, False)
def test_any_bytes_in_any_pieces_are_an_answer_or_none(
    raw: bytes, cuts: list[int], has_body: bool, stays: bool
) -> None:
    """Only an answer, no answer or silence comes out, and never much later than the deadline."""
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    pieces = [raw[start:end] for start, end in itertools.pairwise(edges)]
    began = steady()
    reason = ""
    try:
        reply = answered(*pieces, has_body=has_body, seconds=0.03, stays=stays)
        assert raw.startswith(b"HTTP/1.")
        assert b"\r\n\r\n" in raw
        assert has_body or not reply.body
    except RequestFailed as error:
        reason = error.reason
    except ConnectionClosed:
        reason = "silent"
    assert reason in {"", "timeout", "connection", "malformed", "timeout" if stays else "silent"}
    assert steady() - began < 2.0
