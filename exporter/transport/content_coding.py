"""Decompression of response bodies, which some gateways compress although nobody asked for it."""

import re
import zlib

from exporter.transport.http1 import MAX_BODY_BYTES, Response

NONE = frozenset({"", "identity", "chunked"})
"""Codings that change nothing, or that the framing of the body has removed already."""

GZIP = zlib.MAX_WBITS | 16
ZLIB = zlib.MAX_WBITS
RAW_DEFLATE = -zlib.MAX_WBITS

WINDOW_BITS: dict[str, tuple[int, ...]] = {
    "gzip": (GZIP,),
    "x-gzip": (GZIP,),
    # RFC 9110, section 8.4.1.2: some servers send "deflate" without the zlib format around it.
    "deflate": (ZLIB, RAW_DEFLATE),
}
"""Formats to try for each coding, as the window bits of zlib."""

_CODING = re.compile(r"[a-z0-9-]{1,20}", re.ASCII)


class UndecodableBody(Exception):  # noqa: N818  # the server's error
    """A body cannot be decompressed; the text says why."""


def decompress(response: Response) -> None:
    """Decompress the body of a response, or set ``compressed`` if that is impossible."""
    try:
        for header in (b"transfer-encoding", b"content-encoding"):
            codings = response.first(header)
            if codings and response.body:
                response.body = decode(response.body, codings, MAX_BODY_BYTES)
    except UndecodableBody as error:
        response.compressed = str(error)


def decode(body: bytes, codings: bytes, limit: int) -> bytes:
    """Return a body without the codings of ``Content-Encoding`` or ``Transfer-Encoding``.

    Args:
        body: The body as received.
        codings: Value of the header: names separated by commas, in the order applied.
        limit: Largest number of bytes of the decompressed body.

    Raises:
        UndecodableBody: A coding is unknown, or the body is damaged or too large.
    """
    names = codings.decode("latin-1").lower().split(",")
    for name in reversed([name.strip() for name in names]):
        if name not in NONE:
            body = _decompress(body, name, limit)
    return body


def _decompress(body: bytes, name: str, limit: int) -> bytes:
    formats = WINDOW_BITS.get(name)
    if formats is None:
        readable = name if _CODING.fullmatch(name) else "an unknown coding"
        raise UndecodableBody(f"the response is compressed ({readable})")
    for window_bits in formats:
        decompressor = zlib.decompressobj(window_bits)
        try:
            decompressed = decompressor.decompress(body, limit)
        except zlib.error:
            continue
        if decompressor.unconsumed_tail:
            fault = "and larger than the limit"
        elif not decompressor.eof:
            fault = "and cut off"
        elif decompressor.unused_data:
            fault = "and followed by other data"
        else:
            return decompressed
        raise UndecodableBody(f"the response is compressed ({name}) {fault}")
    raise UndecodableBody(f"the response is compressed ({name}) and damaged")
