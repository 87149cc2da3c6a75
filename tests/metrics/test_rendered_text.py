import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import rendered_text
from exporter.metrics.checksum import Checksum
from exporter.metrics.rendered_text import RenderedText

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
TEXTS = st.lists(TEXT, min_size=1, max_size=20)


class SameChecksum:
    """A checksum that is the same for all texts of a size."""

    @staticmethod
    def of(text: bytes) -> Checksum:
        """Return the checksum of a text."""
        return Checksum(0, len(text))


@given(TEXTS, st.data())
def test_text_is_the_latest_of_all_targets_after_any_replacements(
    texts: list[str], data: st.DataObject
) -> None:
    rendered = RenderedText(len(texts))
    assert rendered.replace(range(len(texts)), texts) is any(texts)
    for _ in range(3):
        new = data.draw(st.dictionaries(st.integers(0, len(texts) - 1), TEXT))
        before = "".join(texts).encode()
        for index, text in new.items():
            texts[index] = text
        after = "".join(texts).encode()
        indexes = sorted(new)
        assert rendered.replace(indexes, [new[index] for index in indexes]) is (after != before)
        assert rendered.plain == after
        assert rendered.checksum == Checksum.of(after)
        assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(rendered.compressed) == after


def test_unchanged_text_is_not_compressed_again() -> None:
    rendered = RenderedText(2)
    rendered.replace([0, 1], ["one\n", "two\n"])
    compressed = rendered.compressed
    assert rendered.replace([0], ["one\n"]) is False
    assert rendered.compressed is compressed
    assert rendered.replace([1], ["three\n"]) is True
    assert rendered.compressed is not compressed


def test_text_without_samples_compresses_to_nothing() -> None:
    rendered = RenderedText(2)
    assert rendered.replace([0, 1], ["", ""]) is False
    assert rendered.compressed == b""
    rendered.replace([0], ["one\n"])
    assert rendered.replace([0], [""]) is True
    assert rendered.compressed == b""


def test_text_of_any_length_can_be_replaced() -> None:
    rendered = RenderedText(2)
    rendered.replace([0, 1], ["a" * 100_000, "b"])
    rendered.replace([1], ["c"])
    assert rendered.plain == b"a" * 100_000 + b"c"
    rendered.replace([0], ["d"])
    rendered.replace([0], ["e" * 70_000])
    assert rendered.plain == b"e" * 70_000 + b"c"


def test_text_with_the_same_checksum_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered_text, "Checksum", SameChecksum)
    rendered = RenderedText(1)
    rendered.replace([0], ["one"])
    assert rendered.replace([0], ["two"]) is True
    assert rendered.plain == b"two"
