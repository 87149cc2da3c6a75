"""Parts that are joined to one gzip member."""

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.gzip_stream import HEADER, last_part, part, trailer


@given(st.lists(st.binary(max_size=2000), max_size=5), st.binary(max_size=500))
def test_joined_parts_are_one_member(texts: list[bytes], last: bytes) -> None:
    """Whatever the parts hold, joined they are one member that unpacks to all of it."""
    whole = b"".join((*texts, last))
    packed = b"".join(
        (HEADER, *map(part, texts), last_part(last), trailer(zlib.crc32(whole), len(whole)))
    )
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert unpacker.decompress(packed) == whole
    assert unpacker.eof
    assert unpacker.unused_data == b""
    assert gzip.decompress(packed) == whole


def test_a_part_does_not_depend_on_what_stands_before_it() -> None:
    """A part is the same wherever it stands, so it can be kept while its neighbours change."""
    text = b"the same line\n" * 50
    assert part(text) == part(text)
    assert len(part(text)) < len(text) / 5
