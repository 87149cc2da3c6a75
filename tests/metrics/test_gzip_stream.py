import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.gzip_stream import HEADER, compress_chunk, compress_last_chunk, trailer


@given(st.lists(st.binary(max_size=2000), max_size=5), st.binary(max_size=500))
def test_joined_chunks_are_one_gzip_member(texts: list[bytes], last: bytes) -> None:
    plain = b"".join((*texts, last))
    member = b"".join(
        (
            HEADER,
            *map(compress_chunk, texts),
            compress_last_chunk(last),
            trailer(zlib.crc32(plain), len(plain)),
        )
    )
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert decompressor.decompress(member) == plain
    assert decompressor.eof
    assert decompressor.unused_data == b""
    assert gzip.decompress(member) == plain


def test_chunk_does_not_depend_on_its_position() -> None:
    text = b"the same line\n" * 50
    assert compress_chunk(text) == compress_chunk(text)
    assert len(compress_chunk(text)) < len(text) / 5
