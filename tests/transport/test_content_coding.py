"""Compressed bodies, although ``Accept-Encoding: identity`` was sent."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import steady
from exporter.transport import content_coding
from exporter.transport.content_coding import UndecodableBody, decode
from exporter.transport.http1 import Response
from exporter.transport.pool import ConnectionPool, HttpRequest
from exporter.transport.proxies import ProxySettings
from tests.support.fakes.scripted_server import scripted_server

DIRECT = ProxySettings(proxy=None, verify=True, cert=None)
BODY = b'{"images": []}' * 10
LIMIT = 10_000


def raw_deflate(body: bytes) -> bytes:
    """Return the "deflate" of servers that leave out the zlib format."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


def response_to_get(raw: bytes) -> Response:
    """Return the response of a server that sends these bytes."""
    with scripted_server([raw]) as url:
        pool = ConnectionPool(url, DIRECT, "t")
        try:
            return pool.send(HttpRequest("GET", "/", steady() + 10.0))
        finally:
            pool.close()


@pytest.mark.parametrize(
    ("codings", "body"),
    [
        (b"gzip", gzip.compress(BODY, mtime=0)),
        (b"X-GZIP", gzip.compress(BODY, mtime=0)),
        (b"deflate", zlib.compress(BODY)),
        (b"deflate", raw_deflate(BODY)),
        (b"identity", BODY),
        (b"", BODY),
        (b"gzip, chunked", gzip.compress(BODY, mtime=0)),
        (b"deflate , gzip", gzip.compress(zlib.compress(BODY), mtime=0)),
    ],
)
def test_known_codings_are_removed(codings: bytes, body: bytes) -> None:
    assert decode(body, codings, LIMIT) == BODY


@pytest.mark.parametrize(
    ("codings", "body", "fault"),
    [
        (b"br", b"\x8b\x02", "(br)"),
        (b"zstd", b"\x28\xb5", "(zstd)"),
        (b"\x1b[31m", b"x", "(an unknown coding)"),
        (b"x" * 1000, b"x", "(an unknown coding)"),
        (b"gzip", BODY, "(gzip) and damaged"),
        (b"gzip", gzip.compress(BODY, mtime=0)[:-9], "(gzip) and cut off"),
        (b"gzip", gzip.compress(BODY, mtime=0) + b"x", "(gzip) and followed by other data"),
        (b"gzip", gzip.compress(b"x" * (LIMIT + 1), mtime=0), "(gzip) and larger than the limit"),
        (
            b"gzip, gzip",
            gzip.compress(gzip.compress(b"x" * 10**6, mtime=0), mtime=0),
            "(gzip) and larger than",
        ),
        (b"deflate", BODY, "(deflate) and damaged"),
    ],
)
def test_body_that_cannot_be_decompressed_is_an_error(
    codings: bytes, body: bytes, fault: str
) -> None:
    with pytest.raises(UndecodableBody) as raised:
        decode(body, codings, LIMIT)
    assert str(raised.value).startswith(f"the response is compressed {fault}")


def test_body_of_exactly_the_limit_is_decompressed() -> None:
    assert decode(gzip.compress(b"x" * LIMIT, mtime=0), b"gzip", LIMIT) == b"x" * LIMIT


@given(st.binary(max_size=200), st.sampled_from([b"gzip", b"deflate", b"br", b"gzip,deflate"]))
def test_any_bytes_are_decompressed_or_an_error(body: bytes, codings: bytes) -> None:
    try:
        decompressed = decode(body, codings, LIMIT)
    except UndecodableBody:
        return
    assert len(decompressed) <= LIMIT


@pytest.mark.parametrize("header", [b"Content-Encoding: gzip", b"Transfer-Encoding: gzip"])
def test_response_is_decompressed(header: bytes) -> None:
    body = gzip.compress(BODY, mtime=0)
    head = b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: %d\r\n\r\n" % (header, len(body))
    response = response_to_get(head + body)
    assert (response.body, response.compressed) == (BODY, "")


def test_chunked_response_is_decompressed() -> None:
    body = gzip.compress(BODY, mtime=0)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    response = response_to_get(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    assert (response.body, response.compressed) == (BODY, "")


def test_bomb_is_not_decompressed_beyond_the_limit_of_a_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(content_coding, "MAX_BODY_BYTES", LIMIT)
    body = gzip.compress(b"0" * 10**6, mtime=0)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    response = response_to_get(head + body)
    assert response.compressed == "the response is compressed (gzip) and larger than the limit"


def test_status_code_of_an_error_counts_although_its_page_is_compressed() -> None:
    response = response_to_get(
        b"HTTP/1.1 503 No\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx"
    )
    assert response.failure().detail == "HTTP 503"
