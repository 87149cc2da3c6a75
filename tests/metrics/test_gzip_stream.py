import gzip
import sys
import zlib
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import gzip_stream
from exporter.metrics.gzip_stream import (
    HEADER,
    compress_chunk,
    compress_last_chunk,
    decompress_chunk,
    trailer,
)


@pytest.mark.parametrize("codec", ["isal.isal_zlib", "zlib"])
@given(st.lists(st.binary(max_size=2000), max_size=5), st.binary(max_size=500))
def test_joined_chunks_are_one_gzip_member(codec: str, texts: list[bytes], last: bytes) -> None:
    pytest.importorskip(codec)
    plain = b"".join((*texts, last))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip_stream, "_codec", import_module(codec))
        chunks = [compress_chunk(text) for text in texts]
        member = b"".join(
            (
                HEADER,
                *chunks,
                compress_last_chunk(last),
                trailer(zlib.crc32(plain), len(plain)),
            )
        )
        assert [decompress_chunk(chunk) for chunk in chunks] == texts
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert decompressor.decompress(member) == plain
    assert decompressor.eof
    assert decompressor.unused_data == b""
    assert gzip.decompress(member) == plain


def test_zlib_compresses_where_isal_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    assert gzip_stream.load_codec() is zlib


def test_chunk_does_not_depend_on_its_position() -> None:
    text = b"the same line\n" * 50
    assert compress_chunk(text) == compress_chunk(text)
    assert len(compress_chunk(text)) < len(text) / 5
