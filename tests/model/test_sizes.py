"""Sizes and ranges of sizes, as settings write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.parsers import GIBI, MEBI
from exporter.model.sizes import MOST, UNITS, Range, exactly, format_range, parse_range

SIZES = st.integers(0, MOST)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", exactly(0)),
        ("0B", exactly(0)),
        ("7B", exactly(7)),
        ("512MiB", exactly(512 * MEBI)),
        ("7EiB", exactly(7 * 2**60)),
        ("1GiB..4GiB", Range(GIBI, 4 * GIBI)),
        ("1GiB..1024MiB", exactly(GIBI)),
        ("1GiB..", Range(GIBI, None)),
        ("..4GiB", Range(None, 4 * GIBI)),
        ("0..1B", Range(0, 1)),
        (f"{MOST}B", exactly(MOST)),
    ],
)
def test_a_size_or_a_range_of_sizes(text: str, size: Range) -> None:
    """Whole numbers with a unit; 0 needs none; either end of a range may be open."""
    assert parse_range(text) == size


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a size"),
        ("GiB", "is not a size"),
        ("1 GiB", "is not a size"),
        ("1.5GiB", "is not a size"),
        ("-1B", "is not a size"),
        ("+1B", "is not a size"),
        ("\u0661B", "is not a size"),
        ("1GiB...4GiB", "is not a size"),
        ("1" * 20 + "B", "is not a size"),
        ("1" + "B" * 21, "is not a size"),
        ("1", "has no unit"),
        ("1GB", "has the unknown unit GB"),
        ("1gib", "has the unknown unit gib"),
        ("8EiB", "is larger than 2^63 - 1 bytes"),
        ("..", "is a range without ends"),
        ("2B..1B", "is a range whose end is below its beginning"),
    ],
)
def test_what_is_no_size_is_refused(text: str, problem: str) -> None:
    """The words follow the value."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # all of its text is compared
        parse_range(text)
    assert str(caught.value) == problem


def test_the_ends_are_within_a_range() -> None:
    """What is beyond them is not, nor is what is no number."""
    assert [size in Range(2, 4) for size in (1, 2, 4, 5, None)] == [False, True, True, False, False]
    assert [size in Range(None, 4) for size in (0, 4, 5)] == [True, True, False]
    assert [size in Range(2, None) for size in (1, 2, MOST)] == [False, True, True]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (exactly(0), "0B"),
        (exactly(1023), "1023B"),
        (exactly(1536), "1536B"),
        (exactly(3 * 1024), "3KiB"),
        (exactly(40 * GIBI), "40GiB"),
        (Range(GIBI, 1536 * MEBI), "1GiB..1536MiB"),
        (Range(None, GIBI), "..1GiB"),
        (Range(GIBI, None), "1GiB.."),
    ],
)
def test_a_range_in_words(size: Range, text: str) -> None:
    """To the byte, in the largest unit that fits."""
    assert format_range(size) == text


@given(st.one_of(SIZES, st.none()), st.one_of(SIZES, st.none()))
def test_what_is_written_is_read_as_the_same(one: int | None, other: int | None) -> None:
    """Every range that there can be."""
    ends = sorted(end for end in (one, other) if end is not None)
    if not ends:
        return
    size = Range(*ends) if len(ends) == 2 else Range(one, other)
    assert parse_range(format_range(size)) == size


@given(st.text(alphabet="0123456789.BKMGTPEiR "))
def test_no_text_is_read_as_a_size_that_there_cannot_be(text: str) -> None:
    """It is a range within bounds, or refused."""
    try:
        size = parse_range(text)
    except ValueError:
        return
    assert all(end is None or 0 <= end <= MOST for end in size)
    assert text.count("..") <= 1
    assert any(unit in text for unit in UNITS) or set(text) <= {"0", "."}
