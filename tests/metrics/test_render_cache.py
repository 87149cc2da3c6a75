import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.render_cache import RenderedChunk

TEXTS = st.lists(st.binary(max_size=30), min_size=1, max_size=20)


@given(TEXTS, st.data())
def test_chunk_holds_the_latest_texts_after_any_replacements(
    texts: list[bytes], data: st.DataObject
) -> None:
    chunk = RenderedChunk(texts)
    for _ in range(3):
        new = data.draw(st.dictionaries(st.integers(0, len(texts) - 1), st.binary(max_size=30)))
        is_different = any(texts[index] != text for index, text in new.items())
        assert chunk.replace(new) is is_different
        for index, text in new.items():
            texts[index] = text
        assert chunk.plain == b"".join(texts)
        decompressed = zlib.decompressobj(-zlib.MAX_WBITS).decompress(chunk.compressed)
        assert decompressed == chunk.plain


def test_unchanged_chunk_is_not_compressed_again() -> None:
    chunk = RenderedChunk([b"one\n", b"two\n"])
    compressed = chunk.compressed
    assert chunk.replace({0: b"one\n"}) is False
    assert chunk.compressed is compressed
    assert chunk.replace({1: b"three\n"}) is True
    assert chunk.compressed is not compressed


def test_chunk_without_samples_compresses_to_nothing() -> None:
    assert RenderedChunk([b"", b""]).compressed == b""
