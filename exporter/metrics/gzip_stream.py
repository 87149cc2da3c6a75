"""One gzip member, joined from chunks that were compressed separately.

A chunk is a part of a deflate stream that ends on a byte boundary and refers to nothing before it,
so chunks can be joined in any order. Only the checksum covers the whole. Several gzip members in a
row would be simpler and are allowed (RFC 1952, section 2.2), but some clients read only the first.
"""

import zlib
from struct import pack

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""A header without name, time and operating system: equal content makes equal bytes."""

LEVEL = 1
"""Five times faster than the highest level, and a twelfth larger on this text."""


def compress_chunk(plain: bytes) -> bytes:
    """Compress a text to a chunk that other chunks can follow."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush(zlib.Z_FULL_FLUSH)


def decompress_chunk(compressed: bytes) -> bytes:
    """Return the text of a chunk."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(compressed)


def compress_last_chunk(plain: bytes) -> bytes:
    """Compress a text to the chunk that ends the stream."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush(zlib.Z_FINISH)


def trailer(crc32: int, size: int) -> bytes:
    """Return the end of the member: CRC-32 and size of the uncompressed text."""
    return pack("<II", crc32, size % 2**32)
