"""One gzip member, joined from chunks that were compressed separately.

A chunk is a part of a deflate stream that ends on a byte boundary and refers to nothing before it,
so chunks can be joined in any order. Only the checksum covers the whole. Several gzip members in a
row would be simpler and are allowed (RFC 1952, section 2.2), but some clients read only the first.

isal compresses this text six times as fast as zlib at its fastest level, to seven eighths of the
size, and decompresses it twice as fast (5 and 4 µs for the 5 KiB of an image, zlib 29 and 8 µs). It
is built only for x86-64 and arm64; elsewhere zlib does the work.
"""

import zlib
from importlib import import_module
from struct import pack
from types import ModuleType

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""A header without name, time and operating system: equal content makes equal bytes."""

LEVEL = 1
"""The fastest level of zlib, four times as fast as the highest one, whose text is 9% smaller. isal
compresses at this level as well as at its higher ones."""


def load_codec() -> ModuleType:
    """Return the module that compresses and computes CRC-32, with the interface of zlib."""
    try:
        return import_module("isal.isal_zlib")
    except ImportError:
        return zlib


_codec = load_codec()


def compress_chunk(plain: bytes) -> bytes:
    """Compress a text to a chunk that other chunks can follow."""
    return _compress(plain, zlib.Z_FULL_FLUSH)


def decompress_chunk(compressed: bytes) -> bytes:
    """Return the text of a chunk."""
    plain: bytes = _codec.decompressobj(-zlib.MAX_WBITS).decompress(compressed)
    return plain


def compress_last_chunk(plain: bytes) -> bytes:
    """Compress a text to the chunk that ends the stream."""
    return _compress(plain, zlib.Z_FINISH)


def _compress(plain: bytes, flush_mode: int) -> bytes:
    deflate = _codec.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    compressed: bytes = deflate.compress(plain) + deflate.flush(flush_mode)
    return compressed


def trailer(crc32: int, size: int) -> bytes:
    """Return the end of the member: CRC-32 and size of the uncompressed text."""
    return pack("<II", crc32, size % 2**32)
