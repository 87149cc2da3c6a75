"""Blocks of rendered lines."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.block import RenderedChunk

TEXTS = st.lists(st.binary(max_size=30), min_size=1, max_size=20)


@given(TEXTS, st.data())
def test_a_block_holds_what_was_put_in_last(texts: list[bytes], data: st.DataObject) -> None:
    """After any replacements a block is the join of each place's newest text."""
    block = RenderedChunk(texts)
    for _ in range(3):
        new = data.draw(st.dictionaries(st.integers(0, len(texts) - 1), st.binary(max_size=30)))
        changes = any(texts[place] != text for place, text in new.items())
        assert block.replace(new) is changes
        for place, text in new.items():
            texts[place] = text
        assert block.plain == b"".join(texts)
        unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(block.compressed)
        assert unpacked == block.plain


def test_what_did_not_change_is_not_compressed_again() -> None:
    """A replacement by the same text keeps the compressed piece, the very object."""
    block = RenderedChunk([b"one\n", b"two\n"])
    compressed = block.compressed
    assert block.replace({0: b"one\n"}) is False
    assert block.compressed is compressed
    assert block.replace({1: b"three\n"}) is True
    assert block.compressed is not compressed


def test_nothing_takes_no_room() -> None:
    """A family that no target has a sample of compresses to nothing at all."""
    assert RenderedChunk([b"", b""]).compressed == b""
