import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.checksum import Checksum
from exporter.metrics.rendered_text import RenderedText

TEXTS = st.lists(st.binary(max_size=30), min_size=1, max_size=20)


@given(TEXTS, st.data())
def test_text_is_the_latest_of_all_targets_after_any_replacements(
    texts: list[bytes], data: st.DataObject
) -> None:
    rendered = RenderedText(len(texts))
    assert rendered.replace(dict(enumerate(texts))) is any(texts)
    for _ in range(3):
        new = data.draw(st.dictionaries(st.integers(0, len(texts) - 1), st.binary(max_size=30)))
        before = b"".join(texts)
        for index, text in new.items():
            texts[index] = text
        after = b"".join(texts)
        assert rendered.replace(new) is (after != before)
        assert rendered.plain == after
        assert rendered.checksum == Checksum.of(after)
        assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(rendered.compressed) == after


def test_unchanged_text_is_not_compressed_again() -> None:
    rendered = RenderedText(2)
    rendered.replace({0: b"one\n", 1: b"two\n"})
    compressed = rendered.compressed
    assert rendered.replace({0: b"one\n"}) is False
    assert rendered.compressed is compressed
    assert rendered.replace({1: b"three\n"}) is True
    assert rendered.compressed is not compressed


def test_text_without_samples_compresses_to_nothing() -> None:
    rendered = RenderedText(2)
    assert rendered.replace({0: b"", 1: b""}) is False
    assert rendered.compressed == b""
    rendered.replace({0: b"one\n"})
    assert rendered.replace({0: b""}) is True
    assert rendered.compressed == b""
